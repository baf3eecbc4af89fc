//! Measures in a provider file: durations and sizes, always with their unit.

use std::time::Duration;

use crate::yaml::{Node, Problems, as_text};

/// A duration such as `5m` or `3d`, in whole milliseconds; a bare number is refused, since nobody can say what it counts.
pub(super) fn duration(node: &Node, what: &str, problems: &mut Problems) -> Option<Duration> {
    let text = as_text(node, what, problems)?;
    match humantime::parse_duration(text) {
        Ok(duration) if duration > Duration::ZERO && duration.subsec_nanos().is_multiple_of(1_000_000) => Some(duration),
        _ => {
            problems.error(&node.at, format!("{what} is a duration with its unit, such as `10s`, `5m` or `3d`"));
            None
        }
    }
}

/// A size in bytes such as `25MiB`.
pub(super) fn size(node: &Node, what: &str, problems: &mut Problems) -> Option<u64> {
    let text = as_text(node, what, problems)?;
    let unit_given = text.chars().last().is_some_and(|last| last.is_ascii_alphabetic());
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if unit_given && size.0 > 0 => Some(size.0),
        _ => {
            problems.error(&node.at, format!("{what} is a size with its unit, such as `256KiB` or `25MiB`"));
            None
        }
    }
}
