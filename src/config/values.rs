//! Scalars: each function reads one kind of value, or says what was wanted, where, and what stood there.
//!
//! All have one shape, `(node, what, problems) -> Option<T>`. A value that is already to blame for something is passed over in silence, and
//! a value that came from outside the file is never shown.

mod link;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::Serialize;

pub(super) use self::link::link;
use super::placed::{INSERTED, Period, Share, Size, Text};
use crate::{
    clock::UnixMs,
    subject::SubjectName,
    yaml::{Node, Problems, Value, as_text, nearest, off},
};

/// Characters of a value that a message shows.
const SHOWN_CHARS_MAX: usize = 60;
/// The longest period that can be written: longer ones are mistakes, and milliseconds of it fit every counter.
const PERIOD_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// The text of a scalar; nothing is said of anything else.
pub(super) fn plain(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::Nothing | Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// The value for a message: quoted, cut, and not at all when it came from outside the file.
pub(super) fn shown(node: &Node, text: &str) -> String {
    if node.hidden {
        return INSERTED.to_owned();
    }
    let cut: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    let dots = if text.chars().count() > SHOWN_CHARS_MAX { "..." } else { "" };
    format!("`{cut}{dots}`")
}

/// Any text with something in it.
pub(super) fn text<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a str> {
    if problems.blames(&node.at) {
        return None;
    }
    let text = as_text(node, what, problems)?;
    if text.trim().is_empty() {
        problems.error(&node.at, format!("{what} is empty"));
        return None;
    }
    Some(text)
}

/// Says that what is written cannot be switched off, and what to do instead. `false` when nobody tried.
pub(super) fn stays_on(node: &Node, what: &str, instead: &str, problems: &mut Problems) -> bool {
    let tried = off(node);
    if tried && !problems.blames(&node.at) {
        problems.error_hint(&node.at, format!("{what} cannot be switched off"), instead);
    }
    tried
}

/// Any text, as a value of its own.
pub(super) fn string(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    text(node, what, problems).map(str::to_owned)
}

/// Says what was wanted and what stood there.
fn refuse(node: &Node, text: &str, what: &str, wanted: &str, problems: &mut Problems) {
    problems.error(&node.at, format!("{what} is {wanted}, and this is {}", shown(node, text)));
}

/// `true` or `false`, and the other words for off.
pub(super) fn flag(node: &Node, what: &str, problems: &mut Problems) -> Option<bool> {
    if problems.blames(&node.at) { None } else { crate::yaml::as_bool(node, what, problems) }
}

/// A duration with its unit.
pub(super) fn period(node: &Node, what: &str, problems: &mut Problems) -> Option<Period> {
    let text = text(node, what, problems)?;
    if bare_number(text) {
        let hint = format!("did you mean `{text}s` or `{text}ms`?");
        let what = format!("{what} is a duration and needs its unit, such as `10s`, `5m` or `3d`");
        if node.hidden {
            problems.error(&node.at, what);
        } else {
            problems.error_hint(&node.at, what, hint);
        }
        return None;
    }
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.subsec_nanos().is_multiple_of(1_000_000) => {
            refuse(node, text, what, "counted in whole milliseconds", problems);
            None
        }
        Ok(duration) if duration <= PERIOD_MAX => Some(Period(duration)),
        Ok(_) => {
            refuse(node, text, what, "at most 100 years", problems);
            None
        }
        Err(_) => {
            refuse(node, text, what, "a duration such as `10s`, `5m` or `3d`", problems);
            None
        }
    }
}

/// A duration longer than nothing.
pub(super) fn lasting(node: &Node, what: &str, problems: &mut Problems) -> Option<Period> {
    let period = period(node, what, problems)?;
    if period.0.is_zero() {
        problems.error(&node.at, format!("{what} is longer than nothing"));
        return None;
    }
    Some(period)
}

/// A size with its unit.
pub(super) fn size(node: &Node, what: &str, problems: &mut Problems) -> Option<Size> {
    let text = text(node, what, problems)?;
    if bare_number(text) {
        let hint = format!("did you mean `{text}MiB` or `{text}B`?");
        let what = format!("{what} is a size and needs its unit, such as `256KiB` or `10GiB`");
        if node.hidden {
            problems.error(&node.at, what);
        } else {
            problems.error_hint(&node.at, what, hint);
        }
        return None;
    }
    // The library saturates where it cannot count any further; what a file can hold is less than half of that.
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if i64::try_from(size.0).is_ok() && text.ends_with(['b', 'B']) => Some(Size(size.0)),
        _ => {
            refuse(node, text, what, "a size such as `256KiB`, `1MiB` or `10GiB`", problems);
            None
        }
    }
}

/// A share in percent.
pub(super) fn share(node: &Node, what: &str, problems: &mut Problems) -> Option<Share> {
    let text = text(node, what, problems)?;
    match text.strip_suffix('%').and_then(|number| number.trim().parse::<u32>().ok()) {
        Some(percent @ 1..=100) => Some(Share(percent)),
        _ => {
            refuse(node, text, what, "a share from `1%` to `100%`", problems);
            None
        }
    }
}

/// A whole number from `least` to `most`.
pub(super) fn count(node: &Node, what: &str, least: u32, most: u32, problems: &mut Problems) -> Option<u32> {
    let text = text(node, what, problems)?;
    match text.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Some(number),
        _ => {
            refuse(node, text, what, &format!("a whole number from {least} to {most}"), problems);
            None
        }
    }
}

/// A number from `least` to `most`.
pub(super) fn number(node: &Node, what: &str, least: f64, most: f64, problems: &mut Problems) -> Option<f64> {
    let text = text(node, what, problems)?;
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Some(number),
        _ => {
            refuse(node, text, what, &format!("a number from {least} to {most}"), problems);
            None
        }
    }
}

/// One of some words, which are the names their values are listed by.
pub(super) fn choice<T: Clone + Serialize>(all: &[T], node: &Node, what: &str, problems: &mut Problems) -> Option<T> {
    let words: Vec<String> = all.iter().map(word).collect();
    let switched_off = off(node) && words.iter().any(|word| word == "none");
    let written = if switched_off { "none" } else { text(node, what, problems)? };
    if let Some(index) = words.iter().position(|word| word == written) {
        return all.get(index).cloned();
    }
    let said = format!("{what} is one of {}, and this is {}", words.join(", "), shown(node, written));
    match nearest(written, words.iter().map(String::as_str)) {
        Some(meant) => problems.error_hint(&node.at, said, format!("did you mean `{meant}`?")),
        None => problems.error(&node.at, said),
    }
    None
}

/// The word a value is listed by.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

/// An address to listen on.
pub(super) fn address(node: &Node, what: &str, problems: &mut Problems) -> Option<Text<SocketAddr>> {
    let text = text(node, what, problems)?;
    if let Ok(address) = text.parse() {
        return Some(Text(address));
    }
    refuse(node, text, what, "an IP address and a port, such as `127.0.0.1:8080`, `0.0.0.0:8443` or `[::]:8443`", problems);
    None
}

/// A network, or one address.
pub(super) fn network(node: &Node, what: &str, problems: &mut Problems) -> Option<Text<IpNet>> {
    let text = text(node, what, problems)?;
    if let Ok(network) = text.parse::<IpNet>() {
        return Some(Text(network.trunc()));
    }
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(Text(IpNet::from(address)));
    }
    refuse(node, text, what, "a network such as `10.0.0.0/8`, or one address", problems);
    None
}

/// A name in a certificate.
pub(super) fn subject_name(node: &Node, what: &str, problems: &mut Problems) -> Option<Text<SubjectName>> {
    let text = text(node, what, problems)?;
    let name = SubjectName::parse(text);
    if name.is_none() {
        let wanted = "one name in a certificate, without wildcards, such as `hooks.example.com`, `spiffe://example/a` or `192.0.2.7`";
        refuse(node, text, what, wanted, problems);
    }
    name.map(Text)
}

/// A path, seen from the current directory.
pub(super) fn path(node: &Node, what: &str, problems: &mut Problems) -> Option<PathBuf> {
    if stays_on(node, what, "leave it out, or put `./` before the name of a file", problems) {
        return None;
    }
    let text = text(node, what, problems)?;
    if text.contains('\0') {
        problems.error(&node.at, format!("{what} is a path, and holds a zero byte"));
        return None;
    }
    // A key where the path of its file should be would be shown as one that cannot be read.
    if text.contains('\n') {
        problems.error(&node.at, format!("{what} is the path of a file, and this has several lines; is it what the file holds?"));
        return None;
    }
    Some(PathBuf::from(text))
}

/// A moment: a date is its first one, in UTC; a time is RFC 3339.
pub(super) fn moment(node: &Node, what: &str, problems: &mut Problems) -> Option<Text<UnixMs>> {
    let text = text(node, what, problems)?;
    let parsed = match text.parse::<jiff::Timestamp>() {
        Ok(at) => Some(at),
        Err(_) => text.parse::<jiff::civil::Date>().ok().and_then(|date| Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())),
    };
    if parsed.is_none() {
        refuse(node, text, what, "a date such as `2026-12-01`, or a time such as `2026-12-01T08:00:00Z`", problems);
    }
    Some(Text(UnixMs(parsed?.as_millisecond())))
}

fn bare_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}
