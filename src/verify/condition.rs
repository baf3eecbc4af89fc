//! Conditions, judged: every demand is looked at, also after one has failed, and values are compared by their hashes, so the time tells
//! nothing of where two differ or how long a secret is.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::value::Scope;
use crate::provider::{Condition, Demand, Want};

/// Whether all demands hold. A value that is not there, or could be read in two ways, is no value.
pub(super) fn holds<'a>(condition: &'a Condition, scope: &Scope<'a>) -> bool {
    condition.demands.iter().fold(Choice::from(1), |all, demand| all & demanded(demand, scope)).into()
}

/// Whether nothing that the head shows stands against it: demands on the body are passed over.
pub(super) fn may_hold<'a>(condition: &'a Condition, head: &Scope<'a>) -> bool {
    let in_head = condition.demands.iter().filter(|demand| demand.atoms().all(crate::provider::Atom::in_head));
    in_head.fold(Choice::from(1), |all, demand| all & demanded(demand, head)).into()
}

fn demanded<'a>(demand: &'a Demand, scope: &Scope<'a>) -> Choice {
    let value = scope.value(&demand.value);
    let found = match (&demand.want, &value) {
        (Want::Absent, Err(super::value::Lack::Absent)) => return Choice::from(1),
        // A request always has a body, so one without any is what is meant.
        (Want::Absent, Ok(found)) if demand.value.atom == crate::provider::Atom::Body && found.is_empty() => return Choice::from(1),
        (Want::Absent, _) | (_, Err(_)) => return Choice::from(0),
        (Want::Present, Ok(found)) => return Choice::from(u8::from(!found.is_empty())),
        (Want::Any(_), Ok(found)) => found,
    };
    let Want::Any(templates) = &demand.want else {
        return Choice::from(0);
    };
    templates.iter().fold(Choice::from(0), |any, template| match scope.bytes(template) {
        Ok(wanted) => any | same(found, &wanted),
        Err(_) => any,
    })
}

/// Whether two values are the same.
pub(super) fn same(one: &[u8], other: &[u8]) -> Choice {
    Sha256::digest(one).ct_eq(&Sha256::digest(other))
}
