//! The rows of jobs, and one step of one: a page of events, what is done to them, and the cursor behind them, in the transaction under way.

use std::num::NonZeroU32;

use rusqlite::{Connection, OptionalExtension, Result, Row, Statement, params};

use crate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    event::{EventId, EventTypes},
    faults::{Fault, planted},
    name::{SourceName, TargetName},
    plan::Plan,
    store::{
        AuditLine, Counted, End, Filter, Job, JobId, Step, Stepped, Task, Work,
        acts::{self, Deed, EventFacts, Facts, JOBS_KEPT_MAX, JOBS_RUNNING_MAX, Page, STEP_DELIVERIES_MAX, STEP_ROWS_MAX, Today},
    },
};

use super::{
    acts::{AUDIT, audit_line},
    admit,
    memory::{Turn, state_of},
    order,
    views::unreadable,
};

/// What was done to deliveries of one target, to be counted once it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) target: TargetName,
    pub(super) born: u64,
    pub(super) cancelled: u64,
}

/// The statements that write.
pub(super) struct Sql<'c> {
    walk: Walk<'c>,
    find: Statement<'c>,
    put: Statement<'c>,
    forget: Statement<'c>,
    cancel: Statement<'c>,
    whose: Statement<'c>,
    leave: Statement<'c>,
    give: Statement<'c>,
    reopen: Statement<'c>,
}

/// The statements that look.
pub(super) struct Looks<'c> {
    walk: Walk<'c>,
    all: Statement<'c>,
    audit: Statement<'c>,
}

/// Events in order, with their deliveries; and whether their bytes are there.
struct Walk<'c> {
    page: Statement<'c>,
    has_bytes: Statement<'c>,
}

const COLUMNS: &str = "id, work, target, filter, rate, expected, who, begun_at, cursor, upto, progress, ended, ended_at";
/// One walk along the keys of events and, within each, of its deliveries.
pub(super) const PAGE: &str = "SELECT e.id, s.name, e.types, e.at, d.slot, t.name, d.state, d.v
    FROM event e CROSS JOIN name s ON s.id=e.source LEFT JOIN delivery d ON d.event=e.id LEFT JOIN name t ON t.id=d.target
    WHERE e.id>=?1 AND e.id<=?2 ORDER BY e.id, d.slot LIMIT ?3";

impl<'c> Walk<'c> {
    fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self { page: conn.prepare(PAGE)?, has_bytes: conn.prepare("SELECT EXISTS(SELECT 1 FROM payload WHERE event=?1 AND v=?2)")? })
    }

    /// The events a task looks at between two ids, each with all of its deliveries.
    fn page(&mut self, task: &Task, from: EventId, upto: EventId) -> Result<Page> {
        let mut page = Page { events: Vec::new(), is_last: true };
        let mut rows = 0;
        match task.filter.named_events() {
            None => self.read(&mut page, &mut rows, from, upto)?,
            Some(named) => {
                for id in named.into_iter().filter(|id| (from..=upto).contains(id)) {
                    if page.is_last {
                        self.read(&mut page, &mut rows, id, id)?;
                    }
                }
            }
        }
        Ok(page)
    }

    fn read(&mut self, page: &mut Page, rows: &mut usize, from: EventId, upto: EventId) -> Result<()> {
        let limit = i64::try_from(STEP_ROWS_MAX + 1).unwrap_or(i64::MAX);
        let mut found = self.page.query(params![from.to_i64(), upto.to_i64(), limit])?;
        while let Some(row) = found.next()? {
            let id: i64 = row.get(0)?;
            let id = EventId::from_i64(id).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, id))?;
            if page.events.last().is_none_or(|last| last.id != id) {
                page.events.push(event_of(row, id)?);
            }
            let of_event = page.events.last_mut().map(|event| &mut event.deliveries);
            if let (Some(of_event), Some(facts)) = (of_event, facts_of(row)?) {
                of_event.push(facts);
            }
            *rows += 1;
            if *rows > STEP_ROWS_MAX {
                // The last event may have more rows than were read: it is the next step's.
                page.events.pop();
                page.is_last = false;
                break;
            }
        }
        Ok(())
    }

    fn walk(&mut self, task: &Task, plan: &Plan, (from, upto): (EventId, EventId), bounds: (usize, Option<u64>)) -> Result<acts::Walked> {
        let page = self.page(task, from, upto)?;
        let has_bytes = &mut self.has_bytes;
        acts::walk(task, Today::of(plan), &page, bounds, &mut |event, variant| {
            has_bytes.query_row(params![event.to_i64(), variant], |row| row.get(0))
        })
    }
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            walk: Walk::prepare(conn)?,
            find: conn.prepare(&format!("SELECT {COLUMNS} FROM job WHERE id=?1"))?,
            put: conn.prepare(&format!(
                "INSERT OR REPLACE INTO job({COLUMNS}) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
            ))?,
            forget: conn.prepare(
                "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE ended IS NOT NULL
                     ORDER BY ended_at DESC, begun_at DESC, id DESC LIMIT -1 OFFSET ?1)",
            )?,
            cancel: conn.prepare("UPDATE delivery SET state=3, due=NULL, done_at=?3 WHERE event=?1 AND slot=?2")?,
            whose: conn.prepare(
                "SELECT t.name, d.target, d.state, d.first_at, d.ord FROM delivery d JOIN name t ON t.id=d.target
                 WHERE d.event=?1 AND d.slot=?2",
            )?,
            leave: conn.prepare("UPDATE delivery SET ord=NULL, rank=NULL WHERE event=?1 AND slot=?2")?,
            give: conn.prepare(
                "UPDATE delivery SET target=?3, state=?4, due=?5, ord=?6, rank=?7, failures=0, first_at=?8 WHERE event=?1 AND slot=?2",
            )?,
            reopen: conn.prepare("UPDATE delivery SET state=0, due=?3, done_at=NULL, dead=NULL, failures=0 WHERE event=?1 AND slot=?2")?,
        })
    }

    pub(super) fn find(&mut self, id: JobId) -> Result<Option<Job>> {
        self.find.query_row([id.to_i64()], job_of).optional()
    }

    /// Writes a job down, and forgets the oldest that ended when there are too many.
    pub(super) fn put(&mut self, job: &Job) -> Result<()> {
        let progress = serde_json::to_string(&job.progress).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        self.put.execute(params![
            job.id.to_i64(),
            job.task.work.as_str(),
            job.task.work.to().map(TargetName::as_str),
            job.task.filter.to_string(),
            job.rate.map(NonZeroU32::get),
            job.expected.map(|expected| i64::try_from(expected).unwrap_or(i64::MAX)),
            job.by,
            job.begun_at.0,
            job.cursor.to_i64(),
            job.upto.to_i64(),
            progress,
            job.end.map(|(end, _)| end.as_str()),
            job.end.map(|(_, at)| at.0),
        ])?;
        if !job.runs() {
            self.forget.execute([i64::try_from(JOBS_KEPT_MAX).unwrap_or(i64::MAX)])?;
        }
        Ok(())
    }
}

impl<'c> Looks<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        let all = format!("SELECT {COLUMNS} FROM job ORDER BY begun_at DESC, id DESC LIMIT {}", JOBS_KEPT_MAX + JOBS_RUNNING_MAX);
        Ok(Self { walk: Walk::prepare(conn)?, all: conn.prepare(&all)?, audit: conn.prepare(AUDIT)? })
    }

    /// The jobs there are, the newest first.
    pub(super) fn jobs(&mut self) -> Result<Vec<Job>> {
        self.all.query_map([], job_of)?.collect()
    }

    /// The last lines of the audit, the newest first.
    pub(super) fn audit(&mut self, at_most: usize) -> Result<Vec<AuditLine>> {
        self.audit.query_map([i64::try_from(at_most).unwrap_or(i64::MAX)], audit_line)?.collect()
    }

    /// What a task would do to the next events from one on.
    pub(super) fn count(&mut self, task: &Task, plan: &Plan, from: EventId) -> Result<Counted> {
        let (least, upto) = task.filter.event_range();
        let walked = self.walk.walk(task, plan, (from.max(least), upto), (STEP_DELIVERIES_MAX, None))?;
        Ok(Counted { progress: walked.progress, next: walked.next })
    }
}

/// One step of a job, if it runs.
pub(super) fn go(turn: &mut Turn<'_, '_>, mut job: Job, at_most: usize, plan: &Plan, done: &mut Vec<Done>) -> Result<Step> {
    if !job.runs() {
        return Ok(job.unchanged());
    }
    let walked = turn.sql.jobs.walk.walk(&job.task, plan, (job.cursor, job.upto), job.bounds(at_most))?;
    let mut waiting = Vec::new();
    for deed in &walked.deeds {
        waiting.extend(carry_out(turn, deed, done)?.filter(|target| !waiting.contains(target)));
    }
    let before = (planted(Fault::CursorLeftBehind) && job.progress.done == 0 && !walked.deeds.is_empty()).then_some(job.cursor);
    job.advance(&walked, turn.now.wall);
    if let Some(cursor) = before {
        (job.cursor, job.end) = (cursor, None);
    }
    turn.sql.jobs.put(&job)?;
    if !job.runs() {
        turn.sql.acts.note(turn.now.wall, &job.by, &job.said_at_end())?;
    }
    Ok(Step::Job(Box::new(Stepped { job, done: walked.progress.done, waiting })))
}

/// Writes one deed; the target that has a delivery waiting since.
fn carry_out(turn: &mut Turn<'_, '_>, deed: &Deed, done: &mut Vec<Done>) -> Result<Option<TargetName>> {
    let now = turn.now.wall;
    match deed {
        Deed::Replay { id, replay_of: Some(old), .. } if planted(Fault::ReplayReopens) => {
            reopen(turn, DeliveryId { slot: *old, ..*id }).map(Some)
        }
        Deed::Replay { id, target, variant, replay_of } => {
            let number = turn.memory.names.target(&mut turn.staged.names, &mut turn.sql.names, target)?;
            let ord = match replay_of {
                // What is ordered comes once more behind all others of its key; a key of another target's is not known.
                Some(old) => {
                    Some(whose(turn, DeliveryId { slot: *old, ..*id })?).filter(|old| old.target == number).and_then(|old| old.ord)
                }
                None => None,
            };
            admit::bear_waiting(turn, *id, number, *variant, (*replay_of, ord))?;
            of(done, target).born += 1;
            Ok(Some(target.clone()))
        }
        Deed::Cancel(id) => {
            let row = whose(turn, *id)?;
            turn.sql.jobs.cancel.execute(params![id.event.to_i64(), id.slot, now.0])?;
            turn.staged.recount(row.target, row.first_at, row.state, State::Cancelled);
            of(done, &row.name).cancelled += 1;
            let is_next_due = row.ord.map(|ord| order::unblock_next(turn, row.target, ord)).transpose()? == Some(true);
            Ok(is_next_due.then_some(row.name))
        }
        Deed::Move(id, to) => {
            let row = whose(turn, *id)?;
            let number = turn.memory.names.target(&mut turn.staged.names, &mut turn.sql.names, to)?;
            turn.staged.count(row.target, row.state, row.first_at, -1);
            let place = match row.ord {
                None => None,
                Some(ord) => {
                    // It leaves one queue before it joins the other, so that it is behind nobody of the one in the other.
                    turn.sql.jobs.leave.execute(params![id.event.to_i64(), id.slot])?;
                    order::unblock_next(turn, row.target, ord)?;
                    Some(order::join(turn, number, ord)?)
                }
            };
            let (state, due) = order::born_at(place, now);
            let (ord, rank) = place.map(|place| (place.ord, place.rank)).unzip();
            let due = due.map(|due| due.0);
            turn.sql.jobs.give.execute(params![id.event.to_i64(), id.slot, number, state as i64, due, ord, rank, now.0])?;
            turn.staged.count(number, state, now, 1);
            Ok(Some(to.clone()))
        }
    }
}

/// A delivery before something is done to it.
struct Whose {
    name: TargetName,
    target: i64,
    state: State,
    first_at: UnixMs,
    ord: Option<i64>,
}

/// The planted bug that an old row must show.
fn reopen(turn: &mut Turn<'_, '_>, id: DeliveryId) -> Result<TargetName> {
    let row = whose(turn, id)?;
    turn.sql.jobs.reopen.execute(params![id.event.to_i64(), id.slot, row.first_at.0])?;
    turn.staged.recount(row.target, row.first_at, row.state, State::Pending);
    Ok(row.name)
}

fn whose(turn: &mut Turn<'_, '_>, id: DeliveryId) -> Result<Whose> {
    turn.sql.jobs.whose.query_row(params![id.event.to_i64(), id.slot], |row| {
        let name = target_of(row, 0)?.ok_or_else(|| unreadable(0, "not a target's name".into()))?;
        Ok(Whose { name, target: row.get(1)?, state: state_of(row, 2)?, first_at: UnixMs(row.get(3)?), ord: row.get(4)? })
    })
}

fn of<'d>(done: &'d mut Vec<Done>, target: &TargetName) -> &'d mut Done {
    let place = done.iter().position(|one| one.target == *target).unwrap_or(done.len());
    if place == done.len() {
        done.push(Done { target: target.clone(), born: 0, cancelled: 0 });
    }
    &mut done[place]
}

fn event_of(row: &Row<'_>, id: EventId) -> Result<EventFacts> {
    let types: Vec<Box<str>> = serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(|error| unreadable(2, Box::new(error)))?;
    Ok(EventFacts {
        id,
        source: SourceName::known(row.get_ref(1)?.as_str()?).ok_or_else(|| unreadable(1, "not a source's name".into()))?,
        types: EventTypes::new(types),
        received_at: UnixMs(row.get(3)?),
        deliveries: Vec::new(),
    })
}

fn facts_of(row: &Row<'_>) -> Result<Option<Facts>> {
    let Some(slot) = row.get::<_, Option<u8>>(4)? else { return Ok(None) };
    let target = target_of(row, 5)?.ok_or_else(|| unreadable(5, "not a target's name".into()))?;
    Ok(Some(Facts { slot, target, state: state_of(row, 6)?, variant: row.get(7)? }))
}

fn target_of(row: &Row<'_>, column: usize) -> Result<Option<TargetName>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.and_then(TargetName::parse))
}

fn job_of(row: &Row<'_>) -> Result<Job> {
    let event = |column| {
        let id: i64 = row.get(column)?;
        EventId::from_i64(id).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, id))
    };
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let end =
        row.get_ref(11)?.as_str_or_null()?.map(|end| End::read(end).ok_or_else(|| unreadable(11, "not an end".into()))).transpose()?;
    let (id, expected) = (event(0)?, row.get::<_, Option<i64>>(5)?);
    Ok(Job {
        id: JobId::from_i64(id.to_i64()).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, id.to_i64()))?,
        task: Task {
            work: Work::read(text(1)?, target_of(row, 2)?).ok_or_else(|| unreadable(1, "not a kind of work".into()))?,
            filter: Filter::parse(text(3)?).map_err(|error| unreadable(3, Box::new(error)))?,
        },
        rate: row.get::<_, Option<u32>>(4)?.and_then(NonZeroU32::new),
        by: row.get(6)?,
        begun_at: UnixMs(row.get(7)?),
        expected: expected.map(|expected| u64::try_from(expected).unwrap_or(0)),
        cursor: event(8)?,
        upto: event(9)?,
        progress: serde_json::from_str(text(10)?).map_err(|error| unreadable(10, Box::new(error)))?,
        end: end.zip(row.get::<_, Option<i64>>(12)?.map(UnixMs)),
    })
}
