//! Signed timestamps: read strictly, compared with our clock in both directions.

use std::time::Duration;

use crate::{
    clock::UnixMs,
    provider::{TimeUnit, TimestampRule},
    rejection::Rejection,
};

/// Digits of the longest timestamp: milliseconds until the year 33658.
const DIGITS_MAX: usize = 15;
/// From here on a number that counts either counts milliseconds: the year 5138 in seconds, March 1973 in milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Reads a timestamp strictly. `1760000000junk`, ` 1760000000` and `+1760000000` would be read by lenient parsers; here numbers are digits
/// and nothing else, and dates are spelled in one way.
pub(super) fn read(text: &[u8], unit: TimeUnit) -> Option<UnixMs> {
    match unit {
        TimeUnit::Seconds => digits(text)?.checked_mul(1000).map(UnixMs),
        TimeUnit::Milliseconds => digits(text).map(UnixMs),
        TimeUnit::SecondsOrMilliseconds => {
            let number = digits(text)?;
            if number < MILLISECONDS_FROM { number.checked_mul(1000).map(UnixMs) } else { Some(UnixMs(number)) }
        }
        TimeUnit::Rfc3339 => rfc3339(std::str::from_utf8(text).ok()?),
        TimeUnit::HttpDate => {
            let text = std::str::from_utf8(text).ok()?;
            let date = httpdate::parse_http_date(text).ok()?;
            // Two older spellings are read as well; only the one that is written today is taken.
            let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
            let ms = i64::try_from(since.as_millis()).ok()?;
            (httpdate::fmt_http_date(date) == text).then_some(UnixMs(ms))
        }
    }
}

/// Reads a NumericDate (RFC 7519): seconds, possibly with a fraction.
pub(super) fn read_date(text: &[u8]) -> Option<UnixMs> {
    let mut halves = text.splitn(2, |byte| *byte == b'.');
    let seconds = read(halves.next()?, TimeUnit::Seconds)?;
    let fraction = halves.next().unwrap_or(b"0");
    let whole = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
    let ms = fraction.iter().chain(b"000").take(3).fold(0_i64, |ms, digit| ms * 10 + i64::from(digit.wrapping_sub(b'0')));
    whole.then_some(UnixMs(seconds.0.saturating_add(ms)))
}

fn digits(text: &[u8]) -> Option<i64> {
    // A zero in front would let what stands before the time, where nothing separates them, be moved into it.
    let padded = text.len() > 1 && text.starts_with(b"0");
    if text.is_empty() || padded || text.len() > DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// `2026-01-31T12:00:00[.123][Z|+01:00]`, and none of the looser forms that date libraries take besides. A time without a zone is UTC: Orb
/// signs such times, and whoever meant another zone is refused as too old or too new.
fn rfc3339(text: &str) -> Option<UnixMs> {
    let shape: Vec<u8> = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect();
    let rest = shape.strip_prefix(b"0000-00-00T00:00:00")?;
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let count = fraction.iter().take_while(|byte| **byte == b'0').count();
            (1..=9).contains(&count).then(|| fraction.get(count..))??
        }
        None => rest,
    };
    let moment = match zone {
        b"Z" | b"+00:00" | b"-00:00" => text.parse::<jiff::Timestamp>().ok()?,
        b"" => text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
        _ => return None,
    };
    Some(UnixMs(moment.as_millisecond()))
}

/// Writes a timestamp as [`read`] reads it.
pub(super) fn write(now: UnixMs, unit: TimeUnit) -> String {
    let whole_s = now.0.div_euclid(1000);
    match unit {
        TimeUnit::Seconds | TimeUnit::SecondsOrMilliseconds => whole_s.to_string(),
        TimeUnit::Milliseconds => now.0.to_string(),
        TimeUnit::Rfc3339 => jiff::Timestamp::from_second(whole_s).map(|moment| moment.to_string()).unwrap_or_default(),
        TimeUnit::HttpDate => {
            let since = Duration::from_secs(u64::try_from(whole_s).unwrap_or_default());
            httpdate::fmt_http_date(std::time::UNIX_EPOCH + since)
        }
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
        TimeUnit::Milliseconds => skew_ms,
        TimeUnit::Seconds | TimeUnit::HttpDate => skew_ms.div_euclid(1000).saturating_mul(1000),
        TimeUnit::SecondsOrMilliseconds | TimeUnit::Rfc3339 if signed_at.0 % 1000 == 0 => skew_ms.div_euclid(1000).saturating_mul(1000),
        TimeUnit::SecondsOrMilliseconds | TimeUnit::Rfc3339 => skew_ms,
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
        for bad in [
            "",
            " 1760000000",
            "1760000000 ",
            "+1760000000",
            "01760000000",
            "-1",
            "1760000000junk",
            "1e9",
            "0x10",
            "1760000000.5",
            "1234567890123456",
        ] {
            assert_eq!(read(bad.as_bytes(), TimeUnit::Seconds), None, "{bad:?}");
        }
    }

    #[test]
    fn every_unit_has_one_spelling() {
        let at = |text: &str, unit| read(text.as_bytes(), unit).map(|at| at.0);
        assert_eq!(at("1760000000", TimeUnit::SecondsOrMilliseconds), Some(1_760_000_000_000));
        assert_eq!(at("1760000000123", TimeUnit::SecondsOrMilliseconds), Some(1_760_000_000_123));
        assert_eq!(at("2025-10-09T08:53:20Z", TimeUnit::Rfc3339), Some(1_760_000_000_000));
        assert_eq!(at("2025-10-09T10:53:20.123456+02:00", TimeUnit::Rfc3339), Some(1_760_000_000_123));
        assert_eq!(at("2025-10-09T08:53:20.123456", TimeUnit::Rfc3339), Some(1_760_000_000_123));
        assert_eq!(at("2025-10-09T08:53:20", TimeUnit::Rfc3339), Some(1_760_000_000_000));
        assert_eq!(at("Thu, 09 Oct 2025 08:53:20 GMT", TimeUnit::HttpDate), Some(1_760_000_000_000));
        for bad in ["2025-10-09 08:53:20Z", "2025-10-09T08:53", "2025-10-09t08:53:20z", "2025-10-09T08:53:20Z[UTC]", "2025-13-09T08:53:20Z"]
        {
            assert_eq!(at(bad, TimeUnit::Rfc3339), None, "{bad}");
        }
        for bad in ["Thursday, 09-Oct-25 08:53:20 GMT", "Thu Oct  9 08:53:20 2025", "thu, 09 Oct 2025 08:53:20 GMT", "1760000000"] {
            assert_eq!(at(bad, TimeUnit::HttpDate), None, "{bad}");
        }
        let now = UnixMs(1_760_000_000_000);
        for unit in [TimeUnit::Seconds, TimeUnit::Milliseconds, TimeUnit::SecondsOrMilliseconds, TimeUnit::Rfc3339, TimeUnit::HttpDate] {
            assert_eq!(read(write(now, unit).as_bytes(), unit), Some(now), "{unit:?}");
        }
    }

    #[test]
    fn a_numeric_date_may_have_a_fraction() {
        let cases = [("1760000000", Some(1_760_000_000_000)), ("1760000000.5", Some(1_760_000_000_500)), ("1.1239", Some(1123))];
        for (text, expected) in cases {
            assert_eq!(read_date(text.as_bytes()).map(|at| at.0), expected, "{text}");
        }
        for bad in ["", "1.", ".5", "-1", "1e9", "1.5.5", "1.x"] {
            assert_eq!(read_date(bad.as_bytes()), None, "{bad}");
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
