//! What unit tests share: a target with usual settings.

use std::time::Duration;

use super::{ClientTls, RetryPolicy, Target};
use crate::name::TargetName;

/// A target of this name at this URL.
pub(crate) fn target(name: &str, url: &str) -> Target {
    Target {
        name: TargetName::parse(name).expect("a name"),
        url: url.parse().expect("a url"),
        method: http::Method::POST,
        headers: vec![],
        auth: None,
        tls: ClientTls::default(),
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        concurrency: 4,
        retry: RetryPolicy {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(60),
            give_up_after: None,
            attempts: None,
            retry_after_max: Duration::from_secs(60),
            dead_on: vec![],
        },
        rate_limit: None,
        breaker: None,
        order_by: None,
        formerly: Vec::new(),
        disabled: false,
    }
}
