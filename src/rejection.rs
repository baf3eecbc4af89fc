//! Why a request was refused: one closed list, with the code that metrics and logs show and the status the provider gets.
//!
//! A rejection carries no byte of the request and none of a secret: the answer's body is one constant, whatever the reason.

/// A refused request: the provider's fault, or an attacker's, never ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rejection {
    /// No source has this path.
    UnknownPath,
    /// The source takes no such method.
    Method,
    /// Nothing that could be a signature is where the provider puts it.
    MissingSignature,
    /// No candidate holds under any active secret.
    BadSignature,
    /// The signature holds, and is older than the tolerance.
    Stale,
    /// The signature holds, and is further in the future than the tolerance.
    Future,
    /// A place that is verified is not spelled as the provider spells it.
    Malformed,
    /// The signature holds, and something the provider file demands besides does not.
    Requirement,
    /// The body is larger than the source takes.
    TooLarge,
    /// The body is encoded in a way the provider does not sign.
    Encoding,
    /// The body did not arrive in time.
    SlowBody,
    /// The client's address is not on the source's list.
    Ip,
    /// The URL token is missing or wrong.
    UrlToken,
    /// The client certificate is missing or another's.
    ClientCert,
    /// A header that is verified occurs twice.
    DuplicateHeader,
    /// The request has passed through hookgate too often.
    Loop,
}

impl Rejection {
    /// Every reason, so that each has its series from the start.
    pub const ALL: [Self; 16] = [
        Self::UnknownPath,
        Self::Method,
        Self::MissingSignature,
        Self::BadSignature,
        Self::Stale,
        Self::Future,
        Self::Malformed,
        Self::Requirement,
        Self::TooLarge,
        Self::Encoding,
        Self::SlowBody,
        Self::Ip,
        Self::UrlToken,
        Self::ClientCert,
        Self::DuplicateHeader,
        Self::Loop,
    ];

    /// The reason as metrics, logs and `verify --json` show it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::Method => "method",
            Self::MissingSignature => "missing_signature",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::Malformed => "malformed",
            Self::Requirement => "requirement",
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::SlowBody => "slow_body",
            Self::Ip => "ip",
            Self::UrlToken => "url_token",
            Self::ClientCert => "client_cert",
            Self::DuplicateHeader => "duplicate_header",
            Self::Loop => "loop",
        }
    }

    /// Whether it is only a matter of time: the same request would have been taken at another moment, or with another tolerance.
    #[must_use]
    pub fn is_of_time(self) -> bool {
        matches!(self, Self::Stale | Self::Future)
    }

    /// Whether it says that nothing proves who rang, or that a guard of the source does not let him in: what a source lets by that only
    /// observes. All else would be refused of anybody.
    #[must_use]
    pub fn is_of_proof(self) -> bool {
        match self {
            Self::MissingSignature
            | Self::BadSignature
            | Self::Stale
            | Self::Future
            | Self::Malformed
            | Self::Requirement
            | Self::Ip
            | Self::UrlToken
            | Self::ClientCert => true,
            Self::UnknownPath | Self::Method | Self::TooLarge | Self::Encoding | Self::SlowBody | Self::DuplicateHeader | Self::Loop => {
                false
            }
        }
    }

    /// The HTTP status of the answer. Everything that would tell a forger how close he came is the same 401.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::UnknownPath | Self::UrlToken => 404,
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::Encoding => 415,
            Self::SlowBody => 408,
            Self::Loop => 400,
            Self::MissingSignature
            | Self::BadSignature
            | Self::Stale
            | Self::Future
            | Self::Malformed
            | Self::Requirement
            | Self::Ip
            | Self::ClientCert
            | Self::DuplicateHeader => 401,
        }
    }
}
