//! `${NAME}`, `${NAME:-default}` and `${file:PATH}` in the values of the parsed tree.
//!
//! It runs on the tree and not on the text, so nothing that is inserted can become YAML: a newline, a quote or a colon in a secret stays
//! one, and what was inserted is never expanded again. `$${` is a literal `${`, any other `$` is itself. Keys are left alone.

use std::path::Path;

use super::surroundings::{Asked, Surroundings};
use crate::yaml::{Node, Problems, Value, nearest};

/// The largest file that is inserted, in bytes: a secret, not a document.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Inserts what the values of a file ask for, `root` being its tree. A value that asks for something that is not there is reported, and
/// stays as it is. What a source says of its provider itself is left alone, and what a target orders by: their braces are templates.
pub(super) fn interpolate(root: &mut Node, surroundings: &Surroundings, problems: &mut Problems) {
    walk(root, Place::Root, surroundings, problems);
}

/// Where in the tree a value stands, as far as it matters: on the way to the `verify` of a source or the `order_by` of a target, or off it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Sources,
    Source,
    Defaults,
    Grammar,
    Targets,
    Target,
    Order,
    Elsewhere,
}

impl Place {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Root, "sources") => Self::Sources,
            (Self::Root, "defaults") => Self::Defaults,
            (Self::Sources, _) | (Self::Defaults, "source") => Self::Source,
            (Self::Source, "verify") | (Self::Grammar, _) => Self::Grammar,
            (Self::Root, "targets") => Self::Targets,
            (Self::Targets, _) | (Self::Defaults, "target") => Self::Target,
            (Self::Target, "order_by") => Self::Order,
            _ => Self::Elsewhere,
        }
    }
}

fn walk(node: &mut Node, place: Place, surroundings: &Surroundings, problems: &mut Problems) {
    match &mut node.value {
        Value::Nothing | Value::Null => {}
        Value::List(items) => {
            let place = if place == Place::Grammar { place } else { Place::Elsewhere };
            items.iter_mut().for_each(|item| walk(item, place, surroundings, problems));
        }
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(key, value)| walk(value, place.below(&key.text), surroundings, problems));
        }
        Value::Scalar { text, .. } => {
            if !text.contains("${") {
                return;
            }
            if place == Place::Grammar {
                if let Some(asked) = meant(text) {
                    let hint =
                        format!("give `{asked}` as `secret` or under the source's `credentials`, and name it: `{{credential:NAME}}`");
                    problems.error_hint(&node.at, "nothing is inserted under `verify`, whose braces are templates", hint);
                }
                return;
            }
            if place == Place::Order {
                if let Some(asked) = meant(text) {
                    problems
                        .error(&node.at, format!("nothing is inserted into `order_by`, whose braces are a template; there is `{asked}`"));
                }
                return;
            }
            let mut insertion = Insertion { surroundings, out: String::new(), inserted: false, warnings: Vec::new() };
            match insertion.expand(text) {
                Ok(()) => {
                    *text = insertion.out;
                    node.hidden = insertion.inserted;
                    insertion.warnings.into_iter().for_each(|warning| problems.warning(&node.at, warning));
                }
                Err(Fault { what, hint: Some(hint) }) => problems.error_hint(&node.at, what, hint),
                Err(Fault { what, hint: None }) => problems.error(&node.at, what),
            }
        }
    }
}

/// What somebody plainly wanted inserted in the text of a grammar in which `${body}` is a `$` and a value of the request: the name of a
/// variable as people write it, a default, a file. The atoms of the grammar are words in lower case.
fn meant(text: &str) -> Option<&str> {
    text.match_indices("${").find_map(|(at, _)| {
        let rest = text.get(at..)?;
        let inside = rest.get(2..rest.find('}')?)?;
        let named = !inside.contains(':') && inside.bytes().any(|byte| byte.is_ascii_uppercase());
        (named || inside.starts_with("file:") || inside.contains(":-")).then(|| rest.get(..inside.len() + 3))?
    })
}

/// Why a value cannot be made.
struct Fault {
    what: String,
    hint: Option<String>,
}

impl Fault {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }
}

/// One value being put together.
struct Insertion<'a> {
    surroundings: &'a Surroundings,
    out: String,
    inserted: bool,
    warnings: Vec<String>,
}

impl Insertion<'_> {
    fn expand(&mut self, text: &str) -> Result<(), Fault> {
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, found) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                self.out.push_str(before);
                self.out.push_str("${");
                rest = &found[2..];
                continue;
            }
            self.out.push_str(before);
            let (inside, after) = closed(&found[2..])?;
            match inside.strip_prefix("file:") {
                Some(path) => self.file(path)?,
                None => self.variable(inside)?,
            }
            rest = after;
        }
        self.out.push_str(rest);
        Ok(())
    }

    fn variable(&mut self, inside: &str) -> Result<(), Fault> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        check_name(name)?;
        match (self.surroundings.variable(name), default) {
            (Asked::Set(value), _) if !value.is_empty() => {
                self.inserted = true;
                self.out.push_str(value);
                Ok(())
            }
            (Asked::NotText, _) => Err(Fault::new(format!("the environment variable {name} is not UTF-8"))),
            (Asked::Set(_) | Asked::Unset, Some(default)) => {
                self.out.push_str(default);
                Ok(())
            }
            (asked, None) => {
                let state = if asked == Asked::Unset { "not set" } else { "empty" };
                let meant = nearest(name, self.surroundings.names("")).filter(|_| asked == Asked::Unset);
                let hint = match meant {
                    Some(meant) => format!("did you mean `${{{meant}}}`?"),
                    None => format!("set it, or give a default: `${{{name}:-...}}`"),
                };
                Err(Fault { what: format!("the environment variable {name} is {state}"), hint: Some(hint) })
            }
        }
    }

    fn file(&mut self, path: &str) -> Result<(), Fault> {
        let path = self.path(path)?;
        if path.is_empty() {
            return Err(Fault::new("`${file:}` names no file"));
        }
        let contents = self.surroundings.read(Path::new(&path), FILE_BYTES_MAX);
        let contents = contents.map_err(|error| Fault::new(format!("the file {path} cannot be read: {error}")))?;
        if contents.bytes.len() > FILE_BYTES_MAX {
            return Err(Fault::new(format!("the file {path} is larger than 64 KiB, which no secret is")));
        }
        if contents.world_readable {
            self.warnings.push(format!("everyone on this machine may read the file {path}"));
        }
        let text = String::from_utf8(contents.bytes).map_err(|_| Fault::new(format!("the file {path} is not UTF-8 text")))?;
        if text.starts_with('\u{feff}') {
            return Err(Fault::new(format!(
                "the file {path} begins with a byte order mark, which no secret does: save it as UTF-8 without one"
            )));
        }
        let text = text.strip_suffix('\n').map_or(&*text, |cut| cut.strip_suffix('\r').unwrap_or(cut));
        if text.is_empty() {
            return Err(Fault::new(format!("the file {path} is empty")));
        }
        self.inserted = true;
        self.out.push_str(text);
        Ok(())
    }

    /// The path of a file, in which one variable may stand.
    fn path(&self, path: &str) -> Result<String, Fault> {
        let Some((before, rest)) = path.split_once("${") else { return Ok(path.to_owned()) };
        let (name, after) = closed(rest)?;
        if after.contains("${") {
            return Err(Fault::new("a `${file:...}` path holds one variable at most"));
        }
        let mut inner = Insertion { surroundings: self.surroundings, out: before.to_owned(), inserted: false, warnings: Vec::new() };
        inner.variable(name)?;
        inner.out.push_str(after);
        Ok(inner.out)
    }
}

/// What stands before the brace that closes this one, and what follows it.
fn closed(text: &str) -> Result<(&str, &str), Fault> {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok((&text[..at], &text[at + 1..]));
        }
    }
    Err(Fault { what: "a `${` is never closed".to_owned(), hint: Some("write `$${` for the characters themselves".to_owned()) })
}

fn check_name(name: &str) -> Result<(), Fault> {
    let mut chars = name.chars();
    let first_fits = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first_fits && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(Fault {
        what: "a `${...}` holds a variable's name, `NAME:-default`, or `file:PATH`".to_owned(),
        hint: Some("write `$${` for the characters themselves".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

    use super::*;
    use crate::{clock::Clock, yaml::parse};

    fn surroundings() -> Surroundings {
        let variables = [("A", "one"), ("EMPTY", ""), ("LOOP", "${A}"), ("DIR", "/run/secrets"), ("ODD", "x\"\n  y: [z")];
        let files = [("/run/secrets/s", "line\n"), ("/two", "a\n\n"), ("/crlf", "a\r\n"), ("/none", "\n"), ("/bom", "\u{feff}a\n")];
        let mut files: BTreeMap<PathBuf, Vec<u8>> = files.map(|(path, text)| (path.into(), text.into())).into();
        files.insert("/big".into(), vec![b'x'; FILE_BYTES_MAX + 1]);
        files.insert("/most".into(), vec![b'x'; FILE_BYTES_MAX]);
        files.insert("/binary".into(), vec![0xff, 0xfe]);
        Surroundings::held(files, variables.map(|(name, value)| (name.into(), value.into())).into(), Clock::System)
    }

    fn expand(value: &str) -> Result<String, String> {
        let mut problems = Problems::new();
        let quoted = value.replace('\'', "''");
        let mut tree = parse(&Arc::from("t.yaml"), &format!("a: '{quoted}'\n"), &mut problems).expect("YAML");
        interpolate(&mut tree, &surroundings(), &mut problems);
        if problems.has_errors() {
            return Err(problems.into_sorted().iter().map(ToString::to_string).collect());
        }
        let Some(Node { value: Value::Scalar { text, .. }, .. }) = tree.get("a") else { panic!("a scalar") };
        Ok(text.clone())
    }

    #[test]
    fn inserts_what_is_asked_for_and_nothing_else() {
        let cases = [
            ("${A}", "one"),
            ("x${A}y${A}z", "xoneyonez"),
            ("${NOPE:-two}", "two"),
            ("${EMPTY:-two}", "two"),
            ("${A:-two}", "one"),
            ("${NOPE:-}", ""),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("$A and $ and $(x)", "$A and $ and $(x)"),
            ("${LOOP}", "${A}"),
            ("${ODD}", "x\"\n  y: [z"),
            ("${file:/run/secrets/s}", "line"),
            ("${file:${DIR}/s}", "line"),
            ("${file:${NOPE:-/run/secrets}/s}", "line"),
            ("${file:/two}", "a\n"),
            ("${file:/crlf}", "a"),
        ];
        for (written, expected) in cases {
            assert_eq!(expand(written).as_deref(), Ok(expected), "{written}");
        }
        assert_eq!(expand("${file:/most}").map(|text| text.len()), Ok(FILE_BYTES_MAX));
    }

    #[test]
    fn templates_are_left_alone_and_nothing_else_is() {
        let text = "sources:\n  verify:\n    verify: { message: '${body}$${key}${header:X-A}', event: { id: ['{x}${item:/A}'] } }\n    \
                    secret: '${A}'\n    respond: { verify: '${A}' }\ndefaults: { source: { verify: ['${sig:t}'] } }\n\
                    targets: { sources: { source: { verify: '${A}' }, order_by: '${body}$${key}', url: { order_by: '${A}' } } }\n";
        let mut problems = Problems::new();
        let mut tree = parse(&Arc::from("t.yaml"), text, &mut problems).expect("YAML");
        let untouched = tree.clone();
        interpolate(&mut tree, &surroundings(), &mut problems);
        assert_eq!(problems.into_sorted(), []);
        let at = |tree: &Node, path: &[&str]| path.iter().try_fold(tree.clone(), |node, key| node.get(key).cloned());
        for kept in [&["sources", "verify", "verify"][..], &["defaults", "source", "verify"], &["targets", "sources", "order_by"]] {
            assert_eq!(at(&tree, kept), at(&untouched, kept), "{kept:?}");
        }
        let inserted = [&["sources", "verify", "secret"][..], &["sources", "verify", "respond", "verify"]];
        let of_targets = [&["targets", "sources", "source", "verify"][..], &["targets", "sources", "url", "order_by"]];
        for path in inserted.into_iter().chain(of_targets) {
            assert!(at(&tree, path).is_some_and(|node| node.value == Value::Scalar { text: "one".into(), quoted: true }), "{path:?}");
        }
        for (text, asked) in [("x${A}", Some("${A}")), ("${a:-b}", Some("${a:-b}")), ("${file:/x}", Some("${file:/x}"))] {
            assert_eq!(meant(text), asked);
        }
        for text in ["${body}", "${header:X-A}${json:/A}", "${A", "${"] {
            assert_eq!(meant(text), None, "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_everyone_may_read_is_worth_a_warning() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("s");
        std::fs::write(&file, "secret\n").expect("a file");
        for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("a mode");
            let mut problems = Problems::new();
            let mut tree = parse(&Arc::from("t.yaml"), &format!("a: ${{file:{}}}\n", file.display()), &mut problems).expect("YAML");
            interpolate(&mut tree, &Surroundings::system(), &mut problems);
            assert!(!problems.has_errors());
            assert_eq!(problems.into_sorted().len(), warnings, "{mode:o}");
        }
    }

    #[test]
    fn says_what_is_missing_and_where() {
        let cases = [
            ("${NOPE}", "t.yaml:1:4: the environment variable NOPE is not set; set it, or give a default: `${NOPE:-...}`"),
            ("${EMPTYY}", "t.yaml:1:4: the environment variable EMPTYY is not set; did you mean `${EMPTY}`?"),
            ("${EMPTY}", "t.yaml:1:4: the environment variable EMPTY is empty; set it, or give a default: `${EMPTY:-...}`"),
            ("${A", "t.yaml:1:4: a `${` is never closed; write `$${` for the characters themselves"),
            ("${file:/gone}", "t.yaml:1:4: the file /gone cannot be read: entity not found"),
            ("${file:/big}", "t.yaml:1:4: the file /big is larger than 64 KiB, which no secret is"),
            ("${file:/binary}", "t.yaml:1:4: the file /binary is not UTF-8 text"),
            ("${file:/none}", "t.yaml:1:4: the file /none is empty"),
            ("${file:/bom}", "t.yaml:1:4: the file /bom begins with a byte order mark, which no secret does: save it as UTF-8 without one"),
            ("${file:}", "t.yaml:1:4: `${file:}` names no file"),
            ("${file:${DIR}${DIR}}", "t.yaml:1:4: a `${file:...}` path holds one variable at most"),
        ];
        for (written, expected) in cases {
            assert_eq!(expand(written), Err(expected.to_owned()), "{written}");
        }
        for odd in ["${}", "${1A}", "${A B}", "${A:?x}", "${a.b}"] {
            assert!(expand(odd).is_err_and(|said| said.contains("holds a variable's name")), "{odd}");
        }
    }
}
