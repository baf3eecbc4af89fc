//! Values of a request: what an atom stands for, what the filters make of it, and templates fed piece by piece to whoever takes them, so
//! that a body is never copied.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{
    Credential,
    canonical::{self, Addresses},
    document::Document,
    form::{Form, decoded},
};
use crate::{
    clock::UnixMs,
    provider::{Atom, Filter, Part, Pointer, Template, UrlSpelling, Value},
    request::{RawRequest, Single},
};

/// All that an atom can stand for, while one request is looked at.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The request.
    pub(super) request: &'a RawRequest,
    /// Its JSON document.
    pub(super) document: &'a Document<'a>,
    /// The form in its body.
    pub(super) form: &'a Form<'a>,
    /// The element that `each` looks at.
    pub(super) item: &'a Document<'a>,
    /// The claims of the token that holds, or is tried.
    pub(super) claims: &'a Document<'a>,
    /// The fields of the candidate being tried.
    pub(super) fields: &'a [Field<'a>],
    /// The key being tried.
    pub(super) key: Option<&'a [u8]>,
    /// What a handshake computed.
    pub(super) computed: Option<&'a [u8]>,
    /// The source's public URL.
    pub(super) addresses: Option<&'a Addresses>,
    /// How it is spelled in this try.
    pub(super) spelling: UrlSpelling,
    /// The credentials that a message may name.
    pub(super) credentials: &'a [Credential],
    /// When.
    pub(super) now: UnixMs,
    /// Stands for the values of a pointer with a `*`, one at a time.
    pub(super) element: Option<&'a [u8]>,
    /// Whether it is for the name of an event: an empty value counts as absent there, and so does a `*` that an element has no value for,
    /// or one with a comma in it, because what the values come to would name several events.
    pub(super) for_name: bool,
}

/// A field of a candidate: its name, and its value.
pub(super) type Field<'a> = (&'a str, Cow<'a, str>);

/// Why a template has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Something in it is not there.
    Absent,
    /// Something in it could be read in two ways, or is no single value.
    Unusable,
}

impl<'a> Scope<'a> {
    /// A request with its form and nothing else.
    pub(super) fn of(request: &'a RawRequest, form: &'a Form<'a>, credentials: &'a [Credential], now: UnixMs) -> Self {
        Self {
            request,
            document: Document::none(),
            form,
            item: Document::none(),
            claims: Document::none(),
            fields: &[],
            key: None,
            computed: None,
            addresses: None,
            spelling: UrlSpelling::Exact,
            credentials,
            now,
            element: None,
            for_name: false,
        }
    }

    /// What an atom stands for.
    pub(super) fn atom(&self, atom: &'a Atom) -> Result<Cow<'a, [u8]>, Lack> {
        let found = match atom {
            Atom::Body => Cow::Borrowed(&*self.request.body),
            Atom::Method => Cow::Borrowed(self.request.method.as_bytes()),
            Atom::Path => Cow::Borrowed(self.request.path.as_bytes()),
            Atom::Query => Cow::Borrowed(self.request.query.as_deref().ok_or(Lack::Absent)?.as_bytes()),
            Atom::Header(name) => match self.request.headers.single(name) {
                Single::One(value) => Cow::Borrowed(value),
                Single::Absent => return Err(Lack::Absent),
                Single::Repeated => return Err(Lack::Unusable),
            },
            Atom::Parameter(name) => parameter(self.request.query.as_deref().unwrap_or_default(), name)?,
            Atom::Url | Atom::Endpoint => {
                let addresses = self.addresses.ok_or(Lack::Absent)?;
                match atom {
                    Atom::Url => Cow::Owned(addresses.url(self.spelling, self.request.query.as_deref())),
                    _ => Cow::Borrowed(addresses.endpoint.as_bytes()),
                }
            }
            Atom::Form(name) => Cow::Borrowed(self.form.field(name)?),
            Atom::FormSorted => Cow::Owned(self.form.sorted(&self.request.body)?),
            Atom::FormPhp(skip) => Cow::Owned(self.form.php(skip)?),
            Atom::SignedHeaders(list) => Cow::Owned(canonical::signed_headers(list, self.request)?),
            Atom::QueryStringHash => Cow::Owned(canonical::query_string_hash(self.request)),
            Atom::Json(pointer) => self.json(self.document, pointer)?,
            Atom::Item(pointer) => self.json(self.item, pointer)?,
            Atom::Claim(pointer) => self.json(self.claims, pointer)?,
            Atom::Field(name) => {
                let (_, value) = self.fields.iter().find(|(other, _)| **other == **name).ok_or(Lack::Absent)?;
                Cow::Borrowed(value.as_bytes())
            }
            Atom::Key => Cow::Borrowed(self.key.ok_or(Lack::Absent)?),
            Atom::Computed => Cow::Borrowed(self.computed.ok_or(Lack::Absent)?),
            // The reader allows families of headers only where signatures stand, and there each header is looked at by itself.
            Atom::Headers(_) => return Err(Lack::Unusable),
            Atom::Credential(name) => {
                let fits = |held: &&Credential| held.name == *name && held.active(self.now);
                // A message that names a credential is made with its value; this is not shown to anyone.
                Cow::Borrowed(self.credentials.iter().find(fits).ok_or(Lack::Absent)?.value.reveal())
            }
        };
        if self.for_name && found.is_empty() { Err(Lack::Absent) } else { Ok(found) }
    }

    fn json(&self, document: &'a Document<'a>, pointer: &Pointer) -> Result<Cow<'a, [u8]>, Lack> {
        if let (Some(element), true) = (self.element, pointer.many()) {
            return Ok(Cow::Borrowed(element));
        }
        let slot = document.slot(pointer).ok_or(Lack::Absent)?;
        if slot.is_unusable() || slot.cut {
            return Err(Lack::Unusable);
        }
        if self.for_name && pointer.many() && (slot.missed || slot.values.iter().any(|value| value.is_empty() || value.contains(&b','))) {
            return Err(Lack::Absent);
        }
        match slot.values.as_slice() {
            [] => Err(Lack::Absent),
            [one] => Ok(one.clone()),
            several => Ok(Cow::Owned(several.join(&b","[..]))),
        }
    }

    /// What a value comes to, through its filters.
    pub(super) fn value(&self, value: &'a Value) -> Result<Cow<'a, [u8]>, Lack> {
        let found = match self.atom(&value.atom) {
            Err(Lack::Absent) if value.optional => Cow::Borrowed(&b""[..]),
            other => other?,
        };
        Ok(value.filters.iter().fold(found, |bytes, filter| Cow::Owned(apply(*filter, &bytes))))
    }

    /// Feeds a template to `out`, piece by piece, without copying what stands in the request.
    pub(super) fn feed(&self, template: &'a Template, out: &mut dyn FnMut(&[u8])) -> Result<(), Lack> {
        for part in template.parts() {
            match part {
                Part::Text(text) => out(text),
                Part::Value(value) => out(&self.value(value)?),
                Part::Optional(inner) => self.feed_optional(inner, out)?,
            }
        }
        Ok(())
    }

    fn feed_optional(&self, inner: &'a [Part], out: &mut dyn FnMut(&[u8])) -> Result<(), Lack> {
        let mut pieces = Vec::with_capacity(inner.len());
        for part in inner {
            match part {
                Part::Text(text) => pieces.push(Cow::Borrowed(&**text)),
                Part::Value(value) => match self.value(value) {
                    Ok(found) if !found.is_empty() => pieces.push(found),
                    Ok(_) | Err(Lack::Absent) => return Ok(()),
                    Err(Lack::Unusable) => return Err(Lack::Unusable),
                },
                // The reader refuses nested ones.
                Part::Optional(_) => {}
            }
        }
        pieces.iter().for_each(|piece| out(piece));
        Ok(())
    }

    /// A template's bytes.
    pub(super) fn bytes(&self, template: &'a Template) -> Result<Vec<u8>, Lack> {
        let mut bytes = Vec::new();
        self.feed(template, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }
}

fn apply(filter: Filter, bytes: &[u8]) -> Vec<u8> {
    match filter {
        Filter::Lower => bytes.to_ascii_lowercase(),
        Filter::Hex => hex::encode(bytes).into_bytes(),
        Filter::Base64 => STANDARD.encode(bytes).into_bytes(),
        Filter::Sha1 => Sha1::digest(bytes).to_vec(),
        Filter::Sha256 => Sha256::digest(bytes).to_vec(),
        Filter::Crc32 => crc32fast::hash(bytes).to_string().into_bytes(),
    }
}

/// A query parameter, decoded as forms are. One that occurs twice is unusable.
fn parameter<'a>(query: &'a str, name: &str) -> Result<Cow<'a, [u8]>, Lack> {
    let mut found = Err(Lack::Absent);
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if *decoded(key.as_bytes()) == *name.as_bytes() {
            if found.is_ok() {
                return Err(Lack::Unusable);
            }
            found = Ok(decoded(value.as_bytes()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::HeadersBuilder;

    fn request() -> RawRequest {
        let mut headers = HeadersBuilder::new();
        headers.push("X-Id", b"Abc");
        headers.push("X-Two", b"1");
        headers.push("x-two", b"2");
        headers.push("X-Empty", b"");
        RawRequest {
            method: "POST".into(),
            path: "/hooks/a".into(),
            query: Some("a=1&b=x+%41%zz&c=1&c=2".into()),
            headers: headers.build(),
            body: bytes::Bytes::from_static(b"{\"l\":[\"p\",\"q\"]}"),
            client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
            received_at: UnixMs(0),
        }
    }

    fn evaluate(text: &str) -> Result<String, Lack> {
        let template = Template::parse(text).expect("a template");
        let request = request();
        let pointers = [Pointer::parse("/l/*").expect("a pointer"), Pointer::parse("/l").expect("a pointer")];
        let document = Document::read(&request.body, &pointers);
        let form = Form::read(&request);
        let scope = Scope { document: &document, fields: &[("t", Cow::Borrowed("9"))], ..Scope::of(&request, &form, &[], UnixMs(0)) };
        scope.bytes(&template).map(|bytes| String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn each_atom_and_filter_gives_what_the_grammar_says() {
        let cases = [
            ("{method} {path}?{query}", Ok("POST /hooks/a?a=1&b=x+%41%zz&c=1&c=2")),
            ("{header:x-id}", Ok("Abc")),
            ("{header:x-id|lower}", Ok("abc")),
            ("{header:x-id|hex}", Ok("416263")),
            ("{header:x-id|base64}", Ok("QWJj")),
            ("{header:x-id|sha1|hex}", Ok("915858afa2278f25527f192038108346164b47f2")),
            ("{header:x-empty|sha256|hex}", Ok("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
            ("{header:x-id|crc32}", Ok("224986914")),
            ("{query:b}", Ok("x A%zz")),
            ("{query:c}", Err(Lack::Unusable)),
            ("{query:z}", Err(Lack::Absent)),
            ("{query:z?}.", Ok(".")),
            ("{header:x-two}", Err(Lack::Unusable)),
            ("a[[.{header:x-none}]]b[[.{header:x-empty}]][[.{header:x-id}]]", Ok("ab.Abc")),
            ("{sig:t}", Ok("9")),
            ("{sig:v}", Err(Lack::Absent)),
            ("{json:/l/*}", Ok("p,q")),
            ("{json:/l}", Err(Lack::Unusable)),
            ("{credential:x}", Err(Lack::Absent)),
            ("{{{body|sha1|base64}}}", Ok("{+AXKiwCn4YUNtLOhlEuqV80K+5U=}")),
        ];
        let mut wrong = Vec::new();
        for (text, expected) in cases {
            let expected = expected.map(String::from);
            let found = evaluate(text);
            if found != expected {
                wrong.push(format!("{text}: {found:?}, not {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
