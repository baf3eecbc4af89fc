//! A proof for tests that need one: made the only way there is, by verifying a request.

use hookgate::{
    clock::UnixMs,
    request::{Headers, RawRequest},
    verify::{Proof, Verifier},
};

/// That some request was verified.
pub(crate) fn of_a_request() -> Proof {
    let request = RawRequest {
        method: "POST".into(),
        path: "/".into(),
        query: None,
        headers: Headers::default(),
        body: bytes::Bytes::new(),
        client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
        received_at: UnixMs(0),
    };
    Verifier {}.verify(request, UnixMs(0)).expect("nothing is asked of it").proof()
}
