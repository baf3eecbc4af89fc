//! The bounded queue in front of a store's one writing thread: what is taken next, and what is refused.
//!
//! Two classes and a rest. *Urgent* work (claims and settles) is a closed loop, bounded by the lanes' slots, and is taken first: else
//! delivery would stop exactly when ingest floods. *Admits* come next, up to a number and up to a size, so that one huge body does not hold
//! up 255 acks; one that is past its deadline is handed out as *late*, to be answered without being run. *Chores* (sweeps, holds, the
//! close) wait for a quiet moment, but not for ever. There is no gathering delay: what is waiting now is the batch.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    clock::{Clock, Mono},
    limits::{ADMIT_BYTES_WAITING_MAX, ADMITS_WAITING_MAX, BATCH_ADMITS_MAX, BATCH_BYTES_MAX, QUEUE_AGE_MAX},
};

/// Fenced writes and wanted leases in one batch; a single call may bring more and is then alone.
pub(super) const BATCH_URGENT_MAX: usize = 128;
/// Urgent calls waiting: far above what the lanes can have out, so reaching it means the writer stands still.
pub(super) const URGENT_WAITING_MAX: usize = 4096;
/// Chores waiting: far above one for each target and one for each second's sweep, as [`URGENT_WAITING_MAX`] is.
pub(super) const CHORES_WAITING_MAX: usize = 4096;
/// How long a chore waits for a quiet moment before it is taken all the same.
pub(super) const CHORE_WAIT_MAX: Duration = Duration::from_secs(1);

/// The queue: filled from any thread, emptied by the writer.
#[derive(Debug)]
pub(super) struct Queue<U, A, C> {
    waiting: Mutex<Waiting<U, A, C>>,
    filled: Condvar,
}

/// What is to be done in one turn. Its vectors are reused from turn to turn.
#[derive(Debug)]
pub(super) struct Batch<U, A, C> {
    /// Claims and settles, in order.
    pub(super) urgent: Vec<U>,
    /// Admits, in order.
    pub(super) admits: Vec<A>,
    /// Admits past their deadline: to be answered, not run.
    pub(super) late: Vec<A>,
    /// At most one chore.
    pub(super) chore: Option<C>,
}

/// What a wait for work came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is work in the batch.
    Work,
    /// Nothing came within the given time.
    Idle,
    /// Nothing is left and nothing more will come.
    Drained,
    /// The queue was abandoned with whatever is in it.
    Abandoned,
}

/// Why something was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too much is waiting, or it has waited too long.
    Busy,
    /// The store is closing or closed.
    Closed,
}

#[derive(Debug)]
struct Waiting<U, A, C> {
    urgent: VecDeque<(usize, U)>,
    admits: VecDeque<Admit<A>>,
    admit_bytes: usize,
    chores: VecDeque<(Mono, C)>,
    door: Door,
    /// The writer sleeps and has not been woken yet. Waking is a call into the kernel: without this there would be one for every event.
    asleep: bool,
}

#[derive(Debug)]
struct Admit<A> {
    admit: A,
    bytes: usize,
    by: Mono,
    since: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    Draining,
    Abandoned,
}

impl<U, A, C> Default for Queue<U, A, C> {
    fn default() -> Self {
        let waiting = Waiting {
            urgent: VecDeque::new(),
            admits: VecDeque::new(),
            admit_bytes: 0,
            chores: VecDeque::new(),
            door: Door::Open,
            asleep: false,
        };
        Self { waiting: Mutex::new(waiting), filled: Condvar::new() }
    }
}

impl<U, A, C> Default for Batch<U, A, C> {
    fn default() -> Self {
        Self { urgent: Vec::new(), admits: Vec::new(), late: Vec::new(), chore: None }
    }
}

impl<U, A, C> Queue<U, A, C> {
    /// Queues a claim or a settle; `weight` is how many leases it is about.
    ///
    /// # Errors
    /// Why it was not queued.
    pub(super) fn push_urgent(&self, urgent: U, weight: usize) -> Result<(), Refused> {
        let mut waiting = self.open()?;
        if waiting.urgent.len() >= URGENT_WAITING_MAX {
            return Err(Refused::Busy);
        }
        waiting.urgent.push_back((weight, urgent));
        self.wake(waiting);
        Ok(())
    }

    /// Queues an admit of so many bytes that must be started before `by`.
    ///
    /// # Errors
    /// Why it was not queued.
    pub(super) fn push_admit(&self, admit: A, bytes: usize, by: Mono, now: Mono) -> Result<(), Refused> {
        let mut waiting = self.open()?;
        let full = waiting.admits.len() >= ADMITS_WAITING_MAX || waiting.admit_bytes.saturating_add(bytes) > ADMIT_BYTES_WAITING_MAX;
        if full || waiting.age(now) > QUEUE_AGE_MAX {
            return Err(Refused::Busy);
        }
        waiting.admit_bytes += bytes;
        waiting.admits.push_back(Admit { admit, bytes, by, since: now });
        self.wake(waiting);
        Ok(())
    }

    /// Queues a chore.
    ///
    /// # Errors
    /// Why it was not queued.
    pub(super) fn push_chore(&self, chore: C, now: Mono) -> Result<(), Refused> {
        let mut waiting = self.open()?;
        if waiting.chores.len() >= CHORES_WAITING_MAX {
            return Err(Refused::Busy);
        }
        waiting.chores.push_back((now, chore));
        self.wake(waiting);
        Ok(())
    }

    /// Takes nothing more after this last chore; what is queued is still handed out.
    ///
    /// # Errors
    /// It was closed before.
    pub(super) fn close(&self, last: C, now: Mono) -> Result<(), Refused> {
        let mut waiting = self.open()?;
        waiting.chores.push_back((now, last));
        waiting.door = Door::Draining;
        self.wake(waiting);
        Ok(())
    }

    /// Takes nothing more and hands nothing more out, as a crash would.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.door = Door::Abandoned;
        self.wake(waiting);
    }

    /// How long the oldest waiting admit has waited.
    #[must_use]
    pub(super) fn age(&self, now: Mono) -> Duration {
        self.lock().age(now)
    }

    /// Admits that are waiting.
    #[must_use]
    pub(super) fn admits_waiting(&self) -> usize {
        self.lock().admits.len()
    }

    /// Waits for work, for so long at most, and puts the next batch into `batch`, which must be empty.
    pub(super) fn next(&self, batch: &mut Batch<U, A, C>, clock: &Clock, at_most: Duration) -> Next {
        let sleeps = |waiting: &mut Waiting<U, A, C>| {
            waiting.asleep = waiting.door == Door::Open && waiting.is_empty();
            waiting.asleep
        };
        let (mut waiting, _) = self.filled.wait_timeout_while(self.lock(), at_most, sleeps).unwrap_or_else(PoisonError::into_inner);
        waiting.asleep = false;
        match waiting.door {
            Door::Abandoned => return Next::Abandoned,
            Door::Draining if waiting.is_empty() => return Next::Drained,
            Door::Open if waiting.is_empty() => return Next::Idle,
            Door::Open | Door::Draining => {}
        }
        waiting.next_batch(clock.mono(), batch);
        Next::Work
    }

    /// Wakes the writer if it sleeps, and lets go of the lock first, so that it does not wake up only to wait for it.
    fn wake(&self, mut waiting: MutexGuard<'_, Waiting<U, A, C>>) {
        let sleeps = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if sleeps {
            self.filled.notify_one();
        }
    }

    fn open(&self) -> Result<MutexGuard<'_, Waiting<U, A, C>>, Refused> {
        let waiting = self.lock();
        if waiting.door == Door::Open { Ok(waiting) } else { Err(Refused::Closed) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<U, A, C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<U, A, C> Waiting<U, A, C> {
    /// The whole policy, pure: moves what is to be done now from what waits into `batch`.
    fn next_batch(&mut self, now: Mono, batch: &mut Batch<U, A, C>) {
        let mut weight = 0;
        while let Some((next, _)) = self.urgent.front() {
            weight += next;
            if !batch.urgent.is_empty() && weight > BATCH_URGENT_MAX {
                break;
            }
            batch.urgent.extend(self.urgent.pop_front().map(|(_, urgent)| urgent));
        }
        let mut bytes = 0;
        while let Some(next) = self.admits.front() {
            let late = next.by < now;
            let full = batch.admits.len() >= BATCH_ADMITS_MAX || bytes + next.bytes > BATCH_BYTES_MAX;
            if !late && full && !batch.admits.is_empty() {
                break;
            }
            let Some(next) = self.admits.pop_front() else { break };
            self.admit_bytes = self.admit_bytes.saturating_sub(next.bytes);
            if late {
                batch.late.push(next.admit);
            } else {
                bytes += next.bytes;
                batch.admits.push(next.admit);
            }
        }
        let quiet = self.urgent.is_empty() && self.admits.is_empty();
        let due = |(since, _): &(Mono, C)| quiet || now.since(*since) > CHORE_WAIT_MAX;
        if self.chores.front().is_some_and(due) {
            batch.chore = self.chores.pop_front().map(|(_, chore)| chore);
        }
    }

    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.admits.is_empty() && self.chores.is_empty()
    }

    fn age(&self, now: Mono) -> Duration {
        self.admits.front().map_or(Duration::ZERO, |oldest| now.since(oldest.since))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    type Numbers = Queue<u32, u32, u32>;

    const START: Mono = Mono(1_000_000_000);

    fn clock_at(mono: Mono) -> Clock {
        let sim = Arc::new(crate::clock::SimClock::default());
        sim.set(crate::clock::Now { wall: crate::clock::UnixMs(0), mono });
        Clock::Sim(sim)
    }

    fn take(queue: &Numbers, now: Mono) -> Batch<u32, u32, u32> {
        let mut batch = Batch::default();
        queue.next(&mut batch, &clock_at(now), Duration::ZERO);
        batch
    }

    #[test]
    fn urgent_work_comes_first_and_admits_still_come_along() {
        let queue = Numbers::default();
        (0..300).for_each(|n| queue.push_admit(n, 10, Mono::NEVER, START).expect("room"));
        (0..200).for_each(|n| queue.push_urgent(n, 1).expect("room"));
        let batch = take(&queue, START);
        assert_eq!(batch.urgent, (0..128).collect::<Vec<_>>());
        assert_eq!(batch.admits, (0..256).collect::<Vec<_>>());
        let batch = take(&queue, START);
        assert_eq!(batch.urgent, (128..200).collect::<Vec<_>>());
        assert_eq!(batch.admits, (256..300).collect::<Vec<_>>());
    }

    #[test]
    fn a_huge_body_does_not_hold_up_the_others_and_is_not_stuck_itself() {
        let queue = Numbers::default();
        queue.push_admit(1, 100, Mono::NEVER, START).expect("room");
        queue.push_admit(2, BATCH_BYTES_MAX * 2, Mono::NEVER, START).expect("room");
        queue.push_admit(3, 100, Mono::NEVER, START).expect("room");
        assert_eq!(take(&queue, START).admits, [1]);
        assert_eq!(take(&queue, START).admits, [2]);
        assert_eq!(take(&queue, START).admits, [3]);
    }

    #[test]
    fn an_admit_past_its_deadline_is_late_not_run() {
        let queue = Numbers::default();
        queue.push_admit(1, 1, START + Duration::from_millis(5), START).expect("room");
        queue.push_admit(2, 1, START + Duration::from_millis(50), START).expect("room");
        let batch = take(&queue, START + Duration::from_millis(10));
        assert_eq!((batch.late, batch.admits), (vec![1], vec![2]));
    }

    #[test]
    fn refuses_by_number_by_bytes_and_by_age() {
        let queue = Numbers::default();
        for n in 0..ADMITS_WAITING_MAX {
            queue.push_admit(u32::try_from(n).expect("small"), 1, Mono::NEVER, START).expect("room");
        }
        assert_eq!(queue.push_admit(0, 1, Mono::NEVER, START), Err(Refused::Busy));

        let queue = Numbers::default();
        queue.push_admit(0, ADMIT_BYTES_WAITING_MAX, Mono::NEVER, START).expect("room");
        assert_eq!(queue.push_admit(0, 1, Mono::NEVER, START), Err(Refused::Busy));

        let queue = Numbers::default();
        queue.push_admit(0, 1, Mono::NEVER, START).expect("room");
        let later = START + QUEUE_AGE_MAX + Duration::from_millis(1);
        assert_eq!(queue.push_admit(0, 1, Mono::NEVER, later), Err(Refused::Busy));
        assert_eq!(queue.age(later), later.since(START));

        let queue = Numbers::default();
        (0..CHORES_WAITING_MAX).for_each(|_| queue.push_chore(0, START).expect("room"));
        assert_eq!(queue.push_chore(0, START), Err(Refused::Busy));
        queue.close(1, START).expect("the last one always has its place");
    }

    #[test]
    fn a_chore_waits_for_quiet_but_not_for_ever() {
        let queue = Numbers::default();
        queue.push_chore(9, START).expect("open");
        (0..300).for_each(|n| queue.push_admit(n, 1, Mono::NEVER, START).expect("room"));
        assert_eq!(take(&queue, START).chore, None);
        assert_eq!(take(&queue, START).chore, Some(9));
        queue.push_chore(9, START).expect("open");
        (0..300).for_each(|n| queue.push_admit(n, 1, Mono::NEVER, START).expect("room"));
        assert_eq!(take(&queue, START + CHORE_WAIT_MAX + Duration::from_millis(1)).chore, Some(9));
    }

    #[test]
    fn a_close_hands_out_what_is_queued_and_an_abandon_does_not() {
        let queue = Numbers::default();
        queue.push_urgent(1, 1).expect("open");
        queue.close(7, START).expect("open");
        assert_eq!(queue.push_urgent(2, 1), Err(Refused::Closed));
        let batch = take(&queue, START);
        assert_eq!((batch.urgent, batch.chore), (vec![1], Some(7)));
        assert_eq!(queue.next(&mut Batch::default(), &clock_at(START), Duration::ZERO), Next::Drained);

        let queue = Arc::new(Numbers::default());
        queue.push_urgent(1, 1).expect("open");
        queue.abandon();
        assert_eq!(queue.next(&mut Batch::default(), &clock_at(START), Duration::ZERO), Next::Abandoned);
    }

    #[test]
    fn a_waiting_writer_wakes_for_each_kind_of_work() {
        for kind in 0..4 {
            let queue = Arc::new(Numbers::default());
            let writer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.next(&mut Batch::default(), &clock_at(START), Duration::from_secs(60)))
            };
            match kind {
                0 => queue.push_urgent(1, 1).expect("open"),
                1 => queue.push_admit(1, 1, Mono::NEVER, START).expect("open"),
                2 => queue.push_chore(1, START).expect("open"),
                _ => queue.abandon(),
            }
            let expected = if kind == 3 { Next::Abandoned } else { Next::Work };
            assert_eq!(writer.join().expect("no panic"), expected);
        }
    }
}
