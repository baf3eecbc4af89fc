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
    match args.config.find() {
        Ok(_file) => Exit::Internal,
        Err(why) => {
            super::complain(format_args!("{why}"));
            Exit::Config
        }
    }
}
