//! Secrets that are worth a warning for what they are: whoever knows one of two sources can ring at both, and a short one can be guessed. A
//! credential that only says who is meant is no secret (`Provider::is_secret`), and neither is said of it.

use super::provider;
use crate::{
    config::{Config, Credential, warn_if_short},
    provider::Catalogue,
    secret::Secret,
    yaml::Problems,
};

/// Warns of secrets that two sources have, and of short ones among the named credentials; what the other keys hold was looked at when it
/// was read.
pub(super) fn look_over(config: &Config, catalogue: &Catalogue, problems: &mut Problems) {
    let mut seen: Vec<(&str, &Secret)> = Vec::new();
    for (key, source) in &config.sources.0 {
        // What is wrong with it is said where it is compiled.
        let provider = provider::find(&key.text, source, catalogue, &mut Problems::new());
        let is_secret = |name: &str| provider.is_none_or(|provider| provider.is_secret(name));
        let named = source.credentials.0.iter().filter(|(name, _)| is_secret(&name.text));
        for (name, values) in named.clone() {
            let what = format!("the credential `{}`", name.text);
            values.iter().for_each(|credential| warn_if_short(&credential.value.0, &credential.value.at, &what, problems));
        }
        let own = source.secret.iter().flat_map(|values| values.iter());
        let tokens = source.url_token.iter().flat_map(|values| values.iter());
        for credential in own.chain(named.flat_map(|(_, values)| values.iter())).chain(tokens) {
            note(&key.text, credential, &mut seen, problems);
        }
    }
}

fn note<'a>(source: &'a str, credential: &'a Credential, seen: &mut Vec<(&'a str, &'a Secret)>, problems: &mut Problems) {
    let secret = &credential.value.0;
    if let Some((other, _)) = seen.iter().find(|(other, known)| *other != source && *known == secret) {
        let said = format!("`{source}` has a secret of `{other}`: who knows it can ring at both");
        problems.warning(&credential.value.at, said);
    }
    seen.push((source, secret));
}
