//! `hookgate status`: how a running gateway stands, in a few lines.

use std::{fmt::Write as _, time::Duration};

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
    let uptime = Duration::from_secs(count(status, "uptime_s"));
    let mut lines = format!(
        "hookgate {}, {} for {}, configuration {}, listening on {}\n",
        text(status, "version"),
        text(status, "phase"),
        humantime::format_duration(uptime),
        status["generation"],
        text(status, "listen")
    );
    let store = &status["store"];
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        lines,
        "store: {}, {}, {} used, {} free",
        text(store, "durability"),
        if store["accepting"] == true { "accepting" } else { "NOT ACCEPTING" },
        bytesize::ByteSize(count(store, "bytes")),
        bytesize::ByteSize(count(store, "free_bytes"))
    );
    sources(&mut lines, entries(status, "sources"));
    targets(&mut lines, entries(status, "targets"), entries(status, "removed"));
    for warning in entries(status, "warnings") {
        let _ = writeln!(lines, "warning: {}", warning.as_str().unwrap_or_default());
    }
    lines
}

fn sources(lines: &mut String, sources: &[Value]) {
    let (source, provider) = ("source", "provider");
    let _ = writeln!(lines, "\n{source:<24} {provider:<20}   accepted  duplicate   rejected  last event (all since the start)");
    for source in sources {
        let (name, provider, last) = (text(source, "name"), text(source, "provider"), source["last_event"].as_str().unwrap_or("never"));
        let [accepted, duplicate, rejected] = ["accepted", "duplicate", "rejected"].map(|result| count(&source["requests"], result));
        let _ = writeln!(lines, "{name:<24} {provider:<20} {accepted:>10} {duplicate:>10} {rejected:>10}  {last}");
    }
}

fn targets(lines: &mut String, targets: &[Value], removed: &[Value]) {
    let target = "target";
    let _ = writeln!(lines, "\n{target:<24}    pending  in flight       dead  delivered  oldest open (delivered: since the start)");
    let oldest = |of: &Value| of["oldest_open"].as_str().unwrap_or("none").to_owned();
    for target in targets {
        let [pending, in_flight, dead, delivered] = ["pending", "in_flight", "dead", "delivered"].map(|state| count(target, state));
        let (name, oldest, held) = (text(target, "name"), oldest(target), held(target));
        let _ = writeln!(lines, "{name:<24} {pending:>10} {in_flight:>10} {dead:>10} {delivered:>10}  {oldest}{held}");
    }
    for target in removed {
        let (name, parked, dead, oldest) = (text(target, "name"), count(target, "parked"), count(target, "dead"), oldest(target));
        let _ = writeln!(lines, "{name:<24} {parked:>10}          - {dead:>10}          -  {oldest}  NOT IN THE CONFIGURATION");
    }
}

/// Why nothing, or little, goes to a target.
fn held(target: &Value) -> String {
    let mut why = String::new();
    match (&target["paused"], target["paused"]["until"].as_str()) {
        (Value::Null, _) => {}
        (_, None) => why += "  PAUSED",
        (_, Some(until)) => why = why + "  PAUSED until " + until,
    }
    if target["disabled"] == true {
        why += "  DISABLED";
    }
    match target["breaker"].as_str() {
        Some("open") => why += "  BREAKER OPEN",
        Some("half_open") => why += "  BREAKER HALF OPEN",
        _ => {}
    }
    if let Some(until) = target["left_alone_until"].as_str() {
        why = why + "  LEFT ALONE until " + until + ", as it asked";
    }
    why
}

fn entries<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or("-")
}

fn count(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or(0)
}
