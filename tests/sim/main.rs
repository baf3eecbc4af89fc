//! The simulator: the real queue, gates and slots over the model store, in a world where everything goes wrong on purpose.
//!
//! One seed is one run, and always the same run. `SIM_SEEDS=N` runs so many, `SIM_SEED=x` runs one and prints what happens.

mod checks;
mod desk;
mod disasters;
mod fairness;
mod gateway;
mod health;
mod held;
mod holds;
mod justice;
mod made;
mod model;
mod operators;
mod order;
mod outside;
#[path = "../suite/support/proof.rs"]
mod proof;
mod rules;
mod script;
mod shard;
mod stories;
mod suspects;
mod trouble;
mod world;

use std::{
    io::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hookgate::{clock::Clock, faults::Fault};

use rules::{Counts, Rule, Violation};
use script::Script;
use world::World;

/// Seeds of a usual run.
const SEEDS: u64 = 10_000;
/// Threads over the seeds; each seed runs on one.
const THREADS: usize = 2;

fn run(seed: u64, fault: Option<Fault>, is_traced: bool) -> (Counts, Option<Violation>) {
    World::new(Script::of(seed), fault, is_traced).run()
}

/// Runs all seeds below `seeds`; answers the counts, and the least seed that broke a rule.
fn run_all(seeds: u64) -> (Counts, Option<(u64, Violation)>) {
    let next = AtomicU64::new(0);
    let total = Mutex::new((Counts::default(), None::<(u64, Violation)>));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let (counts, violation) = run(seed, None, false);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.0.add(&counts);
                    if let Some(violation) = violation {
                        // Seeds are taken in order, so the first to be found is about the least.
                        next.store(seeds, Ordering::Relaxed);
                        if total.1.as_ref().is_none_or(|(other, _)| seed < *other) {
                            total.1 = Some((seed, violation));
                        }
                    }
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "the two switches of this test binary")]
fn switch(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn no_rule_is_broken_whatever_goes_wrong() {
    if let Some(seed) = switch("SIM_SEED") {
        let (counts, violation) = run(seed, None, true);
        let _ = writeln!(std::io::stdout(), "{counts}");
        assert!(violation.is_none(), "seed {seed}: {}", violation.expect("checked"));
        return;
    }
    let clock = Clock::System;
    let began = clock.mono();
    let seeds = switch("SIM_SEEDS").unwrap_or(SEEDS);
    let (counts, failed) = run_all(seeds);
    let took = clock.mono().since(began).as_secs_f64();
    let violations = usize::from(failed.is_some());
    let _ = writeln!(std::io::stdout(), "{seeds} seeds in {took:.0} s, violations {violations}\n{counts}");
    if let Some((seed, violation)) = failed {
        panic!("seed {seed}: {violation}\nreplay: SIM_SEED={seed} cargo test --test sim no_rule -- --nocapture");
    }
}

/// A planted bug must be caught within so many seeds, by one of these rules.
fn is_caught(fault: Fault, seeds: u64, by: &[Rule]) {
    let caught = (0..seeds).find_map(|seed| run(seed, Some(fault), false).1.map(|violation| (seed, violation)));
    let Some((seed, violation)) = caught else { panic!("{fault:?} was not caught within {seeds} seeds") };
    let _ = writeln!(std::io::stdout(), "{} caught by seed {seed}: {violation}", fault.code());
    assert!(by.contains(&violation.rule), "{fault:?} was caught by {violation}");
}

#[test]
fn an_acknowledgement_before_the_commit_is_caught() {
    is_caught(Fault::AckBeforeCommit, 200, &[Rule::AcknowledgedIsDurable]);
}

#[test]
fn memory_kept_from_a_rolled_back_batch_is_caught() {
    is_caught(Fault::StagedMemoryKept, 200, &[Rule::AcknowledgedIsDurable]);
}

#[test]
fn a_lease_without_a_slot_is_caught() {
    is_caught(Fault::LeaseWithoutSlot, 20, &[Rule::LeasesHaveHolders]);
}

#[test]
fn a_settle_without_the_fence_is_caught() {
    is_caught(Fault::SettleWithoutFence, 500, &[Rule::StaleChangesNothing]);
}

#[test]
fn a_start_without_voiding_leases_is_caught() {
    is_caught(Fault::BootWithoutVoiding, 200, &[Rule::LeasesHaveHolders]);
}

#[test]
fn a_delivery_let_go_before_the_one_before_it_is_settled_is_caught() {
    is_caught(Fault::NextBeforeSettled, 200, &[Rule::OrderPerKey]);
}

#[test]
fn an_admit_that_does_not_see_the_open_one_is_caught() {
    is_caught(Fault::OpenRowUnseen, 200, &[Rule::OrderPerKey]);
}

#[test]
fn a_crash_that_counts_against_all_who_were_under_way_is_caught() {
    is_caught(Fault::EveryCrashCounts, 500, &[Rule::QuarantineIsDeserved]);
}

/// A bug in the queue itself is planted in a process of its own: this very binary, with the bug in its environment.
#[cfg(feature = "faults")]
fn is_caught_in_a_child(fault: Fault, seeds: u64, by: Rule) {
    let this = std::env::current_exe().expect("this binary");
    let mut child = std::process::Command::new(this);
    child.args(["--exact", "no_rule_is_broken_whatever_goes_wrong", "--nocapture", "--test-threads=1"]);
    let ended = child.env("HOOKGATE_FAULT", fault.code()).env("SIM_SEEDS", seeds.to_string()).output().expect("the child runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    let found = said.lines().find(|line| line.contains("seed ")).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{} caught: {found}", fault.code());
    assert!(!ended.status.success() && found.contains(&format!("{by:?}")), "{} within {seeds} seeds: {said}", fault.code());
}

#[test]
#[cfg(feature = "faults")]
fn suspects_that_run_together_are_caught() {
    is_caught_in_a_child(Fault::SuspectsTogether, 300, Rule::OneSuspectAtOnce);
}

#[test]
#[cfg(feature = "faults")]
fn age_that_grows_while_a_target_is_left_alone_is_caught() {
    is_caught_in_a_child(Fault::HeldTimeCounts, 500, Rule::HeldTimeIsFree);
}

#[test]
fn a_pause_that_a_start_forgets_is_caught() {
    is_caught(Fault::PauseForgotten, 500, &[Rule::PausedStartsNothing]);
}

#[test]
fn a_job_whose_cursor_stays_behind_is_caught() {
    is_caught(Fault::CursorLeftBehind, 1000, &[Rule::ReplayedOnce]);
}

#[test]
fn a_replay_that_opens_the_old_row_is_caught() {
    is_caught(Fault::ReplayReopens, 500, &[Rule::ActsTouchOnlyTheirOwn]);
}
