//! Which configuration file is meant.

use std::path::PathBuf;

/// Where a configuration is looked for when none is named, in this order.
const PLACES: [&str; 2] = ["hookgate.yaml", "/etc/hookgate/hookgate.yaml"];

/// The `-c FILE` of every command that reads the configuration.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration; without it ./hookgate.yaml, then /etc/hookgate/hookgate.yaml
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "HOOKGATE_CONFIG")]
    file: Option<PathBuf>,
}

impl ConfigFile {
    /// The file named, or the first that is there; the error says where was looked.
    pub(super) fn find(&self) -> Result<PathBuf, String> {
        if let Some(named) = &self.file {
            return Ok(named.clone());
        }
        PLACES.iter().map(PathBuf::from).find(|place| place.exists()).ok_or_else(|| {
            format!(
                "no configuration: looked at {}; name one with -c FILE, or write a first one with `hookgate init`",
                PLACES.join(" and ")
            )
        })
    }
}
