//! Lists of events and deliveries, newest first, a page at a time.
//!
//! What is asked for may be rare among millions, so a page ends when it is full or when enough rows have been looked at, and says where to
//! go on: an empty page with a cursor is an answer. Cursors are places in an order that never changes, so whoever follows them sees
//! everything that was there when he began exactly once, whatever comes in meanwhile.

use std::fmt;

use super::{DeliveryView, Filter};
use crate::{
    clock::UnixMs,
    delivery::DeliveryId,
    event::{EventId, EventTypes},
    name::SourceName,
};

/// What is listed, from where on, and how much of it.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Which of them. Its `limit` is for whoever asks for pages, not for one page.
    pub filter: Filter,
    /// Those before this place: where the page before ended.
    pub before: Option<Cursor>,
    /// Items of the page, at most.
    pub items_max: usize,
    /// Rows that are looked at for it, at most.
    pub rows_max: usize,
}

/// A place in a list. Printed as 18 hexadecimal digits that mean nothing to anybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The event that was looked at last.
    pub(super) event: EventId,
    /// The slot of the delivery that was; in a list of events 0.
    pub(super) slot: u8,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// A delivery in a list, with what is to be known of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDelivery {
    /// Where its event came in.
    pub source: SourceName,
    /// What its event is about.
    pub types: EventTypes,
    /// When its event was received.
    pub received_at: UnixMs,
    /// The delivery; of its failed attempts only the latest.
    pub delivery: DeliveryView,
}

impl Cursor {
    /// Reads what [`fmt::Display`] writes; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 9];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let [event @ .., slot] = bytes;
        let cursor = EventId::from_i64(i64::from_be_bytes(event)).map(|event| Self { event, slot })?;
        // Digits in upper case are a number too.
        (cursor.to_string() == text).then_some(cursor)
    }

    /// How far back the list has been searched: when the event it stands at was made.
    #[must_use]
    pub fn made_at(self) -> UnixMs {
        self.event.made_at()
    }

    /// After this event in a list of events.
    pub(super) fn of_event(event: EventId) -> Self {
        Self { event, slot: 0 }
    }

    /// After this delivery in a list of deliveries.
    pub(super) fn of_delivery(id: DeliveryId) -> Self {
        Self { event: id.event, slot: id.slot }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:02x}", self.event.to_i64(), self.slot)
    }
}

impl<T> Page<T> {
    /// A page to be filled.
    pub(super) fn empty() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_printed_and_nothing_else_does() {
        let cursor = Cursor { event: EventId::GREATEST, slot: 7 };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for wrong in ["", "evt_0000000000001", "ffffffffffffffff00", "00000000000000000", "0000000000000000000000", "zz"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }
}
