//! `allow_methods` of a source: methods besides POST whose requests are events. The list is closed, and each stands in it once.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    placed::{OneOrMany, Placed},
    section::Section,
    values,
};
use crate::yaml::Value;

/// A method, besides POST, that an event may come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventMethod {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl EventMethod {
    /// All of them: what a CONNECT or a TRACE asks for is nothing that an event could say.
    const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Options, Self::Put, Self::Patch, Self::Delete];

    /// As it stands in a request line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether its requests usually come without a body.
    #[must_use]
    pub fn is_bare(self) -> bool {
        !matches!(self, Self::Put | Self::Patch)
    }
}

/// The methods of `allow_methods`, each written once.
pub(super) fn methods(section: &mut Section<'_, '_>) -> Option<Placed<OneOrMany<Placed<EventMethod>>>> {
    let found = section.several_unless_off("allow_methods", |node, what, problems| {
        if matches!(&node.value, Value::Scalar { text, .. } if text == "POST") {
            problems.error_hint(&node.at, format!("{what} are those besides `POST`, which is always taken"), "leave it out");
            return None;
        }
        values::choice(&EventMethod::ALL, node, what, problems)
    })?;
    for (index, method) in found.iter().enumerate() {
        if found.iter().take(index).any(|other| other.value == method.value) {
            section.problems.error(&method.at, format!("`allow_methods` names `{}` twice", method.word()));
        }
    }
    Some(found)
}
