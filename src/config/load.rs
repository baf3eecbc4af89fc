//! From the command line's `-c` to one tree: the file is found, read, filled from the environment, and joined with what it includes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Config, interpolate::interpolate, overrides, surroundings::Surroundings};
use crate::yaml::{self, Key, Node, Problem, Problems, Severity, Value, as_list, as_text, off};

/// Where a file is looked for when nobody says which.
const FILES: [&str; 2] = ["./hookgate.yaml", "/etc/hookgate/hookgate.yaml"];
/// The variable that says which.
const FILE_VARIABLE: &str = "HOOKGATE_CONFIG";
/// The directory the gateway writes to when nobody says which.
const DATA_DIR: &str = "./hookgate-data";
/// What an included file may hold.
const INCLUDABLE: [&str; 4] = ["sources", "targets", "routes", "defaults"];
/// Keys of which a source has one.
const INSTEAD: [(&str, &str); 2] = [("provider", "verify"), ("verify", "provider")];
/// Files one configuration may include: a glob that reaches further is a mistake.
const INCLUDED_MAX: usize = 1000;

/// A configuration file that was found, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub path: PathBuf,
    /// Whether it was named by `-c` or by the variable, and not just looked for.
    pub named: bool,
}

/// Finds the configuration file: `-c`, `$HOOKGATE_CONFIG`, `./hookgate.yaml`, `/etc/hookgate/hookgate.yaml`. A file that was named is taken
/// even when it is missing, so that its absence is an error and not a surprise.
#[must_use]
pub fn locate(asked: Option<&Path>, surroundings: &Surroundings) -> Option<Located> {
    let named = asked.map(Path::to_owned).or_else(|| surroundings.filled(FILE_VARIABLE).map(PathBuf::from));
    match named {
        Some(path) => Some(Located { path, named: true }),
        None => FILES.map(PathBuf::from).into_iter().find(|path| surroundings.exists(path)).map(|path| Located { path, named: false }),
    }
}

/// Reads the configuration. `None` only when there is no tree to speak of; with errors noted, what can be read is still returned, so that
/// the caller can go on and find the rest of them.
pub fn load(asked: Option<&Path>, surroundings: &Surroundings, problems: &mut Problems) -> Option<Config> {
    let Some(Located { path, .. }) = locate(asked, surroundings) else {
        let what = format!("no configuration file: {FILE_VARIABLE} is not set, and there is neither {} nor {}", FILES[0], FILES[1]);
        let hint = Some("name one with -c, or write one with `hookgate init`".to_owned());
        problems.push(Problem { at: None, severity: Severity::Error, what, hint });
        return None;
    };
    let mut root = read_tree(&path, surroundings, problems)?;
    let included = includes(&root, &path, surroundings, problems);
    for path in included {
        if let Some(tree) = read_tree(&path, surroundings, problems) {
            join(&mut root, tree, problems);
        }
    }
    overrides::overlay(&mut root, surroundings, problems);
    inherit(&mut root, "source", "sources");
    inherit(&mut root, "target", "targets");
    Some(Config::read(&root, data_dir(surroundings), surroundings.now(), problems))
}

/// The directory the gateway writes to when the file does not say. systemd may give several; the first is ours.
fn data_dir(surroundings: &Surroundings) -> PathBuf {
    let from_systemd = || surroundings.filled("STATE_DIRECTORY").and_then(|list| list.split(':').next());
    PathBuf::from(surroundings.filled("HOOKGATE_DATA_DIR").or_else(from_systemd).unwrap_or(DATA_DIR))
}

/// Reads one file and inserts what its values ask for. `None` when there is no tree, and the reason is noted.
fn read_tree(path: &Path, surroundings: &Surroundings, problems: &mut Problems) -> Option<Node> {
    let (file, text) = read_text(path, surroundings, problems)?;
    let mut tree = yaml::parse(&file, &text, problems)?;
    interpolate(&mut tree, surroundings, problems);
    Some(tree)
}

/// The name and the text of a YAML file. `None` when it cannot be read, and the reason is noted.
pub(super) fn read_text(path: &Path, surroundings: &Surroundings, problems: &mut Problems) -> Option<(Arc<str>, String)> {
    let file: Arc<str> = path.display().to_string().into();
    let start = yaml::At { file: Arc::clone(&file), line: 1, column: 1 };
    let contents = match surroundings.read(path, yaml::FILE_BYTES_MAX) {
        Ok(contents) => contents,
        Err(error) => {
            problems.error(&start, format!("the file cannot be read: {error}"));
            return None;
        }
    };
    if contents.bytes.len() > yaml::FILE_BYTES_MAX {
        problems.error(&start, "the file is larger than 1 MiB");
        return None;
    }
    let Ok(text) = String::from_utf8(contents.bytes) else {
        problems.error(&start, "the file is not UTF-8 text");
        return None;
    };
    // Some editors begin a file with a byte order mark, which is no part of it.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Some((file, text))
}

/// The files that `include` names; each once, in the order of the list and then of their names.
fn includes(root: &Node, main: &Path, surroundings: &Surroundings, problems: &mut Problems) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for item in root.get("include").filter(|node| !off(node)).map(as_list).unwrap_or_default() {
        if problems.blames(&item.at) {
            continue;
        }
        let Some(pattern) = as_text(item, "`include`", problems) else { continue };
        let wanted = main.parent().unwrap_or(Path::new("")).join(pattern);
        let listed = match surroundings.list(&wanted.to_string_lossy()) {
            Ok(listed) => listed,
            Err(error) => {
                problems.error(&item.at, format!("`include` cannot list its files: {error}"));
                continue;
            }
        };
        // A directory of snippets may be empty; a file that was named may not be missing.
        if listed.is_empty() && !pattern.contains(['*', '?', '[']) {
            problems.error(&item.at, "`include` names a file that is not there");
        }
        for path in listed {
            if found.len() == INCLUDED_MAX {
                problems.error(&item.at, format!("`include` finds more than {INCLUDED_MAX} files"));
                return found;
            }
            if path != main && !found.contains(&path) {
                found.push(path);
            }
        }
    }
    found
}

/// Puts an included file's tree into the main one. A name that is there already is an error that names both places.
fn join(root: &mut Node, included: Node, problems: &mut Problems) {
    let Node { at, value, .. } = included;
    let entries = match value {
        Value::Nothing => return,
        Value::Map(entries) => entries,
        Value::Null | Value::Scalar { .. } | Value::List(_) => {
            problems.error(&at, "an included file is a mapping");
            return;
        }
    };
    for (key, node) in entries {
        let known = INCLUDABLE.contains(&key.text.as_str());
        if known && off(&node) {
            continue;
        }
        let Some(into) = known.then(|| entry(root, &key)).flatten() else {
            let hint = format!("an included file holds {} only", INCLUDABLE.join(", "));
            problems.error_hint(&key.at, format!("`{}` is not taken from an included file", key.text), hint);
            continue;
        };
        match key.text.as_str() {
            "routes" => append(into, node, problems),
            "defaults" => match node.value {
                Value::Map(halves) => {
                    for (half, node) in halves.into_iter().filter(|(_, node)| !off(node)) {
                        if let Some(into) = entry(into, &half) {
                            merge(into, node, problems);
                        }
                    }
                }
                Value::Nothing => {}
                Value::Null | Value::Scalar { .. } | Value::List(_) => problems.error(&node.at, "`defaults` is a mapping"),
            },
            _ => merge(into, node, problems),
        }
    }
}

/// Adds rules to a list of them.
fn append(into: &mut Node, more: Node, problems: &mut Problems) {
    if off(into) {
        into.value = Value::Nothing;
    }
    match (&mut into.value, more.value) {
        (Value::List(routes), Value::List(more)) => routes.extend(more),
        (routes @ Value::Nothing, more @ Value::List(_)) => *routes = more,
        (_, Value::Nothing) => {}
        _ => problems.error(&more.at, "`routes` is a list"),
    }
}

/// The value of a key, which is made when it is missing, in a mapping, which is made of what is switched off. `None` in anything else,
/// which is reported where it is read.
fn entry<'a>(node: &'a mut Node, key: &Key) -> Option<&'a mut Node> {
    if node.value == Value::Nothing || off(node) {
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|(other, _)| other.text == key.text).unwrap_or_else(|| {
        entries.push((key.clone(), Node::new(key.at.clone(), Value::Nothing)));
        entries.len() - 1
    });
    entries.get_mut(index).map(|(_, value)| value)
}

/// Adds named things to a mapping of them.
fn merge(into: &mut Node, more: Node, problems: &mut Problems) {
    let kind = more.kind();
    let more = match more.value {
        Value::Nothing => return,
        Value::Map(more) => more,
        Value::Null | Value::Scalar { .. } | Value::List(_) => {
            problems.error(&more.at, format!("this is a mapping of names, and not {kind}"));
            return;
        }
    };
    if into.value == Value::Nothing || off(into) {
        into.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut into.value else { return };
    for (key, node) in more {
        match entries.iter().find(|(other, _)| other.text == key.text) {
            Some((first, _)) => problems.error(&key.at, format!("`{}` is defined twice, first at {}", key.text, first.at)),
            None => entries.push((key, node)),
        }
    }
}

/// Gives every source or target what the defaults say and it does not, key by key: one level, so a `retry` of its own is all of it.
fn inherit(root: &mut Node, half: &str, things: &str) {
    let Some(Value::Map(defaults)) = root.get("defaults").and_then(|node| node.get(half)).map(|node| node.value.clone()) else { return };
    let Value::Map(entries) = &mut root.value else { return };
    let Some(Value::Map(named)) = entries.iter_mut().find(|(key, _)| key.text == things).map(|(_, node)| &mut node.value) else { return };
    for (_, thing) in named {
        if matches!(thing.value, Value::Nothing) {
            thing.value = Value::Map(Vec::new());
        }
        let Value::Map(own) = &mut thing.value else { continue };
        for (key, node) in &defaults {
            // A source that says itself what its provider is needs no other word for it.
            let instead = INSTEAD.iter().find(|(one, _)| *one == key.text).map_or(key.text.as_str(), |(_, other)| other);
            if !own.iter().any(|(other, _)| other.text == key.text || other.text == instead) {
                own.push((key.clone(), node.clone()));
            }
        }
    }
}
