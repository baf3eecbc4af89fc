//! Confirming a subscription at Amazon SNS: the call is built from what the message says of its topic and of its token, both signed. The
//! URL that the message brings for it is not looked at: a call that is built can go to SNS and nowhere else.

use url::Url;

use super::value::Scope;
use crate::provider::{Effect, is_region};

/// Bytes of the longest token; SNS makes them of some 400.
const TOKEN_BYTES_MAX: usize = 1024;
/// Bytes of the longest name of a topic.
const TOPIC_BYTES_MAX: usize = 256;
/// Digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;
/// The partitions of Amazon's that are on the internet: how ARNs name them, what their regions begin with, and where their hosts are.
const PARTITIONS: [(&str, &str, &str); 3] =
    [("aws-us-gov", "us-gov-", "amazonaws.com"), ("aws-cn", "cn-", "amazonaws.com.cn"), ("aws", "", "amazonaws.com")];

/// The call that an effect comes to; `None` when it comes to none, or the message is not one that SNS writes.
pub(super) fn call(effect: &Effect, scope: &Scope<'_>) -> Option<Url> {
    let Effect::SnsConfirm { topic, token } = effect else {
        return None;
    };
    let (topic, token) = (scope.atom(topic).ok()?, scope.atom(token).ok()?);
    confirmation(std::str::from_utf8(&topic).ok()?, std::str::from_utf8(&token).ok()?)
}

/// `ConfirmSubscription` of the SNS API (2010-03-31), which takes no credential but the token.
pub(super) fn confirmation(topic: &str, token: &str) -> Option<Url> {
    let host = host(topic)?;
    let fits = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(is_plain);
    let mut url = Url::parse(&format!("https://{host}/")).ok().filter(|_| fits)?;
    url.query_pairs_mut()
        .append_pair("Action", "ConfirmSubscription")
        .append_pair("Version", "2010-03-31")
        .append_pair("TopicArn", topic)
        .append_pair("Token", token);
    Some(url)
}

/// The host of a topic's region.
fn host(topic: &str) -> Option<String> {
    let parts: Vec<&str> = topic.split(':').collect();
    let ["arn", partition, "sns", region, account, name] = parts.as_slice() else {
        return None;
    };
    let of_region = |(own, begins, _): &&(&str, &str, &str)| own == partition && region.starts_with(begins);
    let (_, _, domain) = PARTITIONS.iter().find(of_region)?;
    // A region of one partition under the name of another would be a host of the wrong one.
    let elsewhere = *partition == "aws" && PARTITIONS.iter().any(|(_, begins, _)| !begins.is_empty() && region.starts_with(begins));
    let numbered = account.len() == ACCOUNT_DIGITS && account.bytes().all(|byte| byte.is_ascii_digit());
    let bare = name.strip_suffix(".fifo").unwrap_or(name);
    let named = (1..=TOPIC_BYTES_MAX).contains(&name.len()) && bare.bytes().all(is_plain);
    (is_region(region) && !elsewhere && numbered && named).then(|| format!("sns.{region}.{domain}"))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_goes_to_the_region_of_the_topic() {
        let cases = [
            ("arn:aws:sns:us-west-2:123456789012:MyTopic", "sns.us-west-2.amazonaws.com"),
            ("arn:aws:sns:ap-southeast-5:123456789012:a_b-c.fifo", "sns.ap-southeast-5.amazonaws.com"),
            ("arn:aws-cn:sns:cn-north-1:123456789012:T", "sns.cn-north-1.amazonaws.com.cn"),
            ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:T", "sns.us-gov-west-1.amazonaws.com"),
        ];
        for (topic, host) in cases {
            let url = confirmation(topic, "2336412f37fb687f5d51e6e241d09c80").expect("a call");
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            assert_eq!((url.scheme(), url.host_str(), url.port(), url.path()), ("https", Some(host), None, "/"));
            assert_eq!(pairs[0], ("Action".into(), "ConfirmSubscription".into()));
            assert_eq!(pairs[2], ("TopicArn".into(), topic.into()));
            assert_eq!(pairs[3], ("Token".into(), "2336412f37fb687f5d51e6e241d09c80".into()));
        }
    }

    #[test]
    fn what_sns_does_not_write_is_no_call() {
        let good = "arn:aws:sns:us-west-2:123456789012:MyTopic";
        for topic in [
            "",
            "arn:aws:sns:us-west-2:123456789012",
            "arn:aws:sns:us-west-2:123456789012:a:b",
            "arn:aws:sqs:us-west-2:123456789012:a",
            "arn:aws:sns:s3-us-west-2:123456789012:a",
            "arn:aws:sns:evil.example/:123456789012:a",
            "arn:aws:sns:us-west-2@evil:123456789012:a",
            "arn:aws:sns:us-west-2.evil.example#:123456789012:a",
            "arn:aws:sns:cn-north-1:123456789012:a",
            "arn:aws-cn:sns:us-west-2:123456789012:a",
            "arn:aws:sns:us-gov-west-1:123456789012:a",
            "arn:aws-iso:sns:us-iso-east-1:123456789012:a",
            "arn:aws:sns:us-west-2:12345678901:a",
            "arn:aws:sns:us-west-2:12345678901x:a",
            "arn:aws:sns:us-west-2:123456789012:",
            "arn:aws:sns:us-west-2:123456789012:a&Action=x",
            "arn:aws:sns:US-WEST-2:123456789012:a",
        ] {
            assert_eq!(confirmation(topic, "token"), None, "{topic}");
        }
        for token in ["", "a b", "a&Action=DeleteTopic", "a%26", "a\n", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(confirmation(good, token), None, "{token}");
        }
    }
}
