//! `admin`: the API's listener as it is written.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    credential,
    placed::{Guarded, OneOrMany, Placed, Text},
    section::Section,
    values,
};
use crate::yaml::{Node, Problems};

/// The API, and the three of `monitor`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Admin {
    /// Where it listens: an IP address and a port.
    pub listen: Placed<Text<SocketAddr>>,
    /// Short for one token of role `admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub token: Option<Placed<Guarded>>,
    /// Who may. With none, one is made at the first start, in the data directory.
    #[schemars(extend("x-off" = true))]
    pub tokens: Vec<Token>,
    /// `Host` values that are answered; any other gets 421.
    pub hosts: Placed<OneOrMany<Placed<String>>>,
}

/// One who may use the API.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(extend("x-required" = ["name", "role", "token"]))]
pub struct Token {
    /// Shown in the audit.
    pub name: Placed<String>,
    /// What it may do; each role may do what the ones before it may.
    pub role: Placed<Role>,
    /// What is shown as `Authorization: Bearer`.
    pub token: Placed<Guarded>,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look.
    Read,
    /// Act on deliveries.
    Operate,
    /// Everything.
    Admin,
}

impl Admin {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`admin`", problems);
        let listen = section.value("listen", Text(SocketAddr::from(([127, 0, 0, 1], 9480))), values::address);
        let token = section.unless_off("token", credential::guarded);
        let listed = section.many("tokens", |node, _, problems| Token::read(node, problems));
        let hosts = section.several_or("hosts", ["localhost", "127.0.0.1"].map(str::to_owned), host);
        let tokens = listed.into_iter().flat_map(|listed| listed.value.0).map(|token| token.value).collect();
        section.finish();
        Self { listen, token, tokens, hosts }
    }
}

/// A host as a browser sends it, without a port: the listener has only one.
fn host(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    if values::stays_on(node, what, "it is what keeps web pages out: name the hosts, or leave it out", problems) {
        return None;
    }
    let text = values::text(node, what, problems)?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<std::net::IpAddr>().is_ok();
    let name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if address || name {
        return Some(text.to_ascii_lowercase());
    }
    let said = format!("{what} are names or addresses, and this is {}", values::shown(node, text));
    problems.error_hint(&node.at, said, "write them without scheme and port, such as `hooks.internal`");
    None
}

impl Token {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::of(node, "a token", problems);
        let name = section.needed("name", values::string);
        let role =
            section.needed("role", |node, what, problems| values::choice(&[Role::Read, Role::Operate, Role::Admin], node, what, problems));
        let token = section.needed("token", credential::guarded);
        section.finish();
        Some(Self { name: name?, role: role?, token: token? })
    }
}
