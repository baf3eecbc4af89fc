//! What readers ask: the bytes of deliveries, and an event as an operator sees it. One statement per answer, so that each is one moment and
//! none holds a read transaction open.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result, Row, Statement, params};

use crate::{
    clock::UnixMs,
    delivery::{AttemptResult, DeadReason, DeliveryId},
    event::{EventId, EventTypes, Payload},
    name::{SourceName, TargetName},
    store::{AttemptView, DeliveryView, EventView},
};

use super::{jobs, lists, memory::state_of};

const PAYLOAD: &str = "SELECT head, body, crc FROM payload WHERE event=?1 AND v=?2";
const EVENT: &str = "SELECT s.name, e.types, e.provider_id, e.at,
        d.slot, t.name, d.state, d.due, d.attempt, d.failures, d.crashes, d.replay_of, d.first_at, d.done_at, d.status, d.dead,
        a.n, a.at, a.ms, a.result, a.status, a.excerpt
    FROM event e JOIN name s ON s.id=e.source
        LEFT JOIN delivery d ON d.event=e.id LEFT JOIN name t ON t.id=d.target
        LEFT JOIN attempt a ON a.event=d.event AND a.slot=d.slot
    WHERE e.id=?1 ORDER BY d.slot, a.n";

/// The statements of a reader.
pub(super) struct Sql<'c> {
    payload: Statement<'c>,
    event: Statement<'c>,
    pub(super) lists: lists::Sql<'c>,
    pub(super) acts: jobs::Looks<'c>,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            payload: conn.prepare(PAYLOAD)?,
            event: conn.prepare(EVENT)?,
            lists: lists::Sql::prepare(conn)?,
            acts: jobs::Looks::prepare(conn)?,
        })
    }

    /// The bytes; `None` where they are gone or do not match their checksum: wrong bytes are never sent.
    pub(super) fn payload(&mut self, event: EventId, variant: u8) -> Result<Option<Payload>> {
        let stored = self.payload.query_row(params![event.to_i64(), variant], |row| {
            // One allocation each, straight from SQLite's page.
            let head = Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?);
            let body = Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?);
            Ok((Payload { head, body }, row.get::<_, u32>(2)?))
        });
        Ok(stored.optional()?.filter(|(payload, crc)| payload.crc() == *crc).map(|(payload, _)| payload))
    }

    /// One event with its deliveries and failed attempts.
    pub(super) fn event(&mut self, id: EventId) -> Result<Option<EventView>> {
        let mut rows = self.event.query([id.to_i64()])?;
        let mut view: Option<EventView> = None;
        while let Some(row) = rows.next()? {
            let view = match &mut view {
                Some(view) => view,
                None => view.insert(event_of(row, id)?),
            };
            let Some(slot) = row.get::<_, Option<u8>>(4)? else { continue };
            if view.deliveries.last().is_none_or(|last| last.id.slot != slot) {
                view.deliveries.push(delivery_of(row, DeliveryId { event: id, slot })?);
            }
            let Some(delivery) = view.deliveries.last_mut() else { continue };
            delivery.attempts.extend(attempt_of(row)?);
        }
        Ok(view)
    }
}

pub(super) fn event_of(row: &Row<'_>, id: EventId) -> Result<EventView> {
    let types: String = row.get(1)?;
    let types: Vec<Box<str>> = serde_json::from_str(&types).map_err(|error| unreadable(1, Box::new(error)))?;
    Ok(EventView {
        id,
        source: SourceName::known(row.get_ref(0)?.as_str()?).ok_or_else(|| unreadable(0, "not a source's name".into()))?,
        types: EventTypes::new(types),
        provider_event_id: row.get(2)?,
        received_at: UnixMs(row.get(3)?),
        deliveries: Vec::new(),
    })
}

pub(super) fn delivery_of(row: &Row<'_>, id: DeliveryId) -> Result<DeliveryView> {
    let dead: Option<String> = row.get(15)?;
    Ok(DeliveryView {
        id,
        target: TargetName::parse(row.get_ref(5)?.as_str()?).ok_or_else(|| unreadable(5, "not a target's name".into()))?,
        state: state_of(row, 6)?,
        due: row.get::<_, Option<i64>>(7)?.map(UnixMs),
        attempt: row.get(8)?,
        failures: row.get(9)?,
        crashes: row.get(10)?,
        replay_of: row.get(11)?,
        first_at: UnixMs(row.get(12)?),
        done_at: row.get::<_, Option<i64>>(13)?.map(UnixMs),
        status: row.get(14)?,
        dead: dead.map(|code| reason_of(&code).ok_or_else(|| unreadable(15, "not a reason".into()))).transpose()?,
        attempts: Vec::new(),
    })
}

pub(super) fn attempt_of(row: &Row<'_>) -> Result<Option<AttemptView>> {
    let Some(attempt) = row.get::<_, Option<u32>>(16)? else { return Ok(None) };
    let result: String = row.get(19)?;
    let result = AttemptResult::ALL.into_iter().find(|known| known.code() == result);
    Ok(Some(AttemptView {
        attempt,
        at: UnixMs(row.get(17)?),
        took_ms: u64::try_from(row.get::<_, i64>(18)?).unwrap_or(0),
        result: result.ok_or_else(|| unreadable(19, "not a result".into()))?,
        status: row.get(20)?,
        excerpt: row.get(21)?,
    }))
}

fn reason_of(code: &str) -> Option<DeadReason> {
    DeadReason::ALL.into_iter().find(|reason| reason.code() == code)
}

/// An error that says what a stored value is not.
pub(super) fn unreadable(column: usize, why: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why)
}
