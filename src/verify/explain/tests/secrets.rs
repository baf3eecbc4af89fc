//! Mistakes with secrets: another one, another source's, one spelled in another way.

use super::*;

#[test]
fn another_secret_of_the_source_is_named_by_its_fingerprint() {
    let bench = Bench::new();
    let old = credential("secret", OTHER);
    let request = bench.signed(&Setting { credentials: vec![old.clone()], ..bench.setting("github", &[]) }, Some(JSON));
    let print = old.value.fingerprint().to_string();
    let retired = Credential { until: Some(UnixMs(1)), ..old };
    let with_old = Setting { retired: vec![retired.clone()], ..bench.setting("github", &[("secret", SECRET)]) };
    bench.named(&request, &with_old, &["past its `until`", &print]);
    let listed = Setting { credentials: vec![credential("secret", SECRET), retired], ..with_old.clone() };
    bench.named(&request, &Setting { retired: Vec::new(), ..listed }, &["past its `until`", &print]);

    let swapped = bench.setting("meta", &[("secret", SECRET), ("verify_token", OTHER)]);
    let request = bench.signed(&bench.setting("meta", &[("secret", OTHER), ("verify_token", SECRET)]), Some(JSON));
    bench.named(&request, &swapped, &["under `verify_token`", &print, "write that value as `secret`"]);
}

#[test]
fn another_source_is_named_and_so_is_its_secret() {
    let bench = Bench::new();
    let here = bench.setting("github", &[("secret", SECRET)]);
    let there = Neighbour { name: "shop".into(), setting: bench.setting("stripe", &[("secret", OTHER)]) };
    let print = credential("secret", OTHER).value.fingerprint().to_string();
    let neighbours = [Neighbour { name: "far".into(), setting: bench.setting("gitlab", &[("secret", "canary-of-nobody")]) }, there];
    let of_neighbour = bench.signed(&neighbours[1].setting, Some(JSON));
    let said = bench.told(&of_neighbour, &here, &neighbours, NOW);
    assert!(said.found && said.text.contains("for the source `shop` (provider `stripe`, secret of fingerprint"), "{}", said.text);
    assert!(said.text.contains(&print) && said.text.contains("have it sent to that source's URL"), "{}", said.text);
    let with_its_secret = bench.signed(&bench.setting("github", &[("secret", OTHER)]), Some(JSON));
    let said = bench.told(&with_its_secret, &here, &neighbours, NOW);
    assert!(said.found && said.text.contains("the `secret` of the source `shop` (fingerprint"), "{}", said.text);
    assert!(!bench.told(&with_its_secret, &here, &[], NOW).found, "without the configuration nobody knows that secret");
}

#[test]
fn what_stands_around_a_secret_is_taken_off() {
    let bench = Bench::new();
    for (slug, right) in [("github", SECRET), ("standard-webhooks", WHSEC), ("stripe", WHSEC), ("gitlab", SECRET)] {
        let request = bench.signed(&bench.setting(slug, &[("secret", right)]), Some(JSON));
        for around in ["@\n", "@\r\n", " @", "\t@  "] {
            let wrong = around.replace('@', right);
            bench.named(&request, &bench.setting(slug, &[("secret", &wrong)]), &["without the blanks or line ends", "store it"]);
        }
        for around in ["\"@\"", "'@'", "\"@\"\n"] {
            let wrong = around.replace('@', right);
            bench.named(&request, &bench.setting(slug, &[("secret", &wrong)]), &["without the quotation marks"]);
        }
    }
    let request = bench.signed(&bench.setting("github", &[("secret", &format!("{SECRET}\n"))]), Some(JSON));
    bench.named(&request, &bench.setting("github", &[("secret", SECRET)]), &["a line end behind it", "stored anew"]);
}

#[test]
fn a_prefix_too_many_or_too_few_is_named() {
    let bench = Bench::new();
    let bare = WHSEC.trim_start_matches("whsec_");
    let stripe = bench.signed(&bench.setting("stripe", &[("secret", WHSEC)]), Some(JSON));
    bench.named(&stripe, &bench.setting("stripe", &[("secret", bare)]), &["behind `whsec_`", "store the secret whole"]);
    let github = bench.signed(&bench.setting("github", &[("secret", bare)]), Some(JSON));
    bench.named(&github, &bench.setting("github", &[("secret", WHSEC)]), &["without its `whsec_`"]);
    let standard = bench.signed(&bench.setting("standard-webhooks", &[("secret", WHSEC)]), Some(JSON));
    let supabase = format!("v1,{WHSEC}");
    bench.named(&standard, &bench.setting("standard-webhooks", &[("secret", &supabase)]), &["without its `v1,whsec_`"]);
}

#[test]
fn a_secret_that_is_decoded_or_not_is_named() {
    let bench = Bench::new();
    let hook = |slug, value: &[u8]| {
        let setting = Setting { credentials: vec![credential("secret", value)], ..bench.setting(slug, &[]) };
        bench.signed(&setting, Some(JSON))
    };
    let key = b"\x00\xffcanary-key\xfe";
    let (hex, base64) = (hex::encode(key), spelled(key));
    bench.named(&hook("github", key), &bench.setting("github", &[("secret", &hex)]), &["taken as hex", "key: { form: hex }"]);
    bench.named(&hook("github", key), &bench.setting("github", &[("secret", &base64)]), &["taken as base64", "takes it as text"]);
    let prefixed = format!("whsec_{base64}");
    let words = ["after its `whsec_`", "form: base64, strip: \"whsec_\""];
    bench.named(&hook("stripe", key), &bench.setting("stripe", &[("secret", &prefixed)]), &words);
    // Signed with the secret's text, where it should have been decoded.
    for text in [WHSEC, WHSEC.trim_start_matches("whsec_")] {
        let request = hook("standard-webhooks", spelled(text.as_bytes()).as_bytes());
        bench.named(&request, &bench.setting("standard-webhooks", &[("secret", WHSEC)]), &["taken as text", "takes it as base64"]);
    }
}
