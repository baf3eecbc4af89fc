//! One HTTP call, as received: the exact bytes, before anyone has believed a word of it.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr3};
use smallvec::SmallVec;

use crate::{clock::UnixMs, limits::HEADER_FIELDS_MAX};

/// A request as it stood on the wire. Nothing in it is trusted; only `verify` makes a `Verified` of it.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// The method, as received (`POST`).
    pub method: Box<str>,
    /// The path, as received: no decoding, no normalisation.
    pub path: Box<str>,
    /// What followed the `?`, as received; `None` without one.
    pub query: Option<Box<str>>,
    /// All header fields, in order.
    pub headers: Headers,
    /// The exact body.
    pub body: Bytes,
    /// The client: the peer, or what a trusted proxy said.
    pub client_ip: IpAddr,
    /// When the last byte of the body had arrived.
    pub received_at: UnixMs,
}

/// A block of header fields in one buffer, `name: value\r\n` each: built once at the door, stored, and read again at delivery without a
/// copy. Names keep the spelling they came with and are compared without regard to case; values are bytes.
#[derive(Clone, Default)]
pub struct Headers {
    block: Bytes,
    fields: SmallVec<[Field; 24]>,
}

/// The bytes of a token, by their number: every name of every request is asked byte by byte.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        token[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    token
};

/// Where one field stands in the block.
#[derive(Clone, Copy)]
struct Field {
    name: u32,
    name_bytes: u16,
    value: u32,
    value_bytes: u32,
}

/// How often a header occurs, and its value when that is once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single<'a> {
    /// It is not there.
    Absent,
    /// It is there once.
    One(&'a [u8]),
    /// It is there more than once: in a place that is verified, a reason to refuse.
    Repeated,
}

/// Whether this is a token (RFC 9110, 5.6.2), as the name of a field has to be.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether a token may have this byte in it.
#[must_use]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether a field's name begins so, without regard to case.
#[must_use]
pub fn name_begins(name: &str, start: &str) -> bool {
    name.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start))
}

impl Headers {
    /// The fields in order: name as spelled, value as received.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (self.name(*field), self.value(*field)))
    }

    /// Every value of the named field, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.named(name).map(|field| self.value(field))
    }

    /// The value of a field that must not be repeated.
    #[must_use]
    pub fn single(&self, name: &str) -> Single<'_> {
        let mut found = self.named(name);
        match (found.next(), found.next()) {
            (None, _) => Single::Absent,
            (Some(field), None) => Single::One(self.value(field)),
            (Some(_), Some(_)) => Single::Repeated,
        }
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The whole block, as it is stored.
    #[must_use]
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// Reads a stored block again; `None` when it is not one.
    #[must_use]
    pub fn parse(block: Bytes) -> Option<Self> {
        let mut fields = SmallVec::new();
        let mut at = 0;
        while at < block.len() {
            // No field has a CR in it, so the first one ends it.
            let line_bytes = memchr(b'\r', &block[at..]).filter(|end| block.get(at + end + 1) == Some(&b'\n'))?;
            let line = &block[at..at + line_bytes];
            let name_bytes = memchr(b':', line)?;
            std::str::from_utf8(&line[..name_bytes]).ok()?;
            if line.get(name_bytes + 1) != Some(&b' ') || fields.len() == HEADER_FIELDS_MAX * 2 {
                return None;
            }
            fields.push(Field {
                name: u32::try_from(at).ok()?,
                name_bytes: u16::try_from(name_bytes).ok()?,
                value: u32::try_from(at + name_bytes + 2).ok()?,
                value_bytes: u32::try_from(line_bytes - name_bytes - 2).ok()?,
            });
            at += line_bytes + 2;
        }
        Some(Self { block, fields })
    }

    /// The fields of this name, looked for by length and then as bytes: reading every name as text first costs more than comparing it.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Field> + 'a {
        let is_named = move |field: &Field| {
            usize::from(field.name_bytes) == name.len() && self.name_bytes(*field).eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.iter().copied().filter(is_named)
    }

    fn name_bytes(&self, field: Field) -> &[u8] {
        let start = field.name as usize;
        &self.block[start..start + usize::from(field.name_bytes)]
    }

    fn name(&self, field: Field) -> &str {
        // Both makers of a block have checked its names; a name that is not text reads as none.
        std::str::from_utf8(self.name_bytes(field)).unwrap_or_default()
    }

    fn value(&self, field: Field) -> &[u8] {
        let start = field.value as usize;
        &self.block[start..start + field.value_bytes as usize]
    }
}

impl std::fmt::Debug for Headers {
    /// Names only: a value may be a credential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Builds a block, field by field.
#[derive(Debug, Default)]
pub struct HeadersBuilder {
    block: BytesMut,
    fields: SmallVec<[Field; 24]>,
}

impl HeadersBuilder {
    /// A builder with room for a usual request.
    #[must_use]
    pub fn new() -> Self {
        Self { block: BytesMut::with_capacity(1024), fields: SmallVec::new() }
    }

    /// Adds a field. A name that is not a token or a value with a line end in it could smuggle a second field in: both are left out, and
    /// the answer is `false`.
    pub fn push(&mut self, name: &str, value: &[u8]) -> bool {
        let name_fits = is_token(name);
        let value_fits = memchr3(b'\r', b'\n', 0, value).is_none();
        let (Ok(name_bytes), true, true) = (u16::try_from(name.len()), name_fits, value_fits) else {
            return false;
        };
        let (Ok(start), Ok(value_bytes)) = (u32::try_from(self.block.len()), u32::try_from(value.len())) else {
            return false;
        };
        self.block.extend_from_slice(name.as_bytes());
        self.block.extend_from_slice(b": ");
        self.block.extend_from_slice(value);
        self.block.extend_from_slice(b"\r\n");
        self.fields.push(Field { name: start, name_bytes, value: start + u32::from(name_bytes) + 2, value_bytes });
        true
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.block.len()
    }

    /// The finished block.
    #[must_use]
    pub fn build(self) -> Headers {
        Headers { block: self.block.freeze(), fields: self.fields }
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.name, self.name_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut builder = HeadersBuilder::new();
        assert!(builder.push("X-Id", b"one"));
        assert!(builder.push("x-id", b"two"));
        assert!(builder.push("Empty", b""));
        assert!(builder.push("Bytes", b"\xff: \x80"));
        builder.build()
    }

    #[test]
    fn a_block_reads_back_as_it_was_built() {
        let built = sample();
        let read = Headers::parse(built.block().clone()).expect("our own block");
        assert_eq!(built.iter().collect::<Vec<_>>(), read.iter().collect::<Vec<_>>());
        assert_eq!(read.single("empty"), Single::One(b""));
        assert_eq!(read.single("X-ID"), Single::Repeated);
        assert_eq!(read.single("nope"), Single::Absent);
        assert_eq!(read.all("x-id").count(), 2);
    }

    #[test]
    fn nothing_smuggles_a_second_field_in() {
        let mut builder = HeadersBuilder::new();
        for (name, value) in [("a b", &b"v"[..]), ("", b"v"), ("a", b"v\r\nb: c"), ("a", b"v\nb"), ("a\r\nb", b"v")] {
            assert!(!builder.push(name, value));
        }
        assert!(builder.build().is_empty());
    }

    #[test]
    fn a_damaged_block_is_refused_not_guessed() {
        for bad in ["no line end", "noblank:value\r\n", "nocolon\r\n"] {
            assert!(Headers::parse(Bytes::from(bad)).is_none(), "{bad}");
        }
    }
}
