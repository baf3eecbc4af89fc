//! The grammar of provider files: templates, atoms, conditions, and whole files.

use std::{str::from_utf8, sync::Arc};

use hookgate::{
    provider::{self, Atom, Filter, Part, Pointer, Provider, Template, Value},
    verify,
    yaml::{Problems, Severity},
};

/// Bytes of a file that is read whole here: beyond them nothing new happens, and the known answers of a file are run.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// A file that others may be `like`.
const OTHER: &str = "provider: other\nverify: { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: \"{body}\" }\n";

/// A template: what was read reads the same again, and holds no more than was written.
pub(super) fn template(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    let Ok(template) = Template::parse(text) else { return };
    assert_eq!(Template::parse(template.text()).as_ref(), Ok(&template));
    assert!(template.values().count() <= text.matches('{').count(), "a value without a brace");
    let plain = |part: &Part| matches!(part, Part::Text(_));
    assert_eq!(template.literal().is_some(), template.parts().iter().all(plain));
    let literal_bytes: usize = template.parts().iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum();
    assert!(literal_bytes <= text.len(), "more text than was written");
    // What has no braces and no brackets stands for itself.
    if !text.contains(['{', '}', '[', ']']) {
        assert_eq!(template.literal().as_deref(), Some(text));
    }
}

/// An atom, a pointer, a filter, a value: a pointer reads back what it prints.
pub(super) fn atom(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    if let Ok(pointer) = Pointer::parse(text) {
        assert_eq!(Pointer::parse(&pointer.to_string()).as_ref(), Ok(&pointer));
    }
    let _ = Filter::parse(text);
    let atom = Atom::parse(text);
    if let Ok(atom) = &atom {
        assert!(!atom.to_string().is_empty());
        assert!(!(atom.in_head() && atom.of_form()), "a form stands in no head");
    }
    if let (Ok(value), Ok(atom)) = (Value::parse(text), atom) {
        // An atom ends where its filters begin.
        assert!(value.optional || text.contains('|') || value.atom == atom, "{text}");
    }
}

/// A condition (`require`, and a handshake's `when`): its key on the first line, what it wants behind it.
pub(super) fn condition(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    let (key, want) = text.split_once('\n').unwrap_or((text, "true"));
    let want = match want {
        "true" | "false" => want.to_owned(),
        // One of several texts, a line each.
        _ => quoted(&want.split('\n').collect::<Vec<_>>()),
    };
    let demand = format!("{{ {}: {want} }}", quoted(&key));
    let file = format!(
        "provider: p\nverify: {{ scheme: none, require: {demand} }}\nhandshakes:\n  - {{ name: h, when: {demand}, after: none, \
         reply: {{ text: ok }} }}\n"
    );
    if let Some(provider) = read("p.yaml", &file) {
        assert_eq!(provider.checks.iter().map(|check| check.require.demands.len()).sum::<usize>(), 1);
    }
}

/// A text or a list of them as YAML, which takes JSON.
pub(super) fn quoted(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("text is JSON")
}

/// A whole provider file: it is taken, or something is wrong at a place; what is taken can be tried against its own known answers.
pub(super) fn provider_file(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    if text.len() > FILE_BYTES_MAX {
        return;
    }
    let slug = text.lines().find_map(|line| line.strip_prefix("provider: ")).unwrap_or("p");
    let Some(provider) = read(&format!("{slug}.yaml"), text) else { return };
    assert_eq!(&*provider.slug, slug);
    let few = Provider { vectors: provider.vectors.iter().take(1).cloned().collect(), ..provider };
    for tried in verify::prove(&few) {
        assert!(!tried.vector.is_empty() || tried.problem.is_some() || tried.rejection.is_some() || tried.edit.is_none());
    }
    let _ = verify::prove_handshakes(&few);
}

fn read(file: &str, text: &str) -> Option<Provider> {
    let mut problems = Problems::new();
    let other = |slug: &str| (slug == "other").then(|| (Arc::from("other.yaml"), OTHER.to_owned()));
    let provider = provider::read(&Arc::from(file), text, &other, &mut problems);
    assert_eq!(provider.is_some(), !problems.has_errors(), "a file that is not taken has something wrong with it, and none else has");
    for problem in problems.into_sorted() {
        assert!(!problem.what.is_empty());
        if problem.severity == Severity::Error {
            assert!(problem.at.as_ref().is_some_and(|at| at.line >= 1 && at.column >= 1), "{problem}");
        }
    }
    provider
}
