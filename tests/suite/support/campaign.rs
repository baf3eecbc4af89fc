//! Load, kills, drain, judgement: the campaign that every crash story runs, with other numbers.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hookgate::limits::{PREFETCH_PER_PLACE, SUSPECTS_PER_PLACE};

use super::{
    checker::{Book, Verdict, judge},
    dice::Dice,
    exposition::Exposition,
    gateway::Gateway,
    ledger::{Answered, Entry, Ledger, milliseconds},
    listener::{Listener, Reaction},
    patience::{holds_within, now},
    sender::{SECRET, github, sha256_hex},
    wire::{Connection, Ring},
};

/// Acknowledged events that are rung again after the drain.
const RUNG_AGAIN_MAX: usize = 3_000;
/// The largest pad of a body, in bytes; most are far smaller.
const PAD_BYTES_MAX: u64 = 64 * 1024;

/// Attempts a target of a campaign may have under way, the configured `concurrency`.
pub const CONCURRENCY: usize = 16;
/// Deliveries of one target that may be leased at once: under way, handed over or claimed ahead, settled but not yet written down (four
/// times over), and suspects that wait for their turn.
const LEASED_MAX: u64 = (1 + PREFETCH_PER_PLACE as u64 + 4 + SUSPECTS_PER_PLACE as u64) * CONCURRENCY as u64;

/// A campaign to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// How often the gateway is killed.
    pub kills: usize,
    /// Providers that ring at the same time, each on its own connection.
    pub senders: usize,
    /// Acknowledged events between two kills: at least, and less than.
    pub acked_between: (u64, u64),
    /// What `HOOKGATE_FAULT` plants.
    pub fault: Option<&'static str>,
    /// How long the drain may stand still. Less than the 30 s of a lease, a delivery nobody looks after is noticed; with commits that fail
    /// it must be more, because a claim whose answer was lost is made good by the end of its lease.
    pub drain_within: Duration,
    /// What bodies, pauses and kills are drawn from; printed with a failure, so that it can be run again.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The judge's.
    pub verdict: Verdict,
    /// Kills that were made.
    pub kills: usize,
    /// Ends the gateway came to by itself (a commit that failed).
    pub own_ends: usize,
    /// The slowest start until ready.
    pub slowest_ready: Duration,
    /// The most deliveries of one target that were leased at once, as scraped in full flow.
    pub leased_max: u64,
    /// Commits failed on purpose, some after they took effect: such leases are in the store, nobody holds them, and they run out. How many
    /// are leased then says nothing of what the lanes hold.
    pub answers_lost: bool,
    /// Whether everything acknowledged was taken before the drain stood still.
    pub drained: bool,
    /// Acknowledged events rung again, all of which must be known.
    pub rung_again: usize,
    /// What the gateway says of its queue when something is still missing.
    pub at_the_end: Vec<String>,
}

impl Findings {
    /// Everything that breaks the contract.
    pub fn violations(&self) -> Vec<String> {
        let mut all = Vec::new();
        if !self.answers_lost && self.leased_max > LEASED_MAX {
            all.push(format!("{} deliveries of one target were leased at once (at most {LEASED_MAX})", self.leased_max));
        }
        if !self.drained {
            all.push(format!("acknowledged deliveries were still open when the drain stood still: {:?}", self.at_the_end));
        }
        all.extend(self.verdict.violations.clone());
        all
    }

    /// One line for people.
    pub fn figures(&self) -> String {
        let Verdict { acked, lost, repeats, slowest_answer_ms, .. } = &self.verdict;
        let ready = self.slowest_ready.as_secs_f64();
        format!(
            "{acked} acked, {} kills, {} own ends, {lost} lost, {repeats} repeats, {} rung again and known, \
             slowest ready {ready:.2} s, slowest answer {slowest_answer_ms} ms",
            self.kills, self.own_ends, self.rung_again
        )
    }
}

/// Heavy stories take turns: two at once would only measure each other.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The targets of a campaign: one that is well, one that fails in several ways, one that is slow.
struct Targets {
    books: [(&'static str, Arc<Book>); 3],
    listeners: [Listener; 3],
}

impl Targets {
    fn start(seed: u64) -> Self {
        let books = [("steady", Arc::default()), ("flaky", Arc::default()), ("slow", Arc::default())];
        let dice = Mutex::new(Dice::seeded(seed ^ 0xf1a4));
        let [steady, flaky, slow] = [0, 1, 2].map(|index: usize| {
            let book: &Arc<Book> = &books[index].1;
            Arc::clone(book)
        });
        let throw = move |low, high| dice.lock().unwrap_or_else(PoisonError::into_inner).between(low, high);
        let slow_dice = Mutex::new(Dice::seeded(seed ^ 0x510));
        let listeners = [
            Listener::start(move |received| {
                steady.note(&received, SECRET, true);
                Reaction::Status(200)
            }),
            Listener::start(move |received| {
                let reaction = match throw(0, 20) {
                    0 => Reaction::Status(500),
                    1 => Reaction::Status(404),
                    2 => Reaction::HangUp,
                    3 => Reaction::Status(302),
                    _ => Reaction::Status(204),
                };
                flaky.note(&received, SECRET, matches!(reaction, Reaction::Status(204)));
                reaction
            }),
            Listener::start(move |received| {
                slow.note(&received, SECRET, true);
                let pause_ms = slow_dice.lock().unwrap_or_else(PoisonError::into_inner).between(1, 40);
                Reaction::Slow(Duration::from_millis(pause_ms), 200)
            }),
        ];
        Self { books, listeners }
    }

    fn configuration(&self) -> String {
        let settings = format!("concurrency: {CONCURRENCY}, retry: {{ first: 100ms, factor: 2, max: 1s }}");
        let targets = self.books.iter().zip(&self.listeners);
        let targets: String = targets.map(|((name, _), on)| format!("  {name}: {{ url: \"{}\", {settings} }}\n", on.url())).collect();
        format!(
            r#"
sources:
  github: {{ provider: github, secret: "{SECRET}" }}
targets:
{targets}routes:
  - {{ from: github, to: [steady, flaky, slow] }}
log: {{ requests: none, attempts: none }}
"#
        )
    }

    fn books(&self) -> Vec<(&'static str, &Book)> {
        self.books.iter().map(|(name, book)| (*name, &**book)).collect()
    }
}

impl Campaign {
    /// Runs it. The ledger and the store stay in a directory that goes with the gateway.
    pub fn run(&self) -> Findings {
        let targets = Targets::start(self.seed);
        let mut gateway = Gateway::written(&targets.configuration());
        if let Some(fault) = self.fault {
            gateway = gateway.with_variable("HOOKGATE_FAULT", fault);
        }
        let mut slowest_ready = gateway.boot();
        let ledger = Arc::new(Ledger::create(&gateway.folder().join("ledger")));
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..self.senders)
            .map(|number| {
                let sender = Sender { number, door: gateway.door(), ledger: Arc::clone(&ledger), stop: Arc::clone(&stop) };
                let dice = Dice::seeded(self.seed.wrapping_mul(1_000).wrapping_add(number as u64));
                thread::spawn(move || sender.ring_until_stopped(dice))
            })
            .collect();
        let mut dice = Dice::seeded(self.seed);
        let (mut own_ends, mut leased_max) = (0, 0);
        for _ in 0..self.kills {
            let goal = ledger.acked() + dice.between(self.acked_between.0, self.acked_between.1);
            holds_within(Duration::from_secs(60), || ledger.acked() >= goal || !gateway.is_running());
            own_ends += usize::from(!gateway.is_running());
            leased_max = leased_max.max(leased(&gateway));
            gateway.kill();
            slowest_ready = slowest_ready.max(gateway.boot());
        }
        let goal = ledger.acked() + self.acked_between.0;
        holds_within(Duration::from_secs(60), || ledger.acked() >= goal || !gateway.is_running());
        stop.store(true, Ordering::Release);
        supervise(&mut gateway);
        senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
        supervise(&mut gateway);
        let drained = self.drain(&mut gateway, &ledger, &targets);
        let rung_again = if drained { ring_again(&gateway, &ledger) } else { 0 };
        let drained = drained && holds_within(self.drain_within, || gateway.is_settled());
        let at_the_end = if drained { Vec::new() } else { gateway.queue_as_told() };
        let verdict = judge(&ledger.read(), &targets.books());
        let answers_lost = self.fault.is_some_and(|fault| fault.starts_with("commit_fails"));
        Findings { verdict, kills: self.kills, own_ends, slowest_ready, leased_max, answers_lost, drained, rung_again, at_the_end }
    }

    /// Waits until every target has taken every acknowledged event. When the gateway itself says that nothing is open and something is
    /// missing all the same, no waiting will bring it.
    fn drain(&self, gateway: &mut Gateway, ledger: &Ledger, targets: &Targets) -> bool {
        let mut missing: Vec<(String, usize)> = Vec::new();
        for (id, _) in acknowledged(ledger) {
            missing.extend((0..targets.books.len()).map(|target| (id.clone(), target)));
        }
        loop {
            let before = missing.len();
            // It stands still from the last delivery on, and not from the last look.
            holds_within(self.drain_within, || {
                supervise(gateway);
                let settled = gateway.is_settled();
                missing.retain(|(id, target)| !targets.books[*target].1.has_taken(id));
                missing.len() < before || settled
            });
            if missing.is_empty() || missing.len() == before {
                return missing.is_empty();
            }
        }
    }
}

/// Starts the gateway again when it has ended by itself, as whoever runs it would.
fn supervise(gateway: &mut Gateway) {
    if !gateway.is_running() {
        gateway.kill();
        gateway.boot();
    }
}

/// The most leased deliveries any target has at this moment, as the gateway counts them; 0 when it does not answer.
fn leased(gateway: &Gateway) -> u64 {
    let Ok(answer) = gateway.look("/metrics") else { return 0 };
    let metrics = Exposition::parse(&answer.text());
    let of = |target: &str| metrics.count("queue_deliveries", &[("target", target), ("state", "in_flight")]);
    ["steady", "flaky", "slow"].into_iter().map(of).max().unwrap_or(0)
}

/// Genuine events the ledger says were acknowledged.
fn acknowledged(ledger: &Ledger) -> Vec<(String, Entry)> {
    ledger.read().into_iter().filter(|(_, entry)| entry.genuine && entry.acknowledged().is_some()).collect()
}

/// Rings acknowledged events again, as a provider does that lost the answer; the ledger takes the answers down, and the judge compares.
fn ring_again(gateway: &Gateway, ledger: &Ledger) -> usize {
    let acknowledged = acknowledged(ledger);
    let every = acknowledged.len().div_ceil(RUNG_AGAIN_MAX).max(1);
    let mut connection = None;
    let mut rung = 0;
    for (id, entry) in acknowledged.iter().step_by(every) {
        let body = body_of(id);
        assert_eq!(sha256_hex(&body), entry.sha256, "a body is made from its id");
        let ring = github("/hooks/github", SECRET, id, &body);
        let known = holds_within(Duration::from_secs(20), || {
            exchange(&mut connection, gateway.door(), ledger, id, &entry.sha256, true, &ring) == Some(200)
        });
        rung += usize::from(known);
    }
    rung
}

/// The body that goes with an id: the same for every repeat, of any size, not all of it text.
fn body_of(id: &str) -> Vec<u8> {
    let seed = id.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut dice = Dice::seeded(seed);
    let most = if dice.once_in(50) { PAD_BYTES_MAX } else { 3_000 };
    let pad_bytes = usize::try_from(dice.between(0, most)).expect("small");
    let mut body = format!("{{\"id\":\"{id}\",\"odd\":\"  \u{e9} \",\"pad\":\"").into_bytes();
    body.extend(dice.bytes(pad_bytes));
    body.extend(b"\"}\n");
    body
}

struct Sender {
    number: usize,
    door: std::net::SocketAddr,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
}

impl Sender {
    /// Rings like a provider: the same event again until it is acknowledged, then the next. Now and then it forges one.
    fn ring_until_stopped(&self, mut dice: Dice) {
        let mut connection = None;
        let mut count = 0;
        while !self.stop.load(Ordering::Acquire) {
            count += 1;
            if dice.once_in(20) {
                let id = format!("forged-{}-{count}", self.number);
                let body = body_of(&id);
                let ring = github("/hooks/github", "not-the-secret-of-this-source-at-all", &id, &body);
                exchange(&mut connection, self.door, &self.ledger, &id, &sha256_hex(&body), false, &ring);
            }
            let id = format!("event-{}-{count}", self.number);
            let body = body_of(&id);
            let (sha256, ring) = (sha256_hex(&body), github("/hooks/github", SECRET, &id, &body));
            while exchange(&mut connection, self.door, &self.ledger, &id, &sha256, true, &ring) != Some(200) {
                if self.stop.load(Ordering::Acquire) {
                    return;
                }
                // A provider backs off; between two looks at a gateway that is being started again this is enough.
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// One ring with its two lines in the ledger; the status, or `None` when no answer came.
fn exchange(
    connection: &mut Option<Connection>,
    door: std::net::SocketAddr,
    ledger: &Ledger,
    id: &str,
    sha256: &str,
    genuine: bool,
    ring: &Ring,
) -> Option<u16> {
    ledger.sending(id, sha256, genuine);
    let began = now();
    let mut open = connection.take().map_or_else(|| Connection::plain(door), Ok).ok()?;
    let answer = open.exchange(ring).ok()?;
    let took_ms = milliseconds(began.elapsed());
    let word = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let answered = Answered { status: answer.status, result: word(answer.result()), event_id: word(answer.event_id()), took_ms };
    ledger.answered(id, &answered);
    let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if !closes && answer.status == 200 {
        *connection = Some(open);
    }
    Some(answer.status)
}
