//! The demo's target: takes every delivery, answers 200, and says what it got. Just enough HTTP for our own client, on loopback.

use std::{io, net::SocketAddr};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a request's body.
const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A delivery as the target got it.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) event_id: String,
    pub(super) source: String,
    pub(super) kind: String,
    pub(super) attempt: String,
    /// When the gateway had received the event, as it wrote it.
    pub(super) received_at: String,
    pub(super) body_bytes: u64,
}

/// A target that listens on a free port of loopback.
#[derive(Debug)]
pub(super) struct Echo {
    listener: TcpListener,
}

impl Echo {
    /// Listens; needs a runtime.
    pub(super) async fn bind() -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(("127.0.0.1", 0)).await? })
    }

    /// Where.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped.
    pub(super) async fn serve(self, to: mpsc::UnboundedSender<Received>) {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = self.listener.accept() => connections.push(serve_one(stream, to.clone())),
                // A connection that breaks is the gateway's to mend: it tries again.
                Some(_ended) = connections.next(), if !connections.is_empty() => {}
            }
        }
    }
}

async fn serve_one(stream: TcpStream, to: mpsc::UnboundedSender<Received>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(received) = read(&mut stream).await? {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
        // Nobody listens any more once the demo is over.
        let _ = to.send(received);
    }
    Ok(())
}

/// One whole request; `None` when the connection ended between two.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Received>> {
    let mut received = Received::default();
    let mut head = (&mut *stream).take(HEAD_BYTES_MAX);
    let mut line = String::new();
    loop {
        line.clear();
        if head.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        let Some((name, value)) = text.split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "hookgate-event-id" => received.event_id = value.to_owned(),
            "hookgate-source" => received.source = value.to_owned(),
            "hookgate-event-type" => received.kind = value.to_owned(),
            "hookgate-attempt" => received.attempt = value.to_owned(),
            "hookgate-received-at" => received.received_at = value.to_owned(),
            "content-length" => received.body_bytes = value.parse().map_err(io::Error::other)?,
            _ => {}
        }
    }
    if received.body_bytes > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    tokio::io::copy(&mut (&mut *stream).take(received.body_bytes), &mut tokio::io::sink()).await?;
    Ok(Some(received))
}
