//! What comes over the wire: heads and bodies against every provider that comes with hookgate, raw requests, stored headers, addresses.

use std::{
    fmt::Write as _,
    str::from_utf8,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use hookgate::{
    cli,
    clock::UnixMs,
    ingest,
    limits::{EVENT_TYPE_BYTES_MAX, EVENT_TYPES_MAX, HEADER_FIELDS_MAX, REPLY_BYTES_MAX},
    provider::{self, Atom, Catalogue},
    request::{Headers, HeadersBuilder, RawRequest, Single},
    verify::{Greeted, Verified, Verifier, parsers},
    yaml::Problems,
};

use super::first_line;

const NOW: UnixMs = UnixMs(1_760_000_000_000);
/// A provider that takes everything and reads every place of a request that the grammar knows.
const EVERY_PLACE: &str = r#"provider: p
credentials: {}
document: [body, form:payload]
verify: { scheme: none, require: { method: [POST, GET, PUT], "header:x-none": false } }
event:
  id:
    - "{signed-headers:x-signed,host}{header:x-signed|lower|sha1|hex}"
    - "{form-php:p_signature}[[.{form:a}]]"
    - "{form-sorted|sha256|base64}{form:b}"
    - "{json:/a/b}-{json:/id|crc32}"
    - "{qsh}{path}?{query}{query:a?}{url}{endpoint}"
  type: ["{json:/l/*/t}", "{json:/l/*}", "{header:x-type}", "{query:t}.{body|sha256|hex}"]
handshakes:
  - { name: echo, when: { query:challenge: true }, after: none, reply: { text: "{query:challenge}" } }
  - { name: told, when: { json:/type: hello }, after: none, reply: { json: { said: "{json:/said}" } } }
"#;

/// A known answer of a provider, and what its signature covers.
struct Known {
    slug: Box<str>,
    number: usize,
    verifier: Verifier,
    genuine: RawRequest,
    covered: Vec<Atom>,
}

/// Every known answer of every provider that comes with hookgate.
fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let catalogue = Catalogue::embedded();
        let providers = catalogue.names().filter_map(|slug| catalogue.find(slug));
        providers
            .flat_map(|provider| {
                // What a message names as it stands is covered by the signature, byte for byte.
                let covered: Vec<Atom> = provider
                    .checks
                    .iter()
                    .flat_map(|check| check.message.values().filter(|value| value.filters.is_empty()))
                    .map(|value| value.atom.clone())
                    .filter(|atom| matches!(atom, Atom::Body | Atom::Header(_) | Atom::Query | Atom::Url))
                    .collect();
                provider.vectors.iter().enumerate().map(move |(number, vector)| {
                    let (genuine, credentials, endpoint) = parsers::known_answer(vector).expect("a known answer");
                    let verifier = Verifier::compile(provider, &credentials, endpoint.as_ref(), None).expect("it compiles");
                    // A check whose credential a source need not have is left out with it.
                    let covered = if verifier.verification() == "signed" { covered.clone() } else { Vec::new() };
                    Known { slug: provider.slug.clone(), number, verifier, genuine, covered }
                })
            })
            .collect()
    })
}

/// Every known answer as an input of [`request`]: a line with provider and number, then the request as it stands on the wire.
pub(crate) fn known_answers() -> Vec<Vec<u8>> {
    known().iter().map(|known| [format!("{} {}\n", known.slug, known.number).as_bytes(), &written(&known.genuine)].concat()).collect()
}

fn written(request: &RawRequest) -> Vec<u8> {
    let query = request.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!("{} {}{query} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    head.extend_from_slice(request.headers.block());
    [&head, &b"\r\n"[..], &request.body].concat()
}

/// A request against a provider: nothing is accepted but what a known answer's signature covers.
pub(super) fn request(input: &[u8]) {
    let _ = accepted(input);
}

/// Tries a request against the provider on its first line, as the door would, and says whether it was accepted.
pub(crate) fn accepted(input: &[u8]) -> bool {
    let (line, file) = first_line(input);
    let mut words = from_utf8(line).unwrap_or_default().split(' ');
    let (slug, number) = (words.next().unwrap_or_default(), words.next().and_then(|word| word.parse().ok()).unwrap_or(0));
    let Some(known) = known().iter().find(|known| *known.slug == *slug && known.number == number) else { return false };
    let Ok(request) = cli::raw::request(file, known.genuine.received_at) else { return false };
    let Some(verified) = tried(&known.verifier, &request) else { return false };
    assert_eq!(verified.request().body, request.body);
    let all = self::known().iter().filter(|other| other.slug == known.slug);
    let forged = !all.clone().any(|other| known.covered.iter().all(|atom| place(&request, atom) == place(&other.genuine, atom)));
    assert!(!forged, "{slug} {number}: accepted although what is signed differs from every known answer: {}", input.escape_ascii());
    true
}

/// What a request has at a place; what is absent and what is empty are one, as in an optional part of a message.
fn place<'a>(request: &'a RawRequest, atom: &Atom) -> &'a [u8] {
    match atom {
        Atom::Body => &request.body,
        Atom::Query | Atom::Url => request.query.as_deref().unwrap_or_default().as_bytes(),
        Atom::Header(name) => match request.headers.single(name) {
            Single::One(value) => value,
            Single::Absent | Single::Repeated => b"",
        },
        _ => b"",
    }
}

/// The way of a request through a verifier, with what must hold on it.
fn tried(verifier: &Verifier, request: &RawRequest) -> Option<Verified> {
    let head = RawRequest { body: Bytes::new(), ..request.clone() };
    let early = verifier.precheck(&head);
    let greeted = verifier.greet(request, request.received_at);
    answered_within_bounds(greeted.as_ref());
    let verified = verifier.verify(request.clone(), request.received_at).ok()?;
    assert_eq!(early, Ok(()), "the head alone is refused, the whole is not");
    answered_within_bounds(verifier.greet_verified(&verified).as_ref());
    let identity = verifier.identify(&verified);
    assert!(identity.types.iter().count() <= EVENT_TYPES_MAX);
    assert!(identity.types.iter().all(|one| one.len() <= EVENT_TYPE_BYTES_MAX && !one.chars().any(char::is_control)));
    assert_eq!(identity, verifier.identify(&verified), "one request is one event");
    Some(verified)
}

fn answered_within_bounds(greeted: Option<&Greeted>) {
    let Some(Ok(reply)) = greeted.map(|greeted| &greeted.reply) else { return };
    assert!(reply.body.len() <= REPLY_BYTES_MAX, "an answer of {} bytes", reply.body.len());
    assert!(
        reply.headers.iter().all(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))),
        "a header not of visible ASCII"
    );
}

/// A request of which every place is read: URL, path, query, headers, form, JSON.
pub(super) fn places(input: &[u8]) {
    static EVERY: OnceLock<Verifier> = OnceLock::new();
    let verifier = EVERY.get_or_init(|| {
        let mut problems = Problems::new();
        let provider = provider::read(&Arc::from("p.yaml"), EVERY_PLACE, &|_| None, &mut problems);
        let wrong: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
        let provider = provider.unwrap_or_else(|| panic!("{wrong:?}"));
        let endpoint = url::Url::parse("https://h.example.com:8443/in?x=1").expect("a URL");
        Verifier::compile(&provider, &[], Some(&endpoint), None).expect("it compiles")
    });
    if let Ok(request) = cli::raw::request(input, NOW) {
        tried(verifier, &request);
    }
}

/// The file of `hookgate verify`: what is read and written again is the same request.
pub(super) fn raw(input: &[u8]) {
    let Ok(request) = cli::raw::request(input, NOW) else { return };
    assert!(request.headers.len() <= HEADER_FIELDS_MAX && request.body.len() <= input.len());
    let mut head = String::new();
    let query = request.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    write!(head, "{} {}{query} HTTP/1.1\r\n", request.method, request.path).expect("text");
    let framed = |name: &str| name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
    let mut file = head.into_bytes();
    for (name, value) in request.headers.iter().filter(|(name, _)| !framed(name)) {
        file.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    file.extend_from_slice(&[b"\r\n", &*request.body].concat());
    let again = cli::raw::request(&file, NOW).unwrap_or_else(|why| panic!("{why}: {}", file.escape_ascii()));
    assert_eq!((&again.method, &again.query, &again.body), (&request.method, &request.query, &request.body));
    assert_eq!(again.headers.len(), request.headers.iter().filter(|(name, _)| !framed(name)).count());
}

/// A stored block of headers: what is read can be built again, byte for byte, unless a field would not be taken anew.
pub(super) fn headers(input: &[u8]) {
    let Some(headers) = Headers::parse(Bytes::copy_from_slice(input)) else { return };
    assert!(headers.len() <= HEADER_FIELDS_MAX * 2);
    let mut builder = HeadersBuilder::new();
    if headers.iter().all(|(name, value)| builder.push(name, value)) {
        assert_eq!(builder.build().block(), headers.block());
    }
    for (name, _) in headers.iter() {
        assert_ne!(headers.single(name), Single::Absent);
    }
}

/// A hop of `X-Forwarded-For`: an address reads back what it prints, bare, and mapped ones are those they stand for.
pub(super) fn forwarded(input: &[u8]) {
    let Some(ip) = ingest::address(input) else { return };
    assert_eq!(ip, ip.to_canonical());
    assert_eq!(ingest::address(ip.to_string().as_bytes()), Some(ip));
    assert_eq!(ingest::address(format!("[{ip}]:443").as_bytes()), Some(ip));
}
