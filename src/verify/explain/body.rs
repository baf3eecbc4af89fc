//! Another body than the one that was signed: read and written anew, with other line ends, or taken for a form that it is not.

use super::{
    Case,
    json::{self, STYLES},
    trial::Trial,
};
use crate::request::{HeadersBuilder, RawRequest, Single};

/// The type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// The type of JSON.
const JSON: &str = "application/json";
/// The byte order mark that some editors begin a file with.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// The field in which vendors that send forms put their JSON.
const FIELD: &str = "payload";
/// What to do about a body that is not as it was received.
const KEEP: &str = "keep the bytes as they arrive, and verify those before anything reads or writes them.";

/// A body made of another; `None` where there is nothing to change.
type Change = fn(&[u8]) -> Option<Vec<u8>>;

/// Line ends that were added, lost or replaced.
const LINES: [(Change, &str); 8] = [
    (|body| Some([body, b"\n"].concat()), "with a line feed at its end, which was lost"),
    (|body| Some([body, b"\r\n"].concat()), "with CR LF at its end, which was lost"),
    (|body| body.strip_suffix(b"\n").map(<[u8]>::to_vec), "without the line feed at its end, which was added"),
    (|body| body.strip_suffix(b"\r\n").map(<[u8]>::to_vec), "without the CR LF at its end, which was added"),
    (|body| Some(body.trim_ascii().to_vec()), "without the blanks and line ends around it, which were added"),
    (|body| Some(line_feeds(body)), "with LF line ends, and here they are CR LF"),
    (|body| Some(returns(body)), "with CR LF line ends, and here they are LF"),
    (|body| body.strip_prefix(MARK).map(<[u8]>::to_vec), "without the byte order mark at its beginning, which an editor added"),
];

/// The body that was signed.
pub(super) fn another(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    lines(case, trial).or_else(|| spelled(case, trial)).or_else(|| confused(case, trial))
}

fn lines(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let body = &case.request.body;
    LINES.iter().find_map(|(change, what)| {
        let other = change(body).filter(|other| other != body)?;
        let found = trial.proves(case.setting, &with_body(case.request, other))?;
        Some(format!("The signature is of the body {what}: {KEEP}{}", found.aside))
    })
}

fn spelled(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let body = &case.request.body;
    STYLES.iter().find_map(|style| {
        let other = json::spelled(body, style).filter(|other| other != body)?;
        let found = trial.proves(case.setting, &with_body(case.request, other))?;
        Some(format!(
            "The signature is of the same JSON written as {}, so the body was parsed and written anew on its way here: {KEEP}{}",
            style.what, found.aside
        ))
    })
}

/// A form taken for JSON, JSON for a form, and the one taken out of the other.
fn confused(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let request = case.request;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&request.body).is_ok();
    let typed = |kind: &str| with_type(request, kind);
    let tries: [(Option<RawRequest>, &str); 2] = if is_json {
        let encoded: Option<String> = std::str::from_utf8(&request.body)
            .ok()
            .map(|text| url::form_urlencoded::Serializer::new(String::new()).append_pair(FIELD, text).finish());
        let whole = encoded.map(|text| RawRequest { body: text.into(), ..typed(FORM).unwrap_or_else(|| request.clone()) });
        [
            (typed(JSON), "It verifies as JSON, and its `Content-Type` does not say that it is: keep the header as it came."),
            (whole, "The signature is of a form whose field `payload` holds this JSON: verify the whole form, as it was received."),
        ]
    } else {
        let inner = url::form_urlencoded::parse(&request.body).find(|(name, _)| name == FIELD).map(|(_, text)| text.into_owned());
        let inner = inner.map(|text| RawRequest { body: text.into(), ..typed(JSON).unwrap_or_else(|| request.clone()) });
        [
            (typed(FORM), "It verifies as a form, and its `Content-Type` does not say that it is one: keep the header as it came."),
            (inner, "The signature is of the JSON in the form's field `payload`: verify that by itself, as it was received."),
        ]
    };
    tries.into_iter().find_map(|(other, said)| {
        let found = trial.proves(case.setting, &other?)?;
        Some(format!("{said}{}", found.aside))
    })
}

fn with_body(request: &RawRequest, body: Vec<u8>) -> RawRequest {
    RawRequest { body: body.into(), ..request.clone() }
}

/// The request with this `Content-Type`; `None` when it has it already.
fn with_type(request: &RawRequest, kind: &str) -> Option<RawRequest> {
    if let Single::One(own) = request.headers.single("content-type")
        && own.split(|byte| *byte == b';').next().is_some_and(|own| own.trim_ascii().eq_ignore_ascii_case(kind.as_bytes()))
    {
        return None;
    }
    let mut headers = HeadersBuilder::new();
    let others = request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    let pushed = others.chain([("Content-Type", kind.as_bytes())]).all(|(name, value)| headers.push(name, value));
    pushed.then(|| RawRequest { headers: headers.build(), ..request.clone() })
}

fn line_feeds(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    for (index, byte) in body.iter().enumerate() {
        if *byte != b'\r' || body.get(index + 1) != Some(&b'\n') {
            text.push(*byte);
        }
    }
    text
}

fn returns(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    for byte in line_feeds(body) {
        if byte == b'\n' {
            text.push(b'\r');
        }
        text.push(byte);
    }
    text
}
