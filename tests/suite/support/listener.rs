//! Targets: an HTTP/1.1 server that hands every request to a function and does what it says, hanging up in the middle included.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{patience::SOON, wire::Fields};

/// A request as a target received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path with its query.
    pub path: String,
    /// The method.
    pub method: String,
    /// The fields in order, names in lower case.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first value of a field; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// The number of the attempt, 0 when it is missing.
    pub fn attempt(&self) -> u32 {
        self.header("hookgate-attempt").parse().unwrap_or(0)
    }
}

/// What a target does with a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Answers with this status.
    Status(u16),
    /// Takes this long, then answers with the status.
    Slow(Duration, u16),
    /// Answers with this status, and asks to be left alone for so many seconds (`Retry-After`).
    Later(u16, u32),
    /// Hangs up without a word.
    HangUp,
}

type React = dyn Fn(Received) -> Reaction + Send + Sync;

/// A running target; it stops listening when dropped.
pub struct Listener {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Listener {
    /// Listens on a free port of the loopback.
    pub fn start(react: impl Fn(Received) -> Reaction + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), react)
    }

    /// Listens on a port that was had before: a target that comes back.
    pub fn again(address: SocketAddr, react: impl Fn(Received) -> Reaction + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind(address).expect("the port of before"), react)
    }

    fn on(listener: TcpListener, react: impl Fn(Received) -> Reaction + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("bound");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, react): (_, Arc<React>) = (Arc::clone(&stop), Arc::new(react));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), react, stopped) = (stream, Arc::clone(&react), Arc::clone(&stopped)) else { continue };
                thread::spawn(move || {
                    // A gateway that is killed resets its connections; that is an end like any other.
                    let _ = serve(&stream, &*react, &stopped);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, stop, accepting: Some(accepting) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to configure.
    pub fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // One connection of our own, so that the accepting thread looks.
        let _ = TcpStream::connect_timeout(&self.address, SOON);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(stream: &TcpStream, react: &React, stopped: &AtomicBool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(received) = read(&mut reader)? {
        if stopped.load(Ordering::Acquire) {
            return Ok(());
        }
        let (status, field) = match react(received) {
            Reaction::Status(status) => (status, String::new()),
            Reaction::Slow(delay, status) => {
                thread::sleep(delay);
                (status, String::new())
            }
            Reaction::Later(status, seconds) => (status, format!("Retry-After: {seconds}\r\n")),
            Reaction::HangUp => return Ok(()),
        };
        let answer = if status == 204 {
            format!("HTTP/1.1 204 Said\r\n{field}\r\n")
        } else {
            format!("HTTP/1.1 {status} Said\r\n{field}Content-Length: 2\r\n\r\nok")
        };
        writer.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// One request; `None` at the end of the connection.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
    let first = line(reader)?;
    let mut parts = first.split(' ');
    let (Some(method), Some(path)) = (parts.next(), parts.next()) else { return Ok(None) };
    let mut received = Received { method: method.to_owned(), path: path.to_owned(), headers: Fields::new(), body: Vec::new() };
    loop {
        let field = line(reader)?;
        let Some((name, value)) = field.split_once(':') else { break };
        received.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = received.header("content-length").parse().unwrap_or(0);
    received.body.resize(length, 0);
    reader.read_exact(&mut received.body)?;
    Ok(Some(received))
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}
