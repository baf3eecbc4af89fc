//! A request that belongs to another source of the configuration, or is signed with that one's secret.

use super::{Case, trial::Trial};
use crate::verify::Credential;

/// Tries that are made for the other sources: what is left is for the other mistakes.
const NEIGHBOUR_TRIES_MAX: usize = 128;

/// The source whose request it is, or whose secret it is signed with.
pub(super) fn another(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let from = trial.tries();
    let left = |trial: &Trial| trial.tries() - from < NEIGHBOUR_TRIES_MAX;
    for neighbour in case.neighbours {
        if !left(trial) {
            return None;
        }
        let setting = &neighbour.setting;
        if let Some(found) = trial.proves(setting, case.request) {
            let secret = found.secret.map(|print| format!(", secret of fingerprint {print}")).unwrap_or_default();
            return Some(format!(
                "It verifies as a request for the source `{}` (provider `{}`{secret}): have it sent to that source's URL, or give this \
                 source that secret.{}",
                neighbour.name, setting.provider.slug, found.aside
            ));
        }
    }
    let own = case.setting.key_names();
    let name = own.first()?;
    for neighbour in case.neighbours {
        for credential in neighbour.setting.credentials.iter().chain(&neighbour.setting.retired) {
            if !left(trial) {
                return None;
            }
            let borrowed = Credential { name: (*name).into(), until: None, ..credential.clone() };
            if let Some(found) = trial.proves(&case.setting.with(borrowed), case.request) {
                return Some(format!(
                    "It is signed with the `{}` of the source `{}` (fingerprint {}): give this source that secret, or have the sender sign \
                     with this source's.{}",
                    credential.name,
                    neighbour.name,
                    credential.value.fingerprint(),
                    found.aside
                ));
            }
        }
    }
    None
}
