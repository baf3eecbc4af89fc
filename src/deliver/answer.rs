//! What came back, made into data: the result, when the target wants the next try, and a short text for whoever looks into it.

use std::{error::Error, io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    clock::UnixMs,
    deliver::client::ConnectError,
    delivery::AttemptResult,
    limits::{ANSWER_BYTES_MAX, EXCERPT_BYTES_MAX},
};

/// How an attempt ended, before it is timed.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) result: AttemptResult,
    pub(super) status: Option<u16>,
    pub(super) retry_after: Option<Duration>,
    pub(super) excerpt: Option<Box<str>>,
}

impl Ending {
    /// Without an answer.
    pub(super) fn without_answer(result: AttemptResult, cause: &str) -> Self {
        Self { result, status: None, retry_after: None, excerpt: Some(readable(cause)) }
    }

    /// With the head of an answer: from here on the status decides, whatever becomes of the body.
    pub(super) fn answered(status: StatusCode, headers: &HeaderMap, now: UnixMs) -> Self {
        let result = AttemptResult::of_status(status.as_u16());
        let location = headers.get(header::LOCATION).filter(|_| status.is_redirection());
        let redirect = location.map(|to| readable(&format!("a redirect, not followed, to {}", String::from_utf8_lossy(to.as_bytes()))));
        Self {
            result,
            status: Some(status.as_u16()),
            retry_after: headers.get(header::RETRY_AFTER).and_then(|value| delay_asked_for(value.to_str().ok()?, now)),
            excerpt: redirect.or_else(|| oddity(status).map(|said| readable(&said))),
        }
    }

    /// Why the request got no answer, as the client tells it.
    pub(super) fn of_error(error: &(dyn Error + 'static)) -> Self {
        let mut causes = Vec::new();
        let mut result = AttemptResult::Connect;
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(connect) = cause.downcast_ref::<ConnectError>() {
                return Self::without_answer(connect.result, &connect.cause);
            }
            if is_of_tls(cause) {
                result = AttemptResult::Tls;
            } else if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                // The connection stood and the target spoke: what it said is its fault, as a 5xx is.
                result = AttemptResult::Http5xx;
                causes.push("the answer cannot be read as HTTP/1.1".to_owned());
            }
            causes.push(cause.to_string());
            next = cause.source();
        }
        // The outermost text only says that it was the client's error.
        let told = causes.get(1..).filter(|inner| !inner.is_empty()).unwrap_or(&causes);
        Self::without_answer(result, &told.join(": "))
    }

    /// Keeps the first bytes of a failure's answer, unless there is something better to say; behind what is odd about its status.
    pub(super) fn quoting(mut self, body: &[u8]) -> Self {
        if self.result == AttemptResult::Delivered || body.is_empty() {
            return self;
        }
        let body = String::from_utf8_lossy(body);
        self.excerpt = match self.excerpt {
            None => Some(readable(&body)),
            Some(oddity) if self.result == AttemptResult::Http5xx => Some(readable(&format!("{oddity}: {body}"))),
            Some(redirect) => Some(redirect),
        };
        self
    }
}

/// What to say of a status that ends no exchange, or that is none: both are counted as 5xx, which RFC 9110 (15) asks for the latter.
fn oddity(status: StatusCode) -> Option<String> {
    match status.as_u16() {
        200..=599 => None,
        101 => Some("status 101 changes to a protocol that nobody asked for".into()),
        number if number < 200 => Some(format!("status {number} is not the end of an answer")),
        number => Some(format!("status {number} is none of HTTP, and counts as 5xx")),
    }
}

/// Reads an answer's body to its end, so that the connection can be used again, or to its bound, which ends the connection. Keeps the first
/// bytes in `kept`, where they stay if this is given up half-way.
pub(super) async fn read_answer(mut body: Incoming, kept: &mut Vec<u8>) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let data: &Bytes = match frame.data_ref() {
            Some(data) => data,
            None => continue,
        };
        let room = EXCERPT_BYTES_MAX.saturating_sub(kept.len()).min(data.len());
        kept.extend_from_slice(&data[..room]);
        read += data.len();
        if read > ANSWER_BYTES_MAX {
            return;
        }
    }
}

/// `Retry-After` as seconds or as a date (RFC 9110, 10.2.3); anything else asks for nothing.
#[must_use]
pub fn delay_asked_for(value: &str, now: UnixMs) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than a number holds are still a wish to be left alone for as long as the policy lets it.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let unix = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let at = UnixMs(i64::try_from(unix.as_millis()).ok()?);
    Some(Duration::from_millis(at.ms_since(now)))
}

/// A text a person can read on one line, cut to [`EXCERPT_BYTES_MAX`]: control characters are spelled out, so that no answer of a target
/// can play tricks on the terminal that shows it.
fn readable(text: &str) -> Box<str> {
    let mut shown = String::new();
    for one in text.chars() {
        let before = shown.len();
        if one.is_control() {
            shown.extend(one.escape_default());
        } else {
            shown.push(one);
        }
        if shown.len() > EXCERPT_BYTES_MAX {
            shown.truncate(before);
            break;
        }
    }
    shown.into()
}

/// With TLS 1.3 a refused client certificate is only heard of after the handshake, in the first read.
fn is_of_tls(cause: &(dyn Error + 'static)) -> bool {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UnixMs(784_111_777_000);
        let secs = |secs| Some(Duration::from_secs(secs));
        let table = [
            ("0", secs(0)),
            (" 120 ", secs(120)),
            ("99999999999999999999999", secs(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:49:40 GMT", secs(3)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", secs(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (value, asked) in table {
            assert_eq!(delay_asked_for(value, now), asked, "{value}");
        }
    }

    #[test]
    fn an_excerpt_is_short_and_tame() {
        assert_eq!(&*readable("a\x1b[2Jb\r\nc\u{85}"), "a\\u{1b}[2Jb\\r\\nc\\u{85}");
        assert!(readable(&"\n".repeat(5000)).len() <= EXCERPT_BYTES_MAX);
        let wide = readable(&"ä".repeat(5000));
        assert!(wide.len() <= EXCERPT_BYTES_MAX && wide.chars().all(|one| one == 'ä'));
    }

    #[test]
    fn a_cause_deep_down_names_the_result() {
        let refused = ConnectError { result: AttemptResult::EgressDenied, cause: "not there".into() };
        let wrapped = io::Error::other(Wrapped(Box::new(refused)));
        let ending = Ending::of_error(&wrapped);
        assert_eq!((ending.result, ending.excerpt.as_deref()), (AttemptResult::EgressDenied, Some("not there")));
        let late = io::Error::other(rustls::Error::DecryptError);
        assert_eq!(Ending::of_error(&Wrapped(Box::new(late))).result, AttemptResult::Tls);
        let reset = Wrapped(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert_eq!(Ending::of_error(&reset).result, AttemptResult::Connect);
    }

    #[test]
    fn an_odd_status_is_told_in_front_of_the_body() {
        let answered = |status: u16, body: &[u8]| {
            let status = StatusCode::from_u16(status).expect("three digits");
            let ending = Ending::answered(status, &HeaderMap::new(), UnixMs(0)).quoting(body);
            (ending.result, ending.excerpt.unwrap_or_default().into_string())
        };
        let told = |text: &str| (AttemptResult::Http5xx, text.to_owned());
        assert_eq!(answered(101, b""), told("status 101 changes to a protocol that nobody asked for"));
        assert_eq!(answered(150, b""), told("status 150 is not the end of an answer"));
        assert_eq!(answered(999, b"denied"), told("status 999 is none of HTTP, and counts as 5xx: denied"));
        assert_eq!(answered(599, b"denied"), told("denied"));
        assert_eq!(answered(200, b"thanks"), (AttemptResult::Delivered, String::new()));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("client error")]
    struct Wrapped(#[source] Box<dyn Error + Send + Sync>);
}
