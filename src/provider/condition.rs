//! Conditions: what values of a request must be. All demands of one must hold, and every comparison takes the same time whatever is
//! compared.

use super::{
    atom::Atom,
    template::{Template, Value as Place},
    words::template,
};
use crate::yaml::{Node, Problems, Value, as_list};

/// Demands that must all hold; none always hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The demands, in the order written.
    pub demands: Vec<Demand>,
}

/// What one value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The value.
    pub value: Place,
    /// What it must be.
    pub want: Want,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// One of these. A template that is incomplete is none.
    Any(Vec<Template>),
    /// There, and not empty.
    Present,
    /// Not there.
    Absent,
}

impl Condition {
    /// Every atom in it, those of its templates included.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.demands.iter().flat_map(Demand::atoms)
    }

    /// The condition without the demands that name one of these credentials.
    #[must_use]
    pub fn without(&self, unset: &[&str]) -> Self {
        let named = |demand: &&Demand| !demand.atoms().any(|atom| matches!(atom, Atom::Credential(name) if unset.contains(&&**name)));
        Self { demands: self.demands.iter().filter(named).cloned().collect() }
    }
}

impl Demand {
    /// Every atom in it.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        let templates = match &self.want {
            Want::Any(templates) => templates.as_slice(),
            Want::Present | Want::Absent => &[],
        };
        std::iter::once(&self.value.atom).chain(templates.iter().flat_map(Template::values).map(|value| &value.atom))
    }
}

/// Reads a condition. `fits` says what is wrong with an atom that has no meaning here.
pub(super) fn condition(node: &Node, what: &str, fits: &dyn Fn(&Atom) -> Result<(), String>, problems: &mut Problems) -> Option<Condition> {
    let Value::Map(entries) = &node.value else {
        problems.error(&node.at, format!("{what} is a mapping from places to what they must be, and this is {}", node.kind()));
        return None;
    };
    let mut demands = Vec::with_capacity(entries.len());
    let mut whole = true;
    for (key, node) in entries {
        let value = Place::parse(&key.text);
        if let Err(wrong) = &value {
            problems.error(&key.at, format!("{what}: {wrong}"));
        }
        let want = want(node, what, problems);
        match (value, want) {
            (Ok(value), Some(want)) => {
                let demand = Demand { value, want };
                if let Some(wrong) = demand.atoms().find_map(|atom| fits(atom).err()) {
                    problems.error(&key.at, format!("{what}: {wrong}"));
                    whole = false;
                }
                demands.push(demand);
            }
            _ => whole = false,
        }
    }
    whole.then_some(Condition { demands })
}

fn want(node: &Node, what: &str, problems: &mut Problems) -> Option<Want> {
    match &node.value {
        Value::Scalar { text, quoted: false } if text == "true" => Some(Want::Present),
        Value::Scalar { text, quoted: false } if text == "false" => Some(Want::Absent),
        _ => {
            let items = as_list(node);
            let templates: Vec<Template> = items.iter().filter_map(|item| template(item, what, problems)).collect();
            if items.is_empty() {
                problems
                    .error(&node.at, format!("{what} says what a value must be: a text, a list of them, true (there) or false (absent)"));
            }
            (!items.is_empty() && templates.len() == items.len()).then_some(Want::Any(templates))
        }
    }
}
