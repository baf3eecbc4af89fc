//! Documents that must match the code: the table of metrics, the variables of the environment, the number of dependencies.

use std::{collections::BTreeSet, fs, process::Command};

use super::{
    report,
    source::{root, sources},
};

/// Crates in the default dependency tree.
const DEPENDENCIES_MAX: usize = 300;
/// Where a variable of the environment may be documented.
const DOCUMENTS: &[&str] = &["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "config/hookgate.yaml"];

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

#[test]
fn the_readme_lists_exactly_the_metrics_there_are() {
    let declared = declared_metrics();
    let documented = documented_metrics(&document("README.md"));
    let mut complaints = Vec::new();
    for name in declared.difference(&documented) {
        complaints.push(format!("README.md:1: the table under `## Metrics` lacks `hookgate_{name}` (it lists every metric there is)"));
    }
    for name in documented.difference(&declared) {
        complaints.push(format!("README.md:1: documents `hookgate_{name}`, which no code declares"));
    }
    assert!(declared.len() > 20, "the declarations were not found: {declared:?}");
    report(&complaints);
}

/// The names given to `declare.<kind>(`, wherever metrics are declared.
fn declared_metrics() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources(&["src"]).iter().filter(|source| source.module() == Some("metrics")) {
        for (at, _) in source.code.match_indices("declare") {
            // The code has its literals blanked out, so the place is found there and the name is read in the text.
            let call = source.code[at..].find(['(', ';', '}']).filter(|offset| source.code[at + offset..].starts_with('('));
            let Some(open) = call.filter(|offset| source.code[at..at + offset].contains('.')) else { continue };
            let mut literals = source.text[at + open..].split('"');
            found.extend(literals.nth(1).map(str::to_owned));
        }
    }
    found
}

/// The names in the first column of the table under `## Metrics`.
fn documented_metrics(readme: &str) -> BTreeSet<String> {
    let section = readme.split("\n## Metrics\n").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    let first_cells = section.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter_map(|name| name.strip_prefix("hookgate_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_variable_of_the_environment_is_documented() {
    let documents: String = DOCUMENTS.iter().map(|path| document(path)).collect();
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        for (index, line) in source.text.lines().take(source.tests_from).enumerate() {
            for name in variables(line).filter(|name| !documents.contains(name.as_str())) {
                let at = format!("{}:{}", source.path, index + 1);
                complaints.push(format!("{at}: `{name}` is documented nowhere ({})", DOCUMENTS.join(", ")));
            }
        }
    }
    report(&complaints);
}

/// `HOOKGATE_...` names in a line; `HOOKGATE__` is a prefix, documented as such.
fn variables(line: &str) -> impl Iterator<Item = String> {
    line.match_indices("HOOKGATE_").map(|(at, _)| {
        let name: String = line[at..].chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect();
        if name.starts_with("HOOKGATE__") { "HOOKGATE__".to_owned() } else { name }
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is wanted, not only the verdict")]
fn the_dependency_tree_stays_small() {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let arguments = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--target", "x86_64-unknown-linux-gnu"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8_lossy(&output.stdout);
    // `name vX.Y.Z`, and a mark for what was listed before.
    let crates: BTreeSet<&str> = listed.lines().map(|line| line.trim_end_matches(" (*)").trim()).filter(|line| !line.is_empty()).collect();
    println!("{} crates in the default tree", crates.len());
    assert!(crates.len() > 50, "the tree was not read: {listed}");
    assert!(crates.len() <= DEPENDENCIES_MAX, "Cargo.toml:1: {} crates in the default tree (at most {DEPENDENCIES_MAX})", crates.len());
    let banned = ["h2 v0.3", "openssl v", "openssl-sys v", "native-tls v", "ring v"];
    let banned: Vec<&&str> = crates.iter().filter(|name| banned.iter().any(|prefix| name.starts_with(prefix))).collect();
    assert!(banned.is_empty(), "Cargo.toml:1: {banned:?} (banned: see deny.toml)");
}

#[test]
fn planted_bugs_are_off_unless_asked_for() {
    let manifest = document("Cargo.toml");
    let default = manifest.lines().find(|line| line.starts_with("default = ")).expect("default features are named");
    assert!(!default.contains("faults"), "Cargo.toml:1: `faults` must never be a default feature: {default}");
}
