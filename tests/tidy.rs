//! The house rules, checked: sizes, layering, confinement, words, documents that match the code. Standard library only, done in seconds.
//!
//! Every complaint reads `file:line: what (the rule)`, and a rule reports all of its complaints at once. The rules themselves are explained
//! in CONTRIBUTING.md; here they are only enforced.

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/source.rs"]
mod source;

use std::fs;

use source::{Source, collect, root, sources};

/// Lines of a file without its test module.
const FILE_LINES_MAX: usize = 400;
/// The line of code half of the files must stay under.
const FILE_LINES_MEDIAN_MAX: usize = 130;
/// Lines of code in a function, blank lines and comments aside.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line, which rustfmt cannot enforce in comments.
const LINE_COLUMNS_MAX: usize = 140;

/// The layers of `src/`, top first: code imports only from layers below its own, or from its own module.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app"],
    &["door", "admin"],
    &["ingest", "deliver"],
    &["store"],
    &["queue"],
    &["plan"],
    &["route", "verify"],
    &["config"],
    &["provider"],
    &["yaml"],
];

/// What may be named only in some places: the word, and the folders or files it is confined to.
const CONFINED: &[(&str, &[&str])] = &[
    ("rusqlite", &["src/store/"]),
    ("actix_web", &["src/door/", "src/admin/"]),
    ("actix_http", &["src/door/", "src/admin/"]),
    ("actix_server", &["src/door/", "src/admin/"]),
    ("ServerConfig", &["src/door/", "src/admin/"]),
    ("ServerConnection", &["src/door/", "src/admin/"]),
    ("ClientConfig", &["src/deliver/", "src/cli/"]),
    ("hyper_rustls", &["src/deliver/"]),
    ("hyper_util", &["src/deliver/", "src/cli/"]),
    ("CryptoProvider", &["src/app/", "src/main.rs", "src/cli/pin.rs"]),
    ("install_default", &["src/app/", "src/main.rs"]),
];

/// Modules that know no runtime and no socket.
const PURE: &[&str] = &["queue", "route", "verify", "config", "provider", "plan", "yaml", "alert"];
/// What such a module does not name.
const IMPURE: &[&str] = &["tokio", "TcpStream", "TcpListener", "UdpSocket", "UnixStream"];
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];
/// What may stand in tests only.
const TESTS_ONLY: &[&str] = &[".unwrap()", "todo!", "unimplemented!", "dbg!", "#[allow", "#![allow", "macro_rules!"];

/// Whether `word` stands in `line` as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    line.match_indices(word).any(|(at, _)| {
        let bytes = line.as_bytes();
        !part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !part(bytes.get(at + word.len()))
    })
}

/// Fails with every complaint of a rule at once.
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is wanted, not only the verdict")]
fn files_are_small_and_say_what_they_are_for() {
    let mut complaints = Vec::new();
    let all = sources(&["src", "tests", "benches"]);
    for source in &all {
        if source.lines() > FILE_LINES_MAX {
            complaints.push(format!("{}:1: {} lines (at most {FILE_LINES_MAX} without tests: split it)", source.path, source.lines()));
        }
        if !source.text.starts_with("//! ") {
            complaints.push(format!("{}:1: does not open with `//!` (say what the file is for and what it promises)", source.path));
        }
        for (index, line) in source.text.lines().enumerate().filter(|(_, line)| line.chars().count() > LINE_COLUMNS_MAX) {
            let columns = line.chars().count();
            complaints.push(format!("{}:{}: {columns} columns (at most {LINE_COLUMNS_MAX})", source.path, index + 1));
        }
    }
    let mut sizes: Vec<usize> = all.iter().filter(|source| source.path.starts_with("src/")).map(Source::lines).collect();
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
    println!("{} files under src/, median {median} lines, largest {}", sizes.len(), sizes.last().copied().unwrap_or(0));
    if median > FILE_LINES_MEDIAN_MAX {
        complaints.push(format!("src/: half of the files have more than {FILE_LINES_MEDIAN_MAX} lines (the median is {median})"));
    }
    report(&complaints);
}

#[test]
fn functions_are_small() {
    let mut complaints = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        let lines: Vec<&str> = source.code.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let declares = names(line, "fn") && line.contains('(') && !line.trim_start().starts_with("type ");
            let excused = lines[index.saturating_sub(3)..index].iter().any(|before| before.contains("clippy::too_many_lines"));
            if let Some(length) = function_lines(&lines[index..]).filter(|_| declares && !excused)
                && length > FUNCTION_LINES_MAX
            {
                let at = format!("{}:{}", source.path, index + 1);
                complaints.push(format!("{at}: a function of {length} lines (at most {FUNCTION_LINES_MAX}: name its parts)"));
            }
        }
    }
    report(&complaints);
}

/// Lines of code between the braces of the function that begins on the first line; `None` for a declaration without a body.
fn function_lines(lines: &[&str]) -> Option<usize> {
    let (mut depth, mut brackets, mut opened, mut count) = (0_i32, 0_i32, false, 0);
    for line in lines {
        let counted = opened && !line.trim().is_empty();
        for byte in line.bytes() {
            match byte {
                b'(' | b'[' => brackets += 1,
                b')' | b']' => brackets -= 1,
                b'{' => (depth, opened) = (depth + 1, true),
                b'}' => depth -= 1,
                b';' if !opened && brackets == 0 => return None,
                _ => {}
            }
        }
        if opened && depth == 0 {
            return Some(count);
        }
        count += usize::from(counted);
    }
    None
}

#[test]
fn imports_point_only_downward() {
    let rank = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or(LAYERS.len());
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        let Some(own) = source.module().filter(|module| *module != "lib").map(str::to_owned) else { continue };
        for (line, used) in crate_paths(&source) {
            let (from, to) = (rank(&own), rank(&used));
            if used != own && to <= from && to < LAYERS.len() {
                complaints
                    .push(format!("{}:{line}: `{own}` imports `{used}` (imports point only downward: see ARCHITECTURE.md)", source.path));
            }
        }
    }
    report(&complaints);
}

/// The modules named after `crate::` (or, in main.rs, `hookgate::`), grouped imports included, with their lines.
fn crate_paths(source: &Source) -> Vec<(usize, String)> {
    let production: String = source.code.lines().take(source.tests_from).flat_map(|line| [line, "\n"]).collect();
    let mut found = Vec::new();
    for (at, prefix) in production.match_indices("crate::").chain(production.match_indices("hookgate::")) {
        let rest = &production[at + prefix.len()..];
        let line = production[..at].matches('\n').count() + 1;
        let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => found.push((line, word(rest))),
            Some(group) => {
                let (mut depth, mut begins) = (0, true);
                for (offset, c) in group.char_indices() {
                    match c {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && !c.is_whitespace() => {
                            found.push((line + group[..offset].matches('\n').count(), word(&group[offset..])));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn what_is_confined_stays_where_it_belongs() {
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        let pure = source.module().is_some_and(|module| PURE.contains(&module));
        for (line, code) in source.production() {
            for (word, homes) in CONFINED.iter().filter(|(word, homes)| names(code, word) && !at_home(&source.path, homes)) {
                complaints.push(format!("{}:{line}: names `{word}` (only {} may)", source.path, homes.join(", ")));
            }
            for word in IMPURE.iter().filter(|word| pure && names(code, word)) {
                complaints.push(format!("{}:{line}: names `{word}` (this module knows no runtime and no socket)", source.path));
            }
        }
    }
    report(&complaints);
}

fn at_home(path: &str, homes: &[&str]) -> bool {
    homes.iter().any(|home| path.starts_with(home))
}

#[test]
fn production_code_neither_panics_nor_excuses_itself() {
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        for (line, code) in source.production() {
            for shortcut in TESTS_ONLY.iter().filter(|shortcut| code.contains(**shortcut)) {
                complaints
                    .push(format!("{}:{line}: `{shortcut}` (in tests only; lints are excused with #[expect(.., reason)])", source.path));
            }
            if names(code, "unsafe") {
                complaints.push(format!("{}:{line}: `unsafe` (there is none here)", source.path));
            }
        }
    }
    report(&complaints);
}

#[test]
fn names_say_something() {
    let mut complaints = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        for part in source.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part)) {
            if EMPTY_NAMES.contains(&part) {
                complaints.push(format!("{}:1: a file named `{part}` (name it after what it is in this field)", source.path));
            }
        }
        for (index, code) in source.code.lines().enumerate() {
            let empty = EMPTY_NAMES.iter().any(|name| names(code, &format!("mod {name}")));
            let managed =
                code.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.ends_with("Manager") || word.ends_with("Helper"));
            if empty || managed || code.contains("fn get_") {
                complaints.push(format!("{}:{}: an empty name (no utils, helper, manager, get_)", source.path, index + 1));
            }
        }
    }
    report(&complaints);
}

#[test]
fn nothing_names_a_path_of_some_machine() {
    let mut files = Vec::new();
    collect(root(), &mut files);
    let homes = ["/root/", "/home/", "/Users/", concat!("/", "work/")];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("tests/tidy.rs") && !file.ends_with("Cargo.lock")) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        for (index, line) in text.lines().enumerate().filter(|(_, line)| homes.iter().any(|home| line.contains(home))) {
            let path = file.strip_prefix(root()).unwrap_or(file).display();
            complaints.push(format!("{path}:{}: a path of one machine: {}", index + 1, line.trim()));
        }
    }
    report(&complaints);
}

#[test]
fn the_rules_notice_what_they_forbid() {
    let text = "use crate::{\n    app::run,\n    store::{self, Store},\n};\nfn f() {\n    hookgate::cli::run();\n}\n";
    let source = Source { path: "src/queue/x.rs".into(), text: text.into(), code: text.into(), tests_from: 8 };
    let found: Vec<(usize, String)> = crate_paths(&source);
    assert_eq!(found, [(2, "app".to_owned()), (3, "store".to_owned()), (6, "cli".to_owned())]);
    assert_eq!(function_lines(&["fn f(", "    a: [u8; 2],", ") {", "    one();", "", "    two();", "}"]), Some(2));
    assert_eq!(function_lines(&["fn f();", "{", "}"]), None);
    assert!(names("use rusqlite::x", "rusqlite") && !names("use rusqlite2::x", "rusqlite"));
}
