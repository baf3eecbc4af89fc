//! `hookgate health`: what a container's health check runs.

use http::StatusCode;

use super::{call::Admin, file::ConfigFile};
use crate::{
    app::Exit,
    config::{self, Surroundings},
    yaml::Problems,
};

/// Where to ask, and what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The admin or monitor address of the gateway [default: `admin.listen` of the configuration, else http://127.0.0.1:9480]
    #[arg(long, value_name = "URL", env = "HOOKGATE_ADMIN_URL")]
    admin: Option<url::Url>,
    #[command(flatten)]
    config: ConfigFile,
    /// Ask whether it is alive (a restart would not help) instead of whether it is ready
    #[arg(long)]
    live: bool,
}

/// Asks, prints the answer, and ends with 0 (yes), 1 (no) or 69 (nobody there).
pub(super) fn run(args: &Args) -> Exit {
    let path = if args.live { "/livez" } else { "/readyz" };
    // The configuration only says where to ask; what is wrong with it is for `check` to say.
    let written = || config::load(args.config.named(), &Surroundings::system(), &mut Problems::new());
    let written = if args.admin.is_some() { None } else { written() };
    match Admin::of(args.admin.as_ref(), written.as_ref()).and_then(|admin| admin.get(path, None)) {
        Ok(answer) => {
            super::say(format_args!("{}", String::from_utf8_lossy(&answer.body).trim_end()));
            if answer.status == StatusCode::OK { Exit::Fine } else { Exit::No }
        }
        Err(error) => {
            super::complain(format_args!("{error}"));
            error.exit()
        }
    }
}
