//! All providers that are known. The files are part of the binary; each is read when it is first asked for and never again, so a file that
//! no configuration names costs nothing but its bytes on disk.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use super::{Provider, read};
use crate::yaml::{Problem, Problems};

/// The embedded files, `config/providers/*.yaml`.
#[derive(rust_embed::RustEmbed)]
#[folder = "config/providers/"]
struct Files;

/// All providers that are known, by slug. Looking one up reads its file the first time.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: BTreeMap<Box<str>, Entry>,
}

/// A file once it was read: the provider, or what is wrong with it.
type Entry = OnceLock<Result<Box<Provider>, Vec<Problem>>>;

impl Catalogue {
    /// The files that are part of the binary.
    #[must_use]
    pub fn embedded() -> Self {
        let slugs = Files::iter().filter_map(|file| file.strip_suffix(".yaml").map(Box::from));
        Self { entries: slugs.map(|slug| (slug, OnceLock::new())).collect() }
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
        let read = entry.get_or_init(|| read_embedded(slug));
        Some(read.as_ref().map(|provider| &**provider).map_err(Vec::as_slice))
    }
}

/// Reads one embedded file. Its warnings are for its author, so they count as problems only together with an error.
fn read_embedded(slug: &str) -> Result<Box<Provider>, Vec<Problem>> {
    let (file, text) = embedded(slug).unwrap_or_default();
    let mut problems = Problems::new();
    match read(&file, &text, &embedded, &mut problems) {
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
