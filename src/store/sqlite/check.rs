//! Looking a closed store over, and copying it: what `hookgate store check` and `hookgate store backup` do.

use std::{fmt, path::Path, time::Duration};

use rusqlite::{Connection, Result as SqlResult};

use crate::{delivery::State, event::Payload};

use super::{OpenError, backup, open, schema};

/// Problems that are listed; the rest is only counted.
const LISTED_MAX: usize = 20;

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events.
    pub events: u64,
    /// Payloads whose checksum was compared.
    pub payloads: u64,
    /// Deliveries by state: in the order of [`State::ALL`].
    pub deliveries: [u64; State::ALL.len()],
    /// Dedup records.
    pub dedup_records: u64,
    /// What is wrong, for people; empty when nothing is.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "events          {}", self.events)?;
        writeln!(f, "payloads        {}", self.payloads)?;
        for (state, count) in State::ALL.iter().zip(self.deliveries) {
            writeln!(f, "{:<15} {count}", state.as_str())?;
        }
        writeln!(f, "dedup records   {}", self.dedup_records)?;
        for problem in self.problems.iter().take(LISTED_MAX) {
            writeln!(f, "PROBLEM         {problem}")?;
        }
        match self.problems.len() {
            0 => writeln!(f, "sound"),
            listed if listed <= LISTED_MAX => writeln!(f, "not sound: {listed} problems"),
            more => writeln!(f, "not sound: {more} problems, the first {LISTED_MAX} listed"),
        }
    }
}

/// Reads the whole file: its structure, every payload against its checksum, the tallies against the rows, the open deliveries against the
/// index. Takes the lock, so the gateway must be stopped; changes nothing but that a log left by a crash is made part of the file.
///
/// # Errors
/// Why it could not be looked at; of an earlier version it is not.
pub fn check(path: &Path, lock_wait: Duration) -> Result<Report, OpenError> {
    let (conn, _lock, found) = offline(path, lock_wait)?;
    let known = schema::version();
    if found < known {
        let why = format!(
            "it cannot be checked yet: it was written by an earlier hookgate (version {found}, this one checks {known}), and `serve` of \
             this one brings it up to date when it starts; check it with the earlier one, or after that"
        );
        return Err(OpenError::Unusable { path: path.to_owned(), why });
    }
    look(&conn).map_err(|error| open::of_sqlite("read", path, &error))
}

/// Copies a store that no gateway has open, in the version it is of; the bytes of the copy.
///
/// # Errors
/// Why it could not be copied. While a gateway holds the store this is [`OpenError::Locked`].
pub fn back_up_offline(path: &Path, to: &Path, lock_wait: Duration) -> Result<u64, OpenError> {
    let (conn, _lock, _) = offline(path, lock_wait)?;
    backup::copy(&conn, to).map_err(|error| match backup::is_about_the_place(&error) {
        true => OpenError::Unusable { path: to.to_owned(), why: error.to_string() },
        false => open::of_sqlite("copy", path, &error),
    })
}

/// The file, the right to it, and its version.
fn offline(path: &Path, lock_wait: Duration) -> Result<(Connection, open::Lock, i64), OpenError> {
    let nothing = |why: &str| OpenError::Unusable { path: path.to_owned(), why: format!("{why}; nothing has been stored yet") };
    if !open::exists(path) {
        return Err(nothing("there is no such file"));
    }
    let lock = open::lock(path, lock_wait)?;
    let conn = open::connect(path)?;
    match schema::found(&conn).map_err(|error| open::of_sqlite("read", path, &error))? {
        0 => Err(nothing("it is empty")),
        found => Ok((conn, lock, found)),
    }
}

fn look(conn: &Connection) -> SqlResult<Report> {
    let count = |sql: &str| conn.query_row(sql, [], counted);
    let mut report = Report {
        events: count("SELECT count(*) FROM event")?,
        dedup_records: count("SELECT (SELECT count(*) FROM dedup) + (SELECT count(*) FROM seen)")?,
        ..Report::default()
    };
    for (state, deliveries) in State::ALL.into_iter().zip(&mut report.deliveries) {
        *deliveries = conn.query_row("SELECT count(*) FROM delivery WHERE state=?1", [state as i64], counted)?;
    }
    let mut structure = conn.prepare("PRAGMA integrity_check")?;
    let lines: Vec<String> = structure.query_map([], |row| row.get(0))?.collect::<SqlResult<_>>()?;
    report.problems.extend(lines.into_iter().filter(|line| line != "ok"));
    compare_payloads(conn, &mut report)?;
    for (sql, problem) in COMPARISONS {
        let mut found = conn.prepare(sql)?;
        let mut rows = found.query([])?;
        while let Some(row) = rows.next()? {
            let (first, second): (i64, i64) = (row.get(0)?, row.get(1)?);
            report.problems.push(format!("{problem} ({first}, {second})"));
        }
    }
    Ok(report)
}

fn counted(row: &rusqlite::Row<'_>) -> SqlResult<u64> {
    Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))
}

/// Each finds rows that contradict each other, and says what that means; two numbers name the place.
const COMPARISONS: [(&str, &str); 7] = [
    (
        "SELECT target, state FROM (
             SELECT target, state, first_at/60000 - (first_at%60000<0) AS minute, 1 AS n FROM delivery WHERE state NOT IN (2, 3)
             UNION ALL SELECT target, state, minute, -n FROM tally)
         GROUP BY target, state, minute HAVING sum(n)<>0",
        "the tally differs from the rows (target, state)",
    ),
    (
        "SELECT event, slot FROM delivery WHERE (state IN (0, 1)) <> (due IS NOT NULL)",
        "an open delivery that no index finds, or a settled one it does (event, slot)",
    ),
    (
        "SELECT d.event, d.slot FROM delivery d LEFT JOIN name t ON t.id=d.target AND t.kind=1 WHERE t.id IS NULL",
        "a delivery to a target without a name (event, slot)",
    ),
    (
        "SELECT d.event, d.slot FROM delivery d LEFT JOIN event e ON e.id=d.event WHERE e.id IS NULL",
        "a delivery of an event that is not there (event, slot)",
    ),
    (
        "SELECT d.event, d.slot FROM delivery d LEFT JOIN payload p ON p.event=d.event AND p.v=d.v
         WHERE d.state IN (0, 1, 5) AND p.event IS NULL",
        "an open delivery without its bytes (event, slot)",
    ),
    (
        "SELECT target, ord FROM delivery WHERE ord IS NOT NULL AND done_at IS NULL GROUP BY target, ord HAVING sum(state<>5)<>1",
        "a key of which not exactly one delivery may go (target, key)",
    ),
    (
        "SELECT d.event, d.slot FROM delivery d WHERE d.state<>5 AND d.ord IS NOT NULL AND d.done_at IS NULL AND d.rank>(
             SELECT min(rank) FROM delivery e WHERE e.target=d.target AND e.ord=d.ord AND e.done_at IS NULL)",
        "a delivery that goes before an earlier one of its key (event, slot)",
    ),
];

fn compare_payloads(conn: &Connection, report: &mut Report) -> SqlResult<()> {
    let mut all = conn.prepare("SELECT event, v, head, body, crc FROM payload")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        report.payloads += 1;
        let payload = Payload { head: row.get::<_, Vec<u8>>(2)?.into(), body: row.get::<_, Vec<u8>>(3)?.into() };
        if row.get::<_, u32>(4)? != payload.crc() {
            let (event, variant): (i64, u8) = (row.get(0)?, row.get(1)?);
            report.problems.push(format!("the bytes do not match their checksum (event, variant) ({event}, {variant})"));
        }
    }
    Ok(())
}
