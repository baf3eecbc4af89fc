//! `hookgate status`: how a running gateway stands, in a few lines.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::Value;

use super::call::Access;
use crate::app::Exit;

/// Whom to ask, and how to answer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    access: Access,
    /// Print what the API says, as it says it
    #[arg(long)]
    json: bool,
}

/// Asks, and prints.
pub(super) fn run(args: &Args) -> Exit {
    let answer = match args.access.get("/api/v1/status") {
        Ok(answer) => answer,
        Err(error) => {
            super::complain(format_args!("{error}"));
            return error.exit();
        }
    };
    let Some(body) = serde_json::from_slice::<Value>(&answer.body).ok().filter(|_| answer.status == StatusCode::OK) else {
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        super::complain(format_args!("the gateway answers {}: {}", answer.status, said.trim()));
        return Exit::Unreachable;
    };
    if args.json {
        super::say(format_args!("{body:#}"));
    } else {
        super::say(format_args!("{}", told(&body).trim_end()));
    }
    Exit::Fine
}

/// The status as lines for people.
fn told(status: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let count = |of: &Value, key: &str| of[key].as_u64().unwrap_or(0);
    let uptime = std::time::Duration::from_secs(count(status, "uptime_s"));
    let mut lines = format!(
        "hookgate {}, {} for {}, configuration {}, listening on {}\n",
        text(&status["version"]),
        text(&status["phase"]),
        humantime::format_duration(uptime),
        status["generation"],
        text(&status["listen"])
    );
    let store = &status["store"];
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        lines,
        "store: {}, {}, {} used, {} free",
        text(&store["durability"]),
        if store["accepting"] == true { "accepting" } else { "NOT ACCEPTING" },
        bytesize::ByteSize(count(store, "bytes")),
        bytesize::ByteSize(count(store, "free_bytes"))
    );
    let entries = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let _ = writeln!(lines, "\n{:<24} {:<20} {:>10} {:>10} {:>10}  last event", "source", "provider", "accepted", "duplicate", "rejected");
    for source in entries("sources") {
        let last = source["last_event"].as_str().unwrap_or("never");
        let counted = &source["requests"];
        let (name, provider) = (text(&source["name"]), text(&source["provider"]));
        let _ = writeln!(
            lines,
            "{name:<24} {provider:<20} {:>10} {:>10} {:>10}  {last}",
            count(counted, "accepted"),
            count(counted, "duplicate"),
            count(counted, "rejected")
        );
    }
    let _ = writeln!(lines, "\n{:<24} {:>10} {:>10} {:>10} {:>10}  oldest open", "target", "pending", "in flight", "dead", "delivered");
    for target in entries("targets") {
        let oldest = target["oldest_open"].as_str().unwrap_or("none");
        let held = match (&target["paused"], target["paused"]["until"].as_str()) {
            (Value::Null, _) => String::new(),
            (_, None) => "  PAUSED".to_owned(),
            (_, Some(until)) => format!("  PAUSED until {until}"),
        };
        let name = text(&target["name"]);
        let _ = writeln!(
            lines,
            "{name:<24} {:>10} {:>10} {:>10} {:>10}  {oldest}{held}",
            count(&target, "pending"),
            count(&target, "in_flight"),
            count(&target, "dead"),
            count(&target, "delivered")
        );
    }
    for warning in entries("warnings") {
        let _ = writeln!(lines, "warning: {}", text(&warning));
    }
    lines
}
