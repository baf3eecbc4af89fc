//! What operators ask: pauses, the beginning and end of jobs, and the audit of all of it, in the transaction under way.

use rusqlite::{Connection, Result, Row, Statement, params};

use crate::{
    clock::UnixMs,
    event::EventId,
    metrics::Metrics,
    name::TargetName,
    pause::{Pause, Pauses},
    store::{
        Act, AuditLine, End, Job, JobId, Refusal, Standing, Step, Verb,
        acts::{AUDIT_LINES_MAX, JOBS_RUNNING_MAX},
    },
};

use super::{
    jobs::{self, Done},
    memory::Turn,
    views::unreadable,
};

/// What an act came to; what is counted of it follows the commit.
#[derive(Debug)]
pub(super) struct Operated {
    pub(super) step: Step,
    /// Deliveries born and cancelled, by target.
    pub(super) done: Vec<Done>,
}

/// The statements.
pub(super) struct Sql<'c> {
    over: Statement<'c>,
    pause: Statement<'c>,
    resume: Statement<'c>,
    pauses: Statement<'c>,
    running: Statement<'c>,
    note: Statement<'c>,
    forget: Statement<'c>,
    pub(super) highest: Statement<'c>,
}

const PAUSES: &str = "SELECT n.name, c.since, c.until, c.who FROM control c JOIN name n ON n.id=c.target";
const RUNNING: &str = "SELECT id FROM job WHERE ended IS NULL ORDER BY id";
pub(super) const AUDIT: &str = "SELECT at, who, what FROM audit ORDER BY n DESC LIMIT ?1";

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            over: conn.prepare("DELETE FROM control WHERE until<=?1")?,
            pause: conn.prepare("INSERT OR REPLACE INTO control(target, since, until, who) VALUES(?1, ?2, ?3, ?4)")?,
            resume: conn.prepare("DELETE FROM control WHERE target=?1")?,
            pauses: conn.prepare(PAUSES)?,
            running: conn.prepare(RUNNING)?,
            note: conn.prepare("INSERT INTO audit(at, who, what) VALUES(?1, ?2, ?3) RETURNING n")?,
            forget: conn.prepare("DELETE FROM audit WHERE n<=?1")?,
            highest: conn.prepare("SELECT coalesce(max(id), 0) FROM event")?,
        })
    }

    /// Adds a line to the audit; the oldest goes when there are too many.
    pub(super) fn note(&mut self, at: UnixMs, who: &str, what: &str) -> Result<()> {
        let n: i64 = self.note.query_row(params![at.0, who, what], |row| row.get(0))?;
        self.forget.execute([n.saturating_sub(i64::try_from(AUDIT_LINES_MAX).unwrap_or(i64::MAX))])?;
        Ok(())
    }
}

impl Operated {
    /// After the commit: counts what was born and what was cancelled.
    pub(super) fn count(&self, metrics: &Metrics) {
        for Done { target, born, cancelled } in &self.done {
            if let Some(of) = metrics.target(target) {
                of.created.inc_by(*born);
                of.cancelled.inc_by(*cancelled);
            }
        }
    }
}

/// What stands in the file.
pub(super) fn load(conn: &Connection) -> Result<Standing> {
    standing(&mut conn.prepare(PAUSES)?, &mut conn.prepare(RUNNING)?)
}

/// Does what an operator wants.
pub(super) fn operate(turn: &mut Turn<'_, '_>, act: &Act) -> Result<Operated> {
    let now = turn.now.wall;
    let mut done = Vec::new();
    let step = match &act.verb {
        Verb::Pause { target, until } => hold(turn, target, Some(Pause { since: now, until: *until, by: act.by.clone() }))?,
        Verb::Resume { target } => hold(turn, target, None)?,
        Verb::Begin { id, task, rate, expected } => {
            let highest = turn.sql.acts.highest.query_row([], |row| row.get(0))?;
            let highest = EventId::from_i64(highest).unwrap_or(EventId::LEAST);
            begin(turn, Job::begin((*id, &act.by), task.clone(), (*rate, *expected), highest, now))?
        }
        Verb::Go { id, at_most, plan } => match turn.sql.jobs.find(*id)? {
            Some(job) => jobs::go(turn, job, *at_most, plan, &mut done)?,
            None => Step::Refused(Refusal::NoSuchJob),
        },
        Verb::Stop { id } => stop(turn, *id)?,
    };
    if !matches!(step, Step::Refused(_)) {
        if let Some(what) = act.verb.audited() {
            turn.sql.acts.note(now, &act.by, &what)?;
        }
        stage_standing(turn)?;
    }
    Ok(Operated { step, done })
}

fn hold(turn: &mut Turn<'_, '_>, target: &TargetName, pause: Option<Pause>) -> Result<Step> {
    let id = turn.memory.names.target(&mut turn.staged.names, &mut turn.sql.names, target)?;
    turn.sql.acts.over.execute([turn.now.wall.0])?;
    match &pause {
        Some(Pause { since, until, by }) => turn.sql.acts.pause.execute(params![id, since.0, until.map(|until| until.0), by])?,
        None => turn.sql.acts.resume.execute([id])?,
    };
    Ok(Step::Held(target.clone(), pause))
}

fn begin(turn: &mut Turn<'_, '_>, job: Job) -> Result<Step> {
    if let Some(job) = turn.sql.jobs.find(job.id)? {
        return Ok(job.unchanged());
    }
    if turn.standing().jobs.len() >= JOBS_RUNNING_MAX {
        return Ok(Step::Refused(Refusal::TooManyJobs));
    }
    turn.sql.jobs.put(&job)?;
    Ok(job.unchanged())
}

fn stop(turn: &mut Turn<'_, '_>, id: JobId) -> Result<Step> {
    let Some(mut job) = turn.sql.jobs.find(id)? else { return Ok(Step::Refused(Refusal::NoSuchJob)) };
    if job.runs() {
        job.end = Some((End::Stopped, turn.now.wall));
        turn.sql.jobs.put(&job)?;
    }
    Ok(job.unchanged())
}

/// What stands after this transaction, if it commits.
fn stage_standing(turn: &mut Turn<'_, '_>) -> Result<()> {
    let sql = &mut turn.sql.acts;
    let standing = standing(&mut sql.pauses, &mut sql.running)?;
    if *turn.standing() != standing {
        turn.staged.standing = Some(standing);
    }
    Ok(())
}

fn standing(pauses: &mut Statement<'_>, running: &mut Statement<'_>) -> Result<Standing> {
    let pause = |row: &Row<'_>| {
        let name = TargetName::parse(row.get_ref(0)?.as_str()?).ok_or_else(|| unreadable(0, "not a target's name".into()))?;
        let until = row.get::<_, Option<i64>>(2)?.map(UnixMs);
        Ok((name, Pause { since: UnixMs(row.get(1)?), until, by: row.get(3)? }))
    };
    let job = |row: &Row<'_>| {
        let id: i64 = row.get(0)?;
        JobId::from_i64(id).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, id))
    };
    Ok(Standing {
        pauses: Pauses(pauses.query_map([], pause)?.collect::<Result<_>>()?),
        jobs: running.query_map([], job)?.collect::<Result<_>>()?,
    })
}

/// Reads a line of the audit.
pub(super) fn audit_line(row: &Row<'_>) -> Result<AuditLine> {
    Ok(AuditLine { at: UnixMs(row.get(0)?), by: row.get(1)?, what: row.get(2)? })
}
