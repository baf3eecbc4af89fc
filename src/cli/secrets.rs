//! `hookgate secrets`: which secrets may match, and when each last did; what has not matched for long after a rotation can go. Of one
//! source also what its vendor has handed over, which is shown once.

use serde_json::{Value, json};

use super::{call::Access, table::Table};
use crate::{app::Exit, name::SourceName};

/// Whom to ask, and how to answer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Those of this source; and once, to a token of role admin, what its vendor has handed over
    source: Option<String>,
    /// Print what the API says, as it says it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Asks, and prints.
pub(super) fn run(args: &Args) -> Exit {
    match asked(args) {
        Ok(listed) if args.json => super::say(format_args!("{listed:#}")),
        Ok(listed) => {
            print_known(items(&listed));
            print_handed(listed["handed"].as_array().map(Vec::as_slice).unwrap_or_default());
        }
        Err((exit, why)) => {
            super::complain(format_args!("{why}"));
            return exit;
        }
    }
    Exit::Fine
}

/// The list of all, or of a source with what was handed over to it.
fn asked(args: &Args) -> Result<Value, (Exit, String)> {
    let mut listed = args.access.fetch("/api/v1/secrets")?;
    let Some(written) = &args.source else { return Ok(listed) };
    let source = SourceName::parse(written).ok_or_else(|| (Exit::Usage, format!("`{}` is no name of a source", written.escape_debug())))?;
    let sources = args.access.fetch("/api/v1/sources")?;
    let is_it = |item: &&Value| item["name"] == source.as_str();
    let waiting = items(&sources).iter().find(is_it).map(|source| source["handed"] != 0);
    let waiting = waiting.ok_or_else(|| (Exit::Usage, format!("there is no source `{source}`; `hookgate status` lists them")))?;
    if let Some(items) = listed["items"].as_array_mut() {
        items.retain(|item| item["source"] == source.as_str());
    }
    if waiting {
        let taken = args.access.act(&format!("/api/v1/secrets/{source}/take"))?;
        listed["handed"] = json!(items(&taken));
    }
    Ok(listed)
}

fn items(listed: &Value) -> &[Value] {
    listed["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A secret is not cut to fit a table.
fn print_handed(handed: &[Value]) {
    for item in handed {
        let text = |key: &str| item[key].as_str().unwrap_or("-");
        super::say(format_args!("{} {} from {}: {}", text("received_at"), text("handshake"), text("client_ip"), text("secret")));
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
