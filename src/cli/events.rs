//! `hookgate events` and `hookgate deliveries`: what came in, and what became of it.

use indicatif::ProgressBar;
use serde_json::Value;

use super::{call::Access, filter::Which, table::Table};
use crate::{app::Exit, limits::LIST_ITEMS_MAX};

/// What to list, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// So many at most, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print one JSON object a line, as the API has it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Lists events.
pub(super) fn events(args: &Args) -> Exit {
    let mut table = Table::new(&["id", "received", "source", "types", "deliveries"]);
    shown(args, "/api/v1/events", &mut table, |item| {
        let deliveries = item["deliveries"].as_array().into_iter().flatten();
        let deliveries: Vec<String> = deliveries.map(|one| format!("{} {}", text(one, "target"), text(one, "state"))).collect();
        let whither = if deliveries.is_empty() { "unrouted".to_owned() } else { deliveries.join(", ") };
        vec![text(item, "id"), text(item, "received_at"), text(item, "source"), types(item), whither]
    })
}

/// Lists deliveries.
pub(super) fn deliveries(args: &Args) -> Exit {
    let mut table = Table::new(&["id", "received", "source", "types", "target", "state", "attempt", "next", "last"]);
    shown(args, "/api/v1/deliveries", &mut table, |item| {
        let attempt = &item["attempts"][0];
        let last = match (item["dead_reason"].as_str(), item["status"].as_u64(), attempt["result"].as_str()) {
            (Some(reason), ..) => reason.to_owned(),
            (None, Some(status), _) => status.to_string(),
            (None, None, result) => result.unwrap_or("-").to_owned(),
        };
        vec![
            text(item, "id"),
            text(item, "received_at"),
            text(item, "source"),
            types(item),
            text(item, "target"),
            text(item, "state"),
            item["attempt"].to_string(),
            text(item, "due"),
            last,
        ]
    })
}

fn shown(args: &Args, path: &str, table: &mut Table, row: impl Fn(&Value) -> Vec<String>) -> Exit {
    let each = |item: &Value| {
        if args.json {
            super::say(format_args!("{item}"));
        } else {
            let cells = row(item);
            table.row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
        }
    };
    let more = match walk(args, path, each) {
        Ok(more) => more,
        Err((exit, why)) => {
            super::complain(format_args!("{why}"));
            return exit;
        }
    };
    if !args.json {
        table.print();
    }
    if more {
        super::complain(format_args!("there may be more: --limit shows more of them, the filters choose"));
    }
    Exit::Fine
}

/// Follows the pages until there are enough of them; whether there may be more.
fn walk(args: &Args, path: &str, mut each: impl FnMut(&Value)) -> Result<bool, (Exit, String)> {
    let pairs = args.which.pairs()?;
    let mut left = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut cursor: Option<String> = None;
    // It is drawn on a terminal only.
    let searching = ProgressBar::new_spinner();
    loop {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&pairs).append_pair("limit", &left.min(LIST_ITEMS_MAX).to_string());
        if let Some(cursor) = &cursor {
            query.append_pair("cursor", cursor);
        }
        let page = args.access.fetch(&format!("{path}?{}", query.finish()))?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().for_each(&mut each);
        left = left.saturating_sub(items.len());
        cursor = page["next"].as_str().map(str::to_owned);
        if left == 0 || cursor.is_none() {
            searching.finish_and_clear();
            return Ok(cursor.is_some());
        }
        searching.set_message(format!("searched back to {}", text(&page, "searched_back_to")));
        searching.tick();
    }
}

fn types(item: &Value) -> String {
    let types = item["types"].as_array().into_iter().flatten();
    let types: Vec<&str> = types.filter_map(Value::as_str).collect();
    if types.is_empty() { "-".to_owned() } else { types.join(",") }
}

fn text(item: &Value, key: &str) -> String {
    item[key].as_str().unwrap_or("-").to_owned()
}
