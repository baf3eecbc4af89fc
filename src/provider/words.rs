//! The small pieces that every part of a provider file is made of: one word of a list, a text, a place, a template.

use super::{atom::Atom, template::Template};
use crate::yaml::{Node, Problems, Value, as_list, as_text, nearest};

/// One of the words of a closed list.
pub(super) fn choice<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let text = as_text(node, what, problems)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let known = || words.iter().map(|(word, _)| *word);
    let hint = match nearest(text, known()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it is one of {}", known().collect::<Vec<_>>().join(", ")),
    };
    problems.error_hint(&node.at, format!("{what} cannot be `{text}`"), hint);
    None
}

/// A template.
pub(super) fn template(node: &Node, what: &str, problems: &mut Problems) -> Option<Template> {
    let text = as_text(node, what, problems)?;
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(wrong) => {
            problems.error(&node.at, format!("{what}: {wrong}"));
            None
        }
    }
}

/// A template without a value of the request in it: a text whose braces are doubled.
pub(super) fn literal(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let text = template(node, what, problems)?.literal();
    if text.is_none() {
        problems.error(&node.at, format!("{what} has no value of the request in it"));
    }
    text
}

/// A place that stands as `text` at `node`.
pub(super) fn atom_of(text: &str, node: &Node, problems: &mut Problems) -> Option<Atom> {
    match Atom::parse(text) {
        Ok(atom) => Some(atom),
        Err(what) => {
            problems.error(&node.at, what);
            None
        }
    }
}

/// A place.
pub(super) fn atom(node: &Node, problems: &mut Problems) -> Option<Atom> {
    atom_of(as_text(node, "a place", problems)?, node, problems)
}

/// One text or a list of them.
pub(super) fn texts(node: &Node, what: &str, empty_fits: bool, problems: &mut Problems) -> Vec<Box<str>> {
    let mut texts = Vec::new();
    for item in as_list(node) {
        match as_text(item, what, problems) {
            Some("") if !empty_fits => problems.error(&item.at, format!("{what} is not empty")),
            Some(text) => texts.push(text.into()),
            None => {}
        }
    }
    texts
}

/// A mapping from names to a text or a list of texts.
pub(super) fn map(node: &Node, what: &str, problems: &mut Problems) -> Vec<(Box<str>, Vec<Box<str>>)> {
    let Value::Map(entries) = &node.value else {
        problems.error(&node.at, format!("{what} is a mapping, and this is {}", node.kind()));
        return Vec::new();
    };
    entries.iter().map(|(key, node)| (key.text.as_str().into(), texts(node, what, true, problems))).collect()
}

/// A status within a range; `why` says what the range is for.
pub(super) fn status(node: &Node, range: std::ops::RangeInclusive<u16>, why: &str, problems: &mut Problems) -> Option<u16> {
    // 406 and 410 make vendors give up for good.
    let status =
        as_text(node, "the status", problems)?.parse().ok().filter(|status| range.contains(status) && !matches!(status, 406 | 410));
    if status.is_none() {
        problems.error(&node.at, why);
    }
    status
}
