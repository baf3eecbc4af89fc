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

/// Columns of a line in a document.
const COLUMNS_MAX: usize = 140;
/// Between two of these a document has what a test writes.
const MARK: &str = "<!-- providers -->\n";

#[test]
fn the_documents_list_exactly_the_providers_there_are() {
    let listed = Gateway::written("").command(&["providers", "--json"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let providers: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let providers = providers.as_array().expect("an array");
    assert!(providers.len() >= 167, "{}", providers.len());
    let rows: Vec<String> = providers.iter().map(row).collect();
    let table = format!("| `provider` | title | scheme | vectors |\n|---|---|---|---|\n{}\n", rows.join("\n"));
    let names = wrapped(providers.iter().map(|provider| format!("`{}`", provider["name"].as_str().expect("a name"))));
    for (path, expected) in [("config/PROVIDERS.md", table), ("README.md", names)] {
        let text = read(path);
        let between = text.split(MARK).nth(1).unwrap_or_else(|| panic!("{path} has two lines {MARK}"));
        assert_eq!(between, expected, "what is between the marks in {path} is the left one; it should be the right one");
    }
}

/// Words, a comma behind each but the last, in lines.
fn wrapped(words: impl ExactSizeIterator<Item = String>) -> String {
    let last = words.len() - 1;
    let mut text = String::new();
    let mut column = 0;
    for (index, word) in words.enumerate() {
        let word = if index == last { word } else { word + "," };
        if column > 0 {
            let fits = column + 1 + word.len() <= COLUMNS_MAX;
            text.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        column += word.len();
        text.push_str(&word);
    }
    text + "\n"
}

fn row(provider: &serde_json::Value) -> String {
    let text = |key: &str| provider[key].as_str().unwrap_or_else(|| panic!("{key} in {provider}"));
    let count = |key: &str| provider["vectors"][key].as_u64().unwrap_or_else(|| panic!("vectors.{key} in {provider}"));
    format!("| `{}` | {} | {} | {} |", text("name"), text("title"), text("scheme"), count("accepted") + count("rejected"))
}

#[test]
fn the_provider_file_that_the_reference_shows_is_proved_by_its_own_vectors() {
    let page = read("config/PROVIDERS.md");
    let shown = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a file is shown");
    let gateway = Gateway::written("providers_dir: ./own\n");
    let own = gateway.folder().join("own");
    fs::create_dir(&own).expect("made");
    fs::write(own.join("acme.yaml"), shown).expect("written");
    let tested = gateway.command(&["providers", "test", "-c", "hookgate.yaml"]);
    let said = String::from_utf8_lossy(&tested.stdout).into_owned() + &String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success() && said.contains("acme: 1 accepted, 3 rejected"), "{said}");
}

#[test]
fn the_reference_names_every_key_that_a_provider_file_uses() {
    let page = read("config/PROVIDERS.md");
    let known: Vec<&str> = page.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).collect();
    let mut seen = 0;
    for entry in fs::read_dir(root().join("config/providers")).expect("read") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let mut problems = hookgate::yaml::Problems::new();
        let tree = hookgate::yaml::parse(&path.display().to_string().into(), &text, &mut problems).expect("YAML");
        let mut keys = Vec::new();
        collect(&tree, &mut keys);
        for key in keys {
            assert!(known.contains(&key.as_str()), "config/PROVIDERS.md does not know `{key}`, which {} uses", path.display());
            seen += 1;
        }
    }
    assert!(seen > 5_000, "{seen} keys were looked up");
}

/// The keys of a tree that are words of the grammar: what stands under these is named by the file's author.
fn collect(node: &hookgate::yaml::Node, keys: &mut Vec<String>) {
    const OWN: [&str; 10] = ["credentials", "headers", "header", "json", "when", "guard", "where", "require", "scheme", "url"];
    match &node.value {
        hookgate::yaml::Value::List(items) => items.iter().for_each(|item| collect(item, keys)),
        hookgate::yaml::Value::Map(entries) => {
            for (key, value) in entries {
                keys.push(key.text.clone());
                if !OWN.contains(&&*key.text) {
                    collect(value, keys);
                }
            }
        }
        _ => {}
    }
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
