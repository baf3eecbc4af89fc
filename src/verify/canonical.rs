//! What vendors make of a request's head before they sign it: spellings of the public URL, Contentful's header list, Atlassian's hash of
//! method, path and query.

use std::fmt::{self, Write as _};

use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use url::Position;

use super::{form::decoded, value::Lack};
use crate::{
    limits::HEADER_FIELDS_MAX,
    provider::{HeaderList, UrlSpelling},
    request::{RawRequest, Single},
};

/// The public URL of a source, in every spelling that may be signed.
#[derive(Clone)]
pub(super) struct Addresses {
    /// As registered.
    pub(super) endpoint: Box<str>,
    /// Without its query.
    base: Box<str>,
    /// Without its query, with its port.
    with_port: Box<str>,
}

impl fmt::Debug for Addresses {
    /// Shows nothing: what the provider was given may have a secret in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Addresses(..)")
    }
}

impl Addresses {
    /// Takes the URL apart, once.
    pub(super) fn of(endpoint: &url::Url) -> Self {
        let mut bare = endpoint.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        let base = bare.to_string();
        let with_port = match (bare.port(), bare.port_or_known_default()) {
            (None, Some(port)) => format!("{}:{port}{}", &bare[..Position::AfterHost], &bare[Position::AfterPort..]),
            _ => base.clone(),
        };
        Self { endpoint: endpoint.as_str().into(), base: base.into(), with_port: with_port.into() }
    }

    /// The URL that a request was sent to, in one spelling.
    pub(super) fn url(&self, spelling: UrlSpelling, query: Option<&str>) -> Vec<u8> {
        let base = if spelling == UrlSpelling::DefaultPort { &self.with_port } else { &self.base };
        let mut url = base.as_bytes().to_vec();
        if let Some(query) = query {
            url.push(b'?');
            url.extend_from_slice(query.as_bytes());
        }
        if spelling == UrlSpelling::Decoded { hubspot(&url) } else { url }
    }
}

/// Decodes the characters that HubSpot's documentation names, and no others.
fn hubspot(url: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(url.len());
    let mut rest = url;
    while let [first, after @ ..] = rest {
        let plain = match rest {
            [b'%', high, low, ..] => match (high, low.to_ascii_uppercase()) {
                (b'3', b'A') => Some(b':'),
                (b'2', b'F') => Some(b'/'),
                (b'3', b'F') => Some(b'?'),
                (b'4', b'0') => Some(b'@'),
                (b'2', b'1') => Some(b'!'),
                (b'2', b'4') => Some(b'$'),
                (b'2', b'7') => Some(b'\''),
                (b'2', b'8') => Some(b'('),
                (b'2', b'9') => Some(b')'),
                (b'2', b'A') => Some(b'*'),
                (b'2', b'C') => Some(b','),
                (b'3', b'B') => Some(b';'),
                _ => None,
            },
            _ => None,
        };
        decoded.push(plain.unwrap_or(*first));
        rest = if plain.is_some() { rest.get(3..).unwrap_or_default() } else { after };
    }
    decoded
}

/// `name:value` of each header that the request lists as signed, by name, joined with `;`. Those that must be listed are, none occurs
/// twice, and all are there.
pub(super) fn signed_headers(rule: &HeaderList, request: &RawRequest) -> Result<Vec<u8>, Lack> {
    let list = match request.headers.single(&rule.list) {
        Single::One(list) => std::str::from_utf8(list).map_err(|_| Lack::Unusable)?.to_ascii_lowercase(),
        Single::Absent => return Err(Lack::Absent),
        Single::Repeated => return Err(Lack::Unusable),
    };
    let mut names: SmallVec<[&str; 16]> = list.split(',').map(str::trim).collect();
    names.sort_unstable();
    let doubled = names.windows(2).any(|two| matches!(two, [one, other] if one == other));
    if doubled || names.len() > HEADER_FIELDS_MAX || !rule.must.iter().all(|must| names.contains(&&**must)) {
        return Err(Lack::Unusable);
    }
    let mut text = Vec::new();
    for name in names {
        let Single::One(value) = request.headers.single(name) else {
            return Err(Lack::Unusable);
        };
        if !text.is_empty() {
            text.push(b';');
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(value.trim_ascii());
    }
    Ok(text)
}

/// The hex SHA-256 of `METHOD&path&query`, the query's parameters sorted, `jwt` left out. Names are sorted as they are escaped, the values
/// of one name as they are not (in UTF-16): so do Atlassian's own libraries for Java and JavaScript; its documentation has both escaped.
pub(super) fn query_string_hash(request: &RawRequest) -> Vec<u8> {
    let path = request.path.trim_end_matches('/');
    let path = if path.is_empty() { "/".into() } else { path.replace('&', "%26") };
    let mut parameters: Vec<(String, Vec<u16>, String)> = Vec::new();
    let query = request.query.as_deref().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "jwt" {
            let value = decoded(value.as_bytes());
            let order = String::from_utf8_lossy(&value).encode_utf16().collect();
            parameters.push((encoded(&decoded(name.as_bytes())), order, encoded(&value)));
        }
    }
    parameters.sort();
    let mut canonical = format!("{}&{path}&", request.method.to_ascii_uppercase());
    let mut last: Option<&str> = None;
    for (name, _, value) in &parameters {
        // Writing to a String does not fail.
        let _ = match last {
            Some(before) if before == name => write!(canonical, ",{value}"),
            Some(_) => write!(canonical, "&{name}={value}"),
            None => write!(canonical, "{name}={value}"),
        };
        last = Some(name);
    }
    hex::encode(Sha256::digest(canonical)).into_bytes()
}

/// Percent-encoding of all but RFC 3986's unreserved characters.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::UnixMs, request::HeadersBuilder};

    fn request(path: &str, query: Option<&str>, headers: &[(&str, &str)]) -> RawRequest {
        let mut block = HeadersBuilder::new();
        headers.iter().for_each(|(name, value)| assert!(block.push(name, value.as_bytes())));
        RawRequest {
            method: "POST".into(),
            path: path.into(),
            query: query.map(Box::from),
            headers: block.build(),
            body: bytes::Bytes::new(),
            client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
            received_at: UnixMs(0),
        }
    }

    #[test]
    fn each_spelling_of_the_url_keeps_the_query_as_it_came() {
        let spelled = |url: &str, spelling| {
            let addresses = Addresses::of(&url::Url::parse(url).expect("a URL"));
            String::from_utf8(addresses.url(spelling, Some("a=%2f&b=%21%20"))).expect("text")
        };
        let url = "https://h.example.com/in?old=1";
        assert_eq!(spelled(url, UrlSpelling::Exact), "https://h.example.com/in?a=%2f&b=%21%20");
        assert_eq!(spelled(url, UrlSpelling::DefaultPort), "https://h.example.com:443/in?a=%2f&b=%21%20");
        assert_eq!(spelled("http://h:81/in", UrlSpelling::DefaultPort), "http://h:81/in?a=%2f&b=%21%20");
        assert_eq!(spelled(url, UrlSpelling::Decoded), "https://h.example.com/in?a=/&b=!%20");
        let addresses = Addresses::of(&url::Url::parse(url).expect("a URL"));
        assert_eq!((&*addresses.endpoint, addresses.url(UrlSpelling::Exact, None)), (url, b"https://h.example.com/in".to_vec()));
    }

    #[test]
    fn the_hash_is_atlassians() {
        // The first signed by npm atlassian-jwt 2.0.3; the second by the rule in Atlassian's documentation, made with Python's hashlib.
        let hash = |path, query| String::from_utf8(query_string_hash(&request(path, query, &[]))).expect("text");
        assert_eq!(hash("/hooks/jira", Some("user_id=1&event=a%20b")), "fb527a6ad5b421ec2567513b6fc9f05cc8d09075de396a1d88bb78df582b416d");
        assert_eq!(hash("/hooks/jira/", Some("event=a+b&jwt=x&user_id=1")), hash("/hooks/jira", Some("user_id=1&event=a%20b")));
        assert_eq!(hash("/", Some("a=2&a=1")), hex::encode(Sha256::digest("POST&/&a=1,2")));
        // Signed by npm atlassian-jwt 2.0.3: `-` goes before `:` and behind `%3A`.
        assert_eq!(hash("/hooks/connect", Some("a=%3A&b=2&a=-")), "3f02930183c45e2b9a607e49d9fe983163a80cfa05a1ec127627057d1a43c182");
        assert_ne!(hash("/a", Some("a=1&b=2")), hash("/a", Some("a=1%26b=2")));
    }

    #[test]
    fn the_list_of_signed_headers_must_hold_what_the_file_demands() {
        let rule = HeaderList { list: "X-List".into(), must: Box::new(["x-list".into(), "x-time".into()]) };
        let list = |list: &str| {
            let request = request("/", None, &[("X-List", list), ("X-Time", " 1 "), ("X-Two", "a"), ("X-Two", "b")]);
            signed_headers(&rule, &request).map(|text| String::from_utf8(text).expect("text"))
        };
        assert_eq!(list("X-Time, x-list").as_deref(), Ok("x-list:X-Time, x-list;x-time:1"));
        for bad in ["x-list", "x-time", "x-list,x-time,x-time", "x-list,x-time,x-none", "x-list,x-time,x-two", ""] {
            assert_eq!(list(bad), Err(Lack::Unusable), "{bad}");
        }
        assert_eq!(signed_headers(&rule, &request("/", None, &[])), Err(Lack::Absent));
    }
}
