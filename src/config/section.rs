//! A mapping of the configuration being read: [`Fields`] with places, defaults and lists.

use std::borrow::Cow;

use super::placed::{OneOrMany, Placed};
use crate::yaml::{At, Fields, Node, Problems, Value, as_list, off};

/// A mapping being read.
pub(super) struct Section<'a, 'p> {
    fields: Fields<'a>,
    /// Where the mapping begins.
    pub(super) at: At,
    /// What is wrong so far.
    pub(super) problems: &'p mut Problems,
}

impl<'a, 'p> Section<'a, 'p> {
    /// Starts reading; `what` names the mapping in messages ("a source").
    pub(super) fn of(node: &'a Node, what: &str, problems: &'p mut Problems) -> Self {
        Self { fields: Fields::of(node, what, problems), at: node.at.clone(), problems }
    }

    /// The node of a key, as it stands.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.fields.take(key)
    }

    /// The node of a mapping below this one; an empty one when it is left out.
    pub(super) fn part(&mut self, key: &'static str) -> Cow<'a, Node> {
        match self.fields.take(key) {
            Some(node) => Cow::Borrowed(node),
            None => Cow::Owned(Node::new(self.at.clone(), Value::Null)),
        }
    }

    /// A value with a default.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Placed<T> {
        match self.fields.take(key) {
            Some(node) => {
                let value = read(node, &named(key), self.problems).unwrap_or(default);
                Placed { at: node.at.clone(), written: true, hidden: node.hidden, value }
            }
            None => Placed { at: self.at.clone(), written: false, hidden: false, value: default },
        }
    }

    /// A value that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<T>> {
        let node = self.fields.take(key)?;
        Some(Placed { at: node.at.clone(), written: true, hidden: node.hidden, value: read(node, &named(key), self.problems)? })
    }

    /// The same, of what can be switched off: then it is as if it were left out. A key with nothing behind it is not meant that way.
    pub(super) fn unless_off<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<T>> {
        self.optional(key, |node, what, problems| if is_off(node) { None } else { read(node, what, problems) })
    }

    /// A value that must be there.
    pub(super) fn needed<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<T>> {
        let whole = Node::new(self.at.clone(), Value::Null);
        let node = self.fields.need(key, &whole, self.problems)?;
        Some(Placed { at: node.at.clone(), written: true, hidden: node.hidden, value: read(node, &named(key), self.problems)? })
    }

    /// One value or a list of them; `None` when the key is left out. Items that cannot be read are dropped, and reported.
    pub(super) fn many<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<OneOrMany<Placed<T>>>> {
        let node = self.fields.take(key)?;
        let what = named(key);
        let items = as_list(node).iter().filter_map(|item| {
            let value = read(item, &what, self.problems)?;
            Some(Placed { at: item.at.clone(), written: true, hidden: item.hidden, value })
        });
        let items = OneOrMany(items.collect());
        Some(Placed { at: node.at.clone(), written: true, hidden: node.hidden, value: items })
    }

    /// The same, and an empty list is reported: what it would mean is better said by leaving the key out.
    pub(super) fn several<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<OneOrMany<Placed<T>>>> {
        let found = self.many(key, read)?;
        if self.fields.peek(key).is_some_and(|node| as_list(node).is_empty()) && !self.problems.blames(&found.at) {
            self.problems.error_hint(&found.at, format!("`{key}` is an empty list"), "name one, or leave it out");
        }
        Some(found)
    }

    /// The same, of what can be switched off.
    pub(super) fn several_unless_off<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<OneOrMany<Placed<T>>>> {
        if self.fields.peek(key).is_some_and(is_off) {
            self.fields.take(key);
            return None;
        }
        self.several(key, read)
    }

    /// The same as [`Self::many`], with a default.
    pub(super) fn many_or<T, const N: usize>(
        &mut self,
        key: &'static str,
        default: [T; N],
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Placed<OneOrMany<Placed<T>>> {
        let at = self.at.clone();
        self.many(key, read).unwrap_or_else(|| {
            let items = default.map(|value| Placed { at: at.clone(), written: false, hidden: false, value });
            Placed { at, written: false, hidden: false, value: OneOrMany(items.into()) }
        })
    }

    /// Keys of the contract that are not built yet.
    pub(super) fn planned(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.fields.plan(key);
        }
    }

    /// Reports every key nobody asked for.
    pub(super) fn finish(self) {
        self.fields.finish(self.problems);
    }
}

/// Whether a value is switched off in so many words.
fn is_off(node: &Node) -> bool {
    off(node) && node.value != Value::Null
}

fn named(key: &str) -> String {
    format!("`{key}`")
}
