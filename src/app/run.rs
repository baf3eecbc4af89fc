//! A gateway's life on the main thread: start everything, then listen for signals, sweep, and look after the rest, until it ends.

use std::{
    future::Future,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process,
    sync::Arc,
    time::Duration,
};

use tokio::time::MissedTickBehavior;

use super::{
    Exit, machine,
    prepare::{self, PrepareError, Prepared},
    renamed,
    signals::{Asked, Signals},
    stop::Running,
};
use crate::{
    admin::{Gateway, Phase, Step, Workers},
    clock::Clock,
    config::Surroundings,
    deliver::{Jobs, Runner, Shards},
    errand::Errands,
    event::EventIds,
    handoff::Gates,
    ingest::Ingest,
    limits::PURGE_ANNOUNCED_EVERY,
    plan::{LogFormat, Plan, Tls},
    store::{Store, StoreError, rejected::RejectedRing},
    telemetry::{self, Dropped, Layout},
    yaml::{Problem, Problems, Severity},
};

/// How often the main loop turns without being asked to.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// How often what is past its retention is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// The pause between two sweeps while there is more: admits and settles go first.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// The store's time one sweep may take.
const SWEEP_BUDGET: Duration = Duration::from_millis(5);

/// Runs the gateway of the configuration that was named, or of the one that is found, until a signal ends it.
#[must_use]
pub fn run(named: Option<&Path>) -> Exit {
    machine::install_crypto();
    let mut problems = Problems::new();
    let plan = prepare::plan(named, &Surroundings::system(), &mut problems);
    let problems = problems.into_sorted();
    let Some(plan) = plan else {
        problems.iter().for_each(|problem| to_stderr(problem));
        return Exit::Config;
    };
    let clock = Clock::System;
    let logging = match telemetry::start(layout(plan.log.format), plan.log.level, clock.clone()) {
        Ok(logging) => logging,
        Err(error) => {
            to_stderr(&error);
            return Exit::Internal;
        }
    };
    ready_machine(&problems);
    for caution in prepare::cautions(&plan) {
        tracing::warn!(event = "start", "{caution}");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            to_stderr(&error);
            return Exit::Internal;
        }
    };
    let exit = runtime.block_on(live(plan, clock, logging.dropped()));
    // A start that still waits for the lock must not hold the process up.
    runtime.shutdown_background();
    exit
}

fn layout(format: LogFormat) -> Layout {
    match format {
        LogFormat::Json => Layout::Json,
        LogFormat::Text => Layout::Text,
        LogFormat::Auto if io::stdout().is_terminal() => Layout::Text,
        LogFormat::Auto => Layout::Json,
    }
}

fn to_stderr(what: &dyn std::fmt::Display) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{what}");
}

/// Limits and hooks, and what the configuration was warned about.
fn ready_machine(problems: &[Problem]) {
    machine::guard_threads();
    for warning in problems.iter().filter(|problem| problem.severity == Severity::Warning) {
        tracing::warn!(event = "start", "{warning}");
    }
    if let Err(error) = machine::forbid_core_dumps() {
        tracing::warn!(event = "start", reason = %error, "core dumps stay possible: they would hold secrets");
    }
}

async fn live(plan: Plan, clock: Clock, dropped: Dropped) -> Exit {
    let phase = Arc::new(Phase::starting(clock.mono()));
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return refuse(&PrepareError::Internal(error.to_string())),
    };
    // Another process may still hold the store: a signal ends the waiting.
    let opening = tokio::task::spawn_blocking(move || prepare::prepare(plan, clock));
    let prepared = tokio::select! {
        opened = opening => opened.unwrap_or_else(|error| Err(PrepareError::Internal(error.to_string()))),
        () = signals.stop() => return Exit::Fine,
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return refuse(&error),
    };
    if let Err(error) = renamed::carry_over(&prepared.plan, prepared.store.as_ref()).await {
        // Nothing is lost: it stays parked, and is carried over at the next start.
        tracing::warn!(event = "start", reason = %error, "what waits for the old names of targets is not carried over");
    }
    let shutdown = prepared.plan.server.shutdown.clone();
    let (running, gateway) = match begin(prepared, phase, dropped) {
        Ok(begun) => begun,
        Err(error) => return refuse(&error),
    };
    let jobs = Jobs {
        store: Arc::clone(&gateway.store),
        plan: Arc::clone(&gateway.plan),
        gates: Arc::clone(&running.gates),
        clock: gateway.clock.clone(),
    };
    let ended = watch_over(&gateway, jobs, &mut signals).await;
    let stop = async {
        match ended {
            End::Asked => running.stop(&shutdown).await,
            End::Broken(error) => running.give_up(&error).await,
        }
    };
    unless_asked_again(stop, &mut signals).await
}

/// Says once why it does not start: in the log, and to whoever watches while the log goes elsewhere.
fn refuse(error: &PrepareError) -> Exit {
    tracing::error!(event = "start", "{error}");
    if io::stderr().is_terminal() && !io::stdout().is_terminal() {
        to_stderr(error);
    }
    error.exit()
}

/// Starts everything, from the back to the front: who delivers before who accepts.
fn begin(prepared: Prepared, phase: Arc<Phase>, dropped: Dropped) -> Result<(Running, Arc<Gateway>), PrepareError> {
    let Prepared { plan, store, door, admin, metrics, clock } = prepared;
    let gates = Arc::new(Gates::default());
    let shards = Shards::start(&plan, Arc::clone(&store), Arc::clone(&gates), clock.clone(), Arc::clone(&metrics));
    let shards = Arc::new(shards.map_err(PrepareError::Targets)?);
    let workers = Arc::clone(&shards);
    // One gateway owns a SQLite file, so its node is always 0.
    let ids = Arc::new(EventIds::above(store.highest_event_id(), 0));
    let ring = Arc::new(RejectedRing::start(&plan.store, clock.clone(), Arc::clone(&metrics)));
    let ingest = Ingest::new(Arc::clone(&plan), Arc::clone(&store), Arc::clone(&gates), ids, clock.clone(), Arc::clone(&metrics));
    let runner = Runner::start(&plan, &clock, tokio::runtime::Handle::current()).map_err(PrepareError::Errands)?;
    let errands = runner.map(|runner| -> Arc<dyn Errands> { runner });
    let ingest = Arc::new(ingest.keeping(Arc::clone(&ring)).sending(errands));
    let gateway = Arc::new(Gateway {
        plan: Arc::clone(&plan),
        store: Arc::clone(&store),
        ingest: Arc::clone(&ingest),
        metrics,
        clock: clock.clone(),
        phase: Arc::clone(&phase),
        workers: Box::new(move || Workers { last_turn: workers.last_turn(), alive: workers.alive() }),
        log_dropped: Box::new(move || dropped.lines()),
        started: clock.mono(),
    });
    let admin = admin.serve(Arc::clone(&gateway)).map_err(|error| PrepareError::Internal(error.to_string()))?;
    let door = door.serve(ingest)?;
    phase.set(Step::Running);
    announce(&plan, store.as_ref());
    Ok((Running { phase, gates, door, shards, store, ring, admin, clock }, gateway))
}

fn announce(plan: &Plan, store: &dyn Store) {
    let tls = match plan.server.tls {
        Tls::None => "none",
        Tls::Upstream => "upstream",
        Tls::Own { .. } => "own",
    };
    tracing::info!(
        event = "start",
        version = env!("CARGO_PKG_VERSION"),
        generation = plan.generation,
        listen = %plan.server.listen,
        tls,
        admin = %plan.admin.listen,
        monitor = plan.monitor.map(tracing::field::display),
        store = %plan.store.path.display(),
        durability = store.health().level.as_str(),
        sources = plan.sources.len(),
        targets = plan.targets.len(),
        "ready"
    );
}

/// Why the main loop ended.
enum End {
    Asked,
    Broken(StoreError),
}

/// Turns until something ends it: a signal, or a store that cannot go on.
async fn watch_over(gateway: &Gateway, jobs: Jobs, signals: &mut Signals) -> End {
    let mut turn = tokio::time::interval(TURN_EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let sweeping = sweep(gateway);
    let stepping = jobs.run();
    tokio::pin!(sweeping, stepping);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => return End::Asked,
                Asked::Reload => tracing::warn!(event = "reload", "SIGHUP: reloading is planned; restart to take a new configuration"),
                Asked::Status => say_status(gateway),
            },
            _ = turn.tick() => gateway.phase.turned(gateway.clock.mono()),
            error = &mut sweeping => return End::Broken(error),
            never = &mut stepping => match never {},
        }
    }
}

/// Purges what is past its retention, for as long as the store can; what would be missed is announced first.
async fn sweep(gateway: &Gateway) -> StoreError {
    let mut pause = SWEEP_EVERY;
    let mut said = None;
    loop {
        let now = gateway.clock.mono();
        if said.is_none_or(|said| now.since(said) >= PURGE_ANNOUNCED_EVERY) && announce_purge(gateway) {
            said = Some(now);
        }
        tokio::time::sleep(pause).await;
        pause = match gateway.store.sweep(SWEEP_BUDGET).await {
            Ok(swept) if swept.more => SWEEP_PAUSE,
            Ok(_) => SWEEP_EVERY,
            Err(error @ StoreError::Broken(_)) => return error,
            Err(error) => {
                tracing::warn!(event = "store", reason = %error, "the sweep has to wait");
                SWEEP_EVERY
            }
        };
    }
}

/// Whether there was anything to say.
fn announce_purge(gateway: &Gateway) -> bool {
    let leaving = gateway.store.tallies().leaving(&gateway.plan.store.retention, gateway.clock.wall());
    for one in &leaving {
        tracing::warn!(event = "store", target = %one.target, "{one}");
    }
    !leaving.is_empty()
}

fn say_status(gateway: &Gateway) {
    let tallies = gateway.store.tallies().read();
    let sum = |count: fn(&crate::store::TargetTally) -> u64| tallies.values().map(count).sum::<u64>();
    let health = gateway.store.health();
    tracing::info!(
        event = "status",
        generation = gateway.plan.generation,
        uptime_s = gateway.clock.mono().since(gateway.started).as_secs(),
        pending = sum(|tally| tally.pending),
        in_flight = sum(|tally| tally.in_flight),
        dead = sum(|tally| tally.dead),
        accepting = health.accepting,
        store_bytes = health.bytes,
        log_lines_dropped = (gateway.log_dropped)(),
        "status"
    );
}

/// Lets the stop finish, unless somebody asks again: then the process ends at once, and the next start recovers.
async fn unless_asked_again(stop: impl Future<Output = Exit>, signals: &mut Signals) -> Exit {
    tokio::select! {
        exit = stop => exit,
        () = signals.stop() => {
            to_stderr(&"hookgate: asked twice, ending at once");
            process::exit(Exit::Interrupted as i32);
        }
    }
}
