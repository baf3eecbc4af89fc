//! Where files, environment variables and the time come from: the machine, or a test's own. Everything the configuration reads goes
//! through here, so that reading it is a function of its arguments.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::{
    clock::{Clock, UnixMs},
    regular,
};

/// Where files, environment variables and the time come from.
#[derive(Clone, Debug)]
pub struct Surroundings {
    variables: BTreeMap<String, Variable>,
    files: Files,
    clock: Clock,
}

/// A variable's value, which may be bytes that are no text.
#[derive(Clone, Debug)]
enum Variable {
    Text(String),
    NoText,
}

#[derive(Clone, Debug)]
enum Files {
    Disk,
    Held(BTreeMap<PathBuf, Vec<u8>>),
}

/// What asking for a variable gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// It is set, possibly to nothing.
    Set(&'a str),
    /// It is not set.
    Unset,
    /// It is set to bytes that are not UTF-8.
    NotText,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Its bytes, one more than asked for at most.
    pub bytes: Vec<u8>,
    /// Whether everyone on the machine may read it.
    pub world_readable: bool,
}

impl Surroundings {
    /// The machine: its files, its clock, and the environment as it is now.
    #[must_use]
    pub fn system() -> Self {
        let named = std::env::vars_os().filter_map(|(name, value)| {
            let value = value.into_string().map_or(Variable::NoText, Variable::Text);
            Some((name.into_string().ok()?, value))
        });
        Self { variables: named.collect(), files: Files::Disk, clock: Clock::System }
    }

    /// Files and variables held in memory, at the time of `clock`.
    #[must_use]
    pub fn held(files: BTreeMap<PathBuf, Vec<u8>>, variables: BTreeMap<String, String>, clock: Clock) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name, Variable::Text(value))).collect();
        Self { variables, files: Files::Held(files), clock }
    }

    /// A variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Asked<'_> {
        match self.variables.get(name) {
            Some(Variable::Text(text)) => Asked::Set(text),
            Some(Variable::NoText) => Asked::NotText,
            None => Asked::Unset,
        }
    }

    /// A variable that is set to something.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        match self.variable(name) {
            Asked::Set(text) if !text.is_empty() => Some(text),
            Asked::Set(_) | Asked::Unset | Asked::NotText => None,
        }
    }

    /// The names of all variables that begin with `prefix`, in order.
    pub fn names(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str).filter(move |name| name.starts_with(prefix))
    }

    /// Whether there is such a file.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        match &self.files {
            Files::Disk => path.exists(),
            Files::Held(files) => files.contains_key(path),
        }
    }

    /// Reads a regular file, or a pipe that the process was given. It stops one byte after `bytes_max`: that there was more is seen so.
    ///
    /// # Errors
    /// What the system says, or that it is no such file.
    pub fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Contents> {
        match &self.files {
            Files::Disk => {
                let (file, facts) = regular::open(path)?;
                let world_readable = world_readable(&facts);
                let mut bytes = Vec::new();
                file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
                Ok(Contents { bytes, world_readable })
            }
            Files::Held(files) => {
                let bytes = files.get(path).ok_or(io::ErrorKind::NotFound)?;
                Ok(Contents { bytes: bytes.iter().copied().take(bytes_max + 1).collect(), world_readable: false })
            }
        }
    }

    /// The files that match a glob, in order.
    ///
    /// # Errors
    /// What is wrong with the pattern, or what the system says.
    pub fn list(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        match &self.files {
            Files::Disk => {
                let found = glob::glob(pattern).map_err(|error| error.msg.to_owned())?;
                found.collect::<Result<_, _>>().map_err(|error| error.to_string())
            }
            Files::Held(files) => {
                let pattern = glob::Pattern::new(pattern).map_err(|error| error.msg.to_owned())?;
                Ok(files.keys().filter(|path| pattern.matches_path(path)).cloned().collect())
            }
        }
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.clock.wall()
    }
}

#[cfg(unix)]
fn world_readable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS_READ: u32 = 0o004;
    metadata.permissions().mode() & OTHERS_READ != 0
}

#[cfg(not(unix))]
fn world_readable(_metadata: &fs::Metadata) -> bool {
    false
}
