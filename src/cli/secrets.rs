//! `hookgate secrets`: which secrets may match, and when each last did; what has not matched for long after a rotation can go. Of a source,
//! what its vendor handed over, which is shown once.

use serde_json::Value;

use super::{call::Access, table::Table};
use crate::{app::Exit, name::SourceName};

/// Whom to ask, and how to answer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show the secrets that a vendor handed over to this source; once, and to a token of role admin
    source: Option<String>,
    /// Print what the API says, as it says it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Asks, and prints.
pub(super) fn run(args: &Args) -> Exit {
    let listed = match asked(args) {
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
    let items = listed["items"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    match &args.source {
        Some(source) => print_handed(source, items),
        None => print_known(items),
    }
    Exit::Fine
}

fn asked(args: &Args) -> Result<Value, (Exit, String)> {
    let Some(source) = &args.source else { return args.access.fetch("/api/v1/secrets") };
    let source = SourceName::parse(source).ok_or_else(|| (Exit::Usage, format!("`{}` is no name of a source", source.escape_debug())))?;
    args.access.act(&format!("/api/v1/secrets/{source}/take"))
}

/// A secret is not cut to fit a table.
fn print_handed(source: &str, items: &[Value]) {
    for item in items {
        let text = |key: &str| item[key].as_str().unwrap_or("-");
        super::say(format_args!("{} {} from {}: {}", text("received_at"), text("handshake"), text("client_ip"), text("secret")));
    }
    if items.is_empty() {
        super::say(format_args!("nothing waits for `{source}`: what is handed over is kept for an hour, and shown once"));
    }
}

fn print_known(items: &[Value]) {
    let mut table = Table::new(&["source", "secret", "matches", "last match"]);
    for item in items {
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
}
