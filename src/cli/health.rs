//! `hookgate health`: what a container's health check runs.

use http::StatusCode;

use super::call;
use crate::app::Exit;

/// Where to ask, and what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The admin or monitor address of the gateway
    #[arg(long, value_name = "URL", env = "HOOKGATE_ADMIN_URL", default_value = "http://127.0.0.1:9480")]
    admin: url::Url,
    /// Ask whether it is alive (a restart would not help) instead of whether it is ready
    #[arg(long)]
    live: bool,
}

/// Asks, prints the answer, and ends with 0 (yes), 1 (no) or 69 (nobody there).
pub(super) fn run(args: &Args) -> Exit {
    let path = if args.live { "/livez" } else { "/readyz" };
    match call::get(&args.admin, path, None) {
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
