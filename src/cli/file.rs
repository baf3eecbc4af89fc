//! Which configuration file is meant.

use std::path::{Path, PathBuf};

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
}
