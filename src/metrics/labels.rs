//! The closed lists that label values come from, besides those that are words of their own (rejections, attempt results).

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestResult {
    /// A new event, owed to somebody.
    Accepted,
    /// Seen within the window.
    Duplicate,
    /// A new event no route wants.
    Unrouted,
    /// A provider's question, answered.
    Handshake,
    /// Refused for what it was.
    Rejected,
    /// Refused for how much there was.
    Throttled,
    /// Refused for trouble of our own.
    Unavailable,
}

impl RequestResult {
    /// Every result.
    pub const ALL: [Self; 7] =
        [Self::Accepted, Self::Duplicate, Self::Unrouted, Self::Handshake, Self::Rejected, Self::Throttled, Self::Unavailable];

    /// The result as metrics and logs show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Unrouted => "unrouted",
            Self::Handshake => "handshake",
            Self::Rejected => "rejected",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What went wrong with a connection before or beside its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Bytes that are no HTTP request: answered 400 and closed.
    Parse,
    /// A head beyond what is read: answered 431 and closed.
    HeadTooLarge,
    /// The connection broke.
    Io,
    /// It did not close in time.
    CloseTimeout,
    /// The client left while its request was being answered.
    Abandoned,
    /// It idled or trickled, and the watchdog cut it.
    Cut,
}

impl HttpError {
    /// Every error.
    pub const ALL: [Self; 6] = [Self::Parse, Self::HeadTooLarge, Self::Io, Self::CloseTimeout, Self::Abandoned, Self::Cut];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::HeadTooLarge => "head_too_large",
            Self::Io => "io",
            Self::CloseTimeout => "close_timeout",
            Self::Abandoned => "abandoned",
            Self::Cut => "cut",
        }
    }
}

/// What became of a rejected request that the ring could have kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingResult {
    /// It is kept.
    Kept,
    /// Its source, or its client, has had its share of this moment.
    Sampled,
    /// The ring's thread has too much waiting, or the request is larger than the ring takes.
    NoRoom,
    /// The file could not be written.
    Failed,
}

impl RingResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Kept, Self::Sampled, Self::NoRoom, Self::Failed];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Sampled => "sampled",
            Self::NoRoom => "no_room",
            Self::Failed => "failed",
        }
    }
}

/// An operation of the store, timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// From the queue to the reply, commit included.
    Admit,
    /// Leases asked for.
    Claim,
    /// Fenced writes.
    Settle,
    /// One step of what an operator asked.
    Operate,
    /// One whole commit.
    Commit,
    /// One checkpoint.
    Checkpoint,
    /// One sweep.
    Sweep,
}

impl StoreOperation {
    /// Every operation.
    pub const ALL: [Self; 7] = [Self::Admit, Self::Claim, Self::Settle, Self::Operate, Self::Commit, Self::Checkpoint, Self::Sweep];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Claim => "claim",
            Self::Settle => "settle",
            Self::Operate => "operate",
            Self::Commit => "commit",
            Self::Checkpoint => "checkpoint",
            Self::Sweep => "sweep",
        }
    }
}
