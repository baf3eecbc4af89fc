//! `hookgate rejected`: what a running gateway did not believe, and the way in for it once the secret is right.

use std::io::Write as _;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    call::Access,
    kept::{get, path_of},
    output::Output,
};
use crate::app::Exit;

/// What to list, or which one to show.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_precedence_over_arg = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show this one, with its query and headers; secrets were never kept
    id: Option<String>,
    /// With an id: write the request to standard output as it came, body included, for `hookgate verify PROVIDER -`
    #[arg(long, requires = "id", conflicts_with = "json")]
    raw: bool,
    /// Those of this source
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    source: Option<String>,
    /// Those since this time (2026-01-31T12:00:00Z), or not older than this (90m, 12h)
    #[arg(long, value_name = "TIME", conflicts_with = "id")]
    since: Option<String>,
    /// So many at most, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500), conflicts_with = "id")]
    limit: u16,
    /// Print what the API says, as it says it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Verify again, with the configuration that runs and as of when they came, and admit what holds: 0, or 1 when one does not
    Admit(Admit),
}

/// What to admit.
#[derive(Debug, clap::Args)]
struct Admit {
    /// The ids, as `hookgate rejected` lists them
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
    /// All that were not admitted yet, the oldest first
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: those of this source
    #[arg(long, value_name = "NAME", requires = "all")]
    source: Option<String>,
    /// With --all: those since this time (2026-01-31T12:00:00Z), or not older than this (90m, 12h)
    #[arg(long, value_name = "TIME", requires = "all")]
    since: Option<String>,
    /// Print what the API says, one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Asks, and prints.
pub(super) fn run(args: &Args) -> Exit {
    let end = match (&args.command, &args.id) {
        (Some(Command::Admit(admit)), _) if admit.all => admit_all(admit),
        (Some(Command::Admit(admit)), _) => admit_each(admit),
        (None, Some(id)) => show(args, id),
        (None, None) => list(args),
    };
    end.unwrap_or_else(|(exit, why)| {
        super::complain(format_args!("{why}"));
        exit
    })
}

fn list(args: &Args) -> Result<Exit, (Exit, String)> {
    let mut parameters = url::form_urlencoded::Serializer::new(String::new());
    parameters.append_pair("limit", &args.limit.to_string());
    for (name, value) in [("source", &args.source), ("since", &args.since)] {
        if let Some(value) = value {
            parameters.append_pair(name, value);
        }
    }
    let answer = get(&args.access, &format!("/api/v1/rejected?{}", parameters.finish()))?;
    let page = answer.json().ok_or_else(|| (Exit::Internal, answer.problem()))?;
    if args.json {
        super::say(format_args!("{page:#}"));
        return Ok(Exit::Fine);
    }
    super::say(format_args!(
        "{:<17} {:<24} {:<20} {:<17} {:>10}  {:<15} admitted as",
        "id", "received", "source", "reason", "body", "client"
    ));
    for item in page["items"].as_array().into_iter().flatten() {
        let text = |key: &str| item[key].as_str().unwrap_or("-");
        // Refused by its head alone, so nothing of a body was read.
        let body = item["body_bytes"].as_u64().map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let (id, at, source, reason, client) = (text("id"), text("received_at"), text("source"), text("reason"), text("client_ip"));
        super::say(format_args!("{id:<17} {at:<24} {source:<20} {reason:<17} {body:>10}  {client:<15} {}", text("admitted")));
    }
    if page["next"].is_string() {
        super::complain(format_args!("there are more: --limit, --source and --since choose"));
    }
    Ok(Exit::Fine)
}

fn show(args: &Args, id: &str) -> Result<Exit, (Exit, String)> {
    let path = path_of(id)?;
    if args.raw {
        let message = get(&args.access, &format!("{path}/request"))?.body;
        // A closed pipe behind it ends the output, not the command.
        let _ = Output.write_all(&message);
        return Ok(Exit::Fine);
    }
    let answer = get(&args.access, &path)?;
    let shown = answer.json().ok_or_else(|| (Exit::Internal, answer.problem()))?;
    if args.json {
        super::say(format_args!("{shown:#}"));
        return Ok(Exit::Fine);
    }
    for key in ["id", "received_at", "source", "provider", "reason", "client_ip", "method", "path", "query", "admitted"] {
        if let Some(value) = shown[key].as_str() {
            // A stranger wrote it, and a terminal obeys control characters.
            super::say(format_args!("{key:<12} {}", value.escape_debug()));
        }
    }
    match shown["body_bytes"].as_u64() {
        Some(bytes) => super::say(format_args!("{:<12} {bytes} bytes; `hookgate rejected {id} --raw` has them", "body")),
        None => super::say(format_args!("{:<12} never read: its head alone was refused", "body")),
    }
    super::say(format_args!(""));
    for field in shown["headers"].as_array().into_iter().flatten() {
        let text = |key: &str| field[key].as_str().unwrap_or_default().escape_debug().to_string();
        super::say(format_args!("{}: {}", text("name"), text("value")));
    }
    Ok(Exit::Fine)
}

fn admit_each(args: &Admit) -> Result<Exit, (Exit, String)> {
    let mut exit = Exit::Fine;
    for id in &args.ids {
        let answer = args.access.post(&format!("{}/admit", path_of(id)?)).map_err(|error| (error.exit(), error.to_string()))?;
        let admitted = answer.status == StatusCode::OK;
        if !admitted {
            exit = Exit::No;
        }
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match (args.json, admitted) {
            (true, _) => super::say(format_args!("{said}")),
            (false, true) => {
                let text = |key: &str| said[key].as_str().unwrap_or("?");
                super::say(format_args!("{id}: {} as {}", text("result"), text("event_id")));
            }
            (false, false) => super::complain(format_args!("{id}: {}", answer.problem())),
        }
    }
    Ok(exit)
}

/// Follows the answers to the end, and says what came of all of them.
fn admit_all(args: &Admit) -> Result<Exit, (Exit, String)> {
    let (mut accepted, mut duplicates, mut refused) = (0, 0, 0);
    let mut cursor = Value::Null;
    loop {
        let body = json!({ "source": args.source, "since": args.since, "cursor": cursor });
        let said = args.access.send("/api/v1/admit", &body, None)?;
        accepted += said["accepted"].as_u64().unwrap_or(0);
        duplicates += said["duplicates"].as_u64().unwrap_or(0);
        for one in said["refused"].as_array().into_iter().flatten() {
            refused += 1;
            let text = |key: &str| one[key].as_str().unwrap_or("?");
            super::complain(format_args!("{}: {}", text("id"), text("detail")));
        }
        cursor = said["next"].clone();
        if args.json {
            super::say(format_args!("{said}"));
        }
        if cursor.is_null() {
            break;
        }
    }
    if !args.json {
        super::say(format_args!("{accepted} accepted, {duplicates} duplicate, {refused} rejected still"));
    }
    Ok(if refused == 0 { Exit::Fine } else { Exit::No })
}
