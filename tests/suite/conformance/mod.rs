//! HTTP/1.1 held against its RFCs (9110, 9112), case by case, over a plain socket to the real binary: each request is answered as its rule
//! asks, the connection ends where it must, no byte behind it is looked at then, and nothing is stored that should not be.

mod chunks;
mod deviations;
mod fields;
mod length;
mod paths;
mod persistence;
mod request_line;
mod runner;
mod table;
mod targets;

use std::collections::BTreeSet;

use crate::{
    refusals::durable,
    support::{gateway::Gateway, sender::SECRET, wire::Connection},
};
use runner::{behind, is_taken, next_is_taken, run};
use table::{Level, Row, fill, good};

/// What the campaign promises at least.
const CASES_MIN: usize = 200;
/// Cases tried at once: most of their time is spent waiting for the end of a connection.
const AT_ONCE: usize = 24;

fn gateway() -> Gateway {
    Gateway::start(&format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
  limits: {{ body_time: 1s, body: 64KiB, in_flight_per_ip: 1000 }}
sources:
  github: {{ provider: github, secret: "{SECRET}", body_limit: 64KiB, unrouted: keep }}
"#
    ))
}

fn rows() -> Vec<Row> {
    let tables = [request_line::ROWS, targets::ROWS, fields::ROWS, length::ROWS, chunks::ROWS, persistence::ROWS];
    let undone = deviations::ROWS.iter().map(|(row, _, _)| *row);
    tables.into_iter().flatten().copied().chain(undone).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts are what a table is for")]
fn every_request_ends_as_its_rule_asks() {
    let rows = rows();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.2).collect();
    assert_eq!(names.len(), rows.len(), "each case has a name of its own");
    let mut gateway = gateway();
    let series = gateway.metrics().series();
    let door = gateway.door();
    let problems: Vec<String> = std::thread::scope(|scope| {
        let some = |first: usize| rows.iter().skip(first).step_by(AT_ONCE).flat_map(move |row| run(door, row)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..AT_ONCE).map(|first| scope.spawn(move || some(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread of the table")).collect()
    });
    assert!(problems.is_empty(), "{} of {} cases:\n{}", problems.len(), rows.len(), problems.join("\n"));
    assert_eq!(gateway.metrics().series(), series, "no request makes a series");
    assert!(gateway.terminate().success());

    let wanted: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| {
            let own = is_taken(row).then(|| row.2.to_owned());
            own.into_iter().chain(next_is_taken(row).then(|| behind(row.2)))
        })
        .collect();
    assert_eq!(stored(&gateway), wanted, "what was answered 200 is stored, and nothing else");

    let count = |level: Level| rows.iter().filter(|row| row.1 == level).count();
    let undone = |level: Level| deviations::ROWS.iter().filter(|(row, _, _)| row.1 == level).count();
    println!(
        "conformance: {} cases, {} of a MUST, {} of a SHOULD, {} of a MAY, {} ours; all as they are written down",
        rows.len(),
        count(Level::Must),
        count(Level::Should),
        count(Level::May),
        count(Level::Ours)
    );
    for ((rule, level, name, _, end), instead, why) in deviations::ROWS {
        println!("conformance: left undone: RFC {rule} {level:?}: {name}: {end:?}, asked for: {instead}: {why}");
    }
    println!("conformance: left undone: {} MUST, {} SHOULD", undone(Level::Must), undone(Level::Should));
    assert!(rows.len() >= CASES_MIN, "{} cases", rows.len());
}

/// The provider's ids of all events there are.
fn stored(gateway: &Gateway) -> BTreeSet<String> {
    let file = gateway.data_dir().join("hookgate.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(file, flags).expect("the store of a stopped gateway");
    let mut ids = database.prepare("SELECT provider_id FROM event").expect("events");
    let ids: Vec<String> = ids.query_map([], |row| row.get(0)).expect("ids").map(|id| id.expect("an id")).collect();
    let unlike: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(unlike.len(), ids.len(), "nothing is stored twice: {ids:?}");
    assert!(durable(gateway).values().any(|rows| rows.len() == ids.len()), "the store is the one that was read");
    unlike
}

#[test]
fn a_later_head_goes_no_further_than_the_first() {
    let gateway = gateway();
    for (number, (wire, status)) in [
        ("POST /hooks/github?@[70000*a] HTTP/1.1\r\n@SIGNED", 414),
        ("POST /@[300000*a] HTTP/1.1\r\n@SIGNED", 414),
        ("@POST@[70000*X]: a\r\n@SIGNED", 431),
        ("@POSTX-A: @[300000*x]\r\n@SIGNED", 431),
    ]
    .into_iter()
    .enumerate()
    {
        let mut connection = Connection::plain(gateway.door()).expect("a connection");
        connection.send(&good(&format!("first {number}"))).expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
        connection.send(&fill("chunked", "@CHUNKED@CHUNKS")).expect("sent");
        assert_eq!(connection.answer().expect("an answer").status, 200);
        // The door may hang up while the rest is on its way.
        let _ = connection.send(&fill("too long", wire));
        assert_eq!(connection.answer().expect("an answer").status, status, "{}", &wire[..20]);
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[test]
fn one_who_waits_to_be_told_to_go_on_is_told() {
    let gateway = gateway();
    let mut connection = Connection::plain(gateway.door()).expect("a connection");
    let whole = fill("waiting", "@POSTExpect: 100-continue\r\n@SIGNED");
    let (head, body) = whole.split_at(whole.len() - table::body("waiting").len());
    connection.send(head).expect("sent");
    // An interim answer has no fields and no body, so the next line of the stream is the real one's.
    let go_on = connection.interim().expect("an interim answer");
    assert_eq!(go_on, 100);
    connection.send(body).expect("sent");
    assert_eq!(connection.answer().expect("an answer").status, 200);
}

#[test]
fn pipelined_requests_are_answered_one_by_one_and_in_order() {
    let gateway = gateway();
    let wanted: Vec<u16> = (0..40).map(|number| if number % 3 == 2 { 401 } else { 200 }).collect();
    let all: Vec<u8> = wanted
        .iter()
        .enumerate()
        .flat_map(|(number, status)| match status {
            200 => good(&format!("piped {number}")),
            _ => fill(&format!("piped {number}"), "@POST@HOST@PROOFContent-Length: 2\r\n\r\n{}"),
        })
        .collect();
    let mut connection = Connection::plain(gateway.door()).expect("a connection");
    connection.send(&all).expect("sent");
    let answers: Vec<u16> = wanted.iter().map(|_| connection.answer().expect("an answer").status).collect();
    assert_eq!(answers, wanted);
    assert_eq!(gateway.metrics().count("requests_total", &[("result", "unrouted")]), 27);
}
