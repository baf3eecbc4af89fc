//! `hookgate pause` and `hookgate resume`: targets held by an operator, and let go.

use serde_json::{Value, json};

use super::call::Access;
use crate::{app::Exit, name::TargetName};

/// Which targets, and how long.
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    #[command(flatten)]
    of: Of,
    /// Go on by itself after this time, such as 45m
    #[arg(long = "for", value_name = "TIME")]
    span: Option<String>,
}

/// Which targets.
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The targets
    #[arg(required_unless_present = "all", value_name = "TARGET")]
    targets: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "targets")]
    all: bool,
    /// Print what the API says, one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Holds them.
pub(super) fn pause(args: &Pause) -> Exit {
    each(&args.of, |target| args.of.access.send(&format!("/api/v1/targets/{target}/pause"), &json!({ "for": args.span }), None))
}

/// Lets them go on.
pub(super) fn resume(args: &Resume) -> Exit {
    each(&args.of, |target| args.of.access.act(&format!("/api/v1/targets/{target}/resume")))
}

/// Does it to each; what fails for one is tried for the others, and said.
fn each(of: &Of, act: impl Fn(&TargetName) -> Result<Value, (Exit, String)>) -> Exit {
    let targets = match named(of) {
        Ok(targets) => targets,
        Err((exit, why)) => {
            super::complain(format_args!("{why}"));
            return exit;
        }
    };
    let mut end = Exit::Fine;
    for target in targets {
        match act(&target) {
            Ok(hold) if of.json => super::say(format_args!("{hold}")),
            Ok(hold) => super::say(format_args!("{target}: {}", told(&hold["paused"]))),
            Err((exit, why)) => {
                super::complain(format_args!("{target}: {why}"));
                end = exit;
            }
        }
    }
    end
}

fn named(of: &Of) -> Result<Vec<TargetName>, (Exit, String)> {
    let names: Vec<String> = if of.all {
        let listed = of.access.fetch("/api/v1/targets")?;
        let items = listed["items"].as_array().into_iter().flatten();
        items.filter_map(|target| target["name"].as_str()).map(str::to_owned).collect()
    } else {
        of.targets.clone()
    };
    let name = |name: &String| {
        // What is no name is not sent: it could be a path of its own.
        TargetName::parse(name).ok_or_else(|| (Exit::Usage, format!("`{}` is no name of a target", name.escape_debug())))
    };
    names.iter().map(name).collect()
}

fn told(paused: &Value) -> String {
    match (paused.is_null(), paused["until"].as_str()) {
        (true, _) => "goes on".to_owned(),
        (false, None) => "paused, until it is resumed".to_owned(),
        (false, Some(until)) => format!("paused until {until}"),
    }
}
