//! A mapping of the configuration being read: [`Fields`] with places, defaults, lists, and what can be switched off.

use std::borrow::Cow;

use super::{
    placed::{OneOrMany, Placed},
    switch::Switch,
};
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

    /// The node of a mapping below this one; an empty one when it is left out, which is also how it can be switched off.
    pub(super) fn part_unless_off(&mut self, key: &'static str) -> Cow<'a, Node> {
        match self.fields.take(key) {
            Some(node) if !off(node) => Cow::Borrowed(node),
            Some(_) | None => Cow::Owned(self.nothing()),
        }
    }

    /// The node of a mapping below this one; an empty one when it is left out.
    pub(super) fn part(&mut self, key: &'static str) -> Cow<'a, Node> {
        match self.fields.take(key) {
            Some(node) => Cow::Borrowed(node),
            None => Cow::Owned(self.nothing()),
        }
    }

    /// A mapping below this one that can be switched off. A key with nothing behind it may be meant either way, so it is refused.
    pub(super) fn switch(&mut self, key: &'static str) -> Switch<'a> {
        match self.fields.take(key) {
            Some(node) if self.is_bare(key, node) => Switch::LeftOut,
            Some(node) if off(node) => Switch::Off,
            Some(node) => Switch::On(node),
            None => Switch::LeftOut,
        }
    }

    /// What is read where nothing is written.
    pub(super) fn nothing(&self) -> Node {
        Node::new(self.at.clone(), Value::Nothing)
    }

    /// Whether a key has nothing behind it, which is reported.
    fn is_bare(&mut self, key: &str, node: &Node) -> bool {
        let bare = node.value == Value::Nothing;
        if bare && !self.problems.blames(&node.at) {
            let hint = "write `none` to switch it off, or leave it out for the default";
            self.problems.error_hint(&node.at, format!("`{key}` has nothing behind it"), hint);
        }
        bare
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

    /// The same, of what can be switched off: then there is none.
    pub(super) fn unless_off<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<T>> {
        self.optional(key, |node, what, problems| if off(node) { None } else { read(node, what, problems) })
    }

    /// A value that must be there.
    pub(super) fn needed<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<T>> {
        let whole = self.nothing();
        let node = self.fields.need(key, &whole, self.problems)?;
        Some(Placed { at: node.at.clone(), written: true, hidden: node.hidden, value: read(node, &named(key), self.problems)? })
    }

    /// One value or a list of them; `None` when the key is left out, an empty list when it is switched off. Items that cannot be read are
    /// dropped, and reported.
    pub(super) fn many<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<OneOrMany<Placed<T>>>> {
        let node = self.fields.take(key)?;
        if self.is_bare(key, node) {
            return None;
        }
        if off(node) {
            return Some(Placed { at: node.at.clone(), written: true, hidden: node.hidden, value: OneOrMany::default() });
        }
        Some(self.listed(key, node, read))
    }

    /// The same of what has no word for off.
    fn listed<T>(
        &mut self,
        key: &str,
        node: &'a Node,
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Placed<OneOrMany<Placed<T>>> {
        let what = named(key);
        let items = as_list(node).iter().filter_map(|item| {
            let value = read(item, &what, self.problems)?;
            Some(Placed { at: item.at.clone(), written: true, hidden: item.hidden, value })
        });
        let items = OneOrMany(items.collect());
        Placed { at: node.at.clone(), written: true, hidden: node.hidden, value: items }
    }

    /// One value or a list of them, where an empty list is reported: what it would mean is better said by leaving the key out.
    pub(super) fn several<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<OneOrMany<Placed<T>>>> {
        let node = self.fields.take(key)?;
        let found = self.listed(key, node, read);
        if as_list(node).is_empty() && !self.problems.blames(&found.at) {
            self.problems.error_hint(&found.at, format!("`{key}` is an empty list"), "name one, or leave it out");
        }
        Some(found)
    }

    /// The same, of what can be switched off: then there is none.
    pub(super) fn several_unless_off<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<Placed<OneOrMany<Placed<T>>>> {
        if self.fields.peek(key).is_some_and(off) {
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
        self.many(key, read).unwrap_or_else(|| self.list_of(default))
    }

    /// The same as [`Self::several`], with a default.
    pub(super) fn several_or<T, const N: usize>(
        &mut self,
        key: &'static str,
        default: [T; N],
        read: impl Fn(&'a Node, &str, &mut Problems) -> Option<T>,
    ) -> Placed<OneOrMany<Placed<T>>> {
        self.several(key, read).unwrap_or_else(|| self.list_of(default))
    }

    /// A list that nobody wrote.
    fn list_of<T, const N: usize>(&self, items: [T; N]) -> Placed<OneOrMany<Placed<T>>> {
        let items = items.map(|value| Placed { at: self.at.clone(), written: false, hidden: false, value });
        Placed { at: self.at.clone(), written: false, hidden: false, value: OneOrMany(items.into()) }
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

fn named(key: &str) -> String {
    format!("`{key}`")
}
