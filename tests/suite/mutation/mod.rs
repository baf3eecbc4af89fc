//! Every accepted vector of every embedded provider, changed: each bit of its body, headers, URL and credentials, its ends, its headers
//! dropped, doubled and emptied, its signature in another case and on another vector's request. What the scheme covers must be refused.
//!
//! What it covers is not written down here: [`view`] takes it from [`Check::covered`] and reads the values a second time in its own way. A
//! change that is accepted must leave all of them as they were, together with a signature and a key that proved the vector. So there is no
//! list of exceptions by vector. Where a place is covered and a change of it means the same, that is one of [`EQUIVALENCES`].
#![expect(clippy::print_stdout, reason = "the counts are the result")]

mod change;
mod view;

use std::collections::BTreeMap;

use hookgate::{
    provider::{Atom, Catalogue, Check, Family, Provider, Vector},
    verify::{Identity, Verifier},
};

use change::{Case, Change, Place};
use view::Candidate;

/// Changes of a covered place that come to the same, and why they may. There are no others, and each occurs.
const EQUIVALENCES: [(Same, &str); 6] = [
    (Same::FormSpelling, "a form is signed decoded: `%2b` is `%2B`, and an `&` more is no field"),
    (Same::FormType, "of the unsigned Content-Type only is read that the body is a form, in any case and with any parameter"),
    (Same::OtherCandidate, "a list of signatures is good when one is; what else stands in it is not read"),
    (Same::SchemeWord, "RFC 9110: the word `Basic` may be in any case"),
    (
        Same::KeySpelling,
        "a credential is pasted: the case of hex, the spare bits of base64 and what stands around a public key are not the key",
    ),
    (Same::OtherKey, "while secrets are exchanged, either is good"),
];

/// Why a change of a covered place may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Same {
    FormSpelling,
    FormType,
    OtherCandidate,
    SchemeWord,
    KeySpelling,
    OtherKey,
}

/// What came of the changes of one provider.
#[derive(Default)]
struct Tally {
    tried: usize,
    refused: usize,
    /// Accepted, of what the scheme does not cover.
    not_covered: usize,
    /// Accepted, of what it covers, and why.
    same: BTreeMap<Same, usize>,
    wrong: Vec<String>,
}

/// An accepted vector, and by what it was proved.
struct Base<'p> {
    provider: &'p Provider,
    case: Case,
    verifier: Verifier,
    identity: Identity,
    proofs: Vec<ByCheck<'p>>,
}

/// By what one check was proved.
struct ByCheck<'p> {
    check: &'p Check,
    covered: BTreeMap<String, Option<Vec<u8>>>,
    candidates: Vec<Candidate>,
    keys: Vec<Vec<u8>>,
}

fn compiled(provider: &Provider, case: &Case) -> Option<Verifier> {
    Verifier::compile(provider, &case.credentials(), case.endpoint().as_ref(), None).ok()
}

/// What the event is, if it is accepted as one, by all steps of the door.
fn accepted(verifier: &Verifier, case: &Case) -> Option<Identity> {
    let request = case.request()?;
    let head = hookgate::request::RawRequest { body: bytes::Bytes::new(), ..request.clone() };
    if verifier.precheck(&head).is_err() || verifier.greet(&request, case.at).is_some() {
        return None;
    }
    let verified = verifier.verify(request, case.at).ok()?;
    verifier.greet_verified(&verified).is_none().then(|| verifier.identify(&verified))
}

impl<'p> Base<'p> {
    fn of(provider: &'p Provider, case: Case) -> Self {
        let verifier = compiled(provider, &case).expect("a vector compiles");
        let identity = accepted(&verifier, &case).expect("a vector is accepted");
        let proofs = view::active(provider, &case).into_iter().map(|check| ByCheck::of(provider, check, &case)).collect();
        Self { provider, case, verifier, identity, proofs }
    }

    /// Whether all that was proved stands in the changed request as it stood here, or, check by check, in the vector whose signature it
    /// has.
    fn stands_in(&self, case: &Case, donor: Option<&Self>) -> bool {
        let stands = |proof: &ByCheck<'_>| {
            let candidates = view::candidates(self.provider, proof.check, case);
            let keys = view::keys(proof.check, case);
            let open = proof.check.scheme.family() == Family::None;
            let signed =
                open || candidates.iter().any(|one| proof.candidates.contains(one)) && keys.iter().any(|key| proof.keys.contains(key));
            let same = view::covered(self.provider, proof.check, case) == proof.covered;
            signed && same && view::demanded(self.provider, proof.check, case)
        };
        let donated = |at: usize| donor.and_then(|donor| donor.proofs.get(at)).is_some_and(stands);
        self.proofs.iter().enumerate().all(|(at, proof)| stands(proof) || donated(at))
    }

    /// Takes up the keys of another vector, or of an edit of one, that prove this request as well: a list may hold a signature of each.
    fn learn(&mut self, credentials: &[(Box<str>, Vec<u8>)]) {
        let case = Case { credentials: credentials.to_vec(), ..self.case.clone() };
        if compiled(self.provider, &case).is_some_and(|verifier| accepted(&verifier, &case).is_some()) {
            for proof in &mut self.proofs {
                proof.keys.extend(view::keys(proof.check, &case));
            }
        }
    }

    /// What is wrong with an event that the changed request became.
    fn fault(&self, change: &Change, identity: &Identity, donor: Option<&Self>) -> Option<&'static str> {
        let event = &self.provider.event;
        let read =
            |name: &str| self.proofs.iter().flat_map(|proof| proof.check.atoms()).chain(event.atoms()).any(|atom| of_header(atom, name));
        match &change.place {
            Place::Header(name) if change.what == "doubled" && read(name) => Some("a header that is read stands there twice"),
            _ if !self.stands_in(&change.case, donor) => Some("it is covered"),
            _ if donor.is_none() && event.id_signed && identity.id != self.identity.id => Some("the signed id is another"),
            _ if donor.is_none() && event.types_signed && identity.types != self.identity.types => Some("the signed type is another"),
            _ if donor.is_none() && identity.signed != self.identity.signed => Some("what was signed is another"),
            _ => None,
        }
    }

    /// Why an accepted change of this place may be: `None` where the place is not covered.
    fn same(&self, change: &Change) -> Option<Same> {
        self.proofs.iter().find_map(|proof| {
            let check = proof.check;
            let covered = check.covered();
            let of_form = |atom: &Atom| matches!(atom, Atom::FormSorted | Atom::FormPhp(_));
            match &change.place {
                Place::Body => covered.iter().any(of_form).then_some(Same::FormSpelling),
                Place::Header(name) if check.signature.at.iter().any(|atom| of_header(atom, name)) => {
                    Some(if check.scheme.family() == Family::Basic { Same::SchemeWord } else { Same::OtherCandidate })
                }
                Place::Header(name) if name.eq_ignore_ascii_case("content-type") => {
                    check.atoms().any(Atom::of_form).then_some(Same::FormType)
                }
                Place::Credential(name) if check.key.from.contains(name) => {
                    let all = view::keys(check, &change.case) == view::keys(check, &self.case);
                    Some(if all { Same::KeySpelling } else { Same::OtherKey })
                }
                Place::Signature => Some(Same::OtherCandidate),
                Place::Header(_) | Place::Url | Place::Method | Place::Credential(_) => None,
            }
        })
    }

    fn try_change(&self, change: &Change, donor: Option<&Self>, tally: &mut Tally) {
        if change.case.request().is_none() {
            return;
        }
        tally.tried += 1;
        let anew = matches!(change.place, Place::Url | Place::Credential(_));
        let outcome = match anew.then(|| compiled(self.provider, &change.case)) {
            Some(verifier) => verifier.and_then(|verifier| accepted(&verifier, &change.case)),
            None => accepted(&self.verifier, &change.case),
        };
        let Some(identity) = outcome else {
            tally.refused += 1;
            return;
        };
        if let Some(fault) = self.fault(change, &identity, donor) {
            tally.wrong.push(format!("{}: {:?}, {}: accepted, and {fault}", self.provider.slug, change.place, change.what));
        }
        match self.same(change) {
            Some(same) => *tally.same.entry(same).or_default() += 1,
            None => tally.not_covered += 1,
        }
    }

    /// The signatures in the other case, wherever they stand.
    fn in_other_case(&self, tally: &mut Tally) {
        for (_, text) in self.proofs.iter().flat_map(|proof| &proof.candidates) {
            let swap = |char: char| if char.is_ascii_lowercase() { char.to_ascii_uppercase() } else { char.to_ascii_lowercase() };
            let swapped: String = text.chars().map(swap).collect();
            if swapped != *text {
                let change = Change { place: Place::Signature, what: "in the other case".into(), case: self.case.replaced(text, &swapped) };
                self.try_change(&change, None, tally);
            }
        }
    }

    /// The signature of another vector on this request.
    fn with_signature_of(&self, other: &Self, tally: &mut Tally) {
        let mut case = self.case.clone();
        for (own, others) in self.proofs.iter().zip(&other.proofs) {
            let headers: Vec<&Atom> = own.check.signature.at.iter().filter(|atom| matches!(atom, Atom::Header(_))).collect();
            case.headers.retain(|(name, _)| !headers.iter().any(|atom| of_header(atom, name)));
            case.headers.extend(other.case.headers.iter().filter(|(name, _)| headers.iter().any(|atom| of_header(atom, name))).cloned());
            if headers.is_empty() {
                for ((_, old), (_, new)) in own.candidates.iter().zip(&others.candidates) {
                    case = case.replaced(old, new);
                }
            }
        }
        let moved = Change { place: Place::Signature, what: "of another vector".into(), case };
        let own = |case: &Case| self.proofs.iter().map(|proof| view::candidates(self.provider, proof.check, case)).collect::<Vec<_>>();
        if own(&moved.case) != own(&self.case) {
            self.try_change(&moved, Some(other), tally);
        }
    }
}

impl<'p> ByCheck<'p> {
    /// Of several signatures and keys those that prove the request by themselves.
    fn of(provider: &Provider, check: &'p Check, case: &Case) -> Self {
        let holds = |case: &Case| compiled(provider, case).is_some_and(|verifier| accepted(&verifier, case).is_some());
        let all = view::candidates(provider, check, case);
        let spoiled = |text: &str| {
            let middle = text.len() / 2;
            let other = if text[middle..].starts_with('0') { "1" } else { "0" };
            format!("{}{other}{}", &text[..middle], &text[middle + 1..])
        };
        let alone = |one: &&Candidate| {
            let others = all.iter().filter(|other| other != one);
            holds(&others.fold(case.clone(), |case, (_, text)| case.replaced(text, &spoiled(text))))
        };
        let candidates: Vec<Candidate> = all.iter().filter(alone).cloned().collect();
        let mut keys = Vec::new();
        for at in (0..case.credentials.len()).filter(|at| check.key.from.contains(&case.credentials[*at].0)) {
            let mut index = 0..;
            let mut only = case.clone();
            only.credentials.retain(|(name, _)| index.next() == Some(at) || !check.key.from.contains(name));
            if holds(&only) {
                keys.extend(view::keys(check, &only));
            }
        }
        if check.each.is_some() && keys.is_empty() {
            // Its elements are proved by different keys, and none of them proves all.
            keys = view::keys(check, case);
        }
        let open = check.scheme.family() == Family::None;
        assert!(open || !candidates.is_empty() && !keys.is_empty(), "{}: nothing proves it", provider.slug);
        Self { check, covered: view::covered(provider, check, case), candidates, keys }
    }
}

fn of_header(atom: &Atom, name: &str) -> bool {
    match atom {
        Atom::Header(own) => own.eq_ignore_ascii_case(name),
        Atom::Headers(start) => name.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start)),
        _ => false,
    }
}

fn of_provider(provider: &Provider) -> Tally {
    let mut tally = Tally::default();
    let mut bases: Vec<Base<'_>> = provider.vectors.iter().map(|vector| Base::of(provider, Case::of(vector))).collect();
    let single = |case: &Case| case.credentials.iter().all(|(name, _)| case.credentials.iter().filter(|(own, _)| own == name).count() == 1);
    let edited = |vector: &Vector| vector.rejects.iter().map(|reject| Case::of(&vector.edited(reject))).collect::<Vec<_>>();
    for case in provider.vectors.iter().flat_map(edited).chain(provider.vectors.iter().map(Case::of)).filter(single) {
        bases.iter_mut().for_each(|base| base.learn(&case.credentials));
    }
    for (at, base) in bases.iter().enumerate() {
        let before = tally.refused;
        change::of_places(&base.case, &mut |change| base.try_change(&change, None, &mut tally));
        base.in_other_case(&mut tally);
        for (_, other) in bases.iter().enumerate().filter(|(other, _)| *other != at) {
            base.with_signature_of(other, &mut tally);
        }
        let refused = tally.refused - before;
        let open = base.proofs.iter().all(|proof| proof.check.scheme.family() == Family::None);
        assert!(open || refused >= REFUSED_MIN, "{}, vector {at}: only {refused} changes were refused", provider.slug);
    }
    tally
}

/// Changes that must be refused of each vector that is proved at all: a token of 24 bytes, and its credential, bit by bit.
const REFUSED_MIN: usize = 300;
/// Changes that must be tried of all vectors together; two in three must be refused.
const TRIED_MIN: usize = 1_000_000;

#[test]
fn no_change_of_what_a_scheme_covers_is_accepted() {
    let catalogue = Catalogue::embedded();
    let (mut tried, mut refused, mut wrong, mut seen) = (0, 0, Vec::new(), BTreeMap::<Same, usize>::new());
    for slug in catalogue.names() {
        let provider = catalogue.find(slug).expect("reads");
        let tally = of_provider(provider);
        let same: usize = tally.same.values().sum();
        println!(
            "{slug}: {} changes, {} refused, {} not covered, {same} the same {:?}",
            tally.tried, tally.refused, tally.not_covered, tally.same
        );
        tried += tally.tried;
        refused += tally.refused;
        wrong.extend(tally.wrong);
        tally.same.into_iter().for_each(|(same, count)| *seen.entry(same).or_default() += count);
    }
    println!("all: {tried} changes, {refused} refused, {} of what is covered accepted", wrong.len());
    for (same, why) in EQUIVALENCES {
        println!("the same, {same:?}: {} changes; {why}", seen.get(&same).copied().unwrap_or_default());
    }
    assert!(wrong.is_empty(), "{} accepted: {:#?}", wrong.len(), wrong);
    assert!(tried >= TRIED_MIN && refused >= TRIED_MIN / 3 * 2, "only {tried} changes were tried, and {refused} refused");
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), EQUIVALENCES.map(|(same, _)| same), "each equivalence occurs");
}
