//! What guards a source's door before anything is proved: a URL token, networks, client certificates. All are judged before a body is read.
//!
//! A URL token is kept as its SHA-256 and nothing else, so no part of a running gateway can show it, and comparing takes the same time
//! whatever is compared.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::{
    clock::UnixMs,
    secret::{Fingerprint, Secret},
    subject::SubjectName,
};

/// What guards a source's door.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// One of them is the last segment of the path; with none, the path ends before it.
    pub url_tokens: Vec<UrlToken>,
    /// The networks that clients come from; `None` lets all in.
    pub allow_ips: Option<Vec<IpNet>>,
    /// The names of which one stands in the client's certificate; `None` asks for no certificate.
    pub client_names: Option<Vec<SubjectName>>,
}

/// A secret segment of a path.
#[derive(Clone)]
pub struct UrlToken {
    sha256: [u8; 32],
    fingerprint: Fingerprint,
    until: Option<UnixMs>,
}

impl Guard {
    /// Whether a client at this address may ring.
    #[must_use]
    pub fn lets_in(&self, client: IpAddr) -> bool {
        self.allow_ips.as_ref().is_none_or(|networks| networks.iter().any(|network| network.contains(&client)))
    }

    /// Whether a client whose certificate has these names may ring. Without a certificate it has none.
    #[must_use]
    pub fn recognises(&self, shown: &[SubjectName]) -> bool {
        self.client_names.as_ref().is_none_or(|names| names.iter().any(|name| shown.contains(name)))
    }

    /// Whether this segment is one of the tokens that are good now. All are compared, whichever matches.
    #[must_use]
    pub fn knows(&self, segment: &str, now: UnixMs) -> bool {
        let shown: [u8; 32] = Sha256::digest(segment).into();
        let held = |token: &UrlToken| token.sha256.ct_eq(&shown) & Choice::from(u8::from(token.until.is_none_or(|until| now < until)));
        self.url_tokens.iter().fold(Choice::from(0), |known, token| known | held(token)).into()
    }
}

impl UrlToken {
    /// Keeps what is needed to recognise it; `until` is the first moment it is no longer good.
    #[must_use]
    pub fn new(token: &Secret, until: Option<UnixMs>) -> Self {
        let sha256 = Sha256::digest(token.reveal()).into(); // the hash is all that stays
        Self { sha256, fingerprint: token.fingerprint(), until }
    }
}

impl fmt::Debug for UrlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlToken({})", self.fingerprint)
    }
}

/// The path with the token as one more segment: `/hooks/a` and `/hooks/a/` both become `/hooks/a/<token>`.
#[must_use]
pub fn with_token(path: &str, token: &str) -> String {
    format!("{}/{token}", path.strip_suffix('/').unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(tokens: &[(&str, Option<i64>)], networks: Option<&[&str]>) -> Guard {
        Guard {
            url_tokens: tokens.iter().map(|(token, until)| UrlToken::new(&Secret::new(*token), until.map(UnixMs))).collect(),
            allow_ips: networks.map(|all| all.iter().map(|one| one.parse().expect("a network")).collect()),
            client_names: None,
        }
    }

    #[test]
    fn any_token_in_force_is_known_and_nothing_else() {
        let guard = guard(&[("canary-new", None), ("canary-old", Some(100))], None);
        assert!(guard.knows("canary-new", UnixMs(100)) && guard.knows("canary-old", UnixMs(99)));
        for (wrong, now) in [("canary-old", 100), ("canary-ne", 0), ("canary-new ", 0), ("CANARY-NEW", 0), ("", 0)] {
            assert!(!guard.knows(wrong, UnixMs(now)), "{wrong} at {now}");
        }
        assert!(!super::Guard::default().knows("", UnixMs(0)), "without tokens none is known");
        assert!(!format!("{guard:?}").contains("canary"));
    }

    #[test]
    fn an_address_is_in_a_network_or_it_is_not() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let some = guard(&[], Some(&["192.0.2.0/24", "2001:db8::/32"]));
        assert!(some.lets_in(ip("192.0.2.255")) && some.lets_in(ip("2001:db8::1")));
        assert!(!some.lets_in(ip("192.0.3.0")) && !some.lets_in(ip("2001:db9::1")));
        assert!(guard(&[], None).lets_in(ip("192.0.3.0")) && !guard(&[], Some(&[])).lets_in(ip("192.0.3.0")));
    }

    #[test]
    fn a_certificate_is_recognised_by_any_of_its_names() {
        let names = |all: &[&str]| all.iter().map(|name| SubjectName::parse(name).expect("a name")).collect::<Vec<_>>();
        let asks = Guard { client_names: Some(names(&["a.example", "spiffe://example/b"])), ..Guard::default() };
        assert!(asks.recognises(&names(&["x.example", "A.example"])) && asks.recognises(&names(&["spiffe://example/b"])));
        for others in [&["a.example.com", "sub.a.example", "spiffe://example/B"][..], &[]] {
            assert!(!asks.recognises(&names(others)), "{others:?}");
        }
        assert!(Guard::default().recognises(&[]));
    }

    #[test]
    fn a_token_is_one_more_segment() {
        assert_eq!([with_token("/hooks/a", "t"), with_token("/hooks/a/", "t"), with_token("/", "t")], ["/hooks/a/t", "/hooks/a/t", "/t"]);
    }
}
