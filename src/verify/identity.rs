//! What a verified request is, in the provider's words. Only text the provider signed with, or put beside it, and always bounded.

use super::{
    document::Document,
    value::{Lack, Scope},
};
use crate::{
    event::EventTypes,
    limits::{EVENT_TYPE_BYTES_MAX, EVENT_TYPES_MAX},
    provider::{Atom, EventRule, Template},
};

/// What a verified request is, in the provider's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's event id; `None` when the request has none.
    pub id: Option<Vec<u8>>,
    /// Whether a request without an id is a new event whatever it says; else the body stands for the id.
    pub always_new: bool,
    /// Its types, each at most [`EVENT_TYPE_BYTES_MAX`] bytes, at most [`EVENT_TYPES_MAX`].
    pub types: EventTypes,
    /// SHA-256 of what was signed, when the signed text itself is good for one event only, whatever id stands beside it.
    pub signed: Option<[u8; 32]>,
    /// What the source itself knows it by; `None` where it says nothing, or the request lacks a part of it.
    pub key: Option<Vec<u8>>,
}

/// What an event is known by, for its repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy<'a> {
    /// The provider's id.
    Id(&'a [u8]),
    /// What the source says.
    Key(&'a [u8]),
    /// The SHA-256 of the text that was signed, which is good for one event.
    Signed(&'a [u8; 32]),
    /// Its body.
    Body,
    /// Nothing: it is no repeat of any other.
    Nothing,
}

impl Identity {
    /// What the event is known by. The signed text goes before an id that stands outside of it: whoever changes that id changes nothing.
    #[must_use]
    pub fn known_by(&self) -> KnownBy<'_> {
        if let Some(key) = &self.key {
            return KnownBy::Key(key);
        }
        match (&self.signed, self.id.as_deref().filter(|id| !id.is_empty())) {
            (Some(signed), _) => KnownBy::Signed(signed),
            (None, Some(id)) => KnownBy::Id(id),
            (None, None) if self.always_new => KnownBy::Nothing,
            (None, None) => KnownBy::Body,
        }
    }
}

/// The provider's id: the first alternative that is complete. A value that two readers could read differently ends the search, and the body
/// stands for the event: falling through to a weaker alternative is what someone who writes such values would want.
pub(super) fn id(rule: &EventRule, scope: &Scope<'_>) -> Option<Vec<u8>> {
    for template in &rule.id {
        match scope.bytes(template) {
            Ok(id) => return Some(id),
            Err(Lack::Absent) => {}
            Err(Lack::Unusable) => return None,
        }
    }
    None
}

/// The types: those of the first alternative that gives any.
pub(super) fn types(rule: &EventRule, scope: &Scope<'_>) -> EventTypes {
    for template in &rule.types {
        let mut types: Vec<Box<str>> = Vec::new();
        let mut take = |scope: &Scope<'_>| {
            let one = scope.bytes(template).map(|bytes| clean(&bytes)).unwrap_or_default();
            if !one.is_empty() && !types.contains(&one) {
                types.push(one);
            }
            types.len() < EVENT_TYPES_MAX
        };
        match several(template, scope.document) {
            None => {
                take(scope);
            }
            Some(mut values) => while values.next().is_some_and(|value| take(&Scope { element: Some(value), ..*scope })) {},
        }
        if !types.is_empty() {
            return EventTypes::new(types);
        }
    }
    EventTypes::default()
}

/// The values of the one pointer with a `*` in a template, if it has one.
fn several<'a>(template: &Template, document: &'a Document<'_>) -> Option<impl Iterator<Item = &'a [u8]>> {
    let pointer = template.values().find_map(|value| match &value.atom {
        Atom::Json(pointer) if pointer.many() => Some(pointer),
        _ => None,
    })?;
    let usable = document.slot(pointer).filter(|slot| !slot.is_unusable());
    Some(usable.into_iter().flat_map(|slot| slot.values.iter().map(|value| &**value)))
}

/// A type as it may be shown, matched and put into a header: text without control characters, cut to its bound.
fn clean(bytes: &[u8]) -> Box<str> {
    let mut text = String::new();
    for char in String::from_utf8_lossy(bytes).chars() {
        let char = if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
        if text.len() + char.len_utf8() > EVENT_TYPE_BYTES_MAX {
            break;
        }
        text.push(char);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_bounded_and_cannot_break_a_line() {
        assert_eq!(&*clean(b"a\r\nb\x1b[31m"), "a\u{fffd}\u{fffd}b\u{fffd}[31m");
        assert!(clean("é".repeat(500).as_bytes()).len() <= EVENT_TYPE_BYTES_MAX);
        assert_eq!(&*clean(b"ok.\xff"), "ok.\u{fffd}");
    }
}
