//! The Prometheus rules that come with hookgate, held against what a gateway says of itself: each metric, label and value that a rule names
//! is there.

use std::{collections::BTreeSet, fs, path::PathBuf};

use hookgate::yaml::{self, Node, Problems, Value};

use crate::support::{certificate::Authority, exposition::Exposition, gateway::Gateway, recorder::Recorder, sender::SECRET};

/// A metric as a rule names it, with what it demands of its labels: the label, and the values, of which none for "any".
#[derive(Debug)]
struct Selector {
    metric: String,
    labels: Vec<(String, Vec<String>)>,
}

/// A gateway of which every series is there that a rule may name: with a source, targets and a certificate.
fn everything() -> Gateway {
    let app = Recorder::start();
    let mut gateway = Gateway::written(&format!(
        "server: {{ listen: \"127.0.0.1:@DOOR@\", tls: {{ cert: \"@DIR@/door.pem\", key: \"@DIR@/door.key\" }} }}\n\
         sources: {{ git: {{ provider: github, secret: {SECRET} }} }}\ntargets: {{ app: {{ url: \"{}\" }} }}\nroutes: [{{ to: app }}]\n",
        app.url()
    ));
    Authority::new().issue("localhost", gateway.folder(), "door");
    gateway.boot();
    gateway
}

/// The rules: the name, the expression, the summary.
fn rules() -> Vec<(String, String, String)> {
    let text = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts.yml")).expect("the rules");
    let tree = yaml::parse(&"alerts.yml".into(), &text, &mut Problems::new()).expect("YAML");
    let scalar = |node: Option<&Node>| match node.map(|node| &node.value) {
        Some(Value::Scalar { text, .. }) => text.clone(),
        other => panic!("not a text: {other:?}"),
    };
    let listed = |node: &Node, key: &str| match node.get(key).map(|node| &node.value) {
        Some(Value::List(items)) => items.clone(),
        other => panic!("`{key}` is not a list: {other:?}"),
    };
    let all = listed(&tree, "groups").iter().flat_map(|group| listed(group, "rules")).collect::<Vec<_>>();
    let summary = |rule: &Node| scalar(rule.get("annotations").and_then(|node| node.get("summary")));
    all.iter().map(|rule| (scalar(rule.get("alert")), scalar(rule.get("expr")), summary(rule))).collect()
}

/// Every metric of ours in an expression, with its braces.
fn selectors(expr: &str) -> Vec<Selector> {
    let begins = expr.match_indices("hookgate_").map(|(at, _)| &expr[at..]);
    begins
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let braces = rest[end..].strip_prefix('{').and_then(|inner| inner.split('}').next()).unwrap_or_default();
            Selector { metric: rest[..end].to_owned(), labels: braces.split(',').filter(|one| !one.is_empty()).map(matcher).collect() }
        })
        .collect()
}

fn matcher(text: &str) -> (String, Vec<String>) {
    let (label, rest) = text.split_once(['=', '!']).unwrap_or_else(|| panic!("not a matcher: {text}"));
    let value = rest.trim_start_matches(['=', '~']).trim_matches('"');
    // What is kept out may well not be there.
    let values = if text.contains('!') { Vec::new() } else { value.split('|').map(str::to_owned).collect() };
    (label.trim().to_owned(), values)
}

/// The labels that an expression groups by.
fn grouped(expr: &str) -> BTreeSet<String> {
    let groups = expr.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    groups.flat_map(|group| group.split(',')).map(|label| label.trim().to_owned()).collect()
}

/// Labels of series of this metric.
fn labels_of(scrape: &Exposition, metric: &str) -> BTreeSet<String> {
    let series = scrape.series().into_iter().filter(|series| series.split('{').next() == Some(metric));
    // `name{"label": "value", ...}`
    series.flat_map(|series| series.split('"').skip(1).step_by(4).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_rule_names_what_a_gateway_says() {
    let gateway = everything();
    let scrape = gateway.metrics();
    let (mut wrong, rules) = (Vec::new(), rules());
    // What Prometheus puts to every series itself.
    let of_every_series = ["instance".to_owned(), "job".to_owned()];
    for (alert, expr, summary) in &rules {
        let mut known: BTreeSet<String> = of_every_series.clone().into();
        for Selector { metric, labels } in selectors(expr) {
            let name = metric.strip_prefix("hookgate_").expect("ours");
            if scrape.sum(name, &[]).is_none() {
                wrong.push(format!("{alert}: there is no {metric}"));
            }
            known.extend(labels_of(&scrape, &metric));
            for (label, values) in labels {
                let lacks = |value: &&String| scrape.sum(name, &[(label.as_str(), value.as_str())]).is_none();
                wrong.extend(values.iter().filter(lacks).map(|value| format!("{alert}: no {metric} has {label}=\"{value}\"")));
                if !known.contains(&label) {
                    wrong.push(format!("{alert}: {metric} has no label `{label}`"));
                }
            }
        }
        let by = grouped(expr);
        wrong.extend(by.difference(&known).map(|label| format!("{alert}: groups by `{label}`, which is no label of it")));
        let shown = summary.split("$labels.").skip(1).map(|rest| rest.split([' ', '}']).next().unwrap_or_default().to_owned());
        let left = if by.is_empty() { &known } else { &by };
        wrong.extend(shown.filter(|label| !left.contains(label)).map(|label| format!("{alert}: shows `{label}`, which is not left")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let names: BTreeSet<&str> = rules.iter().map(|(alert, ..)| alert.as_str()).collect();
    assert!(names.len() == rules.len() && rules.len() >= 15, "each by a name of its own: {names:?}");
}

#[test]
fn a_rule_that_names_nothing_is_noticed() {
    let found = selectors(r#"sum by (a, le) (rate(hookgate_x_total{b!="c", d=~"e|f"}[5m])) > hookgate_y"#);
    let shown: Vec<String> = found.iter().map(|one| format!("{} {:?}", one.metric, one.labels)).collect();
    assert_eq!(shown, [r#"hookgate_x_total [("b", []), ("d", ["e", "f"])]"#, "hookgate_y []"]);
    assert_eq!(grouped("max by (a, le) (x) or sum by (b) (y)"), ["a", "b", "le"].map(str::to_owned).into());
    let scrape = Exposition::parse("hookgate_x{source=\"git\",le=\"1\"} 3\nhookgate_xy{other=\"1\"} 0\n");
    assert_eq!(labels_of(&scrape, "hookgate_x"), ["le", "source"].map(str::to_owned).into());
}
