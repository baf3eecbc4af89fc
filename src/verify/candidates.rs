//! Signature candidates: what stands where the provider puts signatures, taken apart, and only what is spelled as the provider spells it.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use smallvec::SmallVec;
use subtle::Choice;

use super::{
    check::Prepared,
    condition,
    document::Document,
    jws::{self, Jws},
    mac::Tag,
    spelling::{self, Signature},
    value::{Field, Lack, Scope},
};
use crate::{
    limits::CANDIDATES_MAX,
    provider::{Atom, Encoding, Family, Scheme, Shape, SignatureRule},
    rejection::Rejection,
    request::name_begins,
};

/// Signatures that claim to be of the same message: those of one `k=v` list, or all when there are no lists. One code per key is computed
/// for all of them, so a header full of signatures costs no more than one.
pub(super) struct Group<'t> {
    /// The fields that the message may name.
    pub(super) fields: SmallVec<[Field<'t>; 4]>,
    /// The signatures.
    pub(super) signatures: SmallVec<[Signature; 2]>,
    /// The token they come in, which brings its own message.
    pub(super) jws: Option<Jws<'t>>,
}

/// The texts that stand where a check looks for signatures.
pub(super) fn places<'a>(rule: &'a SignatureRule, scope: &Scope<'a>) -> Result<SmallVec<[Cow<'a, str>; 2]>, Rejection> {
    let mut texts = SmallVec::new();
    for atom in &rule.at {
        if let Atom::Headers(start) = atom {
            for value in family(start, scope) {
                texts.push(Cow::Borrowed(std::str::from_utf8(value).map_err(|_| Rejection::Malformed)?));
            }
            continue;
        }
        match scope.atom(atom) {
            Ok(Cow::Borrowed(bytes)) => texts.push(Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| Rejection::Malformed)?)),
            Ok(Cow::Owned(bytes)) => texts.push(Cow::Owned(String::from_utf8(bytes).map_err(|_| Rejection::Malformed)?)),
            Err(Lack::Absent) => {}
            Err(Lack::Unusable) => return Err(Rejection::Malformed),
        }
    }
    match texts.len() {
        0 => Err(Rejection::MissingSignature),
        1..=CANDIDATES_MAX => Ok(texts),
        _ => Err(Rejection::Malformed),
    }
}

/// The values of all headers whose names begin so.
fn family<'a>(start: &'a str, scope: &Scope<'a>) -> impl Iterator<Item = &'a [u8]> {
    scope.request.headers.iter().filter(move |(name, _)| name_begins(name, start)).map(|(_, value)| value)
}

/// Takes the texts apart. Candidates that are not this provider's are passed over; at least one must be left.
pub(super) fn groups<'t>(
    check: &'t Prepared,
    scheme: Scheme,
    texts: &'t [Cow<'_, str>],
    scope: &Scope<'_>,
) -> Result<SmallVec<[Group<'t>; 1]>, Rejection> {
    let mut taking = Taking { check, scheme, groups: SmallVec::new(), pieces: 0, misspelled: false };
    for text in texts {
        for piece in pieces(text, &check.rule.signature.split) {
            taking.piece(piece, scope)?;
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
        self.signatures.iter().fold(Choice::from(0), |any, signature| any | code.is(signature))
    }
}

/// The taking apart of one check's signatures.
struct Taking<'t> {
    check: &'t Prepared,
    scheme: Scheme,
    groups: SmallVec<[Group<'t>; 1]>,
    pieces: usize,
    misspelled: bool,
}

/// The fields of a candidate, and the texts of its signatures.
type Parts<'t> = (SmallVec<[Field<'t>; 4]>, SmallVec<[Cow<'t, str>; 2]>);

impl<'t> Taking<'t> {
    fn piece(&mut self, piece: &'t str, scope: &Scope<'_>) -> Result<(), Rejection> {
        let (fields, values) = match &self.check.rule.signature.shape {
            Shape::Whole => {
                let signature = self.whole(piece)?;
                let fits = condition::holds(&self.check.rule.signature.fitting, scope);
                if let Some(group) = signature.filter(|_| fits) {
                    self.add(group);
                }
                return Ok(());
            }
            Shape::Pairs { separator, value } => pairs(piece, separator, value)?,
            Shape::Columns { separator, names, value } => columns(piece, separator, names, value)?,
            Shape::Unpacked(value) => unpacked(piece, &self.check.unpacked, value)?,
        };
        let mut group = Group { fields, signatures: SmallVec::new(), jws: None };
        for value in values {
            group.signatures.extend(self.signature(&value)?);
        }
        let fits = condition::holds(&self.check.rule.signature.fitting, &Scope { fields: &group.fields, ..*scope });
        if !group.signatures.is_empty() && fits {
            self.groups.push(group);
        }
        Ok(())
    }

    /// A candidate that is nothing but its signature, or a token with its own message.
    fn whole(&mut self, text: &'t str) -> Result<Option<Group<'t>>, Rejection> {
        let group = |signature, jws| Group { fields: SmallVec::new(), signatures: smallvec::smallvec![signature], jws };
        match self.scheme.family() {
            Family::Jws => {
                self.count()?;
                let Some(text) = self.stripped(text) else {
                    return Ok(None);
                };
                let jws = jws::read(text, self.scheme, self.check.rule.signature.detached);
                self.misspelled |= jws.is_none();
                Ok(jws.map(|jws| group(jws.signature.clone(), Some(jws))))
            }
            Family::Basic => {
                self.count()?;
                let user = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")).map(|(_, user)| user);
                let decoded = user.map(|user| spelling::decode(user.trim(), Encoding::Base64, self.scheme.signature_bytes()));
                self.misspelled |= matches!(decoded, Some(None));
                Ok(decoded.flatten().map(|signature| group(signature, None)))
            }
            _ => Ok(self.signature(text)?.map(|signature| group(signature, None))),
        }
    }

    fn count(&mut self) -> Result<(), Rejection> {
        self.pieces += 1;
        if self.pieces > CANDIDATES_MAX { Err(Rejection::Malformed) } else { Ok(()) }
    }

    /// The text without the beginning that this provider's candidates have; `None` for one of another's.
    fn stripped<'s>(&self, text: &'s str) -> Option<&'s str> {
        match self.check.rule.signature.strip.as_slice() {
            [] => Some(text),
            prefixes => prefixes.iter().find_map(|prefix| text.strip_prefix(&**prefix)),
        }
    }

    /// A signature, if it is one of this provider's.
    fn signature(&mut self, text: &str) -> Result<Option<Signature>, Rejection> {
        self.count()?;
        let Some(stripped) = self.stripped(text) else {
            return Ok(None);
        };
        let signature = spelling::decode(stripped, self.check.rule.signature.encoding, self.scheme.signature_bytes());
        self.misspelled |= signature.is_none();
        Ok(signature)
    }

    /// Adds a signature without fields to the one group of those; a token stays by itself.
    fn add(&mut self, group: Group<'t>) {
        match self.groups.first_mut().filter(|_| group.jws.is_none()) {
            Some(first) => first.signatures.extend(group.signatures),
            None => self.groups.push(group),
        }
    }
}

fn pairs<'t>(piece: &'t str, separator: &str, value_key: &str) -> Result<Parts<'t>, Rejection> {
    let (mut fields, mut values): Parts<'t> = Parts::default();
    for pair in piece.split(separator) {
        let (key, value) = pair.split_once('=').ok_or(Rejection::Malformed)?;
        let (key, value) = (key.trim_ascii(), value.trim_ascii());
        if key == value_key {
            values.push(Cow::Borrowed(value));
        } else if fields.len() == CANDIDATES_MAX || fields.iter().any(|(other, _)| *other == key) {
            // Which of two values was signed is for nobody to guess.
            return Err(Rejection::Malformed);
        } else {
            fields.push((key, Cow::Borrowed(value)));
        }
    }
    Ok((fields, values))
}

fn columns<'t>(piece: &'t str, separator: &str, names: &'t [Box<str>], value_name: &str) -> Result<Parts<'t>, Rejection> {
    let (mut fields, mut values): Parts<'t> = Parts::default();
    let mut texts = piece.split(separator);
    for name in names {
        match texts.next() {
            Some(text) if **name == *value_name => values.push(Cow::Borrowed(text.trim_ascii())),
            Some(text) => fields.push((name, Cow::Borrowed(text.trim_ascii()))),
            // Only the signature may repeat, and a repeat may be missing.
            None if **name == *value_name && !values.is_empty() => {}
            None => return Err(Rejection::Malformed),
        }
    }
    if texts.next().is_some() { Err(Rejection::Malformed) } else { Ok((fields, values)) }
}

fn unpacked<'t>(piece: &str, pointers: &'t Unpacked, value: &str) -> Result<Parts<'t>, Rejection> {
    let (mut fields, mut values): Parts<'t> = Parts::default();
    let json = STANDARD.decode(piece).map_err(|_| Rejection::Malformed)?;
    let document = Document::read(&json, &pointers.pointers);
    for (name, pointer) in pointers.names.iter().zip(&pointers.pointers) {
        let slot = document.slot(pointer).filter(|slot| !slot.is_unusable()).ok_or(Rejection::Malformed)?;
        let Some(found) = slot.values.first() else {
            continue;
        };
        let text = Cow::Owned(String::from_utf8(found.to_vec()).map_err(|_| Rejection::Malformed)?);
        if **name == *value {
            values.push(text);
        } else {
            fields.push((name, text));
        }
    }
    Ok((fields, values))
}

/// The places of an unpacked candidate that are looked at, as written and as pointers.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    pub(super) names: Vec<Box<str>>,
    pub(super) pointers: Vec<crate::provider::Pointer>,
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
