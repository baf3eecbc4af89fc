//! What is changed: a request with its credentials, as one value that can be changed anywhere, and every change that is tried.

use std::net::IpAddr;

use hookgate::{
    clock::UnixMs,
    provider::Vector,
    request::{HeadersBuilder, RawRequest},
    secret::Secret,
    verify::Credential,
};

/// Bytes of one place of which all bits are flipped; of a longer one so many, spread evenly.
const FLIPPED_BYTES_MAX: usize = 256;

/// A request, and what it is verified with.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) credentials: Vec<(Box<str>, Vec<u8>)>,
    pub(super) method: String,
    /// The whole URL, where the vector has one.
    pub(super) url: Option<url::Url>,
    pub(super) headers: Vec<(Box<str>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) at: UnixMs,
}

/// A part of a request that is changed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Body,
    Header(Box<str>),
    Url,
    Method,
    Credential(Box<str>),
    /// Wherever the signature stands.
    Signature,
}

/// One change: where, what is done, and what comes of it.
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) what: String,
    pub(super) case: Case,
}

impl Case {
    pub(super) fn of(vector: &Vector) -> Self {
        let each = |(name, values): &(Box<str>, Vec<Box<str>>)| {
            values.iter().map(|value| (name.clone(), value.as_bytes().to_vec())).collect::<Vec<_>>()
        };
        Self {
            credentials: vector.credentials.iter().flat_map(each).collect(),
            method: vector.method.to_string(),
            url: vector.url.clone(),
            headers: vector.headers.iter().map(|(name, value)| (name.clone(), value.as_bytes().to_vec())).collect(),
            body: vector.body.to_vec(),
            at: UnixMs(vector.at * 1000),
        }
    }

    /// The request; `None` when no sender could send it: a header with a line end in it.
    pub(super) fn request(&self) -> Option<RawRequest> {
        let mut headers = HeadersBuilder::new();
        self.headers.iter().all(|(name, value)| headers.push(name, value)).then(|| RawRequest {
            method: self.method.as_str().into(),
            path: self.url.as_ref().map_or("/", url::Url::path).into(),
            query: self.url.as_ref().and_then(|url| url.query()).map(Box::from),
            headers: headers.build(),
            body: self.body.clone().into(),
            client_ip: IpAddr::from([127, 0, 0, 1]),
            received_at: self.at,
        })
    }

    pub(super) fn credentials(&self) -> Vec<Credential> {
        let each = |(name, value): &(Box<str>, Vec<u8>)| Credential { name: name.clone(), value: Secret::new(value.clone()), until: None };
        self.credentials.iter().map(each).collect()
    }

    /// The public URL of the source: without a query.
    pub(super) fn endpoint(&self) -> Option<url::Url> {
        let mut endpoint = self.url.clone()?;
        endpoint.set_query(None);
        Some(endpoint)
    }

    /// This text replaced wherever it stands.
    pub(super) fn replaced(&self, old: &str, new: &str) -> Self {
        let mut case = self.clone();
        for (_, value) in &mut case.headers {
            *value = replace(value, old.as_bytes(), new.as_bytes());
        }
        case.body = replace(&case.body, old.as_bytes(), new.as_bytes());
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        case.body = replace(&case.body, encode(old).as_bytes(), encode(new).as_bytes());
        if let Some(url) = &mut case.url {
            let query = url.query().map(|query| query.replace(old, new));
            url.set_query(query.as_deref());
        }
        case
    }
}

fn replace(whole: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(whole.len());
    let mut rest = whole;
    while !rest.is_empty() {
        if !old.is_empty() && rest.starts_with(old) {
            out.extend_from_slice(new);
            rest = &rest[old.len()..];
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

/// Every change of one place by itself.
pub(super) fn of_places(case: &Case, try_it: &mut dyn FnMut(Change)) {
    let mut change = |place: &Place, what: String, edit: &dyn Fn(&mut Case)| {
        let mut case = case.clone();
        edit(&mut case);
        try_it(Change { place: place.clone(), what, case });
    };
    for (byte, bit) in flips(case.body.len()) {
        change(&Place::Body, format!("bit {bit} of byte {byte}"), &|case| case.body[byte] ^= 1 << bit);
    }
    if !case.body.is_empty() {
        change(&Place::Body, "without its last byte".into(), &|case| case.body.truncate(case.body.len() - 1));
        change(&Place::Body, "without its first byte".into(), &|case| case.body = case.body.split_off(1));
    }
    for byte in *b"x \n&0}\0" {
        change(&Place::Body, format!("with the byte {byte} behind it"), &|case| case.body.push(byte));
        change(&Place::Body, format!("with the byte {byte} before it"), &|case| case.body.insert(0, byte));
    }
    for (at, (name, value)) in case.headers.iter().enumerate() {
        let place = Place::Header(name.clone());
        for (byte, bit) in flips(value.len()) {
            change(&place, format!("bit {bit} of byte {byte}"), &|case| case.headers[at].1[byte] ^= 1 << bit);
        }
        change(&place, "dropped".into(), &|case| drop(case.headers.remove(at)));
        change(&place, "doubled".into(), &|case| case.headers.push(case.headers[at].clone()));
        change(&place, "emptied".into(), &|case| case.headers[at].1.clear());
        change(&place, "without its last byte".into(), &|case| case.headers[at].1 = value[..value.len().saturating_sub(1)].to_vec());
        change(&place, "with a byte more".into(), &|case| case.headers[at].1.push(b'0'));
    }
    for method in ["PUT", "post", "GET"] {
        change(&Place::Method, method.into(), &|case| case.method = method.into());
    }
    for (at, (name, value)) in case.credentials.iter().enumerate() {
        for (byte, bit) in flips(value.len()) {
            let what = format!("value {at}, bit {bit} of byte {byte}");
            change(&Place::Credential(name.clone()), what, &|case| case.credentials[at].1[byte] ^= 1 << bit);
        }
    }
    if let Some(url) = &case.url {
        for (byte, bit) in flips(url.as_str().len()) {
            if let Some(flipped) = flipped_url(url, byte, bit) {
                change(&Place::Url, format!("bit {bit} of byte {byte}"), &|case| case.url = Some(flipped.clone()));
            }
        }
        let queries = [None, Some(String::new()), url.query().map(|query| format!("{query}&x=1")), url.query().map(|q| format!("{q}&{q}"))];
        for query in queries.into_iter().filter(|query| query.as_deref() != url.query()) {
            change(&Place::Url, format!("query {query:?}"), &|case| {
                if let Some(url) = &mut case.url {
                    url.set_query(query.as_deref());
                }
            });
        }
    }
}

/// The URL with one bit flipped; `None` when that is no URL of a web server, or comes to the same.
fn flipped_url(url: &url::Url, byte: usize, bit: usize) -> Option<url::Url> {
    let mut text = url.as_str().as_bytes().to_vec();
    text[byte] ^= 1 << bit;
    let flipped = url::Url::parse(std::str::from_utf8(&text).ok()?).ok()?;
    (matches!(flipped.scheme(), "http" | "https") && flipped.has_host() && flipped != *url).then_some(flipped)
}

/// Byte and bit of every flip in so many bytes.
fn flips(bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let flipped = bytes.min(FLIPPED_BYTES_MAX);
    (0..flipped).flat_map(move |number| (0..8).map(move |bit| (number * bytes / flipped, bit)))
}
