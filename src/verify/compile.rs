//! From a provider and the credentials of a source to what verifies: keys taken up, places gathered, nothing left to do per request that
//! could be done here. Every message is for the operator and shows no value.

use std::sync::Arc;

use super::{
    Credential, Tolerance, Verifier,
    asked::Asker,
    candidates::Unpacked,
    canonical::Addresses,
    challenge,
    check::{Prepared, Variant},
    desk::Desk,
    fetched::Ring,
    greeting::Greeting,
    keys,
};
use crate::{
    limits::ACTIVE_SECRETS_MAX,
    provider::{After, Atom, CLIENT_ID, CLIENT_SECRET, Check, DocumentPlace, Family, Handshake, Pointer, Provider, Shape, Template},
};

/// Compiles; see [`Verifier::compile`].
pub(super) fn compile(
    provider: &Provider,
    credentials: &[Credential],
    endpoint: Option<&url::Url>,
    tolerance: Option<Tolerance>,
) -> Result<Verifier, Vec<String>> {
    let mut problems = declared(provider, credentials);
    if provider.needs_public_url && endpoint.is_none() {
        problems.push(format!("{} signs the public URL, and none is known for this source", provider.slug));
    }
    if tolerance.is_some() && provider.checks.iter().all(|check| check.timestamp.is_none()) {
        problems.push(format!("{} signs no timestamp, so a tolerance has no meaning", provider.slug));
    }
    let unset: Vec<&str> = provider
        .credentials
        .iter()
        .filter(|rule| !rule.required && !credentials.iter().any(|credential| credential.name == rule.name))
        .map(|rule| &*rule.name)
        .collect();
    let mut checks = Vec::with_capacity(provider.checks.len());
    for (index, rule) in provider.checks.iter().enumerate() {
        let is_keyed = rule.scheme.family() != Family::None && rule.key.source.is_none();
        if is_keyed && rule.key.from.iter().all(|name| unset.contains(&&**name)) {
            // A further check whose credential nobody set is left out; without the first, anyone could ring. One whose key is still to be
            // handed over is left in: without a key it refuses everything.
            if index > 0 {
                continue;
            }
            if !provider.hands_over() {
                problems.push(format!("{} needs {}: nothing would be verified without", provider.slug, quoted(&rule.key.from)));
                continue;
            }
        }
        let check = prepared(rule, provider, credentials, &unset, tolerance, index == 0, &mut problems);
        if check.lacks_credentials() {
            let pinned = quoted(&rule.key.from);
            problems.push(format!("{} needs `{CLIENT_ID}` and `{CLIENT_SECRET}` to ask for its keys, or a key as {pinned}", provider.slug));
        }
        checks.push(check);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let skipped = skipped(provider, &unset);
    Ok(Verifier { skipped, ..verifier(provider, credentials, endpoint, &unset, checks) })
}

fn verifier(
    provider: &Provider,
    credentials: &[Credential],
    endpoint: Option<&url::Url>,
    unset: &[&str],
    checks: Vec<Prepared>,
) -> Verifier {
    let greetings: Vec<Greeting> = provider.handshakes.iter().map(|rule| Greeting::compile(rule, provider, credentials, unset)).collect();
    let of_checks = || checks.iter().flat_map(|check| check.rule.atoms());
    let of_greetings = |after: After| greetings.iter().map(|greeting| &greeting.rule).filter(move |rule| rule.after == after);
    let each = checks.iter().filter_map(|check| check.rule.each.clone().map(Atom::Json)).collect::<Vec<_>>();
    let methods = provider.handshakes.iter().flat_map(Handshake::methods).filter(|method| method != "POST").map(Box::from).collect();
    let all_atoms = || of_checks().chain(provider.event.atoms()).chain(provider.handshakes.iter().flat_map(Handshake::atoms));
    Verifier {
        singles: singles(all_atoms()),
        families: all_atoms().filter_map(family).collect(),
        check_pointers: pointers(of_checks().chain(&each), json),
        event_pointers: pointers(provider.event.atoms(), json),
        claim_pointers: pointers(provider.event.atoms(), claim),
        before_pointers: pointers(of_greetings(After::None).flat_map(Handshake::atoms), json),
        after_pointers: pointers(of_greetings(After::Verify).flat_map(Handshake::atoms), json),
        reads_form: all_atoms().any(Atom::of_form) || provider.document.iter().any(|place| *place != DocumentPlace::Body),
        named: named(provider, credentials),
        addresses: endpoint.map(Addresses::of),
        desk: Desk::default(),
        document: provider.document.clone(),
        event: provider.event.clone(),
        credential_places: provider.credential_places.clone(),
        methods,
        greetings,
        checks,
        observe_until: None,
        skipped: Vec::new(),
    }
}

/// What is left out because an optional credential is unset, each in words for the operator.
fn skipped(provider: &Provider, unset: &[&str]) -> Vec<String> {
    let mut skipped = Vec::new();
    for (index, check) in provider.checks.iter().enumerate().skip(1) {
        let is_keyed = check.scheme.family() != Family::None && check.key.source.is_none();
        if is_keyed && check.key.from.iter().all(|name| unset.contains(&&**name)) {
            skipped.push(format!("check {} ({}) is not made: {} is not set", index + 1, check.scheme.words(), quoted(&check.key.from)));
        }
    }
    let of_checks = provider.checks.iter().flat_map(|check| check.require.demands.iter().chain(&check.signature.fitting.demands));
    let of_handshakes = provider.handshakes.iter().flat_map(|rule| rule.when.demands.iter().chain(&rule.guard.demands));
    for demand in of_checks.chain(of_handshakes) {
        let names = demand.atoms().filter_map(|atom| match atom {
            Atom::Credential(name) if unset.contains(&&**name) => Some(name),
            _ => None,
        });
        let told = names.map(|name| format!("{} is not compared: `{name}` is not set", demand.value.atom));
        skipped.extend(told.filter(|said| !skipped.contains(said)).collect::<Vec<_>>());
    }
    skipped
}

/// See [`Verifier::knowing_by`]: what the template looks at is looked up, and stands there once, as what the provider's own looks at.
pub(super) fn knowing_by(mut verifier: Verifier, key: Template) -> Verifier {
    verifier.event.key = Some(key);
    let atoms = || verifier.event.atoms();
    let (event_pointers, claim_pointers) = (pointers(atoms(), json), pointers(atoms(), claim));
    let (own, reads_form) = (singles(atoms()), atoms().any(Atom::of_form));
    verifier.singles.extend(own);
    for check in &mut verifier.checks {
        let new = claim_pointers.iter().filter(|pointer| !check.claim_pointers.contains(pointer)).cloned().collect::<Vec<_>>();
        check.claim_pointers.extend(new);
    }
    Verifier { event_pointers, claim_pointers, reads_form: verifier.reads_form || reads_form, ..verifier }
}

fn prepared(
    rule: &Check,
    provider: &Provider,
    credentials: &[Credential],
    unset: &[&str],
    tolerance: Option<Tolerance>,
    first: bool,
    problems: &mut Vec<String>,
) -> Prepared {
    let variants = rule.scheme.all().map(|(value, scheme)| (Box::from(value), scheme)).collect::<Vec<(Box<str>, _)>>();
    let mut told = Vec::new();
    let variants = variants.into_iter().map(|(value, scheme)| {
        let mut own = Vec::new();
        let keys = keys::keys(rule, scheme, credentials, &mut own);
        // What is wrong with a credential is wrong with it under each of the schemes.
        own.retain(|problem| !told.contains(problem));
        told.extend(own);
        Variant { value, scheme, keys }
    });
    let variants = variants.collect();
    problems.append(&mut told);
    let mut rule = rule.clone();
    rule.require = rule.require.without(unset);
    rule.signature.fitting = rule.signature.fitting.without(unset);
    let fields = rule.atoms().filter_map(|atom| match atom {
        Atom::Field(name) if matches!(rule.signature.shape, Shape::Unpacked(_)) => Some(name.clone()),
        _ => None,
    });
    let of_value = match &rule.signature.shape {
        Shape::Unpacked(value) => Some(value.clone()),
        _ => None,
    };
    let mut names: Vec<Box<str>> = fields.chain(of_value).collect();
    names.sort_unstable();
    names.dedup();
    let unpacked = Unpacked { pointers: names.iter().filter_map(|name| Pointer::parse(name).ok()).collect(), names };
    let head = |atom: &Atom| atom.in_head();
    let choice_in_head = rule.scheme.chosen_at().is_none_or(head);
    Prepared {
        tolerance: match tolerance {
            Some(Tolerance::Within(within)) => Some(within),
            Some(Tolerance::None) => None,
            None => rule.timestamp.as_ref().and_then(|timestamp| timestamp.tolerance),
        },
        in_head: rule.each.is_none() && choice_in_head && rule.signature.at.iter().all(head) && rule.signature.fitting.atoms().all(head),
        item_pointers: pointers(rule.atoms(), item),
        claim_pointers: pointers(rule.atoms().chain(provider.event.atoms()), claim),
        once: first && provider.event.once,
        signs_challenges: challenge::asks_unproved(provider),
        ring: Ring::default(),
        asker: Asker::of(credentials),
        variants,
        unpacked,
        rule,
    }
}

/// What is wrong with the names and numbers of the credentials.
fn declared(provider: &Provider, credentials: &[Credential]) -> Vec<String> {
    let known = || provider.credentials.iter().map(|rule| &*rule.name).collect::<Vec<_>>().join(", ");
    let mut problems = Vec::new();
    for credential in credentials {
        if provider.credential(&credential.name).is_none() {
            problems.push(format!("{} has no credential `{}`; it has: {}", provider.slug, credential.name, known()));
        }
    }
    for rule in &provider.credentials {
        let count = credentials.iter().filter(|credential| credential.name == rule.name).count();
        if count == 0 && rule.required {
            problems.push(format!("{} needs `{}` ({})", provider.slug, rule.name, rule.label));
        }
        if count > ACTIVE_SECRETS_MAX {
            problems.push(format!("`{}` has {count} values, and {ACTIVE_SECRETS_MAX} is the most", rule.name));
        }
        if count > 1 && names(provider, &rule.name) {
            problems.push(format!("`{}` stands in what {} signs, demands or answers, so it has one value", rule.name, provider.slug));
        }
    }
    problems
}

/// Whether the value of a credential stands in a message, a condition or an answer.
fn names(provider: &Provider, name: &str) -> bool {
    let atoms = provider.checks.iter().flat_map(Check::atoms).chain(provider.handshakes.iter().flat_map(Handshake::atoms));
    atoms.into_iter().any(|atom| matches!(atom, Atom::Credential(own) if **own == *name))
}

fn quoted(names: &[Box<str>]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// Credentials that look like something else: worth a warning, since a vendor may change a prefix and people may choose their own.
pub(super) fn doubts(provider: &Provider, credentials: &[Credential]) -> Vec<String> {
    let mut doubts = Vec::new();
    for credential in credentials {
        let prefix = provider.credential(&credential.name).and_then(|rule| rule.prefix.as_deref());
        // Revealed to be compared with the beginning that the vendor documents.
        if let Some(prefix) = prefix.filter(|prefix| !credential.value.reveal().starts_with(prefix.as_bytes())) {
            doubts.push(format!("`{}` of {} usually begins with `{prefix}`, and this one does not", credential.name, provider.title));
        }
    }
    doubts
}

/// The headers that must not occur twice: signature, id, type and time, and all else that is looked at.
fn singles<'a>(atoms: impl Iterator<Item = &'a Atom>) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = Vec::new();
    let mut add = |name: &str| {
        if !names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            names.push(name.into());
        }
    };
    for atom in atoms {
        match atom {
            Atom::Header(name) => add(name),
            Atom::SignedHeaders(headers) => {
                add(&headers.list);
                headers.must.iter().for_each(|must| add(must));
            }
            other if other.of_form() => add("content-type"),
            _ => {}
        }
    }
    names
}

fn family(atom: &Atom) -> Option<Box<str>> {
    match atom {
        Atom::Headers(start) => Some(start.clone()),
        _ => None,
    }
}

pub(super) fn json(atom: &Atom) -> Option<&Pointer> {
    match atom {
        Atom::Json(pointer) => Some(pointer),
        _ => None,
    }
}

fn item(atom: &Atom) -> Option<&Pointer> {
    match atom {
        Atom::Item(pointer) => Some(pointer),
        _ => None,
    }
}

fn claim(atom: &Atom) -> Option<&Pointer> {
    match atom {
        Atom::Claim(pointer) => Some(pointer),
        _ => None,
    }
}

/// Each pointer of one kind among the atoms, once.
pub(super) fn pointers<'a>(atoms: impl Iterator<Item = &'a Atom>, of: impl Fn(&'a Atom) -> Option<&'a Pointer>) -> Vec<Pointer> {
    let mut pointers = Vec::new();
    for pointer in atoms.filter_map(of) {
        if !pointers.contains(pointer) {
            pointers.push(pointer.clone());
        }
    }
    pointers
}

/// The credentials whose values stand in a message, a condition or an answer.
fn named(provider: &Provider, credentials: &[Credential]) -> Arc<[Credential]> {
    credentials.iter().filter(|credential| names(provider, &credential.name)).cloned().collect()
}
