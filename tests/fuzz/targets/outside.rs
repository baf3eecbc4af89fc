//! What comes from outside besides requests as such: where a connection's requests begin, the URLs that requests name, and what is found
//! there: certificates, sets of keys, keys that are given out one by one.

use std::str::from_utf8;

use hookgate::{
    clock::UnixMs,
    door,
    provider::{HostPattern, Issuer, KeySource, KeyVendor, Scheme, SourceKind, Template},
    verify::parsers,
};
use url::Url;

use super::first_line;

const NOW: UnixMs = UnixMs(1_760_000_000_000);
/// Bytes of a connection: nothing is moved, what is changed is the same however they come in pieces, and behind what was made unreadable
/// nothing is changed any more.
pub(super) fn framing(input: &[u8]) {
    let whole = door::followed(input, input.len());
    assert_eq!(whole.len(), input.len());
    let mut spoiled = 0;
    for (old, new) in input.iter().zip(&whole).filter(|(old, new)| old != new) {
        match (old, new) {
            (b',', b' ') | (b'2'..=b'9', b'1') => assert_eq!(spoiled, 0, "{old:#x} became {new:#x} behind what cannot be read"),
            (b'#', 0x7f) | (_, 0 | b'\r') => spoiled += 1,
            _ => panic!("{old:#x} became {new:#x}"),
        }
    }
    assert!(spoiled <= 2, "{spoiled} bytes were made unreadable");
    for piece in [1, 2, 3, 7] {
        assert_eq!(door::followed(input, piece), whole, "in pieces of {piece}");
    }
}

/// A host pattern, and a URL that a request names behind it: nobody is sent but to a host of the list, in the one spelling there is.
pub(super) fn key_url(input: &[u8]) {
    let (line, rest) = first_line(input);
    let written = from_utf8(line).ok().and_then(HostPattern::parse);
    let known = ["sns.*.amazonaws.com", "api.paypal.com"].map(|text| HostPattern::parse(text).expect("a host"));
    let source = KeySource {
        kind: SourceKind::X509 { url: Template::default(), names: Vec::new(), issuer: Issuer::Host },
        hosts: known.into_iter().chain(written).collect(),
        suffix: None,
    };
    for text in [line, rest] {
        let Some(url) = source.admitted(text) else { continue };
        assert_eq!(url.as_str().as_bytes(), text);
        let host = url.host_str().expect("a host");
        assert!(url.scheme() == "https" && url.port().is_none() && source.hosts.iter().any(|pattern| pattern.matches(host)), "{url}");
        assert!(host.len() <= 253 && host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)));
        assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none());
    }
}

/// A file of certificates: without an authority that is trusted none is believed, and what a host vouches for is good now.
pub(super) fn certificate(input: &[u8]) {
    let url = Url::parse("https://keys.example.com/a.pem").expect("a URL");
    assert!(parsers::certificate(input, &url, false, NOW).is_err(), "nobody is trusted here");
    if let Ok(until) = parsers::certificate(input, &url, true, NOW) {
        assert!(until >= UnixMs(NOW.0 - 1000), "{until} is over");
    }
}

/// A set of keys, published or pinned: each that is taken has a name, and there are so many at most.
pub(super) fn keys(input: &[u8]) {
    for scheme in [Scheme::Ed25519, Scheme::EcdsaP256Sha1, Scheme::EcdsaP256Sha256, Scheme::RsaSha256, Scheme::JwsRs512, Scheme::JwsEs256] {
        let published = parsers::published(scheme, input).map_or(0, |names| names.len());
        let [set, pem, _] = parsers::pinned(scheme, input);
        assert!(published <= 32 && (published == 0 || pem == 0), "{published} keys in a PEM");
        assert!(set == 0 || pem == 0, "one text is a set or a PEM");
    }
}

/// The name of a key, and what a vendor gives out under it: no name leads elsewhere, and what is over is no key.
pub(super) fn given_key(input: &[u8]) {
    let (name, answer) = first_line(input);
    for (vendor, url) in [(KeyVendor::Ebay, "https://api.ebay.com/keys"), (KeyVendor::Plaid, "https://production.plaid.com/get")] {
        let url = Url::parse(url).expect("a URL");
        if let Some((place, read)) = parsers::key_place(vendor, &url, name) {
            assert_eq!((place.scheme(), place.host_str(), place.port()), (url.scheme(), url.host_str(), url.port()));
            assert!(place.path().starts_with(url.path()) && place.query().is_none() && read.as_bytes() == name, "{place}");
        }
        let name = from_utf8(name).unwrap_or_default();
        if let Ok(Some(until)) = parsers::given_key(vendor, name, answer, NOW) {
            assert!(until > NOW);
        }
    }
}

/// A topic and a token that Amazon signed: the call goes to a host of SNS, and says what was signed and no more.
pub(super) fn effect(input: &[u8]) {
    let (topic, token) = first_line(input);
    let (Ok(topic), Ok(token)) = (from_utf8(topic), from_utf8(token)) else { return };
    let Some(call) = parsers::confirmation(topic, token) else { return };
    let host = call.host_str().expect("a host");
    let own = host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com").or(rest.strip_suffix(".amazonaws.com.cn")));
    assert!(own.is_some_and(|region| !region.contains('.')), "{call}");
    let pairs: Vec<(String, String)> = call.query_pairs().into_owned().collect();
    let wanted = [("Action", "ConfirmSubscription"), ("Version", "2010-03-31"), ("TopicArn", topic), ("Token", token)];
    assert_eq!(pairs, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((call.scheme(), call.path(), call.port()), ("https", "/", None));
}
