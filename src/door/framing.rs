//! Where heads and bodies are in what a client sends, followed byte by byte, so that actix can be told in its own words what it would read
//! otherwise than the RFCs ask.
//!
//! What is changed keeps its length, and is never a length, a size, or a line's end that counts: where a request ends is for actix alone
//! to say, and no mistake made here moves it. Three changes make a request readable: a comma in the value of `Transfer-Encoding` becomes a
//! blank, so that a list whose other members are empty reads as its one coding, and a list of two reads as nothing that there is (RFC 9110,
//! 5.6.1.2); a minor version above 1 becomes 1 (RFC 9110, 2.5). All others make one unreadable that should not be read.
//!
//! Bytes are followed from the first of a connection on, body by body. What is not understood ends that for the rest of the connection:
//! then nothing is changed any more.

use memchr::{memchr, memchr3};

use crate::{
    limits::{CHUNK_EXTENSION_BYTES_MAX, HEADER_FIELDS_MAX},
    request::is_token_byte,
};

/// What no request line has in it.
const NO_TARGET: u8 = 0x7f;
/// What a target may end at, one way or another.
const TARGET_ENDS: [u8; 3] = [b' ', b'#', b'\n'];
/// What stands in no line of chunks.
const NO_LINE: u8 = 0;
/// The name of a field is compared as far as it may be one of these.
const CODING: &[u8] = b"transfer-encoding";
const LENGTH: &[u8] = b"content-length";
const VERSION: &[u8] = b"HTTP/1.";

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    place: Place,
    /// What the head being read says of its body.
    body: Body,
    /// The name of the field being read, in lower case, as far as it is looked at.
    name: [u8; CODING.len()],
    /// Bytes of the extensions of this body.
    extensions: usize,
    /// Trailers of this body.
    trailers: usize,
}

/// What a head says of the body behind it.
#[derive(Clone, Copy, Debug, Default)]
struct Body {
    in_chunks: bool,
    length: Option<u64>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// A request, or empty lines before it.
    #[default]
    Between,
    Method,
    Target,
    /// So many bytes of the version have been what they should be.
    Version(usize),
    /// The rest of a request line.
    Line,
    /// The name of a field, of which so many bytes have come; or the empty line.
    Name(usize),
    /// The LF of the empty line.
    HeadEnd,
    Value(Field),
    /// So many bytes of a body.
    Body(u64),
    /// The size of a chunk, once a digit of it has come.
    Size(Option<u64>),
    /// Blanks behind the size.
    Blank(u64),
    Extension(u64),
    SizeEnd(u64),
    Chunk(u64),
    ChunkCr,
    ChunkLf,
    /// A trailer, or the empty line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    BodyEnd,
    /// One more byte to spoil.
    Spoiled,
    /// Nothing is followed any more.
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Coding,
    Length,
    Other,
}

impl Framing {
    /// Follows what has come, and changes what actix is to read in another way.
    pub(super) fn follow(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while let Some(first) = rest.first_mut() {
            let passed = match self.place {
                Place::Lost => return,
                Place::Body(left) | Place::Chunk(left) => self.pass(left, rest.len()),
                // Most of a head are values in which only their end matters.
                Place::Value(Field::Other) if *first != b'\n' => memchr(b'\n', rest).unwrap_or(rest.len()),
                Place::Target if !TARGET_ENDS.contains(first) => {
                    let [blank, fragment, line] = TARGET_ENDS;
                    memchr3(blank, fragment, line, rest).unwrap_or(rest.len())
                }
                Place::Between | Place::Method | Place::Target | Place::Version(_) | Place::Line => self.in_line(first),
                Place::Name(_) | Place::HeadEnd | Place::Value(_) => self.in_fields(first),
                Place::Size(_) | Place::Blank(_) | Place::Extension(_) | Place::SizeEnd(_) | Place::ChunkCr | Place::ChunkLf => {
                    self.in_chunks(first)
                }
                Place::Trailer | Place::TrailerName | Place::TrailerValue | Place::TrailerEnd | Place::BodyEnd | Place::Spoiled => {
                    self.in_trailers(first)
                }
            };
            rest = rest.get_mut(passed..).unwrap_or_default();
        }
    }

    /// Passes over data; says how much of it.
    fn pass(&mut self, left: u64, here: usize) -> usize {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(here);
        // No piece has more bytes than 64 bits count.
        let left = left.saturating_sub(u64::try_from(passed).unwrap_or(u64::MAX));
        self.place = match (self.place, left) {
            (Place::Chunk(_), 0) => Place::ChunkCr,
            (Place::Chunk(_), left) => Place::Chunk(left),
            (_, 0) => Place::Between,
            (_, left) => Place::Body(left),
        };
        passed
    }

    fn in_line(&mut self, byte: &mut u8) -> usize {
        self.place = match (self.place, *byte) {
            (Place::Between, b'\r' | b'\n') => Place::Between,
            (Place::Method, b' ') => Place::Target,
            (Place::Method, b'\n') => Place::Lost,
            (Place::Between | Place::Method, _) => Place::Method,
            (Place::Target, b' ') => Place::Version(0),
            // A fragment is not sent (RFC 9112, 3.2), and actix would cut it off unseen.
            (Place::Target, b'#') => {
                *byte = NO_TARGET;
                Place::Lost
            }
            (Place::Target, b'\n') => Place::Lost,
            (Place::Target, _) => Place::Target,
            (_, b'\n') => {
                self.body = Body::default();
                Place::Name(0)
            }
            (Place::Version(at), b'2'..=b'9') if at == VERSION.len() => {
                *byte = b'1';
                Place::Line
            }
            (Place::Version(at), other) if VERSION.get(at) == Some(&other) => Place::Version(at + 1),
            _ => Place::Line,
        };
        1
    }

    fn in_fields(&mut self, byte: &mut u8) -> usize {
        self.place = match (self.place, *byte) {
            (Place::Name(0), b'\r') => Place::HeadEnd,
            (Place::Name(0) | Place::HeadEnd, b'\n') => self.head_ends(),
            (Place::HeadEnd, _) => Place::Lost,
            (Place::Name(_) | Place::Value(_), b'\n') => Place::Name(0),
            (Place::Name(length), b':') => Place::Value(self.field(length)),
            (Place::Name(at), other) => {
                if let Some(own) = self.name.get_mut(at) {
                    *own = other.to_ascii_lowercase();
                }
                Place::Name(at.saturating_add(1))
            }
            (Place::Value(Field::Coding), b',') => {
                *byte = b' ';
                self.place
            }
            (Place::Value(Field::Length), digit @ b'0'..=b'9') => {
                let before = self.body.length.unwrap_or_default();
                self.body.length = before.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
                if self.body.length.is_some() { self.place } else { Place::Lost }
            }
            (Place::Value(Field::Length), b' ' | b'\t' | b'\r') => self.place,
            (Place::Value(Field::Length), _) => Place::Lost,
            _ => self.place,
        };
        1
    }

    fn field(&mut self, length: usize) -> Field {
        match self.name.get(..length) {
            Some(CODING) => {
                self.body.in_chunks = true;
                Field::Coding
            }
            Some(LENGTH) => Field::Length,
            _ => Field::Other,
        }
    }

    /// A head that actix takes has a coding, which is `chunked`, or a length, or neither and no body.
    fn head_ends(&mut self) -> Place {
        match self.body {
            Body { in_chunks: true, length: None } => {
                (self.extensions, self.trailers) = (0, 0);
                Place::Size(None)
            }
            Body { in_chunks: true, length: Some(_) } => Place::Lost,
            Body { length: Some(length @ 1..), .. } => Place::Body(length),
            Body { .. } => Place::Between,
        }
    }

    fn in_chunks(&mut self, byte: &mut u8) -> usize {
        self.place = match (self.place, *byte) {
            (Place::Size(size), digit) if digit.is_ascii_hexdigit() => {
                let value = char::from(digit).to_digit(16).unwrap_or_default();
                let larger = size.unwrap_or_default().checked_mul(16).and_then(|size| size.checked_add(u64::from(value)));
                larger.map_or(Place::Lost, |size| Place::Size(Some(size)))
            }
            (Place::Size(Some(size)) | Place::Blank(size), b' ' | b'\t') => Place::Blank(size),
            (Place::Size(Some(size)) | Place::Blank(size), b';') => Place::Extension(size),
            (Place::Size(Some(size)) | Place::Extension(size), b'\r') => Place::SizeEnd(size),
            // Blanks belong to an extension, and there is none (RFC 9112, 7.1).
            (Place::Blank(_), b'\r') => spoil(byte),
            (Place::Extension(size), _) => {
                self.extensions += 1;
                if self.extensions > CHUNK_EXTENSION_BYTES_MAX { spoil(byte) } else { Place::Extension(size) }
            }
            (Place::SizeEnd(0), b'\n') => Place::Trailer,
            (Place::SizeEnd(size), b'\n') => Place::Chunk(size),
            (Place::ChunkCr, b'\r') => Place::ChunkLf,
            (Place::ChunkLf, b'\n') => Place::Size(None),
            _ => Place::Lost,
        };
        1
    }

    /// actix throws trailers away unread: a CR that no LF follows is what it takes no offence at but in them.
    fn in_trailers(&mut self, byte: &mut u8) -> usize {
        let is_text = |byte: u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        self.place = match (self.place, *byte) {
            (Place::Spoiled, _) => spoil(byte),
            (Place::Trailer, b'\r') => Place::BodyEnd,
            (Place::Trailer, first) if is_token_byte(first) && self.trailers < HEADER_FIELDS_MAX => {
                self.trailers += 1;
                Place::TrailerName
            }
            (Place::TrailerName, b':') => Place::TrailerValue,
            (Place::TrailerName, other) if is_token_byte(other) => Place::TrailerName,
            (Place::TrailerValue, b'\r') => Place::TrailerEnd,
            (Place::TrailerValue, other) if is_text(other) => Place::TrailerValue,
            (Place::Trailer | Place::TrailerName | Place::TrailerValue, _) => {
                *byte = b'\r';
                Place::Spoiled
            }
            (Place::TrailerEnd, b'\n') => Place::Trailer,
            (Place::BodyEnd, b'\n') => Place::Between,
            _ => Place::Lost,
        };
        1
    }
}

/// What actix gets to read of a connection's bytes that come in pieces of this size: for those who try it with arbitrary bytes.
#[must_use]
pub fn followed(bytes: &[u8], piece: usize) -> Vec<u8> {
    let (mut framing, mut bytes) = (Framing::default(), bytes.to_vec());
    bytes.chunks_mut(piece.max(1)).for_each(|piece| framing.follow(piece));
    bytes
}

/// Makes a line of chunks unreadable.
fn spoil(byte: &mut u8) -> Place {
    *byte = NO_LINE;
    Place::Lost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(text: &str) -> String {
        let whole = super::followed(text.as_bytes(), text.len());
        for size in 1..7 {
            assert_eq!(super::followed(text.as_bytes(), size), whole, "in pieces of {size}");
        }
        String::from_utf8(whole).expect("still text")
    }

    #[test]
    fn a_coding_stands_alone_whatever_empty_members_stand_beside_it() {
        for (list, read) in [
            ("chunked", "chunked"),
            (", chunked", "  chunked"),
            ("chunked,", "chunked "),
            (",,chunked, ,", "  chunked   "),
            ("chunked,chunked", "chunked chunked"),
            ("gzip, chunked", "gzip  chunked"),
            ("chun,ked", "chun ked"),
            (",", " "),
        ] {
            let with = |list: &str| format!("POST / HTTP/1.1\r\ntransfer-ENCODING: {list}\r\nX: a,b\r\n\r\n3\r\n,\r\n\r\n0\r\n\r\n");
            assert_eq!(followed(&with(list)), with(read));
        }
    }

    #[test]
    fn what_is_no_head_is_left_as_it_is() {
        let line = "\r\nTransfer-Encoding: ,chunked,\r\n\r\n";
        let size = line.len();
        for text in [
            format!("POST /,?, HTTP/1.1\r\nContent-Length: {size}\r\n\r\n{line}GET / HTTP/1.1\r\nX-Transfer-Encoding: ,\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{size:x};a,b\r\n{line}\r\n0\r\nTransfer-Encoding: ,a\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n{line}"),
            format!("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{line}"),
            format!("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n{line}"),
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{line}"),
            format!("POST / HTTP/1.1\r\nTransfer-Encoding : , chunked\r\n , chunked\r\n\r\n{}", "GET"),
            format!("GET /\r\n{line}"),
        ] {
            assert_eq!(followed(&text), text);
        }
    }

    #[test]
    fn each_request_of_a_connection_is_followed() {
        let head = |list: &str| format!("\r\nPOST / HTTP/1.1\nHost: a\r\nTransfer-Encoding:{list}\r\n\r\n");
        let bodies = ["0\r\n\r\n", "2 ;x\r\n\r\n\r\n0\r\nX-A:\r\nB: c\t\u{e9}\r\n\r\n", "1;\"a\r\n0\r\n1\r\n1\r\n000;\r\n\r\n"];
        let all = |list: &str| bodies.map(|body| head(list) + body).concat() + "GET / HTTP/1.0\r\ncontent-length:  007 \r\n\r\n,,,,,,,";
        assert_eq!(followed(&(all(",chunked") + &head(","))), all(" chunked") + &head(" "));
    }

    #[test]
    fn a_version_above_ours_is_read_as_ours() {
        for (version, read) in [("HTTP/1.2", "HTTP/1.1"), ("HTTP/1.9", "HTTP/1.1"), ("HTTP/1.1", "HTTP/1.1"), ("HTTP/1.0", "HTTP/1.0")] {
            assert_eq!(followed(&format!("GET /HTTP/1.3 {version}\r\n\r\n")), format!("GET /HTTP/1.3 {read}\r\n\r\n"));
        }
        for other in ["HTTP/2.2", "HTTP/1.x2", "http/1.2", "HTTP/1..2"] {
            let line = format!("GET / {other}\r\n\r\n");
            assert_eq!(followed(&line), line);
        }
    }

    #[test]
    fn what_should_not_be_read_cannot_be_read() {
        assert_eq!(followed("GET /a#b HTTP/1.1\r\n\r\n"), "GET /a\u{7f}b HTTP/1.1\r\n\r\n");
        let chunks = |rest: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
        let long = ";".repeat(CHUNK_EXTENSION_BYTES_MAX + 1);
        for (sent, read) in [
            ("1 \r\na\r\n0\r\n\r\n", "1 \0\na\r\n0\r\n\r\n"),
            ("0\r\nA: b\nC: d\r\n\r\n", "0\r\nA: b\r\0: d\r\n\r\n"),
            ("0\r\nno field\r\n\r\n", "0\r\nno\r\0ield\r\n\r\n"),
            ("0\r\nA: \0\r\n\r\n", "0\r\nA: \r\0\n\r\n"),
            ("0\r\n\n\r\n", "0\r\n\r\0\n"),
            ("0\r\nA: b\r\n c\r\n\r\n", "0\r\nA: b\r\n\r\0\r\n\r\n"),
            (&format!("0\r\n{}\r\n", "A: b\r\n".repeat(97)), &format!("0\r\n{}\r\0 b\r\n\r\n", "A: b\r\n".repeat(96))),
            (&format!("0;{long};\r\n\r\n"), &format!("0;{}\0;\r\n\r\n", &long[1..])),
        ] {
            assert_eq!(followed(&chunks(sent)), chunks(read));
        }
    }
}
