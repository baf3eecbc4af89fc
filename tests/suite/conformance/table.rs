//! A case: raw bytes, the rule they are held against, and how they must end.
//!
//! Bytes are written as text with marks in it: `@POST` a good request line, `@HOST` a good Host, `@PROOF` the fields that sign `@BODY`,
//! `@LEN` and `@HEX` its length, `@CHUNKED` a head for chunks and `@CHUNKS` it as chunks, `@INNER` a whole request, `@REST` a good request
//! from its proof on and `@SIGNED` from its Host on, `@FF` a byte that is no text, `@[3*x]` a text three times. Every case is signed where
//! it can be: a gateway that took it by mistake would store it, and the test would see that.

use crate::support::sender::{SECRET, github_signature};

/// How much a rule binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// An RFC's MUST.
    Must,
    /// An RFC's SHOULD, or "ought to".
    Should,
    /// An RFC's MAY: what we chose.
    May,
    /// Ours: no RFC speaks of it.
    Ours,
}

/// How a case ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// One answer, with one of these statuses, and the connection is closed; a good request sent right behind it is never looked at.
    Refused(&'static [u16]),
    /// As `Refused(&[400])`, in the middle of a body: actix writes a second 400 behind ours, which has said that it is the last.
    Broken,
    /// One answer with this status, nothing stored, and the next request on the connection is taken.
    Answered(u16),
    /// Stored and answered 200, and the next request on the connection is taken.
    Taken,
    /// Stored and answered 200, and the connection is closed: a good request sent right behind it is never looked at.
    TakenLast,
    /// The client stops sending in the middle: one answer with one of these statuses or none, nothing stored, and the end.
    Cut(&'static [u16]),
}

/// The rule, how much it binds, the name of the case, its bytes, its end.
pub(crate) type Row = (&'static str, Level, &'static str, &'static str, End);

/// What is left undone: the case as it ends today, what the rule wants instead, and why it is as it is.
pub(crate) type Deviation = (Row, &'static str, &'static str);

/// The body of the case of this name, which is unlike every other.
pub(crate) fn body(name: &str) -> String {
    format!("{{\"case\":\"{name}\"}}")
}

/// A good request, known by its name.
pub(crate) fn good(name: &str) -> Vec<u8> {
    fill(name, "@POST@SIGNED")
}

/// The bytes of a case.
pub(crate) fn fill(name: &str, wire: &str) -> Vec<u8> {
    let body = body(name);
    let signature = github_signature(SECRET, body.as_bytes());
    let proof = format!("X-Hub-Signature-256: {signature}\r\nX-GitHub-Delivery: {name}\r\nX-GitHub-Event: push\r\n");
    let marks = [
        ("@CHUNKED", "@POST@HOST@PROOFTransfer-Encoding: chunked\r\n\r\n"),
        ("@INLEN", &if wire.contains("@IN") { good(name).len().to_string() } else { String::new() }),
        ("@INHEX", &if wire.contains("@IN") { format!("{:x}", good(name).len()) } else { String::new() }),
        ("@INNER", "@POST@SIGNED"),
        ("@SIGNED", "@HOST@REST"),
        ("@REST", "@PROOFContent-Length: @LEN\r\n\r\n@BODY"),
        ("@POST", "POST /hooks/github HTTP/1.1\r\n"),
        ("@HOST", "Host: hooks.example.com\r\n"),
        ("@PROOF", &proof),
        ("@LEN", &body.len().to_string()),
        ("@HEX2", &format!("{:x}", body.len() - 1)),
        ("@HEXUP", &format!("{:X}", body.len())),
        ("@TAIL", &body[1..]),
        ("@16K", &"x".repeat(0x3fff)),
        ("@HEX", &format!("{:x}", body.len())),
        ("@CHUNKS", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
        ("@BODY", &body),
    ];
    let filled = marks.iter().fold(wire.to_owned(), |wire, (mark, text)| wire.replace(mark, text));
    let mut bytes = Vec::new();
    let mut rest = filled.as_str();
    while let Some(at) = rest.find('@') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("@FF") {
            bytes.push(0xff);
            rest = after;
        } else if let Some((times, text, after)) = repeated(rest) {
            bytes.extend_from_slice(text.repeat(times).as_bytes());
            rest = after;
        } else {
            bytes.push(b'@');
            rest = &rest[1..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn repeated(rest: &str) -> Option<(usize, &str, &str)> {
    let (inside, after) = rest.strip_prefix("@[")?.split_once(']')?;
    let (times, text) = inside.split_once('*')?;
    Some((times.parse().ok()?, text, after))
}

#[test]
fn marks_are_filled_in() {
    assert_eq!(fill("n", "@LEN @HEX @BODY @[3*ab]@FF a@b"), b"12 c {\"case\":\"n\"} ababab\xff a@b");
    assert!(String::from_utf8(fill("n", "@CHUNKS")).expect("text").starts_with("c\r\n{\"case\":\"n\"}\r\n0\r\n\r\n"));
}
