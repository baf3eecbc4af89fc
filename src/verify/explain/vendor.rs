//! Another provider of the catalogue whose requests look like this one, and verify with the same secret.

use super::{Case, Setting, trial::Trial};
use crate::{
    provider::{Family, Provider},
    request::{RawRequest, Single},
    verify::Credential,
};

/// Providers that are named at most: some sign alike.
const NAMED_MAX: usize = 24;
/// Up to so many are named with their titles.
const TITLED_MAX: usize = 4;

/// The provider whose request it is; all of them, where several sign alike.
pub(super) fn another(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let own = case.setting.provider;
    let mut found = Vec::new();
    let mut aside = String::new();
    for provider in case.catalogue.names().filter_map(|slug| case.catalogue.find(slug)).filter(|provider| provider.slug != own.slug) {
        let proved = case.setting.keys().find_map(|secret| trial.proves(&lent(case, provider, secret)?, case.request));
        if let Some(proved) = proved.filter(|_| found.len() < NAMED_MAX) {
            found.push(provider);
            aside = proved.aside;
        }
    }
    (!found.is_empty()).then(|| {
        let titled = found.len() <= TITLED_MAX;
        let name = |provider: &&Provider| {
            if titled { format!("`{}` ({})", provider.slug, provider.title) } else { format!("`{}`", provider.slug) }
        };
        let those = found.iter().map(name).collect::<Vec<_>>().join(" or ");
        format!("It verifies with the same secret as a request of {those}, not as one of `{}`: name that provider.{aside}", own.slug)
    })
}

/// Another provider with this secret for every credential that it must have and that is not known by its name.
fn lent<'p>(case: &Case<'_>, provider: &'p Provider, secret: &Credential) -> Option<Setting<'p>> {
    let first = provider.checks.first().filter(|check| check.scheme.first().family() != Family::None)?;
    let key = first.key.from.first()?;
    let needed = provider.credentials.iter().filter(|rule| rule.required).map(|rule| &rule.name);
    let mut credentials = vec![Credential { name: key.clone(), until: None, ..secret.clone() }];
    for name in needed.filter(|name| *name != key) {
        let known = case.setting.credentials.iter().find(|credential| credential.name == *name);
        credentials.push(Credential { name: name.clone(), until: None, ..known.unwrap_or(secret).clone() });
    }
    let endpoint = case.setting.endpoint.clone().or_else(|| rung(case.request));
    Some(Setting { provider, credentials, retired: Vec::new(), endpoint, tolerance: None })
}

/// The URL that the request itself says it was sent to, over TLS: vendors ring there.
fn rung(request: &RawRequest) -> Option<url::Url> {
    let Single::One(host) = request.headers.single("host") else { return None };
    url::Url::parse(&format!("https://{}{}", std::str::from_utf8(host).ok()?, request.path)).ok()
}
