//! `hookgate demo` as people meet it: it ends by itself when everything has arrived, and leaves nothing behind.

use std::{
    fs,
    net::TcpStream,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{
    gateway::binary,
    patience::{SOON, holds_within, wait_until},
};

/// A directory for what is temporary, and the demo that puts its own there.
fn demo(arguments: &[&str]) -> (TempDir, Command) {
    let folder = tempfile::Builder::new().prefix("hookgate-suite-").tempdir().expect("a directory");
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOOKGATE")) {
        command.env_remove(name);
    }
    command.arg("demo").args(arguments).env("TMPDIR", folder.path()).current_dir(folder.path()).stdin(Stdio::null());
    (folder, command)
}

fn is_empty(folder: &TempDir) -> bool {
    fs::read_dir(folder.path()).expect("a directory").next().is_none()
}

/// The address that stands behind a word of what it has said.
fn address<'a>(said: &'a str, word: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word} in {said}"));
    line.trim().strip_prefix("http://").and_then(|url| url.split('/').next()).expect("a URL")
}

#[test]
fn every_event_of_the_demo_arrives_and_nothing_stays() {
    let (folder, mut command) = demo(&["--count", "6", "--rate", "100/s"]);
    let output = command.output().expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let delivered: Vec<&str> = said.lines().filter(|line| line.starts_with("delivered  ")).collect();
    assert_eq!(delivered.len(), 6, "{said}");
    for (source, kind) in [("github", "pull_request"), ("github", "push"), ("stripe", "customer.created"), ("stripe", "invoice.paid")] {
        let of_kind = |line: &&str| line.split_whitespace().any(|word| word == source) && line.split_whitespace().any(|word| word == kind);
        assert!(delivered.iter().any(of_kind), "{source} {kind}: {said}");
    }
    assert!(said.contains("\naccepted 6, duplicate 0, refused 0; ") && said.contains("\ndelivered 6; at the target after p50 "), "{said}");
    assert!(is_empty(&folder), "its directory is gone");
    for word in ["gateway", "admin"] {
        assert!(TcpStream::connect(address(&said, word)).is_err(), "nobody listens any more: {said}");
    }
}

#[test]
fn a_demo_that_stays_runs_until_it_is_interrupted() {
    let (folder, mut command) = demo(&["--count", "2", "--rate", "100", "--stay"]);
    let out = tempfile::NamedTempFile::new().expect("a file");
    let mut process = command.stdout(out.reopen().expect("a file")).spawn().expect("the binary starts");
    let said = || fs::read_to_string(out.path()).expect("what it says");
    wait_until("it has shown everything", || said().contains("it goes on until Ctrl-C"));
    assert!(TcpStream::connect(address(&said(), "gateway")).is_ok(), "{}", said());
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process id")).expect("not 0");
    kill_process(pid, Signal::INT).expect("it is our child");
    let ended = holds_within(SOON, || process.try_wait().expect("our child").is_some());
    if !ended {
        let _ = process.kill();
    }
    let status = process.wait().expect("our child");
    assert!(ended && status.code() == Some(0), "{status}: {}", said());
    assert!(said().contains("\ndelivered 2; "), "{}", said());
    assert!(is_empty(&folder), "its directory is gone");
    assert!(TcpStream::connect(address(&said(), "gateway")).is_err(), "nobody listens any more");
}

#[test]
fn a_demo_that_is_ended_early_leaves_nothing_behind() {
    for (signal, after) in [(Signal::INT, "gateway "), (Signal::TERM, "gateway "), (Signal::INT, "")] {
        let (folder, mut command) = demo(&["--count", "100", "--rate", "1/s"]);
        let out = tempfile::NamedTempFile::new().expect("a file");
        let mut process = command.stdout(out.reopen().expect("a file")).spawn().expect("the binary starts");
        let said = || fs::read_to_string(out.path()).expect("what it says");
        // Without a word to wait for, it is ended while its gateway starts.
        wait_until("its gateway is there", || if after.is_empty() { !is_empty(&folder) } else { said().contains(after) });
        let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process id")).expect("not 0");
        kill_process(pid, signal).expect("it is our child");
        let ended = holds_within(SOON, || process.try_wait().expect("our child").is_some());
        if !ended {
            let _ = process.kill();
        }
        let status = process.wait().expect("our child");
        assert!(ended && status.code() == Some(130), "{signal:?} {status}: {}", said());
        assert!(is_empty(&folder), "its directory is gone");
    }
}

#[test]
fn a_demo_that_cannot_be_shown_says_why() {
    for (arguments, said) in [(["--count", "0"], "--count"), (["--rate", "0"], "write events a second, as 50 or 50/s")] {
        let output = demo(&arguments).1.output().expect("the binary starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(said), "{arguments:?}: {text}");
    }
    let (_folder, mut command) = demo(&[]);
    let output = command.env("TMPDIR", "/nowhere").output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(70) && text.starts_with("the demo cannot be shown: "), "{text}");
}
