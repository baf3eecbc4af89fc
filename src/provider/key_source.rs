//! `key.source`: keys that the vendor publishes and that are fetched, where none is pinned. A request may say at which URL its key is, so
//! what a URL may be is said here and checked before anyone goes there: a stranger must not choose where the gateway connects to.
//!
//! A URL is taken only in the one spelling that a URL has when it is written out: `https`, a host of the list in lower case, a path without
//! escapes, and nothing else. It is never repaired.

use url::{Host, Url};

use super::{
    atom::Atom,
    template::Template,
    words::{atom, choice, literal, template, texts},
};
use crate::yaml::{Fields, Node, Problems, as_text};

/// Bytes of the longest URL that is looked at.
const URL_BYTES_MAX: usize = 512;
/// Hosts a file may name, and names a certificate may bear.
const HOSTS_MAX: usize = 64;
/// Bytes of one label of a host's name (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Where keys are published, and what is taken for one.
#[derive(Clone, Debug)]
pub struct KeySource {
    /// What stands there.
    pub kind: SourceKind,
    /// The hosts it may be at.
    pub hosts: Vec<HostPattern>,
    /// What the URL's path ends with.
    pub suffix: Option<Box<str>>,
}

/// What is published.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// A set of JSON Web Keys (RFC 7517), always at the same place.
    Jwks {
        /// The place.
        url: Box<Url>,
        /// Where a signature names its key; a JSON Web Signature names it in its own header.
        kid: Option<Atom>,
    },
    /// A certificate in PEM, at a place that the request names.
    X509 {
        /// What the place is made of.
        url: Template,
        /// Names that the certificate may bear besides the host it comes from.
        names: Vec<Box<str>>,
        /// Who vouches for it.
        issuer: Issuer,
    },
    /// Keys that a vendor gives out one by one, by their name, to who has the credentials [`CLIENT_ID`] and [`CLIENT_SECRET`].
    Asked {
        /// How.
        vendor: KeyVendor,
        /// Where.
        url: Box<Url>,
        /// Where a signature names its key; a JSON Web Signature names it in its own header.
        kid: Option<Atom>,
    },
}

/// How keys are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyVendor {
    /// As eBay does: at a URL of its own each, against a token.
    Ebay,
    /// As Plaid does: asked for by POST.
    Plaid,
}

/// The credential that says who asks for keys.
pub const CLIENT_ID: &str = "client_id";
/// The credential that proves it.
pub const CLIENT_SECRET: &str = "client_secret";

/// Who vouches for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// An authority that the system trusts: the chain in the file leads to one of its roots.
    Roots,
    /// The host that serves it, which TLS has proved: for vendors who publish it without the chain that led to a root.
    Host,
}

/// A host's name, in which one label may be a region: `sns.*.amazonaws.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(Box<str>);

const KINDS: [(&str, Kind); 4] = [("jwks", Kind::Jwks), ("x509", Kind::X509), ("ebay", Kind::Ebay), ("plaid", Kind::Plaid)];
const ISSUERS: [(&str, Issuer); 2] = [("roots", Issuer::Roots), ("host", Issuer::Host)];

/// A word of `kind`.
#[derive(Clone, Copy)]
enum Kind {
    Jwks,
    X509,
    Ebay,
    Plaid,
}

impl HostPattern {
    /// Reads a pattern; `None` when it is none. What follows a `*` is two names at least, so that no `*` stands for somebody's domain.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let labels: Vec<&str> = text.split('.').collect();
        let plain = |label: &&str| is_label(label);
        let fits = match labels.iter().position(|label| *label == "*") {
            None => labels.len() >= 2 && labels.iter().all(plain),
            Some(at) => {
                let (before, after) = (labels.iter().take(at), labels.iter().skip(at + 1));
                after.len() >= 2 && before.chain(after).all(plain)
            }
        };
        // A name whose last label is a number is an IPv4 address, or nothing (WHATWG URL, 3.5).
        let named = labels.last().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
        (fits && named).then(|| Self(text.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a host is meant. The `*` stands for a region as vendors name them, `us-west-2`, and for nothing else: at Amazon, for one,
    /// `sns.s3-us-west-2.amazonaws.com` is the bucket of whoever was the first to call his own `sns`.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let mut own = self.0.split('.');
        let mut labels = host.split('.');
        loop {
            match (own.next(), labels.next()) {
                (None, None) => return true,
                (Some("*"), Some(label)) if is_region(label) => {}
                (Some(wanted), Some(label)) if wanted == label && wanted != "*" => {}
                _ => return false,
            }
        }
    }
}

/// One name between two dots, in lower case.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

/// Whether a name is a region's as Amazon names them: two words or more, and a number. `eu-central-1`, `us-gov-west-1`.
#[must_use]
pub fn is_region(label: &str) -> bool {
    let Some((words, number)) = label.rsplit_once('-') else {
        return false;
    };
    let mut words = words.split('-');
    let word = |word: &str| (2..=12).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase());
    words.clone().count() >= 2 && words.all(word) && (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

impl KeySource {
    /// The URL, if it is one that may be fetched.
    #[must_use]
    pub fn admitted(&self, text: &[u8]) -> Option<Url> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= URL_BYTES_MAX)?;
        let url = Url::parse(text).ok()?;
        // Parsing repairs a great deal. A URL that it changed is one that somebody else could read differently.
        let spelled = url.as_str() == text && !text.contains(['%', '\\', '@']);
        let bare = url.username().is_empty() && url.password().is_none() && url.port().is_none();
        let ends = url.query().is_none() && url.fragment().is_none();
        let Some(Host::Domain(host)) = url.host() else {
            return None;
        };
        let listed = self.hosts.iter().any(|pattern| pattern.matches(host));
        let suffixed = self.suffix.as_deref().is_none_or(|suffix| url.path().ends_with(suffix));
        (url.scheme() == "https" && spelled && bare && ends && listed && suffixed).then_some(url)
    }

    /// Every atom that says which key it is.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        let url = match &self.kind {
            SourceKind::Jwks { .. } | SourceKind::Asked { .. } => None,
            SourceKind::X509 { url, .. } => Some(url),
        };
        url.into_iter().flat_map(Template::values).map(|value| &value.atom).chain(self.kid())
    }

    /// Where a signature names its key, if that is not in a header of its own.
    #[must_use]
    pub fn kid(&self) -> Option<&Atom> {
        match &self.kind {
            SourceKind::Jwks { kid, .. } | SourceKind::Asked { kid, .. } => kid.as_ref(),
            SourceKind::X509 { .. } => None,
        }
    }

    /// Whether keys are given out against credentials only.
    #[must_use]
    pub fn takes_credentials(&self) -> bool {
        matches!(self.kind, SourceKind::Asked { .. })
    }
}

impl KeySource {
    /// The same place, where keys are given out one by one instead of in a set.
    fn given_out(self, vendor: KeyVendor) -> Self {
        match self.kind {
            SourceKind::Jwks { url, kid } => Self { kind: SourceKind::Asked { vendor, url, kid }, ..self },
            SourceKind::X509 { .. } | SourceKind::Asked { .. } => self,
        }
    }
}

/// Reads `key.source`.
pub(super) fn key_source(node: &Node, problems: &mut Problems) -> Option<KeySource> {
    let mut fields = Fields::of(node, "a key's source", problems);
    let kind = fields.need("kind", node, problems);
    let kind = kind.and_then(|node| choice(node, "the kind of source", &KINDS, problems));
    let url = fields.need("url", node, problems);
    let hosts_node = fields.take("hosts");
    let hosts = hosts_node.map(|node| hosts(node, problems));
    let suffix = fields.take("suffix").and_then(|node| as_text(node, "the suffix", problems)).map(Box::from);
    let kid = fields.take("kid");
    let names = fields.take("names");
    let issuer = fields.take("issuer");
    fields.finish(problems);
    let kind = kind?;
    let (url, hosts) = (url?, hosts.map_or(Some(None), |hosts| hosts.map(Some))?);
    match kind {
        Kind::Ebay | Kind::Plaid | Kind::Jwks => {
            if let Some(stray) = names.or(issuer) {
                problems.error(&stray.at, "`names` and `issuer` are of certificates, and a key set has none");
                return None;
            }
            let kid = kid.map_or(Some(None), |node| atom(node, problems).map(Some))?;
            let source = jwks(url, hosts, suffix, kid, problems)?;
            Some(match kind {
                Kind::Ebay => source.given_out(KeyVendor::Ebay),
                Kind::Plaid => source.given_out(KeyVendor::Plaid),
                Kind::Jwks | Kind::X509 => source,
            })
        }
        Kind::X509 => {
            if let Some(stray) = kid {
                problems.error(&stray.at, "a certificate is known by its URL, without `kid`");
                return None;
            }
            let Some(hosts) = hosts else {
                problems
                    .error(&node.at, "a certificate whose URL the request names needs `hosts`: without them anyone could bring his own");
                return None;
            };
            let names = names.map(|node| texts(node, "a name", false, problems)).unwrap_or_default();
            let issuer = issuer.map_or(Some(Issuer::Roots), |node| choice(node, "the issuer", &ISSUERS, problems))?;
            x509(url, hosts, suffix, names, issuer, problems)
        }
    }
}

fn jwks(
    node: &Node,
    hosts: Option<Vec<HostPattern>>,
    suffix: Option<Box<str>>,
    kid: Option<Atom>,
    problems: &mut Problems,
) -> Option<KeySource> {
    let text = literal(node, "the URL of a key set", problems)?;
    let own = || Url::parse(&text).ok().and_then(|url| HostPattern::parse(url.host_str()?));
    let hosts = hosts.or_else(|| own().map(|host| vec![host])).unwrap_or_default();
    let mut source =
        KeySource { kind: SourceKind::X509 { url: Template::default(), names: Vec::new(), issuer: Issuer::Roots }, hosts, suffix };
    let Some(url) = source.admitted(text.as_bytes()) else {
        let why = "the URL of a key set is `https` at a named host (one of `hosts`, if there are any), without port, user, query, fragment \
                   and escapes, in lower case and ends with `suffix`";
        problems.error(&node.at, why);
        return None;
    };
    source.kind = SourceKind::Jwks { url: Box::new(url), kid };
    Some(source)
}

fn x509(
    node: &Node,
    hosts: Vec<HostPattern>,
    suffix: Option<Box<str>>,
    names: Vec<Box<str>>,
    issuer: Issuer,
    problems: &mut Problems,
) -> Option<KeySource> {
    let url = template(node, "the URL of a certificate", problems)?;
    if url.literal().is_some() {
        problems.error(&node.at, "the URL of a certificate has a value of the request in it; a key that is always the same one is pinned");
        return None;
    }
    let of_request = |atom: &Atom| {
        matches!(atom, Atom::Header(_) | Atom::Json(_) | Atom::Form(_) | Atom::Parameter(_) | Atom::Credential(_)) && !atom.many()
    };
    if let Some(stray) = url.values().map(|value| &value.atom).find(|atom| !of_request(atom)) {
        problems.error(&node.at, format!("the URL of a certificate cannot be made of {stray}"));
        return None;
    }
    if names.len() > HOSTS_MAX {
        problems.error(&node.at, format!("there are {} names, and {HOSTS_MAX} is the most", names.len()));
        return None;
    }
    if let Some(wrong) = names.iter().find(|name| name.contains('*') || HostPattern::parse(name).is_none()) {
        problems.error(&node.at, format!("`{}` cannot be a certificate's name: it is a host in lower case", wrong.escape_debug()));
        return None;
    }
    Some(KeySource { kind: SourceKind::X509 { url, names, issuer }, hosts, suffix })
}

fn hosts(node: &Node, problems: &mut Problems) -> Option<Vec<HostPattern>> {
    let written = texts(node, "a host", false, problems);
    if !(1..=HOSTS_MAX).contains(&written.len()) {
        problems.error(&node.at, format!("`hosts` names 1 to {HOSTS_MAX} hosts"));
        return None;
    }
    let mut hosts = Vec::with_capacity(written.len());
    for text in written {
        let Some(host) = HostPattern::parse(&text) else {
            let what = "is no host: it is a name in lower case, in which one `*` may stand for a region before two names at least";
            problems.error(&node.at, format!("`{}` {what}, as in `sns.*.amazonaws.com`", text.escape_debug()));
            return None;
        };
        hosts.push(host);
    }
    Some(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nobody is to be sent to, where SNS is meant.
    const HOSTILE: &[&str] = &[
        "http://sns.us-west-2.amazonaws.com/a.pem",
        "ftp://sns.us-west-2.amazonaws.com/a.pem",
        "//sns.us-west-2.amazonaws.com/a.pem",
        "sns.us-west-2.amazonaws.com/a.pem",
        "HTTPS://sns.us-west-2.amazonaws.com/a.pem",
        "https://SNS.us-west-2.amazonaws.com/a.pem",
        "https://u@sns.us-west-2.amazonaws.com/a.pem",
        "https://u:p@sns.us-west-2.amazonaws.com/a.pem",
        "https://@sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com@evil.example/a.pem",
        "https://evil.example/@sns.us-west-2.amazonaws.com/a.pem",
        "https://evil.example\\@sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com:443/a.pem",
        "https://sns.us-west-2.amazonaws.com:8443/a.pem",
        "https://sns.us-west-2.amazonaws.com:/a.pem",
        "https://sns.us-west-2.amazonaws.com/a.pem?",
        "https://sns.us-west-2.amazonaws.com/a?b.pem",
        "https://sns.us-west-2.amazonaws.com/?Action=GetTopicAttributes&a=.pem",
        "https://sns.us-west-2.amazonaws.com/a#b.pem",
        "https://sns.us-west-2.amazonaws.com/a.pem#",
        "https://sns.us-west-2.amazonaws.com/a.pem/",
        "https://sns.us-west-2.amazonaws.com/a.PEM",
        "https://sns.us-west-2.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com",
        "https://sns.us-west-2.amazonaws.com/b/../a.pem",
        "https://sns.us-west-2.amazonaws.com/%2e%2e/a.pem",
        "https://sns.us-west-2.amazonaws.com/a%00.pem",
        "https://sns%2eus-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com%00.evil.example/a.pem",
        "https://sns.us-west-2.amazonaws.com./a.pem",
        "https://sns.us-west-2.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.us-west-2.amazonaws.com/a.pem",
        "https://evil-sns.us-west-2.amazonaws.com/a.pem",
        "https://evil.sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com.cn.evil.example/a.pem",
        "https://sns.us-west-2.amazonaws.org/a.pem",
        "https://snsXus-west-2.amazonaws.com/a.pem",
        "https://sns.amazonaws.com/a.pem",
        "https://sns..amazonaws.com/a.pem",
        "https://sns.*.amazonaws.com/a.pem",
        // Buckets, websites, tenants: names that anyone may take.
        "https://sns.s3.amazonaws.com/a.pem",
        "https://sns.s3-us-west-2.amazonaws.com/a.pem",
        "https://sns.s3-website-us-east-1.amazonaws.com/a.pem",
        "https://sns.s3-accelerate.amazonaws.com/a.pem",
        "https://sns.s3.us-west-2.amazonaws.com/a.pem",
        "https://sns.elb.amazonaws.com/a.pem",
        "https://sns.execute-api.us-west-2.amazonaws.com/a.pem",
        "https://s3.us-west-2.amazonaws.com/sns/a.pem",
        // Addresses.
        "https://169.254.169.254/a.pem",
        "https://127.0.0.1/a.pem",
        "https://2130706433/a.pem",
        "https://0x7f.1/a.pem",
        "https://[::1]/a.pem",
        "https://[::ffff:169.254.169.254]/a.pem",
        "https://localhost/a.pem",
        // Letters that only look the same, and what a parser would drop.
        "https://\u{0455}ns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws\u{3002}com/a.pem",
        "https://sns.us-west-2.\u{FF41}mazonaws.com/a.pem",
        " https://sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com/a.pem\n",
        "https://sns.us-west-2.amaz\tonaws.com/a.pem",
        "https:/sns.us-west-2.amazonaws.com/a.pem",
        "https:\\\\sns.us-west-2.amazonaws.com\\a.pem",
        "",
    ];

    fn source(hosts: &[&str], suffix: Option<&str>) -> KeySource {
        KeySource {
            kind: SourceKind::X509 { url: Template::default(), names: vec![], issuer: Issuer::Host },
            hosts: hosts.iter().map(|host| HostPattern::parse(host).expect("a host")).collect(),
            suffix: suffix.map(Box::from),
        }
    }

    #[test]
    fn what_the_vendor_writes_is_admitted() {
        let sns = source(&["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"], Some(".pem"));
        for good in [
            "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
            "https://sns.us-gov-west-1.amazonaws.com/a.pem",
            "https://sns.ap-southeast-5.amazonaws.com/a/b.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/a.pem",
        ] {
            assert_eq!(sns.admitted(good.as_bytes()).map(String::from).as_deref(), Some(good));
        }
        let paypal = source(&["api.paypal.com", "api.sandbox.paypal.com"], None);
        assert!(paypal.admitted(b"https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-ab66f33d").is_some());
    }

    #[test]
    fn what_a_stranger_writes_is_not() {
        let sns = source(&["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"], Some(".pem"));
        let admitted: Vec<_> = HOSTILE.iter().filter(|url| sns.admitted(url.as_bytes()).is_some()).collect();
        assert!(admitted.is_empty(), "{admitted:#?}");
        assert!(sns.admitted(b"https://sns.us-west-2.amazonaws.com/\xff.pem").is_none());
        let long = format!("https://sns.us-west-2.amazonaws.com/{}.pem", "a".repeat(URL_BYTES_MAX));
        assert!(sns.admitted(long.as_bytes()).is_none());
    }

    #[test]
    fn a_pattern_names_a_host_or_a_region_of_one() {
        for good in ["api.paypal.com", "sns.*.amazonaws.com", "*.example.com", "a.b"] {
            assert!(HostPattern::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", "*", "*.com", "sns.*.com", "a", "A.com", "a..com", "a.com.", ".a.com", "*.*.a.com", "a*.b.com", "127.0.0.1", "a_b.com"]
        {
            assert!(HostPattern::parse(bad).is_none(), "{bad}");
        }
        assert!(HostPattern::parse("-a.com").is_none() && HostPattern::parse(&format!("{}.com", "a".repeat(64))).is_none());
    }
}
