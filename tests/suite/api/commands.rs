//! The command line on the API: tables for people, JSON for programs, exit codes for scripts.

use std::{fs, process::Output};

use super::{configuration, gateway, get, listed, ring, text};
use crate::support::{
    gateway::{ADMIN_TOKEN, Gateway},
    listener::Reaction,
    recorder::Recorder,
    sender::{SECRET, github},
};

fn run(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = gateway.command(&[arguments, &["-c", "hookgate.yaml", "--token", ADMIN_TOKEN]].concat());
    (status.code(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

/// Runs what must succeed; what it printed.
fn fine(gateway: &Gateway, arguments: &[&str]) -> String {
    let (code, out, complaint) = run(gateway, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {out}{complaint}");
    out
}

#[test]
fn lists_are_tables_for_people_and_lines_of_json_for_programs() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    let ids: Vec<String> = (0..3).map(|n| ring(&gateway, "hub", &format!("d-{n}"))).collect();
    gateway.wait_until_drained();
    let table = fine(&gateway, &["events"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("id ") && lines.len() == 4, "{table}");
    assert!(lines[1].starts_with(&ids[2]) && lines[1].contains("push") && lines[1].ends_with("app delivered"), "{table}");
    let table = fine(&gateway, &["deliveries", "--state", "delivered", "--since", "1h", "--limit", "2"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    let lines = fine(&gateway, &["deliveries", "--source", "hub", "--json"]);
    let read: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(read.iter().map(|one| text(one, "event_id")).collect::<Vec<_>>(), [&*ids[2], &*ids[1], &*ids[0]]);
    assert_eq!(fine(&gateway, &["secrets", "hub"]).lines().count(), 2);
    let secrets = fine(&gateway, &["secrets"]);
    assert!(secrets.lines().count() == 3 && !secrets.contains(SECRET), "{secrets}");
    let document: serde_json::Value = serde_json::from_str(&fine(&gateway, &["secrets", "--json"])).expect("JSON");
    assert_eq!(document["items"][0]["matches"], 3);
}

#[test]
fn a_replay_counts_asks_and_does_it() {
    let target = Recorder::reacting(|_, count| Reaction::Status(if count <= 3 { 410 } else { 200 }));
    let gateway = gateway(&target, "retry: { dead_on: [410] }, ");
    for n in 0..3 {
        ring(&gateway, "hub", &format!("d-{n}"));
    }
    listed(&gateway, "/api/v1/deliveries?state=dead", 3);
    let missed = ["replay", "--target", "app", "--state", "dead", "--since", "1h"];
    assert_eq!(fine(&gateway, &[&missed[..], &["--dry-run"]].concat()), "3 deliveries\n");
    let (code, _, complaint) = run(&gateway, &missed);
    assert!(code == Some(2) && complaint.contains("replay 3 deliveries") && complaint.contains("--yes"), "{complaint}");
    assert_eq!(get(&gateway, "/api/v1/jobs")["items"], serde_json::json!([]), "nobody said yes");
    let asked = |answer: &str| gateway.told(&[&missed[..], &["-c", "hookgate.yaml", "--token", ADMIN_TOKEN]].concat(), answer);
    assert_eq!(asked("n\n").status.code(), Some(1));
    assert_eq!(get(&gateway, "/api/v1/jobs")["items"], serde_json::json!([]), "somebody said no");
    let said = fine(&gateway, &[&missed[..], &["--yes", "--rate", "100/s"]].concat());
    assert!(said.starts_with("job_") && said.contains("done, 3 deliveries"), "{said}");
    target.wait_for(6);
    let jobs = fine(&gateway, &["jobs"]);
    assert!(jobs.lines().count() == 2 && jobs.contains("replay") && jobs.contains("state=dead"), "{jobs}");
    let id = jobs.lines().nth(1).and_then(|line| line.split(' ').next()).expect("a job").to_owned();
    let job: serde_json::Value = serde_json::from_str(&fine(&gateway, &["jobs", &id, "--json"])).expect("JSON");
    assert_eq!((&job["state"], &job["rate"]), (&"done".into(), &100.into()));
    gateway.wait_until_drained();
    // The dead ones are as they were, and a later delivery counts for each.
    assert_eq!(fine(&gateway, &[&missed[..], &["--yes"]].concat()), "0 deliveries (left alone: 3 superseded)\n");
}

#[test]
fn everything_is_held_for_a_while_cancelled_and_let_go() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    assert!(fine(&gateway, &["pause", "--all", "--for", "45m"]).starts_with("app: paused until 20"));
    assert!(fine(&gateway, &["status"]).contains("PAUSED until 20"));
    ring(&gateway, "hub", "d-1");
    listed(&gateway, "/api/v1/deliveries?state=paused", 1);
    assert!(fine(&gateway, &["cancel", "--state", "paused", "--yes"]).contains("done, 1 delivery"));
    assert_eq!(fine(&gateway, &["resume", "app"]), "app: goes on\n");
    assert_eq!(target.count(), 0);
    assert!(fine(&gateway, &["deliveries"]).contains("cancelled"));
}

#[test]
fn exit_codes_say_what_was_wrong() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    for (arguments, code) in [
        (&["events", "--state", "lost"][..], 2),
        (&["events", "--source", "nobody"], 2),
        (&["events", "--match", "payload.x"], 2),
        (&["events", "--since", "yesterday"], 2),
        (&["replay", "--yes"], 2),
        (&["replay", "--state", "dead", "--reshape"], 2),
        (&["replay", "--state", "dead", "--rate", "50"], 2),
        (&["replay", "--state", "dead", "--to", "nobody"], 2),
        (&["pause"], 2),
        (&["pause", "nobody"], 2),
        (&["pause", "../status"], 2),
        (&["jobs", "1"], 2),
        (&["jobs", "job_0000000000001"], 1),
        (&["tail"], 2),
    ] {
        let (found, out, complaint) = if arguments == ["tail"] {
            let output = gateway.command(arguments);
            (output.status.code(), String::new(), String::from_utf8_lossy(&output.stderr).into_owned())
        } else {
            run(&gateway, arguments)
        };
        assert_eq!(found, Some(code), "{arguments:?}: {out}{complaint}");
        assert!(!complaint.is_empty(), "{arguments:?} says why");
    }
    let wrong = gateway.command(&["events", "-c", "hookgate.yaml", "--token", "nobody"]);
    assert_eq!(wrong.status.code(), Some(69));
    let nowhere = gateway.command(&["events", "--admin", "http://127.0.0.1:9", "--token", "nobody"]);
    assert_eq!(nowhere.status.code(), Some(69));
    let looking = gateway.command(&["pause", "app", "-c", "hookgate.yaml", "--token", super::READ_TOKEN]);
    let said = String::from_utf8_lossy(&looking.stderr).into_owned();
    assert!(looking.status.code() == Some(69) && said.contains("operate"), "{said}");
}

#[test]
fn after_an_hour_with_the_wrong_secret_every_rejected_event_is_admitted() {
    const RUNG: usize = 40;
    let target = Recorder::start();
    let written = configuration(&target, "").replacen(&format!("secret: \"{SECRET}\""), "secret: \"${file:@DIR@/secret}\"", 1);
    let mut gateway = Gateway::written(&written);
    fs::write(gateway.folder().join("secret"), "the-wrong-secret-of-that-hour-000000").expect("written");
    gateway.boot();
    for n in 0..RUNG {
        assert_eq!(gateway.ring(&github("/hooks/hub", SECRET, &format!("d-{n}"), b"{}")).status, 401);
    }
    assert_eq!(gateway.ring(&github("/hooks/hub", "a-forgers-secret-0123456789", "forged", b"{}")).status, 401);
    listed(&gateway, "/api/v1/rejected?limit=500", RUNG + 1);
    let (code, said, _) = run(&gateway, &["rejected", "admit", "--all"]);
    assert_eq!((code, said.as_str()), (Some(1), "0 accepted, 0 duplicate, 41 rejected still\n"));

    assert!(gateway.terminate().success());
    fs::write(gateway.folder().join("secret"), SECRET).expect("written");
    gateway.boot();
    let again = gateway.ring(&github("/hooks/hub", SECRET, "d-7", b"{}"));
    assert_eq!(again.status, 200, "the provider tried this one again by itself");
    let (code, said, complaint) = run(&gateway, &["rejected", "admit", "--all", "--source", "hub"]);
    assert_eq!((code, said.as_str()), (Some(1), "39 accepted, 1 duplicate, 1 rejected still\n"), "{complaint}");
    assert!(complaint.contains("bad_signature"), "{complaint}");
    target.wait_for(RUNG);
    gateway.wait_until_drained();
    assert_eq!(target.count(), RUNG, "each once, and nothing forged");
    let (_, said, _) = run(&gateway, &["rejected", "admit", "--all", "--since", "1h"]);
    assert_eq!(said, "0 accepted, 0 duplicate, 1 rejected still\n");
}
