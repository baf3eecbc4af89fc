//! What an operator writes: YAML, the configuration with what it takes from outside, single values, and patterns of routes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::from_utf8,
    sync::Arc,
};

use hookgate::{
    clock::Clock,
    config::{self, Config, Surroundings},
    route::TypePattern,
    yaml::{self, Node, Problems, Value},
};

use super::{first_line, grammar::quoted};

/// What the environment holds and no message may show.
const CANARY: &str = "c4n4ry\"\n  x: {y";
/// Settings that take one value, `@` standing for it: durations, sizes, paths, addresses, links, shares, numbers, dates, words.
const SETTINGS: [&str; 18] = [
    "store: { retention: { dead: @ } }",
    "server: { limits: { body: @ } }",
    "sources: { s: { provider: p, path: @ } }",
    "sources: { s: { provider: p, tolerance: @ } }",
    "sources: { s: { provider: p, allow_ips: @ } }",
    "sources: { s: { provider: p, client_cert: { san: @ } } }",
    "sources: { s: { provider: p, observe_until: @ } }",
    "sources: { s: { provider: p, respond: { body: @ } } }",
    "targets: { t: { url: @ } }",
    "targets: { t: { url: \"http://x/\", timeout: @ } }",
    "targets: { t: { url: \"http://x/\", method: @ } }",
    "targets: { t: { url: \"http://x/\", headers: { X-A: @ } } }",
    "targets: { t: { url: \"http://x/\", retry: { factor: @, dead_on: @ } } }",
    "server: { listen: @, public_url: @ }",
    "server: { limits: { in_flight_per_source: @ } }",
    "server: { trusted_proxies: @ }",
    "store: { url: @ }",
    "routes: [{ to: t, types: @ }]",
];
/// Bytes of a pattern or type that the slow reference below is asked about.
const COMPARED_BYTES_MAX: usize = 256;

/// YAML: a tree that is written reads back as itself.
pub(super) fn yaml(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    let name: Arc<str> = "f.yaml".into();
    let mut problems = Problems::new();
    let tree = yaml::parse(&name, text, &mut problems);
    assert!(tree.is_some() || problems.has_errors());
    let Some(tree) = tree.filter(|_| !problems.has_errors()) else { return };
    let written = yaml::write(&tree);
    let again = yaml::parse_own(&name, &written, &mut problems);
    assert!(again.is_some_and(|again| same(&tree, &again)), "{text:?} was written as {written:?}");
}

/// Whether two trees are the same but for places and quotes.
fn same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Nothing, Value::Nothing) | (Value::Null, Value::Null) => true,
        (Value::Scalar { text: one, .. }, Value::Scalar { text: other, .. }) => one == other,
        (Value::List(one), Value::List(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other)),
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.0.text == other.0.text && same(&one.1, &other.1))
        }
        _ => false,
    }
}

/// A whole configuration, which may take from the environment, from files, and include others.
pub(super) fn config(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    let (config, problems) = load(text);
    assert!(config.is_some() || problems.has_errors());
    // A text that spells the value out shows it itself.
    let kept = !text.contains("c4n4ry");
    for problem in problems.into_sorted() {
        assert!(problem.at.is_some(), "{problem}");
        assert!(!kept || !problem.to_string().contains("c4n4ry"), "{problem}");
    }
    let Some(config) = config else { return };
    let listing = config.listing();
    let mut problems = Problems::new();
    assert!(yaml::parse_own(&"listing".into(), &listing, &mut problems).is_some() && !problems.has_errors(), "{listing}");
    // What sources say of their provider themselves is read when it is asked for.
    let nothing_else = Surroundings::held(BTreeMap::new(), BTreeMap::new(), Clock::Sim(Arc::default()));
    let catalogue = config.catalogue(&nothing_else, &mut Problems::new());
    for wrong in catalogue.inline_names().filter_map(|name| catalogue.load_inline(name)?.err()).flatten() {
        assert!(wrong.at.is_some(), "{wrong}");
        assert!(!kept || !wrong.to_string().contains("c4n4ry"), "{wrong}");
    }
}

fn load(text: &str) -> (Option<Config>, Problems) {
    let included = b"targets: { included: { url: http://x/ } }\nroutes: [{ to: included }]\n".to_vec();
    let files = [("etc/f.yaml", text.as_bytes().to_vec()), ("etc/d/1.yaml", included), ("secret", CANARY.as_bytes().to_vec())];
    let variables = [("C", CANARY), ("WORD", "upstream"), ("EMPTY", ""), ("NUMBER", "12")];
    let around = Surroundings::held(
        files.into_iter().map(|(path, bytes)| (PathBuf::from(path), bytes)).collect(),
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>(),
        Clock::Sim(Arc::default()),
    );
    let mut problems = Problems::new();
    let config = config::load(Some(Path::new("etc/f.yaml")), &around, &mut problems);
    (config, problems)
}

/// One value of one setting (which, is the first byte's to say): what is taken is listed in a way that reads back as the same.
pub(super) fn quantity(input: &[u8]) {
    let Some((which, value)) = input.split_first() else { return };
    let Ok(value) = from_utf8(value) else { return };
    let setting = SETTINGS[usize::from(*which) % SETTINGS.len()];
    // `${...}` is the business of `config`.
    if value.contains("${") {
        return;
    }
    let (config, problems) = load(&setting.replace('@', &quoted(&value)));
    let Some(config) = config.filter(|_| !problems.has_errors()) else { return };
    let listing = config.listing();
    // What may be a secret is listed as its fingerprint.
    if listing.contains('<') {
        return;
    }
    let (again, problems) = load(&listing);
    let wrong: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
    assert_eq!(again.map(|again| again.listing()).as_ref(), Some(&listing), "{setting} with {value:?}: {wrong:?}");
}

/// A route's pattern (the first line) and a type: matches exactly what a reference says that tries everything.
pub(super) fn types(input: &[u8]) {
    let (pattern, kind) = first_line(input);
    let (Ok(pattern), Ok(kind)) = (from_utf8(pattern), from_utf8(kind)) else { return };
    let matches = TypePattern::new(pattern).matches(kind);
    if pattern.len() <= COMPARED_BYTES_MAX && kind.len() <= COMPARED_BYTES_MAX {
        assert_eq!(matches, glob(pattern.as_bytes(), kind.as_bytes()), "`{pattern}` and `{kind}`");
    }
}

/// The reference: a row for each byte of the pattern, in it whether so much of the text matches so far.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut row: Vec<bool> = (0..=text.len()).map(|at| at == 0).collect();
    for byte in pattern {
        let mut next = vec![false; row.len()];
        for at in 0..row.len() {
            next[at] = match byte {
                b'*' => row[at] || (at > 0 && next[at - 1]),
                byte => at > 0 && row[at - 1] && text[at - 1] == *byte,
            };
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}
