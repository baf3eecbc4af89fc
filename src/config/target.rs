//! `targets`: configured receivers of events as they are written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    breaker::Breaker,
    credential,
    header::{HeaderText, headers},
    placed::{Guarded, Link, Named, OneOrMany, Period, Placed},
    rate::{RateLimit, rate_limit},
    retry::Retry,
    section::Section,
    switch::OrNone,
    values,
};
use crate::{
    limits,
    yaml::{At, Node, Problems, Value, nearest, off},
};

/// A configured receiver of events.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(extend("x-required" = ["url"]))]
pub struct Target {
    /// Where it begins.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: At,
    /// What it is.
    pub kind: Placed<Kind>,
    /// Where it listens: http or https, without user, password and fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Placed<Link>>,
    /// How it is asked.
    pub method: Placed<Method>,
    /// Headers every delivery carries besides.
    #[serde(skip_serializing_if = "nothing_named")]
    #[schemars(extend("x-off" = true))]
    pub headers: Named<HeaderText>,
    /// A whole attempt, from name resolution to the last byte of the answer; at most 300 s.
    pub timeout: Placed<Period>,
    /// Until the connection stands.
    pub connect_timeout: Placed<Period>,
    /// Attempts under way at once.
    pub concurrency: Placed<u32>,
    /// Attempts that may start in a time.
    pub rate_limit: Placed<RateLimit>,
    /// When to try again, and when no more. `none` tries once.
    #[schemars(extend("x-off" = true))]
    pub retry: Retry,
    /// When it is left alone, and how its backlog comes back.
    #[schemars(extend("x-off" = true))]
    pub breaker: OrNone<Breaker>,
    /// What its deliveries are ordered by: a template of the request. Those of one value go one after the other, each when the one before
    /// it is settled for good; without a value there is no order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub order_by: Option<Placed<Box<str>>>,
    /// How we show who we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub auth: Option<Auth>,
    /// TLS of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub tls: Option<TargetTls>,
    /// Switched off: its deliveries wait.
    pub disabled: Placed<bool>,
    /// Names it had before: what waits for one of them is carried over at the start.
    #[schemars(extend("x-off" = true))]
    pub formerly: Placed<OneOrMany<Placed<String>>>,
}

fn nothing_named<T>(named: &Named<T>) -> bool {
    named.0.is_empty()
}

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An HTTP service.
    Http,
}

/// How a target is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

/// How we show who we are to a target: one of them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Auth {
    /// Where it begins.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: At,
    /// `Authorization: Bearer ...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Placed<Guarded>>,
    /// `Authorization: Basic ...`, as `user:password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Placed<Guarded>>,
}

/// TLS of a target's own, as PEM files.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TargetTls {
    /// Where it begins.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: At,
    /// Whom to trust instead of the system's roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub ca: Option<Placed<PathBuf>>,
    /// Our certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub cert: Option<Placed<PathBuf>>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub key: Option<Placed<PathBuf>>,
}

impl Target {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        // Kinds that need no URL are refused as planned.
        let over_http = node.get("kind").is_none_or(|kind| matches!(&kind.value, Value::Scalar { text, .. } if text == "http"));
        if matches!(node.value, Value::Map(_) | Value::Nothing) && over_http && node.get("url").is_none() {
            problems.error_hint(&node.at, "a target needs `url`", "write where it listens, such as `http://127.0.0.1:3000/webhooks`");
        }
        Self::read_part(node, problems)
    }

    /// The same of a mapping that need not be complete.
    pub(super) fn read_part(node: &Node, problems: &mut Problems) -> Self {
        let in_flight_max = u32::try_from(limits::IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let mut section = Section::of(node, "a target", problems);
        let timeout = section.value("timeout", Period::secs(10), values::lasting);
        let connect_default = Period::secs(3).min(*timeout);
        let read = Self {
            at: node.at.clone(),
            kind: section.value("kind", Kind::Http, kind),
            url: section.optional("url", values::link),
            method: section.value("method", Method::Post, |node, what, problems| {
                values::choice(&[Method::Post, Method::Put, Method::Patch], node, what, problems)
            }),
            headers: headers(&section.part("headers"), section.problems),
            timeout,
            connect_timeout: section.value("connect_timeout", connect_default, values::lasting),
            concurrency: section.value("concurrency", 16, |node, what, problems| values::count(node, what, 1, in_flight_max, problems)),
            rate_limit: section.value("rate_limit", RateLimit::None, rate_limit),
            retry: Retry::read(&mut section),
            breaker: OrNone::read(&mut section, "breaker", Breaker::read),
            order_by: section.unless_off("order_by", |node, what, problems| values::text(node, what, problems).map(Box::from)),
            auth: section.node("auth").filter(|node| !off(node)).map(|node| Auth::read(node, section.problems)),
            tls: section.node("tls").filter(|node| !off(node)).map(|node| TargetTls::read(node, section.problems)),
            disabled: section.value("disabled", false, values::flag),
            formerly: section.many_or("formerly", [], values::string),
        };
        section.planned(&["sign", "proxy", "forward_credentials"]);
        section.finish();
        read
    }
}

fn kind(node: &Node, what: &str, problems: &mut Problems) -> Option<Kind> {
    const PLANNED: [&str; 5] = ["slack", "teams", "discord", "redis-stream", "pull"];
    let text = values::text(node, what, problems)?;
    if text == "http" {
        return Some(Kind::Http);
    }
    if PLANNED.contains(&text) {
        problems.error(&node.at, format!("a target of kind `{text}` is planned and not built yet"));
        return None;
    }
    let said = format!("{what} is `http`, and this is {}", values::shown(node, text));
    match nearest(text, ["http"].into_iter().chain(PLANNED)) {
        Some(meant) => problems.error_hint(&node.at, said, format!("did you mean `{meant}`?")),
        None => problems.error(&node.at, said),
    }
    None
}

impl Auth {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`auth`", problems);
        let bearer = section.optional("bearer", credential::guarded);
        let basic = section.optional("basic", credential::guarded);
        match (node.get("bearer"), node.get("basic")) {
            (None, None) => section.problems.error(&node.at, "`auth` needs `bearer` or `basic`"),
            (Some(_), Some(_)) => section.problems.error(&node.at, "`auth` is `bearer` or `basic`, and not both"),
            _ => {}
        }
        section.finish();
        Self { at: node.at.clone(), bearer, basic }
    }
}

impl TargetTls {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`tls`", problems);
        let read = Self {
            at: node.at.clone(),
            ca: section.unless_off("ca", values::path),
            cert: section.unless_off("cert", values::path),
            key: section.unless_off("key", values::path),
        };
        section.finish();
        read
    }
}
