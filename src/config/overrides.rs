//! Environment variables over the file: `HOOKGATE__SERVER__LISTEN` is `server.listen`.
//!
//! The layering is the `config` crate's: the file's scalars are its defaults, the variables its environment source. It is given only
//! variables that name a scalar of the sections below, so no stray name reaches its path parser, and it parses nothing: a value that
//! looks like a number stays the text it was.

use std::collections::BTreeMap;

use ::config::{Config as Layers, ConfigError, Environment};

use super::{
    schema, server, store,
    surroundings::{Asked, Surroundings},
};
use crate::yaml::{At, Key, Node, Problem, Problems, Severity, Value, nearest};

/// What all overriding variables begin with; also what stands between the keys.
const PREFIX: &str = "HOOKGATE";
const BETWEEN: &str = "__";
/// The keys of the top level that may be overridden, with all scalars below them.
const SECTIONS: [&str; 6] = ["server", "monitor", "admin", "store", "log", "data_dir"];

/// Puts the overriding variables into the tree. A variable that names nothing is an error that names the nearest one that does.
pub(super) fn overlay(root: &mut Node, surroundings: &Surroundings, problems: &mut Problems) {
    let prefix = format!("{PREFIX}{BETWEEN}");
    if surroundings.names(&prefix).next().is_none() {
        return;
    }
    let known = known();
    let mut given: BTreeMap<&str, (String, String)> = BTreeMap::new();
    for name in surroundings.names(&prefix) {
        let upper = name.to_ascii_uppercase();
        match (known.get(&upper), surroundings.variable(name)) {
            (None, _) => problems.push(stray(name, &upper, &known)),
            (Some(_), Asked::Set("")) => problems.error(&At::variable(name), "the variable is set to nothing"),
            (Some(_), Asked::Unset | Asked::NotText) => problems.error(&At::variable(name), "the variable is not UTF-8"),
            (Some(path), Asked::Set(value)) => {
                given.insert(path, (name.to_owned(), value.to_owned()));
            }
        }
    }
    if given.is_empty() {
        return;
    }
    match layer(root, &given) {
        Ok(values) => {
            for (path, value) in values {
                if let Some((variable, _)) = given.get(path) {
                    put(root, path, variable, value);
                }
            }
        }
        // Paths are our own, and text is all there is, so nothing is left for it to refuse; should it, its message may show a value.
        Err(_) => problems.push(Problem {
            at: None,
            severity: Severity::Error,
            what: format!("the environment variables {PREFIX}{BETWEEN}* cannot be laid over the file"),
            hint: None,
        }),
    }
}

/// What is wrong with a variable that overrides nothing.
fn stray(name: &str, upper: &str, known: &BTreeMap<String, String>) -> Problem {
    if let Some(path) = planned(upper) {
        let what = format!("the environment variable {name} overrides `{path}`, which is planned and not built yet");
        return Problem { at: None, severity: Severity::Error, what, hint: None };
    }
    let meant = nearest(upper, known.keys().map(String::as_str));
    let hint = meant
        .map_or_else(|| format!("variables override the scalars of {}", SECTIONS.join(", ")), |meant| format!("did you mean {meant}?"));
    let what = format!("the environment variable {name} overrides nothing");
    Problem { at: None, severity: Severity::Error, what, hint: Some(hint) }
}

/// The key that is not built yet which a variable names, or names something below.
fn planned(upper: &str) -> Option<String> {
    let all = [("server", &server::PLANNED[..]), ("server.tls", &server::TLS_PLANNED), ("store", &store::PLANNED)];
    let mut paths = all.into_iter().flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")));
    paths.find(|path| upper.strip_prefix(&variable(path)).is_some_and(|below| below.is_empty() || below.starts_with(BETWEEN)))
}

/// The variable that overrides a path.
fn variable(path: &str) -> String {
    format!("{PREFIX}{BETWEEN}{}", path.replace('.', BETWEEN).to_ascii_uppercase())
}

/// The value that holds for each path given: file below, environment above.
fn layer<'a>(root: &Node, given: &BTreeMap<&'a str, (String, String)>) -> Result<Vec<(&'a str, String)>, ConfigError> {
    let mut layers = Layers::builder();
    for path in given.keys() {
        if let Some(Node { value: Value::Scalar { text, .. }, .. }) = find(root, path) {
            layers = layers.set_default(*path, text.as_str())?;
        }
    }
    let variables = given.values().cloned().collect();
    let environment = Environment::with_prefix(PREFIX).prefix_separator(BETWEEN).separator(BETWEEN).source(Some(variables));
    let layers = layers.add_source(environment).build()?;
    given.keys().map(|path| Ok((*path, layers.get_string(path)?))).collect()
}

/// The names of all variables that override something, and the paths they stand for.
fn known() -> BTreeMap<String, String> {
    let paths = schema::scalars().into_iter().filter(|path| SECTIONS.contains(&path.split('.').next().unwrap_or_default()));
    paths.map(|path| (variable(&path), path)).collect()
}

fn find<'a>(root: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('.').try_fold(root, |node, key| node.get(key))
}

/// Writes a value at a path, through mappings that are made where they are missing.
fn put(root: &mut Node, path: &str, variable: &str, text: String) {
    let at = At::variable(variable);
    let mut node = root;
    for key in path.split('.') {
        if !matches!(node.value, Value::Map(_)) {
            node.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut node.value else { return };
        let index = entries.iter().position(|(other, _)| other.text == key).unwrap_or_else(|| {
            entries.push((Key { at: at.clone(), text: key.to_owned() }, Node::new(at.clone(), Value::Nothing)));
            entries.len() - 1
        });
        let Some((_, inner)) = entries.get_mut(index) else { return };
        node = inner;
    }
    *node = Node { at, value: Value::Scalar { text, quoted: false }, hidden: true };
}
