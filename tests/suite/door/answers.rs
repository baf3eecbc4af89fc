//! What is taken in: the answer, and what is stored of it.

use hookgate::{
    clock::Clock,
    door::Patience,
    event::{EventId, EventTypes},
    plan::{DedupBy, Unrouted},
    request::{Headers, Single},
};

use super::{
    client::{Client, Reply, ring, signed},
    setting::{Mood, Setting},
};

fn event_of(reply: &Reply) -> EventId {
    EventId::parse(reply.header("hookgate-event-id").expect("an id")).expect("an event id")
}

#[test]
fn a_signed_request_is_stored_byte_for_byte_before_it_is_answered() {
    let setting = Setting::start();
    let body = b"{\"ref\":\"refs/heads/main\",  \"odd\":\"\xc3\xa9\",\n\"n\":1.0}";
    let reply = ring(&setting, &signed(body, "d-1", &["X-Custom: kept as it is"]));
    assert_eq!((reply.status, reply.header("hookgate-result")), (200, Some("accepted")));
    assert_eq!(reply.body, b"ok\n");
    let stored = setting.store.payload(event_of(&reply)).expect("stored");
    assert_eq!(&stored.body[..], body);
    let head = Headers::parse(stored.head).expect("a header block");
    assert_eq!(head.single("x-custom"), Single::One(b"kept as it is"));
    assert_eq!(head.single("x-github-event"), Single::One(b"push"));
    let view = setting.store.seen(event_of(&reply)).expect("stored");
    assert_eq!(view.provider_event_id.as_deref(), Some("d-1"));
    assert_eq!(view.types, EventTypes::new(["push".into()]));
    assert_eq!(setting.requests("unrouted"), 1.0, "no route wants it, and it is kept");
}

#[test]
fn what_is_stored_is_what_a_target_may_see() {
    let setting = Setting::start();
    let dropped = [
        "Connection: keep-alive, X-Hop",
        "X-Hop: gone",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Cookie: a=b",
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Real-IP: 1.2.3.4",
        "CF-Ray: 1",
        "Hookgate-Verified: false",
        "Hookgate-Event-Id: evt_0000000000000",
        "Via: 1.1 edge, 1.1 hookgate/00000001",
    ];
    let reply = ring(&setting, &signed(b"{}", "d-1", &dropped));
    let id = event_of(&reply);
    let head = Headers::parse(setting.store.payload(id).expect("stored").head).expect("a header block");
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "cookie",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-real-ip",
        "cf-ray",
        "host",
        "content-length",
        "expect",
        "transfer-encoding",
    ] {
        assert_eq!(head.single(name), Single::Absent, "{name}");
    }
    let one = |name: &str| match head.single(name) {
        Single::One(value) => String::from_utf8(value.to_vec()).expect("text"),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(one("hookgate-event-id"), id.to_string());
    assert_eq!(one("hookgate-source"), "github");
    assert_eq!(one("hookgate-provider"), "github");
    assert_eq!(one("hookgate-event-type"), "push");
    assert_eq!(one("hookgate-provider-event-id"), "d-1");
    assert_eq!(one("hookgate-verified"), "true");
    assert_eq!(one("hookgate-original-url"), "https://hooks.example.com/hooks/github");
    assert!(one("hookgate-received-at").ends_with('Z'));
    assert!(one("via").starts_with("1.1 edge, 1.1 hookgate/00000001, 1.1 hookgate/"));
}

#[test]
fn the_query_as_received_belongs_to_the_original_url() {
    let setting = Setting::start();
    let request = String::from_utf8(signed(b"{}", "d-1", &[])).expect("text").replacen("/hooks/github ", "/hooks/github?a=%2F&b ", 1);
    let reply = ring(&setting, request.as_bytes());
    let head = Headers::parse(setting.store.payload(event_of(&reply)).expect("stored").head).expect("a header block");
    assert_eq!(head.single("hookgate-original-url"), Single::One(b"https://hooks.example.com/hooks/github?a=%2F&b"));
}

#[test]
fn a_repeat_is_answered_with_the_first_id() {
    let setting = Setting::start();
    let first = ring(&setting, &signed(b"{}", "d-1", &[]));
    let again = ring(&setting, &signed(b"{}", "d-1", &[]));
    assert_eq!((again.status, again.header("hookgate-result")), (200, Some("duplicate")));
    assert_eq!(event_of(&again), event_of(&first));
    assert_eq!(again.body, first.body);
    let other = ring(&setting, &signed(b"{}", "d-2", &[]));
    assert_eq!(other.header("hookgate-result"), Some("accepted"));
    assert_eq!((setting.requests("unrouted"), setting.requests("duplicate")), (2.0, 1.0));
}

#[test]
fn repeats_are_known_by_what_the_source_says() {
    for (by, second) in [(DedupBy::Body, "duplicate"), (DedupBy::None, "accepted")] {
        let setting = Setting::start_with(Patience::default(), |_, source| source.dedup.by = by);
        ring(&setting, &signed(b"{}", "d-1", &[]));
        let delivery = if by == DedupBy::Body { "d-2" } else { "d-1" };
        let reply = ring(&setting, &signed(b"{}", delivery, &[]));
        assert_eq!(reply.header("hookgate-result"), Some(second), "{by:?}");
    }
}

#[test]
fn an_unwanted_event_may_be_forgotten() {
    let setting = Setting::start_with(Patience::default(), |_, source| source.unrouted = Unrouted::Drop);
    let reply = ring(&setting, &signed(b"{}", "d-1", &[]));
    assert_eq!((reply.status, reply.header("hookgate-result")), (200, Some("accepted")));
    assert_eq!((setting.store.admits(), setting.requests("unrouted")), (0, 1.0));
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let setting = Setting::start();
    let mut client = Client::connect(&setting);
    for number in 0..20 {
        let body = vec![b'x'; number * 3000];
        let reply = client.send(&signed(&body, &format!("d-{number}"), &[])).reply().expect("an answer");
        assert_eq!((reply.status, reply.header("connection")), (200, None));
        assert_eq!(setting.store.payload(event_of(&reply)).expect("stored").body.len(), body.len());
    }
}

#[test]
fn a_body_in_pieces_is_put_together() {
    let setting = Setting::start();
    let body: Vec<u8> = (0..200_000_u32).map(|n| b'a' + u8::try_from(n % 23).expect("small")).collect();
    let whole = signed(&body, "d-1", &[]);
    let mut client = Client::connect(&setting);
    whole.chunks(7001).for_each(|piece| {
        client.send(piece);
    });
    let reply = client.reply().expect("an answer");
    assert_eq!(&setting.store.payload(event_of(&reply)).expect("stored").body[..], &body[..]);
}

#[test]
fn a_chunked_body_is_taken_too() {
    let setting = Setting::start();
    let plain = String::from_utf8(signed(b"hello world", "d-1", &[])).expect("text");
    let chunked =
        plain.replace("Content-Length: 11", "Transfer-Encoding: chunked").replace("hello world", "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
    let reply = ring(&setting, chunked.as_bytes());
    assert_eq!(&setting.store.payload(event_of(&reply)).expect("stored").body[..], b"hello world");
}

#[test]
fn trouble_with_the_store_is_a_503_that_says_when() {
    let setting = Setting::start();
    for (number, mood) in [Mood::Busy, Mood::Full, Mood::Unknown].into_iter().enumerate() {
        setting.store.is_from_now_on(mood);
        let reply = ring(&setting, &signed(b"{}", &format!("d-{number}"), &[]));
        let wait: u32 = reply.header("retry-after").expect("a time").parse().expect("a number");
        assert!(reply.status == 503 && (5..=30).contains(&wait), "{reply:?}");
        assert_eq!(reply.header("hookgate-event-id"), None);
    }
    assert_eq!(setting.requests("unavailable"), 3.0);
}

#[test]
fn a_silent_store_is_not_waited_for_and_what_it_took_is_found_again() {
    let setting = Setting::start_with(Patience::default(), |_, source| source.answer_within = std::time::Duration::from_millis(300));
    setting.store.is_from_now_on(Mood::Silent);
    let started = Clock::System.mono();
    assert_eq!(ring(&setting, &signed(b"{}", "d-1", &[])).status, 503);
    assert!(
        Clock::System.mono().since(started) < std::time::Duration::from_secs(5),
        "answered by the deadline, not by a timeout of the client's"
    );
    setting.store.is_from_now_on(Mood::Well);
    assert_eq!(ring(&setting, &signed(b"{}", "d-1", &[])).header("hookgate-result"), Some("duplicate"));
}

#[test]
fn a_client_that_leaves_does_not_take_its_event_along() {
    let setting = Setting::start();
    Client::connect(&setting).send(&signed(b"{}", "d-1", &[]));
    setting.wait("the admit", |setting| setting.store.admits() == 1);
    assert_eq!(ring(&setting, &signed(b"{}", "d-1", &[])).header("hookgate-result"), Some("duplicate"));
}

#[test]
fn a_client_that_has_said_everything_is_still_answered() {
    let setting = Setting::start();
    let mut client = Client::connect(&setting);
    client.send(&signed(b"{}", "d-1", &[]));
    client.say_no_more();
    assert_eq!(client.reply().expect("an answer").status, 200);
}

#[test]
fn a_stop_finishes_what_is_under_way() {
    let mut setting = Setting::start();
    let mut idle = Client::connect(&setting);
    idle.send(&signed(b"{}", "d-0", &[])).reply().expect("an answer");
    let mut busy = Client::connect(&setting);
    let request = signed(b"a body in two pieces", "d-1", &[]);
    let (first, second) = request.split_at(request.len() - 5);
    busy.send(first);
    setting.wait("the first piece", |setting| setting.series("hookgate_inflight_bytes") == Some(15.0));
    let stopping = std::thread::spawn(move || (setting.stop(std::time::Duration::from_secs(8)), setting));
    assert!(idle.is_cut(), "an idle connection is closed");
    assert_eq!(busy.send(second).reply().expect("an answer").status, 200);
    assert!(busy.is_cut());
    let (cut, setting) = stopping.join().expect("stopped");
    assert_eq!(cut, 0);
    setting.wait("the end of the listener", |setting| std::net::TcpStream::connect(setting.addr).is_err());
}
