//! What can be refused from the head alone, before a byte of the body is read: cheap, and in the order of what tells a stranger least.

use std::sync::Arc;

use super::{head::Head, refusal::Refusal};
use crate::{
    limits::{OUR_HEAD_BYTES_MAX, STORED_HEAD_BYTES_MAX, VIA_MAX},
    plan::{Plan, Source},
    rejection::Rejection,
    request::Single,
};

/// The source whose path this is. The path is compared as received, byte for byte: what would have to be decoded or tidied up first is not
/// ours.
pub(super) fn source_of<'a>(plan: &'a Plan, head: &Head) -> Result<&'a Arc<Source>, Refusal> {
    plan.paths.get(&*head.path).ok_or_else(|| Rejection::UnknownPath.into())
}

/// Method (one of a handshake's is looked at further), loop, encoding, size, repeated fields.
pub(super) fn check(source: &Source, head: &Head) -> Result<(), Refusal> {
    if &*head.method != "POST" && !source.verifier.methods().contains(&head.method) {
        return Err(Rejection::Method.into());
    }
    if visits(head) >= VIA_MAX {
        return Err(Rejection::Loop.into());
    }
    let identity = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"identity");
    if !head.headers.all("content-encoding").all(identity) {
        return Err(Rejection::Encoding.into());
    }
    if head.headers.single("content-type") == Single::Repeated {
        return Err(Rejection::DuplicateHeader.into());
    }
    if head.content_length().is_some_and(|announced| announced > source.body_limit) {
        return Err(Rejection::TooLarge.into());
    }
    if head.forwarded_bytes() > STORED_HEAD_BYTES_MAX - OUR_HEAD_BYTES_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

/// How often the request has passed through a hookgate, by its `Via` entries (RFC 9110, 7.6.3): `1.1 hookgate/4f1d22a0`.
fn visits(head: &Head) -> usize {
    let ours = |word: &[u8]| word.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"hookgate/"));
    let entries = head.headers.all("via").flat_map(|value| value.split(|byte| *byte == b','));
    entries.filter(|entry| entry.split(u8::is_ascii_whitespace).any(ours)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::HeadersBuilder;

    fn head(fields: &[(&str, &[u8])]) -> Head {
        let mut headers = HeadersBuilder::new();
        for (name, value) in fields {
            assert!(headers.push(name, value));
        }
        Head { method: "POST".into(), path: "/".into(), query: None, headers: headers.build(), peer: [127, 0, 0, 1].into() }
    }

    #[test]
    fn visits_are_counted_over_fields_and_lists() {
        assert_eq!(visits(&head(&[])), 0);
        assert_eq!(visits(&head(&[("Via", b"1.1 proxy, 1.1 hookgates/x, 1.0 vegur")])), 0);
        assert_eq!(visits(&head(&[("Via", b"1.1 hookgate/a,1.1 HOOKGATE/b"), ("via", b"1.1 proxy , hookgate/c")])), 3);
    }
}
