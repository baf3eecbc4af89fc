//! `hookgate send` as people meet it: a gateway that runs, its configuration, and a line that says how it was answered.

use std::fs;

use crate::{
    spine::all_to,
    support::{gateway::Gateway, recorder::Recorder, sender::SECRET},
};

const WRONG: &str = "canary-wrong-0123456789abcdef0123456789";

/// A gateway with a source that can be rung, and beside its configuration one whose secret is not the gateway's.
fn started(target: &Recorder) -> Gateway {
    let sections = format!(
        r#"
sources:
  hub: {{ provider: github, secret: "{SECRET}" }}
  bot: {{ provider: discord, secret: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c" }}
"#
    );
    let configuration = all_to(target, &sections);
    let gateway = Gateway::start(&configuration);
    fs::write(gateway.folder().join("wrong.yaml"), gateway.configuration().replace(SECRET, WRONG)).expect("written");
    gateway
}

/// Sends; the exit code, what came of it, and what is said besides. No secret is in either.
fn send(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = gateway.command(&[&["send"], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(![SECRET, WRONG].iter().any(|secret| out.contains(secret) || err.contains(secret)), "{out}{err}");
    (output.status.code(), out, err)
}

#[test]
fn what_is_sent_is_accepted_and_arrives() {
    let target = Recorder::start();
    let gateway = started(&target);
    let (code, out, err) = send(&gateway, &["hub"]);
    let event = out.strip_prefix("accepted ").map(str::trim_end).unwrap_or_else(|| panic!("{out}{err}")).to_owned();
    assert_eq!((code, &*err), (Some(0), ""));
    let received = &target.wait_for(1)[0];
    assert_eq!((received.header("hookgate-event-id"), received.header("hookgate-source")), (event.as_str(), "hub"));

    let (code, out, err) = send(&gateway, &["hub", "--count", "5", "--rate", "500/s"]);
    assert!(code == Some(0) && out.starts_with("accepted 5, duplicate 0, refused 0; answered in p50 "), "{out}{err}");
    assert_eq!(target.wait_for(6).len(), 6, "each is an event of its own");

    fs::write(gateway.folder().join("body.json"), "{\"odd\":  1.0}\n").expect("written");
    let (code, out, err) = send(&gateway, &["hub", "--type", "issues", "--data", "body.json", "-c", "hookgate.yaml"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let received = target.wait_for(7).remove(6);
    assert_eq!((received.body.as_slice(), received.header("hookgate-event-type")), (&b"{\"odd\":  1.0}\n"[..], "issues"));
    let at_the_door = format!("http://{}/hooks/hub", gateway.door());
    assert_eq!(send(&gateway, &["hub", "--url", &at_the_door]).0, Some(0));
    assert_eq!(gateway.metrics().count("requests_total", &[("source", "hub"), ("result", "accepted")]), 8);
}

#[test]
fn what_is_refused_is_a_no_that_says_why() {
    let target = Recorder::start();
    let mut gateway = started(&target);
    let (code, out, err) = send(&gateway, &["hub", "--count", "3", "-c", "wrong.yaml"]);
    assert!(code == Some(1) && out.starts_with("accepted 0, duplicate 0, refused 3;"), "{out}{err}");
    assert!(err.starts_with("refused 3 times: 401 Unauthorized"), "{err}");
    let (code, out, _) = send(&gateway, &["hub", "-c", "wrong.yaml"]);
    assert!(code == Some(1) && out.starts_with("refused: 401 Unauthorized"), "{out}");
    let elsewhere = format!("http://{}/hooks/elsewhere", gateway.door());
    let (code, out, _) = send(&gateway, &["hub", "--url", &elsewhere]);
    assert!(code == Some(1) && out.starts_with("refused: 404 Not Found"), "{out}");

    let door = gateway.door();
    assert!(gateway.terminate().success());
    let (code, out, _) = send(&gateway, &["hub", "--url", &format!("http://user:{WRONG}@{door}/hooks/hub/{WRONG}")]);
    assert!(code == Some(1) && out.starts_with(&format!("refused: no answer: {door}: Connection refused")), "{out}");
    let (code, out, err) = send(&gateway, &["hub", "--count", "2"]);
    assert!(
        code == Some(1) && out.contains("refused 2;") && err.contains(&format!("refused 2 times: no answer: {door}: Connection refused")),
        "{err}"
    );
    assert_eq!(target.count(), 0);
}

#[test]
fn what_cannot_be_sent_is_usage_or_configuration() {
    let target = Recorder::start();
    let gateway = started(&target);
    let cases: [(&[&str], i32, &str); 8] = [
        (&["hbu"], 2, "there is no source `hbu`; did you mean `hub`?"),
        (&["somebody"], 2, "there is no source `somebody`; the configuration has hub, bot"),
        (&["hub", "--url", "ftp://localhost/"], 2, "ftp://localhost/ is neither http:// nor https://"),
        (&["hub", "--data", "nowhere.json"], 2, "nowhere.json: "),
        (&["hub", "--rate", "often"], 2, "write events a second, as 50 or 50/s"),
        (&["hub", "--count", "0"], 2, "--count"),
        (&["bot"], 2, "signs with a private key (ed25519) that only the vendor has"),
        (&["hub", "-c", "nowhere.yaml"], 78, "nowhere.yaml"),
    ];
    for (arguments, wanted, said) in cases {
        let (code, out, err) = send(&gateway, arguments);
        assert_eq!((code, &*out), (Some(wanted), ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
    let requests = gateway.metrics().count("requests_total", &[]);
    assert_eq!((requests, target.count()), (0, 0), "nobody was rung");
}
