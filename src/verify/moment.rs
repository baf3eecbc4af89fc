//! Signed timestamps: read strictly, compared with our clock in both directions.

use std::time::Duration;

use crate::{
    clock::UnixMs,
    provider::{TimeUnit, TimestampRule},
    rejection::Rejection,
};

/// Digits of the longest timestamp: milliseconds until the year 33658.
const DIGITS_MAX: usize = 15;

/// Reads a timestamp: digits and nothing else. `1760000000junk`, ` 1760000000` and `+1760000000` would be read by lenient parsers.
pub(super) fn read(text: &[u8], unit: TimeUnit) -> Option<UnixMs> {
    if text.is_empty() || text.len() > DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = text.iter().fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    match unit {
        TimeUnit::Seconds => number.checked_mul(1000).map(UnixMs),
        TimeUnit::Milliseconds => Some(UnixMs(number)),
    }
}

/// Writes a timestamp as [`read`] reads it.
pub(super) fn write(now: UnixMs, unit: TimeUnit) -> String {
    match unit {
        TimeUnit::Seconds => now.0.div_euclid(1000).to_string(),
        TimeUnit::Milliseconds => now.0.to_string(),
    }
}

/// How far `signed_at` lies behind `now`, in milliseconds (negative when ahead), if that is within the tolerance. A timestamp in seconds
/// is compared in whole seconds, as the vendors do.
pub(super) fn skew(rule: &TimestampRule, tolerance: Option<Duration>, signed_at: UnixMs, now: UnixMs) -> Result<i64, Rejection> {
    let skew_ms = now.0.saturating_sub(signed_at.0);
    let Some(tolerance) = tolerance else {
        return Ok(skew_ms);
    };
    let tolerance_ms = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX);
    let compared_ms = match rule.unit {
        TimeUnit::Seconds => skew_ms.div_euclid(1000).saturating_mul(1000),
        TimeUnit::Milliseconds => skew_ms,
    };
    if compared_ms > tolerance_ms {
        Err(Rejection::Stale)
    } else if compared_ms < tolerance_ms.saturating_neg() {
        Err(Rejection::Future)
    } else {
        Ok(skew_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Atom;

    #[test]
    fn only_digits_are_a_timestamp() {
        assert_eq!(read(b"1760000000", TimeUnit::Seconds), Some(UnixMs(1_760_000_000_000)));
        assert_eq!(read(b"1760000000123", TimeUnit::Milliseconds), Some(UnixMs(1_760_000_000_123)));
        for bad in
            ["", " 1760000000", "1760000000 ", "+1760000000", "-1", "1760000000junk", "1e9", "0x10", "1760000000.5", "1234567890123456"]
        {
            assert_eq!(read(bad.as_bytes(), TimeUnit::Seconds), None, "{bad:?}");
        }
    }

    #[test]
    fn the_tolerance_holds_in_both_directions() {
        let rule = TimestampRule { at: Atom::Body, unit: TimeUnit::Seconds, tolerance: None };
        let skew = |signed_s: i64, now_ms: i64| skew(&rule, Some(Duration::from_secs(300)), UnixMs(signed_s * 1000), UnixMs(now_ms));
        assert_eq!(skew(1000, 1_300_999), Ok(300_999));
        assert_eq!(skew(1000, 1_301_000), Err(Rejection::Stale));
        assert_eq!(skew(1000, 700_000), Ok(-300_000));
        assert_eq!(skew(1000, 699_999), Err(Rejection::Future));
        assert_eq!(super::skew(&rule, None, UnixMs(0), UnixMs(i64::MAX)), Ok(i64::MAX));
    }
}
