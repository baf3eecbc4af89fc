//! Certificates that a request points at: whether one is believed, and for whom. A certificate is anybody's until its name, its time and
//! whoever vouches for it have been looked at, so no key leaves this module before.

use rustls::{
    RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use url::Url;
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use crate::{clock::UnixMs, provider::Issuer};

/// Certificates of a chain that are looked at, the first one included.
const CHAIN_MAX: usize = 6;

/// What a believed certificate says.
pub(super) struct Believed {
    /// Its SubjectPublicKeyInfo, in DER.
    pub(super) key: Vec<u8>,
    /// When it ends.
    pub(super) until: UnixMs,
}

/// Looks at the first certificate of a PEM file that was fetched from `url`: it is good at `now`, it bears the name of the host it came
/// from or one of `names`, and its issuer is who it must be.
///
/// # Errors
/// Why it is not believed, in words for the operator.
pub(super) fn believed(
    text: &[u8],
    url: &Url,
    names: &[Box<str>],
    issuer: Issuer,
    roots: &RootCertStore,
    now: UnixMs,
) -> Result<Believed, String> {
    let chain = CertificateDer::pem_slice_iter(text).take(CHAIN_MAX + 1).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("it is not a file of certificates: {error}"))?;
    let Some((first, others)) = chain.split_first().filter(|(_, others)| others.len() < CHAIN_MAX) else {
        return Err(format!("it is not a file of 1 to {CHAIN_MAX} certificates"));
    };
    let (_, read) = X509Certificate::from_der(first).map_err(|_| "its certificate cannot be read".to_owned())?;
    let seconds = now.0.div_euclid(1000);
    let at = ASN1Time::from_timestamp(seconds).map_err(|_| "the clock shows no time that a certificate could have".to_owned())?;
    if !read.validity().is_valid_at(at) {
        return Err(format!("its certificate is good from {} to {}", read.validity().not_before, read.validity().not_after));
    }
    let parsed = ParsedCertificate::try_from(first).map_err(|error| format!("its certificate cannot be taken: {error}"))?;
    let own = url.host_str().unwrap_or_default();
    let bears = |name: &str| ServerName::try_from(name).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    if !std::iter::once(own).chain(names.iter().map(|name| &**name)).any(bears) {
        return Err(format!("its certificate is not for {own}, nor for another name that the provider file knows"));
    }
    if issuer == Issuer::Roots {
        let unix = u64::try_from(seconds).map_err(|_| "the clock shows a time before 1970".to_owned())?;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(unix));
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, time, algorithms)
            .map_err(|error| format!("no authority that this system trusts vouches for its certificate: {error}"))?;
    }
    let until = UnixMs(read.validity().not_after.timestamp().saturating_mul(1000));
    Ok(Believed { key: read.public_key().raw.to_vec(), until })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Signer, KeyPair, date_time_ymd};

    use super::*;

    const NOW: UnixMs = UnixMs(1_760_000_000_000);
    const HOST: &str = "certs.example.com";

    /// A root, and what signs with it.
    fn root(name: &str) -> (Signer<'static, KeyPair>, RootCertStore) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("signed");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a root");
        (Signer::new(params, key), roots)
    }

    fn params(name: &str) -> CertificateParams {
        CertificateParams::new(vec![name.to_owned()]).expect("parameters")
    }

    fn issued(params: &CertificateParams, by: &Signer<'static, KeyPair>) -> String {
        params.signed_by(&KeyPair::generate().expect("a key"), by).expect("signed").pem()
    }

    fn asked(pem: &str, names: &[&str], issuer: Issuer, roots: &RootCertStore, now: UnixMs) -> Result<Believed, String> {
        let names: Vec<Box<str>> = names.iter().map(|name| (*name).into()).collect();
        believed(pem.as_bytes(), &Url::parse(&format!("https://{HOST}/a.pem")).expect("a URL"), &names, issuer, roots, now)
    }

    fn why(result: Result<Believed, String>) -> String {
        result.map(|_| ()).expect_err("not believed")
    }

    #[test]
    fn a_certificate_is_believed_for_its_host_and_for_the_names_of_the_file() {
        let (signer, roots) = root("one");
        for issuer in [Issuer::Roots, Issuer::Host] {
            assert!(asked(&issued(&params(HOST), &signer), &[], issuer, &roots, NOW).is_ok_and(|found| !found.key.is_empty()));
            let other = issued(&params("messages.example.com"), &signer);
            assert!(asked(&other, &["messages.example.com"], issuer, &roots, NOW).is_ok());
            assert!(why(asked(&other, &["message.example.com"], issuer, &roots, NOW)).contains("not for certs.example.com"));
        }
    }

    #[test]
    fn a_certificate_is_believed_in_its_time_only() {
        let (signer, roots) = root("one");
        let mut timed = params(HOST);
        (timed.not_before, timed.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2026, 1, 1));
        let pem = issued(&timed, &signer);
        for (at, good) in [(1_735_689_599_000, false), (1_735_689_600_000, true), (1_767_225_599_000, true), (1_767_225_601_000, false)] {
            for issuer in [Issuer::Roots, Issuer::Host] {
                assert_eq!(asked(&pem, &[], issuer, &roots, UnixMs(at)).is_ok(), good, "{at}");
            }
        }
        assert_eq!(asked(&pem, &[], Issuer::Roots, &roots, NOW).map(|found| found.until.0).ok(), Some(1_767_225_600_000));
    }

    #[test]
    fn a_chain_leads_to_a_root_or_to_nothing() {
        let (signer, roots) = root("one");
        let (stranger, _) = root("two");
        let forged = issued(&params(HOST), &stranger);
        assert!(why(asked(&forged, &[], Issuer::Roots, &roots, NOW)).contains("no authority"));
        // With an authority between: it is in the file, or the chain breaks off.
        let key = KeyPair::generate().expect("a key");
        let mut between = CertificateParams::new(Vec::new()).expect("parameters");
        between.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        between.distinguished_name.push(rcgen::DnType::CommonName, "between");
        let middle = between.signed_by(&key, &signer).expect("signed").pem();
        let leaf = issued(&params(HOST), &Signer::new(between, key));
        assert!(asked(&format!("{leaf}{middle}"), &[], Issuer::Roots, &roots, NOW).is_ok());
        assert!(why(asked(&leaf, &[], Issuer::Roots, &roots, NOW)).contains("no authority"));
        // What is not one file of a few certificates.
        for text in ["", "nothing", &leaf.repeat(CHAIN_MAX + 1), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(asked(text, &[], Issuer::Roots, &roots, NOW).is_err(), "{text}");
        }
    }
}
