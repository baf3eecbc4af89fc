//! Challenges that ask for a code: before anything is proved, a provider has text of its choice signed with the secret that signs events.
//!
//! X's CRC is one. Whoever knows the URL may ask, so without care the answer to a challenge is the signature of a forged event. Hence two
//! rules that shut each other out: the text of such a challenge has the [shape](is_challenge) of one, and what has that shape is never
//! taken for a signed event. JSON objects and lists, XML and versioned texts such as `v0:1760000000:...` do not have it.

use crate::provider::{After, Computation, Provider};

/// Bytes of the longest challenge that is signed unproved; X's are below 64.
const CHALLENGE_BYTES_MAX: usize = 256;

/// Whether the provider has something signed before it proved itself.
pub(super) fn asks_unproved(provider: &Provider) -> bool {
    let keyed = |by| matches!(by, Computation::HmacSha1 | Computation::HmacSha256);
    provider.handshakes.iter().any(|rule| rule.after == After::None && rule.compute.as_ref().is_some_and(|compute| keyed(compute.by)))
}

/// Whether a text, in pieces, could be such a challenge: short, and of letters, digits and what base64 and URLs leave unescaped.
#[derive(Debug, Default)]
pub(super) struct Shape {
    bytes: usize,
    other: bool,
}

impl Shape {
    /// Takes in the next bytes of the text.
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=|% ".contains(byte);
        self.other = self.other || self.bytes > CHALLENGE_BYTES_MAX || !piece.iter().all(plain);
    }

    /// Whether it has the shape of one.
    pub(super) fn is_challenge(&self) -> bool {
        !self.other
    }
}

/// Whether a text has the shape of a challenge.
pub(super) fn is_challenge(text: &[u8]) -> bool {
    let mut shape = Shape::default();
    shape.update(text);
    shape.is_challenge()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_challenge_and_no_message_is() {
        for text in ["", "foo", "not-a-token-0123456789", "MDVmZjlhYWUtZWJlMC00YjQ1LTk5YWYtOGM5NzBmMDg0ZTI4", "a+b/c==", "1|x y%20"] {
            assert!(is_challenge(text.as_bytes()), "{text}");
        }
        let long = "a".repeat(CHALLENGE_BYTES_MAX + 1);
        for text in ["{}", "[1]", "\"x\"", "<a/>", "v0:1760000000:x", "a&b", "caf\u{e9}", "a\n", &long] {
            assert!(!is_challenge(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_text_in_pieces_is_judged_as_a_whole() {
        let mut shape = Shape::default();
        ["abc", "{}", "abc"].iter().for_each(|piece| shape.update(piece.as_bytes()));
        assert!(!shape.is_challenge());
    }
}
