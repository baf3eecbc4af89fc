//! What a check's proof covers in a request, read here a second time and in another way than the gateway reads it, so that an accepted
//! change can be held against it: the covered values must be the same, and a candidate that proved the request must still stand there.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hookgate::provider::{Atom, Check, Demand, DocumentPlace, Family, Filter, KeyForm, Provider, Shape, Step, UrlSpelling, Want};
use serde_json::Value as Json;

use super::change::Case;

/// The key's spelling proves nothing: padding and the bits behind the last byte are passed over.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// A signature as it stands there, with the fields beside it that it covers.
pub(super) type Candidate = (BTreeMap<String, String>, String);
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The checks that the vector's credentials switch on.
pub(super) fn active<'p>(provider: &'p Provider, case: &Case) -> Vec<&'p Check> {
    let set = |check: &&Check| check.key.from.iter().any(|name| case.credentials.iter().any(|(own, _)| own == name));
    provider.checks.iter().filter(|check| check.scheme.family() == Family::None || set(check)).collect()
}

/// The covered values, each under its place. What stands in a candidate or a token is compared with that. What is empty and what is not
/// there is signed as the same where it is signed at all.
pub(super) fn covered(provider: &Provider, check: &Check, case: &Case) -> BTreeMap<String, Option<Vec<u8>>> {
    let beside = |atom: &Atom| !matches!(atom, Atom::Field(_) | Atom::Claim(_) | Atom::Key | Atom::Credential(_));
    let each = |atom: Atom| (atom.to_string(), value(provider, check, &atom, case).filter(|value| !value.is_empty()));
    check.covered().into_iter().filter(beside).map(each).collect()
}

/// Whether the demands hold that name one value and what it is.
pub(super) fn demanded(provider: &Provider, check: &Check, case: &Case) -> bool {
    let holds = |demand: &Demand| {
        if matches!(demand.value.atom, Atom::Claim(_) | Atom::Field(_)) {
            return true;
        }
        let lower = |found: Vec<u8>| if demand.value.filters.contains(&Filter::Lower) { found.to_ascii_lowercase() } else { found };
        let found = value(provider, check, &demand.value.atom, case).map(lower);
        match &demand.want {
            Want::Present => found.is_some_and(|found| !found.is_empty()),
            Want::Absent => found.is_none(),
            Want::Any(templates) => {
                let literals: Option<Vec<String>> = templates.iter().map(hookgate::provider::Template::literal).collect();
                literals.is_none_or(|literals| found.is_some_and(|found| literals.iter().any(|text| *text.as_bytes() == *found)))
            }
        }
    };
    check.require.demands.iter().all(holds)
}

/// Every signature that stands where the check looks.
pub(super) fn candidates(provider: &Provider, check: &Check, case: &Case) -> Vec<Candidate> {
    let rule = &check.signature;
    let standing = |atom: &Atom| match atom {
        Atom::Headers(start) => {
            let begins = |name: &str| name.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
            case.headers.iter().filter(|(name, _)| begins(name)).map(|(_, value)| value.clone()).collect()
        }
        other => value(provider, check, other, case).into_iter().collect::<Vec<_>>(),
    };
    let texts = rule.at.iter().flat_map(standing).filter_map(|text| String::from_utf8(text).ok());
    let signed = |key: &str| check.covered().iter().any(|atom| matches!(atom, Atom::Field(name) if **name == *key));
    let stripped = |text: &str| match rule.strip.as_slice() {
        [] => Some(text.to_owned()),
        all => all.iter().find_map(|prefix| text.strip_prefix(&**prefix)).map(str::to_owned),
    };
    let mut found = Vec::new();
    for text in texts {
        let mut pieces = vec![text];
        for separator in &rule.split {
            pieces = pieces.iter().flat_map(|piece| piece.split(&**separator)).map(str::to_owned).collect();
        }
        for piece in pieces {
            match (&rule.shape, check.scheme.family()) {
                (Shape::Whole, Family::Basic) => {
                    let password = piece.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
                    found.extend(password.map(|(_, password)| (BTreeMap::new(), password.trim().to_owned())));
                }
                (Shape::Whole, _) => found.extend(stripped(&piece).map(|text| (BTreeMap::new(), text))),
                (Shape::Pairs { separator, value }, _) => {
                    let pairs = piece.split(&**separator).filter_map(|pair| pair.split_once('='));
                    let pairs: Vec<(&str, &str)> = pairs.map(|(key, text)| (key.trim(), text.trim())).collect();
                    let fields: BTreeMap<String, String> =
                        pairs.iter().filter(|(key, _)| signed(key)).map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
                    let signatures = pairs.iter().filter(|(key, _)| *key == &**value).filter_map(|(_, text)| stripped(text));
                    found.extend(signatures.map(|text| (fields.clone(), text)));
                }
                (Shape::Unpacked(at), _) => {
                    let unpacked = LENIENT.decode(&piece).ok().and_then(|json| serde_json::from_slice::<Json>(&json).ok());
                    let signature = unpacked.as_ref().and_then(|json| json.pointer(at)).and_then(Json::as_str);
                    found.extend(signature.map(|text| (BTreeMap::new(), text.to_owned())));
                }
                (Shape::Columns { separator, names, value }, _) => {
                    let columns: Vec<(&str, &str)> = names.iter().map(|name| &**name).zip(piece.split(&**separator)).collect();
                    let fields: BTreeMap<String, String> = columns
                        .iter()
                        .filter(|(name, _)| signed(name))
                        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                        .collect();
                    let signatures = columns.iter().filter(|(name, _)| *name == &**value).filter_map(|(_, text)| stripped(text));
                    found.extend(signatures.map(|text| (fields.clone(), text)));
                }
            }
        }
    }
    found
}

/// The bytes of each key of a check, one for each value of its credentials.
pub(super) fn keys(check: &Check, case: &Case) -> Vec<Vec<u8>> {
    let own = case.credentials.iter().filter(|(name, _)| check.key.from.contains(name));
    own.filter_map(|(_, text)| {
        let prefix = check.key.strip.as_deref().unwrap_or_default().as_bytes();
        let text = text.strip_prefix(prefix).unwrap_or(text);
        let dense = |text: &[u8]| text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>();
        match check.key.form {
            KeyForm::Text => Some(text.to_vec()),
            KeyForm::Hex => hex::decode(text).ok(),
            KeyForm::Base64 | KeyForm::Base64Url => LENIENT.decode(text).ok(),
            KeyForm::Spki => LENIENT.decode(dense(text)).ok().and_then(|der| public_key(&der)),
            KeyForm::Pem => {
                let text = String::from_utf8(text.to_vec()).ok()?;
                let inner: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
                let der = LENIENT.decode(dense(inner.as_bytes())).ok()?;
                if text.contains("BEGIN CERTIFICATE") { public_key(of_certificate(&der)?) } else { public_key(&der) }
            }
            KeyForm::Jwks => {
                let set: Json = serde_json::from_slice(text).ok()?;
                let point = |key: &Json| [&key["x"], &key["y"]].map(|part| part.as_str().unwrap_or_default().to_owned()).concat();
                Some(set["keys"].as_array()?.iter().map(point).collect::<String>().into_bytes())
            }
        }
    })
    .collect()
}

/// The key itself in a SubjectPublicKeyInfo: what names its algorithm and what stands behind it is not part of it, and a point of a curve
/// written whole (X9.62) begins with 4, or with 6 or 7, and is the same point.
fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let (info, _) = element(der)?;
    let (_, after_algorithm) = element(info)?;
    match element(after_algorithm)?.0 {
        [0, 4 | 6 | 7, point @ ..] if point.len() == 64 => Some(point.to_vec()),
        whole => Some(whole.to_vec()),
    }
}

/// The SubjectPublicKeyInfo in a certificate (RFC 5280, 4.1). A certificate that is pinned is its key: whoever wrote it down vouches for
/// it.
fn of_certificate(der: &[u8]) -> Option<&[u8]> {
    let (to_be_signed, _) = element(element(der)?.0)?;
    let has_version = to_be_signed.first() == Some(&0xa0);
    // Serial number, algorithm, issuer, validity and subject come before it.
    (0..5 + usize::from(has_version)).try_fold(to_be_signed, |rest, _| Some(element(rest)?.1))
}

/// What is in the first element of some DER, and what stands behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = match der.get(1..)? {
        [short @ 0..=0x7f, rest @ ..] => (usize::from(*short), rest),
        [0x81, size, rest @ ..] => (usize::from(*size), rest),
        [0x82, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        _ => return None,
    };
    rest.split_at_checked(size)
}

/// The value at one place; `None` when it is not there, or not once.
fn value(provider: &Provider, check: &Check, atom: &Atom, case: &Case) -> Option<Vec<u8>> {
    let query = || case.url.as_ref().and_then(|url| url.query());
    let bytes = |text: String| text.into_bytes();
    match atom {
        Atom::Body => Some(case.body.clone()),
        Atom::Method => Some(bytes(case.method.clone())),
        Atom::Path => case.url.as_ref().map(|url| bytes(url.path().to_owned())),
        Atom::Query => query().map(|query| bytes(query.to_owned())),
        Atom::Header(name) => header(case, name),
        Atom::Parameter(name) => once(&fields(query().unwrap_or_default().as_bytes()), name.as_bytes()),
        Atom::Url | Atom::Endpoint => {
            let mut url = case.url.clone()?;
            url.set_fragment(None);
            let text = url.to_string();
            Some(bytes(if check.urls.contains(&UrlSpelling::Decoded) { undone(&text) } else { text }))
        }
        Atom::Form(name) => once(&form(case)?, name.as_bytes()),
        Atom::FormSorted | Atom::FormPhp(_) => {
            let mut fields = if case.body.is_empty() { Vec::new() } else { form(case)? };
            fields.sort();
            if let Atom::FormPhp(skip) = atom {
                fields.retain(|(name, _)| *name != skip.as_bytes());
            } else {
                fields.dedup();
            }
            Some(fields.iter().flat_map(|(name, value)| [&name[..], b"=", value, b"\0"].concat()).collect())
        }
        Atom::Json(pointer) => document(provider, case).and_then(|document| pointed(&document, pointer.steps())),
        Atom::Item(item) => {
            let pointer = check.each.as_ref()?.every(item);
            document(provider, case).and_then(|document| pointed(&document, pointer.steps()))
        }
        Atom::SignedHeaders(headers) => {
            let list = String::from_utf8(header(case, &headers.list)?).ok()?.to_lowercase();
            let mut names: Vec<&str> = list.split(',').map(str::trim).collect();
            names.sort_unstable();
            let one = |name: &&str| Some([name.as_bytes(), header(case, name)?.trim_ascii()].join(&b':'));
            Some(names.iter().map(one).collect::<Option<Vec<_>>>()?.join(&b'\n'))
        }
        Atom::QueryStringHash => {
            let mut pairs = fields(query().unwrap_or_default().as_bytes());
            pairs.retain(|(name, _)| name != b"jwt");
            pairs.sort();
            let pairs = pairs.iter().map(|(name, value)| [&name[..], value].join(&b'=')).collect::<Vec<_>>().join(&b'&');
            let path = case.url.as_ref().map(|url| url.path().to_owned()).unwrap_or_default();
            Some([case.method.to_uppercase().as_bytes(), path.trim_end_matches('/').as_bytes(), &pairs].join(&b'&'))
        }
        other => panic!("{} covers {other}, which is not read here yet", provider.slug),
    }
}

/// A URL in which what HubSpot decodes is decoded.
fn undone(url: &str) -> String {
    let pairs =
        [("%3A", ":"), ("%2F", "/"), ("%3F", "?"), ("%40", "@"), ("%21", "!"), ("%24", "$"), ("%27", "'"), ("%28", "("), ("%29", ")")];
    let more = [("%2A", "*"), ("%2C", ","), ("%3B", ";")];
    pairs
        .iter()
        .chain(&more)
        .fold(url.to_owned(), |url, (escaped, plain)| url.replace(escaped, plain).replace(&escaped.to_lowercase(), plain))
}

fn header(case: &Case, name: &str) -> Option<Vec<u8>> {
    let mut found = case.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.clone())
}

/// The value of the only field of this name.
fn once(fields: &Fields, name: &[u8]) -> Option<Vec<u8>> {
    let mut found = fields.iter().filter(|(own, _)| own == name);
    found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.clone())
}

/// The fields of the form that the body says it is.
fn form(case: &Case) -> Option<Fields> {
    let kind = String::from_utf8(header(case, "content-type")?).ok()?;
    match kind.split(';').next().unwrap_or_default().trim().to_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Some(fields(&case.body)),
        "multipart/form-data" => Some(parts(&case.body, kind.split_once('=')?.1.trim_matches('"'))),
        _ => None,
    }
}

/// Name and value of each part of a form in parts. Byte for byte as Latin-1, so that no two bodies read the same.
fn parts(body: &[u8], boundary: &str) -> Fields {
    let latin1 = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let back = |text: &str| text.chars().filter_map(|char| u8::try_from(u32::from(char)).ok()).collect::<Vec<u8>>();
    let whole = format!("\r\n{}", latin1(body));
    let part = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let name = head.split("name=\"").nth(1)?.split('"').next()?;
        Some((back(name), back(value)))
    };
    whole.split(&format!("\r\n--{boundary}")).filter_map(part).collect()
}

fn fields(text: &[u8]) -> Fields {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let two = |pair: &[u8]| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=').map(unescaped);
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    };
    pairs.map(two).collect()
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| text[at] == b'%').and_then(|digits| hex::decode(digits).ok());
        out.push(escaped.as_ref().map_or(if text[at] == b'+' { b' ' } else { text[at] }, |byte| byte[0]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// The JSON document, where the provider says it is.
fn document(provider: &Provider, case: &Case) -> Option<Json> {
    let text = provider.document.iter().find_map(|place| match place {
        DocumentPlace::Body => Some(case.body.clone()),
        DocumentPlace::Form(name) => once(&form(case)?, name.as_bytes()),
    });
    // A byte that is no UTF-8 makes the value it stands in another one, and does not take the others away.
    serde_json::from_str(&String::from_utf8_lossy(&text?)).ok()
}

/// The values that a pointer leads to. Where it leads to several, each has its place, and one that is missing leaves it empty.
fn pointed(document: &Json, steps: &[Step]) -> Option<Vec<u8>> {
    match steps.split_first() {
        Some((Step::Member(name), rest)) => {
            let member = match document {
                Json::Array(items) => items.get(name.parse::<usize>().ok()?),
                other => other.get(&**name),
            };
            pointed(member?, rest)
        }
        Some((Step::Every, rest)) => {
            let items = document.as_array().filter(|items| !items.is_empty())?;
            let one = |item: &Json| pointed(item, rest).unwrap_or_default();
            Some(items.iter().map(one).collect::<Vec<_>>().join(&b'\n'))
        }
        None => match document {
            Json::String(text) => Some(text.clone().into_bytes()),
            Json::Number(_) | Json::Bool(_) => Some(document.to_string().into_bytes()),
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        },
    }
}
