//! A target played from a script over raw TCP, so that it can do what no HTTP server would: reset, half-close, dribble, flood.
//!
//! It keeps its own book of every whole request it got, in order, with the connection it came by.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How long anything is waited for before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the target does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    /// Answers with this status, these extra header lines, and this body.
    Answer(u16, Vec<String>, Vec<u8>),
    /// Writes these bytes and then leaves the connection open, reading on.
    Bytes(Vec<u8>),
    /// Writes these bytes over and over until the client has had enough.
    Flood(Vec<u8>),
    /// Writes the first bytes, then the second over and over until the client has had enough.
    Endless(Vec<u8>, Vec<u8>),
    /// Closes its sending half without an answer.
    HalfClose,
    /// Says nothing, until the client hangs up.
    Silence,
    /// Closes with bytes unread, which resets the connection; the request itself is read only in part and not in the book.
    Reset,
    /// Answers 200 as if the connection were to stay open, and closes it.
    AnswerThenClose,
}

/// A whole request as the target got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `POST /path HTTP/1.1`.
    pub(crate) line: String,
    /// Names as they stood on the wire, and values.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// The exact body.
    pub(crate) body: Vec<u8>,
    /// Which connection it came by, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The value of a header that is there once.
    pub(crate) fn one(&self, name: &str) -> String {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all.into_iter().next().unwrap_or_default()
    }
}

#[derive(Default)]
struct Book {
    seen: Vec<Seen>,
    connections: usize,
    hung_up: usize,
}

type Script = Box<dyn FnMut(usize) -> Play + Send>;

struct Stage {
    book: Mutex<Book>,
    changed: Condvar,
    script: Mutex<(Script, usize)>,
}

/// A scripted target. Its threads end with their connections; the listener's when the process does.
pub(crate) struct ScriptedTarget {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    stage: Arc<Stage>,
}

impl ScriptedTarget {
    /// Plays `script`: given the number of the request, from 0, it says what to do.
    pub(crate) fn playing(script: impl FnMut(usize) -> Play + Send + 'static) -> Self {
        Self::on("127.0.0.1:0", script)
    }

    /// The same on an address of the test's choice.
    pub(crate) fn on(address: &str, script: impl FnMut(usize) -> Play + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let at = listener.local_addr().expect("bound");
        let stage = Arc::new(Stage { book: Mutex::default(), changed: Condvar::new(), script: Mutex::new((Box::new(script), 0)) });
        let of_listener = Arc::clone(&stage);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let stage = Arc::clone(&of_listener);
                let connection = stage.note(|book| {
                    book.connections += 1;
                    book.connections - 1
                });
                thread::spawn(move || {
                    stage.serve(stream, connection);
                    stage.note(|book| book.hung_up += 1);
                });
            }
        });
        Self { at, stage }
    }

    /// Always answers with this status.
    pub(crate) fn answering(status: u16) -> Self {
        Self::playing(move |_| answer(status))
    }

    /// `http://` and where it listens, and a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?a=1", self.at)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.stage.note(|book| book.seen.clone())
    }

    /// The connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.stage.note(|book| book.connections)
    }

    /// Waits until this many requests are in the book.
    pub(crate) fn wait_for(&self, requests: usize) -> Vec<Seen> {
        self.stage.wait(|book| book.seen.len() >= requests, "requests");
        self.seen()
    }

    /// Waits until this many connections have ended.
    pub(crate) fn wait_for_ends(&self, connections: usize) {
        self.stage.wait(|book| book.hung_up >= connections, "ends of connections");
    }
}

/// An answer with a short body.
pub(crate) fn answer(status: u16) -> Play {
    Play::Answer(status, vec![], format!("this is {status}").into_bytes())
}

impl Stage {
    fn note<T>(&self, note: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = note(&mut book);
        self.changed.notify_all();
        noted
    }

    fn wait(&self, enough: impl Fn(&Book) -> bool, what: &str) {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(book, PATIENCE, |book| !enough(book));
        let (book, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let (seen, connections, ended) = (book.seen.len(), book.connections, book.hung_up);
        assert!(!timeout.timed_out(), "no more {what}: {seen} requests, {connections} connections, {ended} ended");
    }

    fn next_play(&self) -> Play {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let number = script.1;
        script.1 += 1;
        (script.0)(number)
    }

    /// One connection, until either side has had enough. An error of the socket is the client's way of saying so.
    fn serve(&self, stream: TcpStream, connection: usize) {
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        loop {
            // Looked at, not read: what lies unread in the kernel when the socket is closed makes it send a reset.
            if reader.buffer().is_empty() && reader.get_ref().peek(&mut [0]).map_or(true, |bytes| bytes == 0) {
                return;
            }
            let play = self.next_play();
            if matches!(play, Play::Reset) {
                return;
            }
            let Some(seen) = read_request(&mut reader, connection) else { return };
            self.note(|book| book.seen.push(seen));
            let goes_on = match play {
                Play::Answer(status, lines, body) => writer.write_all(&framed(status, &lines, &body)).is_ok(),
                Play::AnswerThenClose => {
                    let _ = writer.write_all(&framed(200, &[], b"ok"));
                    false
                }
                Play::Bytes(bytes) => writer.write_all(&bytes).is_ok(),
                Play::Flood(bytes) => flood(&mut writer, &bytes),
                Play::Endless(head, bytes) => writer.write_all(&head).is_ok() && flood(&mut writer, &bytes),
                Play::HalfClose => writer.shutdown(Shutdown::Write).is_ok(),
                Play::Silence | Play::Reset => true,
            };
            if !goes_on {
                return;
            }
        }
    }
}

fn flood(writer: &mut TcpStream, bytes: &[u8]) -> bool {
    while writer.write_all(bytes).is_ok() {}
    false
}

fn framed(status: u16, lines: &[String], body: &[u8]) -> Vec<u8> {
    let extra: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let mut answer = format!("HTTP/1.1 {status} Scripted\r\n{extra}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn read_request(reader: &mut BufReader<TcpStream>, connection: usize) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
        let text = line.strip_suffix(b"\r\n")?;
        if text.is_empty() {
            break;
        }
        lines.push(text.to_vec());
    }
    let line = String::from_utf8(lines.first()?.clone()).ok()?;
    let headers: Vec<(String, Vec<u8>)> = lines[1..].iter().filter_map(|line| split(line)).collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line, headers, body, connection })
}

fn split(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((
        String::from_utf8_lossy(&line[..colon]).into_owned(),
        line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]).to_vec(),
    ))
}
