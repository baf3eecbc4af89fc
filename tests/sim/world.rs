//! The simulated world: one thread, one heap of happenings, two clocks, and no chance but the seed's.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    io::Write,
    time::Duration,
};

use hookgate::{
    clock::{Mono, Now, UnixMs},
    event::{EventId, EventIds},
    faults::Fault,
    lease::LeaseRef,
    name::TargetName,
    queue::Input,
    store::{Admission, NewEvent},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    desk::{Answer, Desk},
    gateway::Gateway,
    rules::{Books, Counts, Kind, Rule, Violation},
    script::{Act, MS, Order, SECOND, Script},
};

/// The wall clock at the start of every run.
pub(crate) const WALL_START_MS: i64 = 1_760_000_000_000;
/// Steps after which a run is going in circles.
const STEPS_MAX: u64 = 1_000_000;
/// What a lane may take to get over a fault, besides everything that has a length of its own.
const GRACE: u64 = 120 * SECOND;

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A provider rings for this event of the script.
    Ring(usize),
    /// A provider has waited long enough and rings again.
    RingAgain(usize),
    /// The door hands an event to the store: event of the script, event, deadline.
    Admit(usize, Box<NewEvent>, Mono),
    /// The provider hears the answer.
    Acknowledge(usize, EventId, Option<Admission>),
    /// The store takes what waits.
    StoreTurn,
    /// The store's commit ends.
    CommitEnds,
    /// The shell hears from the store.
    Answered(Answer),
    /// The shell reads what came through the gates.
    Pump,
    /// The turn to try a suspect comes round.
    Granted,
    /// An attempt ends the process.
    Poisons(LeaseRef),
    /// An attempt ends.
    AttemptEnds(LeaseRef),
    /// The shell's timer.
    Wake,
    /// The stopping process looks whether it may go.
    MayExit(u64),
    Act(Act),
    /// An operator asks for something.
    Order(Order),
    /// He, or who steps jobs, asks the store again.
    Operate(Box<hookgate::store::Act>),
    /// The lanes hear which targets are held.
    Pauses,
    /// Who steps jobs does the next one.
    JobStep,
    Start,
    Calm,
    Probe,
}

/// A happening in the heap; those of a process end with its life.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) at: u64,
    order: u64,
    pub(crate) life: Option<u32>,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The whole world of one run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) script: Script,
    pub(crate) chance: SmallRng,
    pub(crate) fault: Option<Fault>,
    pub(crate) at: u64,
    pub(crate) wall_ahead_ms: i64,
    pub(crate) heap: BinaryHeap<Reverse<Due>>,
    order: u64,
    pub(crate) life: u32,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) desk: Desk,
    pub(crate) ids: EventIds,
    pub(crate) books: Books,
    pub(crate) counts: Counts,
    pub(crate) is_calm: bool,
    /// Until then leases may have run out by a clock that was set forward.
    pub(crate) clock_doubtful_until: u64,
    pub(crate) deadline: u64,
    pub(crate) stepped_back_ms: u64,
    pub(crate) frozen: u64,
    pub(crate) frozen_until: u64,
    pub(crate) retrying: BTreeSet<usize>,
    pub(crate) rings_to_come: usize,
    /// By target: since how many probes it has had due work, room, and no progress.
    pub(crate) asleep: BTreeMap<TargetName, u32>,
    pub(crate) faults_seen: u64,
    is_traced: bool,
    pub(crate) violation: Option<Violation>,
}

impl World {
    /// The world of a script, with a bug planted or none.
    pub(crate) fn new(script: Script, fault: Option<Fault>, is_traced: bool) -> Self {
        let rings = script.events.iter().map(|event| 1 + event.repeats.len()).sum();
        let mut world = Self {
            chance: SmallRng::seed_from_u64(script.seed ^ 0x5eed),
            fault,
            at: SECOND,
            wall_ahead_ms: 0,
            heap: BinaryHeap::new(),
            order: 0,
            life: 0,
            gateway: None,
            desk: Desk::new(fault),
            ids: EventIds::above(0, 0),
            books: Books::default(),
            counts: Counts::default(),
            is_calm: false,
            clock_doubtful_until: 0,
            deadline: u64::MAX,
            stepped_back_ms: 0,
            frozen: 0,
            frozen_until: 0,
            retrying: BTreeSet::new(),
            rings_to_come: rings,
            asleep: BTreeMap::new(),
            faults_seen: 0,
            is_traced,
            violation: None,
            script,
        };
        world.lay_out();
        world
    }

    /// Runs to the end, or to the first rule that does not hold.
    pub(crate) fn run(&mut self) -> (Counts, Option<Violation>) {
        while self.violation.is_none() {
            let Some(Reverse(due)) = self.heap.pop() else { break };
            if due.life.is_some_and(|life| life != self.life) {
                continue;
            }
            self.at = self.at.max(due.at);
            self.counts.steps += 1;
            if self.counts.steps > STEPS_MAX {
                self.broke(Rule::AtRestInTheEnd, "the run goes in circles".to_owned());
            }
            let is_probe = matches!(due.what, Happening::Probe);
            self.happen(due.what);
            if is_probe && self.is_over() {
                break;
            }
        }
        self.counts.events = u64::try_from(self.books.promised.len()).unwrap_or(u64::MAX);
        (self.counts, self.violation.take())
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        let since_start = i64::try_from(self.at / MS).unwrap_or(i64::MAX);
        Now { wall: UnixMs(WALL_START_MS + since_start + self.wall_ahead_ms), mono: Mono(self.at) }
    }

    /// Something will happen, whatever becomes of the process.
    pub(crate) fn later(&mut self, at: u64, what: Happening) {
        self.push(at, None, what);
    }

    /// Something will happen in this process, if it lives.
    pub(crate) fn soon(&mut self, after: u64, what: Happening) {
        self.push(self.at.saturating_add(after), Some(self.life), what);
    }

    /// A rule did not hold; the first one counts.
    pub(crate) fn broke(&mut self, rule: Rule, what: String) {
        self.say(|| format!("VIOLATION {rule:?}: {what}"));
        self.violation.get_or_insert(Violation { rule, what });
    }

    /// A line of the trace.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            let now = self.now();
            // A trace that nobody reads any more is no reason to fail.
            let _ = writeln!(std::io::stdout(), "{:>12.6} {} {}", self.at as f64 / SECOND as f64, now.wall, line());
        }
    }

    /// A fault was injected.
    pub(crate) fn count(&mut self, kind: Kind) {
        self.counts.faults[kind as usize] += 1;
    }

    /// Throws against a rate; the calm has no faults.
    pub(crate) fn strikes(&mut self, rate: f64, kind: Kind) -> bool {
        let strikes = !self.is_calm && rate > 0.0 && self.chance.random_bool(rate);
        if strikes {
            self.say(|| format!("fault: {kind:?}"));
            self.count(kind);
        }
        strikes
    }

    /// A pause between these, in nanoseconds.
    pub(crate) fn pause(&mut self, from: u64, to: u64) -> u64 {
        self.chance.random_range(from..to)
    }

    fn push(&mut self, at: u64, life: Option<u32>, what: Happening) {
        self.order += 1;
        self.heap.push(Reverse(Due { at, order: self.order, life, what }));
    }

    fn lay_out(&mut self) {
        for index in 0..self.script.events.len() {
            let event = &self.script.events[index];
            let times = std::iter::once(event.at).chain(event.repeats.clone()).collect::<Vec<_>>();
            for at in times {
                self.later(at + SECOND, Happening::Ring(index));
            }
        }
        for (at, act) in std::mem::take(&mut self.script.acts) {
            self.later(at + SECOND, Happening::Act(act));
        }
        for (at, order) in std::mem::take(&mut self.script.orders) {
            self.later(at + SECOND, Happening::Order(order));
        }
        self.later(self.script.calm_at + SECOND, Happening::Calm);
        self.later(SECOND, Happening::Start);
        self.later(2 * SECOND, Happening::Probe);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Ring(index) => {
                self.rings_to_come -= 1;
                self.ring(index);
            }
            Happening::RingAgain(index) => {
                self.retrying.remove(&index);
                self.ring(index);
            }
            Happening::Admit(index, event, by) => self.admit(index, *event, by),
            Happening::Acknowledge(index, id, admission) => self.acknowledge(index, id, admission),
            Happening::StoreTurn => self.store_turn(),
            Happening::CommitEnds => self.commit_ends(),
            Happening::Answered(answer) => self.answered(answer),
            Happening::Pump => self.pump(),
            Happening::Granted => self.feed(Input::TrialGranted),
            Happening::Poisons(lease) => self.poisons(lease),
            Happening::AttemptEnds(lease) => self.attempt_ends(lease),
            Happening::Wake => self.wake(),
            Happening::MayExit(deadline) => self.may_exit(deadline),
            Happening::Act(act) => self.act(act),
            Happening::Order(order) => self.order(order),
            Happening::Operate(act) => self.operate(*act),
            Happening::Pauses => self.hear_pauses(),
            Happening::JobStep => self.step_job(),
            Happening::Start => self.start(),
            Happening::Calm if self.is_frozen() => self.later(self.frozen_until, Happening::Calm),
            Happening::Calm => self.calm(),
            Happening::Probe => {
                self.probe();
                self.let_all_go_in_the_end();
                self.later(self.at + SECOND, Happening::Probe);
            }
        }
    }

    /// Whether the process stands still.
    pub(crate) fn is_frozen(&self) -> bool {
        self.at < self.frozen_until
    }

    fn start(&mut self) {
        if self.gateway.is_some() {
            return;
        }
        let wall = self.now().wall;
        self.desk.boot(wall);
        self.check_rows();
        self.check_promises();
        self.ids = EventIds::above(self.desk.model.highest_event_id(), 0);
        self.say(|| "start".to_owned());
        self.open_gateway();
        self.step_jobs_later();
    }

    /// The process is gone, and with it everything that was not committed.
    pub(crate) fn end_process(&mut self) {
        self.say(|| "the process ends".to_owned());
        self.note_leases();
        let on_trial = self.suspects_under_way();
        self.gateway = None;
        self.frozen_until = 0;
        self.life += 1;
        self.desk.forget();
        self.note_trials(on_trial);
        self.books.end_life(self.now().wall);
        let unanswered = self.script.events.iter().enumerate().filter(|(_, event)| event.at + SECOND <= self.at);
        let unanswered = unanswered.map(|(index, _)| index).filter(|index| !self.books.promised.contains_key(index));
        for index in unanswered.collect::<Vec<_>>() {
            self.ring_again(index);
        }
    }

    fn calm(&mut self) {
        self.say(|| "calm".to_owned());
        self.is_calm = true;
        let backoff = u64::try_from(self.script.backoff_max().as_nanos()).unwrap_or(u64::MAX);
        let lease = Duration::from_secs(70).as_nanos() as u64;
        self.deadline = self.at + 2 * backoff + lease + self.stepped_back_ms * MS + self.frozen + GRACE + self.script.in_line();
        if self.gateway.is_some() {
            self.swap_to_full();
        }
    }
}
