//! The file itself: who may have it, what may be in it, what it looks like to others, and how it is checked and copied.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use hookgate::{
    clock::Mono,
    store::{Admission, OpenError, SqliteStore, Store, StoreError, back_up_offline, check},
};
use rusqlite::Connection;
use smallvec::smallvec;

use super::rig::{LEASE_MAX, Lane, Rig, close, wait};

fn open(rig: &Rig) -> Result<std::sync::Arc<SqliteStore>, OpenError> {
    let metrics = std::sync::Arc::new(hookgate::metrics::Metrics::new().expect("metrics"));
    SqliteStore::open(&rig.settings, LEASE_MAX, rig.time.clock(), metrics)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn fill(rig: &Rig, store: &SqliteStore, events: u8) {
    let lane = Lane::open("app");
    for key in 0..events {
        let event = rig.ring(key).event(rig.time.now().wall, smallvec![lane.owed_now()]);
        assert_eq!(wait(store.admit(event, Mono::NEVER)), Ok(Admission::Accepted));
    }
}

#[test]
fn nobody_else_may_read_it() {
    let rig = Rig::new();
    let store = rig.open();
    fill(&rig, &store, 1);
    assert_eq!(mode(&rig.settings.data_dir), 0o700);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let path = format!("{}{suffix}", rig.path().display());
        assert_eq!(mode(Path::new(&path)), 0o600, "{path}");
    }
}

#[test]
fn one_process_at_a_time_and_the_second_names_the_first() {
    let rig = Rig::new();
    let store = rig.open();
    let refused = open(&rig).expect_err("the first holds it");
    assert_eq!(refused.exit_code(), 75);
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    let refused = check(&rig.path(), Duration::ZERO).expect_err("the gateway holds it");
    assert_eq!(refused.exit_code(), 75);
    drop(store);
    open(&rig).expect("it is free again");
}

#[test]
fn a_later_version_is_refused_and_left_unchanged() {
    let rig = Rig::new();
    close(&rig.open());
    let later = Connection::open(rig.path()).expect("the file");
    later.execute_batch("PRAGMA user_version=99").expect("a pragma");
    drop(later);
    let before = fs::read(rig.path()).expect("the file");
    let refused = open(&rig).expect_err("too new");
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.to_string().contains("99"), "{refused}");
    assert_eq!(fs::read(rig.path()).expect("the file"), before);
}

#[test]
fn a_file_of_somebody_else_is_refused_and_left_unchanged() {
    let rig = Rig::new();
    fs::create_dir_all(&rig.settings.data_dir).expect("a directory");
    fs::write(rig.path(), "dear diary".repeat(500)).expect("a file");
    assert_eq!(open(&rig).expect_err("not a database").exit_code(), 78);
    assert_eq!(fs::read(rig.path()).expect("the file"), "dear diary".repeat(500).as_bytes());
}

#[test]
fn a_closed_store_is_one_file_and_answers_away() {
    let rig = Rig::new();
    let store = rig.open();
    fill(&rig, &store, 3);
    close(&store);
    assert!(!Path::new(&format!("{}-wal", rig.path().display())).exists(), "the log is part of the file");
    let event = rig.ring(9).event(rig.time.now().wall, smallvec![]);
    assert_eq!(wait(store.admit(event, Mono::NEVER)), Err(StoreError::Away));
    assert_eq!(wait(store.claim(Vec::new())).map(|_| ()), Err(StoreError::Away));
    assert_eq!(wait(store.event(rig.next_id())), Err(StoreError::Away));
}

#[test]
fn a_sound_store_checks_and_a_damaged_one_does_not() {
    let rig = Rig::new();
    let store = rig.open();
    fill(&rig, &store, 10);
    drop(store);
    let report = check(&rig.path(), Duration::ZERO).expect("it can be read");
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.events, report.payloads, report.deliveries, report.dedup_records), (10, 10, [0, 10, 0, 0, 0, 0], 10));

    let damages = [
        "UPDATE payload SET body=x'00' WHERE rowid=1",
        "UPDATE tally SET n=n+1",
        "UPDATE delivery SET due=NULL WHERE event=(SELECT min(event) FROM delivery)",
        "DELETE FROM event WHERE id=(SELECT max(id) FROM event)",
    ];
    for (done, damage) in damages.iter().enumerate() {
        let conn = Connection::open(rig.path()).expect("the file");
        conn.execute_batch(damage).expect("damage");
        drop(conn);
        let report = check(&rig.path(), Duration::ZERO).expect("it can be read");
        assert!(report.problems.len() > done, "{damage}: {report}");
    }
}

#[test]
fn a_file_of_an_earlier_version_is_copied_as_it_is_and_not_checked() {
    let rig = Rig::new();
    let store = rig.open();
    fill(&rig, &store, 3);
    close(&store);
    let version = |path: &Path| -> i64 {
        let conn = Connection::open(path).expect("the file");
        conn.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version")
    };
    Connection::open(rig.path()).expect("the file").execute_batch("PRAGMA user_version=2").expect("a pragma");
    let refused = check(&rig.path(), Duration::ZERO).expect_err("its tables are others");
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.to_string().contains("an earlier hookgate (version 2,"), "{refused}");
    let copy = rig.settings.data_dir.join("copy.db");
    assert!(back_up_offline(&rig.path(), &copy, Duration::ZERO).expect("copied") > 0);
    assert_eq!((version(&rig.path()), version(&copy)), (2, 2));
    fs::write(rig.path(), "").expect("a file");
    let refused = check(&rig.path(), Duration::ZERO).expect_err("nothing is in it");
    assert!(refused.exit_code() == 78 && refused.to_string().contains("it is empty"), "{refused}");
}

/// A step whose budget is over before it begins still takes one event away, so that the walk comes to its end.
#[test]
fn a_sweep_without_time_gets_on_all_the_same() {
    let rig = Rig::new();
    let metrics = std::sync::Arc::new(hookgate::metrics::Metrics::new().expect("metrics"));
    // Time that goes on: the budget of nothing is over with the next look at the clock.
    let store = SqliteStore::open(&rig.settings, LEASE_MAX, hookgate::clock::Clock::System, metrics).expect("it opens");
    for key in 0..20 {
        let event = rig.ring(key).event(rig.time.now().wall, smallvec![]);
        wait(store.admit(event, Mono::NEVER)).expect("admitted");
    }
    let steps: Vec<_> = (0..20).map(|_| wait(store.sweep(Duration::ZERO)).expect("a step")).collect();
    assert_eq!(steps.iter().map(|step| step.events).sum::<u64>(), 20);
}

#[test]
fn damaged_bytes_are_never_given_out() {
    let rig = Rig::new();
    let store = rig.open();
    let ring = rig.ring(1);
    wait(store.admit(ring.event(rig.time.now().wall, smallvec![]), Mono::NEVER)).expect("admitted");
    assert!(matches!(wait(store.payloads(vec![(ring.id, 0)])).expect("an answer")[0], Ok(Some(_))));
    drop(store);
    let conn = Connection::open(rig.path()).expect("the file");
    conn.execute_batch("UPDATE payload SET body=CAST(replace(CAST(body AS TEXT), 'body', 'bodi') AS BLOB)").expect("damage");
    drop(conn);
    let store = rig.open();
    assert_eq!(wait(store.payloads(vec![(ring.id, 0), (ring.id, 1)])), Ok(vec![Ok(None), Ok(None)]));
}

/// The sectors of one payload are gone: whoever reads it is told so for good, and those who are read with it get their bytes.
#[test]
fn a_payload_that_the_file_cannot_give_takes_no_other_with_it() {
    let rig = Rig::new();
    let store = rig.open();
    let rings: Vec<_> = (1..4).map(|key| rig.ring(key)).collect();
    for (ring, fill) in rings.iter().zip(b'x'..) {
        let mut event = ring.event(rig.time.now().wall, smallvec![]);
        event.payloads[0].body = vec![fill; 40_000].into();
        wait(store.admit(event, Mono::NEVER)).expect("admitted");
    }
    close(&store);
    drop(store);
    let mut file = fs::read(rig.path()).expect("the file");
    // Of a page in the middle of a long body all is body but its first four bytes, the number of the page after it: now one that is not.
    let pages = file.chunks_exact_mut(8192).filter(|page| page[4..].iter().all(|byte| *byte == b'y'));
    assert!(pages.map(|page| page[..4].fill(0x7f)).count() > 0, "the body has such pages");
    fs::write(rig.path(), file).expect("written");
    let store = rig.open();
    let read = wait(store.payloads(rings.iter().map(|ring| (ring.id, 0)).collect())).expect("an answer");
    assert!(matches!(&read[..], [Ok(Some(_)), Ok(None), Ok(Some(_))]), "{read:?}");
}

#[test]
fn a_backup_is_a_sound_store() {
    let rig = Rig::new();
    let store = rig.open();
    fill(&rig, &store, 41);
    let copy = rig.settings.data_dir.join("copy.db");
    assert_eq!(back_up_offline(&rig.path(), &copy, Duration::ZERO).expect_err("a gateway has it").exit_code(), 75);
    // Left as a crash leaves it: what is in the log is in the copy.
    drop(store);
    assert!(back_up_offline(&rig.path(), &copy, Duration::ZERO).expect("copied") > 0);
    let report = check(&copy, Duration::ZERO).expect("it can be read");
    assert!(report.is_sound() && report.events == 41, "{report}");
    assert_eq!(back_up_offline(&rig.path(), &copy, Duration::ZERO).expect_err("it is there").exit_code(), 78);
}

#[test]
fn a_full_quota_refuses_events_purges_delivered_ones_and_goes_on_settling() {
    let mut rig = Rig::new();
    let store = rig.open();
    fill(&rig, &store, 5);
    close(&store);
    drop(store);
    rig.settings.max_bytes = 1;
    let store = rig.open();
    let event = rig.ring(99).event(rig.time.now().wall, smallvec![]);
    assert_eq!(wait(store.admit(event, Mono::NEVER)), Err(StoreError::Full));
    let want = hookgate::lease::Want { target: super::rig::name("app"), oldest: 9, fresh: 0, ahead: None, lease: Duration::from_secs(30) };
    assert_eq!(wait(store.claim(vec![want])).expect("deliveries go on")[0].leases.len(), 5);
}
