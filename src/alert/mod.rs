//! What somebody should be told without asking. Values only: what was noticed goes in, alerts come out, and the clock is passed in.
//!
//! ```text
//!  Notes (dead letters, breakers) --+
//!                                   +-> Signal -> Board (grouped, at most one of a kind and subject in five minutes) -> Alert
//!  Watch (silence, rejections) -----+
//! ```
//!
//! An alert holds names from the configuration, counts, ids and times, and nothing that came from outside: no body, no header's value, no
//! secret. Nobody is told that an alert came to nothing, and no target of its own breaker: there is no loop.

mod board;
mod notes;
mod watch;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub use board::{Board, SUBJECTS_MAX, WINDOW};
pub use notes::Notes;
pub use watch::{HOUR_LEAST, MINUTE_LEAST, MINUTE_TIMES, Reading, Watch};

use crate::{
    clock::UnixMs,
    delivery::DeliveryId,
    name::{SourceName, TargetName},
};

/// Deliveries that one alert names; further ones are only counted.
pub const DELIVERIES_NAMED_MAX: usize = 5;

/// A kind of alert, as a configuration asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Deliveries to a target will not be retried by themselves.
    DeadLetter,
    /// A target is left alone because it cannot work; and when it is back.
    BreakerOpen,
    /// A source was not heard for longer than its `expect_every`; and when it is heard again.
    SourceSilent,
    /// Far more requests of a source are rejected than usual, or all of them.
    RejectedSpike,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::DeadLetter, Self::BreakerOpen, Self::SourceSilent, Self::RejectedSpike];

    /// The kind as alerts, lists and logs show it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead_letter",
            Self::BreakerOpen => "breaker_open",
            Self::SourceSilent => "source_silent",
            Self::RejectedSpike => "rejected_spike",
        }
    }
}

/// What an alert is about: a kind, and whose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Dead letters of this target.
    DeadLetters(TargetName),
    /// The breaker of this target.
    Breaker(TargetName),
    /// The silence of this source.
    Silence(SourceName),
    /// Rejected requests of this source.
    Rejections(SourceName),
}

impl About {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::DeadLetters(_) => Kind::DeadLetter,
            Self::Breaker(_) => Kind::BreakerOpen,
            Self::Silence(_) => Kind::SourceSilent,
            Self::Rejections(_) => Kind::RejectedSpike,
        }
    }

    /// The target it is about.
    #[must_use]
    pub fn target(&self) -> Option<&TargetName> {
        match self {
            Self::DeadLetters(target) | Self::Breaker(target) => Some(target),
            Self::Silence(_) | Self::Rejections(_) => None,
        }
    }

    /// The source it is about.
    #[must_use]
    pub fn source(&self) -> Option<&SourceName> {
        match self {
            Self::Silence(source) | Self::Rejections(source) => Some(source),
            Self::DeadLetters(_) | Self::Breaker(_) => None,
        }
    }

    /// Whether it lasts until it is over, or happens and is counted.
    fn has_end(&self) -> bool {
        matches!(self, Self::Breaker(_) | Self::Silence(_))
    }
}

/// What was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It happened, or it began.
    Noticed(About, News),
    /// It is over.
    Over(About),
}

impl Signal {
    /// What it is about.
    #[must_use]
    pub fn about(&self) -> &About {
        match self {
            Self::Noticed(about, _) | Self::Over(about) => about,
        }
    }
}

/// What is to be told of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// How often it happened.
    pub count: u64,
    /// Since when, if that is known better than by when it was heard of.
    pub since: Option<UnixMs>,
    /// How often for which reason, by code.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The first deliveries concerned, at most [`DELIVERIES_NAMED_MAX`].
    pub deliveries: Vec<DeliveryId>,
}

impl News {
    /// So many, and nothing more to say.
    #[must_use]
    pub fn of(count: u64) -> Self {
        Self { count, ..Self::default() }
    }

    /// Puts later news to these.
    pub fn join(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        self.since = self.since.or(later.since);
        for (reason, count) in later.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        let room = DELIVERIES_NAMED_MAX.saturating_sub(self.deliveries.len());
        self.deliveries.extend(later.deliveries.into_iter().take(room));
    }
}

/// How what an alert is about stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is so.
    Raised,
    /// It was so, and is over.
    Resolved,
}

impl State {
    /// The state as alerts and logs show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Resolved => "resolved",
        }
    }
}

/// An alert, ready to be sent. Only [`Board`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    about: About,
    state: State,
    at: UnixMs,
    since: UnixMs,
    /// There was an alert of this before, and this is about what came after it.
    is_further: bool,
    news: News,
}

/// The document that a target gets.
#[derive(Serialize)]
struct Document<'a> {
    alert: &'a str,
    state: State,
    text: String,
    at: String,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    count: u64,
    reasons: &'a BTreeMap<&'static str, u64>,
    deliveries: Vec<String>,
}

impl Alert {
    /// What it is about.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether it is so, or over.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When it was made.
    #[must_use]
    pub fn at(&self) -> UnixMs {
        self.at
    }

    /// How often it happened since the alert before.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.news.count
    }

    /// Who of these gets it. Nobody is told of his own breaker: it would reach him when it is no longer so.
    pub fn recipients<'a>(&'a self, to: &'a [TargetName]) -> impl Iterator<Item = &'a TargetName> {
        to.iter().filter(|target| self.about != About::Breaker((*target).clone()))
    }

    /// The alert as JSON.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let document = Document {
            alert: self.about.kind().code(),
            state: self.state,
            text: self.text(),
            at: self.at.to_string(),
            since: self.since.to_string(),
            target: self.about.target().map(TargetName::as_str),
            source: self.about.source().map(SourceName::as_str),
            count: self.news.count,
            reasons: &self.news.reasons,
            deliveries: self.news.deliveries.iter().map(ToString::to_string).collect(),
        };
        // Texts and numbers under known keys always are JSON.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The alert in a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { about, state, since, news, .. } = self;
        let more = if self.is_further { " more" } else { "" };
        let times = if news.count == 1 { "once".to_owned() } else { format!("{} times", news.count) };
        match (about, state) {
            (About::DeadLetters(target), _) => {
                let (n, are) = (news.count, if news.count == 1 { "delivery is a dead letter" } else { "deliveries are dead letters" });
                format!("{n}{more} {are} since {since}: `{target}` did not take them, and they are not tried again by themselves")
            }
            (About::Breaker(target), State::Raised) if news.count > 1 => {
                format!("`{target}` is left alone, {times}{more} since {since}: too many attempts fail, and its deliveries wait")
            }
            (About::Breaker(target), State::Raised) => {
                format!("`{target}` is left alone since {since}: too many attempts fail, and its deliveries wait")
            }
            (About::Breaker(target), State::Resolved) if news.count > 0 => {
                format!("`{target}` is back; it was left alone {times}{more} since {since}")
            }
            (About::Breaker(target), State::Resolved) => {
                format!("`{target}` is back; it was left alone since {since}, and its deliveries go on")
            }
            (About::Silence(source), State::Raised) => {
                format!("no event of `{source}` since {since}, for longer than its `expect_every`")
            }
            (About::Silence(source), State::Resolved) => format!("`{source}` is heard again; it had been silent since {since}"),
            (About::Rejections(source), _) => {
                let (n, are) = (news.count, if news.count == 1 { "request was" } else { "requests were" });
                format!("{n}{more} {are} rejected at `{source}` since {since}, more than usual: a changed secret, or a stranger")
            }
        }
    }
}
