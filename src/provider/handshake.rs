//! Handshakes: what a vendor asks an endpoint before it trusts it, and the answer. A request that is one is answered and never stored.

use super::{
    atom::{Atom, Pointer},
    check::Check,
    condition::{Condition, Want, condition},
    covers,
    key::KeyForm,
    reply::{JSON, ReplyRule, TEXT, reply},
    scheme::Family,
    template::Template,
    vector::{Example, example},
    words::{choice, status, template},
};
use crate::yaml::{Fields, Node, Problems, as_list, as_text};

/// Handshakes one provider may have.
pub const HANDSHAKES_MAX: usize = 8;

/// A question of a vendor's, and the answer.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Its name, for metrics.
    pub name: Box<str>,
    /// Which requests are it.
    pub when: Condition,
    /// What must have been proved before it is answered.
    pub after: After,
    /// What must hold besides, or it is refused.
    pub guard: Condition,
    /// The status of a refusal.
    pub refuse: u16,
    /// What is computed for the answer.
    pub compute: Option<Compute>,
    /// What is done before it is answered.
    pub effect: Option<Effect>,
    /// The answer.
    pub reply: ReplyRule,
    /// Known answers.
    pub examples: Vec<Example>,
}

/// What must have been proved before a handshake is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// All checks.
    Verify,
    /// Nothing: the vendor does not sign it.
    None,
}

/// What is computed for an answer, with the key of the first check where a key is needed.
#[derive(Clone, Debug)]
pub struct Compute {
    /// Of what.
    pub of: Template,
    /// How.
    pub by: Computation,
    /// How it is written.
    pub hex: bool,
}

/// How a value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computation {
    /// SHA-256, without a key.
    Sha256,
    /// HMAC with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
}

/// What is done before a handshake is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The subscription is confirmed at Amazon SNS. The call is built from topic and token; the URL in the message is not followed.
    SnsConfirm {
        /// Where the message names its topic.
        topic: Atom,
        /// Where it has the token.
        token: Atom,
    },
    /// A secret that the vendor hands over is kept for the operator. It proves nothing before he has written it into the configuration, and
    /// is no longer taken then: nobody is to talk him into another.
    ShowSecret {
        /// Where it stands.
        at: Atom,
    },
}

const COMPUTATIONS: [(&str, Computation); 3] =
    [("sha256", Computation::Sha256), ("hmac-sha1", Computation::HmacSha1), ("hmac-sha256", Computation::HmacSha256)];

impl Effect {
    fn atoms(&self) -> impl Iterator<Item = &Atom> {
        let (first, second) = match self {
            Self::SnsConfirm { topic, token } => (topic, Some(token)),
            Self::ShowSecret { at } => (at, None),
        };
        std::iter::once(first).chain(second)
    }
}

impl Handshake {
    /// The methods it comes with. Without a demand on the method it is a `POST` like any event.
    pub fn methods(&self) -> Vec<String> {
        let of_method = self.when.demands.iter().find(|demand| demand.value.atom == Atom::Method);
        match of_method.map(|demand| &demand.want) {
            Some(Want::Any(templates)) => templates.iter().filter_map(Template::literal).collect(),
            Some(Want::Present | Want::Absent) | None => vec!["POST".into()],
        }
    }

    /// Every atom in it.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        let templates = self.reply.templates().into_iter().chain(self.compute.iter().map(|compute| &compute.of));
        let values = templates.flat_map(Template::values).map(|value| &value.atom);
        let of_effect = self.effect.iter().flat_map(Effect::atoms);
        self.when.atoms().chain(self.guard.atoms()).chain(values).chain(of_effect)
    }

    /// The credential that says whose subscriptions are confirmed, among what the checks and this handshake demand.
    pub(super) fn allow_list<'a>(&'a self, checks: &'a [Check]) -> Option<&'a str> {
        let Effect::SnsConfirm { topic, .. } = self.effect.as_ref()? else {
            return None;
        };
        let demands = checks.iter().flat_map(|check| &check.require.demands).chain(&self.guard.demands);
        let of_topic = demands.filter(|demand| demand.value.atom == *topic && demand.value.filters.is_empty());
        of_topic
            .filter_map(|demand| match &demand.want {
                Want::Any(templates) => match templates.as_slice() {
                    [only] => only.bare(),
                    _ => None,
                },
                Want::Present | Want::Absent => None,
            })
            .find_map(|atom| match atom {
                Atom::Credential(name) => Some(&**name),
                _ => None,
            })
    }
}

/// Reads `handshakes`.
pub(super) fn handshakes(node: &Node, checks: &[Check], problems: &mut Problems) -> Vec<Handshake> {
    let items = as_list(node);
    if items.len() > HANDSHAKES_MAX {
        problems.error(&node.at, format!("there are {} handshakes, and {HANDSHAKES_MAX} is the most", items.len()));
    }
    let read: Vec<Handshake> = items.iter().filter_map(|item| handshake(item, checks, problems)).collect();
    for (index, one) in read.iter().enumerate() {
        if read.iter().take(index).any(|other| other.name == one.name) {
            problems.error(&node.at, format!("two handshakes are named `{}`", one.name));
        }
    }
    read
}

fn handshake(node: &Node, checks: &[Check], problems: &mut Problems) -> Option<Handshake> {
    let mut fields = Fields::of(node, "a handshake", problems);
    let name = fields.need("name", node, problems).and_then(|node| label(node, problems));
    let when = fields.need("when", node, problems).and_then(|node| condition(node, "`when`", &in_handshake, problems));
    let after = fields.need("after", node, problems);
    let after = after.and_then(|node| choice(node, "`after`", &[("verify", After::Verify), ("none", After::None)], problems));
    let guard = fields.take("guard").map_or(Some(Condition::default()), |node| condition(node, "`guard`", &in_handshake, problems));
    let why = "a refused handshake is answered 400 to 499, and not 406 or 410";
    let refuse = fields.take("refuse").map_or(Some(401), |node| status(node, 400..=499, why, problems));
    let compute = fields.take("compute").map(|node| compute(node, checks, problems));
    let reply_node = fields.need("reply", node, problems);
    let reply = reply_node.and_then(|node| reply(node, "the answer to a handshake", problems));
    let examples = fields.take("example").map(|node| as_list(node).iter().filter_map(|item| example(item, problems)).collect());
    let effect_node = fields.take("effect");
    fields.finish(problems);
    let effect = effect_node.map_or(Some(None), |node| effect(node, when.as_ref()?, problems).map(Some));
    let (when, reply, compute) = (when?, reply?, compute.map_or(Some(None), |compute| compute.map(Some))?);
    let handshake = Handshake {
        name: name?,
        when,
        after: after?,
        guard: guard?,
        refuse: refuse?,
        compute,
        effect: effect?,
        reply,
        examples: examples.unwrap_or_default(),
    };
    let fine = consistent(&handshake, node, problems);
    let effective = match &handshake.effect {
        None => true,
        Some(Effect::SnsConfirm { topic, token }) => confirmable(&handshake, (topic, token), checks, node, problems),
        Some(Effect::ShowSecret { .. }) => showable(&handshake, checks, node, problems),
    };
    (effective && fine).then_some(handshake)
}

/// A name that can be a label: a word as sources have it.
fn label(node: &Node, problems: &mut Problems) -> Option<Box<str>> {
    let text = as_text(node, "the name", problems)?;
    let fits = (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        problems.error(&node.at, "the name of a handshake is 1 to 63 of a-z, 0-9 and `-`");
    }
    fits.then(|| text.into())
}

fn in_handshake(atom: &Atom) -> Result<(), String> {
    match atom {
        Atom::Field(_) | Atom::Key | Atom::Computed | Atom::Claim(_) | Atom::Item(_) | Atom::Headers(_) => {
            Err(format!("a handshake is known by its request, and {atom} is not part of it"))
        }
        _ => Ok(()),
    }
}

fn compute(node: &Node, checks: &[Check], problems: &mut Problems) -> Option<Compute> {
    let mut fields = Fields::of(node, "`compute`", problems);
    let of = fields.need("of", node, problems).and_then(|node| template(node, "`of`", problems));
    let by = fields.need("by", node, problems).and_then(|node| choice(node, "`by`", &COMPUTATIONS, problems));
    let hex = fields.need("as", node, problems).and_then(|node| choice(node, "`as`", &[("hex", true), ("base64", false)], problems));
    fields.finish(problems);
    let compute = Compute { of: of?, by: by?, hex: hex? };
    if let Some(wrong) = compute.of.values().find_map(|value| in_handshake(&value.atom).err()) {
        problems.error(&node.at, wrong);
        return None;
    }
    let secret = |check: &Check| {
        let public = matches!(check.key.form, KeyForm::Pem | KeyForm::Spki | KeyForm::Jwks) || check.scheme.first().is_asymmetric();
        !public && !matches!(check.scheme.family(), Family::Basic | Family::None)
    };
    if compute.by != Computation::Sha256 && !checks.first().is_some_and(secret) {
        problems.error(&node.at, "a code is computed with the secret of the first check, and that has none");
        return None;
    }
    Some(compute)
}

/// The effect of a handshake with this `when`.
fn effect(node: &Node, when: &Condition, problems: &mut Problems) -> Option<Effect> {
    let member = |name| Atom::Json(Pointer::member(name));
    if choice(node, "the effect", &[("sns-confirm", true), ("show-secret", false)], problems)? {
        return Some(Effect::SnsConfirm { topic: member("TopicArn"), token: member("Token") });
    }
    let holds_one = |atom: &Atom| matches!(atom, Atom::Header(_) | Atom::Json(_) | Atom::Form(_) | Atom::Parameter(_)) && !atom.many();
    let mut shown = when.demands.iter().filter(|demand| matches!(demand.want, Want::Present) && holds_one(&demand.value.atom));
    match (shown.next(), shown.next()) {
        (Some(demand), None) if demand.value.filters.is_empty() => Some(Effect::ShowSecret { at: demand.value.atom.clone() }),
        _ => {
            let what = "`show-secret` shows what `when` demands to be there, which is one value of the request: `header:X-Secret: true`";
            problems.error(&node.at, what);
            None
        }
    }
}

/// Whether the secret that is shown is one that nobody proves with anything else: the key of the first check.
fn showable(handshake: &Handshake, checks: &[Check], node: &Node, problems: &mut Problems) -> bool {
    let unproved = handshake.after == After::None && handshake.compute.is_none();
    let keyed = checks.first().is_some_and(|check| check.scheme.family() != Family::None && check.key.source.is_none());
    if !unproved || !keyed {
        problems.error(&node.at, "`show-secret` is for `after: none`, without `compute`: what is shown is the key of the first check");
    }
    unproved && keyed
}

/// Whether nobody can have us call who is not to: what the call is built of is signed, and the topic is one that the operator named.
fn confirmable(handshake: &Handshake, (topic, token): (&Atom, &Atom), checks: &[Check], node: &Node, problems: &mut Problems) -> bool {
    let covered = |atom: &Atom| checks.iter().any(|check| covers::by_check(check, atom));
    let proved = handshake.after == After::Verify && covered(topic) && covered(token);
    if !proved {
        problems.error(&node.at, "`sns-confirm` is for `after: verify`, where a check signs `json:/TopicArn` and `json:/Token`");
    }
    let listed = handshake.allow_list(checks).is_some();
    if !listed {
        let what =
            "`sns-confirm` needs `json:/TopicArn: \"{credential:NAME}\"` in `require` or `guard`: Amazon signs for every account there is";
        problems.error(&node.at, what);
    }
    proved && listed
}

/// What no single key can say wrong, and several together can.
fn consistent(handshake: &Handshake, node: &Node, problems: &mut Problems) -> bool {
    let before = problems.has_errors();
    let named = |atom: &Atom| matches!(atom, Atom::Credential(_));
    if handshake.when.demands.iter().all(|demand| demand.atoms().any(named)) {
        problems.error(&node.at, "`when` tells a handshake from an event by the request itself, not by credentials alone");
    }
    let methods = handshake.methods();
    if methods.is_empty() || !methods.iter().all(|method| matches!(&**method, "GET" | "HEAD" | "OPTIONS" | "POST")) {
        problems.error(&node.at, "a handshake is a GET, HEAD, OPTIONS or POST, named without values of the request");
    }
    let templates = handshake.reply.templates();
    let computed = templates.iter().flat_map(|template| template.values()).any(|value| value.atom == Atom::Computed);
    if computed != handshake.compute.is_some() {
        problems.error(&node.at, "`compute` and `{computed}` in the reply stand together");
    }
    let values = || templates.iter().flat_map(|template| template.values());
    if let Some(wrong) = values().filter(|value| value.atom != Atom::Computed).find_map(|value| in_handshake(&value.atom).err()) {
        problems.error(&node.at, wrong);
    }
    if values().any(|value| named(&value.atom)) && handshake.after == After::None && handshake.guard.demands.is_empty() {
        problems.error(&node.at, "a credential is not told to whoever asks: `after: verify`, or a `guard`");
    }
    // A browser must not be made to run what a stranger sent.
    let content_type = &*handshake.reply.content_type;
    if values().next().is_some() && !content_type.starts_with("text/plain") && content_type != TEXT && content_type != JSON {
        problems.error(&node.at, "an answer with values of the request in it is `text/plain` or JSON");
    }
    before || !problems.has_errors()
}
