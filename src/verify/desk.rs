//! Who may go out, and when: the memory of what a source had fetched lately. Unsigned strangers name the URLs that keys are fetched from,
//! so what they can cause in a minute is bounded, and what failed is left alone for a moment.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use url::Url;

use super::Wanted;
use crate::clock::UnixMs;

/// How long a URL is left alone that gave no key.
const FAILED_FOR: Duration = Duration::from_secs(10);
/// URLs that are remembered for having failed.
const FAILED_MAX: usize = 64;
/// The time over which fetches are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Fetches that a source may cause in that time, but for what was fetched before; and calls, which strangers cannot cause.
const FETCHES_MAX: usize = 20;

/// The memory of one source.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    /// When strangers had something fetched.
    begun: VecDeque<UnixMs>,
    /// When a handshake that was proved had somebody called.
    called: VecDeque<UnixMs>,
    /// What gave no key, and when.
    failed: VecDeque<(Url, UnixMs)>,
}

impl Desk {
    /// Whether somebody may go to this URL now; that he goes is noted. What is known is fetched again whatever strangers have caused.
    pub(super) fn lets_out(&self, wanted: &Wanted, now: UnixMs) -> bool {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.failed.retain(|(_, at)| is_within(FAILED_FOR, *at, now));
        if lately.failed.iter().any(|(url, _)| *url == wanted.url) {
            return false;
        }
        wanted.is_known || counts(&mut lately.begun, now)
    }

    /// The same, of a call that is made for its effect.
    pub(super) fn lets_call(&self, now: UnixMs) -> bool {
        counts(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).called, now)
    }

    pub(super) fn note_failed(&self, url: &Url, now: UnixMs) {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.failed.len() >= FAILED_MAX {
            lately.failed.pop_front();
        }
        lately.failed.push_back((url.clone(), now));
    }
}

/// Counts one more, if there is room for it.
fn counts(lately: &mut VecDeque<UnixMs>, now: UnixMs) -> bool {
    lately.retain(|at| is_within(WINDOW, *at, now));
    let fits = lately.len() < FETCHES_MAX;
    if fits {
        lately.push_back(now);
    }
    fits
}

/// Whether it was so lately. What lies ahead was noted by a clock that has been set back since: it is forgotten.
fn is_within(time: Duration, at: UnixMs, now: UnixMs) -> bool {
    at <= now && now.ms_since(at) < ms(time)
}

/// Milliseconds, as times differ by.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_760_000_000_000);

    fn url(number: usize) -> Url {
        Url::parse(&format!("https://keys.example.com/{number}")).expect("a URL")
    }

    fn wanted(number: usize, is_known: bool) -> Wanted {
        Wanted { place: url(number), url: url(number), ask: crate::errand::Ask::get(&url(number)), is_needed: true, is_known }
    }

    #[test]
    fn strangers_have_so_much_fetched_in_a_minute_and_not_more() {
        let desk = Desk::default();
        let out = |count: usize, at: UnixMs| (0..count).filter(|number| desk.lets_out(&wanted(*number, false), at)).count();
        assert_eq!(out(100, NOW), FETCHES_MAX);
        assert!(desk.lets_call(NOW), "who was proved does not pay for strangers");
        assert_eq!((0..100).filter(|_| desk.lets_call(NOW)).count(), FETCHES_MAX - 1);
        assert!(desk.lets_out(&wanted(1, true), NOW), "what is known does not pay for them");
        assert_eq!(out(100, UnixMs(NOW.0 + 59_999)), 0);
        assert_eq!(out(100, NOW.after(WINDOW)), FETCHES_MAX);
        assert_eq!(out(100, UnixMs(NOW.0 - 3_600_000)), FETCHES_MAX, "a clock that is set back holds nobody up");
    }

    #[test]
    fn what_failed_is_left_alone_for_a_moment() {
        let desk = Desk::default();
        desk.note_failed(&url(1), NOW);
        assert!(!desk.lets_out(&wanted(1, false), NOW) && !desk.lets_out(&wanted(1, true), NOW));
        assert!(desk.lets_out(&wanted(2, false), NOW));
        assert!(desk.lets_out(&wanted(1, false), NOW.after(FAILED_FOR)));
        for number in 0..1000 {
            desk.note_failed(&url(number), NOW);
        }
        assert!(desk.0.lock().expect("whole").failed.len() <= FAILED_MAX);
    }
}
