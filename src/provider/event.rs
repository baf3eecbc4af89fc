//! The `event` part of a provider file: what a request is, in the vendor's words.

use super::{
    DocumentPlace, EventRule, Provider,
    atom::Atom,
    check::Check,
    covers,
    scheme::Family,
    template::Template,
    words::{choice, template},
};
use crate::yaml::{Fields, Node, Problems, as_list};

/// What is known of events of which the file says nothing.
pub(super) fn unnamed(checks: &[Check]) -> EventRule {
    EventRule { body_signed: covers::whole_body(checks), ..EventRule::default() }
}

/// Reads `event`.
pub(super) fn event(node: &Node, checks: &[Check], document: &[DocumentPlace], problems: &mut Problems) -> EventRule {
    let mut fields = Fields::of(node, "an event", problems);
    let claims = checks.iter().any(|check| check.scheme.family() == Family::Jws && !check.signature.detached);
    let id = fields.take("id").map(|node| templates(node, "the event's id", usize::MAX, claims, problems)).unwrap_or_default();
    let types = fields.take("type").map(|node| templates(node, "the event's type", 1, claims, problems)).unwrap_or_default();
    let once = fields.take("once").map(|node| (node, choice(node, "`once`", &[("none", false), ("message", true)], problems)));
    let repeats = fields.take("repeats").map(|node| (node, choice(node, "`repeats`", &[("body", false), ("none", true)], problems)));
    fields.finish(problems);
    let signs = |check: &Check| !matches!(check.scheme.family(), Family::Token | Family::Basic | Family::None) && check.each.is_none();
    if let Some((node, Some(true))) = once
        && !checks.first().is_some_and(signs)
    {
        problems.error(&node.at, "`once: message` is for a first check that signs one message");
    }
    let once = once.is_some_and(|(_, once)| once == Some(true));
    if let Some((node, _)) = repeats.filter(|_| once) {
        problems.error(&node.at, "`once: message` says already what repeats are: `repeats` is left out");
    }
    EventRule {
        id_signed: covers::by_any(checks, document, &id),
        types_signed: covers::by_any(checks, document, &types),
        body_signed: covers::whole_body(checks),
        id,
        types,
        once,
        always_new: repeats.is_some_and(|(_, none)| none == Some(true)),
        key: None,
    }
}

/// A template by which a source knows its events, and what follows from it.
#[derive(Clone, Debug)]
pub struct DedupKey {
    /// The template.
    pub template: Template,
    /// Whether the signature covers all of it.
    pub is_signed: bool,
    /// Whether the public URL is part of it.
    pub needs_public_url: bool,
}

/// Reads the template by which a source knows the events of a provider.
///
/// # Errors
/// What is wrong with it.
pub fn dedup_key(text: &str, provider: &Provider) -> Result<DedupKey, String> {
    let checks = &provider.checks;
    let template = Template::parse(text)?;
    let claims = checks.iter().any(|check| check.scheme.family() == Family::Jws && !check.signature.detached);
    of_request(&template, claims).map_err(|wrong| format!("it {wrong}"))?;
    let needs_public_url = template.values().any(|value| value.atom.needs_public_url());
    Ok(DedupKey { is_signed: covers::by_any(checks, &provider.document, std::slice::from_ref(&template)), template, needs_public_url })
}

/// The alternatives of an event rule. A field of a signature belongs to one candidate and says nothing about the event.
fn templates(node: &Node, what: &str, stars_max: usize, claims: bool, problems: &mut Problems) -> Vec<Template> {
    let mut templates = Vec::new();
    for item in as_list(node) {
        let Some(template) = template(item, what, problems) else {
            continue;
        };
        if let Err(wrong) = of_request(&template, claims) {
            problems.error(&item.at, format!("{what} {wrong}"));
        } else if template.values().filter(|value| value.atom.many()).count() > stars_max {
            problems.error(&item.at, "a type has at most one `*` value in it: with two nobody can say which belongs to which");
        } else {
            templates.push(template);
        }
    }
    templates
}

/// Reads what events are ordered by: a template of their requests. Which token proved a request is not looked at, so it has no claims.
///
/// # Errors
/// What is wrong with it, in a sentence that goes on from its name.
pub fn order(text: &str) -> Result<Template, String> {
    let template = Template::parse(text).map_err(|wrong| format!("cannot be read: {wrong}"))?;
    of_request(&template, false).map(|()| template)
}

/// Whether a template says something about a request.
fn of_request(template: &Template, claims: bool) -> Result<(), String> {
    let atoms = || template.values().map(|value| &value.atom);
    let stray = |atom: &Atom| match atom {
        Atom::Field(_) | Atom::Credential(_) | Atom::Item(_) | Atom::Key | Atom::Computed | Atom::Headers(_) => true,
        Atom::Claim(_) => !claims,
        _ => false,
    };
    if atoms().next().is_none() {
        return Err("has no value of the request in it, so all events would be the same".to_owned());
    }
    atoms().find(|atom| stray(atom)).map_or(Ok(()), |stray| Err(format!("is made of the request, and {stray} is not part of it")))
}
