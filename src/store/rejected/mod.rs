//! The rejected ring: requests to a known source that were not proved, for a day, so that they can be looked at, and admitted once the
//! secret is right.
//!
//! It holds bytes that strangers chose, and promises nothing to anybody. So it has a file of its own (`rejected.db`, readable by its owner
//! only) and a thread of its own, and what answers a request never waits for either: it looks at two counters, copies the request, and
//! sends it; where there is no room the request is counted and forgotten. Everything is bounded: what waits, what one source and one
//! client put in ([`sampler`]), and the file, in which a flood pushes out its own ([`holders`]). Nothing is flushed to the disk.
//!
//! What is in it is not an event: only `ingest` makes one of it, by verifying it again.

mod entry;
mod file;
mod holders;
mod keeper;
mod sampler;

use std::{
    fmt,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

pub use entry::{NewRejected, REMOVED, RejectedFilter, RejectedId, RejectedPage, RejectedRequest, RejectedSummary};

use super::{Reply, StoreError};
use crate::{
    clock::Clock,
    event::EventId,
    limits::{RING_BYTES_WAITING_MAX, RING_REQUEST_BYTES_MAX, RING_WAITING_MAX},
    metrics::{Metrics, RingResult},
    name::SourceName,
    plan::StoreSettings,
};
use keeper::{Asker, Keeper, Work};
use sampler::Sampler;

/// The ring's file, under `data_dir`.
const FILE_NAME: &str = "rejected.db";
/// Questions of operators that wait for the thread: more than any of them has at once, so reaching it means that its disk stands still.
const QUESTIONS_WAITING_MAX: usize = 256;
/// How long a close waits for what is queued.
const CLOSE_TIME: Duration = Duration::from_millis(500);

/// The rejected requests, or nothing where `retention.rejected` is `none`.
pub struct RejectedRing(Option<Ring>);

struct Ring {
    work: mpsc::Sender<Work>,
    /// Places for questions.
    questions: Arc<Semaphore>,
    sampler: Mutex<Sampler>,
    shared: Arc<Shared>,
}

/// What the thread and those who ask share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    metrics: Arc<Metrics>,
    waiting: Waiting,
    bytes: AtomicU64,
    requests: AtomicU64,
    last_error: Mutex<Option<Arc<str>>>,
}

/// How much of it waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// How the ring is.
#[derive(Clone, Debug)]
pub struct RingHealth {
    /// Requests in it.
    pub requests: u64,
    /// Bytes of its file that they fill.
    pub bytes: u64,
    /// Why its file cannot be used now, if it cannot.
    pub last_error: Option<Arc<str>>,
}

impl RejectedRing {
    /// A ring that keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts the ring of these settings. It always starts: what is wrong with its file is told in the log and in [`Self::health`]. Where
    /// nothing is to be kept, what an earlier run has kept is removed.
    #[must_use]
    pub fn start(settings: &StoreSettings, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let path = settings.data_dir.join(FILE_NAME);
        let Some(keep_for) = settings.retention.rejected else {
            if let Err(error) = file::remove(&path) {
                tracing::warn!(event = "store", reason = %error, "{} cannot be removed", path.display());
            }
            return Self::off();
        };
        Self::start_at(path, keep_for, clock, metrics)
    }

    fn start_at(path: PathBuf, keep_for: Duration, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let shared = Shared {
            clock,
            metrics,
            waiting: Waiting::default(),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            last_error: Mutex::new(None),
        };
        let shared = Arc::new(shared);
        let (work, asked) = mpsc::channel();
        let keeper = Keeper::new(path, keep_for, Arc::clone(&shared));
        match thread::Builder::new().name("rejected-ring".into()).spawn(move || keeper.run(&asked)) {
            Ok(_) => {
                let questions = Arc::new(Semaphore::new(QUESTIONS_WAITING_MAX));
                Self(Some(Ring { work, questions, sampler: Mutex::default(), shared }))
            }
            Err(error) => {
                tracing::warn!(event = "start", reason = %error, "rejected requests are not kept: there is no thread for it");
                Self::off()
            }
        }
    }

    /// Whether anything is kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// How it is; `None` when it is off.
    #[must_use]
    pub fn health(&self) -> Option<RingHealth> {
        let shared = &self.0.as_ref()?.shared;
        Some(RingHealth {
            requests: shared.requests.load(Ordering::Acquire),
            bytes: shared.bytes.load(Ordering::Acquire),
            last_error: shared.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    /// Takes a request of about so many bytes, if it is its source's and its client's turn and there is room; only then is it made. Never
    /// waits for anything but the counters.
    pub fn offer(&self, source: &SourceName, client: Option<IpAddr>, bytes: u64, make: impl FnOnce() -> NewRejected) {
        let Some(ring) = &self.0 else { return };
        let shared = &ring.shared;
        if bytes > RING_REQUEST_BYTES_MAX {
            return shared.metrics.ring(RingResult::NoRoom, 1);
        }
        let now = shared.clock.mono();
        let taken = ring.sampler.lock().unwrap_or_else(PoisonError::into_inner).takes(source, client, bytes, now);
        if !taken {
            return shared.metrics.ring(RingResult::Sampled, 1);
        }
        if !shared.waiting.has_room(bytes) {
            return shared.metrics.ring(RingResult::NoRoom, 1);
        }
        let new = make();
        let bytes = new.bytes();
        shared.waiting.enter(bytes);
        if ring.work.send(Work::Keep(Box::new(new))).is_err() {
            shared.waiting.leave(1, bytes);
            shared.metrics.ring(RingResult::Failed, 1);
        }
    }

    /// Kept requests, newest first.
    pub fn list(&self, filter: RejectedFilter) -> Reply<RejectedPage> {
        self.ask(|asker| Work::List(filter, asker))
    }

    /// One kept request; `None` when it is not there, or no longer.
    pub fn read(&self, id: RejectedId) -> Reply<Option<RejectedRequest>> {
        self.ask(|asker| Work::Read(id, asker))
    }

    /// Notes what a kept request was admitted as.
    pub fn mark(&self, id: RejectedId, event: EventId) -> Reply<()> {
        self.ask(|asker| Work::Mark(id, event, asker))
    }

    /// Writes what waits, within half a second, and lets go of the file. What comes after is forgotten.
    pub fn close(&self) {
        let Some(ring) = &self.0 else { return };
        let (done, closed) = mpsc::channel();
        if ring.work.send(Work::Close(done)).is_ok() {
            // Nothing hangs on it: what a hung disk holds up is lost, and may be.
            let _ = closed.recv_timeout(CLOSE_TIME);
        }
    }

    fn ask<T: Send + 'static>(&self, work: impl FnOnce(Asker<T>) -> Work) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        let send = || {
            let ring = self.0.as_ref().ok_or(StoreError::Away)?;
            let place = Arc::clone(&ring.questions).try_acquire_owned().map_err(|_| StoreError::Busy)?;
            ring.work.send(work(Asker { reply, _place: place })).map_err(|_| StoreError::Away)
        };
        let sent = send();
        Box::pin(async move {
            sent?;
            answer.await.unwrap_or(Err(StoreError::Away))
        })
    }
}

impl fmt::Debug for RejectedRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RejectedRing").field(&self.health()).finish()
    }
}

impl Shared {
    /// Notes why the file cannot be used, or that it can; whether that is news.
    fn say(&self, error: Option<Arc<str>>) -> bool {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last.is_some() != error.is_some();
        *last = error;
        is_news
    }

    fn note_held(&self, bytes: u64, requests: usize) {
        self.bytes.store(bytes, Ordering::Release);
        self.requests.store(u64::try_from(requests).unwrap_or(u64::MAX), Ordering::Release);
    }
}

impl Waiting {
    /// Whether one more of so many bytes may wait. Those who ask at the same moment may all be told yes: the bound is then passed by what
    /// as many threads bring.
    fn has_room(&self, bytes: u64) -> bool {
        let waiting = self.bytes.load(Ordering::Acquire);
        self.requests.load(Ordering::Acquire) < RING_WAITING_MAX && waiting.saturating_add(bytes) <= RING_BYTES_WAITING_MAX
    }

    fn enter(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn leave(&self, requests: u64, bytes: u64) {
        self.requests.fetch_sub(requests, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt as _, path::Path};

    use bytes::Bytes;

    use super::*;
    use crate::{
        clock::{Mono, Now, SimClock, UnixMs},
        limits::{RING_BYTES_MAX, RING_WINDOW},
        rejection::Rejection,
        request::HeadersBuilder,
    };

    const DAY: Duration = Duration::from_secs(86_400);
    const START: UnixMs = UnixMs(1_760_000_000_000);

    fn source(text: &str) -> SourceName {
        SourceName::parse(text).expect("a name")
    }

    fn request(source_name: &str, client: u32, body: Option<&[u8]>) -> NewRejected {
        let mut headers = HeadersBuilder::new();
        assert!(headers.push("X-Id", b"1"));
        let ip = IpAddr::from(Ipv4Addr::from_bits(client));
        NewRejected {
            at: START,
            source: source(source_name),
            provider: "github".into(),
            reason: Rejection::BadSignature,
            client_ip: ip,
            client: Some(ip),
            method: "POST".into(),
            path: "/hooks/a".into(),
            query: Some("a=1".into()),
            headers: headers.build().block().clone(),
            body: body.map(Bytes::copy_from_slice),
        }
    }

    fn wait<T>(reply: Reply<T>) -> Result<T, StoreError> {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(reply)
    }

    /// A ring in this directory whose time stands still.
    fn ring(dir: &Path) -> (RejectedRing, Arc<SimClock>, Arc<Metrics>) {
        let sim = Arc::new(SimClock::default());
        sim.set(Now { wall: START, mono: Mono(1_000_000_000) });
        let metrics = Arc::new(Metrics::new().expect("declared once"));
        let ring = RejectedRing::start_at(dir.join(FILE_NAME), DAY, Clock::Sim(Arc::clone(&sim)), Arc::clone(&metrics));
        (ring, sim, metrics)
    }

    fn offer(ring: &RejectedRing, new: NewRejected) {
        ring.offer(&new.source.clone(), new.client, new.bytes(), || new);
    }

    fn all(ring: &RejectedRing) -> Vec<RejectedSummary> {
        wait(ring.list(RejectedFilter { limit: 500, ..RejectedFilter::default() })).expect("listed").items
    }

    fn count(metrics: &Metrics, result: &str) -> u64 {
        let text = metrics.render().expect("rendered");
        let series = format!("hookgate_rejected_ring_total{{result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).and_then(|count| count.parse().ok()).expect("a series")
    }

    #[test]
    fn what_is_kept_reads_back_newest_first_and_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, ..) = ring(dir.path());
        offer(&first, request("a", 1, Some(b"\xff{}")));
        offer(&first, request("b", 1, None));
        let listed = all(&first);
        assert_eq!(listed.iter().map(|one| one.source.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(listed.iter().map(|one| one.body_bytes).collect::<Vec<_>>(), [None, Some(3)]);
        assert_eq!(RejectedId::parse(&listed[1].id.to_string()), Some(listed[1].id));
        let event = EventId::first_at(START);
        wait(first.mark(listed[1].id, event)).expect("marked");
        first.close();
        assert_eq!(wait(first.read(listed[1].id)).expect_err("closed"), StoreError::Away);

        let mode = fs::metadata(dir.path().join(FILE_NAME)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (second, ..) = ring(dir.path());
        let read = wait(second.read(listed[1].id)).expect("read").expect("still there");
        assert_eq!((read.body.as_deref(), read.query.as_deref()), (Some(&b"\xff{}"[..]), Some("a=1")));
        assert_eq!((read.summary.reason.as_ref(), read.summary.admitted), ("bad_signature", Some(event)));
        assert_eq!(read.headers.iter().collect::<Vec<_>>(), [("X-Id", &b"1"[..])]);
        offer(&second, request("a", 1, None));
        assert!(all(&second)[0].id > listed[0].id, "ids go on where they were");
        assert_eq!(wait(second.read(RejectedId::from_i64(1).expect("a number"))).map(|found| found.is_none()), Ok(true));
    }

    #[test]
    fn a_list_is_cut_in_pages_and_by_source_and_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ring, ..) = ring(dir.path());
        (0..7_u8).for_each(|number| offer(&ring, request(if number % 2 == 0 { "even" } else { "odd" }, 1, Some(&[number]))));
        let mut filter = RejectedFilter { limit: 3, ..RejectedFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = wait(ring.list(filter.clone())).expect("a page");
            seen.extend(page.items.iter().map(|one| one.id));
            let Some(next) = page.next else { break };
            filter.beyond = Some(next);
        }
        assert_eq!(seen.len(), 7);
        assert!(seen.windows(2).all(|two| two[0] > two[1]), "{seen:?}");
        let of = |filter| wait(ring.list(filter)).expect("a page").items.len();
        assert_eq!(of(RejectedFilter { source: Some(source("odd")), limit: 9, ..RejectedFilter::default() }), 3);
        assert_eq!(of(RejectedFilter { since: Some(UnixMs(START.0 + 1)), limit: 9, ..RejectedFilter::default() }), 0);
    }

    #[test]
    fn the_bound_in_bytes_holds_for_the_file_and_the_flood_pushes_out_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE_NAME);
        let bytes_max = 2 * 1024 * 1024;
        let mut file = file::File::open(&path, bytes_max).expect("opened");
        file.write(&[request("quiet", 1, Some(b"first")), request("loud", 1, Some(b"first"))], START).expect("written");
        for round in 0..200_usize {
            let sizes = [0, 10, 3000, 5000, 9000, 70_000];
            let batch: Vec<_> = (0..10).map(|n| request("loud", 2, Some(&vec![b'x'; sizes[(round + n) % sizes.len()]]))).collect();
            file.write(&batch, START).expect("written");
            assert!(file.held().0 <= bytes_max);
        }
        assert!(file.held().1 > 20, "it is used: {:?}", file.held());
        let page = file.list(&RejectedFilter { limit: 500, ..RejectedFilter::default() }).expect("listed");
        let oldest: Vec<_> = page.items.iter().rev().take(2).map(|one| (one.source.as_str(), one.body_bytes)).collect();
        assert_eq!(oldest, [("quiet", Some(5)), ("loud", Some(5))], "another source's and another client's stay");
        drop(file);
        let bytes = fs::metadata(&path).expect("there").len();
        assert!(bytes <= bytes_max + bytes_max / 8, "{bytes} bytes");
    }

    #[test]
    fn one_that_is_too_large_is_counted_and_not_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ring, _, metrics) = ring(dir.path());
        ring.offer(&source("a"), None, RING_REQUEST_BYTES_MAX + 1, || unreachable!("it is not even made"));
        for _ in 0..600 {
            offer(&ring, request("a", 1, None));
        }
        let kept = all(&ring).len() as u64;
        assert!(kept <= 100, "one client's share: {kept}");
        assert_eq!(kept + count(&metrics, "sampled") + count(&metrics, "no_room"), 601);
        assert!(count(&metrics, "no_room") >= 1 && count(&metrics, "kept") == kept);
    }

    #[test]
    fn a_day_later_it_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ring, sim, _) = ring(dir.path());
        offer(&ring, request("a", 1, Some(b"{}")));
        let id = all(&ring)[0].id;
        sim.set(Now { wall: START.after(DAY + Duration::from_millis(1)), mono: Mono(2_000_000_000) + RING_WINDOW });
        assert!(all(&ring).is_empty(), "it is over before it is removed");
        assert!(wait(ring.read(id)).expect("read").is_none());
        sim.set(Now { wall: START.after(DAY * 2), mono: Mono(1_000_000_000) + DAY * 2 });
        // One question is asked after the look at the time, so the next one is behind it.
        assert!(all(&ring).is_empty() && all(&ring).is_empty());
        assert_eq!(ring.health().map(|health| health.requests), Some(0));
    }

    #[test]
    fn a_damaged_file_is_replaced_and_a_foreign_one_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE_NAME);
        let (first, ..) = ring(dir.path());
        offer(&first, request("a", 1, Some(&[b'x'; 20_000])));
        assert_eq!(all(&first).len(), 1);
        first.close();
        let mut damaged = fs::read(&path).expect("a file");
        damaged[100..].fill(0xA5);
        fs::write(&path, damaged).expect("damaged");
        let (second, ..) = ring(dir.path());
        offer(&second, request("a", 1, Some(b"{}")));
        assert_eq!(all(&second).len(), 1, "{:?}", second.health());
        second.close();

        fs::write(&path, "somebody's notes").expect("written");
        let (third, _, metrics) = ring(dir.path());
        offer(&third, request("a", 1, None));
        assert_eq!(wait(third.list(RejectedFilter::default())), Err(StoreError::Away));
        assert!(third.health().is_some_and(|health| health.last_error.is_some()));
        assert_eq!(count(&metrics, "failed"), 1);
        third.close();
        assert_eq!(fs::read(&path).expect("there"), b"somebody's notes");
    }

    #[test]
    fn what_waits_is_bounded() {
        let waiting = Waiting::default();
        (0..RING_WAITING_MAX).for_each(|_| waiting.enter(1));
        assert!(!waiting.has_room(1));
        waiting.leave(RING_WAITING_MAX, RING_WAITING_MAX);
        assert!(waiting.has_room(RING_BYTES_WAITING_MAX) && !waiting.has_room(RING_BYTES_WAITING_MAX + 1));
    }

    #[test]
    fn questions_are_bounded_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ring, ..) = ring(dir.path());
        let places = Arc::clone(&ring.0.as_ref().expect("on").questions);
        let taken = places.try_acquire_many(u32::try_from(QUESTIONS_WAITING_MAX).expect("few")).expect("nobody has asked");
        assert_eq!(wait(ring.list(RejectedFilter::default())).expect_err("no place"), StoreError::Busy);
        drop(taken);
        assert!(all(&ring).is_empty());
    }

    #[test]
    fn one_request_never_fills_the_ring() {
        const { assert!(RING_REQUEST_BYTES_MAX * 4 <= RING_BYTES_MAX && RING_REQUEST_BYTES_MAX <= RING_BYTES_WAITING_MAX) };
    }
}
