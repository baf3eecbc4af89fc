//! What there is to say when no mistake was found: what the reason means, what was looked for and where, what of it was there, and what was
//! tried.

use super::{Case, Setting, trial::Trial};
use crate::{
    provider::{Atom, Check, Encoding, Family, Shape},
    rejection::Rejection,
    request::{Single, name_begins},
    verify::{
        candidates,
        document::Document,
        explain::{TRIED_BYTES_MAX, TRIES_MAX},
        spelling,
        value::Scope,
    },
};

/// Characters of a received signature that are shown, to tell it from others.
pub const SHOWN_SIGNATURE_BYTES_MAX: usize = 4;

/// All that is known of a refusal that nothing explains.
pub(super) fn nothing(case: &Case<'_>, trial: &Trial) -> String {
    let mut said = vec![why(case.rejection).to_owned()];
    said.extend(absent(case));
    if case.rejection == Rejection::BadSignature {
        said.extend(received(case));
    }
    if trial.tries() > 0 {
        let gib = TRIED_BYTES_MAX >> 30;
        let short =
            if trial.cut_short() { format!("; more were left out: that, or {gib} GiB of bodies, is the most") } else { String::new() };
        said.push(format!("None of {} likely mistakes that were tried (at most {TRIES_MAX}) explains it{short}.", trial.tries()));
    }
    said.extend(case.setting.provider.checks.iter().map(looked_for));
    said.join(" ")
}

/// The header that occurs twice.
pub(super) fn doubled(case: &Case<'_>) -> Option<String> {
    let verifier = case.setting.compile().ok()?;
    let headers = &case.request.headers;
    let looked_at = |name: &&str| {
        let of_family = verifier.families.iter().any(|start| name_begins(name, start));
        of_family || verifier.singles.iter().any(|single| single.eq_ignore_ascii_case(name))
    };
    let twice = |name: &&str| headers.single(name) == Single::Repeated;
    let name = headers.iter().map(|(name, _)| name).filter(looked_at).find(twice)?;
    Some(format!(
        "The header `{name}` occurs twice, and which of the two was meant cannot be told: send it once, and see whether a proxy adds it."
    ))
}

/// What a reason means.
fn why(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::MissingSignature => "Nothing that could be a signature stands where the provider puts it.",
        Rejection::BadSignature => "The signature is of another body, of other signed headers, or made with another secret.",
        Rejection::Stale => "The signature holds, but it was made too long ago.",
        Rejection::Future => "The signature holds, but it was made too far in the future.",
        Rejection::Malformed => "Something that is signed is missing, or is not spelled as the provider spells it.",
        Rejection::Requirement => "The signature holds, and something that the provider promises besides does not.",
        Rejection::Method => "Events come by POST; a source takes another method as one when its `allow_methods` names it.",
        Rejection::DuplicateHeader => "A header that is verified occurs twice.",
        _ => "The request is not one that this provider sends.",
    }
}

/// The headers that the proof rests on and that are not there.
fn absent(case: &Case<'_>) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for atom in case.setting.provider.checks.iter().flat_map(Check::atoms) {
        let missing = match atom {
            Atom::Header(name) => (case.request.headers.single(name) == Single::Absent).then_some(&**name),
            Atom::Headers(start) => (!case.request.headers.iter().any(|(name, _)| name_begins(name, start))).then_some(&**start),
            _ => None,
        };
        names.extend(missing.filter(|name| !names.iter().any(|other| other.eq_ignore_ascii_case(name))));
    }
    let quoted = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and no ");
    (!names.is_empty()).then(|| format!("The request has no {quoted} header: see whether a proxy or the capture left it out."))
}

/// What signatures there were, and with which secrets they were tried.
fn received(case: &Case<'_>) -> Option<String> {
    let verifier = case.setting.compile().ok()?;
    let form = verifier.form(case.request);
    let document = Document::read(verifier.document_text(case.request, &form), &verifier.check_pointers);
    let scope = Scope { document: &document, ..verifier.scope(case.request, &form, case.now) };
    let check = verifier.checks.iter().find(|check| check.rule.each.is_none())?;
    let scheme = check.variant(&scope).ok()?.scheme;
    let texts = candidates::places(&check.rule.signature, &scope).ok()?;
    let groups = candidates::groups(check, scheme, &texts, &scope).ok()?;
    let count: usize = groups.iter().map(|group| group.signatures.len()).sum();
    let first = groups.first().and_then(|group| group.signatures.first())?;
    let begins = match check.rule.signature.encoding {
        // What stands there may be a secret, though not the one that was looked for.
        Encoding::Plain => String::new(),
        encoding => {
            let shown: String = spelling::encode(first, encoding).chars().take(SHOWN_SIGNATURE_BYTES_MAX).collect();
            format!(", the first beginning `{shown}`,")
        }
    };
    let found = if count == 1 { "1 signature was".to_owned() } else { format!("{count} signatures were") };
    Some(format!("{found} found{begins} and tried with {}.", keys(case.setting)))
}

fn keys(setting: &Setting<'_>) -> String {
    let prints: Vec<String> = setting.keys().map(|credential| credential.value.fingerprint().to_string()).collect();
    match prints.as_slice() {
        [one] => format!("the secret of fingerprint {one}"),
        several => format!("{} secrets, of fingerprints {}", several.len(), several.join(", ")),
    }
}

/// What a check looks for.
fn looked_for(check: &Check) -> String {
    let rule = &check.signature;
    let places = rule.at.iter().map(Atom::to_string).collect::<Vec<_>>().join(" or ");
    let prefix = match rule.strip.iter().filter(|prefix| !prefix.is_empty()).map(|prefix| format!("`{prefix}`")).collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        prefixes => format!("{} and ", prefixes.join(" or ")),
    };
    let field = match &rule.shape {
        Shape::Whole => String::new(),
        Shape::Pairs { separator, value } | Shape::Columns { separator, value, .. } => format!("as `{value}` of its `{separator}` list, "),
        Shape::Unpacked(value) => format!("as `{value}` of the JSON in it, "),
    };
    let what = match check.scheme.family() {
        Family::None => return "Nothing is signed.".into(),
        Family::Token => "the secret itself".into(),
        Family::Basic => "`Basic` with user and password".into(),
        Family::Jws => format!("a JSON Web Signature ({})", check.scheme.words()),
        _ => {
            let hash = if check.digested { "the SHA-256 of " } else { "" };
            format!("{} of {} over {hash}`{}`", rule.encoding.words(), check.scheme.words(), check.message.text())
        }
    };
    let mut text = format!("Looked for in {places}: {field}{prefix}{what}.");
    if let Some(timestamp) = &check.timestamp {
        let tolerance =
            timestamp.tolerance.map_or("any age".to_owned(), |within| format!("within {} of now", humantime::format_duration(within)));
        text.push_str(&format!(" Its time is in {}, {tolerance}.", timestamp.at));
    }
    text
}
