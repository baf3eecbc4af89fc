//! Reading Rust as text: a file with its comments and literals blanked out, so that rules can search what is left without a parser.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file, read once.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// The same with comments and the contents of literals blanked out: same length, same lines.
    pub(crate) code: String,
    /// Where its test module begins, as a line from 0; the number of lines without one.
    pub(crate) tests_from: usize,
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.strip_prefix(root).expect("under the root").to_string_lossy().replace('\\', "/");
        let code = blank(&text);
        let lines: Vec<&str> = code.lines().collect();
        let opens_tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ");
        let tests_from = lines.windows(2).position(opens_tests).unwrap_or(lines.len());
        let all_tests = path.starts_with("tests/") || path.starts_with("benches/") || path.ends_with("/tests.rs");
        Self { tests_from: if all_tests { 0 } else { tests_from }, path, text, code }
    }

    /// Lines of production code, with their numbers from 1.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().take(self.tests_from).enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Lines that count against the size of the file.
    pub(crate) fn lines(&self) -> usize {
        if self.tests_from == 0 { self.text.lines().count() } else { self.tests_from }
    }

    /// The module under `src/` it belongs to: its folder or its stem.
    pub(crate) fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split('/').next().map(|first| first.strip_suffix(".rs").unwrap_or(first))
    }
}

/// Blanks comments and the contents of string and character literals, so that the rest can be searched as text.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in out.iter_mut().take(end).skip(at).filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole characters were blanked")
}

/// The end of the comment or literal that begins at `at`; `at` itself when none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let joined = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let find = |needle: &[u8], from: usize| {
        let found = bytes[from.min(bytes.len())..].windows(needle.len()).position(|window| window == needle);
        found.map_or(bytes.len(), |offset| from + offset)
    };
    if rest.starts_with(b"//") {
        return find(b"\n", at);
    }
    if rest.starts_with(b"/*") {
        return find(b"*/", at) + 2;
    }
    let raw = if rest.starts_with(b"br") { 2 } else { 1 };
    if !joined && (rest.starts_with(b"r\"") || rest.starts_with(b"r#") || rest.starts_with(b"br\"") || rest.starts_with(b"br#")) {
        let hashes = rest[raw..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(raw + hashes) == Some(&b'"') {
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            return (find(&close, at + raw + hashes + 1) + close.len()).min(bytes.len());
        }
    }
    match rest {
        [b'"', ..] => quoted_end(bytes, at, b'"'),
        [b'\'', b'\\', ..] => quoted_end(bytes, at, b'\''),
        // Anything else that closes within a character's length is a character; a lifetime does not close.
        [b'\'', first, ..] if *first != b'\'' => {
            let width = std::str::from_utf8(&rest[1..rest.len().min(5)]).map_or_else(
                |error| {
                    std::str::from_utf8(&rest[1..=error.valid_up_to()]).ok().and_then(|text| text.chars().next()).map_or(4, char::len_utf8)
                },
                |text| text.chars().next().map_or(1, char::len_utf8),
            );
            if rest.get(1 + width) == Some(&b'\'') { at + width + 2 } else { at }
        }
        _ => at,
    }
}

fn quoted_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the folders, sorted.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| collect(&root().join(folder), &mut paths));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    paths.iter().map(|path| Source::read(root(), path)).collect()
}

/// What is no part of the project: what is built, and where it came from.
const SKIPPED: &[&str] = &["target", ".git", "hookgate-data"];

/// Every file under a folder, builds and history aside.
pub(crate) fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(|entry| entry.expect("a readable folder").path()) {
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if entry.is_dir() && !SKIPPED.contains(&&*name) {
            collect(&entry, into);
        } else if entry.is_file() && !SKIPPED.contains(&&*name) {
            into.push(entry);
        }
    }
}

#[test]
fn literals_and_comments_are_blanked_and_nothing_else() {
    let text = "let a = \"fn {\"; // fn {\nlet b = '{'; let c: &'a str = r#\"}\"\"#; /* { */ let d = '\\''; let é = 'é';";
    let code = blank(text);
    assert_eq!(code.lines().count(), 2);
    assert!(!code.contains(['{', '}', '"']), "{code}");
    assert!(code.contains("&'a str") && code.contains("let d =") && code.contains("let é ="), "{code}");
}
