//! What is named as a file and is none, or not one to use: nothing is waited for, and it is said where it was named.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::gateway::{Gateway, binary};

const REST: &str = "targets: { app: { url: http://127.0.0.1:1/ } }\nroutes: [{ to: app }]\n";

fn fifo(folder: &Path, name: &str) {
    mkfifoat(CWD, folder.join(name), Mode::RUSR | Mode::WUSR).expect("a FIFO");
}

fn checked(gateway: &Gateway, file: &str) -> (Option<i32>, String) {
    let output = gateway.command(&["check", "-c", file]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_fifo_a_directory_and_a_device_are_refused_where_they_are_named() {
    let gateway = Gateway::written("");
    let folder = gateway.folder().to_owned();
    fifo(&folder, "pipe");
    fs::create_dir_all(folder.join("providers/own.yaml")).expect("made");
    let git = "sources: { git: { provider: github, secret: 0123456789abcdef } }\n";
    let cases = [
        ("sources: { git: { provider: github, secret: \"${file:pipe}\" } }\n", "c.yaml:1:45: the file pipe cannot be read: it is a FIFO"),
        (
            "sources: { git: { provider: github, secret: \"${file:/dev/zero}\" } }\n",
            "c.yaml:1:45: the file /dev/zero cannot be read: it is a device",
        ),
        (&format!("{git}server: {{ tls: {{ cert: pipe, key: k }} }}\n"), "c.yaml:2:24: server.tls: cannot read pipe: it is a FIFO"),
        (&format!("{git}server: {{ tls: {{ cert: /, key: k }} }}\n"), "c.yaml:2:24: server.tls: cannot read /: it is a directory"),
        (&format!("{git}include: [pipe]\n"), "pipe:1:1: the file cannot be read: it is a FIFO"),
        (&format!("{git}providers_dir: providers\n"), "providers/own.yaml:1:1: the file cannot be read: it is a directory"),
    ];
    for (text, expected) in cases {
        fs::write(folder.join("c.yaml"), format!("{text}{REST}")).expect("written");
        let (code, said) = checked(&gateway, "c.yaml");
        assert_eq!(code, Some(1), "{text}: {said}");
        assert!(said.contains(expected) && said.contains(", and not a regular file"), "{text}: {said}");
    }
    let over_tls = format!("{git}targets: {{ app: {{ url: \"https://127.0.0.1:1/\", tls: {{ ca: pipe }} }} }}\nroutes: [{{ to: app }}]\n");
    fs::write(folder.join("c.yaml"), over_tls).expect("written");
    let (code, said) = checked(&gateway, "c.yaml");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("c.yaml:2:59: targets.app.tls: pipe: it is a FIFO, and not a regular file"), "{said}");
    for (file, kind) in [("pipe", "a FIFO"), (".", "a directory"), ("/dev/null", "a device")] {
        let (code, said) = checked(&gateway, file);
        assert_eq!(code, Some(1), "{file}: {said}");
        assert!(said.contains(&format!("{file}:1:1: the file cannot be read: it is {kind}, and not a regular file")), "{said}");
    }
    let store = format!("store: {{ url: \"sqlite:{}\" }}\n", folder.join("pipe").display());
    fs::write(folder.join("c.yaml"), format!("{git}{REST}{store}")).expect("written");
    let output = gateway.command(&["run", "-c", "c.yaml"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("cannot be the store: it is a FIFO"), "{said}");
}

#[test]
fn a_configuration_may_come_through_a_pipe() {
    let gateway = Gateway::written("");
    let written = format!("sources: {{ git: {{ provider: github, secret: 0123456789abcdef }} }}\n{REST}");
    fs::write(gateway.folder().join("c.yaml"), written).expect("written");
    let piped = "cat c.yaml | \"$0\" check -c /dev/stdin";
    let output = Command::new("sh").args(["-c", piped]).arg(binary()).current_dir(gateway.folder()).stdin(Stdio::null()).output();
    let output = output.expect("a shell");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_keeps_it_from_starting_is_said_once_with_its_place() {
    let gateway = Gateway::written("");
    let text = format!(
        "sources: {{ git: {{ provider: github, secret: 0123456789abcdef }} }}\n{REST}server:\n  listen: 127.0.0.1:0\n  tls:\n    \
         cert: missing.pem\n    key: missing.key\n"
    );
    fs::write(gateway.folder().join("c.yaml"), text).expect("written");
    let output = gateway.command(&["run", "-c", "c.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("c.yaml:7:11: server.tls: cannot read missing.pem: ").count(), 1, "{said}");
    assert_eq!(said.matches("missing.pem").count(), 1, "{said}");
}

#[test]
fn a_data_directory_that_everyone_may_write_to_is_worth_a_warning() {
    let gateway = Gateway::written("");
    let data = gateway.folder().join("shared");
    fs::create_dir(&data).expect("made");
    let text = format!("data_dir: shared\nsources: {{ git: {{ provider: github, secret: 0123456789abcdef }} }}\n{REST}");
    fs::write(gateway.folder().join("c.yaml"), text).expect("written");
    for (mode, warns) in [(0o700, false), (0o755, false), (0o777, true), (0o1777, true)] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).expect("a mode");
        let (code, said) = checked(&gateway, "c.yaml");
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains("warning: everyone on this machine may write to `data_dir` shared"), warns, "{mode:o}: {said}");
    }
    let strict = gateway.command(&["check", "--strict", "-c", "c.yaml"]);
    assert_eq!(strict.status.code(), Some(1));
}
