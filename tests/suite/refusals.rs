//! Everything that must not come in: each gets its answer, and nothing that lasts is changed by it.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection as Database, OpenFlags};

use crate::{
    spine::{all_to, one_target},
    support::{
        gateway::Gateway,
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github, stripe},
        wire::{Connection, Fields, Ring},
    },
};

const BODY: &[u8] = b"{\"id\":\"evt_1\",\"type\":\"invoice.paid\"}";

fn gateway(target: &Recorder) -> Gateway {
    let sections = format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
  limits: {{ body_time: 1s, body: 64KiB }}
sources:
  github: {{ provider: github, secret: "{SECRET}", body_limit: 64KiB }}
  stripe: {{ provider: stripe, secret: "{SECRET}" }}
"#
    );
    Gateway::start(&all_to(target, &sections))
}

/// Every row of every table but the store's own notes on its starts, as text.
pub(crate) fn durable(gateway: &Gateway) -> BTreeMap<String, Vec<String>> {
    let file = gateway.data_dir().join("hookgate.db");
    let database = Database::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store of a stopped gateway");
    let mut tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'").expect("a schema");
    let names = tables.query_map([], |row| row.get::<_, String>(0)).expect("tables");
    names.map(|name| name.expect("a name")).map(|name| (name.clone(), rows(&database, &name))).collect()
}

fn rows(database: &Database, table: &str) -> Vec<String> {
    let mut all = database.prepare(&format!("SELECT * FROM \"{table}\"")).expect("a table");
    let columns = all.column_count();
    let as_text = |row: &rusqlite::Row<'_>| {
        let values: Vec<String> = (0..columns).map(|column| format!("{:?}", row.get_ref(column))).collect();
        Ok(values.join("|"))
    };
    let mut rows: Vec<String> = all.query_map([], as_text).expect("rows").map(|row| row.expect("a row")).collect();
    rows.sort();
    rows
}

/// A request, what it is, and the statuses it may be answered with.
type Refused = (&'static str, Ring, &'static [u16]);

fn without(mut ring: Ring, name: &str) -> Ring {
    ring.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    ring
}

fn changed(mut ring: Ring, name: &str, change: impl Fn(&str) -> String) -> Ring {
    for (_, value) in ring.headers.iter_mut().filter(|(other, _)| other.eq_ignore_ascii_case(name)) {
        *value = change(value);
    }
    ring
}

fn unproved() -> Vec<Refused> {
    const SIGNED: &str = "X-Hub-Signature-256";
    let fine = || github("/hooks/github", SECRET, "d-2", BODY);
    let mut tampered = fine();
    tampered.body[2] ^= 1;
    vec![
        ("unsigned", without(fine(), SIGNED), &[401]),
        ("signed with another secret", github("/hooks/github", "another-secret-than-the-one-we-know", "d-3", BODY), &[401]),
        ("signed by the old algorithm only", without(fine(), SIGNED).with("X-Hub-Signature", "sha1=0123"), &[401]),
        ("tampered with", tampered, &[401]),
        ("an empty signature", changed(fine(), SIGNED, |_| String::new()), &[401]),
        ("a cut signature", changed(fine(), SIGNED, |value| value[..value.len() - 2].to_owned()), &[401]),
        ("a longer signature", changed(fine(), SIGNED, |value| format!("{value}00")), &[401]),
        ("a signature that is no hex", changed(fine(), SIGNED, |value| value.replace(['0', '1', '2', '3'], "g")), &[401]),
        ("a signature without its prefix", changed(fine(), SIGNED, |value| value.replace("sha256=", "")), &[401]),
        ("a doubled signature header", fine().with(SIGNED, "sha256=00"), &[401]),
        ("stale", stripe("/hooks/stripe", SECRET, 900, BODY), &[401]),
        ("from the future", stripe("/hooks/stripe", SECRET, -900, BODY), &[401]),
        ("no timestamp", changed(stripe("/hooks/stripe", SECRET, 0, BODY), "Stripe-Signature", |value| value.replace("t=", "u=")), &[401]),
        ("two timestamps", changed(stripe("/hooks/stripe", SECRET, 0, BODY), "Stripe-Signature", |value| format!("t=1,{value}")), &[401]),
        ("another vendor's signature", stripe("/hooks/github", SECRET, 0, BODY), &[401]),
    ]
}

fn misdirected() -> Vec<Refused> {
    let fine = || github("/hooks/github", SECRET, "d-4", BODY);
    let to = |path: &str| Ring { path: path.to_owned(), ..fine() };
    let by = |method: &str| Ring { method: method.to_owned(), ..fine() };
    vec![
        ("an unknown path", to("/hooks/nobody"), &[404]),
        ("a path with a slash too many", to("/hooks//github"), &[404]),
        ("a path with a slash at its end", to("/hooks/github/"), &[404]),
        ("an escaped path", to("/hooks%2Fgithub"), &[404]),
        ("a path in capitals", to("/HOOKS/GITHUB"), &[404]),
        ("a path that climbs", to("/hooks/x/../github"), &[404]),
        ("GET", by("GET"), &[404, 405]),
        ("PUT", by("PUT"), &[404, 405]),
        ("DELETE", by("DELETE"), &[404, 405]),
        ("compressed, they say", fine().with("Content-Encoding", "gzip"), &[415]),
        ("going in circles", (0..5).fold(fine(), |ring, _| ring.with("Via", "1.1 hookgate/0.1.0")), &[400]),
        ("too large", github("/hooks/github", SECRET, "d-5", &vec![b'x'; 65 * 1024]), &[413]),
        ("far too large", github("/hooks/github", SECRET, "d-6", &vec![b'x'; 33 << 20]), &[413]),
    ]
}

#[test]
fn what_is_refused_gets_its_answer_and_changes_nothing_that_lasts() {
    let target = Recorder::start();
    let mut gateway = gateway(&target);
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-1", BODY)).status, 200);
    gateway.wait_until_drained();
    assert!(gateway.terminate().success());
    let before = durable(&gateway);
    assert!(before.values().any(|rows| !rows.is_empty()), "the one good event is there: {before:?}");

    gateway.boot();
    let series_before = gateway.metrics().series();
    let mut constant_401 = None;
    for (what, ring, expected) in unproved().into_iter().chain(misdirected()) {
        let answer = gateway.ring(&ring);
        assert!(expected.contains(&answer.status), "{what}: {} instead of {expected:?}: {}", answer.status, answer.text());
        assert!(answer.result().is_none() && answer.event_id().is_none(), "{what}: {answer:?}");
        if answer.status == 401 {
            let told = (answer.text(), told_fields(&answer.headers));
            assert_eq!(constant_401.get_or_insert_with(|| told.clone()), &told, "{what}: a 401 tells nobody how close he came");
        }
    }
    unfinished(&gateway);
    assert_eq!(gateway.metrics().series(), series_before, "no request makes a series");
    let metrics = gateway.metrics();
    for result in ["accepted", "duplicate", "unrouted"] {
        assert_eq!(metrics.count("requests_total", &[("result", result)]), 0, "{result}");
    }
    for (reason, least) in [("missing_signature", 2), ("bad_signature", 2), ("stale", 1), ("future", 1), ("duplicate_header", 1)] {
        assert!(metrics.count("rejected_total", &[("reason", reason)]) >= least, "{reason} is counted");
    }
    assert!(metrics.count("rejected_total", &[("source", "_unmatched"), ("reason", "unknown_path")]) >= 1);
    assert!(gateway.terminate().success());
    assert_eq!(durable(&gateway), before, "nothing durable was changed");
    assert_eq!(target.count(), 1);
}

/// The fields of an answer less those that only say when it was given and whether the body had been read: that much the time tells anyway.
/// Their order is thrown by actix, for each answer anew.
fn told_fields(fields: &Fields) -> Fields {
    let mut told: Fields = fields.iter().filter(|(name, _)| name != "date" && name != "connection").cloned().collect();
    told.sort();
    told
}

/// Requests that never become whole.
fn unfinished(gateway: &Gateway) {
    let ring = github("/hooks/github", SECRET, "d-7", BODY);
    let mut slow = Connection::plain(gateway.door()).expect("a connection");
    slow.send(&ring.head(BODY.len())).expect("sent");
    slow.send(&BODY[..BODY.len() - 1]).expect("sent");
    let answer = slow.answer().expect("the body's deadline is answered");
    assert_eq!(answer.status, 408, "a body that stands still: {answer:?}");
    assert!(slow.is_closed(), "and the connection is of no more use");

    let mut cut = Connection::plain(gateway.door()).expect("a connection");
    cut.send(&ring.head(BODY.len())).expect("sent");
    cut.send(&BODY[..BODY.len() - 1]).expect("sent");
    cut.finish_sending().expect("half closed");
    assert!(cut.answer().map_or(true, |answer| answer.status >= 400), "a cut body is not an event");

    let mut chunked = Connection::plain(gateway.door()).expect("a connection");
    let head = without(Ring { body: Vec::new(), ..ring }, "Content-Length").with("Transfer-Encoding", "chunked");
    let head = String::from_utf8(head.head(0)).expect("text").replace("Content-Length: 0\r\n", "");
    chunked.send(head.as_bytes()).expect("sent");
    let chunk = format!("{:x}\r\n{}\r\n", 40_000, "x".repeat(40_000));
    // The gateway may hang up while the second chunk is on its way.
    let _ = chunked.send(chunk.as_bytes()).and_then(|()| chunked.send(chunk.as_bytes()));
    assert_eq!(chunked.answer().map(|answer| answer.status).unwrap_or(413), 413, "too large is noticed without a declared length");
}

#[test]
fn a_key_of_the_wrong_kind_never_starts_a_gateway_that_would_let_everyone_in() {
    let target = Recorder::start();
    for (what, secret) in [("empty", "\"\""), ("blank", "\"   \""), ("unset", "\"${NOT_SET_ANYWHERE}\""), ("a placeholder", "changeme")] {
        let configuration = one_target(&target, "").replace(&format!("\"{SECRET}\""), secret);
        let mut gateway = Gateway::written(&configuration);
        gateway.spawn();
        assert_eq!(gateway.wait().code(), Some(78), "{what}: {}", gateway.log());
    }
}

#[test]
fn a_full_store_refuses_and_goes_on_delivering() {
    let target = Recorder::start();
    let gateway = Gateway::start(&(one_target(&target, "") + "store: { min_free: 1000000GiB }\n"));
    wait_until("the store said that there is no room", || gateway.ring(&github("/hooks/github", SECRET, "d-1", BODY)).status == 503);
    let answer = gateway.ring(&github("/hooks/github", SECRET, "d-2", BODY));
    assert_eq!(answer.status, 503);
    let after: u64 = answer.header("retry-after").and_then(|value| value.parse().ok()).expect("a provider is told when to come back");
    assert!((5..=30).contains(&after), "{after}");
    assert!(!Path::new("hookgate-data").exists(), "nothing is written outside the data directory");
}

/// Nobody has proved anything before the last byte is there: what strangers half send to one source once made every other answer 503.
#[test]
fn strangers_at_one_source_take_nothing_from_another() {
    const STRANGERS: usize = 3;
    const HALF_SENT: usize = 705_000;
    let target = Recorder::start();
    let gateway = Gateway::start(&format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
  limits: {{ body: 1MiB, body_max: 1MiB, in_flight: 4MiB, in_flight_per_source: 100% }}
sources:
  github: {{ provider: github, secret: "{SECRET}", body_limit: 1MiB }}
  stripe: {{ provider: stripe, secret: "{SECRET}", body_limit: 1MiB }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    let forged = github("/hooks/github", "a-wrong-secret-0123456789", "d-1", &vec![b'x'; HALF_SENT + 1]).bytes();
    let strangers: Vec<Connection> = (0..STRANGERS)
        .map(|_| {
            let mut stranger = Connection::plain(gateway.door()).expect("connected");
            stranger.send(&forged[..forged.len() - 1]).expect("sent");
            stranger
        })
        .collect();
    let held = || gateway.metrics().count("inflight_bytes", &[]);
    wait_until("strangers held their half, less what would not fit", || held() == (STRANGERS * HALF_SENT) as u64);
    let body = format!("{{\"id\":\"evt_1\",\"type\":\"invoice.paid\",\"pad\":\"{}\"}}", "x".repeat(30_000));
    let honest = gateway.ring(&stripe("/hooks/stripe", SECRET, 0, body.as_bytes()));
    assert_eq!(honest.status, 200, "{}", honest.text());
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-2", &vec![b'x'; 60_000])).status, 503, "what they hold is at their source");
    drop(strangers);
    wait_until("all was given back", || held() == 0);
}
