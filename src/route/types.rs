//! Patterns on event types: `*` is any text, dots included; everything else is itself.

use crate::event::EventTypes;

/// A pattern on one event type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern(Box<str>);

impl TypePattern {
    /// Takes a pattern. Every text is one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether it matches every type, and an event without any.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether it matches this type. The time it takes grows with the length of both, and no faster.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return &*self.0 == kind };
        let Some(mut kind) = kind.strip_prefix(first) else { return false };
        // Each piece is found at its first place, and the last at the very end: with nothing but `*` between them no other choice
        // could succeed where this one fails.
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        for piece in middle.split('*') {
            let Some(at) = kind.find(piece) else { return false };
            kind = &kind[at + piece.len()..];
        }
        kind.ends_with(last)
    }

    /// Whether one of them matches: none are a condition that always holds.
    #[must_use]
    pub fn any_matches(patterns: &[Self], types: &EventTypes) -> bool {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_any() || types.iter().any(|kind| pattern.matches(kind)))
    }
}

impl std::fmt::Display for TypePattern {
    /// As it was written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_any_text() {
        let cases = [
            ("invoice.paid", "invoice.paid", true),
            ("invoice.paid", "invoice.paid2", false),
            ("invoice.*", "invoice.paid", true),
            ("invoice.*", "invoice.", true),
            ("invoice.*", "invoice", false),
            ("invoice.*", "invoice.payment.failed", true),
            ("*.failed", "invoice.payment.failed", true),
            ("*.failed", "invoice.failed.again", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("**", "x", true),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("[ab]?", "a1", false),
            ("[ab]?", "[ab]?", true),
            ("é*", "éa", true),
        ];
        for (pattern, kind, expected) in cases {
            assert_eq!(TypePattern::new(pattern).matches(kind), expected, "{pattern} on {kind}");
        }
    }

    /// The definition: a star takes some prefix of what is left.
    fn by_definition(pattern: &[char], kind: &[char]) -> bool {
        match pattern.split_first() {
            None => kind.is_empty(),
            Some(('*', rest)) => (0..=kind.len()).any(|taken| by_definition(rest, &kind[taken..])),
            Some((first, rest)) => kind.first() == Some(first) && by_definition(rest, &kind[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(pattern in "[ab*]{0,8}", kind in "[ab]{0,8}") {
            let (chars, kind_chars): (Vec<char>, Vec<char>) = (pattern.chars().collect(), kind.chars().collect());
            prop_assert_eq!(TypePattern::new(&pattern).matches(&kind), by_definition(&chars, &kind_chars));
        }
    }
}
