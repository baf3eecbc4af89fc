//! Signature candidates: what stands where the provider puts signatures, taken apart, and only what is spelled as the provider spells it.

use std::borrow::Cow;

use smallvec::SmallVec;
use subtle::Choice;

use super::{
    mac::Tag,
    spelling,
    value::{Lack, Scope},
};
use crate::{
    limits::CANDIDATES_MAX,
    provider::{Check, SignatureRule},
    rejection::Rejection,
};

/// Signatures that claim to be of the same message: those of one `k=v` list, or all when there are no lists. One code per key is computed
/// for all of them, so a header full of signatures costs no more than one.
pub(super) struct Group<'t> {
    /// The fields that the message may name.
    pub(super) fields: SmallVec<[(&'t str, &'t str); 4]>,
    signatures: SmallVec<[Tag; 2]>,
}

/// The texts that stand where a check looks for signatures.
pub(super) fn places<'a>(rule: &'a SignatureRule, scope: &Scope<'a>) -> Result<SmallVec<[Cow<'a, str>; 2]>, Rejection> {
    let mut texts = SmallVec::new();
    for atom in &rule.at {
        match scope.atom(atom) {
            Ok(Cow::Borrowed(bytes)) => texts.push(Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| Rejection::Malformed)?)),
            Ok(Cow::Owned(bytes)) => texts.push(Cow::Owned(String::from_utf8(bytes).map_err(|_| Rejection::Malformed)?)),
            Err(Lack::Absent) => {}
            Err(Lack::Unusable) => return Err(Rejection::Malformed),
        }
    }
    if texts.is_empty() { Err(Rejection::MissingSignature) } else { Ok(texts) }
}

/// Takes the texts apart. Candidates that are not this provider's are passed over; at least one must be left.
pub(super) fn groups<'t>(check: &Check, texts: &'t [Cow<'_, str>]) -> Result<SmallVec<[Group<'t>; 1]>, Rejection> {
    let mut taking = Taking { check, groups: SmallVec::new(), pieces: 0, misspelled: false };
    for text in texts {
        for piece in pieces(text, &check.signature.split) {
            taking.piece(piece)?;
        }
    }
    match (taking.groups.is_empty(), taking.misspelled) {
        (false, _) => Ok(taking.groups),
        (true, true) => Err(Rejection::Malformed),
        (true, false) => Err(Rejection::MissingSignature),
    }
}

impl Group<'_> {
    /// Whether one of the signatures is this code. All are compared, whichever fits.
    pub(super) fn any_is(&self, code: &Tag) -> Choice {
        self.signatures.iter().fold(Choice::from(0), |any, signature| any | signature.same(code))
    }
}

/// The taking apart of one check's signatures.
struct Taking<'t, 'c> {
    check: &'c Check,
    groups: SmallVec<[Group<'t>; 1]>,
    pieces: usize,
    misspelled: bool,
}

impl<'t> Taking<'t, '_> {
    fn piece(&mut self, piece: &'t str) -> Result<(), Rejection> {
        let Some(pairs) = &self.check.signature.pairs else {
            let signature = self.signature(piece)?;
            self.add(signature);
            return Ok(());
        };
        let mut fields: SmallVec<[(&str, &str); 4]> = SmallVec::new();
        let mut values: SmallVec<[&str; 2]> = SmallVec::new();
        for pair in piece.split(&*pairs.separator) {
            let (key, value) = pair.split_once('=').ok_or(Rejection::Malformed)?;
            let (key, value) = (key.trim_ascii(), value.trim_ascii());
            if *key == *pairs.value {
                values.push(value);
            } else if fields.len() == CANDIDATES_MAX || fields.iter().any(|(other, _)| *other == key) {
                // Which of two values was signed is for nobody to guess.
                return Err(Rejection::Malformed);
            } else {
                fields.push((key, value));
            }
        }
        let mut group = Group { fields, signatures: SmallVec::new() };
        for value in values {
            group.signatures.extend(self.signature(value)?);
        }
        if !group.signatures.is_empty() {
            self.groups.push(group);
        }
        Ok(())
    }

    /// A signature, if it is one of this provider's.
    fn signature(&mut self, text: &str) -> Result<Option<Tag>, Rejection> {
        self.pieces += 1;
        if self.pieces > CANDIDATES_MAX {
            return Err(Rejection::Malformed);
        }
        let rule = &self.check.signature;
        let stripped = match rule.strip.as_slice() {
            [] => Some(text),
            prefixes => prefixes.iter().find_map(|prefix| text.strip_prefix(&**prefix)),
        };
        let Some(stripped) = stripped else {
            return Ok(None);
        };
        let tag = spelling::decode(stripped, rule.encoding, self.check.scheme.signature_bytes());
        self.misspelled |= tag.is_none();
        Ok(tag)
    }

    /// Adds a signature without fields to the one group of those.
    fn add(&mut self, signature: Option<Tag>) {
        let Some(signature) = signature else {
            return;
        };
        match self.groups.first_mut() {
            Some(group) => group.signatures.push(signature),
            None => self.groups.push(Group { fields: SmallVec::new(), signatures: smallvec::smallvec![signature] }),
        }
    }
}

/// The parts of a text between the separators; empty ones are passed over. At each place the first separator that fits is taken, so
/// `[", ", ","]` takes a comma with its blank.
fn pieces<'t>(text: &'t str, separators: &[Box<str>]) -> impl Iterator<Item = &'t str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut cut = None;
        for separator in separators {
            let at = text.find(&**separator);
            cut = match (cut, at) {
                (None, Some(at)) => Some((at, separator.len())),
                (Some((before, _)), Some(at)) if at < before => Some((at, separator.len())),
                (unchanged, _) => unchanged,
            };
        }
        let (piece, after) = match cut {
            Some((at, len)) => (&text[..at], Some(&text[at + len..])),
            None => (text, None),
        };
        rest = after;
        Some(piece)
    })
    .filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_at_the_first_separator_that_fits() {
        let cut = |text: &'static str, separators: &[&str]| {
            let separators: Vec<Box<str>> = separators.iter().map(|s| (*s).into()).collect();
            pieces(text, &separators).collect::<Vec<_>>()
        };
        assert_eq!(cut("a b  c", &[" "]), ["a", "b", "c"]);
        assert_eq!(cut("a, b,c", &[", ", ","]), ["a", "b", "c"]);
        assert_eq!(cut("a b", &[]), ["a b"]);
        assert_eq!(cut("", &[" "]), Vec::<&str>::new());
    }
}
