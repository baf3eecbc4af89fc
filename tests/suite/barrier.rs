//! The barrier audit: under strace, every 2xx that leaves the gateway comes after a completed fdatasync of the journal that began after the
//! write which holds the event. What the disk does after that is the disk's promise; up to there it is ours.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    crash::setting,
    spine::one_target,
    support::{
        campaign::one_at_a_time,
        gateway::Gateway,
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github},
        wire::Connection,
    },
};

const SENDERS: usize = 16;
/// More than one page of the journal: strace shows each write whole.
const SHOWN_BYTES: &str = "9000";

/// What is in every event: unique, printable, and in one piece.
fn marker(number: usize) -> String {
    format!("audited-{number:07}-event")
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is what an audit is for")]
fn every_2xx_comes_after_the_fdatasync_that_holds_its_event() {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok_and(|status| status.success()), "strace is needed (`make test` installs it)");
    let _turn = one_at_a_time();
    let events = setting("BARRIER_EVENTS", 1_000);
    let target = Recorder::start();
    let traced = ["strace", "-D", "-f", "-y", "-s", SHOWN_BYTES, "-e", "trace=write,writev,sendto,sendmsg,pwrite64,fdatasync,fsync"];
    let command = [&traced[..], &["-e", "signal=none", "-o", "@DIR@/trace"]].concat();
    let mut gateway = Gateway::written(&one_target(&target, "")).wrapped(&command);
    gateway.boot();
    let answered = ring_all(&gateway, events);
    assert!(gateway.terminate().success(), "{}", gateway.log());
    let trace = gateway.folder().join("trace");
    wait_until("strace had written its last line", || last_line(&trace).contains("+++ exited with"));

    let mut audit = Audit::default();
    let lines = BufReader::new(File::open(&trace).expect("the trace")).split(b'\n');
    for (index, line) in lines.enumerate() {
        audit.read(index, &String::from_utf8_lossy(&line.expect("a line")));
    }
    let unproved: Vec<String> = answered.iter().filter_map(|(event_id, marker)| audit.objection(event_id, marker)).collect();
    let syncs = audit.syncs.len();
    println!("barrier: {} of {} acknowledgements after their fdatasync ({syncs} syncs)", answered.len() - unproved.len(), answered.len());
    assert_eq!(answered.len(), events);
    assert!(unproved.is_empty(), "{} of {events}: {:?}", unproved.len(), &unproved[..unproved.len().min(5)]);
}

/// Rings the events on several connections; what event id each marker was answered with.
fn ring_all(gateway: &Gateway, events: usize) -> BTreeMap<String, String> {
    let (door, answered) = (gateway.door(), Arc::new(Mutex::new(BTreeMap::new())));
    let senders: Vec<_> = (0..SENDERS)
        .map(|first| {
            let answered = Arc::clone(&answered);
            thread::spawn(move || {
                let mut connection = Connection::plain(door).expect("a connection");
                for number in (first..events).step_by(SENDERS) {
                    let marker = marker(number);
                    let ring = github("/hooks/github", SECRET, &marker, format!("{{\"marker\":\"{marker}\"}}").as_bytes());
                    let answer = connection.exchange(&ring).expect("an answer");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answered.lock().expect("no panic").insert(answer.event_id().expect("an id").to_owned(), marker);
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
    let answered = answered.lock().expect("no panic");
    answered.clone()
}

fn last_line(file: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = File::open(file) else { return String::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut tail = String::new();
    let read = file.seek(SeekFrom::Start(length.saturating_sub(200))).and_then(|_| file.read_to_string(&mut tail));
    if read.is_err() { String::new() } else { tail.lines().next_back().unwrap_or_default().to_owned() }
}

/// What a trace says, by the line it says it on. strace stops a thread at the entry and at the exit of a call and writes as it does, so the
/// order of the lines is an order in which things really happened.
#[derive(Default)]
struct Audit {
    /// Where the first journal write holding a marker had ended.
    written: HashMap<String, usize>,
    /// Completed syncs of the journal: entry and exit.
    syncs: Vec<(usize, usize)>,
    /// Where the 2xx with an event id began to be sent.
    sent: HashMap<String, usize>,
    /// Calls that have begun on a thread and not ended.
    open: HashMap<String, Call>,
}

enum Call {
    Write(Vec<String>),
    Sync(usize),
    Other,
}

impl Audit {
    fn read(&mut self, at: usize, line: &str) {
        let Some((thread, call)) = line.split_once(' ').map(|(thread, call)| (thread, call.trim_start())) else { return };
        if call.starts_with("<...") {
            if let Some(open) = self.open.remove(thread)
                && succeeded(call)
            {
                self.ended(at, open);
            }
            return;
        }
        let begun = self.begun(at, call);
        if call.ends_with("<unfinished ...>") {
            self.open.insert(thread.to_owned(), begun);
        } else if succeeded(call) {
            self.ended(at, begun);
        }
    }

    fn begun(&mut self, at: usize, call: &str) -> Call {
        let journal = call.split(['"', ',', ')']).next().is_some_and(|file| file.contains("-wal>"));
        match call.split('(').next().unwrap_or_default() {
            "pwrite64" | "write" if journal => Call::Write(markers(call)),
            "fdatasync" | "fsync" if journal => Call::Sync(at),
            "write" | "writev" | "sendto" | "sendmsg" => {
                for event_id in acknowledged(call) {
                    self.sent.entry(event_id).or_insert(at);
                }
                Call::Other
            }
            _ => Call::Other,
        }
    }

    fn ended(&mut self, at: usize, call: Call) {
        match call {
            Call::Write(markers) => markers.into_iter().for_each(|marker| {
                self.written.entry(marker).or_insert(at);
            }),
            Call::Sync(from) => self.syncs.push((from, at)),
            Call::Other => {}
        }
    }

    /// Why this acknowledgement is not proved; `None` when it is.
    fn objection(&self, event_id: &str, marker: &str) -> Option<String> {
        let Some(sent) = self.sent.get(event_id) else { return Some(format!("{event_id}: its answer is not in the trace")) };
        let Some(written) = self.written.get(marker) else { return Some(format!("{event_id}: {marker} was never written to the journal")) };
        let held = self.syncs.iter().any(|(from, to)| from >= written && to < sent);
        (!held).then(|| format!("{event_id}: written by line {written}, answered on line {sent}, no whole fdatasync in between"))
    }
}

fn succeeded(call: &str) -> bool {
    call.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-'))
}

fn markers(call: &str) -> Vec<String> {
    let length = marker(0).len();
    call.match_indices("audited-").filter_map(|(at, _)| call.get(at..at + length)).map(str::to_owned).collect()
}

/// Event ids in the answers of 2xx this call sends; several when answers are sent together.
fn acknowledged(call: &str) -> Vec<String> {
    let answers = call.split("HTTP/1.1 ").skip(1).filter(|answer| answer.starts_with('2'));
    let ids = answers.filter_map(|answer| {
        let lower = answer.to_ascii_lowercase();
        let value = lower.split("hookgate-event-id: ").nth(1)?;
        Some(value.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
    });
    ids.collect()
}

#[test]
fn the_audit_notices_an_answer_that_came_too_early() {
    let wal = "7</data/hookgate.db-wal>";
    let page = format!("pwrite64({wal}, \"..{}..\", 8192, 32", marker(1));
    let answer = "sendto(9<socket:[1]>, \"HTTP/1.1 200 OK\\r\\nhookgate-event-id: evt_1\\r\\n\\r\\n\", 60, 0, NULL, 0) = 60";
    let audit = |lines: &[String]| {
        let mut audit = Audit::default();
        lines.iter().enumerate().for_each(|(at, line)| audit.read(at, line));
        audit.objection("evt_1", &marker(1))
    };
    let write = format!("1 {page}) = 8192");
    let sync = format!("1 fdatasync({wal}) = 0");
    let sent = format!("2 {answer}");
    let begins = format!("1 fdatasync({wal} <unfinished ...>");
    let ends = "1 <... fdatasync resumed>) = 0".to_owned();
    let fails = "1 <... fdatasync resumed>) = -1 EIO (Input/output error)".to_owned();
    let fine: [&[&String]; 2] = [&[&write, &sync, &sent], &[&write, &begins, &ends, &sent]];
    let early: [&[&String]; 6] = [
        &[&write, &sent, &sync],
        &[&sync, &write, &sent],
        &[&write, &begins, &sent, &ends],
        &[&write, &begins, &fails, &sent],
        &[&begins, &write, &ends, &sent],
        &[&sync, &sent],
    ];
    let owned = |lines: &[&String]| lines.iter().map(|line| (*line).clone()).collect::<Vec<_>>();
    for lines in fine {
        assert_eq!(audit(&owned(lines)), None, "{lines:?}");
    }
    for lines in early {
        assert!(audit(&owned(lines)).is_some(), "{lines:?}");
    }
}
