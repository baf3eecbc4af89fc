//! What is written about the gateway, tried on the gateway: every configuration that a document shows is one it accepts.

use std::{fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{certificate::Authority, gateway::Gateway};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `check` on this text, in a directory of its own, with every variable it asks for set to something that fits, and every file it names
/// there.
fn check(what: &str, text: &str) {
    let mut gateway = Gateway::written("");
    for name in text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next()).filter(|name| !name.is_empty() && *name != "file")
    {
        gateway = gateway.with_variable(name, &value(name));
    }
    let folder = gateway.folder().to_owned();
    for part in ["tls", "secrets"] {
        fs::create_dir(folder.join(part)).expect("made");
    }
    Authority::new().issue("localhost", &folder, "shown");
    let near = |part: &str| format!("{}/{part}/", folder.display());
    let text = text.replace("/etc/hookgate/", &near("tls")).replace("/run/secrets/", &near("secrets"));
    for path in
        text.split(|c: char| c.is_whitespace() || "\"'{},:".contains(c)).filter(|path| path.contains("tls/") && path.ends_with(".pem"))
    {
        let kind = if path.contains("key") { "shown.key" } else { "shown.pem" };
        fs::copy(folder.join(kind), folder.join(path)).expect("copied");
    }
    for name in text.split(&near("secrets")).skip(1).filter_map(|rest| rest.split('}').next()) {
        fs::write(folder.join("secrets").join(name), value(name)).expect("written");
    }
    fs::write(folder.join("shown.yaml"), &text).expect("written");
    let checked = gateway.command(&["check", "-c", "shown.yaml"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{what} is refused:\n{said}\n---\n{text}");
}

/// A credential that fits every provider there is, different for every name; a user and a password, or a segment of a path, where the name
/// says so.
fn value(name: &str) -> String {
    let secret = STANDARD.encode(format!("{name:->32}"));
    if name.ends_with("URL_TOKEN") {
        return secret.trim_end_matches('=').replace(['+', '/'], "-");
    }
    if name.ends_with("LOGIN") { format!("user:{secret}") } else { format!("whsec_{secret}") }
}

#[test]
fn every_configuration_in_the_readme_is_one_that_starts() {
    let readme = read("README.md");
    let shown: Vec<&str> = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!shown.is_empty(), "the README shows a configuration");
    for text in shown.iter().filter(|text| text.contains("sources:")) {
        check("a configuration in README.md", text);
    }
}

#[test]
fn the_annotated_example_is_one_that_starts() {
    check("config/hookgate.yaml", &read("config/hookgate.yaml"));
}

#[test]
fn the_readme_lists_exactly_the_providers_there_are() {
    let listed = Gateway::written("").command(&["providers", "--json"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let providers: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let rows: Vec<String> = providers.as_array().expect("an array").iter().map(row).collect();
    assert!(rows.len() >= 3, "{rows:?}");
    let expected = format!("| `provider` | title | scheme | vectors |\n|---|---|---|---|\n{}\n", rows.join("\n"));
    let readme = read("README.md");
    let table = readme.split("<!-- providers -->\n").nth(1).expect("README.md has the table between two marks <!-- providers -->");
    assert_eq!(table, expected, "the table between the marks in README.md is the left one; it should be the right one");
}

fn row(provider: &serde_json::Value) -> String {
    let text = |key: &str| provider[key].as_str().unwrap_or_else(|| panic!("{key} in {provider}"));
    let count = |key: &str| provider["vectors"][key].as_u64().unwrap_or_else(|| panic!("vectors.{key} in {provider}"));
    format!("| `{}` | {} | {} | {} |", text("name"), text("title"), text("scheme"), count("accepted") + count("rejected"))
}

#[test]
fn the_unit_file_and_the_composition_name_real_commands() {
    for path in ["deploy/hookgate.service", "deploy/compose.yaml", "Dockerfile"] {
        let text = read(path);
        assert!(text.contains("hookgate"), "{path}");
        let commands = ["run", "health", "check"].iter().filter(|command| text.contains(**command)).count();
        assert!(commands > 0, "{path} names a command of the binary");
    }
}
