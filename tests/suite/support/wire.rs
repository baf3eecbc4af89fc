//! HTTP/1.1 from the sender's side, byte by byte: a raw connection, plain or TLS, and the answer it gives. It never retries and repairs
//! nothing, so that a test can send what no library would.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

/// As long as any provider waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Header fields in order.
pub type Fields = Vec<(String, String)>;

/// A request as its sender would have it.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// `POST` unless said otherwise.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Without `Host` and `Content-Length`, which are added.
    pub headers: Fields,
    /// The exact body.
    pub body: Vec<u8>,
}

impl Ring {
    /// A POST.
    pub fn post(path: &str, headers: Fields, body: &[u8]) -> Self {
        Self { method: "POST".to_owned(), path: path.to_owned(), headers, body: body.to_vec() }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head, blank line included, with this `Content-Length`.
    pub fn head(&self, content_length: usize) -> Vec<u8> {
        let fields: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let first = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.path);
        format!("{first}{fields}Content-Length: {content_length}\r\n\r\n").into_bytes()
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head(self.body.len());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields in order, names in lower case.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What the gateway says it did: `accepted` or `duplicate`.
    pub fn result(&self) -> Option<&str> {
        self.header("hookgate-result")
    }

    /// The event's id.
    pub fn event_id(&self) -> Option<&str> {
        self.header("hookgate-event-id")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection to the gateway.
pub struct Connection(BufReader<Stream>);

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects, without TLS.
    pub fn plain(to: SocketAddr) -> io::Result<Self> {
        Ok(Self(BufReader::new(Stream::Plain(tcp(to)?))))
    }

    /// Connects and shakes hands for `localhost`; an error when the certificate or the version does not please the client.
    pub fn tls(to: SocketAddr, client: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(client, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, tcp(to)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(BufReader::new(Stream::Tls(Box::new(stream)))))
    }

    /// The protocol both sides agreed on by ALPN.
    pub fn protocol(&self) -> Option<String> {
        match self.0.get_ref() {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.0.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        match self.0.get_mut() {
            Stream::Plain(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)
            }
        }
    }

    /// One request, one answer. A server may refuse while the body is still on its way, so a failed write still looks for the answer.
    pub fn exchange(&mut self, ring: &Ring) -> io::Result<Answer> {
        let sent = self.send(&ring.bytes());
        self.answer().map_err(|error| sent.err().unwrap_or(error))
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let reader = &mut self.0;
        let first = line(reader)?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("no status line but {first:?}")))?;
        let mut headers = Fields::new();
        loop {
            let field = line(reader)?;
            let Some((name, value)) = field.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        answer.body = body(reader, &answer)?;
        Ok(answer)
    }

    /// Reads the status of an interim answer, which has no fields and no body.
    pub fn interim(&mut self) -> io::Result<u16> {
        let first = line(&mut self.0)?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        line(&mut self.0)?;
        status.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("no status line but {first:?}")))
    }

    /// Whether the server has hung up: the end of the stream, or a reset.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

fn tcp(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

fn body(reader: &mut impl BufRead, answer: &Answer) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = usize::from_str_radix(line(reader)?.trim(), 16).map_err(io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            line(reader)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match answer.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None if answer.status == 204 || answer.status == 304 => {}
        None => {
            reader.read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
