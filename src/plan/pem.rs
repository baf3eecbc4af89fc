//! PEM files that the configuration names, with the place where it does: what is wrong with one is told with both.

use std::{fmt, path::PathBuf};

use crate::yaml::At;

/// A PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    /// The file, seen from the current directory.
    pub path: PathBuf,
    /// Where the configuration names it; `None` when nothing but the path is known.
    pub at: Option<At>,
}

impl PemFile {
    /// The place as it begins a line: `file:line:column: `, or nothing.
    #[must_use]
    pub fn place(&self) -> String {
        self.at.as_ref().map_or_else(String::new, |at| format!("{at}: "))
    }
}

impl From<PathBuf> for PemFile {
    fn from(path: PathBuf) -> Self {
        Self { path, at: None }
    }
}

impl fmt::Display for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}
