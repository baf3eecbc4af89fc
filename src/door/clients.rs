//! Client certificates: who may have signed one, and which names stand in it. A client is asked for one and need not have any; one that
//! does not hold ends the handshake.

use std::sync::Arc;

use actix_web::dev::Extensions;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::CertificateDer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::{DoorError, certificates};
use crate::{limits::CERTIFICATE_NAMES_MAX, plan::PemFile, subject::SubjectName};

/// The names in the certificate that a client has proved to hold, kept with its connection.
#[derive(Clone, Debug)]
pub(super) struct Shown(pub(super) Arc<[SubjectName]>);

/// Who asks clients for a certificate that one of the authorities in this file has signed.
///
/// # Errors
/// The file cannot be read, or what is in it is no authority's certificate.
pub(super) fn asking(authorities: &PemFile) -> Result<Arc<dyn ClientCertVerifier>, DoorError> {
    let unusable = |cause: &dyn std::fmt::Display| DoorError::Unreadable { file: authorities.clone(), cause: cause.to_string() };
    let mut roots = RootCertStore::empty();
    for authority in certificates::read(authorities)? {
        roots.add(authority).map_err(|cause| unusable(&cause))?;
    }
    let asking = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(aws_lc_rs::default_provider()));
    asking.allow_unauthenticated().build().map_err(|cause| unusable(&cause))
}

/// Notes with the connection which names a client showed, if it showed a certificate. The handshake has verified its chain by now.
pub(super) fn note(chain: Option<&[CertificateDer<'_>]>, connection: &mut Extensions) {
    if let Some(leaf) = chain.and_then(<[_]>::first) {
        connection.insert(Shown(names(leaf).into()));
    }
}

/// The names in a certificate; none when it says them in a way that cannot be read.
fn names(leaf: &CertificateDer<'_>) -> Vec<SubjectName> {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return Vec::new() };
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    names.take(CERTIFICATE_NAMES_MAX).filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<SubjectName> {
    match name {
        GeneralName::DNSName(name) => Some(SubjectName::dns(name)),
        GeneralName::RFC822Name(name) => Some(SubjectName::Email((*name).into())),
        GeneralName::URI(name) => Some(SubjectName::Uri((*name).into())),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(Into::into).or_else(|_| <[u8; 16]>::try_from(*bytes).map(Into::into));
            address.ok().map(SubjectName::Ip)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_of_each_kind_are_read_and_others_are_not() {
        let mut params = CertificateParams::new(vec!["Hooks.example".to_owned(), "192.0.2.7".to_owned()]).expect("names");
        let text = |text: &str| text.to_owned().try_into().expect("ASCII");
        params.subject_alt_names.push(SanType::Rfc822Name(text("a@hooks.example")));
        params.subject_alt_names.push(SanType::URI(text("spiffe://example/a")));
        params.subject_alt_names.push(SanType::IpAddress("2001:db8::7".parse().expect("an address")));
        params.subject_alt_names.push(SanType::OtherName((vec![1, 2, 3], "hooks.example".into())));
        let key = KeyPair::generate().expect("a key");
        let shown = names(params.self_signed(&key).expect("a certificate").der());
        let written = ["hooks.example", "192.0.2.7", "a@hooks.example", "spiffe://example/a", "2001:db8::7"];
        assert_eq!(shown, written.map(|name| SubjectName::parse(name).expect("a name")));
        let nameless = CertificateParams::new(Vec::new()).expect("no names").self_signed(&key).expect("a certificate");
        assert_eq!(names(nameless.der()), []);
        assert_eq!(names(&CertificateDer::from(vec![0; 9])), []);
    }
}
