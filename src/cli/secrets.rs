//! `hookgate secrets`: which secrets may match, and when each last did. What has not matched for long after a rotation can go.

use super::{call::Access, table::Table};
use crate::app::Exit;

/// Whom to ask, and how to answer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print what the API says, as it says it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Asks, and prints.
pub(super) fn run(args: &Args) -> Exit {
    let listed = match args.access.fetch("/api/v1/secrets") {
        Ok(listed) => listed,
        Err((exit, why)) => {
            super::complain(format_args!("{why}"));
            return exit;
        }
    };
    if args.json {
        super::say(format_args!("{listed:#}"));
        return Exit::Fine;
    }
    let mut table = Table::new(&["source", "secret", "matches", "last match"]);
    for item in listed["items"].as_array().into_iter().flatten() {
        let text = |key: &str| item[key].as_str();
        let matches = item["matches"].to_string();
        table.row(&[
            text("source").unwrap_or("-"),
            text("secret").unwrap_or("-"),
            &matches,
            text("last_match").unwrap_or("never since the start"),
        ]);
    }
    table.print();
    Exit::Fine
}
