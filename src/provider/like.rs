//! `like`: a file that takes from another one every key that it does not write itself. Known answers are never taken over: they prove the
//! other file.

use super::read::Others;
use crate::yaml::{Node, Problems, Value, as_text, parse};

/// Keys that every file writes itself.
const OWN: [&str; 3] = ["provider", "like", "vectors"];

/// Fills `root` up from the file that it is `like`. One level: that file may not be like a third.
pub(super) fn fill(root: &mut Node, others: Others<'_>, problems: &mut Problems) {
    let Some(node) = root.get("like").cloned() else {
        return;
    };
    let Some(slug) = as_text(&node, "`like`", problems) else {
        return;
    };
    let Some((file, text)) = others(slug) else {
        problems.error_hint(
            &node.at,
            format!("there is no provider `{}` to be like", slug.escape_debug()),
            "`hookgate providers` lists them",
        );
        return;
    };
    let mut found = Problems::new();
    let Some(other) = parse(&file, &text, &mut found) else {
        problems.extend(found);
        return;
    };
    if other.get("like").is_some() {
        problems.error(&node.at, format!("`{}` is like another file itself, and one level is the most", slug.escape_debug()));
        return;
    }
    if let (Value::Map(own), Value::Map(taken)) = (&mut root.value, other.value) {
        for (key, value) in taken {
            if !OWN.contains(&key.text.as_str()) && !own.iter().any(|(mine, _)| mine.text == key.text) {
                own.push((key, value));
            }
        }
    }
}
