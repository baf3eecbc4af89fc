//! `hookgate replay`, `cancel`, `move` and `jobs`: what is done to many deliveries. Counted first, asked about, then watched.

use std::{
    io::{self, BufRead as _, Read as _},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{call::Access, filter::Which, table::Table};
use crate::{app::Exit, store::JobId};

/// How often a job is looked at while it is watched.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Bytes of an answer to a question.
const ANSWER_BYTES_MAX: u64 = 64;

/// What every job takes.
#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    which: Which,
    /// So many at most, those of the oldest events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// Print one JSON document: the counts, or the job when it has ended
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// What to replay.
#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    #[command(flatten)]
    common: Common,
    /// To this target, and not to the one it was for
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,
    /// So many a second at most, such as 50/s
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<u32>,
    /// Planned: shape it anew by the routes of today
    #[arg(long, hide = true)]
    reshape: bool,
}

/// What to cancel.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    common: Common,
    /// So many a second at most, such as 50/s
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<u32>,
}

/// What to move.
#[derive(Debug, clap::Args)]
pub(super) struct Move {
    #[command(flatten)]
    common: Common,
    /// The target that gets it
    #[arg(long, value_name = "TARGET")]
    to: String,
}

/// Which job to show.
#[derive(Debug, clap::Args)]
pub(super) struct Jobs {
    /// Show this one; without it all that run, and the last that ended
    id: Option<String>,
    /// End it where it is; what it did stays done
    #[arg(long, requires = "id")]
    cancel: bool,
    /// Print what the API says, as it says it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Gives settled deliveries new ones.
pub(super) fn replay(args: &Replay) -> Exit {
    if args.reshape {
        super::complain(format_args!("`--reshape` is planned: this version does not shape events"));
        return Exit::Usage;
    }
    ended(run(&args.common, "replay", &json!({ "to": args.to, "rate": args.rate })))
}

/// Settles what waits, unattempted.
pub(super) fn cancel(args: &Cancel) -> Exit {
    ended(run(&args.common, "cancel", &json!({ "rate": args.rate })))
}

/// Gives what waits for a target that is gone to another one.
pub(super) fn relocate(args: &Move) -> Exit {
    ended(run(&args.common, "move", &json!({ "to": args.to })))
}

/// Shows jobs, or ends one.
pub(super) fn jobs(args: &Jobs) -> Exit {
    ended(show(args))
}

fn ended(end: Result<Exit, (Exit, String)>) -> Exit {
    end.unwrap_or_else(|(exit, why)| {
        super::complain(format_args!("{why}"));
        exit
    })
}

/// Counts, asks, begins, watches.
fn run(common: &Common, verb: &str, how: &Value) -> Result<Exit, (Exit, String)> {
    let (access, path) = (&common.access, format!("/api/v1/{verb}"));
    let mut body = how.clone();
    body["filter"] = common.which.body(common.limit)?;
    body["dry_run"] = true.into();
    let counted = access.send(&path, &body, None)?;
    let count = counted["count"]["done"].as_u64().unwrap_or(0);
    if common.dry_run || count == 0 {
        match common.json {
            true => super::say(format_args!("{counted:#}")),
            false => super::say(format_args!("{}{}", deliveries(count), left(&counted["count"]))),
        }
        return Ok(Exit::Fine);
    }
    super::complain(format_args!("{verb} {}{}", deliveries(count), left(&counted["count"])));
    if !common.yes && !is_sure()? {
        return Err((Exit::No, "nothing was done".to_owned()));
    }
    body["dry_run"] = false.into();
    let key = JobId::random().to_string();
    let begin = || access.send(&path, &body, Some(&key));
    // Nobody may have heard the answer: the same key again is the same job.
    let begun = begin().or_else(|(exit, why)| if exit == Exit::Unreachable { begin() } else { Err((exit, why)) })?;
    let Some(id) = begun["job"]["id"].as_str() else {
        super::complain(format_args!("it was done, or is gone, in the meantime: nothing was left to do"));
        return Ok(Exit::Fine);
    };
    let job = watch(access, id, count)?;
    if common.json {
        super::say(format_args!("{job:#}"));
    } else {
        let progress = &job["progress"];
        let done = deliveries(progress["done"].as_u64().unwrap_or(0));
        super::say(format_args!("{id}: {}, {done}{}", text(&job, "state"), left(progress)));
    }
    Ok(if job["state"] == "done" { Exit::Fine } else { Exit::No })
}

/// Whether whoever is asked says yes.
fn is_sure() -> Result<bool, (Exit, String)> {
    super::ask(format_args!("Go on? [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut answer).map_err(|error| (Exit::Internal, error.to_string()))?;
    if read == 0 {
        return Err((Exit::Usage, "nobody is here to ask: say --yes, or --dry-run to count only".to_owned()));
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Shows how a job goes on until it has ended. Ended before that, this leaves the job running.
fn watch(access: &Access, id: &str, expected: u64) -> Result<Value, (Exit, String)> {
    let bar = ProgressBar::new(expected);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    if bar.is_hidden() {
        super::complain(format_args!("{id} runs; `hookgate jobs {id}` shows it, and it goes on without this command"));
    }
    loop {
        let job = access.fetch(&format!("/api/v1/jobs/{id}"))?;
        bar.set_position(job["progress"]["done"].as_u64().unwrap_or(0));
        if job["state"] != "running" {
            bar.finish_and_clear();
            return Ok(job);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn show(args: &Jobs) -> Result<Exit, (Exit, String)> {
    let found = match &args.id {
        None => args.access.fetch("/api/v1/jobs")?,
        Some(id) if JobId::parse(id).is_none() => {
            return Err((Exit::Usage, "the id of a job is `job_` and 13 digits; `hookgate jobs` lists them".to_owned()));
        }
        Some(id) if args.cancel => args.access.act(&format!("/api/v1/jobs/{id}/cancel"))?,
        Some(id) => args.access.fetch(&format!("/api/v1/jobs/{id}"))?,
    };
    if args.json {
        super::say(format_args!("{found:#}"));
        return Ok(Exit::Fine);
    }
    let mut table = Table::new(&["id", "work", "state", "done", "of", "begun", "by", "filter"]);
    let one = std::slice::from_ref(&found);
    for job in found["items"].as_array().map_or(one, Vec::as_slice) {
        let work = job["to"].as_str().map_or_else(|| text(job, "work"), |to| format!("{} to {to}", text(job, "work")));
        let (done, expected) = (job["progress"]["done"].to_string(), job["expected"].to_string());
        let (id, state, begun, by, filter) =
            (text(job, "id"), text(job, "state"), text(job, "begun_at"), text(job, "by"), text(job, "filter"));
        table.row(&[&id, &work, &state, &done, &expected, &begun, &by, &filter]);
    }
    table.print();
    Ok(Exit::Fine)
}

fn deliveries(count: u64) -> String {
    if count == 1 { "1 delivery".to_owned() } else { format!("{count} deliveries") }
}

/// What is left alone, for people.
fn left(count: &Value) -> String {
    let of = |(why, count): (&String, &Value)| format!("{count} {}", why.replace('_', " "));
    let all: Vec<String> = count["left"].as_object().into_iter().flatten().map(of).collect();
    if all.is_empty() { String::new() } else { format!(" (left alone: {})", all.join(", ")) }
}

fn text(item: &Value, key: &str) -> String {
    item[key].as_str().unwrap_or("-").to_owned()
}

/// Reads `50/s`.
fn rate(text: &str) -> Result<u32, &'static str> {
    let count = text.strip_suffix("/s").and_then(|count| count.parse().ok()).filter(|count| (1..=1_000_000).contains(count));
    count.ok_or("a rate is a number of deliveries a second, such as 50/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_so_many_a_second() {
        assert_eq!(rate("50/s"), Ok(50));
        for wrong in ["50", "0/s", "50/m", "-1/s", "/s", "1000001/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_alone_is_told() {
        assert_eq!(left(&json!({ "done": 3, "left": {} })), "");
        assert_eq!(left(&json!({ "left": { "in_flight": 2, "superseded": 1 } })), " (left alone: 2 in flight, 1 superseded)");
    }
}
