//! Keys that vendors publish, and subscriptions that are confirmed: the real binary fetches over TLS from a vendor on the loopback. Only
//! where names lead is the tests' own; the guard, the certificates and the roots are as they would be.

mod asked;
mod vendor;

use std::{collections::HashSet, fs, thread, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, date_time_ymd};

use crate::support::{
    certificate::Authority,
    gateway::Gateway,
    patience::{now, unix_seconds, wait_until},
    recorder::Recorder,
    wire::{Answer, Ring},
};
use asked::{CLIENT_ID, CLIENT_SECRET, VERIFICATION_TOKEN};
use vendor::{Amazon, Does, Signer, Vendor};

const TOKENS: &str = "provider: tokens
verify:
  scheme: jws-es256
  signature: { at: header:Authorization, strip: 'Bearer ' }
  key: { form: jwks, source: { kind: jwks, url: https://keys.example.com/set.json } }
  require: { claim:aud: us }
event: { id: '{json:/id}' }
";
const SEALS: &str = "provider: seals
verify:
  scheme: ecdsa-p256-sha256
  signature: { at: header:Seal, encoding: base64 }
  message: '{body}'
  key: { form: pem, source: { kind: x509, url: '{header:Cert-Url}', hosts: [keys.example.com], suffix: .pem, names: [seals.example.com] } }
event: { id: '{json:/id}' }
";
const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:MyTopic";
const SIGNING_CERT: &str = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";

/// A gateway with a source for each of the providers, and the vendor it fetches from.
struct Scene {
    gateway: Gateway,
    vendor: Vendor,
    authority: Authority,
    target: Recorder,
}

impl Scene {
    /// `egress` is what the configuration says of it.
    fn open(egress: &str) -> Self {
        let target = Recorder::start();
        let gateway = Gateway::written(&format!(
            "providers_dir: \"@DIR@/providers\"
server: {{ listen: \"127.0.0.1:@DOOR@\", public_url: https://hooks.example.com }}
egress: {egress}
sources:
  tokens: {{ provider: tokens }}
  seals: {{ provider: seals }}
  topic: {{ provider: aws-sns, credentials: {{ topic: \"{TOPIC}\" }} }}
  ebay:
    provider: ebay
    credentials: {{ verification_token: {VERIFICATION_TOKEN}, client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET} }}
  plaid: {{ provider: plaid, credentials: {{ client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET} }} }}
targets: {{ app: {{ url: \"{}\" }} }}
routes: [{{ to: app }}]
",
            target.url()
        ));
        let folder = gateway.folder().to_owned();
        fs::create_dir(folder.join("providers")).expect("made");
        fs::write(folder.join("providers/tokens.yaml"), TOKENS).expect("written");
        fs::write(folder.join("providers/seals.yaml"), SEALS).expect("written");
        let authority = Authority::new();
        authority.write_root(&folder.join("root.pem"));
        let vendor = Vendor::open(&authority, &folder);
        let mut gateway = gateway
            .with_variable("HOOKGATE_STAND_IN", &vendor.address.to_string())
            .with_variable("SSL_CERT_FILE", &folder.join("root.pem").to_string_lossy());
        gateway.boot();
        Self { gateway, vendor, authority, target }
    }

    /// The same, with the loopback let through for the vendor's sake.
    fn allowed() -> Self {
        Self::open("{ allow: [127.0.0.0/8] }")
    }

    fn requests(&self, source: &str, result: &str) -> u64 {
        self.gateway.metrics().count("requests_total", &[("source", source), ("result", result)])
    }

    /// Nothing of it is anywhere but in what was counted.
    #[track_caller]
    fn is_told_to_come_again(&self, answer: &Answer, why: &str) {
        assert_eq!((answer.status, answer.text().as_str()), (503, "try again later\n"), "{why}");
        let after: u32 = answer.header("retry-after").expect("when").parse().expect("seconds");
        assert!((5..=30).contains(&after), "{why}: {after}");
    }
}

fn token(signer: &Signer, kid: &str, id: &str) -> Ring {
    let bearer = format!("Bearer {}", signer.token(kid, r#"{"aud":"us"}"#));
    Ring::post("/hooks/tokens", vec![("Authorization".to_owned(), bearer)], format!(r#"{{"id":"{id}"}}"#).as_bytes())
}

fn seal(signer: &Signer, url: &str, id: &str) -> Ring {
    let body = format!(r#"{{"id":"{id}"}}"#);
    let seal = STANDARD.encode(signer.seal(body.as_bytes()));
    Ring::post("/hooks/seals", vec![("Seal".to_owned(), seal), ("Cert-Url".to_owned(), url.to_owned())], body.as_bytes())
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("parameters")
}

#[test]
fn the_first_request_fetches_and_those_after_it_do_not() {
    let scene = Scene::allowed();
    let (tokens, seals) = (Signer::new(), Signer::new());
    scene.vendor.at("/set.json", tokens.published("a"));
    scene.vendor.at("/a.pem", seals.certificate(&params("seals.example.com"), &scene.authority));
    let place = "https://keys.example.com/a.pem";
    for id in ["1", "2", "3"] {
        for ring in [token(&tokens, "a", id), seal(&seals, place, id)] {
            let answer = scene.gateway.ring(&ring);
            assert_eq!((answer.status, answer.result()), (200, Some("accepted")), "{id}: {}", scene.gateway.log());
        }
    }
    // A key is here and does not fit: that is a forgery, as ever, and so is a name that the set of this moment does not have.
    let stranger = Signer::new();
    for ring in [token(&stranger, "a", "4"), seal(&stranger, place, "4"), token(&tokens, "b", "5"), token(&stranger, "c", "6")] {
        assert_eq!(scene.gateway.ring(&ring).status, 401);
    }
    assert_eq!(scene.vendor.asked(), ["keys.example.com/set.json", "keys.example.com/a.pem"]);
    assert_eq!(scene.target.wait_for(6).len(), 6);
    let rejected = |source| scene.gateway.metrics().count("rejected_total", &[("source", source), ("reason", "bad_signature")]);
    assert_eq!((rejected("tokens"), rejected("seals")), (3, 1));
}

#[test]
fn those_who_come_at_once_wait_for_one_fetch() {
    let scene = Scene::allowed();
    let signer = Signer::new();
    scene.vendor.at("/set.json", signer.published("a"));
    let rings: Vec<Ring> = (0..16).map(|id| token(&signer, "a", &id.to_string())).collect();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ringing: Vec<_> = rings.iter().map(|ring| scope.spawn(|| scene.gateway.ring(ring).status)).collect();
        ringing.into_iter().map(|one| one.join().expect("rang")).collect()
    });
    assert_eq!(statuses, [200; 16]);
    assert_eq!(scene.vendor.asked(), ["keys.example.com/set.json"]);
}

#[test]
fn without_its_key_a_request_is_not_refused_but_asked_to_come_again() {
    let scene = Scene::allowed();
    let signer = Signer::new();
    scene.vendor.at("/set.json", Does::Says("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"));
    let ring = token(&signer, "a", "1");
    scene.is_told_to_come_again(&scene.gateway.ring(&ring), "the vendor is down");
    scene.is_told_to_come_again(&scene.gateway.ring(&ring), "and was a moment ago");
    assert_eq!(scene.vendor.asked().len(), 1, "it is left alone for a moment");
    assert_eq!(
        (scene.requests("tokens", "unavailable"), scene.requests("tokens", "throttled"), scene.requests("tokens", "rejected")),
        (1, 1, 0)
    );
    wait_until("the log says why", || {
        let log = scene.gateway.log();
        ["it answered 500", "key_unavailable", "key_throttled"].iter().all(|words| log.contains(words))
    });
    assert_eq!(scene.gateway.open_deliveries(), 0, "nothing of it is kept");
    scene.vendor.at("/set.json", signer.published("a"));
    wait_until("its key was fetched", || scene.gateway.ring(&ring).status == 200);
    assert_eq!(scene.target.wait_for(1).len(), 1);
}

#[test]
fn what_is_no_key_of_the_vendors_proves_nothing() {
    let scene = Scene::allowed();
    let signer = Signer::new();
    let mut old = params("keys.example.com");
    (old.not_before, old.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let good = params("keys.example.com");
    let big = Does::Gives(vec![b'\n'; 64 * 1024 + 1]);
    let cases = [
        ("elsewhere", Does::Says("HTTP/1.1 302 Found\r\nLocation: https://keys.example.com/good.pem\r\nContent-Length: 0\r\n\r\n")),
        ("strangers", signer.certificate(&good, &Authority::new())),
        ("another", signer.certificate(&params("other.example.com"), &scene.authority)),
        ("old", signer.certificate(&old, &scene.authority)),
        ("big", big),
        ("none", Does::Gives(b"nothing".to_vec())),
        ("cut", Does::Says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n-----BEGIN")),
        ("silent", Does::Waits),
    ];
    for (name, does) in cases {
        scene.vendor.at(&format!("/{name}.pem"), does);
        let began = now();
        let answer = scene.gateway.ring(&seal(&signer, &format!("https://keys.example.com/{name}.pem"), name));
        scene.is_told_to_come_again(&answer, name);
        assert!(began.elapsed() < Duration::from_secs(8), "{name}: {:?}", began.elapsed());
    }
    scene.vendor.at("/good.pem", signer.certificate(&good, &scene.authority));
    let answer = scene.gateway.ring(&seal(&signer, "https://keys.example.com/good.pem", "good"));
    assert_eq!(answer.status, 200, "{}", scene.gateway.log());
    assert_eq!(scene.target.wait_for(1).len(), 1);
}

#[test]
fn nobody_is_sent_where_a_stranger_wants_him() {
    let scene = Scene::allowed();
    let signer = Signer::new();
    let before = scene.vendor.connections();
    for url in [
        "http://keys.example.com/a.pem",
        "https://keys.example.com:8443/a.pem",
        "https://keys.example.com@evil.example/a.pem",
        "https://keys.example.com.evil.example/a.pem",
        "https://keys.example.com./a.pem",
        "https://keys.example.com/a?b.pem",
        "https://keys.example.com/a.pem#",
        "https://KEYS.example.com/a.pem",
        "https://keys.example.com/%61.pem",
        "https://127.0.0.1/a.pem",
        "https://169.254.169.254/latest/meta-data/a.pem",
        "https://[::1]/a.pem",
        "file:///etc/a.pem",
    ] {
        assert_eq!(scene.gateway.ring(&seal(&signer, url, "1")).status, 401, "{url}");
    }
    assert_eq!(scene.vendor.connections(), before, "no connection was made");
    // The vendor's own host, under names that nobody has: so many in a minute, and no more.
    let statuses: HashSet<u16> =
        (0..40).map(|number| scene.gateway.ring(&seal(&signer, &format!("https://keys.example.com/{number}.pem"), "1")).status).collect();
    assert_eq!((statuses, scene.vendor.asked().len()), (HashSet::from([503]), 20));
}

#[test]
fn a_vendor_is_not_inside_whatever_its_name_says() {
    // The stand-in is on the loopback, and this configuration lets nobody through.
    let scene = Scene::open("{ deny: [metadata] }");
    let signer = Signer::new();
    scene.vendor.at("/set.json", signer.published("a"));
    scene.is_told_to_come_again(&scene.gateway.ring(&token(&signer, "a", "1")), "a private address");
    assert_eq!(scene.vendor.connections(), 0);
    wait_until("the log says why", || scene.gateway.log().contains("127.0.0.1 is a loopback address"));
}

/// A message of a topic's as SNS writes it, signed by version 2.
fn message(amazon: &Amazon, topic: &str, kind: &str) -> Ring {
    let at = format!("{:.3}", jiff::Timestamp::from_second(unix_seconds()).expect("a time"));
    let (token, asked) = ("2336412f37fb687f5d51e6e241d09c80", "https://sns.us-west-2.amazonaws.com/follow?me=1");
    let id = format!("id-of-{kind}");
    let mut fields = vec![("Message", "Hello"), ("MessageId", &id)];
    if kind != "Notification" {
        fields.push(("SubscribeURL", asked));
    }
    fields.push(("Timestamp", &at));
    if kind != "Notification" {
        fields.push(("Token", token));
    }
    fields.extend([("TopicArn", topic), ("Type", kind)]);
    posted(&fields, &amazon.sign(&lines(&fields)))
}

/// What SNS signs of a message.
fn lines(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect()
}

fn posted(fields: &[(&str, &str)], signature: &[u8]) -> Ring {
    let signature = STANDARD.encode(signature);
    let proof = [("SignatureVersion", "2"), ("Signature", &*signature), ("SigningCertURL", SIGNING_CERT)];
    let body: serde_json::Map<String, serde_json::Value> =
        fields.iter().chain(&proof).map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let headers = vec![("Content-Type".to_owned(), "text/plain; charset=UTF-8".to_owned())];
    Ring::post("/hooks/topic", headers, serde_json::Value::from(body).to_string().as_bytes())
}

/// Lines are signed, and a message may hold lines: with a topic of his own anybody can have Amazon sign a text that reads, cut up in
/// another way, as a message of this one.
#[test]
fn a_text_that_amazon_signed_for_another_topic_cannot_be_cut_up_into_one_of_ours() {
    let scene = Scene::allowed();
    let amazon = Amazon::new();
    scene.vendor.at("/SimpleNotificationService-0123456789abcdef.pem", amazon.published());
    assert_eq!(scene.gateway.ring(&message(&amazon, TOPIC, "Notification")).status, 200, "its certificate is here");
    let at = format!("{:.3}", jiff::Timestamp::from_second(unix_seconds()).expect("a time"));
    let own = "arn:aws:sns:us-west-2:210987654321:MyTopic";
    let published = format!("x\nMessageId\nforged\nTimestamp\n{at}\nTopicArn\n{TOPIC}\nType\nfoo");
    let signed = [("Message", &*published), ("MessageId", "own"), ("Timestamp", &at), ("TopicArn", own), ("Type", "Notification")];
    let kind = format!("foo\nMessageId\nown\nTimestamp\n{at}\nTopicArn\n{own}\nType\nNotification");
    let forged = [("Message", "x"), ("MessageId", "forged"), ("Timestamp", &at), ("TopicArn", TOPIC), ("Type", &kind)];
    assert_eq!(lines(&signed), lines(&forged), "the signature is good for both");
    assert_eq!(scene.gateway.ring(&posted(&forged, &amazon.sign(&lines(&signed)))).status, 401);
}

#[test]
fn nobody_goes_out_for_what_no_key_could_prove() {
    let scene = Scene::allowed();
    let amazon = Amazon::new();
    scene.vendor.at("/SimpleNotificationService-0123456789abcdef.pem", amazon.published());
    let at = format!("{:.3}", jiff::Timestamp::from_second(unix_seconds()).expect("a time"));
    let whole = [("Message", "x"), ("MessageId", "1"), ("Timestamp", &*at), ("TopicArn", TOPIC), ("Type", "Notification")];
    let but = |name: &str, value: Option<&'static str>| {
        let changed = whole.iter().filter_map(|(own, old)| Some((*own, if *own == name { value? } else { *old }))).collect::<Vec<_>>();
        scene.gateway.ring(&posted(&changed, &amazon.sign(&lines(&changed)))).status
    };
    assert_eq!(but("Timestamp", None), 401);
    assert_eq!(but("Timestamp", Some("2001-01-01T00:00:00.000Z")), 401);
    assert_eq!(but("TopicArn", Some("arn:aws:sns:us-west-2:210987654321:MyTopic")), 401);
    assert_eq!(but("Type", Some("Notice")), 401);
    assert_eq!(scene.gateway.ring(&posted(&whole, b"")).status, 401);
    assert_eq!(scene.vendor.connections(), 0);
    assert_eq!(but("Message", Some("y")), 200, "{}", scene.gateway.log());
}

#[test]
fn a_subscription_is_confirmed_by_a_call_that_the_gateway_builds() {
    let scene = Scene::allowed();
    let amazon = Amazon::new();
    scene.vendor.at("/SimpleNotificationService-0123456789abcdef.pem", amazon.published());
    scene.vendor.at("/", Does::Says("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"));
    let ring = message(&amazon, TOPIC, "SubscriptionConfirmation");
    scene.is_told_to_come_again(&scene.gateway.ring(&ring), "SNS asks again when it was not confirmed");
    scene.vendor.at("/", Does::Gives(b"<ConfirmSubscriptionResponse/>".to_vec()));
    let answer = scene.gateway.ring(&ring);
    assert_eq!((answer.status, answer.result()), (200, None), "{}", scene.gateway.log());
    let call = "sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Version=2010-03-31\
                &TopicArn=arn%3Aaws%3Asns%3Aus-west-2%3A123456789012%3AMyTopic&Token=2336412f37fb687f5d51e6e241d09c80";
    let fetched = SIGNING_CERT.trim_start_matches("https://");
    assert_eq!(scene.vendor.asked(), [fetched, call, call], "and never where the message says");

    // Anybody may have Amazon sign: what is of another topic is neither confirmed nor taken.
    let other = "arn:aws:sns:us-west-2:210987654321:MyTopic";
    for kind in ["SubscriptionConfirmation", "Notification"] {
        assert_eq!(scene.gateway.ring(&message(&amazon, other, kind)).status, 401, "{kind}");
    }
    assert_eq!(scene.gateway.ring(&message(&Amazon::new(), TOPIC, "SubscriptionConfirmation")).status, 401, "forged");
    assert_eq!(scene.vendor.asked().len(), 3);

    assert_eq!(scene.gateway.ring(&message(&amazon, TOPIC, "Notification")).result(), Some("accepted"));
    let received = scene.target.wait_for(1);
    assert_eq!((received.len(), received[0].header("hookgate-event-type")), (1, "Notification"));
    let handshakes = |result| {
        let labels = [("source", "topic"), ("handshake", "subscribe"), ("result", result)];
        scene.gateway.metrics().count("handshakes_total", &labels)
    };
    assert_eq!((handshakes("answered"), handshakes("refused")), (1, 1));
}
