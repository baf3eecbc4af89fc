//! Mistakes with the request: another URL, another body, another type.

use super::*;

#[test]
fn another_url_is_named_by_what_differs() {
    let bench = Bench::new();
    let at = |text: &str| Setting { endpoint: Some(link(text)), ..bench.setting("square", &[("secret", SECRET)]) };
    let cases = [
        ("http://h.example/hooks/t", "https://h.example/hooks/t", "with `http` instead of `https`"),
        ("https://h.example/hooks/t", "http://h.example/hooks/t", "with `https` instead of `http`"),
        ("https://h.example/hooks/t", "https://h.example:8443/hooks/t", "without the port 8443"),
        ("https://h.example/hooks/t/", "https://h.example/hooks/t", "with a slash at its end"),
        ("https://h.example/hooks/t", "https://h.example/hooks/t/", "without the slash at its end"),
        ("http://h.example/hooks/t/", "https://h.example/hooks/t", "with `http` instead of `https` and with a slash at its end"),
    ];
    for (right, wrong, said) in cases {
        let request = bench.signed(&at(right), Some(JSON));
        bench.named(&request, &at(wrong), &[said, "`public_url`"]);
        let text = bench.told(&request, &at(wrong), &[], NOW).text;
        assert!(!text.contains("h.example"), "a URL may have a token in it: {text}");
    }
    let request = bench.signed(&at("https://h.example/hooks/t"), Some(JSON));
    let queried = RawRequest { query: Some("a=1".into()), ..request.clone() };
    bench.named(&queried, &at("https://h.example/hooks/t"), &["without its query"]);
    let host = [("Host".to_owned(), b"h.example".to_vec())];
    let headers: Vec<(String, Vec<u8>)> = request.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    let hosted = built("POST", None, &[&host[..], &headers].concat(), request.body.clone());
    bench.named(&hosted, &at("https://inside.example/hooks/t"), &["host and port of the request's `Host` header"]);
}

#[test]
fn a_query_or_a_port_that_was_signed_is_named() {
    let bench = Bench::new();
    let vector = bench.provider("twilio").vectors.first().expect("proved").clone();
    let setting =
        |text: &str| Setting { endpoint: Some(link(text)), credentials: proof::credentials(&vector), ..bench.setting("twilio", &[]) };
    let request = RawRequest { query: None, ..proof::request(&vector, NOW).expect("a request") };
    let url = vector.url.as_ref().expect("signed");
    let setting = setting(&format!("https://{}{}", url.host_str().expect("a host"), url.path()));
    let refused = setting.compile().expect("compiles").verify(request.clone(), NOW).expect_err("without its query");
    let case = Case {
        request: &request,
        line_query: url.query(),
        now: NOW,
        rejection: refused,
        setting: &setting,
        neighbours: &[],
        catalogue: &bench.catalogue,
    };
    let said = explain(&case);
    assert!(said.found && said.text.contains("with the query of the request line"), "{}", said.text);

    let exact = |text: &str| Setting { endpoint: Some(link(text)), ..bench.setting("square", &[("secret", SECRET)]) };
    let ported = changed(bench.provider("square"), |check| check.urls = vec![crate::provider::UrlSpelling::DefaultPort]);
    let request = {
        let setting = exact("https://h.example/hooks/t");
        let signed = bench.signed(&setting, Some(JSON));
        let mut mac = crate::verify::mac::Mac::new(crate::provider::Scheme::HmacSha256, SECRET.as_bytes()).expect("a key");
        mac.update(b"https://h.example:443/hooks/t");
        mac.update(JSON.as_bytes());
        let signature = spelled(mac.finish().bytes());
        let headers: Vec<(String, Vec<u8>)> = signed.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        let own = |name: &str| name.eq_ignore_ascii_case("x-square-hmacsha256-signature");
        let headers: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| if own(&name) { (name, signature.clone().into_bytes()) } else { (name, value) })
            .collect();
        built("POST", None, &headers, JSON)
    };
    assert!(
        Setting { provider: &ported, ..exact("https://h.example/hooks/t") }
            .compile()
            .expect("compiles")
            .verify(request.clone(), NOW)
            .is_ok()
    );
    bench.named(&request, &exact("https://h.example/hooks/t"), &["with the port 443 written out"]);
}

#[test]
fn line_ends_that_came_or_went_are_named() {
    let bench = Bench::new();
    let setting = bench.setting("github", &[("secret", SECRET)]);
    let cases = [
        ("{}\n", "{}", "with a line feed at its end, which was lost"),
        ("{}\r\n", "{}", "with CR LF at its end, which was lost"),
        ("{}", "{}\n", "without the line feed at its end, which was added"),
        ("{}", "{}\r\n", "without the CR LF at its end, which was added"),
        ("{}", "  {} \n", "without the blanks and line ends around it"),
        ("{\n}\n", "{\r\n}\r\n", "with LF line ends, and here they are CR LF"),
        ("{\r\n}\r\n", "{\n}\n", "with CR LF line ends, and here they are LF"),
        ("{}", "\u{feff}{}", "without the byte order mark"),
    ];
    for (right, wrong, said) in cases {
        let request = with_body(&bench.signed(&setting, Some(right)), wrong);
        bench.named(&request, &setting, &[said, "keep the bytes as they arrive"]);
    }
}

#[test]
fn a_body_that_was_written_anew_is_named_by_its_spelling() {
    let bench = Bench::new();
    let setting = bench.setting("stripe", &[("secret", WHSEC)]);
    let pretty = json::spelled(JSON.as_bytes(), &json::STYLES[4]).expect("JSON");
    let mut seen = std::collections::BTreeSet::new();
    for style in &json::STYLES {
        let right = String::from_utf8(json::spelled(JSON.as_bytes(), style).expect("JSON")).expect("text");
        // Written by a framework in another way than by the sender.
        let wrong = if right.as_bytes() == pretty { JSON.into() } else { pretty.clone() };
        let request = bench.signed(&setting, Some(&right));
        bench.named(&with_body(&request, wrong), &setting, &["the same JSON written as", style.what, "parsed and written anew"]);
        assert!(seen.insert(right), "each style is another spelling");
    }
}

#[test]
fn a_form_taken_for_json_and_the_other_way_round_is_named() {
    let bench = Bench::new();
    let github = bench.setting("github", &[("secret", SECRET)]);
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", JSON).finish();
    let whole = with_body(&bench.signed(&github, Some(&form)), JSON);
    bench.named(&whole, &github, &["a form whose field `payload`"]);
    let inner = with_body(&bench.signed(&github, Some(JSON)), form);
    bench.named(&inner, &github, &["the JSON in the form's field `payload`"]);
    let twilio = bench.provider("twilio");
    let vector = twilio.vectors.first().expect("proved");
    let edited = vector.edited(&crate::provider::Reject {
        why: "a framework".into(),
        edits: vec![Edit::Header("Content-Type".into(), vec!["application/json".into()])],
    });
    let setting = Setting { endpoint: proof::endpoint(vector), credentials: proof::credentials(vector), ..bench.setting("twilio", &[]) };
    bench.named(&proof::request(&edited, NOW).expect("a request"), &setting, &["verifies as a form", "`Content-Type`"]);
}
