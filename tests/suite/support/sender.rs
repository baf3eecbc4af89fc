//! Providers, as senders see themselves: how GitHub, Stripe and Standard Webhooks sign. Written from their own documentation over a bare
//! SHA-256, so that an error in the gateway's verification cannot hide behind the same error here.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{
    patience::unix_seconds,
    wire::{Fields, Ring},
};

/// A secret nobody would guess, of the length providers use.
pub const SECRET: &str = "a-secret-for-the-tests-0123456789abcdef";

/// HMAC-SHA-256 by its definition (RFC 2104).
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

/// SHA-256 in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn fields(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The value of GitHub's signature header
/// (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>).
pub fn github_signature(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(hmac_sha256(secret.as_bytes(), body)))
}

/// A delivery of GitHub's: `push`, JSON.
pub fn github(path: &str, secret: &str, id: &str, body: &[u8]) -> Ring {
    let signature = github_signature(secret, body);
    let headers = fields(&[
        ("Content-Type", "application/json"),
        ("User-Agent", "GitHub-Hookshot/044aadd"),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", id),
        ("X-Hub-Signature-256", &signature),
    ]);
    Ring::post(path, headers, body)
}

/// A delivery of Stripe's, signed `ago` seconds ago (<https://docs.stripe.com/webhooks#verify-manually>).
pub fn stripe(path: &str, secret: &str, ago: i64, body: &[u8]) -> Ring {
    let at = unix_seconds() - ago;
    let signature = hmac_sha256(secret.as_bytes(), &[format!("{at}.").as_bytes(), body].concat());
    let signature = format!("t={at},v1={}", hex::encode(signature));
    Ring::post(path, fields(&[("Content-Type", "application/json; charset=utf-8"), ("Stripe-Signature", &signature)]), body)
}

/// A delivery by the Standard Webhooks rule, signed `ago` seconds ago
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>). `secret` is `whsec_` and base64.
pub fn standard_webhooks(path: &str, secret: &str, id: &str, ago: i64, body: &[u8]) -> Ring {
    let at = (unix_seconds() - ago).to_string();
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("a secret in base64");
    let signed = hmac_sha256(&key, &[format!("{id}.{at}.").as_bytes(), body].concat());
    let signature = format!("v1,{}", STANDARD.encode(signed));
    let headers =
        fields(&[("Content-Type", "application/json"), ("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &signature)]);
    Ring::post(path, headers, body)
}

#[test]
fn signatures_are_the_ones_vendors_publish() {
    // GitHub's own example, on the page named above.
    let signature = github_signature("It's a Secret to Everybody", b"Hello, World!");
    assert_eq!(signature, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    // RFC 4231, test case 6: a key longer than the block.
    let long = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
    assert_eq!(hex::encode(long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
