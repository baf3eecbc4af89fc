//! `providers_dir`: provider files of the user's own, found and read, beside what sources say of their provider themselves; what is written
//! in them is looked at when a source names one.

use std::path::Path;

use super::{Config, load::read_text, surroundings::Surroundings};
use crate::{
    provider::{Catalogue, INLINE},
    yaml::{At, Problem, Problems, Severity},
};

/// Files that the directory may hold: one with more is not a directory of provider files.
const FILES_MAX: usize = 1000;

impl Config {
    /// All providers that its sources may name or are: those that come with the binary, those of its `providers_dir`, and each `verify` of
    /// a source. What is wrong with the directory, or keeps a file from being read, is noted.
    #[must_use]
    pub fn catalogue(&self, surroundings: &Surroundings, problems: &mut Problems) -> Catalogue {
        let mut catalogue = match &self.providers_dir {
            Some(folder) => catalogue(&folder.value, Some(&folder.at), surroundings, problems),
            None => Catalogue::embedded(),
        };
        for (name, source) in &self.sources.0 {
            if let Some(inline) = &source.verify {
                catalogue.add_inline(&name.text, inline.tree.clone());
            }
        }
        catalogue
    }
}

/// All providers there are when this directory is `providers_dir`: those that come with the binary, and those of its files. `at` is where a
/// file names it; `None` when the command line does. What is wrong with it, or keeps a file from being read, is noted.
#[must_use]
pub fn catalogue(folder: &Path, at: Option<&At>, surroundings: &Surroundings, problems: &mut Problems) -> Catalogue {
    let mut catalogue = Catalogue::embedded();
    let blame = |problems: &mut Problems, what: String, hint: Option<&str>| {
        problems.push(Problem { at: at.cloned(), severity: Severity::Error, what, hint: hint.map(str::to_owned) });
    };
    let pattern = format!("{}/*.yaml", glob::Pattern::escape(&folder.to_string_lossy()));
    let files = match surroundings.list(&pattern) {
        Ok(files) => files,
        Err(error) => {
            blame(problems, format!("`providers_dir` cannot be listed: {error}"), None);
            return catalogue;
        }
    };
    if files.is_empty() && !surroundings.exists(folder) {
        blame(problems, format!("`providers_dir` names a directory that is not there: {}", folder.display()), None);
    }
    if files.len() > FILES_MAX {
        blame(problems, format!("`providers_dir` holds more than {FILES_MAX} files"), None);
        return catalogue;
    }
    let misnamed = format!("{}/*.yml", glob::Pattern::escape(&folder.to_string_lossy()));
    for path in surroundings.list(&misnamed).unwrap_or_default() {
        let what = format!("{} is not read: the name of a provider file ends in .yaml", path.display());
        problems.push(Problem { at: at.cloned(), severity: Severity::Warning, what, hint: None });
    }
    // What an editor puts beside a file while it is open begins with a dot.
    let named = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned()).filter(|slug| !slug.starts_with('.'));
    for path in &files {
        let Some(slug) = named(path) else { continue };
        let Some((file, text)) = read_text(path, surroundings, problems) else { continue };
        if slug == INLINE {
            let said = format!("{}: a source with a `verify` of its own is shown as the provider `{INLINE}`", path.display());
            blame(problems, said, Some("give the file, and the `provider` in it, another name"));
        } else if !catalogue.add(&slug, file, text) {
            let said = format!("{}: there is a provider `{slug}` already, which comes with hookgate", path.display());
            blame(problems, said, Some("give the file, and the `provider` in it, another name"));
        }
    }
    catalogue
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;
    use crate::{clock::Clock, config};

    fn listed(setting: &str, files: &[(&str, &str)]) -> (Catalogue, Vec<String>) {
        let config = ("f.yaml", format!("providers_dir: {setting}\n"));
        let held = files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()));
        let held: BTreeMap<_, _> = held.chain([(PathBuf::from(config.0), config.1.into_bytes())]).collect();
        let around = Surroundings::held(held, BTreeMap::new(), Clock::System);
        let mut problems = Problems::new();
        let config = config::load(Some(Path::new("f.yaml")), &around, &mut problems).expect("a tree");
        let catalogue = config.catalogue(&around, &mut problems);
        (catalogue, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_file_of_the_directory_is_a_provider() {
        let files = [("p[1]/own.yaml", "provider: own\nlike: github\n"), ("p[1]/.#own.yaml", ""), ("p[1]/notes.txt", "")];
        let (catalogue, problems) = listed("'p[1]'", &files);
        assert_eq!(problems, Vec::<String>::new());
        assert!(catalogue.find("own").is_some() && catalogue.names().count() == Catalogue::embedded().names().count() + 1);
        for off in ["none", "off", "null"] {
            assert_eq!(listed(off, &files).1, Vec::<String>::new(), "{off}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_directory_is_told_with_its_place() {
        let said = |setting, files: &[(&str, &str)]| listed(setting, files).1;
        assert_eq!(said("nowhere", &[]), ["f.yaml:1:16: `providers_dir` names a directory that is not there: nowhere"]);
        let misnamed = "f.yaml:1:16: warning: p/own.yml is not read: the name of a provider file ends in .yaml";
        assert_eq!(said("p", &[("p/own.yml", ""), ("p/other.yaml", "")]), [misnamed]);
        let taken = "f.yaml:1:16: p/github.yaml: there is a provider `github` already, which comes with hookgate; give the file, and the \
                     `provider` in it, another name";
        assert_eq!(said("p", &[("p/github.yaml", "")]), [taken]);
        let kept = "f.yaml:1:16: p/inline.yaml: a source with a `verify` of its own is shown as the provider `inline`; give the file, and \
                    the `provider` in it, another name";
        assert_eq!(said("p", &[("p/inline.yaml", "")]), [kept]);
    }
}
