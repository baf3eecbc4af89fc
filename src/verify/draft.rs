//! A request in the making: values are put where a provider file looks for them, and read back the way the checks read them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    ops::Range,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::{
    Credential, Sample,
    canonical::Addresses,
    compile::pointers,
    document::Document,
    form::{Form, decoded},
    proof,
    value::{Lack, Scope},
};
use crate::{
    clock::UnixMs,
    provider::{Atom, Check, DocumentPlace, Part, Pointer, Provider, Step, Template, Vector},
    request::{HeadersBuilder, RawRequest, name_begins},
};

/// A request in the making.
pub(super) struct Draft {
    pub(super) method: Box<str>,
    pub(super) path: Box<str>,
    pub(super) query: Option<Box<str>>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) endpoint: Option<url::Url>,
    /// When the vector it is made of was signed, in seconds since 1970.
    pub(super) at: i64,
    /// What stood where signatures stand.
    tokens: Vec<String>,
    /// The field that holds the JSON when the body is a form.
    json_field: Option<Box<str>>,
}

/// For whom values are read back.
pub(super) struct Teller<'a> {
    pub(super) provider: &'a Provider,
    pub(super) credentials: &'a [Credential],
    pub(super) now: UnixMs,
    pub(super) check: &'a Check,
    /// Which element of `each`.
    pub(super) element: Option<usize>,
}

impl Draft {
    /// The first vector of a provider with what a sample says differently; without a vector, the sample alone.
    pub(super) fn of(provider: &Provider, sample: &Sample) -> Result<Self, String> {
        if provider.needs_public_url && sample.endpoint.is_none() {
            let what = "write `server.public_url`, or the source's own `public_url`";
            return Err(format!("{} signs its public URL, and none is known: {what}", provider.slug));
        }
        let mut draft = match provider.vectors.first() {
            Some(vector) => Self::of_vector(provider, vector),
            None if sample.body.is_some() => Self {
                method: "POST".into(),
                path: "/".into(),
                query: None,
                headers: vec![("Content-Type".to_owned(), b"application/json".to_vec())],
                body: Vec::new(),
                endpoint: None,
                at: 0,
                tokens: Vec::new(),
                json_field: json_field(provider),
            },
            None => return Err(format!("{} has no sample of its own: give a body", provider.slug)),
        };
        if let Some(body) = &sample.body {
            draft.body = body.to_vec();
        }
        if let Some(path) = &sample.path {
            draft.path.clone_from(path);
        }
        draft.endpoint.clone_from(&sample.endpoint);
        Ok(draft)
    }

    /// A vector's request without its signatures.
    pub(super) fn of_vector(provider: &Provider, vector: &Vector) -> Self {
        let places = || provider.checks.iter().flat_map(|check| &check.signature.at);
        let signed_place = |name: &str| {
            places().any(|atom| match atom {
                Atom::Header(place) => place.eq_ignore_ascii_case(name),
                Atom::Headers(start) => name_begins(name, start),
                _ => false,
            })
        };
        let (signatures, kept): (Vec<_>, Vec<_>) = vector.headers.iter().partition(|(name, _)| signed_place(name));
        Self {
            method: vector.method.clone(),
            path: vector.url.as_ref().map_or("/", |url| url.path()).into(),
            query: vector.url.as_ref().and_then(|url| url.query()).map(Box::from),
            headers: kept.into_iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
            body: vector.body.to_vec(),
            endpoint: proof::endpoint(vector),
            at: vector.at,
            tokens: signatures.into_iter().map(|(_, value)| value.to_string()).collect(),
            json_field: json_field(provider),
        }
    }

    /// Makes another event of it: the id goes where the first rule looks that this request has a place for, of several elements into the
    /// first; where the signed text is what the event is known by, into that. Where there is no place, the body bears the id as a member
    /// or field of its own.
    pub(super) fn set_id(&mut self, provider: &Provider, id: &str) {
        let by_rule = provider.event.id.iter().any(|rule| self.set_by(provider, rule, id));
        // A field of a form that is signed by itself holds more than an id.
        let of_form = |message: &&Template| message.values().any(|value| matches!(value.atom, Atom::Form(_)));
        let signed = provider.checks.first().map(|check| &check.message).filter(|message| provider.event.once && !of_form(message));
        let is_new = signed.map_or(by_rule, |message| self.set_by(provider, message, id));
        if !is_new {
            self.mark(id);
        }
    }

    /// Puts a mark into a body that is JSON or a form; any other stays as it is.
    fn mark(&mut self, mark: &str) {
        const NAME: &str = "hookgate_sample";
        let Ok((field, json)) = self.json() else { return };
        let own = match serde_json::from_slice::<Vec<&RawValue>>(&json) {
            Ok(items) => items.first().and_then(|first| place_of(&json, first)),
            Err(_) => Some(0..json.len()),
        };
        let object = own.filter(|own| json.get(own.clone()).is_some_and(|text| text.trim_ascii_start().starts_with(b"{")));
        if let Some(open) = object.and_then(|own| Some(own.start + memmem::find(json.get(own)?, b"{")?)) {
            let rest = json.get(open + 1..).unwrap_or_default();
            let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
            let marked = [&json[..=open], format!("\"{NAME}\":\"{mark}\"{comma}").as_bytes(), rest].concat();
            match field {
                // A field that is there can be written anew.
                Some(name) => drop(self.set_field(&name, &String::from_utf8_lossy(&marked))),
                None => self.body = marked,
            }
        } else if self.request(UnixMs(0)).is_ok_and(|request| Form::read(&request).is_form()) && !self.body.starts_with(b"--") {
            // Said to be a form, so that it is text.
            drop(self.set_field(NAME, mark));
        }
    }

    /// Puts the id at the first place of a template that is its own: neither of the type, nor of a signature or its time.
    fn set_by(&mut self, provider: &Provider, template: &Template, id: &str) -> bool {
        let of_type = |atom: &Atom| provider.event.types.iter().flat_map(Template::values).any(|value| value.atom == *atom);
        let of_proof = |atom: &Atom| {
            let times = |check: &Check| check.timestamp.as_ref().is_some_and(|rule| rule.at == *atom);
            provider.checks.iter().any(|check| check.signature.at.contains(atom) || times(check))
        };
        let kind = |atom: &Atom| matches!(atom, Atom::Header(_) | Atom::Json(_) | Atom::Form(_) | Atom::Parameter(_));
        let atoms = || template.parts().iter().filter_map(needed);
        let Some(own) = atoms().find(|atom| kind(atom) && !of_type(atom) && !of_proof(atom)) else { return false };
        // A template of which something else is missing stays incomplete, and the next one is looked at.
        atoms().all(|atom| atom == own || self.has(atom)) && self.set(own, id).is_ok()
    }

    /// Whether a header or a JSON value is there; of anything else that is not asked.
    fn has(&self, atom: &Atom) -> bool {
        match atom {
            Atom::Header(name) => self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)),
            Atom::Json(pointer) => self.json().is_ok_and(|(_, json)| place(&json, pointer).is_some()),
            _ => true,
        }
    }

    pub(super) fn set_type(&mut self, provider: &Provider, kind: &str) -> Result<(), String> {
        match provider.event.types.first().and_then(Template::bare) {
            Some(atom) => self.set(atom, kind).map_err(|why| format!("the type of {} cannot be set: {why}", provider.slug)),
            None => Err(format!("the type of {} is put together from several values: give a body that has them", provider.slug)),
        }
    }

    /// Puts a value where an atom looks for it.
    pub(super) fn set(&mut self, atom: &Atom, text: &str) -> Result<(), String> {
        match atom {
            Atom::Header(name) => self.set_header(name, text),
            Atom::Headers(start) => self.set_header(&format!("{start}1"), text),
            Atom::Json(pointer) => self.set_json(pointer, text)?,
            Atom::Parameter(name) => {
                let query = self.query.take().unwrap_or_default();
                self.query = Some(with_pair(&query, name, text).into());
            }
            Atom::Form(name) => self.set_field(name, text)?,
            _ => return Err(format!("it stands in {atom}, where nothing can be put")),
        }
        Ok(())
    }

    fn set_header(&mut self, name: &str, text: &str) {
        let value = text.as_bytes().to_vec();
        match self.headers.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.headers.push((name.to_owned(), value)),
        }
    }

    fn set_field(&mut self, name: &str, text: &str) -> Result<(), String> {
        let request = self.request(UnixMs(0))?;
        if !request.body.starts_with(b"--") {
            let body = std::str::from_utf8(&self.body).map_err(|_| "the body is no form in text".to_owned())?;
            self.body = with_pair(body, name, text).into_bytes();
            return Ok(());
        }
        let form = Form::read(&request);
        let place = form.field(name).ok().and_then(|old| place_of_part(&self.body, name, old));
        self.body.splice(place.ok_or_else(|| format!("the form has no field `{name}`"))?, text.bytes());
        Ok(())
    }

    fn set_json(&mut self, pointer: &Pointer, text: &str) -> Result<(), String> {
        let (field, mut json) = self.json()?;
        let place = place(&json, pointer).ok_or("the body has no such JSON value")?;
        let number = json.get(place.clone()).is_some_and(|old| old.first().is_some_and(u8::is_ascii_digit));
        let plain_number = number && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        let spelled = if plain_number { text.to_owned() } else { serde_json::Value::from(text).to_string() };
        json.splice(place, spelled.into_bytes());
        match field {
            Some(name) => self.set_field(&name, &String::from_utf8_lossy(&json)),
            None => {
                self.body = json;
                Ok(())
            }
        }
    }

    /// The JSON of the body, and the field it stands in when the body is a form.
    fn json(&self) -> Result<(Option<Box<str>>, Vec<u8>), String> {
        let request = self.request(UnixMs(0))?;
        self.json_in(&Form::read(&request))
    }

    /// The same, of the body's form as it was read.
    fn json_in(&self, form: &Form<'_>) -> Result<(Option<Box<str>>, Vec<u8>), String> {
        let field = self.json_field.clone().filter(|_| form.is_form());
        let json = match &field {
            Some(name) => form.field(name).map_err(|_| format!("the form has no field `{name}`"))?.to_vec(),
            None => self.body.clone(),
        };
        Ok((field, json))
    }

    /// Puts a value into one element of an array.
    pub(super) fn set_item(&mut self, each: &Pointer, index: usize, item: &Pointer, text: &str) -> Result<(), String> {
        let pointer = Pointer::parse(&format!("{each}/{index}{item}"))?;
        self.set_json(&pointer, text)
    }

    /// The numbers of an array's elements.
    pub(super) fn elements(&self, each: &Pointer) -> Result<Range<usize>, String> {
        let pointers = [each.clone()];
        let (_, json) = self.json()?;
        let count = Document::read(&json, &pointers).elements(each).map(|elements| elements.len());
        count.filter(|count| *count > 0).map(|count| 0..count).ok_or_else(|| format!("the body has no element in {each}"))
    }

    /// The claims of the token that the vector came with.
    pub(super) fn claims(&self, check: &Check) -> Option<serde_json::Map<String, serde_json::Value>> {
        let token = self.tokens.iter().find_map(|text| {
            let prefixes = check.signature.strip.iter();
            let bare = prefixes.into_iter().find_map(|prefix| text.strip_prefix(&**prefix)).unwrap_or(text);
            bare.split('.').nth(1)
        })?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
    }

    /// What a closure makes of the request as it is now.
    pub(super) fn tell(&self, teller: &Teller<'_>, make: impl FnOnce(&Scope<'_>) -> Result<Vec<u8>, Lack>) -> Result<Vec<u8>, String> {
        let request = self.request(teller.now)?;
        let form = Form::read(&request);
        let (_, text) = self.json_in(&form).unwrap_or_default();
        let atoms = || teller.check.atoms();
        let wanted = pointers(atoms(), |atom| match atom {
            Atom::Json(pointer) => Some(pointer),
            _ => None,
        });
        let wanted: Vec<Pointer> = wanted.into_iter().chain(teller.check.each.clone()).collect();
        let document = Document::read(&text, &wanted);
        let of_items = pointers(atoms(), |atom| match atom {
            Atom::Item(pointer) => Some(pointer),
            _ => None,
        });
        let elements = teller.check.each.as_ref().and_then(|each| document.elements(each)).unwrap_or_default();
        let element = teller.element.and_then(|index| elements.get(index)).map(|element| element.get()).unwrap_or_default();
        let item = Document::read(element.as_bytes(), &of_items);
        let addresses = self.endpoint.as_ref().map(Addresses::of);
        let scope = Scope {
            document: &document,
            item: &item,
            addresses: addresses.as_ref(),
            ..Scope::of(&request, &form, teller.credentials, teller.now)
        };
        make(&scope).map_err(|_| format!("something that {} signs is not in this sample", teller.provider.slug))
    }

    /// The request as it is now.
    pub(super) fn request(&self, now: UnixMs) -> Result<RawRequest, String> {
        let mut headers = HeadersBuilder::new();
        for (name, value) in &self.headers {
            if !headers.push(name, value) {
                return Err(format!("`{name}` cannot be a header with this value"));
            }
        }
        Ok(RawRequest {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: headers.build(),
            body: Bytes::copy_from_slice(&self.body),
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            received_at: now,
        })
    }
}

/// The value without which a template is incomplete.
fn needed(part: &Part) -> Option<&Atom> {
    match part {
        Part::Value(value) if !value.optional => Some(&value.atom),
        _ => None,
    }
}

/// The field of a form that holds a provider's JSON.
fn json_field(provider: &Provider) -> Option<Box<str>> {
    match provider.document.first() {
        Some(DocumentPlace::Form(name)) => Some(name.clone()),
        Some(DocumentPlace::Body) | None => None,
    }
}

/// Where in a body of several parts the value of a field stands.
fn place_of_part(body: &[u8], name: &str, value: &[u8]) -> Option<Range<usize>> {
    let head = memmem::find(body, format!(" name=\"{name}\"").as_bytes())?;
    let start = head + memmem::find(body.get(head..)?, b"\r\n\r\n")? + 4;
    Some(start..start + value.len()).filter(|place| body.get(place.clone()) == Some(value))
}

/// A query or a form with one parameter set.
fn with_pair(pairs: &str, name: &str, value: &str) -> String {
    let own = |pair: &&str| *decoded(pair.split('=').next().unwrap_or_default().as_bytes()) == *name.as_bytes();
    let encoded: String = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    let mut parts: Vec<&str> = pairs.split('&').filter(|pair| !pair.is_empty()).collect();
    match parts.iter_mut().find(|pair| own(pair)) {
        Some(pair) => *pair = &encoded,
        None => parts.push(&encoded),
    }
    parts.join("&")
}

/// Where in the body the value stands that a pointer leads to; of several elements, the first's.
fn place(body: &[u8], pointer: &Pointer) -> Option<Range<usize>> {
    let whole: &RawValue = serde_json::from_slice(body).ok()?;
    let mut value = whole;
    for step in pointer.steps() {
        let name = match step {
            Step::Member(name) => &**name,
            Step::Every => "0",
        };
        value = match serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()) {
            Ok(members) => members.get(name).copied()?,
            Err(_) => serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(name.parse::<usize>().ok()?).copied()?,
        };
    }
    place_of(body, value)
}

/// Where in the body a value stands that was read from it: it borrows, so the distance of the two is its place.
fn place_of(body: &[u8], value: &RawValue) -> Option<Range<usize>> {
    let start = (value.get().as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    Some(start..start + value.get().len()).filter(|place| place.end <= body.len())
}
