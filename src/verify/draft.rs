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
    provider::{Atom, Check, DocumentPlace, Pointer, Provider, Step, Template, Vector},
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

    /// Puts the id where the first rule for it looks that this request has a place for. Where there is no rule the body is the identity,
    /// and the caller has chosen it.
    pub(super) fn set_id(&mut self, provider: &Provider, id: &str) -> Result<(), String> {
        let mut tried = provider.event.id.iter().map(|rule| self.set_by(provider, rule, id));
        let Some(first) = tried.next() else { return Ok(()) };
        if first.is_err() && tried.any(|other| other.is_ok()) { Ok(()) } else { first }
    }

    fn set_by(&mut self, provider: &Provider, rule: &Template, id: &str) -> Result<(), String> {
        let of_type = |atom: &Atom| provider.event.types.iter().flat_map(Template::values).any(|value| value.atom == *atom);
        let kind = |atom: &Atom| matches!(atom, Atom::Header(_) | Atom::Json(_) | Atom::Form(_) | Atom::Parameter(_));
        let settable = |atom: &&Atom| kind(atom) && !atom.many() && !of_type(atom);
        match rule.values().map(|value| &value.atom).find(settable) {
            Some(atom) => self.set(atom, id).map_err(|why| format!("the id of {} cannot be set: {why}", provider.slug)),
            None => Err(format!("the id of {} stands in no header and no value of the body of its own", provider.slug)),
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
        let form = Form::read(&request);
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
        let (_, text) = self.json().unwrap_or_default();
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

/// Where in the body the value stands that a pointer without `*` leads to.
fn place(body: &[u8], pointer: &Pointer) -> Option<Range<usize>> {
    let whole: &RawValue = serde_json::from_slice(body).ok()?;
    let mut value = whole;
    for step in pointer.steps() {
        let Step::Member(name) = step else {
            return None;
        };
        value = match serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()) {
            Ok(members) => members.get(&**name).copied()?,
            Err(_) => serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(name.parse::<usize>().ok()?).copied()?,
        };
    }
    // The value borrows from the body, so the distance of the two is its place.
    let start = (value.get().as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    Some(start..start + value.get().len()).filter(|place| place.end <= body.len())
}
