//! A proof for tests that need one: made the only way there is, by verifying a signed request.

use std::net::IpAddr;

use hookgate::{
    clock::UnixMs,
    provider::Catalogue,
    request::{HeadersBuilder, RawRequest},
    secret::Secret,
    verify::{Credential, Proof, Sample, Verifier, sign},
};

/// That some request was verified.
pub(crate) fn of_a_request() -> Proof {
    let catalogue = Catalogue::embedded();
    let provider = catalogue.find("github").expect("part of the binary");
    let credentials = [Credential { name: "secret".into(), value: Secret::new("it is of no consequence"), until: None }];
    let now = UnixMs(1_760_000_000_000);
    let signed = sign(provider, &credentials, &Sample::default(), now).expect("a sample");
    let mut headers = HeadersBuilder::new();
    for (name, value) in &signed.headers {
        assert!(headers.push(name, value), "{name}");
    }
    let request = RawRequest {
        method: signed.method,
        path: "/".into(),
        query: None,
        headers: headers.build(),
        body: signed.body,
        client_ip: IpAddr::from([127, 0, 0, 1]),
        received_at: now,
    };
    let verifier = Verifier::compile(provider, &credentials, None, None).expect("one good credential");
    verifier.verify(request, now).expect("signed by its own rules").proof()
}
