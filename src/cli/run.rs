//! `hookgate run`.

use super::file::ConfigFile;
use crate::app::Exit;

/// What to run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs until a signal ends it.
pub(super) fn run(args: &Args) -> Exit {
    crate::app::run(args.config.named())
}
