//! What follows from what is written: which values a signature covers, and where credentials stand. Derived, so that nobody can claim it.

use super::{
    DocumentPlace,
    atom::{Atom, Filter},
    check::Check,
    condition::{Demand, Want},
    scheme::Family,
    template::{Template, Value},
};

/// Whether the proof of `check` covers the value at `atom`: whoever changes it breaks the signature, or something that it covers is
/// demanded to be a hash of it.
pub(super) fn by_check(check: &Check, atom: &Atom) -> bool {
    all(check).iter().any(|whole| part_of(atom, whole))
}

/// Every value that the proof of `check` covers; what is a part of one is not named again.
pub(super) fn all(check: &Check) -> Vec<Atom> {
    let mut covered = signed(check);
    // A demand that ties one value to another covers both as soon as it covers one; few files have two of them.
    for _ in 0..=check.require.demands.len() {
        let tied = check.require.demands.iter().filter_map(|demand| binding(demand, &covered)).collect::<Vec<_>>();
        covered.extend(tied);
    }
    covered
}

/// The values that the signature itself covers.
fn signed(check: &Check) -> Vec<Atom> {
    let claims = |atom: &&Atom| matches!(atom, Atom::Claim(_));
    match check.scheme.family() {
        Family::Token | Family::Basic | Family::None => Vec::new(),
        Family::Jws if !check.signature.detached => check.atoms().filter(claims).cloned().collect(),
        _ => {
            let kept = |value: &&Value| kept(&value.filters);
            let whole = |value: &Value| match (&value.atom, &check.each) {
                (Atom::Item(item), Some(each)) => Atom::Json(each.every(item)),
                (other, _) => other.clone(),
            };
            check.message.values().filter(kept).map(whole).collect()
        }
    }
}

/// CRC-32 covers nothing: anyone can find another value with the same one.
fn kept(filters: &[Filter]) -> bool {
    !filters.contains(&Filter::Crc32)
}

/// The value that a demand ties to what is covered: `claim:hash: "{body|sha256|hex}"`.
fn binding(demand: &Demand, covered: &[Atom]) -> Option<Atom> {
    let Want::Any(templates) = &demand.want else {
        return None;
    };
    let [template] = templates.as_slice() else {
        return None;
    };
    let mut values = template.values();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let is_covered = |atom: &Atom| covered.iter().any(|whole| part_of(atom, whole));
    let strong = |value: &Value| kept(&value.filters) && !value.filters.contains(&Filter::Sha1) && !value.optional;
    if !strong(value) || !strong(&demand.value) {
        return None;
    }
    if is_covered(&demand.value.atom) {
        Some(value.atom.clone())
    } else if is_covered(&value.atom) {
        Some(demand.value.atom.clone())
    } else {
        None
    }
}

/// Whether a value is the other one or a part of it. Nothing separates the fields of a sorted form, so that who moves a letter from one to
/// the next breaks nothing: none of them is a part by itself.
fn part_of(atom: &Atom, whole: &Atom) -> bool {
    match (atom, whole) {
        (Atom::Credential(_), _) => true,
        (Atom::Header(one), Atom::Header(other)) => one.eq_ignore_ascii_case(other),
        (Atom::Header(name), Atom::SignedHeaders(headers)) => headers.must.iter().any(|must| must.eq_ignore_ascii_case(name)),
        (Atom::Json(_) | Atom::Item(_) | Atom::Form(_) | Atom::FormSorted | Atom::FormPhp(_), Atom::Body) => true,
        (Atom::Form(name), Atom::FormPhp(skip)) => name != skip,
        (Atom::Parameter(_), Atom::Query | Atom::QueryStringHash) | (Atom::Query | Atom::Path | Atom::Parameter(_), Atom::Url) => true,
        (Atom::Method | Atom::Path, Atom::QueryStringHash) => true,
        (one, other) => one == other,
    }
}

/// Whether the body is signed as it stands, and no check reads a form in it: then what the body is can be told from its bytes alone.
pub(super) fn whole_body(checks: &[Check]) -> bool {
    checks.iter().any(|check| by_check(check, &Atom::Body)) && !checks.iter().flat_map(Check::atoms).any(Atom::of_form)
}

/// Whether all of these alternatives are made of nothing but what some check covers; no alternatives are not. A claim is covered by the
/// signature that brings it, and a JSON value, where the document is nowhere but in a field of a form, by whichever covers that field. That
/// a body is a form is said by its type, which no signature covers: where the type is asked, whoever changes it takes the fields away, and
/// is refused only where the form itself is what was signed.
pub(super) fn by_any(checks: &[Check], document: &[DocumentPlace], templates: &[Template]) -> bool {
    let brings_claims = checks.iter().any(|check| check.scheme.family() == Family::Jws && !check.signature.detached);
    let by_form = |check: &Check| all(check).iter().any(Atom::of_form);
    let whole = whole_body(checks);
    let place = match document {
        [DocumentPlace::Form(name)] => Some(Atom::Form(name.clone())),
        _ => None,
    };
    let within = |atom| match &place {
        Some(place) if matches!(atom, &Atom::Json(_)) => place,
        _ => atom,
    };
    let by_one = |atom: &Atom| checks.iter().any(|check| by_check(check, atom) && (whole || !atom.of_form() || by_form(check)));
    let covered = |atom: &Atom| matches!(atom, Atom::Claim(_)) && brings_claims || by_one(atom);
    !templates.is_empty() && templates.iter().flat_map(Template::values).all(|value| covered(within(&value.atom)))
}

/// The places where the provider sends a secret as it is: they are never forwarded.
pub(super) fn credential_places(checks: &[Check]) -> Vec<Atom> {
    let bare = |check: &&Check| matches!(check.scheme.family(), Family::Token | Family::Basic);
    checks.iter().filter(bare).flat_map(|check| check.signature.at.iter().cloned()).collect()
}
