//! Every way to spell a path that some reader would take for ours: none of them is.

use std::{collections::BTreeSet, net::SocketAddr};

use super::gateway;
use crate::support::{
    sender::{SECRET, github},
    wire::{Connection, Ring},
};

const PATH: &str = "/hooks/github";
/// What is put between two characters.
const BETWEEN: [&str; 14] = ["/", "//", "/./", "/../", ";", ";a=1/", "%2f", "%2F", "%5c", "%00", "%20", "%0d%0a", "\\", "."];

fn spellings() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (at, letter) in PATH.char_indices() {
        let (before, after) = (&PATH[..at], &PATH[at + 1..]);
        all.insert(format!("{before}%{:02x}{after}", u32::from(letter)));
        all.insert(format!("{before}%{:02X}{after}", u32::from(letter)));
        all.insert(format!("{before}%25{:02x}{after}", u32::from(letter)));
        all.insert(format!("{before}{}{after}", letter.to_uppercase()));
        all.insert(format!("{before}{after}"));
        all.extend(BETWEEN.iter().map(|more| format!("{before}{letter}{more}{after}")));
    }
    all.extend(["/hooks/x/../github", "/..%2fhooks/github", "/hooks/./github", "/%2e/hooks/github", "/hooks/github/.."].map(str::to_owned));
    all.retain(|path| path != PATH && path.starts_with('/'));
    all
}

fn status(door: SocketAddr, path: &str) -> u16 {
    let ring = Ring { path: path.to_owned(), ..github(PATH, SECRET, path, path.as_bytes()) };
    Connection::plain(door).and_then(|mut connection| connection.exchange(&ring)).expect("an answer").status
}

#[test]
fn a_path_is_ours_byte_for_byte_or_not_at_all() {
    let gateway = gateway();
    let spellings = spellings();
    assert!(spellings.len() >= 200, "{} spellings", spellings.len());
    for path in &spellings {
        assert_eq!(status(gateway.door(), path), 404, "{path}");
    }
    assert_eq!(status(gateway.door(), PATH), 200);
    let metrics = gateway.metrics();
    assert_eq!(metrics.count("rejected_total", &[("source", "_unmatched"), ("reason", "unknown_path")]), spellings.len() as u64);
    assert_eq!(metrics.count("requests_total", &[("result", "unrouted")]), 1);
}
