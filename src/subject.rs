//! A name in a certificate: what the `client_cert` of a source asks for, and what a client shows.
//!
//! Names are of a kind, so that a host name that is spelled like an address or a URI is neither, and are compared exactly: a wildcard
//! stands for nothing here, because it says for whom a server speaks and not who a client is.

use std::{fmt, net::IpAddr};

/// A subject alternative name (RFC 5280, 4.2.1.6), of the kinds that senders are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectName {
    /// A host name, in lower case: DNS knows no other difference.
    Dns(Box<str>),
    /// An e-mail address.
    Email(Box<str>),
    /// A URI, such as a SPIFFE id.
    Uri(Box<str>),
    /// An IP address.
    Ip(IpAddr),
}

impl SubjectName {
    /// A host name as a certificate spells it.
    #[must_use]
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase().into())
    }

    /// A name as it is written: an address when it is one, else a URI when it has a colon, else an e-mail address when it has an `@`, else
    /// a host name. `None` for a wildcard, and for what is not visible ASCII, as all four are in a certificate.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.contains('*') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        Some(match text.parse() {
            Ok(address) => Self::Ip(address),
            Err(_) if text.contains(':') => Self::Uri(text.into()),
            Err(_) if text.contains('@') => Self::Email(text.into()),
            Err(_) => Self::dns(text),
        })
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Email(name) | Self::Uri(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_of_one_kind_and_reads_back() {
        let cases = [
            ("Hooks.Example", SubjectName::Dns("hooks.example".into())),
            ("a@Hooks.example", SubjectName::Email("a@Hooks.example".into())),
            ("spiffe://example/a@b", SubjectName::Uri("spiffe://example/a@b".into())),
            ("urn:uuid:0", SubjectName::Uri("urn:uuid:0".into())),
            ("192.0.2.7", SubjectName::Ip([192, 0, 2, 7].into())),
            ("2001:DB8::7", SubjectName::Ip("2001:db8::7".parse().expect("an address"))),
        ];
        for (text, name) in cases {
            assert_eq!(SubjectName::parse(text), Some(name.clone()), "{text}");
            assert_eq!(SubjectName::parse(&name.to_string()), Some(name), "{text}");
        }
        for none in ["", "*.example", "a.*.example", "a b", "b\u{fc}cher.example", "a\n"] {
            assert_eq!(SubjectName::parse(none), None, "{none:?}");
        }
        assert_ne!(SubjectName::parse("192.0.2.7"), Some(SubjectName::dns("192.0.2.7")), "a host name that looks like an address is none");
    }
}
