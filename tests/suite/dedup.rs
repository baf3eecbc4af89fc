//! What makes two requests the same event, where a source says it itself.

use crate::support::{
    gateway::Gateway,
    recorder::Recorder,
    sender::{SECRET, github},
};

fn gateway(target: &Recorder, by: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
sources:
  orders: {{ provider: github, secret: "{SECRET}", dedup: {{ by: "{by}" }} }}
targets: {{ app: {{ url: "{}" }} }}
routes: [{{ to: app }}]
"#,
        target.url()
    ))
}

#[test]
fn a_source_may_know_its_events_by_a_template_of_its_own() {
    let target = Recorder::start();
    let gateway = gateway(&target, "{json:/order/id}:{header:X-GitHub-Event}");
    let ring = |id: &str, body: &str| {
        let answer = gateway.ring(&github("/hooks/orders", SECRET, id, body.as_bytes()));
        (answer.status, answer.result().map(str::to_owned))
    };
    let (accepted, duplicate) = ((200, Some("accepted".to_owned())), (200, Some("duplicate".to_owned())));
    assert_eq!(ring("d-1", r#"{"order":{"id":7},"try":1}"#), accepted);
    assert_eq!(ring("d-2", r#"{"order":{"id":7},"try":2}"#), duplicate, "another id and another body, and the same order");
    assert_eq!(ring("d-1", r#"{"order":{"id":8},"try":1}"#), accepted, "the same id, and another order");
    // Without an order it is known as its provider knows it, and what reads in two ways is no order.
    assert_eq!(ring("d-3", r#"{"try":1}"#), accepted);
    assert_eq!(ring("d-3", r#"{"try":2}"#), duplicate);
    assert_eq!(ring("d-4", r#"{"order":{"id":7,"id":9}}"#), accepted);
    assert_eq!(target.wait_for(4).len(), 4);
    // What is looked at stands there once.
    let twice = github("/hooks/orders", SECRET, "d-5", b"{}").with("X-GitHub-Event", "push");
    assert_eq!(gateway.ring(&twice).status, 401);
}

#[test]
fn a_template_that_says_nothing_of_an_event_is_refused_at_its_place() {
    let target = Recorder::start();
    for (by, wrong) in [
        ("{json:/order/id", "a `{` is not closed"),
        ("{{no value}}", "no value of the request in it"),
        ("{sig:t}", "made of the request"),
        ("{claim:sub}", "made of the request"),
        ("{credential:secret}", "made of the request"),
        ("{endpoint}:{json:/id}", "the public URL in it, and none is known"),
        ("{jsn:/id}", "jsn"),
    ] {
        let written = Gateway::written(&format!(
            "sources:\n  orders: {{ provider: github, secret: {SECRET}, dedup: {{ by: \"{by}\" }} }}\n\
             targets: {{ app: {{ url: \"{}\" }} }}\nroutes: [{{ to: app }}]\n",
            target.url()
        ));
        std::fs::write(written.folder().join("c.yaml"), written.configuration()).expect("written");
        let said = written.command(&["check", "-c", "c.yaml"]);
        let text = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
        assert!(said.status.code() == Some(1) && text.contains("c.yaml:2:") && text.contains(wrong), "{by}: {text}");
    }
}
