//! The command line as people and scripts meet it: exit codes, help, the first configuration, the health check.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Output};

use crate::{
    spine::one_target,
    support::{gateway::Gateway, patience::wait_until, recorder::Recorder},
};

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn usage_is_2_and_what_is_planned_says_so() {
    let gateway = Gateway::written("");
    for wrong in [&["rnu"][..], &["run", "--nothing"], &[]] {
        assert_eq!(code(&gateway.command(wrong)), Some(2), "{wrong:?}");
    }
    for planned in ["route", "test", "tail", "listen", "reload"] {
        let output = gateway.command(&[planned, "--json"]);
        assert_eq!((code(&output), said(&output).contains("planned")), (Some(2), true), "{planned}: {}", said(&output));
    }
    let help = gateway.command(&["--help"]);
    assert_eq!(code(&help), Some(0));
    let commands = [
        "run",
        "check",
        "init",
        "demo",
        "providers",
        "send",
        "verify",
        "rejected",
        "health",
        "events",
        "deliveries",
        "replay",
        "cancel",
        "move",
        "jobs",
        "pause",
        "resume",
        "secrets",
        "store",
        "schema",
        "completions",
        "man",
    ];
    for command in commands {
        assert!(said(&help).contains(&format!("\n  {command} ")), "{command} is missing in the help:\n{}", said(&help));
    }
    assert!(!said(&help).contains("\n  tail "), "what is planned is not in the help");
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let gateway = Gateway::written("");
    for arguments in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let output = gateway.command(arguments);
        assert_eq!(code(&output), Some(0), "{arguments:?}");
        assert!(said(&output).contains("providers"), "{arguments:?}");
    }
}

#[test]
fn a_configuration_that_is_nowhere_says_where_it_was_looked_for() {
    let gateway = Gateway::written("");
    let output = gateway.command(&["run", "-c", "nowhere.yaml"]);
    assert_eq!(code(&output), Some(78));
    assert!(said(&output).contains("nowhere.yaml"), "{}", said(&output));
}

#[test]
fn the_first_configuration_is_whole_private_and_never_overwritten() {
    let gateway = Gateway::written("");
    let folder = gateway.folder().join("new");
    fs::create_dir(&folder).expect("made");
    let init = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::support::gateway::binary());
        command.arg("init").args(arguments).current_dir(&folder).output().expect("the binary starts")
    };
    assert_eq!(code(&init(&["--provider", "githbu"])), Some(2), "a typo is usage");
    let first = init(&["--provider", "github", "--target", "http://127.0.0.1:9/in"]);
    assert_eq!(code(&first), Some(0), "{}", said(&first));
    assert!(said(&first).contains("/hooks/github"), "{}", said(&first));
    let (config, secrets) = (folder.join("hookgate.yaml"), folder.join(".env"));
    assert_eq!(fs::metadata(&secrets).expect("there").permissions().mode() & 0o777, 0o600);
    let (config, secrets) = (fs::read_to_string(config).expect("read"), fs::read_to_string(secrets).expect("read"));
    let (name, secret) = secrets.lines().filter_map(|line| line.split_once('=')).next().expect("a secret");
    assert!(secret.len() >= 32, "it is long");
    assert!(!said(&first).contains(secret) && !config.contains(secret), "and printed nowhere");

    let checked = std::process::Command::new(crate::support::gateway::binary())
        .args(["check", "--strict"])
        .current_dir(&folder)
        .env(name, secret)
        .output()
        .expect("the binary starts");
    assert_eq!(code(&checked), Some(0), "it runs as it is: {}", said(&checked));
    assert_eq!(code(&init(&[])), Some(1), "a second one overwrites nothing");
    assert_eq!(fs::read_to_string(folder.join("hookgate.yaml")).expect("read"), config);
}

#[test]
fn one_path_is_not_taken_over_from_two_providers() {
    let gateway = Gateway::written("");
    let folder = gateway.folder().join("new");
    fs::create_dir(&folder).expect("made");
    let init = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::support::gateway::binary());
        command.arg("init").args(arguments).current_dir(&folder).output().expect("the binary starts")
    };
    let in_front = ["--provider", "github", "--provider", "stripe", "--in-front-of", "http://127.0.0.1:3000/in"];
    let output = init(&in_front);
    assert_eq!(code(&output), Some(2), "{}", said(&output));
    assert!(said(&output).contains("takes over the path of one provider, and 2 are named"), "{}", said(&output));
    assert_eq!(fs::read_dir(&folder).expect("a directory").count(), 0, "nothing was written");
    let output = init(&in_front[2..]);
    assert_eq!(code(&output), Some(0), "{}", said(&output));
    assert!(fs::read_to_string(folder.join("hookgate.yaml")).expect("written").contains("path: \"/in\""), "{}", said(&output));
}

#[test]
fn the_configuration_can_be_named_behind_every_command_that_reads_it() {
    let target = Recorder::start();
    let mut gateway = Gateway::start(&one_target(&target, ""));
    let file = gateway.configuration_file();
    let elsewhere = gateway.folder().join("elsewhere.yaml");
    fs::rename(&file, &elsewhere).expect("moved");
    let health = gateway.command(&["health", "-c", &elsewhere.to_string_lossy()]);
    assert_eq!(code(&health), Some(0), "{}", said(&health));
    assert!(gateway.terminate().success());
    fs::copy(&elsewhere, gateway.folder().join("named.yaml")).expect("copied");
    for arguments in [&["store", "check", "-c", "named.yaml"][..], &["store", "-c", "named.yaml", "check"]] {
        let output = gateway.command(arguments);
        assert!(code(&output) == Some(0) && said(&output).ends_with("sound\n"), "{arguments:?}: {}", said(&output));
    }
    let output = gateway.command(&["store", "backup", "copy.db", "-c", "named.yaml"]);
    assert!(code(&output) == Some(0) && gateway.folder().join("copy.db").exists(), "{}", said(&output));
    let output = gateway.command(&["store", "check", "-c", "nowhere.yaml"]);
    assert!(code(&output) == Some(78) && said(&output).contains("nowhere.yaml:1:1"), "{}", said(&output));
}

#[test]
fn a_damaged_store_does_not_start_and_says_what_to_do() {
    let target = Recorder::start();
    let mut gateway = Gateway::start(&one_target(&target, ""));
    assert!(gateway.terminate().success());
    let store = gateway.data_dir().join("hookgate.db");
    let sound = fs::read(&store).expect("a store");
    let mut torn = sound.clone();
    // The head of the file stands, and with it what it is; every page behind it is noise.
    torn.iter_mut().skip(4096).for_each(|byte| *byte = 0x5a);
    fs::write(&store, &torn).expect("written");
    let file = gateway.configuration_file();
    let output = gateway.command(&["run", "-c", &file.to_string_lossy()]);
    assert_eq!(code(&output), Some(78), "{}", said(&output));
    assert!(said(&output).contains("is damaged: ") && said(&output).contains("`hookgate store check` says how far"), "{}", said(&output));
    let output = gateway.command(&["store", "check"]);
    assert_eq!(code(&output), Some(1), "{}", said(&output));
    fs::write(&store, [b"no database at all".as_slice(), &sound[18..]].concat()).expect("written");
    let output = gateway.command(&["run", "-c", &file.to_string_lossy()]);
    assert_eq!(code(&output), Some(78), "{}", said(&output));
    assert!(
        said(&output).contains("it is not a database; name another file, or, where it was the store, put a copy back"),
        "{}",
        said(&output)
    );
}

#[test]
fn health_tells_ready_from_stopping_from_gone() {
    let target = Recorder::start();
    let mut gateway =
        Gateway::written(&(one_target(&target, "") + "server: { listen: \"127.0.0.1:@DOOR@\", shutdown: { delay: 3s, deadline: 5s } }\n"));
    let admin = format!("http://{}", gateway.admin());
    let health = |gateway: &Gateway, more: &[&str]| code(&gateway.command(&[&["health", "--admin", &admin], more].concat()));
    assert_eq!(health(&gateway, &[]), Some(69), "nobody is there");
    gateway.boot();
    let admin = format!("http://{}", gateway.admin());
    let health = |gateway: &Gateway, more: &[&str]| code(&gateway.command(&[&["health", "--admin", &admin], more].concat()));
    assert_eq!((health(&gateway, &[]), health(&gateway, &["--live"])), (Some(0), Some(0)));
    gateway.signal(rustix::process::Signal::TERM);
    wait_until("it says that it stops", || health(&gateway, &[]) == Some(1));
    assert_eq!(health(&gateway, &["--live"]), Some(0), "it stops, and a restart would not help");
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(code(&gateway.command(&["health", "--admin", "ftp://localhost"])), Some(2), "no URL to ask");
}

/// A gateway that ends with the test, however that ends.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Our own child, by its pid; it may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_admin_side_that_goes_by_another_name_is_asked_by_it() {
    let target = Recorder::start();
    let admin = "admin: { listen: \"127.0.0.1:@ADMIN@\", hosts: hooks.internal }\n";
    let gateway = Gateway::written(&(one_target(&target, "") + admin));
    assert_eq!(code(&gateway.command(&["check"])), Some(0));
    let file = gateway.configuration_file();
    let child = std::process::Command::new(crate::support::gateway::binary())
        .args(["run", "-c"])
        .arg(&file)
        .current_dir(gateway.folder())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let _child = Ended(child);
    let file = file.to_string_lossy().into_owned();
    wait_until("it is ready", || code(&gateway.command(&["health", "-c", &file])) == Some(0));
    let status = gateway.command(&["status", "-c", &file]);
    let by_address = gateway.command(&["health", "--admin", &format!("http://{}", gateway.admin())]);
    assert_eq!(code(&status), Some(0), "{}", said(&status));
    assert_eq!(code(&by_address), Some(1), "the address is not on the list: {}", said(&by_address));
}

#[test]
fn a_result_that_nobody_could_be_given_is_none() {
    let gateway = Gateway::written("");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has one");
    for arguments in [&["providers"][..], &["providers", "github"], &["man"], &["completions", "bash"], &["schema"]] {
        let mut command = std::process::Command::new(crate::support::gateway::binary());
        let output = command.args(arguments).current_dir(gateway.folder()).stdout(full()).output().expect("the binary starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.lines().count()), (Some(70), 1), "{arguments:?}: {told}");
        assert!(told.starts_with("the output could not be written: "), "{arguments:?}: {told}");
    }
}
