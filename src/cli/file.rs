//! Which configuration file is meant, and what is in it.

use std::path::{Path, PathBuf};

use crate::{
    app::Exit,
    config::{self, Config, Surroundings},
    provider::{Catalogue, Provider},
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

/// The providers there are for a command that can do without a configuration: those that come with hookgate and, when a file was named,
/// those of its `providers_dir` and those its sources write themselves. Whatever else is wrong with that file, a secret that is not set yet
/// above all, is for `check` to say.
///
/// # Errors
/// The exit code, and what keeps the directory from being known or read, a line each.
pub(super) fn providers(named: Option<&Path>) -> Result<Catalogue, (Exit, String)> {
    let Some(file) = named else { return Ok(Catalogue::embedded()) };
    let (mut elsewhere, mut problems) = (Problems::new(), Problems::new());
    let around = Surroundings::system();
    let config = config::load(Some(file), &around, &mut elsewhere);
    let has_own = |config: &Config| config.providers_dir.is_some() || config.sources.0.iter().any(|(_, source)| source.verify.is_some());
    match config.filter(|config| has_own(config) || !elsewhere.has_errors()) {
        Some(config) => {
            let catalogue = config.catalogue(&around, &mut problems);
            if problems.has_errors() { Err((Exit::Config, told(problems))) } else { Ok(catalogue) }
        }
        None => Err((Exit::Config, told(elsewhere))),
    }
}

/// The provider that a source writes itself.
///
/// # Errors
/// The exit code, and what is wrong with it, or that the source writes none.
pub(super) fn inline<'a>(catalogue: &'a Catalogue, source: &str) -> Result<&'a Provider, (Exit, String)> {
    match catalogue.load_inline(source) {
        Some(Ok(provider)) => Ok(provider),
        Some(Err(problems)) => Err((Exit::Config, problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))),
        None => Err((Exit::Usage, format!("the source `{source}` has no `verify` of its own"))),
    }
}

/// A provider by its name; where there is none of it, the one that the source of this name writes itself.
///
/// # Errors
/// The exit code, and what to say of a name that there is not, or of a file that cannot be read as one.
pub(super) fn provider<'a>(catalogue: &'a Catalogue, slug: &str) -> Result<&'a Provider, (Exit, String)> {
    match catalogue.load(slug) {
        Some(Ok(provider)) => Ok(provider),
        Some(Err(problems)) => Err((Exit::Config, problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))),
        None if catalogue.inline_names().any(|source| source == slug) => inline(catalogue, slug),
        None => Err((
            Exit::Usage,
            match nearest(slug, catalogue.names()) {
                Some(meant) => format!("there is no provider `{slug}`; did you mean `{meant}`?"),
                None => format!("there is no provider `{slug}`; `hookgate providers` lists them"),
            },
        )),
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
