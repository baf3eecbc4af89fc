//! The `signature` of a check: where candidates stand, how they are taken apart, and their one spelling.

use super::{
    atom::Atom,
    condition::{Condition, condition},
    words::{atom, choice, texts},
};
use crate::yaml::{Fields, Node, Problems, as_bool, as_list, as_text};

/// Where the signatures stand, and how they are spelled.
#[derive(Clone, Debug)]
pub struct SignatureRule {
    /// The places looked at, in order.
    pub at: Vec<Atom>,
    /// What separates several candidates in one value; the first that fits at a place is taken.
    pub split: Vec<Box<str>>,
    /// What a candidate is made of.
    pub shape: Shape,
    /// What a signature begins with: one of these, or the candidate is passed over. Empty: nothing is taken off.
    pub strip: Vec<Box<str>>,
    /// Candidates that do not fit are passed over.
    pub fitting: Condition,
    /// Its one spelling.
    pub encoding: Encoding,
    /// A JSON Web Signature without its payload; the message is the payload.
    pub detached: bool,
}

/// What a candidate is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It is the signature.
    Whole,
    /// It is `k=v` pairs.
    Pairs {
        /// What stands between two pairs.
        separator: Box<str>,
        /// The key whose value is the signature. It may repeat; no other may.
        value: Box<str>,
    },
    /// It is values in a fixed order.
    Columns {
        /// What stands between two values.
        separator: Box<str>,
        /// Their names. Only the signature's may repeat, at the end.
        names: Vec<Box<str>>,
        /// The name of the signature.
        value: Box<str>,
    },
    /// It is JSON in base64; this pointer leads to the signature.
    Unpacked(Box<str>),
}

/// How bytes are spelled. Each has one spelling, so that a signature cannot be dressed up as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lower-case hex.
    Hex,
    /// Standard base64 (RFC 4648, section 4) with padding and zero trailing bits.
    Base64,
    /// URL-safe base64 (RFC 4648, section 5) without padding, with zero trailing bits.
    Base64Url,
    /// The bytes themselves: tokens, passwords and JSON Web Signatures, which have a spelling of their own.
    Plain,
}

const ENCODINGS: [(&str, Encoding); 3] = [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];

impl Encoding {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Hex => "lower-case hex",
            Self::Base64 => "base64 with padding",
            Self::Base64Url => "URL-safe base64 without padding",
            Self::Plain => "the text itself",
        }
    }
}

impl SignatureRule {
    /// Looked for at this one place, and taken as it stands.
    pub(super) fn plain(at: Atom) -> Self {
        Self {
            at: vec![at],
            split: Vec::new(),
            shape: Shape::Whole,
            strip: Vec::new(),
            fitting: Condition::default(),
            encoding: Encoding::Plain,
            detached: false,
        }
    }
}

/// Reads `signature`.
pub(super) fn signature(node: &Node, problems: &mut Problems) -> Option<SignatureRule> {
    let mut fields = Fields::of(node, "a signature", problems);
    let at = fields.need("at", node, problems);
    let at: Vec<Atom> = at.map(|node| as_list(node).iter().filter_map(|item| atom(item, problems)).collect()).unwrap_or_default();
    let split = fields.take("split").map(|node| texts(node, "`split`", false, problems)).unwrap_or_default();
    let unpack = fields.take("unpack").and_then(|node| choice(node, "`unpack`", &[("base64-json", ())], problems));
    let pairs = fields.take("pairs").and_then(|node| as_text(node, "`pairs`", problems));
    let columns = fields.take("columns").map(|node| texts(node, "`columns`", false, problems));
    let by = fields.take("by").and_then(|node| as_text(node, "`by`", problems));
    let value = fields.take("value").and_then(|node| as_text(node, "`value`", problems));
    let strip = fields.take("strip").map(|node| texts(node, "`strip`", true, problems)).unwrap_or_default();
    let fitting = fields.take("where").map_or(Some(Condition::default()), |node| condition(node, "`where`", &in_where, problems));
    let encoding = match fields.take("encoding") {
        None => Encoding::Plain,
        Some(node) => choice(node, "the encoding", &ENCODINGS, problems)?,
    };
    let detached = fields.take("detached").and_then(|node| as_bool(node, "`detached`", problems)).unwrap_or(false);
    fields.finish(problems);
    let shape = shape(node, unpack.is_some(), pairs, columns.as_deref().zip(by), value, problems)?;
    if columns.is_some() != by.is_some() {
        problems.error(&node.at, "`columns` and `by` stand together: the names, and what stands between the values");
        return None;
    }
    let misplaced = |atom: &&Atom| match atom {
        Atom::Header(_) | Atom::Headers(_) | Atom::Parameter(_) | Atom::Form(_) => false,
        Atom::Json(_) | Atom::Item(_) => atom.many(),
        _ => true,
    };
    if let Some(wrong) = at.iter().find(misplaced) {
        let places = "a header, a query parameter, a form field or one value of the JSON document";
        problems.error(&node.at, format!("a signature stands in {places}, not in {wrong}"));
        return None;
    }
    (!at.is_empty()).then_some(())?;
    Some(SignatureRule { at, split, shape, strip, fitting: fitting?, encoding, detached })
}

fn in_where(atom: &Atom) -> Result<(), String> {
    match atom {
        Atom::Key | Atom::Computed | Atom::Claim(_) | Atom::Headers(_) => Err(format!("{atom} is not known while candidates are chosen")),
        _ => Ok(()),
    }
}

fn shape(
    node: &Node,
    unpack: bool,
    pairs: Option<&str>,
    columns: Option<(&[Box<str>], &str)>,
    value: Option<&str>,
    problems: &mut Problems,
) -> Option<Shape> {
    let value = value.filter(|value| !value.is_empty());
    let shape = match (unpack, pairs, columns, value) {
        (false, None, None, None) => Ok(Shape::Whole),
        (true, None, None, Some(pointer)) => match super::atom::Pointer::parse(pointer) {
            Ok(parsed) if !parsed.many() => Ok(Shape::Unpacked(pointer.into())),
            _ => Err("the `value` of an unpacked candidate is a JSON pointer such as `/signature`".to_owned()),
        },
        (false, Some(separator), None, Some(value)) if !separator.is_empty() => {
            Ok(Shape::Pairs { separator: separator.into(), value: value.into() })
        }
        (false, None, Some((names, separator)), value) if !separator.is_empty() => columned(names, separator, value),
        (true, ..) => Err("`unpack` and `value` stand together, without `pairs` and `columns`".to_owned()),
        _ => Err("`pairs` and `value` stand together: what separates the pairs, and the key of the signature".to_owned()),
    };
    shape.map_err(|what| problems.error(&node.at, what)).ok()
}

fn columned(names: &[Box<str>], separator: &str, value: Option<&str>) -> Result<Shape, String> {
    let repeated = |name: &str| names.iter().filter(|other| ***other == *name).count() > 1;
    // Without `value` the column that repeats is the signature, else the one called so.
    let value = value.or_else(|| names.iter().map(|name| &**name).find(|name| repeated(name))).unwrap_or("sig");
    if !names.iter().any(|name| **name == *value) {
        return Err(format!("`value` names the column that is the signature, and there is no column `{value}`"));
    }
    if names.iter().filter(|name| ***name != *value).any(|name| repeated(name)) {
        return Err("only the signature may stand in several columns".into());
    }
    let first = names.iter().position(|name| **name == *value).unwrap_or_default();
    let signatures = names.iter().filter(|name| ***name == *value).count();
    if signatures > 1 && first + signatures != names.len() {
        return Err("columns that repeat stand at the end".into());
    }
    Ok(Shape::Columns { separator: separator.into(), names: names.to_vec(), value: value.into() })
}
