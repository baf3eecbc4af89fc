//! Order in the embedded store: many events of few keys, with failures and crashes in between, and each key arrives as it was accepted.

use std::{collections::BTreeMap, time::Duration};

use hookgate::{
    clock::Mono,
    delivery::{Attempt, AttemptResult},
    lease::{Fate, Fenced, Lease, Want},
    store::{Admission, Owed, SqliteStore, Start, Store, check},
};
use smallvec::smallvec;

use super::rig::{Lane, Rig, close, name, wait};

const KEYS: u64 = 5;
const EVENTS: u64 = 60;

fn attempt(result: AttemptResult) -> Attempt {
    let at = hookgate::clock::UnixMs(0);
    Attempt { at, took: Duration::from_millis(3), result, status: None, retry_after: None, excerpt: None }
}

fn claim(store: &SqliteStore) -> Vec<Lease> {
    let want = Want { target: name("app"), oldest: 16, fresh: 4, ahead: None, lease: Duration::from_secs(30) };
    wait(store.claim(vec![want])).expect("the store claims").remove(0).leases
}

#[test]
fn one_of_a_key_goes_at_a_time_whatever_happens_in_between() {
    let mut rig = Rig::new();
    let mut lane = Lane::open("app");
    let mut store = rig.open();
    let mut accepted = BTreeMap::<u64, Vec<_>>::new();
    for number in 0..EVENTS {
        let ring = rig.ring(u8::try_from(number).expect("few"));
        let key = number * 7 % KEYS;
        let start = if number % 3 == 0 { lane.owed_now() } else { lane.owed(Start::Waiting) };
        let event = ring.event(rig.time.now().wall, smallvec![Owed { order: Some(key), ..start }]);
        assert_eq!(wait(store.admit(event, Mono::NEVER)), Ok(Admission::Accepted));
        accepted.entry(key).or_default().push(ring.id);
    }
    let handed = lane.leases();
    assert!(handed.len() <= KEYS as usize, "the others of a key are not handed over");
    // Those that were handed over are nobody's after the crash.
    drop(store);
    store = rig.open();
    let mut arrived = BTreeMap::<u64, Vec<_>>::new();
    let mut rounds = 0;
    while arrived.values().map(Vec::len).sum::<usize>() < EVENTS as usize {
        rounds += 1;
        assert!(rounds < 1_000, "they arrive: {arrived:?}");
        rig.time.pass(Duration::from_secs(1));
        let leases = claim(&store);
        let keys = leases.iter().map(|lease| accepted.iter().find(|(_, ids)| ids.contains(&lease.id.event)).expect("one of ours").0);
        let mut keys = keys.copied().collect::<Vec<_>>();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "two of one key are under way: {keys:?}");
        if rounds % 7 == 0 {
            drop(store);
            store = rig.open();
            continue;
        }
        for (place, lease) in leases.into_iter().enumerate() {
            let key = *accepted.iter().find(|(_, ids)| ids.contains(&lease.id.event)).expect("one of ours").0;
            let reference = lease.reference();
            if (place + rounds) % 4 == 0 {
                let due = rig.time.now().wall.after(Duration::from_secs(2));
                let retry = Fenced::Retry { lease: reference, attempt: attempt(AttemptResult::Connect), due, failures: 1 };
                assert_eq!(wait(store.settle(vec![retry])), Ok(vec![Fate::Done]));
            } else {
                let last = arrived.get(&key).map_or(0, Vec::len) + 1 == accepted[&key].len();
                let fate = if last { Fate::Done } else { Fate::Unblocked };
                let delivered = Fenced::Delivered(reference, attempt(AttemptResult::Delivered));
                assert_eq!(wait(store.settle(vec![delivered])), Ok(vec![fate]), "the next of its key is let go");
                arrived.entry(key).or_default().push(lease.id.event);
            }
        }
    }
    assert_eq!(arrived, accepted, "each key in the order it was accepted");
    close(&store);
    drop(store);
    let report = check(&rig.path(), Duration::ZERO).expect("the file can be read");
    assert!(report.is_sound(), "{report}");
}
