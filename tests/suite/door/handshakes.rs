//! Handshakes over a real socket: answered as the vendor asks, counted, never stored; and a secret that is sent as it is goes no further.

use hookgate::{
    door::Patience,
    event::EventId,
    plan::Rejected,
    provider::Catalogue,
    request::Headers,
    secret::Secret,
    verify::{Credential, Verifier},
};

use super::{
    client::{Client, Reply},
    setting::{PATH, Setting, signature},
};

/// A door whose one source has this provider.
fn door(slug: &str, credentials: &[(&str, &str)]) -> Setting {
    Setting::start_with(Patience::default(), |_, source| {
        let catalogue = Catalogue::embedded();
        let provider = catalogue.find(slug).expect("an embedded provider");
        let each = |(name, value): &(&str, &str)| Credential { name: (*name).into(), value: Secret::new(*value), until: None };
        let credentials: Vec<Credential> = credentials.iter().map(each).collect();
        source.verifier = Verifier::compile(provider, &credentials, None, None).expect("compiled");
        source.accepted = provider.accepted.clone();
        source.rejected = provider.rejected.clone();
    })
}

fn ask(setting: &Setting, head: &str, body: &str) -> Reply {
    let request = format!("{head}Host: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Client::connect(setting).send(request.as_bytes()).reply().expect("an answer")
}

fn counted(setting: &Setting, handshake: &str, result: &str) -> f64 {
    let series = format!("hookgate_handshakes_total{{handshake=\"{handshake}\",result=\"{result}\",source=\"github\"}}");
    setting.series(&series).expect("there from the start")
}

#[test]
fn a_get_is_answered_where_a_handshake_wants_it_and_refused_everywhere_else() {
    let setting = door("meta", &[("secret", "meta-secret-0123456789"), ("verify_token", "vt-1")]);
    let get = |query: &str| ask(&setting, &format!("GET {PATH}{query} HTTP/1.1\r\n"), "");
    let reply = get("?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=vt-1");
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"1158201444"[..]));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("hookgate-event-id"), None);
    let refused = get("?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=vt-2");
    assert_eq!((refused.status, refused.header("content-type")), (403, Some("text/plain; charset=utf-8")));
    assert!(!String::from_utf8_lossy(&refused.body).contains("1158201444"));
    // No handshake: what has no signature is refused before anyone asks whether it is a GET.
    assert_eq!(get("?hub.mode=unsubscribe").status, 401);
    assert_eq!(ask(&setting, &format!("PUT {PATH} HTTP/1.1\r\n"), "").status, 405);
    let signed = format!("GET {PATH} HTTP/1.1\r\nX-Hub-Signature-256: {}\r\n", signature("meta-secret-0123456789", b""));
    let reply = ask(&setting, &signed, "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST, GET")));
    assert_eq!((counted(&setting, "subscribe", "answered"), counted(&setting, "subscribe", "refused")), (1.0, 1.0));
    assert_eq!((setting.requests("handshake"), setting.rejected("requirement"), setting.requests("accepted")), (1.0, 1.0, 0.0));
    assert_eq!(setting.store.admits(), 0, "no handshake is stored");
    assert_eq!(ask(&door("github", &[("secret", "s")]), &format!("GET {PATH} HTTP/1.1\r\n"), "").status, 405);
}

#[test]
fn a_secret_that_is_sent_unchanged_goes_no_further() {
    let setting = door("gitlab", &[("secret", "glwh-hush-0123456789")]);
    let head = format!("POST {PATH} HTTP/1.1\r\nX-Gitlab-Token: glwh-hush-0123456789\r\nX-Gitlab-Event: Push Hook\r\n");
    let reply = ask(&setting, &head, "{}");
    assert_eq!(reply.status, 200);
    let id = EventId::parse(reply.header("hookgate-event-id").expect("an id")).expect("an event id");
    let stored = setting.store.payload(id).expect("stored");
    assert!(!String::from_utf8_lossy(&stored.head).contains("glwh-hush"));
    let head = Headers::parse(stored.head).expect("a header block");
    assert!(head.iter().all(|(name, _)| !name.eq_ignore_ascii_case("x-gitlab-token")));
    assert!(head.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-gitlab-event")));
    assert_eq!(ask(&setting, &format!("POST {PATH} HTTP/1.1\r\nX-Gitlab-Token: glwh-hush-012345678\r\n"), "{}").status, 401);
}

#[test]
fn a_vendor_that_expects_another_refusal_hears_it() {
    let setting = Setting::start_with(Patience::default(), |_, source| {
        source.rejected = Rejected { status: 498, headers: vec![("WWW-Authenticate".into(), "Basic".into())] };
    });
    let reply = ask(&setting, &format!("POST {PATH} HTTP/1.1\r\nX-Hub-Signature-256: {}\r\n", signature("wrong", b"{}")), "{}");
    assert_eq!((reply.status, reply.header("www-authenticate"), reply.body.as_slice()), (498, Some("Basic"), &b"refused\n"[..]));
    assert_eq!(setting.rejected("bad_signature"), 1.0);
    let other = ask(&setting, &format!("PUT {PATH} HTTP/1.1\r\n"), "");
    assert_eq!((other.status, other.header("www-authenticate")), (405, None), "only what is not proved");
}
