//! A provider file, taken apart key by key. Everything that is wrong with it is found in one reading.

use std::{sync::Arc, time::Duration};

use super::{
    Confidence, CredentialRule, DocumentPlace, Provider, Retries, Success,
    atom::Atom,
    check::{self, Check},
    covers, event,
    handshake::{Effect, Handshake, handshakes},
    inline::INLINE,
    key_source::{CLIENT_ID, CLIENT_SECRET},
    like, measure,
    reply::replies,
    vector,
    words::{atom, choice, texts},
};
use crate::{
    name::NAME_BYTES_MAX,
    yaml::{Fields, Node, Problems, Value, as_bool, as_list, as_text, parse},
};

const CONFIDENCES: [(&str, Confidence); 3] = [("high", Confidence::High), ("medium", Confidence::Medium), ("low", Confidence::Low)];

/// Looks another provider's file up by its slug: its name, and its text. A file may be `like` it.
pub type Others<'a> = &'a dyn Fn(&str) -> Option<(Arc<str>, String)>;

/// Reads a provider file. `None` when anything in it is wrong; `problems` then says all of it. `file` is the name shown in messages, and
/// its last part must be the provider's own.
pub fn read(file: &Arc<str>, text: &str, others: Others<'_>, problems: &mut Problems) -> Option<Provider> {
    // What the parser finds counts as well: a key that stands twice leaves a tree behind.
    let mut found = Problems::new();
    let provider = parse(file, text, &mut found).and_then(|root| provider(Origin::File(file), root, others, &mut found));
    whole(provider, found, problems)
}

/// Reads the provider that the `verify` of a source is, from the tree that [`super::inline`] makes of it; `source` is the source's name.
/// `None` when anything in it is wrong; `problems` then says all of it.
pub fn read_inline(source: &str, root: &Node, others: Others<'_>, problems: &mut Problems) -> Option<Provider> {
    let mut found = Problems::new();
    let provider = provider(Origin::Source(source), root.clone(), others, &mut found);
    whole(provider, found, problems)
}

/// What was read, unless something in it is wrong; `found` is told in any case.
fn whole(provider: Option<Provider>, found: Problems, problems: &mut Problems) -> Option<Provider> {
    let broken = found.has_errors();
    problems.extend(found);
    provider.filter(|_| !broken)
}

/// Where a provider stands.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// In a file of this name, which says what it is called.
    File(&'a str),
    /// In the source of this name, which alone uses it.
    Source(&'a str),
}

fn provider(origin: Origin<'_>, mut root: Node, others: Others<'_>, problems: &mut Problems) -> Option<Provider> {
    like::fill(&mut root, others, problems);
    let root = &root;
    let mut fields = Fields::of(root, "a provider file", problems);
    let title = fields.take("title").and_then(|node| as_text(node, "the title", problems));
    let (slug, title) = match origin {
        Origin::File(file) => (fields.need("provider", root, problems).and_then(|node| slug(file, node, problems)), title.map(Box::from)),
        Origin::Source(source) => (Some(INLINE), Some(format!("`verify` of the source {source}").into())),
    };
    // What it is like was looked up before.
    fields.take("like");
    let docs = fields.take("docs").map(|node| texts(node, "a link", false, problems)).unwrap_or_default();
    let confidence = fields.take("confidence").and_then(|node| choice(node, "the confidence", &CONFIDENCES, problems));
    let written = fields.take("credentials").map(|node| credentials(node, problems));
    let document = fields.take("document").map_or_else(|| vec![DocumentPlace::Body], |node| document(node, problems));
    let verify = fields.need("verify", root, problems);
    let checks = verify.map(|node| check::checks(node, problems)).unwrap_or_default();
    let event = fields.take("event").map(|node| event::event(node, &checks, &document, problems));
    let event = event.unwrap_or_else(|| event::unnamed(&checks));
    let handshakes = fields.take("handshakes").map(|node| handshakes(node, &checks, problems)).unwrap_or_default();
    let (accepted, rejected) = fields.take("replies").map(|node| replies(node, problems)).unwrap_or_default();
    let body_limit = fields.take("limits").and_then(|node| limits(node, problems));
    let (answer_timeout, retries, success) = fields.take("delivery").map_or_else(no_delivery, |node| delivery(node, problems));
    let setup = fields.take("setup").map(|node| texts(node, "a step", false, problems)).unwrap_or_default();
    let vectors = fields.take("vectors").map(|node| vector::vectors(node, problems)).unwrap_or_default();
    fields.finish(problems);
    let credentials = written.unwrap_or_else(|| usual_credentials(origin, &checks, &handshakes));
    if let Some(node) = verify {
        declared(&checks, &handshakes, &credentials, node, problems);
    }
    let slug: Box<str> = slug?.into();
    let atoms = checks.iter().flat_map(Check::atoms).chain(handshakes.iter().flat_map(Handshake::atoms));
    let needs_public_url = atoms.chain(event.atoms()).any(Atom::needs_public_url);
    Some(Provider {
        title: title.unwrap_or_else(|| slug.clone()),
        slug,
        docs,
        confidence: confidence.unwrap_or(Confidence::Low),
        credentials,
        needs_public_url,
        credential_places: covers::credential_places(&checks),
        checks,
        document,
        event,
        handshakes,
        accepted,
        rejected,
        body_limit,
        answer_timeout,
        retries,
        success,
        setup,
        vectors,
    })
}

fn slug<'a>(file: &str, node: &'a Node, problems: &mut Problems) -> Option<&'a str> {
    let slug = as_text(node, "the provider's name", problems)?;
    let fits =
        slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && (1..=NAME_BYTES_MAX).contains(&slug.len());
    if !fits {
        problems.error(&node.at, format!("the provider's name is 1 to {NAME_BYTES_MAX} of a-z, 0-9 and `-`"));
        return None;
    }
    let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".yaml");
    if stem != slug {
        problems.error(&node.at, format!("the provider is named `{slug}` and its file `{stem}`; the two are the same"));
    }
    Some(slug)
}

/// What is needed where no `credentials` are written: of a file one secret, of a source what its checks and handshakes name. Where keys are
/// fetched, one may be pinned instead.
fn usual_credentials(origin: Origin<'_>, checks: &[Check], handshakes: &[Handshake]) -> Vec<CredentialRule> {
    let fetches = checks.iter().any(|check| check.key.source.is_some());
    let shown = shown(checks, handshakes);
    let mut rules: Vec<CredentialRule> = Vec::new();
    let mut add = |name: Box<str>, required: bool| {
        let label = match (&*name, required) {
            ("secret", false) if fetches => "Public key, pinned".into(),
            ("secret", _) => "Signing secret".into(),
            _ => name.clone(),
        };
        if rules.iter().all(|rule| rule.name != name) {
            let required = required && !shown.contains(&name);
            rules.push(CredentialRule { name, label, place: None, prefix: None, required, warn: None });
        }
    };
    if let Origin::Source(_) = origin {
        named(checks, handshakes).for_each(|name| add(name, true));
    }
    if fetches || matches!(origin, Origin::File(_)) {
        add("secret".into(), !fetches);
    }
    rules
}

fn credentials(node: &Node, problems: &mut Problems) -> Vec<CredentialRule> {
    let Value::Map(entries) = &node.value else {
        problems.error(&node.at, format!("`credentials` is a mapping from names, and this is {}", node.kind()));
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (key, node) in entries {
        let mut fields = Fields::of(node, "a credential", problems);
        let label = fields.need("label", node, problems).and_then(|node| as_text(node, "the label", problems));
        let place = fields.take("where").and_then(|node| as_text(node, "`where`", problems));
        let prefix = fields.take("prefix").and_then(|node| as_text(node, "the prefix", problems));
        let required = fields.take("required").and_then(|node| as_bool(node, "`required`", problems));
        let warn = fields.take("warn").and_then(|node| as_text(node, "the warning", problems));
        fields.finish(problems);
        rules.push(CredentialRule {
            name: key.text.as_str().into(),
            label: label.unwrap_or_default().into(),
            place: place.map(Box::from),
            prefix: prefix.map(Box::from),
            required: required.unwrap_or(true),
            warn: warn.map(Box::from),
        });
    }
    rules
}

/// The credentials of which one is handed over in a handshake: a source begins without.
fn shown<'a>(checks: &'a [Check], handshakes: &[Handshake]) -> &'a [Box<str>] {
    let shows = handshakes.iter().any(|handshake| matches!(handshake.effect, Some(Effect::ShowSecret { .. })));
    checks.first().filter(|_| shows).map_or(&[], |check| &check.key.from)
}

/// Every credential that a check or a handshake names is declared.
fn declared(checks: &[Check], handshakes: &[Handshake], credentials: &[CredentialRule], node: &Node, problems: &mut Problems) {
    let optional = |name: &str| credentials.iter().any(|rule| *rule.name == *name && !rule.required);
    for name in handshakes.iter().filter_map(|handshake| handshake.allow_list(checks)).filter(|name| optional(name)) {
        problems.error(&node.at, format!("`{name}` says whose subscriptions are confirmed, so it is `required`"));
    }
    for name in shown(checks, handshakes).iter().filter(|name| !optional(name)) {
        problems.error(&node.at, format!("`{name}` is handed over in a handshake, so it is `required: false`: a source begins without"));
    }
    let known: Vec<&str> = credentials.iter().map(|rule| &*rule.name).collect();
    for name in named(checks, handshakes) {
        if !known.contains(&&*name) {
            problems.error_hint(&node.at, format!("`credentials` has no `{name}`"), format!("declared: {}", known.join(", ")));
        }
    }
}

/// The credentials that checks and handshakes name, some more than once.
fn named<'a>(checks: &'a [Check], handshakes: &'a [Handshake]) -> impl Iterator<Item = Box<str>> + 'a {
    let name = |atom: &Atom| match atom {
        Atom::Credential(name) => Some(name.clone()),
        _ => None,
    };
    // A key that is fetched need not have a place to be pinned in.
    let keyed = |check: &&Check| check.scheme.family() != super::Family::None && check.key.source.is_none();
    let keys = checks.iter().filter(keyed).flat_map(|check| check.key.from.iter().cloned());
    let atoms = checks.iter().flat_map(Check::atoms).chain(handshakes.iter().flat_map(Handshake::atoms)).filter_map(name);
    let asks = checks.iter().any(Check::asks_for_keys);
    let of_asker = [CLIENT_ID, CLIENT_SECRET].into_iter().filter(move |_| asks).map(Box::from);
    keys.chain(atoms).chain(of_asker)
}

fn document(node: &Node, problems: &mut Problems) -> Vec<DocumentPlace> {
    let mut places = Vec::new();
    for item in as_list(node) {
        match atom(item, problems) {
            Some(Atom::Body) => places.push(DocumentPlace::Body),
            Some(Atom::Form(name)) => places.push(DocumentPlace::Form(name)),
            Some(_) => problems.error(&item.at, "the JSON document is the `body`, or a field of a form: `form:payload`"),
            None => {}
        }
    }
    places
}

fn limits(node: &Node, problems: &mut Problems) -> Option<u64> {
    let mut fields = Fields::of(node, "`limits`", problems);
    let body = fields.take("body").and_then(|node| measure::size(node, "the body's limit", problems));
    // The only one there is: what is signed is what was sent, and nothing is unpacked before it is proved.
    fields.take("content_encoding").and_then(|node| choice(node, "the content encoding", &[("identity", ())], problems));
    fields.finish(problems);
    body
}

/// What holds for a vendor that documents nothing.
fn no_delivery() -> (Option<Duration>, Retries, Success) {
    (None, Retries::Unknown, Success::Any2xx)
}

fn delivery(node: &Node, problems: &mut Problems) -> (Option<Duration>, Retries, Success) {
    let mut fields = Fields::of(node, "`delivery`", problems);
    let timeout = fields.take("timeout").and_then(|node| measure::duration(node, "the vendor's timeout", problems));
    let retries = fields.take("retries").map_or(Retries::Unknown, |node| match &node.value {
        Value::Scalar { text, .. } if text == "none" => Retries::None,
        Value::Scalar { text, .. } if text == "unknown" => Retries::Unknown,
        _ => measure::duration(node, "`retries` (or `none`, or `unknown`)", problems).map_or(Retries::Unknown, Retries::For),
    });
    let success = fields.take("success").map_or(Success::Any2xx, |node| success(node, problems));
    fields.finish(problems);
    (timeout, retries, success)
}

fn success(node: &Node, problems: &mut Problems) -> Success {
    match as_text(node, "`success`", problems) {
        None | Some("2xx") => Success::Any2xx,
        Some(text) => match text.parse() {
            Ok(status @ 200..=299) => Success::Exactly(status),
            _ => {
                problems.error(&node.at, "`success` is `2xx` or one status from 200 to 299");
                Success::Any2xx
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::{Catalogue, Encoding, KeyForm, Scheme, SchemeRule};

    const WHOLE: &str = r#"provider: t
title: Test
docs: [https://example.com/a, https://example.com/b]
confidence: medium
credentials:
  secret: { label: Key, where: there, prefix: k_ }
  app: { label: App, required: false }
verify:
  - scheme: hmac-sha512
    signature: { at: [header:S, "query:sig"], split: [", ", ","], pairs: ";", value: v, strip: ["a=", ""], encoding: base64url }
    message: "{method}{sig:t}[[.{credential:app}]]{body}"
    key: { from: [secret], form: base64, strip: k_ }
    timestamp: { at: sig:t, unit: ms, tolerance: none }
event:
  id: ["{header:Id}", "{json:/a~1b/0}"]
  type: "{json:/items/*/kind}"
replies:
  accepted: { status: 202, json: { ok: true, n: 1.5, text: "{{x}}" } }
limits: { body: 2MiB }
delivery: { timeout: 5s, retries: 85m, success: "200" }
setup: [one, two]
"#;

    fn load(text: &str) -> Result<Provider, Vec<String>> {
        let mut problems = Problems::new();
        read(&Arc::from("config/providers/t.yaml"), text, &|_| None, &mut problems)
            .ok_or_else(|| problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_key_of_the_built_grammar_reads() {
        let provider = load(WHOLE).expect("reads");
        assert_eq!((&*provider.slug, &*provider.title, provider.docs.len()), ("t", "Test", 2));
        assert_eq!(provider.confidence, Confidence::Medium);
        assert_eq!(provider.credentials[0].prefix.as_deref(), Some("k_"));
        assert!(provider.credentials[0].required && !provider.credentials[1].required);
        let check = &provider.checks[0];
        let scheme = SchemeRule::One(Scheme::HmacSha512);
        assert_eq!((&check.scheme, check.signature.encoding, check.key.form), (&scheme, Encoding::Base64Url, KeyForm::Base64));
        assert_eq!(check.timestamp.as_ref().map(|timestamp| timestamp.tolerance), Some(None));
        assert_eq!(provider.accepted.status, 202);
        assert_eq!(&*provider.accepted.body, br#"{"ok":true,"n":1.5,"text":"{x}"}"#.as_slice());
        assert_eq!(provider.body_limit, Some(2 * 1024 * 1024));
        assert_eq!(provider.retries, Retries::For(std::time::Duration::from_secs(85 * 60)));
        assert_eq!(provider.success, Success::Exactly(200));
        // The header's id is not in the message; the types are in the body, which is.
        assert!(!provider.event.id_signed && provider.event.types_signed);
    }

    #[test]
    fn every_mistake_has_its_place_and_says_what_was_meant() {
        let cases = [
            ("title: Test", "titel: Test", "2:1: a provider file has no `titel`; did you mean `title`?"),
            ("confidence: medium", "confidence: hihg", "4:13: the confidence cannot be `hihg`; did you mean `high`?"),
            ("provider: t", "provider: u", "1:11: the provider is named `u` and its file `t`; the two are the same"),
            ("provider: t", "provider: T", "1:11: the provider's name is 1 to 63 of a-z, 0-9 and `-`"),
            ("limits:", "like: other\nlimits:", "19:7: there is no provider `other` to be like; `hookgate providers` lists them"),
            ("hmac-sha512", "hmac-sha513", "9:13: the scheme cannot be `hmac-sha513`; did you mean `hmac-sha512`?"),
            ("hmac-sha512", "ed2551", "9:13: the scheme cannot be `ed2551`; did you mean `ed25519`?"),
            ("hmac-sha512", "none", "9:5: with `scheme: none` nothing but `require` has a meaning"),
            ("hmac-sha512", "{ by: header:V }", "9:13: a scheme that the request picks needs at least one value and its scheme"),
            ("header:S,", "haeder:S,", "10:23: there is no atom `haeder`; did you mean `header`?"),
            ("header:S,", "header:S*,", "10:23: a family of headers is written `header:NAME-*`, not `header:S*`"),
            ("value: v,", "", "10:16: `pairs` and `value` stand together: what separates the pairs, and the key of the signature"),
            ("encoding: base64url", "encoding: base32", "10:118: the encoding cannot be `base32`; did you mean `base64`?"),
            (
                "encoding: base64url",
                "columns: [t], encoding: hex",
                "10:16: `columns` and `by` stand together: the names, and what stands between the values",
            ),
            ("{method}", "{metod}", "11:14: the message: there is no atom `metod`; did you mean `method`?"),
            ("{body}\"", "{body|sha2}\"", "11:14: the message: there is no filter `sha2`; did you mean `sha1`?"),
            ("{credential:app}", "{credential:ap}", "9:3: `credentials` has no `ap`; declared: secret, app"),
            ("from: [secret]", "from: [sercet]", "9:3: `credentials` has no `sercet`; declared: secret, app"),
            ("form: base64", "form: pem", "9:5: `pem`, `spki` and `jwks` are forms of public keys, and this scheme has none"),
            ("unit: ms", "unit: rfc3999", "13:35: the unit cannot be `rfc3999`; did you mean `rfc3339`?"),
            ("tolerance: none", "tolerance: 300", "13:50: the tolerance is a duration with its unit, such as `10s`, `5m` or `3d`"),
            ("{header:Id}", "{sig:t}", "15:8: the event's id is made of the request, and the signature's field t is not part of it"),
            ("{header:Id}", "one", "15:8: the event's id has no value of the request in it, so all events would be the same"),
            ("kind}", "kind}{json:/a/*}", "16:9: a type has at most one `*` value in it: with two nobody can say which belongs to which"),
            (
                "status: 202",
                "status: 302",
                "18:23: the status of an accepted event is 200 to 299: anything else asks the vendor to try again",
            ),
            ("2MiB", "2097152", "19:17: the body's limit is a size with its unit, such as `256KiB` or `25MiB`"),
            (
                "retries: 85m",
                "retries: often",
                "20:35: `retries` (or `none`, or `unknown`) is a duration with its unit, such as `10s`, `5m` or `3d`",
            ),
        ];
        let mut wrong = Vec::new();
        for (old, new, expected) in cases {
            assert!(WHOLE.contains(old), "{old}");
            let found = load(&WHOLE.replacen(old, new, 1)).map(|_| ());
            let expected = format!("config/providers/t.yaml:{expected}");
            if !found.as_ref().is_err_and(|problems| problems.contains(&expected)) {
                wrong.push(format!("{new}: {found:#?} has no {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn answers_and_limits_are_constants_that_a_vendor_can_live_with() {
        let base = "provider: t\ncredentials: { secret: { label: a, required: false, warn: only the path guards it } }\n\
                    verify:\n  - { scheme: basic }\nlimits: { body: 1MiB, content_encoding: identity }\ndocument: [form:payload, body]\n\
                    replies:\n  accepted: { status: 202, text: \"[{{ok}}]\", type: application/xml, headers: { X-A: b } }\n  \
                    rejected: { status: 498, headers: { WWW-Authenticate: Basic } }\n";
        let provider = load(base).expect("reads");
        let accepted = &provider.accepted;
        assert_eq!((accepted.status, &*accepted.content_type, &accepted.body[..]), (202, "application/xml", &b"[{ok}]"[..]));
        assert_eq!(&accepted.headers[..], &[("X-A".into(), "b".into())]);
        assert_eq!((provider.rejected.status, provider.rejected.headers.len()), (498, 1));
        assert_eq!(provider.credentials[0].warn.as_deref(), Some("only the path guards it"));
        assert_eq!(provider.credential_places, [Atom::Header("Authorization".into())]);
        let cases = [
            ("498", "410", "9:23: the status of a rejected request is 400 to 499, and not 406 or 410, which end a subscription"),
            ("identity", "gzip", "5:41: the content encoding cannot be `gzip`; it is one of identity"),
            ("[{{ok}}]", "{json:/id}", "the answer to an accepted event is the same for all: no value of the request stands in it"),
            ("X-A", "Set-Cookie", "an answer cannot have the header `Set-Cookie`"),
            ("application/xml", "xml", "`type` is a media type such as `application/xml`"),
            ("form:payload", "header:X", "6:12: the JSON document is the `body`, or a field of a form: `form:payload`"),
            (
                "{ scheme: basic }",
                "{ scheme: basic, message: \"{body}\" }",
                "basic authentication signs nothing: no `message`, no `timestamp`",
            ),
        ];
        for (old, new, expected) in cases {
            let found = load(&base.replacen(old, new, 1)).map(|_| ()).expect_err(new).join("\n");
            assert!(found.contains(expected), "{new}: {found}");
        }
    }

    #[test]
    fn what_no_single_key_says_wrong_is_seen_too() {
        let check = |signature: &str, message: &str| {
            load(&format!(
                "provider: t\nverify:\n  - {{ scheme: hmac-sha1, signature: {{ {signature}, encoding: hex }}, message: '{message}' }}\n"
            ))
            .map(|_| ())
            .expect_err("wrong")
            .join("\n")
        };
        assert!(check("at: header:S", "constant").contains("so one signature would do for every request"));
        assert!(check("at: header:S", "{sig:t}{body}").contains("without `pairs`, `columns` or `unpack` a candidate has none"));
        assert!(check("at: body", "{body}").contains("a signature stands in a header"));
        assert!(check("at: json:/a/*", "{body}").contains("one value of the JSON document"));
        assert!(load("provider: t\nverify: []\n").expect_err("wrong").join("").contains("at least one check"));
        assert!(load("").expect_err("wrong").join("\n").contains("a provider file needs `verify`"));
    }

    #[test]
    fn an_edit_that_changes_nothing_is_no_proof() {
        let with = |rejects: &str| {
            let vector = format!(
                "  - {{ name: n, source: s, at: 1, credentials: {{ secret: k_ }}, body: aXbX, rejects: [{{ why: w, {rejects} }}] }}"
            );
            load(&format!("{WHOLE}vectors:\n{vector}\n")).map(|_| ()).map_err(|problems| problems.join("\n"))
        };
        assert_eq!(with("body: [b, c]"), Ok(()));
        assert!(with("body: [X, c]").expect_err("twice").contains("does not occur in the body exactly once"));
        assert!(with("body: [Y, c]").expect_err("never").contains("does not occur in the body exactly once"));
        assert!(with("drop: []").expect_err("none").contains("differs from its vector in something"));
        assert!(with("heeder: { a: b }").expect_err("unknown").contains("did you mean `header`?"));
    }

    #[test]
    fn no_embedded_file_is_broken_and_none_is_read_before_it_is_asked_for() {
        let catalogue = Catalogue::embedded();
        assert!(["github", "standard-webhooks", "stripe"].iter().all(|slug| catalogue.names().any(|name| name == *slug)));
        assert_eq!(format!("{catalogue:?}").matches("<uninit>").count(), catalogue.names().count());
        for slug in catalogue.names() {
            assert!(catalogue.load(slug).expect("named").is_ok(), "{:?}", catalogue.load(slug));
        }
        assert!(catalogue.find("githbu").is_none());
        let signed = |slug: &str| catalogue.find(slug).map(|provider| (provider.event.id_signed, provider.event.types_signed));
        assert_eq!(signed("github"), Some((false, false)));
        assert_eq!(signed("stripe"), Some((true, true)));
        assert_eq!(signed("standard-webhooks"), Some((true, true)));
        // Slack's type is not signed, and its body tells by itself whether it is a form. Nothing separates the fields that Twilio signs.
        assert_eq!((signed("slack"), signed("twilio")), (Some((true, true)), Some((false, false))));
    }

    proptest! {
        #[test]
        fn reading_never_panics(at in any::<prop::sample::Index>(), insert in "[a-z{}\\[\\]:,|'\"*# \n-]{1,6}", cut in 0_usize..20) {
            let mut at = at.index(WHOLE.len());
            while !WHOLE.is_char_boundary(at) {
                at -= 1;
            }
            let rest = WHOLE.get(at + cut..).unwrap_or_default();
            let _ = load(&format!("{}{insert}{rest}", &WHOLE[..at]));
        }
    }
}
