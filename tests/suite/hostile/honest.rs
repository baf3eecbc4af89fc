//! Honest senders: so many signed events a second, each expected to be answered 200.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, park_timeout},
    time::Duration,
};

use crate::support::{
    patience::now,
    sender::{SECRET, github},
    wire::Connection,
};

/// Connections the events are spread over.
const SENDERS: usize = 4;
/// Failures that are told one by one.
const TOLD: usize = 5;

/// Senders at work.
pub(super) struct Honest {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<(Duration, u16)>>>,
}

/// What became of their events.
pub(super) struct Figures {
    /// How long each answer took, from the time it was due to be sent, shortest first.
    times: Vec<Duration>,
    /// Statuses other than 200; 0 is no answer.
    failed: Vec<u16>,
}

impl Honest {
    /// Rings `rate` times a second over connections that `connect` makes.
    pub(super) fn start(rate: usize, connect: impl Fn() -> io::Result<Connection> + Send + Sync + 'static) -> Self {
        let (stop, connect) = (Arc::new(AtomicBool::new(false)), Arc::new(connect));
        let between = Duration::from_secs(1) * u32::try_from(SENDERS).expect("few") / u32::try_from(rate).expect("few");
        let sender = |sender: usize| {
            let (stop, connect) = (Arc::clone(&stop), Arc::clone(&connect));
            std::thread::spawn(move || send(sender, between, &stop, &*connect))
        };
        Self { threads: (0..SENDERS).map(sender).collect(), stop }
    }

    /// Stops ringing.
    pub(super) fn stop(self) -> Figures {
        self.stop.store(true, Ordering::SeqCst);
        let rung: Vec<(Duration, u16)> = self.threads.into_iter().flat_map(|thread| thread.join().expect("a sender")).collect();
        let failed = rung.iter().map(|(_, status)| *status).filter(|status| *status != 200).collect();
        let mut times: Vec<Duration> = rung.iter().filter(|(_, status)| *status == 200).map(|(time, _)| *time).collect();
        times.sort();
        Figures { times, failed }
    }
}

fn send(sender: usize, between: Duration, stop: &AtomicBool, connect: &impl Fn() -> io::Result<Connection>) -> Vec<(Duration, u16)> {
    let (began, mut rung, mut connection) = (now(), Vec::new(), None);
    while !stop.load(Ordering::SeqCst) {
        let number = rung.len();
        let due = began + between * u32::try_from(number).expect("few");
        while let Some(left) = due.checked_duration_since(now()).filter(|left| !left.is_zero()) {
            park_timeout(left);
        }
        let body = format!("{{\"sender\":{sender},\"number\":{number},\"pad\":\"{}\"}}", "x".repeat(1024));
        let ring = github("/hooks/github", SECRET, &format!("honest-{sender}-{number}"), body.as_bytes());
        let answer = connection.take().map_or_else(connect, Ok).and_then(|mut used: Connection| {
            let answer = used.exchange(&ring)?;
            if answer.header("connection") != Some("close") {
                connection = Some(used);
            }
            Ok(answer)
        });
        rung.push((due.elapsed(), answer.map_or(0, |answer| answer.status)));
    }
    rung
}

impl Figures {
    /// Events that were not answered 200, by status; 0 is no answer.
    pub(super) fn failed(&self) -> &[u16] {
        &self.failed
    }

    /// How many were answered 200.
    pub(super) fn taken(&self) -> usize {
        self.times.len()
    }

    fn part(&self, percent: usize) -> f64 {
        let at = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        self.times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (taken, failed) = (self.times.len(), self.failed.len());
        let told = &self.failed[..failed.min(TOLD)];
        let (half, most, last) = (self.part(50), self.part(99), self.part(100));
        write!(f, "honest: {taken} taken, {failed} failed {told:?}, p50 {half:.1} ms, p99 {most:.1} ms, longest {last:.1} ms")
    }
}
