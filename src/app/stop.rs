//! The end, in order: nothing new comes in, what came in is answered, what runs may finish, what is owed is written down, and only then
//! does the process let go of the store.
//!
//! ```text
//!  signal: not ready, gates closed -> delay -> door (3 s) -> shards (until T - 1.5 s, then cut) -> store closed -> admin -> exit 0
//!                                     |<----------------- T = server.shutdown.deadline ------------------>|  T + 2 s: watchdog, exit 70
//! ```

use std::{io, process, sync::Arc, thread, time::Duration};

use crate::{
    admin::{Admin, Phase, Step},
    clock::{Clock, Mono},
    deliver::Shards,
    door::Door,
    handoff::Gates,
    plan::Shutdown,
    store::{Store, StoreError, rejected::RejectedRing},
};

use super::Exit;

/// How long the door may take to answer what it has begun.
const DOOR_TIME: Duration = Duration::from_secs(3);
/// What is left at the end for the last settles and the store.
const STORE_TIME: Duration = Duration::from_millis(1500);
/// How long after the deadline the watchdog ends the process.
const WATCHDOG_MARGIN: Duration = Duration::from_secs(2);

/// What is running, to be stopped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) phase: Arc<Phase>,
    pub(super) gates: Arc<Gates>,
    pub(super) door: Door,
    pub(super) shards: Arc<Shards>,
    pub(super) store: Arc<dyn Store>,
    pub(super) ring: Arc<RejectedRing>,
    pub(super) admin: Admin,
    pub(super) clock: Clock,
}

impl Running {
    /// Stops everything, in order.
    pub(super) async fn stop(self, how: &Shutdown) -> Exit {
        watch(how.delay + how.deadline + WATCHDOG_MARGIN);
        tracing::info!(event = "stop", "stopping: no longer ready");
        self.phase.set(Step::Stopping);
        // What is admitted from here on is born waiting: the next start delivers it.
        self.gates.close_all();
        tokio::time::sleep(how.delay).await;
        let began = self.clock.mono();
        let end = began + how.deadline;
        self.door.stop(DOOR_TIME.min(how.deadline)).await;
        let left = self.shards.stop(before(end, STORE_TIME).max(self.clock.mono())).await;
        let closed = self.store.close(end).await;
        // After the store: what it holds up may cost the ring its last requests, and never the other way round.
        self.ring.close();
        let took_ms = u64::try_from(self.clock.mono().since(began).as_millis()).unwrap_or(u64::MAX);
        tracing::info!(event = "stop", cut = left.cut, unsettled = left.unsettled, duration_ms = took_ms, "stopped");
        self.admin.stop().await;
        match closed {
            Ok(()) => Exit::Fine,
            Err(error) => {
                tracing::error!(event = "stop", reason = %error, "the store did not close in order; the next start recovers it");
                Exit::StoreIo
            }
        }
    }

    /// Ends a gateway whose store is broken: it can neither admit nor settle, so there is nothing to wait for.
    pub(super) async fn give_up(self, why: &StoreError) -> Exit {
        watch(WATCHDOG_MARGIN);
        tracing::error!(event = "stop", reason = %why, "the store is broken: ending, to be started again");
        self.phase.set(Step::Stopping);
        self.gates.close_all();
        self.admin.stop().await;
        Exit::StoreIo
    }
}

fn before(end: Mono, margin: Duration) -> Mono {
    Mono(end.0.saturating_sub(u64::try_from(margin.as_nanos()).unwrap_or(u64::MAX)))
}

/// Ends the process when the stop hangs. The thread dies with the process when it does not.
fn watch(patience: Duration) {
    let bark = move || {
        thread::sleep(patience);
        // The log may be what hangs, so this goes past it.
        let _ = io::Write::write_all(&mut io::stderr(), b"hookgate: the stop hangs; ending without it\n");
        process::exit(Exit::Internal as i32);
    };
    if let Err(error) = thread::Builder::new().name("watchdog".into()).spawn(bark) {
        tracing::warn!(event = "stop", reason = %error, "no watchdog for this stop");
    }
}
