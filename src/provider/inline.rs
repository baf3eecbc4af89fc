//! A provider that is written where it is used: the body of a provider file under the `verify` of a source. A check that is the only one
//! may stand there key by key, several as a list.
//!
//! It is put into the form of a file here and read like one, so that it means the same and is refused for the same, each mistake with its
//! place in the configuration. What names and proves a file (`provider`, `title`, `docs`, `confidence`, `setup`, `vectors`) has no meaning
//! in one source.

use crate::yaml::{Fields, Key, Node, Problems, Value};

/// What such a provider is called in metrics, headers and answers; the source's name tells one from the other. No file is named so.
pub const INLINE: &str = "inline";

/// Keys of a check, which may stand by themselves when there is one.
const OF_CHECK: [&str; 9] = ["scheme", "each", "signature", "message", "digest", "url", "key", "timestamp", "require"];
/// Keys of a provider file that say how one source is verified and answered.
const OF_FILE: [&str; 9] = ["like", "credentials", "document", CHECKS, "event", "handshakes", "replies", "limits", "delivery"];
/// Where a file has its checks.
const CHECKS: &str = "verify";

/// The tree of the provider file that `node`, the value of a source's `verify`, stands for. `None` when it cannot be one, which is noted;
/// so is every key that has no meaning there.
pub fn inline(node: &Node, problems: &mut Problems) -> Option<Node> {
    let under = |checks: Node| (Key { at: node.at.clone(), text: CHECKS.to_owned() }, checks);
    if matches!(node.value, Value::List(_)) {
        return Some(Node::new(node.at.clone(), Value::Map(vec![under(node.clone())])));
    }
    let mut fields = Fields::of(node, "`verify`", problems);
    for key in OF_CHECK.into_iter().chain(OF_FILE) {
        fields.take(key);
    }
    fields.finish(problems);
    let Value::Map(entries) = &node.value else {
        needs_check(node, problems);
        return None;
    };
    let entries_of = |keys: &[&str]| entries.iter().filter(|(key, _)| keys.contains(&key.text.as_str())).cloned().collect::<Vec<_>>();
    let (check, mut file) = (entries_of(&OF_CHECK), entries_of(&OF_FILE));
    if check.is_empty() {
        if node.get(CHECKS).is_none() && node.get("like").is_none() {
            needs_check(node, problems);
            return None;
        }
    } else {
        if let Some((key, _)) = file.iter().find(|(key, _)| key.text == CHECKS) {
            let said = "`verify` has the keys of one check, or its checks as a list under a `verify` of its own, and this has both";
            problems.error(&key.at, said);
            return None;
        }
        file.push(under(Node::new(node.at.clone(), Value::Map(check))));
    }
    Some(Node::new(node.at.clone(), Value::Map(file)))
}

fn needs_check(node: &Node, problems: &mut Problems) {
    // Of what is no mapping at all that was said already.
    if !problems.blames(&node.at) {
        let hint = "write the keys of one, such as `{ scheme: hmac-sha256, signature: { at: header:X-Signature, encoding: hex }, message: \
                    \"{body}\" }`, or a list of them";
        problems.error_hint(&node.at, "`verify` needs a check", hint);
    }
}
