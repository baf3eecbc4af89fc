//! A case, tried: its bytes are sent, every byte that comes back is read, and what is wrong is said.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use super::table::{End, Row, fill, good};

/// Longer than the door takes to close a connection, and shorter than it keeps an idle one: what is open then has been kept.
const CLOSED_WITHIN: Duration = Duration::from_secs(8);

/// What came back on a connection.
struct Heard {
    answers: Vec<Answer>,
    /// Bytes that are no answer.
    rest: Vec<u8>,
    is_closed: bool,
}

struct Answer {
    status: u16,
    head: String,
    body_bytes: usize,
}

/// The name of the good request that follows a case on its connection.
pub(super) fn behind(name: &str) -> String {
    format!("behind {name}")
}

/// Whether the case itself is stored.
pub(super) fn is_taken(row: &Row) -> bool {
    matches!(row.4, End::Taken | End::TakenLast)
}

/// Whether the good request behind it is.
pub(super) fn next_is_taken(row: &Row) -> bool {
    matches!(row.4, End::Taken | End::Answered(_))
}

/// Tries a case; says everything that is wrong.
pub(super) fn run(door: SocketAddr, row: &Row) -> Vec<String> {
    let (rule, level, name, wire, end) = row;
    let heard = try_out(door, row);
    let mut wrong = Vec::new();
    let finals: Vec<&Answer> = heard.answers.iter().filter(|answer| answer.status >= 200).collect();
    let statuses: Vec<u16> = finals.iter().map(|answer| answer.status).collect();
    let fits = match end {
        End::Refused(allowed) => matches!(statuses[..], [one] if allowed.contains(&one)) && heard.is_closed,
        End::Broken => statuses.first() == Some(&400) && statuses.iter().all(|status| *status == 400) && heard.is_closed,
        End::Answered(status) => statuses == [*status, 200],
        End::Taken => statuses == [200, 200],
        End::TakenLast => statuses == [200] && heard.is_closed,
        End::Cut(allowed) => statuses.len() <= 2 && statuses.iter().all(|status| allowed.contains(status)) && heard.is_closed,
    };
    if !fits {
        wrong.push(format!("{statuses:?}, {}, instead of {end:?}", if heard.is_closed { "closed" } else { "kept" }));
    }
    if !heard.rest.is_empty() {
        wrong.push(format!("{} bytes that are no answer: {:?}", heard.rest.len(), String::from_utf8_lossy(&heard.rest)));
    }
    let asks_to_go_on = wire.to_ascii_lowercase().contains("100-continue") && !wire.contains("HTTP/1.0");
    let interim = heard.answers.len() - finals.len();
    if interim > usize::from(asks_to_go_on) {
        wrong.push(format!("{interim} interim answers"));
    }
    if matches!(end, End::Broken) && !finals.first().is_some_and(|first| first.has("connection: close")) {
        wrong.push("the first answer does not say that it is the last".to_owned());
    }
    for answer in finals {
        wrong.extend(answer.faults(wire.starts_with("HEAD ")));
    }
    wrong.into_iter().map(|what| format!("RFC {rule} {level:?}: {name}: {what}")).collect()
}

fn try_out(door: SocketAddr, row: &Row) -> Heard {
    let (_, _, name, wire, end) = row;
    let is_head = wire.starts_with("HEAD ");
    let mut stream = TcpStream::connect(door).expect("the door listens");
    stream.set_read_timeout(Some(CLOSED_WITHIN)).expect("a timeout");
    let next = good(&behind(name));
    let mut bytes = fill(name, wire);
    let is_kept = next_is_taken(row);
    if !is_kept && !matches!(end, End::Cut(_)) {
        bytes.extend_from_slice(&next);
    }
    // The door may hang up while the rest is on its way.
    let _ = stream.write_all(&bytes);
    if matches!(end, End::Cut(_)) {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut read = Vec::new();
    if !is_kept {
        let is_closed = read_until(&mut stream, &mut read, |_| false);
        return heard(&read, is_head, is_closed);
    }
    let so_many = |finals: usize| {
        move |read: &[u8]| heard(read, is_head, false).answers.iter().filter(|answer| answer.status >= 200).count() >= finals
    };
    let mut is_closed = read_until(&mut stream, &mut read, so_many(1));
    if !is_closed && stream.write_all(&next).is_ok() {
        is_closed = read_until(&mut stream, &mut read, so_many(2));
    }
    heard(&read, is_head, is_closed)
}

/// Reads until `enough` holds or nothing more comes; says whether the connection was closed.
fn read_until(stream: &mut TcpStream, into: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) -> bool {
    let mut piece = [0; 8192];
    while !enough(into) {
        match stream.read(&mut piece) {
            Ok(0) => return true,
            Ok(bytes) => into.extend_from_slice(&piece[..bytes]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(_) => return true,
        }
    }
    false
}

/// What was read, as answers. The first is one to a HEAD, if `is_head`.
fn heard(read: &[u8], is_head: bool, is_closed: bool) -> Heard {
    let (mut answers, mut rest) = (Vec::new(), read);
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end + 2]).to_ascii_lowercase();
        let Some(status) = head.strip_prefix("http/1.").and_then(|head| head.get(2..5)?.parse().ok()) else { break };
        let announced: usize = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let body_bytes = if is_head && answers.is_empty() { 0 } else { announced };
        let Some(after) = rest.get(end + 4 + body_bytes..) else { break };
        answers.push(Answer { status, head, body_bytes });
        rest = after;
    }
    Heard { answers, rest: rest.to_vec(), is_closed }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(':')).find(|(other, _)| *other == name).map(|(_, value)| value.trim())
}

impl Answer {
    fn has(&self, line: &str) -> bool {
        self.head.lines().any(|other| other == line)
    }

    /// What no answer may lack, whatever it says (RFC 9110: 6.6.1, 8.6, 9.3.2, 11.6.1, 15.5.6).
    fn faults(&self, is_to_head: bool) -> Vec<String> {
        let mut faults = Vec::new();
        let mut needs = |name: &str| {
            if field(&self.head, name).is_none() {
                faults.push(format!("{} without {name}", self.status));
            }
        };
        needs("date");
        if !is_to_head {
            needs("content-length");
        }
        match self.status {
            401 => needs("www-authenticate"),
            405 => needs("allow"),
            503 => needs("retry-after"),
            200 => needs("hookgate-event-id"),
            _ => {}
        }
        if field(&self.head, "transfer-encoding").is_some() {
            faults.push(format!("{} in chunks", self.status));
        }
        if self.body_bytes > 1024 {
            faults.push(format!("{} with {} bytes of body", self.status, self.body_bytes));
        }
        faults
    }
}
