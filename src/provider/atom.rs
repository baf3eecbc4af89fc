//! Atoms and filters: the places of a request that a provider file can name, and what may be done to a value on the way.
//!
//! Both lists are closed. A word that is in the grammar and not built yet is refused as planned; any other is unknown.

use std::fmt;

use crate::yaml::nearest;

/// A place in a request, in a signature candidate, or in the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Atom {
    /// The raw bytes of the body.
    Body,
    /// The method, as received.
    Method,
    /// The path, as received.
    Path,
    /// The query, as received, without its `?`.
    Query,
    /// A header's value; its name is compared without regard to case.
    Header(Box<str>),
    /// A query parameter, decoded.
    Parameter(Box<str>),
    /// A value of the JSON document.
    Json(Pointer),
    /// A field of the signature candidate.
    Field(Box<str>),
    /// A credential's value.
    Credential(Box<str>),
}

/// A JSON pointer (RFC 6901), in which a `*` stands for every element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Box<[Step]>);

/// One step of a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member with this name, or the element with this number.
    Member(Box<str>),
    /// Every element.
    Every,
}

/// What is done to a value. None of them takes a key: a MAC is made only by a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// ASCII letters to lower case.
    Lower,
    /// Lower-case hex.
    Hex,
    /// Standard base64 with padding.
    Base64,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// CRC-32 (IEEE) as a decimal number, as PayPal writes it.
    Crc32,
}

/// Atoms of the grammar that are not built yet.
const PLANNED_ATOMS: [&str; 11] =
    ["url", "endpoint", "form", "item", "claim", "key", "computed", "form-sorted", "form-php", "signed-headers", "qsh"];
/// Atoms that are built, for "did you mean".
const ATOMS: [&str; 8] = ["body", "method", "path", "query", "header", "json", "sig", "credential"];
/// Filters, for "did you mean".
const FILTERS: [&str; 6] = ["lower", "hex", "base64", "sha1", "sha256", "crc32"];

impl Atom {
    /// Reads an atom as it stands between braces, without filters and `?`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (word, argument) = match text.split_once(':') {
            Some((word, argument)) => (word, Some(argument)),
            None => (text, None),
        };
        match (word, argument) {
            ("body", None) => Ok(Self::Body),
            ("method", None) => Ok(Self::Method),
            ("path", None) => Ok(Self::Path),
            ("query", None) => Ok(Self::Query),
            ("header", Some(name)) if name.ends_with('*') => Err(format!("the header family `{name}` is planned and not built yet")),
            ("header", Some(name)) if is_token(name) => Ok(Self::Header(name.into())),
            ("header", Some(name)) => Err(format!("`{name}` cannot be a header's name")),
            ("query", Some(name)) if !name.is_empty() => Ok(Self::Parameter(name.into())),
            ("json", Some(pointer)) => Pointer::parse(pointer).map(Self::Json),
            ("sig", Some(pointer)) if pointer.starts_with('/') => Err(format!("`sig:{pointer}` is planned and not built yet")),
            ("sig", Some(name)) if !name.is_empty() => Ok(Self::Field(name.into())),
            ("credential", Some(name)) if !name.is_empty() => Ok(Self::Credential(name.into())),
            ("query" | "sig" | "credential", Some(_)) | ("header" | "json" | "sig" | "credential", None) => {
                Err(format!("the atom `{word}` names a place: `{word}:NAME`"))
            }
            ("body" | "method" | "path", Some(_)) => Err(format!("the atom `{word}` stands alone, without `:`")),
            _ if PLANNED_ATOMS.contains(&word) => Err(format!("the atom `{word}` is planned and not built yet")),
            _ => Err(unknown("atom", word, &ATOMS)),
        }
    }

    /// Whether it can be read before the body has arrived.
    #[must_use]
    pub fn in_head(&self) -> bool {
        !matches!(self, Self::Body | Self::Json(_))
    }
}

impl fmt::Display for Atom {
    /// For people: `header X-Id`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("the body"),
            Self::Method => f.write_str("the method"),
            Self::Path => f.write_str("the path"),
            Self::Query => f.write_str("the query"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Parameter(name) => write!(f, "query parameter {name}"),
            Self::Json(pointer) => write!(f, "JSON value {pointer}"),
            Self::Field(name) => write!(f, "the signature's field {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Every => f.write_str("/*"),
            Step::Member(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
        })
    }
}

impl Pointer {
    /// Reads a pointer: empty, or steps that each begin with `/`; `~1` stands for `/`, `~0` for `~`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Box::default()));
        }
        let Some(steps) = text.strip_prefix('/') else {
            return Err(format!("the JSON pointer `{text}` begins with `/`"));
        };
        steps.split('/').map(Step::parse).collect::<Option<_>>().map(Self).ok_or_else(|| format!("in `{text}`, `~` is written `~0`"))
    }

    /// Its steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether a `*` is in it, so that it can find several values.
    #[must_use]
    pub fn many(&self) -> bool {
        self.0.contains(&Step::Every)
    }
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Every);
        }
        let mut member = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(next) = chars.next() {
            match next {
                '~' => match chars.next() {
                    Some('0') => member.push('~'),
                    Some('1') => member.push('/'),
                    _ => return None,
                },
                plain => member.push(plain),
            }
        }
        Some(Self::Member(member.into()))
    }
}

impl Filter {
    /// Reads a filter's name.
    ///
    /// # Errors
    /// That there is none of this name, and which was probably meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "lower" => Ok(Self::Lower),
            "hex" => Ok(Self::Hex),
            "base64" => Ok(Self::Base64),
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "crc32" => Ok(Self::Crc32),
            _ => Err(unknown("filter", text, &FILTERS)),
        }
    }
}

/// Whether the text can be a header's name (RFC 9110, token).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn unknown(kind: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("there is no {kind} `{word}`; did you mean `{meant}`?"),
        None => format!("there is no {kind} `{word}`; there are: {}", known.join(", ")),
    }
}
