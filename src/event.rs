//! A verified, de-duplicated request: its identity, its key, its bytes.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::clock::UnixMs;

/// The identity of an event: 42 bits of milliseconds, 9 of node, 12 of count. Monotone within a process, so it is the key of every
/// table and needs no second index. Printed as `evt_` and 13 digits of Crockford base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(i64);

const NODE_BITS: u32 = 9;
const COUNT_BITS: u32 = 12;
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS_IN_ID: usize = 13;

impl EventId {
    /// No id is less.
    pub const LEAST: Self = Self(0);
    /// No id is greater.
    pub const GREATEST: Self = Self(i64::MAX);

    /// The number as it is stored.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        self.0
    }

    /// A stored number; negative ones are none.
    #[must_use]
    pub fn from_i64(stored: i64) -> Option<Self> {
        (stored >= 0).then_some(Self(stored))
    }

    /// The least id above this one; `None` above the greatest.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// When the id was made, by the gateway's clock.
    #[must_use]
    pub fn made_at(self) -> UnixMs {
        UnixMs(self.0 >> (NODE_BITS + COUNT_BITS))
    }

    /// The least id that could be made at `at`.
    #[must_use]
    pub fn first_at(at: UnixMs) -> Self {
        Self(at.0.clamp(0, i64::MAX >> (NODE_BITS + COUNT_BITS)) << (NODE_BITS + COUNT_BITS))
    }

    /// Reads `evt_...`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("evt_").filter(|digits| digits.len() == DIGITS_IN_ID)?;
        let mut number: u128 = 0;
        for byte in digits.bytes() {
            number = (number << 5) | DIGITS.iter().position(|digit| *digit == byte)? as u128;
        }
        i64::try_from(number).ok().and_then(Self::from_i64)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"evt_0000000000000";
        let mut rest = self.0;
        for place in text[4..].iter_mut().rev() {
            *place = DIGITS[usize::try_from(rest & 31).unwrap_or(0)];
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes event ids: monotone, whatever the clock does.
#[derive(Debug)]
pub struct EventIds {
    last: AtomicU64,
    node: u64,
}

impl EventIds {
    /// A maker of ids above `highest`, the highest id the store knows (0 when empty). `node` tells gateways on one store apart.
    #[must_use]
    pub fn above(highest: i64, node: u16) -> Self {
        let last = u64::try_from(highest.max(0)).unwrap_or(0);
        Self { last: AtomicU64::new(last), node: u64::from(node) & ((1 << NODE_BITS) - 1) }
    }

    /// The next id. More than 4,096 in one millisecond borrow from the next; a clock that went back is ignored.
    pub fn next(&self, now: UnixMs) -> EventId {
        let from_clock = (EventId::first_at(now).0.unsigned_abs()) | (self.node << COUNT_BITS);
        let next_after = |last: u64| {
            let count_full = last & ((1 << COUNT_BITS) - 1) == (1 << COUNT_BITS) - 1;
            let next = if count_full {
                (((last >> (NODE_BITS + COUNT_BITS)) + 1) << (NODE_BITS + COUNT_BITS)) | (self.node << COUNT_BITS)
            } else {
                last + 1
            };
            next.max(from_clock)
        };
        let before = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next_after(last)));
        let last = before.unwrap_or_else(|last| last);
        EventId(i64::try_from(next_after(last)).unwrap_or(i64::MAX))
    }
}

/// What makes two requests the same event: SHA-256 over source, namespace and identity, cut to 128 bits. Length-bounded whatever a
/// provider sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupKey(pub [u8; 16]);

impl fmt::Debug for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What an event is about, in the provider's words: a set, because providers send batches. Joined with commas wherever it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventTypes(Arc<[Box<str>]>);

impl EventTypes {
    /// Takes the types in the order they were found, each once.
    #[must_use]
    pub fn new(found: impl IntoIterator<Item = Box<str>>) -> Self {
        let mut types: Vec<Box<str>> = Vec::new();
        for one in found {
            if !types.contains(&one) {
                types.push(one);
            }
        }
        Self(types.into())
    }

    /// The types.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|one| &**one)
    }
}

impl fmt::Display for EventTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(one)?;
        }
        Ok(())
    }
}

/// The bytes a target receives: the header block composed at ingest (a [`crate::request::Headers`] block: the provider's fields that may
/// be forwarded and our `Hookgate-*` ones, less those that differ from attempt to attempt) and the body. Written once, read at each
/// attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// The header block.
    pub head: Bytes,
    /// The body, untouched.
    pub body: Bytes,
}

impl Payload {
    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The checksum that is stored beside it and compared before the bytes are sent.
    #[must_use]
    pub fn crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&u64::try_from(self.head.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(&self.head);
        hasher.update(&self.body);
        hasher.finalize()
    }
}

impl fmt::Debug for Payload {
    /// Sizes only: bodies and header values are never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} + {} bytes)", self.head.len(), self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_printed() {
        for stored in [0, 1, 31, 32, i64::MAX, 3_691_020_300_000_000_000] {
            let id = EventId::from_i64(stored).expect("not negative");
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
        for bad in ["evt_", "evt_000000000000", "evt_zzzzzzzzzzzzz", "evt_000000000000u", "dlv_0000000000000", "evt_000000000000é"] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_rise_through_bursts_and_clock_steps() {
        let ids = EventIds::above(0, 3);
        let mut last = ids.next(UnixMs(1_000));
        for step in 0..20_000 {
            let now = if step % 3 == 0 { UnixMs(500) } else { UnixMs(1_000 + step / 5_000) };
            let next = ids.next(now);
            assert!(next > last);
            last = next;
        }
        assert!(EventIds::above(last.to_i64(), 3).next(UnixMs(0)) > last);
    }
}
