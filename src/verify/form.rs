//! Forms in a body: fields decoded as they were sent, and the two canonical forms that vendors sign.
//!
//! Which kind of form a body is, is said by its `Content-Type`, which no signature covers. So a body that does not say it is a form has no
//! fields, and where all fields are signed (`form-sorted`) such a body is refused unless it is empty: otherwise whoever changes the type
//! could send anything. What an event *is*, is read off the bytes instead where those are signed ([`Form::of_bytes`]): otherwise whoever
//! changes the type could make two events of one.

use std::borrow::Cow;

use memchr::memmem;

use super::value::Lack;
use crate::request::{RawRequest, Single};

/// Fields that one form may have.
const FIELDS_MAX: usize = 1000;
/// Bytes of a multipart boundary (RFC 2046).
const BOUNDARY_BYTES_MAX: usize = 70;

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Form<'a> {
    fields: Fields<'a>,
    kind: Kind,
}

/// What the body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// No form.
    #[default]
    Other,
    /// A form, read.
    Form,
    /// A form that two readers could read differently, or with too many fields.
    Unusable,
}

impl<'a> Form<'a> {
    /// Reads the body's form, if it is one.
    pub(super) fn read(request: &'a RawRequest) -> Self {
        let Single::One(content_type) = request.headers.single("content-type") else {
            return Self::default();
        };
        let content_type = String::from_utf8_lossy(content_type);
        let (kind, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
        let fields = if kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            urlencoded(&request.body)
        } else if kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            boundary(parameters).and_then(|boundary| multipart(&request.body, &boundary))
        } else {
            return Self::default();
        };
        Self::made_of(fields)
    }

    /// Reads the form that a body is by its bytes: a JSON document is none, what begins with a delimiter is in parts, anything else is
    /// urlencoded.
    pub(super) fn of_bytes(body: &'a [u8]) -> Self {
        match body.trim_ascii_start().first() {
            None | Some(b'{' | b'[') => Self::default(),
            Some(_) if body.starts_with(b"--") => {
                let line = memmem::find(body, b"\r\n").and_then(|end| std::str::from_utf8(body.get(2..end)?).ok());
                let boundary = line.filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()));
                Self::made_of(boundary.and_then(|boundary| multipart(body, boundary)))
            }
            Some(_) => Self::made_of(urlencoded(body)),
        }
    }

    fn made_of(fields: Option<Fields<'a>>) -> Self {
        match fields {
            Some(fields) => Self { fields, kind: Kind::Form },
            None => Self { fields: Vec::new(), kind: Kind::Unusable },
        }
    }

    /// Whether the body is a form.
    pub(super) fn is_form(&self) -> bool {
        self.kind != Kind::Other
    }

    /// A field's value. One that occurs twice is unusable.
    pub(super) fn field(&self, name: &str) -> Result<&[u8], Lack> {
        let mut found = self.fields.iter().filter(|(other, _)| **other == *name.as_bytes());
        match (found.next(), found.next()) {
            _ if self.kind == Kind::Unusable => Err(Lack::Unusable),
            (None, _) => Err(Lack::Absent),
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) => Err(Lack::Unusable),
        }
    }

    /// Name and decoded value of each field, names sorted by byte, the values of a repeated name unique and sorted, nothing between. A
    /// request without a body has no fields; a body that is no form is unusable.
    pub(super) fn sorted(&self, body: &[u8]) -> Result<Vec<u8>, Lack> {
        match self.kind {
            Kind::Other if body.is_empty() => return Ok(Vec::new()),
            Kind::Other | Kind::Unusable => return Err(Lack::Unusable),
            Kind::Form => {}
        }
        let mut fields: Vec<(&[u8], &[u8])> = self.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        fields.sort_unstable();
        fields.dedup();
        Ok(fields.into_iter().flat_map(|(name, value)| [name, value]).flatten().copied().collect())
    }

    /// All fields but `skip`, by name, as PHP's `serialize` writes an array of texts.
    pub(super) fn php(&self, skip: &str) -> Result<Vec<u8>, Lack> {
        if self.kind != Kind::Form {
            return Err(Lack::Unusable);
        }
        let mut fields: Vec<(&[u8], &[u8])> = self.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        fields.retain(|(name, _)| *name != skip.as_bytes());
        fields.sort_unstable();
        if fields.windows(2).any(|two| matches!(two, [(one, _), (other, _)] if one == other)) {
            return Err(Lack::Unusable);
        }
        let mut text = format!("a:{}:{{", fields.len()).into_bytes();
        for part in fields.into_iter().flat_map(|(name, value)| [name, value]) {
            text.extend_from_slice(format!("s:{}:\"", part.len()).as_bytes());
            text.extend_from_slice(part);
            text.extend_from_slice(b"\";");
        }
        text.push(b'}');
        Ok(text)
    }
}

/// Names and values, decoded.
type Fields<'a> = Vec<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

fn urlencoded(body: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Vec::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if fields.len() == FIELDS_MAX {
            return None;
        }
        let cut = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (pair.get(..cut)?, pair.get(cut + 1..).unwrap_or_default());
        fields.push((decoded(name), decoded(value)));
    }
    Some(fields)
}

/// Bytes as forms and queries write them: `+` is a blank, `%41` is `A`, and a `%` without two hex digits is itself.
pub(super) fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digits = |high: u8, low: u8| Some((char::from(high).to_digit(16)? << 4) | char::from(low).to_digit(16)?);
        let escaped = match rest {
            [b'%', high, low, after @ ..] => digits(*high, *low).and_then(|byte| u8::try_from(byte).ok()).map(|byte| (byte, after)),
            _ => None,
        };
        let plain = (if *first == b'+' { b' ' } else { *first }, after);
        let (byte, after) = escaped.unwrap_or(plain);
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(bytes)
}

fn boundary(parameters: &str) -> Option<String> {
    let mut found = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| unquoted(value.trim()).unwrap_or_default().to_owned())
    });
    let one = found.next().filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()))?;
    found.next().is_none().then_some(one)
}

/// Parts of a multipart body (RFC 7578), strictly: every part has one name, and the last delimiter is there.
fn multipart<'a>(body: &'a [u8], boundary: &str) -> Option<Fields<'a>> {
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n{opening}");
    let mut rest = body.strip_prefix(opening.as_bytes())?;
    let mut fields = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = memmem::find(rest, delimiter.as_bytes())?;
        let (part, after) = (rest.get(..end)?, rest.get(end + delimiter.len()..)?);
        let head_end = memmem::find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(part.get(..head_end)?).ok()?;
        if fields.len() == FIELDS_MAX {
            return None;
        }
        fields.push((Cow::Owned(name(head)?.into_bytes()), Cow::Borrowed(part.get(head_end + 4..)?)));
        rest = after;
    }
}

/// The name in a part's `Content-Disposition`.
fn name(head: &str) -> Option<String> {
    let mut dispositions = head.split("\r\n").filter_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let disposition = dispositions.next()?;
    let mut parameters = disposition.split(';').map(str::trim);
    let form = parameters.next()?.eq_ignore_ascii_case("form-data") && dispositions.next().is_none();
    let mut names = parameters.filter_map(|parameter| parameter.strip_prefix("name="));
    let one = unquoted(names.next()?)?;
    (form && names.next().is_none()).then(|| one.to_owned())
}

/// A parameter's value without its quotes. One whose quotes do not match is read by every reader in its own way.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(opened) => opened.strip_suffix('"')?,
        None => value,
    };
    (!inner.contains('"')).then_some(inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{clock::UnixMs, request::HeadersBuilder};

    fn request(content_type: &str, body: &str) -> RawRequest {
        let mut headers = HeadersBuilder::new();
        headers.push("Content-Type", content_type.as_bytes());
        RawRequest {
            method: "POST".into(),
            path: "/".into(),
            query: None,
            headers: headers.build(),
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
            client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
            received_at: UnixMs(0),
        }
    }

    const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

    #[test]
    fn fields_are_decoded_and_a_repeated_one_is_nobodys() {
        let request = request(FORM, "a=1&b=x+%41%zz&c=1&c=2&d&=e&&%66=g");
        let form = Form::read(&request);
        assert_eq!(form.field("a"), Ok(&b"1"[..]));
        assert_eq!(form.field("b"), Ok(&b"x A%zz"[..]));
        assert_eq!(form.field("c"), Err(Lack::Unusable));
        assert_eq!(form.field("d"), Ok(&b""[..]));
        assert_eq!(form.field("f"), Ok(&b"g"[..]));
        assert_eq!(form.field("z"), Err(Lack::Absent));
    }

    #[test]
    fn parts_are_read_strictly() {
        let whole = "--xX\r\nContent-Disposition: form-data; name=\"json\"\r\nContent-Type: text/plain\r\n\r\n{\"a\":1}\r\n\
                     --xX\r\ncontent-disposition: form-data; name=\"f\"; filename=\"n\"\r\n\r\n\r\n--y\r\n--xX--\r\n";
        let read = |body: &str| {
            let request = request("multipart/form-data; boundary=\"xX\"", body);
            let form = Form::read(&request);
            ["json", "f"].map(|name| form.field(name).map(<[u8]>::to_vec))
        };
        assert_eq!(read(whole), [Ok(b"{\"a\":1}".to_vec()), Ok(b"\r\n--y".to_vec())]);
        let named = |name: &str| whole.replace("name=\"json\"", name);
        let quotes = ["name=\"json ", "name=json\"", "name=\"\"json\"\"", "name=\""].map(named);
        let others = [whole.replace("--xX--", "--xX"), named("nome=\"json\""), format!("x{whole}"), String::new()];
        for broken in quotes.into_iter().chain(others) {
            assert_eq!(read(&broken), [Err(Lack::Unusable), Err(Lack::Unusable)], "{broken}");
        }
    }

    #[test]
    fn a_body_that_does_not_say_it_is_a_form_is_not_covered_by_one() {
        let plain = request("application/json", "{\"a\":1}");
        let form = Form::read(&plain);
        assert_eq!((form.field("a"), form.sorted(&plain.body), form.is_form()), (Err(Lack::Absent), Err(Lack::Unusable), false));
        assert_eq!(form.php("x"), Err(Lack::Unusable));
        assert_eq!(Form::read(&request("", "")).sorted(b""), Ok(vec![]));
        let many = request(FORM, &"a=1&".repeat(FIELDS_MAX + 1));
        assert_eq!(Form::read(&many).sorted(&many.body), Err(Lack::Unusable));
    }

    #[test]
    fn bytes_tell_what_they_are_as_the_type_would() {
        let parts = "--xX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xX--\r\n";
        let cases = [(FORM, "a=1&b=2"), (FORM, "a"), ("multipart/form-data; boundary=xX", parts), ("application/json", " {\"a\":\"1\"}")];
        for (content_type, body) in cases {
            let request = request(content_type, body);
            let (told, shown) = (Form::read(&request), Form::of_bytes(&request.body));
            assert_eq!((shown.field("a"), shown.is_form()), (told.field("a"), told.is_form()), "{body}");
        }
        for broken in ["--", "--xX", "--\r\n", &parts.replace("--xX--", "--xY--"), &format!("--{}\r\n", "x".repeat(71))] {
            assert_eq!(Form::of_bytes(broken.as_bytes()).field("a"), Err(Lack::Unusable), "{broken}");
        }
        assert!(!Form::of_bytes(b"").is_form() && !Form::of_bytes(b"\n[1]").is_form());
    }

    #[test]
    fn the_two_canonical_forms_are_the_vendors() {
        // By the rule in Twilio's documentation, and by PHP 8.3: serialize(["alert_id" => "7", "name" => "Zoë"]).
        let twilio = request(FORM, "To=%2B1&From=b&To=%2B1&To=a&Z=");
        assert_eq!(Form::read(&twilio).sorted(b"x").as_deref(), Ok(&b"FrombTo+1ToaZ"[..]));
        let paddle = request(FORM, "name=Zo%C3%AB&p_signature=x&alert_id=7");
        let expected = "a:2:{s:8:\"alert_id\";s:1:\"7\";s:4:\"name\";s:4:\"Zoë\";}";
        assert_eq!(Form::read(&paddle).php("p_signature").as_deref(), Ok(expected.as_bytes()));
        assert_eq!(Form::read(&request(FORM, "a=1&a=2")).php("s"), Err(Lack::Unusable));
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in "[-xX\r\n:;=\"a-c&%+ ]{0,80}", kind in 0_usize..2) {
            let content_type = [FORM, "multipart/form-data; boundary=xX"][kind];
            let request = request(content_type, &format!("--xX\r\n{body}"));
            let form = Form::read(&request);
            let _ = (form.sorted(&request.body), form.php("a"), form.field("a").is_ok());
        }
    }
}
