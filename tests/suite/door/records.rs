//! What is left of a request besides its answer: metrics, a line in the log, and the plan it ran under.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::stream;
use hookgate::{
    door::Patience,
    ingest::{Answer, Head},
    plan::LogWhat,
    request::HeadersBuilder,
};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    client::{Client, ring, signed},
    setting::{PATH, SECRET, Setting, signature},
};

/// Log lines, kept.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Answers a request on this thread, where its log lines can be caught, without any server.
fn answered(setting: &Setting, path: &str, query: &str, body: &'static [u8], signature: &str) -> (Answer, Vec<Value>, String) {
    let mut headers = HeadersBuilder::new();
    let fields =
        [("X-Hub-Signature-256", signature), ("X-GitHub-Delivery", "d-1"), ("X-GitHub-Event", "push"), ("X-Private", "header-value")];
    for (name, value) in fields {
        assert!(headers.push(name, value.as_bytes()));
    }
    let peer = [192, 0, 2, 7].into();
    let head = Head { method: "POST".into(), path: path.into(), query: Some(query.into()), headers: headers.build(), peer, names: None };
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(lines.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(setting.ingest.answer(head, stream::iter([Ok(Bytes::from_static(body))])))
    });
    let text = String::from_utf8(lines.0.lock().expect("not poisoned").clone()).expect("text");
    let parsed = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (answer, parsed, text)
}

#[test]
fn each_request_leaves_one_line_with_the_stable_keys() {
    let setting = Setting::start();
    let (answer, lines, _) = answered(&setting, PATH, "q=query-value", b"body-value", &signature(SECRET, b"body-value"));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(answer.status, 200);
    for (key, value) in [
        ("event", "request"),
        ("source", "github"),
        ("result", "unrouted"),
        ("client_ip", "192.0.2.7"),
        ("type", "push"),
        ("provider_event_id", "d-1"),
    ] {
        assert_eq!(line[key], value, "{key}");
    }
    assert_eq!((&line["status"], &line["bytes"]), (&Value::from(200), &Value::from(10)));
    assert!(line["duration_ms"].is_u64() && line["event_id"].as_str().is_some_and(|id| id.starts_with("evt_")));
    assert!(line.get("reason").is_none());
}

#[test]
fn a_refused_request_leaves_its_reason_and_nothing_it_said() {
    let setting = Setting::start();
    let (answer, lines, text) = answered(&setting, PATH, "q=query-value", b"body-value", &signature("another", b"body-value"));
    assert_eq!((answer.status, &lines[0]["reason"]), (401, &Value::from("bad_signature")));
    let stranger = answered(&setting, "/path-value", "q=query-value", b"body-value", "x");
    assert_eq!((&stranger.1[0]["source"], &stranger.1[0]["reason"]), (&Value::from("_unmatched"), &Value::from("unknown_path")));
    for said in ["body-value", "query-value", "header-value", "path-value", "sha256=", "d-1", "push", SECRET] {
        assert!(!text.contains(said) && !stranger.2.contains(said), "{said}");
    }
}

#[test]
fn the_log_keeps_to_what_was_asked_for() {
    for (what, of_good, of_bad) in [(LogWhat::All, 1, 1), (LogWhat::Failed, 0, 1), (LogWhat::None, 0, 0)] {
        let setting = Setting::start_with(Patience::default(), |plan, _| plan.log.requests = what);
        let good = answered(&setting, PATH, "", b"{}", &signature(SECRET, b"{}"));
        let bad = answered(&setting, PATH, "", b"{}", &signature("another", b"{}"));
        assert_eq!((good.1.len(), bad.1.len()), (of_good, of_bad), "{what:?}");
    }
}

#[test]
fn a_proved_request_counts_for_its_secret_and_the_time_it_took() {
    let setting = Setting::start();
    let secret = hookgate::secret::Secret::new(SECRET).fingerprint();
    let matches = format!("hookgate_secret_matches_total{{secret=\"{secret}\",source=\"github\"}}");
    assert_eq!(setting.series(&matches), Some(0.0));
    ring(&setting, &signed(b"{}", "d-1", &[]));
    ring(&setting, &signed(b"{}", "d-1", &[]));
    assert_eq!(setting.series(&matches), Some(2.0));
    assert_eq!(setting.series("hookgate_ack_seconds_count{source=\"github\"}"), Some(2.0));
    assert!(setting.series("hookgate_source_last_event_timestamp_seconds{source=\"github\"}").is_some_and(|at| at > 1.7e9));
}

#[test]
fn a_new_plan_holds_from_the_next_request_on() {
    let setting = Setting::start();
    let mut slow = Client::connect(&setting);
    let request = signed(b"a body in two pieces", "d-1", &[]);
    let (first, second) = request.split_at(request.len() - 5);
    slow.send(first);
    setting.wait("the first piece", |setting| setting.series("hookgate_inflight_bytes") == Some(15.0));
    setting.ingest.replace_plan(Arc::new(Setting::plan(|_, source| source.paths = vec!["/elsewhere".into()])));
    assert_eq!(ring(&setting, &signed(b"{}", "d-2", &[])).status, 404);
    assert_eq!(slow.send(second).reply().expect("an answer").status, 200, "it ends with the plan it began with");
}
