//! The values a configuration is made of: each knows where it was written, how it is shown, and what an editor may offer for it.
//!
//! Every type here is listed by `check --print` through `Serialize` and described by `schema` through `JsonSchema`. A listing never
//! shows a credential, nor the part of a URL that may be one, nor free text from outside the file.

use std::{any::Any, borrow::Cow, fmt, ops::Deref, path::PathBuf, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    secret::Secret,
    yaml::{At, Key},
};

/// What a message shows of a value that came from outside the file.
pub(super) const INSERTED: &str = "what was inserted here";

/// A value and where it was written.
#[derive(Clone)]
pub struct Placed<T> {
    /// Its place; for a default, the place of the mapping it was left out of.
    pub at: At,
    /// Whether it was written, and is not a default.
    pub written: bool,
    /// Whether any of it came from the environment or a file: what of that is free text may be a secret, and is not shown.
    pub hidden: bool,
    /// The value.
    pub value: T,
}

impl Placed<String> {
    /// The text for a message: quoted, and not at all when it came from outside the file.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.hidden { INSERTED.to_owned() } else { format!("`{}`", self.value.escape_debug()) }
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Any> Placed<T> {
    /// The value as a listing shows it, where that is its fingerprint.
    fn guarded(&self) -> Option<Guarded> {
        free_text(&self.value).filter(|_| self.hidden).map(|text| Guarded(Secret::new(text)))
    }
}

impl<T: Serialize + Any> Serialize for Placed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.guarded() {
            Some(guarded) => guarded.serialize(to),
            None => self.value.serialize(to),
        }
    }
}

impl<T: fmt::Debug + Any> fmt::Debug for Placed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.guarded() {
            Some(guarded) => guarded.fmt(f),
            None => write!(f, "{:?} at {:?}", self.value, self.at),
        }
    }
}

/// The bytes of a value that may be any text. A word, a number, a duration, an address says what it is, and that is no secret.
fn free_text(value: &dyn Any) -> Option<&[u8]> {
    let path = || value.downcast_ref::<PathBuf>().map(|path| path.as_os_str().as_encoded_bytes());
    value.downcast_ref::<String>().map(String::as_bytes).or_else(path)
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// How long: `10s`, `3d`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    /// So many seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl fmt::Display for Period {
    /// As people write it: whole days, and the largest unit that divides it, so that 72 hours read `3d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
        let ms = self.0.as_millis();
        if ms == 0 {
            return f.write_str("0s");
        }
        // One millisecond divides every duration that is written in a configuration.
        let (length, unit) = UNITS.into_iter().find(|(length, _)| ms.is_multiple_of(*length)).unwrap_or((1, "ms"));
        write!(f, "{}{unit}", ms / length)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^([0-9]+(\.[0-9]+)? *[a-zµ]+ *)+$|\$\{", "examples": ["10s", "5m", "3d"] })
    }
}

/// How many bytes: `256KiB`, `10GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// So many MiB.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib * 1024 * 1024)
    }

    /// So many GiB.
    #[must_use]
    pub const fn gib(gib: u64) -> Self {
        Self::mib(gib * 1024)
    }
}

impl fmt::Display for Size {
    /// In the largest unit that divides it, so that it reads back as the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
        match UNITS.iter().find(|(bytes, _)| self.0 >= *bytes && self.0.is_multiple_of(*bytes)) {
            Some((bytes, unit)) => write!(f, "{}{unit}", self.0 / bytes),
            None => f.write_str("0B"),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? *([kKmMgGtT]i?)?[bB]$|\$\{", "examples": ["256KiB", "10GiB"] })
    }
}

/// A share of something, in percent from 1 to 100: `25%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u32);

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}%", self.0))
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[0-9]{1,3}%$|\$\{", "examples": ["25%"] })
    }
}

/// A value that is written as text: an address, a network, a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T> Deref for Text<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<T> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// A URL. Its query, and its path when any of it came from outside the file, may hold a token: what shows it shows a fingerprint of them.
#[derive(Clone)]
pub struct Link {
    /// The URL.
    pub url: url::Url,
    /// Whether any of it came from the environment or a file.
    pub hidden: bool,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after_host = &self.url[url::Position::BeforePath..];
        if self.hidden && after_host != "/" {
            let origin = &self.url[..url::Position::BeforePath];
            return write!(f, "{origin}/<{}>", Secret::new(after_host).fingerprint());
        }
        match self.url.query() {
            Some(query) => write!(f, "{}?<{}>", &self.url[..url::Position::AfterPath], Secret::new(query).fingerprint()),
            None => f.write_str(self.url.as_str()),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl JsonSchema for Link {
    fn schema_name() -> Cow<'static, str> {
        "Link".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^https?://|\$\{" })
    }
}

/// A credential. Listings show its fingerprint.
#[derive(Clone, Debug)]
pub struct Guarded(pub Secret);

impl Guarded {
    /// It as text, which is what it was written as. Name the reason at each call: this is where a secret may leak.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.0.reveal()).unwrap_or_default() // of a file that was text
    }
}

impl Serialize for Guarded {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("<{}>", self.0.fingerprint()))
    }
}

impl JsonSchema for Guarded {
    fn schema_name() -> Cow<'static, str> {
        "Guarded".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// One, or a list.
#[derive(Clone, Debug)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => one.serialize(to),
            all => all.serialize(to),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// Things by name, in the order they were written.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(Key, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.text.as_str())
    }

    /// The thing of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(key, _)| key.text == name).map(|(_, thing)| thing)
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (key, thing) in &self.0 {
            map.serialize_entry(&key.text, thing)?;
        }
        map.end()
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": one })
    }
}
