//! From tree to text: block YAML that [`super::parse`] reads back as the same tree (places and quoting aside).

use super::{Node, Value};

/// Spaces of one step inward.
const INDENT: usize = 2;
/// Characters of the longest key that may stand before its `:` on one line (YAML 1.2, 7.4.2); an escape makes one character of ours ten.
const KEY_CHARS_MAX: usize = 1024;

/// Writes a tree as a YAML document.
#[must_use]
pub fn write(node: &Node) -> String {
    let mut out = String::new();
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => block(node, 0, &mut out),
        Value::List(items) if !items.is_empty() => block(node, 0, &mut out),
        Value::Nothing | Value::Null | Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
            out.push_str(&inline(node));
            out.push('\n');
        }
    }
    out
}

/// Writes a collection that is not empty, one entry a line.
fn block(node: &Node, indent: usize, out: &mut String) {
    let margin = " ".repeat(indent);
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                let key = scalar(&key.text);
                out.push_str(&margin);
                if key.chars().count() > KEY_CHARS_MAX {
                    out.push_str("? ");
                    out.push_str(&key);
                    out.push('\n');
                    out.push_str(&margin);
                } else {
                    out.push_str(&key);
                }
                out.push(':');
                after(value, indent, out);
            }
        }
        Value::List(items) => {
            for item in items {
                out.push_str(&margin);
                out.push('-');
                after(item, indent, out);
            }
        }
        Value::Nothing | Value::Null | Value::Scalar { .. } => {}
    }
}

/// Writes what follows a `:` or a `-`.
fn after(value: &Node, indent: usize, out: &mut String) {
    let nested = match &value.value {
        Value::Map(entries) => !entries.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Nothing | Value::Null | Value::Scalar { .. } => false,
    };
    if nested {
        out.push('\n');
        block(value, indent + INDENT, out);
    } else {
        out.push(' ');
        out.push_str(&inline(value));
        out.push('\n');
    }
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Nothing => String::new(),
        Value::Null => "null".to_owned(),
        // In quotes these are texts, where the difference is made.
        Value::Scalar { text, quoted: true } if is_literal(text) => quoted(text),
        Value::Scalar { text, .. } => scalar(text),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

/// Whether JSON has this text without quotes, as a number or as `true` or `false`.
#[must_use]
pub fn is_literal(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | 't' | 'f'))
        && serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_number() || value.is_boolean())
}

/// A scalar, in double quotes unless it can only be read as itself.
fn scalar(text: &str) -> String {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '+' | '@' | '=' | '-' | '%' | ':' | ' ');
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.')
        && text.chars().all(inner)
        && !text.ends_with([':', ' '])
        && !text.contains(": ")
        && !text.starts_with("...") // which ends a document
        && text != "null";
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::yaml::{Problems, parse};

    /// The tree without places, for comparison.
    fn shape(node: &Node) -> String {
        match &node.value {
            Value::Nothing => String::new(),
            Value::Null => "~".into(),
            Value::Scalar { text, .. } => format!("{text:?}"),
            Value::List(items) => format!("{:?}", items.iter().map(shape).collect::<Vec<_>>()),
            Value::Map(entries) => format!("{{{:?}}}", entries.iter().map(|(key, value)| (&key.text, shape(value))).collect::<Vec<_>>()),
        }
    }

    fn read(text: &str) -> Node {
        let mut problems = Problems::new();
        let node = parse(&Arc::from("t.yaml"), text, &mut problems);
        assert!(!problems.has_errors(), "{text:?}: {problems:?}");
        node.expect("read")
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = "a: 0123\nb: [1, \"null\", {c: 'x: y', d: []}, [[e]]]\nf: {}\n\"odd: key\": \"-\"\ng: null\nh:\n";
        let node = read(text);
        assert_eq!(shape(&read(&write(&node))), shape(&node));
    }

    #[test]
    fn a_number_in_quotes_stays_a_text() {
        let text = "a: true\nb: \"true\"\nc: 1.50\nd: \"1.50\"\ne: 01\nf: truth\n";
        assert_eq!(write(&read(text)), text);
    }

    #[test]
    fn what_looks_like_the_end_is_not() {
        let node = read("\"...\"\n");
        assert_eq!(shape(&read(&write(&node))), shape(&node));
    }

    #[test]
    fn a_key_that_escapes_make_too_long_reads_back_too() {
        let key = "\\a".repeat(200);
        let node = read(&format!("\"{key}\": 1\nx:\n  \"{key}\": {{ a: [b] }}\n"));
        assert_eq!(shape(&read(&write(&node))), shape(&node));
    }

    proptest! {
        #[test]
        fn any_scalar_survives(text in "\\PC*|[\\x00-\\x7f]{0,12}") {
            let node = read(&format!("a: {}\n", quoted(&text)));
            prop_assert_eq!(shape(&read(&write(&node))), shape(&node));
            prop_assert_eq!(shape(node.get("a").expect("a")), format!("{text:?}"));
        }
    }
}
