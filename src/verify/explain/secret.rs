//! Another secret, and the same secret spelled in another way: with or without its prefix, encoded or as text, with what was pasted or
//! stored along with it.

use super::{Case, Setting, changed, trial::Trial};
use crate::{
    provider::{Family, KeyForm, KeyRule, Provider},
    secret::Secret,
    verify::Credential,
};

/// Beginnings that vendors put before a secret, for a reader to take off or for a vendor to sign with.
const PREFIXES: [&str; 2] = ["whsec_", "v1,whsec_"];
/// How a key may be written that is not a public one.
const FORMS: [KeyForm; 4] = [KeyForm::Text, KeyForm::Base64, KeyForm::Base64Url, KeyForm::Hex];

/// A credential of the same source that the signature is not verified with: one past its time, or one under another name.
pub(super) fn another(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let setting = case.setting;
    let names = setting.key_names();
    let late = setting.credentials.iter().filter(|credential| !credential.active(case.now));
    for retired in setting.retired.iter().chain(late).filter(|credential| names.contains(&&*credential.name)) {
        let back = Credential { until: None, ..retired.clone() };
        if let Some(found) = trial.proves(&setting.with(back), case.request) {
            return Some(format!(
                "It is signed with the `{}` of fingerprint {}, which is past its `until`: the sender still uses it, so give that secret a \
                 later `until`, or have the sender take the new one.{}",
                retired.name,
                retired.value.fingerprint(),
                found.aside
            ));
        }
    }
    let first = names.first()?;
    for other in setting.credentials.iter().filter(|credential| !names.contains(&&*credential.name)) {
        let renamed = Credential { name: (*first).into(), ..other.clone() };
        if let Some(found) = trial.proves(&setting.with(renamed), case.request) {
            return Some(format!(
                "It is signed with what stands under `{}` (fingerprint {}): write that value as `{first}`.{}",
                other.name,
                other.value.fingerprint(),
                found.aside
            ));
        }
    }
    None
}

/// The same secret in another spelling.
pub(super) fn spelled(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let setting = case.setting;
    for credential in setting.keys() {
        for (value, what) in respelled(credential, setting.provider) {
            let other = Credential { value, ..credential.clone() };
            if let Some(found) = trial.proves(&setting.with(other), case.request) {
                return Some(format!("It verifies with `{}` {what}{}", credential.name, found.aside));
            }
        }
    }
    for credential in setting.keys() {
        if let Some(said) = encoded(case, credential, trial) {
            return Some(said);
        }
    }
    None
}

/// Other spellings of a secret, and what is different about each and to be done.
fn respelled(credential: &Credential, provider: &Provider) -> Vec<(Secret, String)> {
    // Revealed to be tried with what was pasted or stored around it taken off or put back; no text shows it.
    let whole = credential.value.reveal();
    let trimmed = whole.trim_ascii();
    let bare = unquoted(trimmed);
    let shown = provider.credential(&credential.name).and_then(|rule| rule.prefix.as_deref());
    let strip = provider.checks.iter().filter_map(|check| check.key.strip.as_deref());
    let mut prefixes: Vec<&str> = shown.into_iter().chain(strip).chain(PREFIXES).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let mut spellings = vec![
        (trimmed.to_vec(), "without the blanks or line ends around it: store it without them.".to_owned()),
        (bare.to_vec(), "without the quotation marks around it: store it without them.".to_owned()),
    ];
    for prefix in &prefixes {
        if let Some(rest) = bare.strip_prefix(prefix.as_bytes()) {
            spellings.push((rest.to_vec(), format!("without its `{prefix}`: leave that out where the secret is stored.")));
        } else {
            let said = format!("behind `{prefix}`: store the secret whole, beginning and all, as the vendor shows it.");
            spellings.push(([prefix.as_bytes(), bare].concat(), said));
        }
    }
    for end in ["\n", "\r\n"] {
        let said = "and a line end behind it: the sender signs with a secret that was stored with one, so have it stored anew without.";
        spellings.push(([bare, end.as_bytes()].concat(), said.to_owned()));
    }
    spellings.retain(|(value, _)| value != whole && !value.is_empty());
    spellings.into_iter().map(|(value, said)| (Secret::new(value), said)).collect()
}

fn unquoted(text: &[u8]) -> &[u8] {
    let marks = [b'"', b'\'', b'`'];
    match text {
        [first, inner @ .., last] if first == last && marks.contains(first) => inner,
        _ => text,
    }
}

/// The secret read in another way than the provider file says.
fn encoded(case: &Case<'_>, credential: &Credential, trial: &mut Trial) -> Option<String> {
    let provider = case.setting.provider;
    let first = provider.checks.iter().find(|check| check.key.from.contains(&credential.name))?;
    let family = first.scheme.first().family();
    // A public key is told from others by what it is, and a token is compared as it stands.
    if first.scheme.first().is_asymmetric() || matches!(family, Family::Token | Family::Basic | Family::None) {
        return None;
    }
    // Revealed to see which beginnings it has.
    let begins = |prefix: &str| credential.value.reveal().starts_with(prefix.as_bytes());
    let own = first.key.strip.as_deref();
    let strips = [None, own].into_iter().chain(PREFIXES.map(Some)).filter(|strip| strip.is_none_or(begins));
    let mut ways: Vec<(KeyForm, Option<&str>)> = strips.flat_map(|strip| FORMS.map(|form| (form, strip))).collect();
    ways.dedup();
    for (form, strip) in ways {
        if form == first.key.form && strip.filter(|prefix| begins(prefix)) == own.filter(|prefix| begins(prefix)) {
            continue;
        }
        let other = changed(provider, |check| {
            if check.key.from.contains(&credential.name) {
                check.key = KeyRule { form, strip: strip.map(Box::from), ..check.key.clone() };
            }
        });
        let setting = Setting { provider: &other, ..case.setting.with(credential.clone()) };
        if let Some(found) = trial.proves(&setting, case.request) {
            let (name, slug) = (&credential.name, &provider.slug);
            let (used, usual) = (way(form, strip), way(first.key.form, own));
            let key = strip.map_or_else(|| format!("form: {}", word(form)), |strip| format!("form: {}, strip: \"{strip}\"", word(form)));
            return Some(format!(
                "It verifies with `{name}` taken as {used}, and `{slug}` takes it as {usual}: have the sender read its secret as `{slug}` \
                 does, or use a provider file with `key: {{ {key} }}`.{}",
                found.aside
            ));
        }
    }
    None
}

fn way(form: KeyForm, strip: Option<&str>) -> String {
    match strip {
        Some(prefix) => format!("{} after its `{prefix}`", form.words()),
        None => format!("{}, from its first character", form.words()),
    }
}

/// A form as a provider file writes it.
fn word(form: KeyForm) -> &'static str {
    match form {
        KeyForm::Text => "text",
        KeyForm::Hex => "hex",
        KeyForm::Base64 => "base64",
        KeyForm::Base64Url => "base64url",
        KeyForm::Pem => "pem",
        KeyForm::Spki => "spki",
        KeyForm::Jwks => "jwks",
    }
}
