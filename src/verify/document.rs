//! The JSON document of a request, of which only the values that a provider file points at are looked at, all in one pass.
//!
//! Nothing is parsed into a tree and nothing is written again: a string gives its text, a number the characters it was written with. A
//! member that occurs twice on the way to a value makes that value unusable, since two readers could disagree about it. A document that is
//! not JSON has no values.

use std::{borrow::Cow, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::provider::{Pointer, Step};

/// Values that one pointer with a `*` may find; the rest are not kept.
const VALUES_MAX: usize = 1024;

/// The values of a document, by pointer.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pointers: &'a [Pointer],
    slots: Vec<Slot<'a>>,
}

/// What one pointer found.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot<'a> {
    /// The values, in the order of the document; absent and null ones are none.
    pub(super) values: Vec<Cow<'a, [u8]>>,
    /// It points at an object, or a member on the way occurs twice.
    unusable: bool,
    /// It points at an array, as it stands in the document. As a value that is unusable.
    array: Option<&'a str>,
    /// Something stands there, null included.
    there: bool,
    /// There were more values than are kept.
    pub(super) cut: bool,
    /// Some element of an array that a `*` stands for has no such value.
    pub(super) missed: bool,
}

impl<'a> Document<'a> {
    /// Looks the pointers up in `body`.
    pub(super) fn read(body: &'a [u8], pointers: &'a [Pointer]) -> Self {
        let mut slots = vec![Slot::default(); pointers.len()];
        if !pointers.is_empty() {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let wanted = pointers.iter().map(Pointer::steps).enumerate().collect();
            let read = Walk { wanted, slots: &mut slots }.deserialize(&mut deserializer);
            if read.and_then(|()| deserializer.end()).is_err() {
                slots.iter_mut().for_each(|slot| *slot = Slot::default());
            }
        }
        Self { pointers, slots }
    }

    /// No document: it has no values.
    pub(super) fn none() -> &'static Document<'static> {
        static NONE: Document<'static> = Document { pointers: &[], slots: Vec::new() };
        &NONE
    }

    /// The elements of the array that a pointer leads to; `None` without exactly one array, or with more than [`VALUES_MAX`].
    pub(super) fn elements(&self, pointer: &Pointer) -> Option<Vec<&'a RawValue>> {
        let slot = self.slot(pointer).filter(|slot| !slot.unusable)?;
        let elements: Vec<&'a RawValue> = serde_json::from_str(slot.array?).ok()?;
        (elements.len() <= VALUES_MAX).then_some(elements)
    }

    /// What a pointer found; `None` for one that was not looked up.
    pub(super) fn slot(&self, pointer: &Pointer) -> Option<&Slot<'a>> {
        self.pointers.iter().position(|other| other == pointer).and_then(|index| self.slots.get(index))
    }
}

/// The pointers that lead through the value being read: which, and what is left of them.
type Wanted<'p> = SmallVec<[(usize, &'p [Step]); 4]>;

/// One value being read, with all pointers that lead through it.
struct Walk<'s, 'a, 'p> {
    wanted: Wanted<'p>,
    slots: &'s mut [Slot<'a>],
}

impl<'a> DeserializeSeed<'a> for Walk<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.wanted.iter().all(|(_, rest)| !rest.is_empty()) {
            return deserializer.deserialize_any(self);
        }
        let raw: &'a RawValue = de::Deserialize::deserialize(deserializer)?;
        let (here, deeper): (Wanted<'_>, Wanted<'_>) = self.wanted.into_iter().partition(|(_, rest)| rest.is_empty());
        for (index, _) in here {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.take(raw.get());
            }
        }
        if deeper.is_empty() {
            return Ok(());
        }
        let mut inner = serde_json::Deserializer::from_str(raw.get());
        Walk { wanted: deeper, slots: self.slots }.deserialize(&mut inner).map_err(de::Error::custom)
    }
}

impl<'a> Visitor<'a> for Walk<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen: SmallVec<[usize; 4]> = SmallVec::new();
        while let Some(wanted) = map.next_key_seed(Member(&self.wanted))? {
            for (index, _) in &wanted {
                // Each pointer once: a body of nothing but repeated members must not make a list of them to be searched.
                if seen.contains(index) {
                    self.slots[*index].unusable = true;
                } else {
                    seen.push(*index);
                }
            }
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Walk { wanted, slots: self.slots })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut number = 0_u64;
        loop {
            let wanted = narrow(&self.wanted, |step| match step {
                Step::Every => true,
                Step::Member(name) => **name == *number.to_string(),
            });
            let before: SmallVec<[(usize, usize); 4]> = wanted.iter().map(|(index, _)| (*index, self.slots[*index].values.len())).collect();
            let more = if wanted.is_empty() {
                seq.next_element::<IgnoredAny>()?.is_some()
            } else {
                seq.next_element_seed(Walk { wanted, slots: self.slots })?.is_some()
            };
            if !more {
                return Ok(());
            }
            for (index, values) in before {
                self.slots[index].missed |= self.slots[index].values.len() == values;
            }
            number += 1;
        }
    }

    // A plain value where a pointer goes on: it leads nowhere.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a member's name and answers which pointers lead into it.
struct Member<'w, 'p>(&'w Wanted<'p>);

impl<'a, 'p> DeserializeSeed<'a> for Member<'_, 'p> {
    type Value = Wanted<'p>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Wanted<'p>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Member<'_, 'p> {
    type Value = Wanted<'p>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Wanted<'p>, E> {
        Ok(narrow(self.0, |step| matches!(step, Step::Member(wanted) if **wanted == *name)))
    }
}

/// The pointers whose next step fits, less that step.
fn narrow<'p>(wanted: &Wanted<'p>, fits: impl Fn(&Step) -> bool) -> Wanted<'p> {
    wanted.iter().filter_map(|(index, steps)| steps.split_first().filter(|(step, _)| fits(step)).map(|(_, rest)| (*index, rest))).collect()
}

impl<'a> Slot<'a> {
    /// Whether there is no single reading of it as values.
    pub(super) fn is_unusable(&self) -> bool {
        self.unusable || self.array.is_some()
    }

    /// Whether nothing stands there at all.
    pub(super) fn is_nothing(&self) -> bool {
        !self.there && !self.unusable
    }

    /// Takes a value as it stands in the document.
    fn take(&mut self, raw: &'a str) {
        self.there = true;
        let value = match raw.as_bytes().first() {
            Some(b'"') if !raw.contains('\\') => Some(Cow::Borrowed(&raw.as_bytes()[1..raw.len() - 1])),
            Some(b'"') => match serde_json::from_str::<String>(raw) {
                Ok(text) => Some(Cow::Owned(text.into_bytes())),
                // A lone surrogate: there is no text that it stands for.
                Err(_) => None,
            },
            Some(b'n') => return,
            Some(b'[') if self.array.is_none() => {
                self.array = Some(raw);
                return;
            }
            Some(b'{' | b'[') | None => None,
            Some(_) => Some(Cow::Borrowed(raw.as_bytes())),
        };
        match value {
            None => self.unusable = true,
            Some(_) if self.values.len() == VALUES_MAX => self.cut = true,
            Some(value) => self.values.push(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(body: &str, pointer: &str) -> (Vec<String>, bool) {
        let pointers = [Pointer::parse(pointer).expect("a pointer")];
        let document = Document::read(body.as_bytes(), &pointers);
        let slot = document.slot(&pointers[0]).expect("looked up");
        (slot.values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect(), slot.is_unusable())
    }

    #[test]
    fn values_keep_the_characters_they_were_written_with() {
        let body = r#" {"a":{"b/c":1000, "~":10.0,"t":true,"n":null,"s":"é\n","deep":[{"x":"1"},{"x":"2"},{"y":3}]},"u":"\u0061"} "#;
        let cases = [
            ("/a/b~1c", vec!["1000"]),
            ("/a/~0", vec!["10.0"]),
            ("/a/t", vec!["true"]),
            ("/a/n", vec![]),
            ("/a/s", vec!["é\n"]),
            ("/u", vec!["a"]),
            ("/a/deep/1/x", vec!["2"]),
            ("/a/deep/01/x", vec![]),
            ("/a/deep/*/x", vec!["1", "2"]),
            ("/a/t/x", vec![]),
            ("/none", vec![]),
        ];
        for (pointer, values) in cases {
            assert_eq!(look(body, pointer), (values.into_iter().map(String::from).collect(), false), "{pointer}");
        }
    }

    #[test]
    fn an_element_without_the_value_is_noticed() {
        let missed = |body: &str, pointer: &str| {
            let pointers = [Pointer::parse(pointer).expect("a pointer")];
            Document::read(body.as_bytes(), &pointers).slot(&pointers[0]).expect("looked up").missed
        };
        let whole = r#"{"l":[{"x":1,"m":[{"y":1}]},{"x":2,"m":[{"y":2},{"y":3}]}]}"#;
        assert!(!missed(whole, "/l/*/x") && !missed(whole, "/l/*/m/*/y") && !missed(whole, "/l/0/x"));
        for body in [r#"{"l":[{"x":1},{}]}"#, r#"{"l":[{"x":null},{"x":1}]}"#, r#"{"l":[1,{"x":1}]}"#, r#"{"l":[{"x":1},[]]}"#] {
            assert!(missed(body, "/l/*/x"), "{body}");
        }
        assert!(missed(r#"{"l":[{"m":[{"y":1},{}]}]}"#, "/l/*/m/*/y") && missed(r#"{"l":[{"m":[]},{"m":[{"y":1}]}]}"#, "/l/*/m/*/y"));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_unusable() {
        for (body, pointer) in [
            (r#"{"id":"a","id":"b"}"#, "/id"),
            (r#"{"id":"a","\u0069d":"b"}"#, "/id"),
            (r#"{"o":{"id":"a"},"o":{"x":1}}"#, "/o/id"),
            (r#"{"id":{"a":1}}"#, "/id"),
            (r#"{"id":[1]}"#, "/id"),
            (r#"{"id":"\ud800"}"#, "/id"),
        ] {
            assert!(look(body, pointer).1, "{body}");
        }
    }

    #[test]
    fn what_is_not_json_has_no_values() {
        for body in ["", "{", r#"{"id":"a""#, r#"{"id":"a"} x"#, "\u{feff}{\"id\":\"a\"}", "payload=%7B%7D", r#"{"id":"a",}"#] {
            assert_eq!(look(body, "/id"), (vec![], false), "{body:?}");
        }
        let pointers = [Pointer::parse("/id").expect("a pointer")];
        let document = Document::read(b"{\"id\":\"\xff\"}", &pointers);
        assert!(document.slot(&pointers[0]).expect("looked up").values.is_empty());
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let deep = format!("{{\"x\":{}{},\"id\":1}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(look(&deep, "/id").0, ["1"]);
        let many = format!("[{}1]", "1,".repeat(VALUES_MAX * 2));
        assert_eq!(look(&many, "/*").0.len(), VALUES_MAX);
    }

    proptest! {
        #[test]
        fn reading_agrees_with_a_whole_parser(body in "[{}\\[\\]\",:a0-9.e+\\\\u -]{0,60}") {
            let whole: Result<serde_json::Value, _> = serde_json::from_str(&body);
            let (values, unusable) = look(&body, "/a");
            let there = whole.ok().and_then(|value| value.get("a").cloned()).filter(|value| !value.is_null());
            if !unusable {
                prop_assert!(values.len() <= 1);
                if let Some(serde_json::Value::String(text)) = &there {
                    prop_assert_eq!(&values[0], text);
                }
            }
        }
    }
}
