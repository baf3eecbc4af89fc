//! A target under a new name: what waited for the old one is carried over at the start, and so is the operator's word that it is held.

use std::sync::Arc;

use hookgate::{
    clock::{Clock, Mono},
    limits,
    metrics::Metrics,
    name::TargetName,
    plan::{Egress, StoreSettings},
    store::{Act, SqliteStore, Store, Verb},
};

use crate::{
    deliver::rig,
    support::{
        gateway::Gateway,
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github},
    },
};

fn configuration(target: &str) -> String {
    format!(
        r#"
sources:
  github: {{ provider: github, secret: "{SECRET}" }}
targets:
  {target}
routes:
  - {{ from: github, to: {} }}
"#,
        target.split(':').next().expect("a name")
    )
}

/// What an operator asks while no gateway runs.
fn ask(gateway: &Gateway, verb: Verb) {
    let settings = rig::plan(vec![], Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] }).store;
    let settings = StoreSettings { path: gateway.data_dir().join("hookgate.db"), data_dir: gateway.data_dir(), ..settings };
    let metrics = Arc::new(Metrics::new().expect("declared once"));
    let lease_max = limits::lease_for(limits::TIMEOUT_MAX);
    let store = SqliteStore::open(&settings, lease_max, Clock::System, metrics).expect("nobody has it");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(store.operate(Act { by: "ops".into(), verb })).expect("it is done");
    runtime.block_on(store.close(Mono::NEVER)).expect("it closes");
}

#[test]
fn what_waited_for_an_old_name_goes_to_the_new_one_and_a_pause_with_it() {
    let (target, gone) = (Recorder::start(), Recorder::start());
    let dead_url = gone.url();
    drop(gone);
    let mut gateway = Gateway::start(&configuration(&format!("crm-old: {{ url: \"{dead_url}\", retry: {{ first: 10m, max: 1h }} }}")));
    for number in 0..3 {
        assert_eq!(gateway.ring(&github("/hooks/github", SECRET, &format!("d-{number}"), b"{}")).status, 200);
    }
    let count =
        |gateway: &Gateway, target: &str, state: &str| gateway.metrics().count("queue_deliveries", &[("target", target), ("state", state)]);
    wait_until("all of them were tried and wait", || count(&gateway, "crm-old", "pending") == 3);
    assert!(gateway.terminate().success());
    let name = |text: &str| TargetName::parse(text).expect("a name");
    ask(&gateway, Verb::Pause { target: name("crm-old"), until: None });

    gateway.rewrite(&configuration(&format!("crm: {{ url: \"{}\", formerly: [crm-old] }}", target.url())));
    gateway.boot();
    wait_until("they were carried over, and are held", || count(&gateway, "crm", "paused") == 3);
    assert_eq!((count(&gateway, "_removed", "parked"), count(&gateway, "crm", "pending")), (0, 0));
    let status = gateway.look("/api/v1/status").expect("it answers").text();
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["targets"][0]["paused"]["by"], "ops");
    assert!(gateway.terminate().success());

    ask(&gateway, Verb::Resume { target: name("crm") });
    gateway.boot();
    target.wait_for(3);
    gateway.wait_until_drained();
    assert_eq!(gateway.metrics().count("deliveries_total", &[("target", "crm"), ("outcome", "delivered")]), 3);
}
