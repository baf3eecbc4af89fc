//! The sender's own book: an append-only file, written before a request is sent and after each answer. What it says was acknowledged is
//! what the gateway is held to, whatever the gateway says of itself.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A ledger being written.
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
    acked: AtomicU64,
}

/// What the ledger says of one event.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// SHA-256 of the body that was sent, in hex.
    pub sha256: String,
    /// Whether its signature was good.
    pub genuine: bool,
    /// How often it was sent.
    pub sent: u32,
    /// The answers, in order: the status, the result and the event id the gateway gave.
    pub answers: Vec<Answered>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// `Hookgate-Result`.
    pub result: String,
    /// `Hookgate-Event-Id`.
    pub event_id: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Entry {
    /// Whether it was acknowledged, and as what.
    pub fn acknowledged(&self) -> Option<&Answered> {
        self.answers.iter().find(|answer| (200..300).contains(&answer.status))
    }
}

impl Ledger {
    /// Opens a new one.
    pub fn create(path: &Path) -> Self {
        let file = File::options().create_new(true).append(true).open(path).expect("a new ledger");
        Self { path: path.to_owned(), file: Mutex::new(file), acked: AtomicU64::new(0) }
    }

    /// Before a request is sent.
    pub fn sending(&self, id: &str, sha256: &str, genuine: bool) {
        self.append(&format!("sent {id} {sha256} {}", if genuine { "genuine" } else { "forged" }));
    }

    /// After an answer.
    pub fn answered(&self, id: &str, answer: &Answered) {
        let word = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let Answered { status, result, event_id, took_ms } = answer;
        self.append(&format!("answered {id} {status} {} {} {took_ms}", word(result), word(event_id)));
        if (200..300).contains(status) {
            self.acked.fetch_add(1, Ordering::Release);
        }
    }

    /// Answers of 2xx so far, repeats included.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    fn append(&self, line: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{line}\n").as_bytes()).expect("the ledger takes it");
    }

    /// Reads the whole book back from its file.
    pub fn read(&self) -> BTreeMap<String, Entry> {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for line in BufReader::new(File::open(&self.path).expect("the ledger")).lines() {
            let line = line.expect("text");
            let words: Vec<&str> = line.split(' ').collect();
            match *words.as_slice() {
                ["sent", id, sha256, kind] => {
                    let entry = entries.entry(id.to_owned()).or_default();
                    (entry.sha256, entry.genuine) = (sha256.to_owned(), kind == "genuine");
                    entry.sent += 1;
                }
                ["answered", id, status, result, event_id, took_ms] => {
                    let status = status.parse().expect("a status");
                    let took_ms = took_ms.parse().expect("milliseconds");
                    let answer = Answered { status, result: result.to_owned(), event_id: event_id.to_owned(), took_ms };
                    entries.entry(id.to_owned()).or_default().answers.push(answer);
                }
                _ => panic!("not a line of a ledger: {line}"),
            }
        }
        entries
    }
}

/// Milliseconds, as the ledger writes them.
pub fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
