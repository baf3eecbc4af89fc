//! Which configuration file is meant, and what is in it.

use std::path::{Path, PathBuf};

use crate::{
    app::Exit,
    config::{self, Config, Surroundings},
    provider::Catalogue,
    yaml::{Problems, nearest},
};

/// The `-c FILE` of every command that reads the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration; without it $HOOKGATE_CONFIG, ./hookgate.yaml, /etc/hookgate/hookgate.yaml
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that was named, if one was; `config` knows where to look otherwise.
    pub(super) fn named(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Reads it and lists the providers it may name, for a command that cannot do without.
    ///
    /// # Errors
    /// The exit code, and everything that is wrong, a line each.
    pub(super) fn load(&self) -> Result<(Config, Catalogue), (Exit, String)> {
        let mut problems = Problems::new();
        let around = Surroundings::system();
        let config = config::load(self.named(), &around, &mut problems);
        let known = config.map(|config| (config.catalogue(&around, &mut problems), config));
        match known {
            Some((catalogue, config)) if !problems.has_errors() => Ok((config, catalogue)),
            _ => Err((Exit::Config, told(problems))),
        }
    }
}

/// All problems, a line each.
pub(super) fn told(problems: Problems) -> String {
    problems.into_sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What to say of a source that the configuration does not have.
pub(super) fn unknown_source(name: &str, config: &Config) -> String {
    let names: Vec<&str> = config.sources.names().collect();
    match nearest(name, names.iter().copied()) {
        Some(near) => format!("there is no source `{name}`; did you mean `{near}`?"),
        None => format!("there is no source `{name}`; the configuration has {}", names.join(", ")),
    }
}
