//! A disk that fills up: nothing more is taken in and nothing is said falsely, what was acknowledged is delivered all the same, a start in
//! the middle of it goes well, and with room again everything goes on by itself.
//!
//! The disk is a file system in memory that only the gateway's process sees. Making one needs root, or a kernel that gives users a name
//! space of their own (`unshare -rm`).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
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
        wire::Answer,
    },
};

/// Mounts the disk where `$0` says, with room for the ballast, as much again, and some events; and keeps it until its input ends.
const MOUNT: &str = "mount -t tmpfs -o size=192m none \"$0\" && echo mounted && cat";
/// Events rung before the disk is filled, and tried at most until it says no.
const BEFORE: usize = 50;
const UNTIL_FULL_MAX: usize = 2_000;

/// A gateway on a small disk of its own, and a target that refuses until it is told otherwise.
struct Setting {
    gateway: Gateway,
    disk: Child,
    target: Recorder,
    is_open: Arc<AtomicBool>,
    accepted: BTreeSet<String>,
}

impl Setting {
    fn start() -> Self {
        let is_open = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_open);
        let target = Recorder::reacting(move |_, _| Reaction::Status(if told.load(Ordering::Acquire) { 200 } else { 503 }));
        let configuration = one_target(&target, ", retry: { first: 100ms, max: 500ms }") + "store: { min_free: none }\n";
        let gateway = Gateway::written(&configuration);
        fs::create_dir_all(gateway.data_dir()).expect("a place to mount on");
        let (own_space, into_it): (_, &[&str]) =
            if rustix::process::geteuid().is_root() { ("-m", &["-m"]) } else { ("-rm", &["-U", "--preserve-credentials", "-m"]) };
        let mut mount = Command::new("unshare");
        mount.args([own_space, "sh", "-c", MOUNT]).arg(gateway.data_dir());
        let mut disk = mount.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("util-linux is there");
        let mut said = String::new();
        BufReader::new(disk.stdout.as_mut().expect("piped")).read_line(&mut said).expect("text");
        assert_eq!(said, "mounted\n", "a file system of its own takes root, or name spaces for users");
        let pid = disk.id().to_string();
        let enter: Vec<&str> = ["nsenter", "-t", &pid].into_iter().chain(into_it.iter().copied()).collect();
        let mut gateway = gateway.wrapped(&enter);
        gateway.boot();
        Self { gateway, disk, target, is_open, accepted: BTreeSet::new() }
    }

    fn ring(&mut self, number: usize) -> Answer {
        let answer = self.gateway.ring(&github("/hooks/github", SECRET, &format!("d-{number}"), &[b'x'; 20_000]));
        if answer.status == 200 {
            self.accepted.extend(answer.event_id().map(str::to_owned));
        }
        answer
    }

    fn ring_some(&mut self) {
        for number in 0..BEFORE {
            let answer = self.ring(number);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    /// Takes all the room that is left, in ever smaller pieces, in one file.
    fn fill(&self) -> PathBuf {
        let inside = self.gateway.data_dir();
        let seen = Path::new("/proc").join(self.disk.id().to_string()).join("root").join(inside.strip_prefix("/").expect("absolute"));
        let path = seen.join("filler");
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

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.gateway.metrics().count(name, labels)
    }

    /// The target takes everything from now on: what was acknowledged arrives, on the full disk.
    fn deliver_all(&self) {
        self.is_open.store(true, Ordering::Release);
        self.gateway.wait_until_drained();
        let arrived: BTreeSet<String> = self.target.seen().iter().map(|one| one.header("hookgate-event-id").to_owned()).collect();
        assert!(arrived.is_superset(&self.accepted), "acknowledged and lost");
        assert_eq!(self.count("queue_deliveries", &[("state", "dead")]), 0);
    }

    /// With room again, events are taken again, and what was refused has left nothing behind.
    fn goes_on_without(mut self, filler: &Path) {
        fs::remove_file(filler).expect("the filler goes");
        wait_until("new events were taken again", || self.ring(UNTIL_FULL_MAX).status == 200);
        self.gateway.wait_until_drained();
        let arrived: BTreeSet<String> = self.target.seen().iter().map(|one| one.header("hookgate-event-id").to_owned()).collect();
        assert_eq!(arrived, self.accepted);
        assert_eq!(self.gateway.terminate().code(), Some(0), "{}", self.gateway.log());
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // Our own child, by its pid; its file system goes with it.
        let _ = self.disk.kill();
        let _ = self.disk.wait();
    }
}

#[test]
fn a_full_disk_stops_what_comes_in_and_not_what_goes_out() {
    let mut setting = Setting::start();
    setting.ring_some();
    let filler = setting.fill();
    let refused = (BEFORE..UNTIL_FULL_MAX).find_map(|number| Some(setting.ring(number)).filter(|answer| answer.status != 200));
    let refused = refused.expect("a full disk takes no more");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "and says when to come again");
    setting.deliver_all();
    setting.goes_on_without(&filler);
}

/// It did not start beside its own ballast: making the log part of the file found no room.
#[test]
fn a_start_on_a_full_disk_delivers_what_was_acknowledged() {
    let mut setting = Setting::start();
    setting.ring_some();
    setting.gateway.kill();
    let filler = setting.fill();
    setting.gateway.spawn();
    wait_until("it ran", || setting.gateway.look("/livez").is_ok_and(|answer| answer.status == 200));
    assert_eq!(setting.gateway.look("/readyz").map(|answer| answer.status).ok(), Some(503), "what asks before it sends goes elsewhere");
    assert_eq!(setting.ring(BEFORE).status, 503, "the ballast is for what goes out");
    setting.deliver_all();
    setting.goes_on_without(&filler);
}
