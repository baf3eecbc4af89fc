//! A client that writes raw bytes and reads raw answers, so that nothing is tidied up on the way.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::setting::{PATH, SECRET, Setting, signature};

/// Longer than anything a test waits for: a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(setting: &Setting) -> Self {
        let stream = TcpStream::connect(setting.addr).expect("the door listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self::over(stream)
    }

    /// Ends our side; the other may still answer.
    pub(crate) fn say_no_more(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("an open socket");
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).expect("an open connection");
        self
    }

    /// Sends while the other side still listens, which it need not.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush())
    }

    /// The next answer; `None` when the connection ends first.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.read_more() {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end);
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().expect("a number"));
        while self.unread.len() < length && self.read_more() {}
        let body = self.unread.drain(..length.min(self.unread.len())).collect();
        Some(Reply { status, headers, body })
    }

    /// Waits for the end of the connection. `false` when it is still open after [`PATIENCE`].
    pub(crate) fn is_cut(&mut self) -> bool {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            }
        }
    }

    /// The connection itself.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    fn read_more(&mut self) -> bool {
        let mut more = [0; 4096];
        match self.stream.read(&mut more) {
            Ok(0) => false,
            Ok(bytes) => {
                self.unread.extend_from_slice(&more[..bytes]);
                true
            }
            Err(error) => {
                assert!(!matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "no answer");
                false
            }
        }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Everything but what changes with the time, and the order of the fields, which actix throws dice for.
    pub(crate) fn timeless(&self) -> Self {
        let mut headers: Vec<(String, String)> = self.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
        headers.sort();
        Self { headers, ..self.clone() }
    }
}

/// A request GitHub would send, with further fields.
pub(crate) fn signed(body: &[u8], delivery: &str, fields: &[&str]) -> Vec<u8> {
    let signature = format!("X-Hub-Signature-256: {}", signature(SECRET, body));
    let id = format!("X-GitHub-Delivery: {delivery}");
    let mut all = vec![signature.as_str(), id.as_str(), "X-GitHub-Event: push", "Content-Type: application/json"];
    all.extend(fields);
    request("POST", PATH, &all, body)
}

/// A request with a `Content-Length`.
pub(crate) fn request(method: &str, target: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for field in fields {
        bytes.extend_from_slice(field.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One request on a connection of its own.
pub(crate) fn ring(setting: &Setting, request: &[u8]) -> Reply {
    Client::connect(setting).send(request).reply().expect("an answer")
}
