//! All providers that are known. Most files are part of the binary, others are the user's own; each is read when it is first asked for and
//! never again, so a file that no configuration names costs nothing but its bytes.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use super::{Provider, read, read_inline};
use crate::yaml::{Node, Problem, Problems};

/// The embedded files, `config/providers/*.yaml`.
#[derive(rust_embed::RustEmbed)]
#[folder = "config/providers/"]
struct Files;

/// All providers that are known, by slug. Looking one up reads its file the first time.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: BTreeMap<Box<str>, Entry>,
    /// What sources say of their provider themselves, by the source.
    inline: BTreeMap<Box<str>, Inline>,
}

/// What was read: the provider, or what is wrong with it.
type Outcome = Result<Box<Provider>, Vec<Problem>>;

/// A provider that is written in a source.
#[derive(Debug)]
struct Inline {
    tree: Node,
    read: OnceLock<Outcome>,
}

/// A provider file.
#[derive(Debug, Default)]
struct Entry {
    /// The name and the text of a file of the user's own; `None` for one that is part of the binary.
    own: Option<(Arc<str>, String)>,
    read: OnceLock<Outcome>,
}

impl Catalogue {
    /// The files that are part of the binary.
    #[must_use]
    pub fn embedded() -> Self {
        let slugs = Files::iter().filter_map(|file| file.strip_suffix(".yaml").map(Box::from));
        Self { entries: slugs.map(|slug| (slug, Entry::default())).collect(), inline: BTreeMap::new() }
    }

    /// Adds a file of the user's own, `file` by its name and `slug` by the beginning of that; nothing is read yet. `false` when there is a
    /// provider of this slug: what comes with the binary is never replaced, so that its name means the same everywhere.
    #[must_use]
    pub fn add(&mut self, slug: &str, file: Arc<str>, text: String) -> bool {
        let free = !self.entries.contains_key(slug);
        if free {
            self.entries.insert(slug.into(), Entry { own: Some((file, text)), read: OnceLock::new() });
        }
        free
    }

    /// Adds what the source of this name says of its provider itself, as [`super::inline`] made a tree of it; nothing is read yet.
    pub fn add_inline(&mut self, source: &str, tree: Node) {
        self.inline.insert(source.into(), Inline { tree, read: OnceLock::new() });
    }

    /// The sources that say themselves what their provider is, in order.
    pub fn inline_names(&self) -> impl Iterator<Item = &str> {
        self.inline.keys().map(|source| &**source)
    }

    /// The provider of a source that says itself what it is, or what is wrong with it. `None` for any other source.
    #[must_use]
    pub fn load_inline(&self, source: &str) -> Option<Result<&Provider, &[Problem]>> {
        let (source, inline) = self.inline.get_key_value(source)?;
        let read = inline.read.get_or_init(|| {
            let mut problems = Problems::new();
            let provider = read_inline(source, &inline.tree, &|slug| self.text(slug), &mut problems);
            outcome(provider, problems)
        });
        Some(read.as_ref().map(|provider| &**provider).map_err(Vec::as_slice))
    }

    /// Whether the file of this provider is the user's own.
    #[must_use]
    pub fn is_own(&self, slug: &str) -> bool {
        self.entries.get(slug).is_some_and(|entry| entry.own.is_some())
    }

    /// The slugs of all providers, in order. No file is read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|slug| &**slug)
    }

    /// A provider by its slug. `None` when there is none, and also when its file is broken, which [`Catalogue::load`] tells apart; a test
    /// proves that no embedded file is.
    #[must_use]
    pub fn find(&self, slug: &str) -> Option<&Provider> {
        self.load(slug)?.ok()
    }

    /// A provider by its slug, or what is wrong with its file.
    #[must_use]
    pub fn load(&self, slug: &str) -> Option<Result<&Provider, &[Problem]>> {
        let (slug, entry) = self.entries.get_key_value(slug)?;
        let read = entry.read.get_or_init(|| self.read(slug));
        Some(read.as_ref().map(|provider| &**provider).map_err(Vec::as_slice))
    }

    /// Reads one file.
    fn read(&self, slug: &str) -> Outcome {
        let (file, content) = self.text(slug).unwrap_or_default();
        let mut problems = Problems::new();
        let provider = read(&file, &content, &|slug| self.text(slug), &mut problems);
        outcome(provider, problems)
    }

    /// The name and the text of a provider's file.
    fn text(&self, slug: &str) -> Option<(Arc<str>, String)> {
        match self.entries.get(slug).and_then(|entry| entry.own.clone()) {
            None => embedded(slug),
            own => own,
        }
    }
}

/// What is kept of a reading. Its warnings are for the author, so they count as problems only together with an error.
fn outcome(provider: Option<Provider>, problems: Problems) -> Outcome {
    match provider {
        Some(provider) if !problems.has_errors() => Ok(Box::new(provider)),
        _ => Err(problems.into_sorted()),
    }
}

/// The name and the text of an embedded file.
fn embedded(slug: &str) -> Option<(Arc<str>, String)> {
    let name = format!("{slug}.yaml");
    let bytes = Files::get(&name)?.data;
    Some((format!("config/providers/{name}").into(), String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "provider: own\ntitle: Own\nlike: github\n";

    #[test]
    fn a_file_of_ones_own_is_read_like_the_others_and_replaces_none() {
        let mut catalogue = Catalogue::embedded();
        let known = catalogue.names().count();
        assert!(catalogue.add("own", "dir/own.yaml".into(), OWN.into()));
        let own = catalogue.find("own").expect("read");
        assert_eq!((&*own.title, own.scheme(), own.vectors.len()), ("Own", "hmac-sha256".to_owned(), 0));
        assert!(catalogue.is_own("own") && !catalogue.is_own("github") && !catalogue.is_own("none"));
        for taken in ["github", "own"] {
            assert!(!catalogue.add(taken, "dir/x.yaml".into(), String::new()), "{taken}");
        }
        assert!(catalogue.find("github").is_some_and(|github| !github.vectors.is_empty()));
        assert_eq!(catalogue.names().count(), known + 1);
        assert!(catalogue.add("broken", "dir/broken.yaml".into(), "provider: other\n".into()));
        let problems = catalogue.load("broken").expect("there").expect_err("broken");
        assert!(problems.iter().any(|problem| problem.to_string().starts_with("dir/broken.yaml:1:")), "{problems:?}");
    }
}
