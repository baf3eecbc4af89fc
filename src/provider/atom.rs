//! Atoms and filters: the places of a request that a provider file can name, and what may be done to a value on the way.
//!
//! Both lists are closed: any other word is a load error that says which was probably meant.

use std::fmt;

use crate::{request::is_token, yaml::nearest};

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
    /// The public URL without its query, and the query as received.
    Url,
    /// The public URL as registered.
    Endpoint,
    /// A header's value; its name is compared without regard to case.
    Header(Box<str>),
    /// Every header whose name begins so: `header:NAME-*`, for signatures only.
    Headers(Box<str>),
    /// A query parameter, decoded.
    Parameter(Box<str>),
    /// A field of a form in the body, decoded.
    Form(Box<str>),
    /// A value of the JSON document.
    Json(Pointer),
    /// A value of the element that `each` looks at.
    Item(Pointer),
    /// A field of the signature candidate: a name, or a JSON pointer into one that is unpacked.
    Field(Box<str>),
    /// A claim of the JSON Web Signature.
    Claim(Pointer),
    /// A credential's value.
    Credential(Box<str>),
    /// The key that is being tried, for plain hashes.
    Key,
    /// What a handshake computes.
    Computed,
    /// All fields of a form, sorted (Twilio, Mandrill).
    FormSorted,
    /// All fields of a form but this one, as PHP serialises them (Paddle Classic).
    FormPhp(Box<str>),
    /// The headers that the request says were signed (Contentful).
    SignedHeaders(HeaderList),
    /// Method, path and query in Atlassian's canonical form, hashed.
    QueryStringHash,
}

/// A header that lists headers, and those that must be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderList {
    /// The header that holds the list.
    pub list: Box<str>,
    /// Names that must be in it, in lower case.
    pub must: Box<[Box<str>]>,
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

/// Every atom's word, for "did you mean".
const ATOMS: [&str; 19] = [
    "body",
    "method",
    "path",
    "query",
    "url",
    "endpoint",
    "header",
    "form",
    "json",
    "item",
    "sig",
    "claim",
    "credential",
    "key",
    "computed",
    "form-sorted",
    "form-php",
    "signed-headers",
    "qsh",
];
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
            ("url", None) => Ok(Self::Url),
            ("endpoint", None) => Ok(Self::Endpoint),
            ("key", None) => Ok(Self::Key),
            ("computed", None) => Ok(Self::Computed),
            ("form-sorted", None) => Ok(Self::FormSorted),
            ("qsh", None) => Ok(Self::QueryStringHash),
            ("json", Some(pointer)) => Pointer::parse(pointer).map(Self::Json),
            ("item", Some(pointer)) => Pointer::parse(pointer).map(Self::Item),
            ("sig", Some(pointer)) if pointer.starts_with('/') => Pointer::parse(pointer).map(|_| Self::Field(pointer.into())),
            ("header", Some(name)) => header(name),
            ("signed-headers", Some(names)) => HeaderList::parse(names).map(Self::SignedHeaders),
            ("query" | "form" | "sig" | "claim" | "credential" | "form-php", Some(name)) if !name.is_empty() => Ok(match word {
                "query" => Self::Parameter(name.into()),
                "form" => Self::Form(name.into()),
                "sig" => Self::Field(name.into()),
                "claim" => Self::Claim(Pointer::member(name)),
                "credential" => Self::Credential(name.into()),
                _ => Self::FormPhp(name.into()),
            }),
            ("query" | "form" | "sig" | "claim" | "credential" | "form-php", Some(_))
            | ("header" | "json" | "item" | "sig" | "claim" | "credential" | "form" | "form-php" | "signed-headers", None) => {
                Err(format!("the atom `{word}` names a place: `{word}:NAME`"))
            }
            _ if argument.is_some() && ATOMS.contains(&word) => Err(format!("the atom `{word}` stands alone, without `:`")),
            _ => Err(unknown("atom", word, &ATOMS)),
        }
    }

    /// Whether it can be read before the body has arrived.
    #[must_use]
    pub fn in_head(&self) -> bool {
        !matches!(self, Self::Body | Self::Json(_) | Self::Form(_) | Self::Item(_) | Self::FormSorted | Self::FormPhp(_))
    }

    /// Whether the public URL must be known for it.
    #[must_use]
    pub fn needs_public_url(&self) -> bool {
        matches!(self, Self::Url | Self::Endpoint)
    }

    /// Whether it is read out of a form in the body.
    #[must_use]
    pub fn of_form(&self) -> bool {
        matches!(self, Self::Form(_) | Self::FormSorted | Self::FormPhp(_))
    }

    /// Whether it is a pointer with a `*`, which finds several values.
    #[must_use]
    pub fn many(&self) -> bool {
        matches!(self, Self::Json(pointer) | Self::Item(pointer) if pointer.many())
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
            Self::Url => f.write_str("the URL"),
            Self::Endpoint => f.write_str("the registered URL"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Headers(start) => write!(f, "the headers {start}*"),
            Self::Form(name) => write!(f, "form field {name}"),
            Self::Item(pointer) => write!(f, "each element's {pointer}"),
            Self::Claim(pointer) => write!(f, "claim {}", pointer.to_string().trim_start_matches('/')),
            Self::Key => f.write_str("the key"),
            Self::Computed => f.write_str("the computed value"),
            Self::FormSorted => f.write_str("the form's fields"),
            Self::FormPhp(skip) => write!(f, "the form's fields but {skip}"),
            Self::SignedHeaders(headers) => write!(f, "the headers that {} lists", headers.list),
            Self::QueryStringHash => f.write_str("the hash of method, path and query"),
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

    /// The pointer to a member of the outermost object.
    #[must_use]
    pub fn member(name: &str) -> Self {
        Self(Box::new([Step::Member(name.into())]))
    }

    /// The pointer that leads to every element of this one's array, and from there on with `rest`.
    #[must_use]
    pub fn every(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&[Step::Every]).chain(&rest.0).cloned().collect())
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

impl HeaderList {
    fn parse(text: &str) -> Result<Self, String> {
        let mut names = text.split(',').map(str::trim);
        let list = names.next().unwrap_or_default();
        let must: Box<[Box<str>]> = names.map(|name| name.to_ascii_lowercase().into()).collect();
        match std::iter::once(list).chain(must.iter().map(|name| &**name)).find(|name| !is_token(name)) {
            Some(wrong) => Err(format!("`{wrong}` cannot be a header's name")),
            None => Ok(Self { list: list.into(), must }),
        }
    }
}

fn header(name: &str) -> Result<Atom, String> {
    match name.strip_suffix('*') {
        Some(start) if is_token(start) && start.ends_with('-') => Ok(Atom::Headers(start.into())),
        Some(_) => Err(format!("a family of headers is written `header:NAME-*`, not `header:{name}`")),
        None if is_token(name) => Ok(Atom::Header(name.into())),
        None => Err(format!("`{name}` cannot be a header's name")),
    }
}

fn unknown(kind: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("there is no {kind} `{word}`; did you mean `{meant}`?"),
        None => format!("there is no {kind} `{word}`; there are: {}", known.join(", ")),
    }
}
