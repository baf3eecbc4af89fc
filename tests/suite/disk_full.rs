//! A disk that fills up: nothing more is taken in and nothing is said falsely, what was acknowledged is delivered all the same, and with
//! room again everything goes on by itself.
//!
//! The disk is a file system in memory that only the gateway's process sees. Making one needs root, or a kernel that gives users a name
//! space of their own (`unshare -rm`).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::{
    spine::one_target,
    support::{
        gateway::Gateway,
        listener::Reaction,
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github},
    },
};

/// Mounts the disk: the ballast and as much again, and room for some events.
const MOUNT: &str = "mount -t tmpfs -o size=192m none @DIR@/data && exec \"$0\" \"$@\"";
/// Events rung before the disk is filled, and tried at most until it says no.
const BEFORE: usize = 50;
const UNTIL_FULL_MAX: usize = 2_000;

#[test]
fn a_full_disk_stops_what_comes_in_and_not_what_goes_out() {
    let answers = Arc::new(AtomicBool::new(false));
    let does_answer = Arc::clone(&answers);
    let target = Recorder::reacting(move |_, _| Reaction::Status(if does_answer.load(Ordering::Acquire) { 200 } else { 503 }));
    let configuration = one_target(&target, ", retry: { first: 100ms, max: 500ms }") + "store: { min_free: none }\n";
    let mut gateway = Gateway::written(&configuration).wrapped(&on_a_disk_of_its_own());
    fs::create_dir_all(gateway.data_dir()).expect("a place to mount on");
    gateway.boot();
    let ring = |number: usize| gateway.ring(&github("/hooks/github", SECRET, &format!("d-{number}"), &[b'x'; 20_000]));
    let mut accepted = BTreeSet::new();
    for number in 0..BEFORE {
        let answer = ring(number);
        assert_eq!(answer.status, 200, "{}", answer.text());
        accepted.extend(answer.event_id().map(str::to_owned));
    }

    let filler = fill(&seen_by(&gateway));
    let refused = (BEFORE..UNTIL_FULL_MAX).find_map(|number| {
        let answer = ring(number);
        accepted.extend(answer.event_id().filter(|_| answer.status == 200).map(str::to_owned));
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.expect("a full disk takes no more");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "and says when to come again");

    answers.store(true, Ordering::Release);
    let delivered = || gateway.metrics().count("deliveries_total", &[("target", "app"), ("outcome", "delivered")]);
    wait_until("everything acknowledged was delivered on the full disk", || delivered() == accepted.len() as u64);
    let arrived: BTreeSet<String> = target.seen().iter().map(|one| one.header("hookgate-event-id").to_owned()).collect();
    assert!(arrived.is_superset(&accepted), "acknowledged and lost");

    fs::remove_file(filler).expect("the filler goes");
    wait_until("new events were taken again", || ring(UNTIL_FULL_MAX).status == 200);
    gateway.wait_until_drained();
    let created = gateway.metrics().count("deliveries_created_total", &[("target", "app")]);
    let all = accepted.len() as u64 + 1;
    assert_eq!((created, delivered()), (all, all), "what was refused left nothing behind");
    assert_eq!(gateway.terminate().code(), Some(0), "{}", gateway.log());
}

/// Runs what follows where the data directory is a small file system; the process stays the one that was started.
fn on_a_disk_of_its_own() -> [&'static str; 5] {
    let name_spaces = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    ["unshare", name_spaces, "sh", "-c", MOUNT]
}

/// The data directory as the gateway sees it.
fn seen_by(gateway: &Gateway) -> PathBuf {
    let inside = gateway.data_dir();
    Path::new("/proc").join(gateway.pid().to_string()).join("root").join(inside.strip_prefix("/").expect("absolute"))
}

/// Takes all the room that is left, in ever smaller pieces, in one file.
fn fill(directory: &Path) -> PathBuf {
    let path = directory.join("filler");
    let file = File::create(&path).expect("a file on the small disk");
    let mut bytes = 0;
    for piece in [16 * 1024 * 1024, 1024 * 1024, 4096] {
        while fallocate(&file, FallocateFlags::empty(), bytes, piece).is_ok() {
            bytes += piece;
        }
    }
    assert!(bytes > 0, "there was room to take");
    path
}
