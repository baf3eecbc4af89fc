//! The provider's words about an event, made fit to be stored, shown and sent: bounded, and nothing in them that could end a header line.

use crate::{
    event::EventTypes,
    limits::{PROVIDER_EVENT_ID_BYTES_MAX, SHOWN_TYPES_BYTES_MAX},
};

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A provider's event id as it is stored and shown, cut to its bound. The dedup key hashes the whole, so a cut id costs nothing but looks.
#[must_use]
pub(super) fn stored_id(id: &[u8]) -> Box<str> {
    let mut text = safe(id);
    text.truncate(PROVIDER_EVENT_ID_BYTES_MAX);
    text.into()
}

/// The types as a header shows them: joined with commas, each whole, as many as fit.
#[must_use]
pub(super) fn shown_types(types: &EventTypes) -> String {
    let mut shown = String::new();
    for one in types.iter() {
        let one = safe(one.as_bytes());
        let separator = usize::from(!shown.is_empty());
        if shown.len() + separator + one.len() > SHOWN_TYPES_BYTES_MAX {
            break;
        }
        if separator == 1 {
            shown.push(',');
        }
        shown.push_str(&one);
    }
    shown
}

/// Bytes as a header value can carry them: what is not visible ASCII or a space is percent-encoded. Usual ids and types stay as they are.
#[must_use]
pub(super) fn safe(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if matches!(byte, b' '..=b'~') {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_bounded_and_cannot_end_a_line() {
        assert_eq!(&*stored_id(b"evt_1ABC-%20 x"), "evt_1ABC-%20 x");
        assert_eq!(&*stored_id("a\r\nb\0é".as_bytes()), "a%0D%0Ab%00%C3%A9");
        assert_eq!(stored_id(&[b'x'; 5000]).len(), PROVIDER_EVENT_ID_BYTES_MAX);
        assert!(stored_id(&[0xff; 5000]).len() <= PROVIDER_EVENT_ID_BYTES_MAX);
    }

    #[test]
    fn types_are_shown_whole_or_not_at_all() {
        let types = EventTypes::new((0..32).map(|n| format!("{n:02}{}", "x".repeat(98)).into_boxed_str()));
        let shown = shown_types(&types);
        assert!(shown.len() <= SHOWN_TYPES_BYTES_MAX);
        assert!(shown.split(',').all(|one| one.len() == 100));
        assert_eq!(shown.split(',').count(), 10);
    }
}
