//! What is wrong with a file, and what was probably meant. Problems are collected, sorted by place and shown together.

use std::{collections::HashSet, fmt};

use super::At;

/// Problems after which no more is looked for than the next mistake: nobody reads that far to learn what was probably meant, and looking
/// costs as much as there are names.
const HINTED_MAX: usize = 200;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does not start.
    Error,
    /// It starts, and says so; `check --strict` refuses.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Where; `None` when no file is to blame (an environment variable).
    pub at: Option<At>,
    /// How bad.
    pub severity: Severity,
    /// What, in a sentence without a full stop. Never a secret's value.
    pub what: String,
    /// What to do, or what was probably meant.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.what)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// All that is wrong, collected over a whole reading.
#[derive(Debug, Default)]
pub struct Problems {
    all: Vec<Problem>,
    /// The places of the errors: every value that is read asks for its own.
    blamed: HashSet<At>,
    has_errors: bool,
}

impl Problems {
    /// Nothing wrong so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an error at a place.
    pub fn error(&mut self, at: &At, what: impl Into<String>) {
        self.push(Problem { at: Some(at.clone()), severity: Severity::Error, what: what.into(), hint: None });
    }

    /// Notes an error at a place and what to do about it.
    pub fn error_hint(&mut self, at: &At, what: impl Into<String>, hint: impl Into<String>) {
        self.push(Problem { at: Some(at.clone()), severity: Severity::Error, what: what.into(), hint: Some(hint.into()) });
    }

    /// Notes a warning at a place.
    pub fn warning(&mut self, at: &At, what: impl Into<String>) {
        self.push(Problem { at: Some(at.clone()), severity: Severity::Warning, what: what.into(), hint: None });
    }

    /// Notes any problem.
    pub fn push(&mut self, problem: Problem) {
        if problem.severity == Severity::Error {
            self.has_errors = true;
            self.blamed.extend(problem.at.clone());
        }
        self.all.push(problem);
    }

    /// Takes over what another reading found.
    pub fn extend(&mut self, other: Self) {
        self.all.extend(other.all);
        self.blamed.extend(other.blamed);
        self.has_errors |= other.has_errors;
    }

    /// Whether anything is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// Whether an error is noted at exactly this place. A reader stays silent then: one mistake is told once.
    #[must_use]
    pub fn blames(&self, at: &At) -> bool {
        self.blamed.contains(at)
    }

    /// The known word that was probably meant; none when there are so many problems already that nobody would read it.
    #[must_use]
    pub fn nearest<'a>(&self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if self.all.len() < HINTED_MAX { nearest(word, known) } else { None }
    }

    /// Everything, in the order of files and lines, each once.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Problem> {
        let place = |problem: &Problem| problem.at.as_ref().map(|at| (at.file.to_string(), at.line, at.column));
        self.all.sort_by_cached_key(|problem| (place(problem), problem.severity, problem.what.clone()));
        self.all.dedup();
        self.all
    }
}

/// The known word nearest to `word`, when it is near enough to have been meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let close_enough = (length / 3).clamp(1, 3);
    known
        .into_iter()
        // What differs by more in its length alone is not worth the table of all its letters against all of the word's.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= close_enough)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= close_enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
