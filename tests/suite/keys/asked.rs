//! Keys that a vendor gives out one by one to who has credentials: eBay's and Plaid's.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Scene,
    vendor::{Does, Signer, Told},
};
use crate::{
    secrecy::{assert_clean, every_file},
    support::{
        patience::{unix_seconds, wait_until},
        sender::sha256_hex,
        wire::Ring,
    },
};

pub(super) const VERIFICATION_TOKEN: &str = "canary-verification-token-0123456789";
pub(super) const CLIENT_ID: &str = "client-of-ours-0001";
pub(super) const CLIENT_SECRET: &str = "canary-client-secret-5f0e9d3c2b1a";
const TOKEN: &str = "canary-token-v1-e7f6a5b4c3d2";
const TOKEN_PATH: &str = "/identity/v1/oauth2/token";
const KEYS: &str = "/commerce/notification/v1/public_key";
const PLAID: &str = "/webhook_verification_key/get";

/// Keys, and events that they signed with SHA-1, which no library of these tests does any more: made with node.
const FIRST: &str =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQqxa3Nxc6FzKPjFp1U3ihOZDgo9YYlU4TqjW5c/8ACUYR9S0KPV2VkPj9kbF9CJ+oM3SnbkJ1T4f4BO78WiL7Q==";
const A: (&str, &str) = ("a", "MEQCIFb1SrWOcv4Cm4X67r9/czRp6aiUywlWbYL6lryr8JbpAiAjJUFoouahdE4IDpciMrMNPVjIiclOj4LSPzOuLqLz/w==");
const B: (&str, &str) = ("b", "MEUCIQCMZRpVuBIJtOnBQe+LcY5tiX7UvQs2WStcH09W5NuYTgIgMdyl9UoB1IYLpuGa1jvCuLtl5u2iKEQM8LFSZgm/cQA=");
const SECOND: &str =
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvND6V57xhHpP7hz9IQ3VNeOuIHBcW1tTY7S48kJQu/ELU9hZV1fGLxCUpgiRpoJFbYPWtRvOcGBur8Z9X5C/xw==";
const C: (&str, &str) = ("c", "MEUCIFRdSXEdPRsZ/OyIxixYu3YzkwyDTIiCuKkvGfTn4QfxAiEAvmRHQRh/pFzhXoMoAo9G9Pcq7OsQ/u5hIIKqV6olwgA=");

fn token() -> Does {
    Does::Gives(format!(r#"{{"access_token":"{TOKEN}","expires_in":7200,"token_type":"Application Access Token"}}"#).into_bytes())
}

/// A key as eBay gives one out: a PEM on one line.
fn given_out(key: &str) -> Does {
    let pem = format!("-----BEGIN PUBLIC KEY-----{key}-----END PUBLIC KEY-----");
    Does::Gives(format!(r#"{{"key":"{pem}","algorithm":"ECDSA","digest":"SHA1"}}"#).into_bytes())
}

/// As eBay signs: its header is JSON in base64, and names the key.
fn ebay(kid: &str, (id, signature): (&str, &str)) -> Ring {
    let body = format!(r#"{{"notification":{{"notificationId":"{id}"}}}}"#);
    let header = STANDARD.encode(format!(r#"{{"alg":"ecdsa","kid":"{kid}","signature":"{signature}","digest":"SHA1"}}"#));
    Ring::post("/hooks/ebay", vec![("X-EBAY-SIGNATURE".to_owned(), header)], body.as_bytes())
}

fn plaid(signer: &Signer, kid: &str, at: i64, body: &str) -> Ring {
    let claims = format!(r#"{{"iat":{at},"request_body_sha256":"{}"}}"#, sha256_hex(body.as_bytes()));
    Ring::post("/hooks/plaid", vec![("Plaid-Verification".to_owned(), signer.token(kid, &claims))], body.as_bytes())
}

#[test]
fn ebay_is_asked_for_a_token_and_then_for_each_key_once() {
    let scene = Scene::allowed();
    scene.vendor.at(TOKEN_PATH, token());
    scene.vendor.at(&format!("{KEYS}/kid-1"), given_out(FIRST));
    scene.vendor.at(&format!("{KEYS}/kid-2"), given_out(SECOND));
    for (kid, event) in [("kid-1", A), ("kid-1", B), ("kid-2", C)] {
        let answer = scene.gateway.ring(&ebay(kid, event));
        assert_eq!((answer.status, answer.result()), (200, Some("accepted")), "{}: {}", event.0, scene.gateway.log());
    }
    let line = |line: &str, authorization: &str, body: &str| Told {
        line: format!("{line} HTTP/1.1"),
        authorization: authorization.to_owned(),
        body: body.to_owned(),
    };
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let bearer = format!("Bearer {TOKEN}");
    let form = "grant_type=client_credentials&scope=https%3A%2F%2Fapi.ebay.com%2Foauth%2Fapi_scope";
    assert_eq!(
        scene.vendor.told(),
        [
            line(&format!("POST {TOKEN_PATH}"), &basic, form),
            line(&format!("GET {KEYS}/kid-1"), &bearer, ""),
            line(&format!("GET {KEYS}/kid-2"), &bearer, ""),
        ]
    );
    assert!(scene.vendor.asked().iter().all(|asked| asked.starts_with("api.ebay.com/")));
    // What is signed by another, under a name that is known, is a forgery; and no name leads anywhere else.
    assert_eq!(scene.gateway.ring(&ebay("kid-1", C)).status, 412);
    for kid in ["../kid-1", "kid-1?a", "kid-1#", "", "k%69d", &"k".repeat(65)] {
        assert_eq!(scene.gateway.ring(&ebay(kid, A)).status, 412, "{kid}");
    }
    assert_eq!(scene.vendor.told().len(), 3);
    assert_eq!(scene.target.wait_for(3).len(), 3);
    nothing_is_seen(&scene);
}

#[test]
fn without_a_token_or_a_key_ebay_is_told_to_come_again() {
    let scene = Scene::allowed();
    let ring = ebay("kid-1", A);
    scene.vendor.at(TOKEN_PATH, Does::Says("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"));
    scene.is_told_to_come_again(&scene.gateway.ring(&ring), "the credentials are wrong");
    wait_until("the log says why", || scene.gateway.log().contains("it answered 401"));
    scene.vendor.at(TOKEN_PATH, Does::Gives(br#"{"access_token":"a b","expires_in":7200}"#.to_vec()));
    wait_until("it was asked again", || {
        scene.is_told_to_come_again(&scene.gateway.ring(&ring), "what it gave is no token");
        scene.gateway.log().contains("what it gave is no token")
    });
    scene.vendor.at(TOKEN_PATH, token());
    for (kid, does) in [
        ("none", Does::Says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
        ("other", Does::Gives(br#"{"key":"x","algorithm":"RSA","digest":"SHA1"}"#.to_vec())),
        ("empty", Does::Gives(b"{}".to_vec())),
    ] {
        scene.vendor.at(&format!("{KEYS}/{kid}"), does);
        let ring = ebay(kid, A);
        wait_until("the key was asked for", || {
            scene.is_told_to_come_again(&scene.gateway.ring(&ring), kid);
            scene.vendor.asked().iter().any(|asked| asked.ends_with(kid))
        });
    }
    assert_eq!(scene.gateway.open_deliveries(), 0);
    nothing_is_seen(&scene);
}

#[test]
fn the_challenge_of_ebay_is_answered() {
    let scene = Scene::allowed();
    let ask = Ring { method: "GET".to_owned(), ..Ring::post("/hooks/ebay?challenge_code=abc-1", vec![], b"") };
    let answer = scene.gateway.ring(&ask);
    let expected = sha256_hex(format!("abc-1{VERIFICATION_TOKEN}https://hooks.example.com/hooks/ebay").as_bytes());
    assert_eq!((answer.status, answer.text()), (200, format!(r#"{{"challengeResponse":"{expected}"}}"#)));
    assert_eq!(scene.vendor.connections(), 0);
}

#[test]
fn plaid_is_asked_for_each_key_with_our_credentials() {
    let scene = Scene::allowed();
    let (signer, old) = (Signer::new(), Signer::new());
    let now = unix_seconds();
    scene.vendor.at(PLAID, signer.given_as_jwk("kid-1", "null"));
    for id in ["1", "2"] {
        let answer = scene.gateway.ring(&plaid(&signer, "kid-1", now, id));
        assert_eq!((answer.status, answer.result()), (200, Some("accepted")), "{id}: {}", scene.gateway.log());
    }
    let asked = scene.vendor.told();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].line.as_str(), asked[0].authorization.as_str()), (&*format!("POST {PLAID} HTTP/1.1"), ""));
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).expect("JSON");
    assert_eq!(body, serde_json::json!({ "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "key_id": "kid-1" }));
    // Out of time, of another body, by another key: nobody is asked for what no key could prove.
    assert_eq!(scene.gateway.ring(&plaid(&signer, "kid-2", now - 301, "3")).status, 401);
    let cut = Ring { body: b"4".to_vec(), ..plaid(&signer, "kid-2", now, "3") };
    assert_eq!(scene.gateway.ring(&cut).status, 401);
    assert_eq!(scene.gateway.ring(&plaid(&old, "kid-1", now, "5")).status, 401);
    assert_eq!(scene.vendor.told().len(), 1);
    // A key that is no longer good is none, and so is another than was asked for.
    scene.vendor.at(PLAID, old.given_as_jwk("kid-3", &(now - 1).to_string()));
    scene.is_told_to_come_again(&scene.gateway.ring(&plaid(&old, "kid-3", now, "6")), "it has expired");
    scene.is_told_to_come_again(&scene.gateway.ring(&plaid(&old, "kid-4", now, "7")), "it is another");
    wait_until("the log says why", || {
        let log = scene.gateway.log();
        ["the key is no longer good", "another key than was asked for"].iter().all(|words| log.contains(words))
    });
    assert_eq!(scene.target.wait_for(2).len(), 2);
    nothing_is_seen(&scene);
}

/// What proves us to a vendor is in no log, metric, page or file.
fn nothing_is_seen(scene: &Scene) {
    let secrets = [CLIENT_SECRET, TOKEN, VERIFICATION_TOKEN];
    assert_clean("the log", scene.gateway.log().as_bytes(), &secrets);
    for page in ["/metrics", "/api/v1/status", "/api/v1/rejected"] {
        assert_clean(page, scene.gateway.look(page).expect("a page").text().as_bytes(), &secrets);
    }
    every_file(&scene.gateway.data_dir(), &mut |path, content| assert_clean(&path.display().to_string(), content, &secrets));
}
