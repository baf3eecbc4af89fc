//! What the counters of a source say between two looks: that it was not heard for too long, and that far more of its requests are rejected
//! than usual. Time is the monotonic clock's, so neither a step of the wall clock nor a machine that slept makes a silence; and what is
//! remembered is of this process, so a gateway that was down tells nobody that it heard nothing.

use std::{collections::VecDeque, time::Duration};

use super::{About, News, Signal};
use crate::{
    clock::{Mono, Now, UnixMs},
    name::SourceName,
    rejection::Rejection,
};

/// Requests rejected in the minute under way and the one before, at least, for a spike: fewer are a stranger passing by. And then they must
/// be more than [`MINUTE_TIMES`] as many as an average minute of the hour before had.
pub const MINUTE_LEAST: u64 = 6;
/// How many times an average minute that is.
pub const MINUTE_TIMES: u64 = 10;
/// Rejected requests of an hour in which not one was taken, at least: that is a changed secret at a source that is seldom rung. What has no
/// signature at all is not counted here, because that is what strangers send.
pub const HOUR_LEAST: u64 = 3;

/// How long a bucket is.
const MINUTE: Duration = Duration::from_secs(60);
/// The bucket under way and the one before.
const LATEST: usize = 2;
/// Those, and the hour before them.
const BUCKETS_MAX: usize = LATEST + 60;

/// The counters of a source, as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// When the last event came in.
    pub last_event: Option<UnixMs>,
    /// Requests that were taken.
    pub taken: u64,
    /// Requests that were rejected, by reason in the order of [`Rejection::ALL`].
    pub rejected: [u64; Rejection::ALL.len()],
}

/// What is remembered of a source.
#[derive(Debug)]
pub struct Watch {
    source: SourceName,
    silence: Option<Silence>,
    spike: Spike,
}

#[derive(Debug)]
struct Silence {
    every: Duration,
    /// The last event, as the counters had it.
    last_event: Option<UnixMs>,
    /// When that was noticed, or when the process began.
    heard: Now,
    is_silent: bool,
}

#[derive(Debug)]
struct Spike {
    before: Reading,
    /// By minute, the newest last.
    buckets: VecDeque<Bucket>,
    /// When the newest bucket began.
    begun: Mono,
    is_on: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    taken: u64,
    rejected: [u64; Rejection::ALL.len()],
}

impl Watch {
    /// Begins to watch a source whose counters stand at 0; `every` is how often it is expected to be heard.
    #[must_use]
    pub fn new(source: SourceName, every: Option<Duration>, now: Now) -> Self {
        let silence = every.map(|every| Silence { every, last_event: None, heard: now, is_silent: false });
        let spike = Spike { before: Reading::default(), buckets: VecDeque::from([Bucket::default()]), begun: now.mono, is_on: false };
        Self { source, silence, spike }
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// Looks at its counters as they stand.
    pub fn look(&mut self, reading: &Reading, now: Now) -> Vec<Signal> {
        let silence = self.silence.as_mut().and_then(|silence| silence.look(reading, now, &self.source));
        let spike = self.spike.look(reading, now.mono).map(|news| Signal::Noticed(About::Rejections(self.source.clone()), news));
        silence.into_iter().chain(spike).collect()
    }
}

impl Silence {
    fn look(&mut self, reading: &Reading, now: Now, source: &SourceName) -> Option<Signal> {
        if self.last_event != reading.last_event {
            (self.last_event, self.heard) = (reading.last_event, now);
            return std::mem::take(&mut self.is_silent).then(|| Signal::Over(About::Silence(source.clone())));
        }
        if self.is_silent || now.mono.since(self.heard.mono) <= self.every {
            return None;
        }
        self.is_silent = true;
        let since = Some(self.last_event.unwrap_or(self.heard.wall));
        Some(Signal::Noticed(About::Silence(source.clone()), News { since, ..News::of(1) }))
    }
}

impl Spike {
    /// What was rejected and not yet told of, while it is a spike.
    fn look(&mut self, reading: &Reading, now: Mono) -> Option<News> {
        self.turn(now);
        let fresh = Bucket::between(&self.before, reading);
        self.before.clone_from(reading);
        if let Some(newest) = self.buckets.back_mut() {
            newest.add(&fresh);
        }
        let (in_minute, in_hour) = (self.sum(LATEST), self.sum(BUCKETS_MAX));
        let whole = if in_minute.is_far_more_than(&in_hour) {
            in_minute
        } else if in_hour.is_all_there_is() {
            in_hour
        } else {
            self.is_on = false;
            return None;
        };
        // What led to it is told once; from then on what comes to it.
        let news = if std::mem::replace(&mut self.is_on, true) { fresh } else { whole }.news();
        (news.count > 0).then_some(news)
    }

    /// Begins the buckets whose time has come.
    fn turn(&mut self, now: Mono) {
        let begun = now.since(self.begun).as_nanos() / MINUTE.as_nanos();
        for _ in 0..usize::try_from(begun).unwrap_or(usize::MAX).min(BUCKETS_MAX) {
            self.buckets.push_back(Bucket::default());
        }
        self.begun = self.begun + MINUTE.saturating_mul(u32::try_from(begun).unwrap_or(u32::MAX));
        self.buckets.drain(..self.buckets.len().saturating_sub(BUCKETS_MAX));
    }

    fn sum(&self, newest: usize) -> Bucket {
        let mut sum = Bucket::default();
        self.buckets.iter().rev().take(newest).for_each(|bucket| sum.add(bucket));
        sum
    }
}

impl Bucket {
    fn between(before: &Reading, after: &Reading) -> Self {
        let mut fresh = Self { taken: after.taken.saturating_sub(before.taken), ..Self::default() };
        for (into, (after, before)) in fresh.rejected.iter_mut().zip(after.rejected.iter().zip(before.rejected)) {
            *into = after.saturating_sub(before);
        }
        fresh
    }

    fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        self.rejected.iter_mut().zip(other.rejected).for_each(|(into, count)| *into += count);
    }

    /// Whether these two minutes, which are part of that hour, stand out of it.
    fn is_far_more_than(&self, hour: &Self) -> bool {
        let (latest, before) = (self.count(), hour.count() - self.count());
        latest >= MINUTE_LEAST && latest.saturating_mul(60) > before.saturating_mul(MINUTE_TIMES)
    }

    /// Whether this hour had nothing else but requests whose proof does not hold.
    fn is_all_there_is(&self) -> bool {
        let unsigned = Rejection::ALL.iter().zip(self.rejected).filter(|(reason, _)| **reason == Rejection::MissingSignature);
        self.taken == 0 && self.count() - unsigned.map(|(_, count)| count).sum::<u64>() >= HOUR_LEAST
    }

    fn count(&self) -> u64 {
        self.by_reason().map(|(_, count)| count).sum()
    }

    fn news(&self) -> News {
        News { reasons: self.by_reason().map(|(reason, count)| (reason.code(), count)).collect(), ..News::of(self.count()) }
    }

    /// What counts: of a method or a path that is no source's nothing is expected, whoever tries it.
    fn by_reason(&self) -> impl Iterator<Item = (Rejection, u64)> {
        let all = Rejection::ALL.into_iter().zip(self.rejected);
        all.filter(|(reason, count)| *count > 0 && !matches!(reason, Rejection::Method | Rejection::UnknownPath))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    struct Rig {
        watch: Watch,
        reading: Reading,
        now: Now,
    }

    impl Rig {
        fn new(every: Option<Duration>) -> Self {
            let now = Now { wall: UnixMs(1_760_000_000_000), mono: Mono(7) };
            Self { watch: Watch::new(SourceName::parse("git").expect("a name"), every, now), reading: Reading::default(), now }
        }

        fn after(&mut self, secs: u64) -> &mut Self {
            let time = Duration::from_secs(secs);
            self.now = Now { wall: self.now.wall.after(time), mono: self.now.mono + time };
            self
        }

        fn rejects(&mut self, reason: Rejection, count: u64) -> &mut Self {
            let at = Rejection::ALL.iter().position(|other| *other == reason).expect("listed");
            self.reading.rejected[at] += count;
            self
        }

        fn takes(&mut self) -> &mut Self {
            self.reading.taken += 1;
            self.reading.last_event = Some(self.now.wall);
            self
        }

        fn look(&mut self) -> Vec<Signal> {
            self.watch.look(&self.reading, self.now)
        }

        /// What is told of rejections: how many for which reasons.
        fn spike(&mut self) -> Option<(u64, String)> {
            let signals = self.look();
            let [Signal::Noticed(About::Rejections(_), news)] = &*signals else {
                assert_eq!(signals, []);
                return None;
            };
            let reasons: Vec<String> = news.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            Some((news.count, reasons.join(", ")))
        }
    }

    #[test]
    fn a_source_is_silent_when_it_was_not_heard_for_longer_than_expected() {
        let mut rig = Rig::new(Some(HOUR));
        let start = rig.now.wall;
        assert_eq!(rig.after(3600).look(), [], "a source that was never heard counts from the start");
        let silent = |since| {
            [Signal::Noticed(About::Silence(SourceName::parse("git").expect("a name")), News { since: Some(since), ..News::of(1) })]
        };
        assert_eq!(rig.after(1).look(), silent(start));
        assert_eq!(rig.after(9_999).look(), [], "it is told once");
        assert_eq!(rig.takes().look(), [Signal::Over(About::Silence(SourceName::parse("git").expect("a name")))]);
        let heard = rig.now.wall;
        rig.now.wall = heard.after(HOUR * 99);
        assert_eq!(rig.after(3600).look(), [], "a wall clock that was set makes no silence");
        assert_eq!(rig.after(1).look(), silent(heard));
        let mut careless = Rig::new(None);
        assert_eq!(careless.after(1_000_000).look(), []);
    }

    #[test]
    fn a_burst_is_a_spike_and_what_is_as_usual_is_none() {
        let mut rig = Rig::new(None);
        rig.takes();
        assert_eq!(rig.rejects(Rejection::MissingSignature, 5).spike(), None, "strangers pass by");
        assert_eq!(rig.after(1).rejects(Rejection::BadSignature, 1).spike(), Some((6, "bad_signature 1, missing_signature 5".to_owned())));
        assert_eq!(rig.after(1).spike(), None);
        assert_eq!(rig.after(1).rejects(Rejection::BadSignature, 2).spike(), Some((2, "bad_signature 2".to_owned())));
        assert_eq!(rig.after(120).rejects(Rejection::BadSignature, 4).spike(), None, "it is over");
        let mut busy = Rig::new(None);
        for minute in 0..90 {
            let told = busy.after(60).rejects(Rejection::Stale, 20).takes().spike();
            assert_eq!(told.is_some(), minute < 13, "what goes on is as usual before long: {minute}");
        }
        assert!(busy.after(60).rejects(Rejection::Stale, 181).spike().is_some(), "more than ten times as many in two minutes");
    }

    #[test]
    fn a_quiet_source_whose_every_request_is_rejected_is_told_of() {
        let mut rig = Rig::new(None);
        rig.takes();
        assert_eq!(rig.spike(), None);
        assert_eq!(rig.after(3700).rejects(Rejection::BadSignature, 1).spike(), None);
        assert_eq!(rig.after(1200).rejects(Rejection::BadSignature, 1).rejects(Rejection::MissingSignature, 3).spike(), None);
        let told = Some((6, "bad_signature 3, missing_signature 3".to_owned()));
        assert_eq!(rig.after(1200).rejects(Rejection::BadSignature, 1).spike(), told, "the third within the hour");
        assert_eq!(rig.after(1200).rejects(Rejection::BadSignature, 1).spike(), Some((1, "bad_signature 1".to_owned())));
        assert_eq!(rig.after(60).takes().rejects(Rejection::BadSignature, 1).spike(), None, "one was taken");
    }

    #[test]
    fn what_nobody_expects_anything_of_is_not_counted() {
        let mut rig = Rig::new(None);
        assert_eq!(rig.rejects(Rejection::Method, 1_000).rejects(Rejection::UnknownPath, 1_000).spike(), None);
        assert_eq!(rig.after(100_000_000).spike(), None, "however long nobody looked");
        assert!(rig.watch.spike.buckets.len() <= BUCKETS_MAX);
    }
}
