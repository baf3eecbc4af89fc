//! What is asked of the writer, what it found, and how the asker is told.

use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::{
    clock::{Mono, Span},
    lease::{Claimed, Fate, Fenced, Want},
    metrics::{Metrics, StoreOperation},
    name::TargetName,
    store::{Act, Admission, NewEvent, Step, StoreError, Swept, queue},
};

use super::{
    acts::Operated,
    admit::{self, Admitted},
};

/// The queue in front of the writer.
pub(super) type Queue = queue::Queue<Urgent, Admit, Chore>;
/// What the writer does in one turn.
pub(super) type Batch = queue::Batch<Urgent, Admit, Chore>;
/// Where an answer goes; nobody may be there any more.
pub(super) type Asker<T> = oneshot::Sender<Result<T, StoreError>>;

/// Work that delivery waits for.
#[derive(Debug)]
pub(super) struct Urgent {
    pub(super) call: Call,
    pub(super) since: Mono,
}

/// A call of the urgent class.
#[derive(Debug)]
pub(super) enum Call {
    Claim(Vec<Want>, Asker<Vec<Claimed>>),
    Settle(Vec<Fenced>, Asker<Vec<Fate>>),
    Operate(Box<Act>, Asker<Step>),
}

/// An event that wants in.
#[derive(Debug)]
pub(super) struct Admit {
    pub(super) event: NewEvent,
    /// The payloads' checksums, computed by the asker.
    pub(super) crcs: SmallVec<[u32; 1]>,
    pub(super) since: Mono,
    /// When it is too late to begin with it.
    pub(super) by: Mono,
    /// `None` once answered.
    pub(super) asker: Option<Asker<Admission>>,
}

/// Work for a quiet moment.
#[derive(Debug)]
pub(super) enum Chore {
    Sweep(Duration, Asker<Swept>),
    KeepHolds(TargetName, Vec<Span>, Asker<()>),
    Close(Mono, Asker<()>),
}

/// What a call of the urgent class found; told after the commit.
#[derive(Debug)]
pub(super) enum Found {
    Claimed(Vec<Claimed>),
    Fates(Vec<Fate>),
    Operated(Operated),
}

impl Urgent {
    /// Tells the asker, and notes how long it took.
    pub(super) fn answer(self, found: Result<Found, StoreError>, now: Mono, metrics: &Metrics) {
        let took = now.since(self.since);
        // An asker who is gone needs no answer: leases run out, and a settle is run again.
        match (self.call, found) {
            (Call::Claim(_, asker), Ok(Found::Claimed(claimed))) => {
                metrics.store_operation(StoreOperation::Claim, took);
                let _ = asker.send(Ok(claimed));
            }
            (Call::Settle(_, asker), Ok(Found::Fates(fates))) => {
                metrics.store_operation(StoreOperation::Settle, took);
                let _ = asker.send(Ok(fates));
            }
            (Call::Operate(_, asker), Ok(Found::Operated(operated))) => {
                metrics.store_operation(StoreOperation::Operate, took);
                operated.count(metrics);
                let _ = asker.send(Ok(operated.step));
            }
            (Call::Claim(_, asker), found) => drop(asker.send(Err(found.err().unwrap_or(StoreError::Unknown)))),
            (Call::Settle(_, asker), found) => drop(asker.send(Err(found.err().unwrap_or(StoreError::Unknown)))),
            (Call::Operate(_, asker), found) => drop(asker.send(Err(found.err().unwrap_or(StoreError::Unknown)))),
        }
    }
}

impl Admit {
    /// After the commit: hands over, and tells the asker.
    pub(super) fn accept(mut self, admitted: Admitted, now: Mono, metrics: &Metrics) {
        metrics.store_operation(StoreOperation::Admit, now.since(self.since));
        let admission = admitted.admission;
        admitted.hand_over(self.event, metrics);
        if let Some(asker) = self.asker.take() {
            let _ = asker.send(Ok(admission));
        }
    }

    /// Tells the asker why not. After a commit of unknown outcome everybody looks for what may be there.
    pub(super) fn refuse(mut self, error: StoreError) {
        if error == StoreError::Unknown {
            admit::announce_unknown(&self.event);
        }
        if let Some(asker) = self.asker.take() {
            let _ = asker.send(Err(error));
        }
    }
}

/// Answers, unless whoever asked is gone.
pub(super) fn tell<T>(reply: Asker<T>, answer: impl FnOnce() -> Result<T, StoreError>) {
    if !reply.is_closed() {
        let _ = reply.send(answer());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_gone_is_not_answered() {
        let (asker, reply) = oneshot::channel::<Result<(), StoreError>>();
        drop(reply);
        tell(asker, || unreachable!("nobody is there"));
    }
}
