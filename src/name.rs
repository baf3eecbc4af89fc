//! Names from the configuration: of sources, targets and routes.
//!
//! A name is checked once, where it is written (`[a-z][a-z0-9-]{0,62}`), and is then a cheap, shared, immutable string. The kind is part of
//! the type, so a target's name cannot be passed where a source's is wanted.

use std::{fmt, marker::PhantomData, sync::Arc};

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 63;

/// A checked name of something of kind `K`. Cloning it copies a pointer.
pub struct Name<K>(Arc<str>, PhantomData<fn() -> K>);

/// The kind marker of [`SourceName`].
#[derive(Debug)]
pub enum Source {}
/// The kind marker of [`TargetName`].
#[derive(Debug)]
pub enum Target {}
/// The kind marker of [`RouteName`].
#[derive(Debug)]
pub enum Route {}

/// The name of a configured intake.
pub type SourceName = Name<Source>;
/// The name of a configured receiver of events.
pub type TargetName = Name<Target>;
/// The name of a rule from sources to targets.
pub type RouteName = Name<Route>;

impl<K> Name<K> {
    /// Accepts `[a-z][a-z0-9-]{0,62}`; anything else is `None`, and the caller knows where it was written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = text.bytes();
        let first_fits = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let rest_fits = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (first_fits && rest_fits && text.len() <= NAME_BYTES_MAX).then(|| Self(text.into(), PhantomData))
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What no name begins with that somebody can write.
const ALERTS: &str = "_alerts";

impl SourceName {
    /// The source of alerts, which are events of our own. Nobody can configure it.
    #[must_use]
    pub fn alerts() -> Self {
        Self(ALERTS.into(), PhantomData)
    }

    /// Reads a name that was stored, or that somebody looks for: that of a configured source, or of alerts.
    #[must_use]
    pub fn known(text: &str) -> Option<Self> {
        if text == ALERTS { Some(Self::alerts()) } else { Self::parse(text) }
    }
}

// Derives would demand the same of `K`, which is only a marker; so these are written out.
impl<K> Clone for Name<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<K> PartialEq for Name<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Name<K> {}

impl<K> PartialOrd for Name<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Name<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> std::hash::Hash for Name<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K> std::borrow::Borrow<str> for Name<K> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<K> fmt::Display for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<K> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_what_a_url_and_a_label_can_carry() {
        for good in ["a", "stripe", "a-1", &"x".repeat(63)] {
            assert!(SourceName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "a.b", "ä", &"x".repeat(64)] {
            assert!(SourceName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_source_of_alerts_is_known_and_nobody_can_write_it() {
        let alerts = SourceName::alerts();
        assert_eq!((SourceName::known(alerts.as_str()), SourceName::parse(alerts.as_str())), (Some(alerts.clone()), None));
        assert_eq!((SourceName::known("git"), SourceName::known("_other")), (SourceName::parse("git"), None));
    }
}
