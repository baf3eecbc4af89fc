//! Admitting an event: the dedup record, the event, its bytes and its deliveries in one transaction; or the finding that it is a repeat.

use rusqlite::{Connection, OptionalExtension, Result, Statement, params};
use serde::Serializer as _;
use smallvec::SmallVec;

use crate::{
    clock::{Now, UnixMs},
    delivery::{DeadReason, DeliveryId, State},
    event::{EventId, EventTypes, Payload},
    lease::{Lease, PayloadRef, Token},
    limits::LEASE_LOCAL_MARGIN,
    metrics::Metrics,
    store::{Admission, NewEvent, Owed, Start},
};

use super::{
    memory::{Turn, state_of},
    order::{self, Place},
    seen::Record,
};

/// What an admit did; its effects outside follow the commit.
#[derive(Debug)]
pub(super) struct Admitted {
    /// What the caller is told.
    pub(super) admission: Admission,
    effects: Effects,
    now: Now,
}

#[derive(Debug)]
enum Effects {
    /// How the deliveries were born, by place in `owed`.
    Born(SmallVec<[Born; 4]>),
    /// Places in `owed` that got a new delivery.
    Revived(SmallVec<[usize; 4]>),
    /// Run again: whatever was born leased may be held by nobody, so everybody looks.
    Again,
}

/// How a delivery was born, as far as its slot and its gate need to know.
#[derive(Clone, Copy, Debug)]
enum Born {
    /// Leased, under this token.
    Leased(Token),
    /// Due, and to be claimed.
    Waiting,
    /// To be found by nobody now: it is dead, or another of its key goes first.
    Still,
}

/// The statements.
pub(super) struct Sql<'c> {
    event: Statement<'c>,
    payload: Statement<'c>,
    delivery: Statement<'c>,
    exists: Statement<'c>,
    latest: Statement<'c>,
    last_slot: Statement<'c>,
    /// Types as JSON, written here again and again.
    types: Vec<u8>,
}

/// A delivery's columns at birth.
struct Birth {
    id: DeliveryId,
    target: i64,
    state: State,
    due: Option<UnixMs>,
    attempt: u32,
    token: Option<Token>,
    variant: u8,
    dead: Option<DeadReason>,
    replay_of: Option<u8>,
    place: Option<Place>,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            event: conn
                .prepare("INSERT INTO event(id, source, types, provider_id, at) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO NOTHING")?,
            payload: conn.prepare("INSERT INTO payload(event, v, head, body, crc) VALUES(?1, ?2, ?3, ?4, ?5)")?,
            delivery: conn.prepare(
                "INSERT INTO delivery(event, slot, target, state, due, attempt, failures, crashes, token, v, first_at, done_at, dead,
                     replay_of, ord, rank) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?,
            exists: conn.prepare("SELECT EXISTS(SELECT 1 FROM event WHERE id=?1)")?,
            latest: conn.prepare("SELECT slot, state, v, ord FROM delivery WHERE event=?1 AND target=?2 ORDER BY slot DESC LIMIT 1")?,
            last_slot: conn.prepare("SELECT max(slot) FROM delivery WHERE event=?1")?,
            types: Vec::with_capacity(256),
        })
    }

    fn write_event(&mut self, event: &NewEvent, source: i64) -> Result<bool> {
        let types = types_to_json(&event.types, &mut self.types)?;
        let changed =
            self.event.execute(params![event.id.to_i64(), source, types, event.provider_event_id.as_deref(), event.received_at.0])?;
        Ok(changed == 1)
    }

    fn write_delivery(&mut self, birth: &Birth, now: UnixMs) -> Result<()> {
        let done_at = (birth.state == State::Dead).then_some(now.0);
        self.delivery.execute(params![
            birth.id.event.to_i64(),
            birth.id.slot,
            birth.target,
            birth.state as i64,
            birth.due.map(|due| due.0),
            birth.attempt,
            birth.token.map(|token| token.0),
            birth.variant,
            now.0,
            done_at,
            birth.dead.map(DeadReason::code),
            birth.replay_of,
            birth.place.map(|place| place.ord),
            birth.place.map(|place| place.rank),
        ])?;
        Ok(())
    }
}

/// Writes the event with everything that belongs to it, or finds out that it is known. `crcs` are its payloads' checksums.
pub(super) fn admit(turn: &mut Turn<'_, '_>, event: &NewEvent, crcs: &[u32]) -> Result<Admitted> {
    let now = turn.now;
    let answer = |admission, effects| Ok(Admitted { admission, effects, now });
    let found = turn.memory.tail.find(&turn.staged.seen, &mut turn.sql.seen, event.key, now.wall)?;
    if found.is_some_and(|found| found.event == event.id) {
        return answer(Admission::Accepted, Effects::Again);
    }
    if let Some(first) = found.filter(|found| found.live).map(|found| found.event) {
        if turn.sql.admit.exists.query_row([event.id.to_i64()], |row| row.get(0))? {
            return answer(Admission::Accepted, Effects::Again);
        }
        let revived = if event.revive { revive(turn, first, &event.owed)? } else { SmallVec::new() };
        let count = u32::try_from(revived.len()).unwrap_or(u32::MAX);
        return answer(Admission::Duplicate { first, revived: count }, Effects::Revived(revived));
    }
    let source = turn.memory.names.source(&mut turn.staged.names, &mut turn.sql.names, &event.source)?;
    if !turn.sql.admit.write_event(event, source)? {
        return answer(Admission::Accepted, Effects::Again);
    }
    let record = Record { event: event.id, expires: now.wall.after(event.window) };
    turn.staged.seen.append(&mut turn.sql.seen, event.key, record)?;
    for (variant, (payload, crc)) in (0_i64..).zip(event.payloads.iter().zip(crcs)) {
        turn.sql.admit.payload.execute(params![event.id.to_i64(), variant, &payload.head[..], &payload.body[..], crc])?;
    }
    let mut born = SmallVec::new();
    for (slot, owed) in event.owed.iter().enumerate() {
        born.push(give_birth(turn, event, slot_of(slot)?, owed)?);
    }
    answer(Admission::Accepted, Effects::Born(born))
}

/// Writes one delivery of a new event.
fn give_birth(turn: &mut Turn<'_, '_>, event: &NewEvent, slot: u8, owed: &Owed) -> Result<Born> {
    let now = turn.now.wall;
    let target = turn.memory.names.target(&mut turn.staged.names, &mut turn.sql.names, &owed.target)?;
    let place = owed.order.map(|order| order::join(turn, target, order.cast_signed())).transpose()?;
    let waiting = Birth {
        id: DeliveryId { event: event.id, slot },
        target,
        state: State::Pending,
        due: Some(now),
        attempt: 0,
        token: None,
        variant: owed.variant,
        dead: None,
        replay_of: None,
        place,
    };
    let birth = match &owed.start {
        Start::Leased(..) | Start::Waiting if place.is_some_and(|place| place.is_blocked) => {
            Birth { state: State::Blocked, due: None, ..waiting }
        }
        Start::Leased(_, lease) if usize::from(owed.variant) < event.payloads.len() => {
            let token = turn.staged.token();
            Birth { state: State::InFlight, due: Some(now.after(*lease)), attempt: 1, token: Some(token), ..waiting }
        }
        Start::Leased(..) | Start::Waiting => waiting,
        Start::Dead(reason) => Birth { state: State::Dead, due: None, dead: Some(*reason), ..waiting },
    };
    turn.sql.admit.write_delivery(&birth, now)?;
    turn.staged.count(target, birth.state, now, 1);
    Ok(match (birth.state, birth.token) {
        (_, Some(token)) => Born::Leased(token),
        (State::Pending, None) => Born::Waiting,
        (_, None) => Born::Still,
    })
}

/// Gives each of these targets whose latest delivery of the event is dead a new one; the places in `owed` that got one.
fn revive(turn: &mut Turn<'_, '_>, first: EventId, owed: &[Owed]) -> Result<SmallVec<[usize; 4]>> {
    let now = turn.now.wall;
    let mut revived = SmallVec::new();
    for (which, owed) in owed.iter().enumerate() {
        let target = turn.memory.names.target(&mut turn.staged.names, &mut turn.sql.names, &owed.target)?;
        let latest = turn.sql.admit.latest.query_row(params![first.to_i64(), target], |row| {
            Ok((row.get::<_, u8>(0)?, state_of(row, 1)?, row.get::<_, u8>(2)?, row.get::<_, Option<i64>>(3)?))
        });
        let Some((dead, State::Dead, variant, ord)) = latest.optional()? else { continue };
        let last: u8 = turn.sql.admit.last_slot.query_row([first.to_i64()], |row| row.get(0))?;
        // Slots are one byte; an event revived that often stays dead, and can be rung anew once its window is over.
        let Some(slot) = last.checked_add(1) else { continue };
        let place = ord.map(|ord| order::join(turn, target, ord)).transpose()?;
        let is_blocked = place.is_some_and(|place| place.is_blocked);
        let birth = Birth {
            id: DeliveryId { event: first, slot },
            target,
            state: if is_blocked { State::Blocked } else { State::Pending },
            due: (!is_blocked).then_some(now),
            attempt: 0,
            token: None,
            variant,
            dead: None,
            replay_of: Some(dead),
            place,
        };
        turn.sql.admit.write_delivery(&birth, now)?;
        turn.staged.count(target, birth.state, now, 1);
        revived.push(which);
    }
    Ok(revived)
}

impl Admitted {
    /// After the commit: counts what was born, fills the slots of what was born leased and announces what waits.
    pub(super) fn hand_over(self, event: NewEvent, metrics: &Metrics) {
        let NewEvent { id, owed, payloads, .. } = event;
        match self.effects {
            Effects::Born(born) => {
                for (slot, (owed, born)) in owed.into_iter().zip(born).enumerate() {
                    let Ok(slot) = slot_of(slot) else { continue };
                    let id = DeliveryId { event: id, slot };
                    count(&owed, metrics);
                    hand_over_one(id, owed, born, &payloads, self.now);
                }
            }
            Effects::Revived(places) => {
                for owed in places.into_iter().filter_map(|place| owed.get(place)) {
                    count(owed, metrics);
                    announce(owed);
                }
            }
            Effects::Again => owed.iter().for_each(announce),
        }
    }
}

/// After a commit of unknown outcome: whatever may be there has to be looked for.
pub(super) fn announce_unknown(event: &NewEvent) {
    event.owed.iter().for_each(announce);
}

fn hand_over_one(id: DeliveryId, owed: Owed, born: Born, payloads: &[Payload], now: Now) {
    match (owed.start, born, payloads.get(usize::from(owed.variant))) {
        (Start::Leased(slot, lease), Born::Leased(token), Some(payload)) => {
            let lease = Lease {
                id,
                target: owed.target,
                token,
                attempt: 1,
                failures: 0,
                crashes: 0,
                trials: 0,
                first_at: now.wall,
                replay_of: None,
                until: now.mono + lease.saturating_sub(LEASE_LOCAL_MARGIN),
                payload: PayloadRef::InStore(owed.variant),
            };
            slot.fill(lease, payload.clone(), owed.variant);
        }
        // A slot goes back.
        (Start::Dead(_), ..) | (_, Born::Still, _) => {}
        (Start::Leased(..) | Start::Waiting, ..) => owed.gate.iter().for_each(|gate| gate.announce()),
    }
}

/// Counted here and not where the answer is waited for: a provider that was answered late has its deliveries all the same.
fn count(owed: &Owed, metrics: &Metrics) {
    metrics.target(&owed.target).iter().for_each(|target| target.created.inc());
}

fn announce(owed: &Owed) {
    owed.gate.iter().for_each(|gate| gate.announce());
}

fn slot_of(place: usize) -> Result<u8> {
    u8::try_from(place).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, i64::from(u8::MAX) + 1))
}

fn types_to_json<'b>(types: &EventTypes, buffer: &'b mut Vec<u8>) -> Result<&'b str> {
    buffer.clear();
    let written = serde_json::Serializer::new(&mut *buffer).collect_seq(types.iter());
    written.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    std::str::from_utf8(buffer).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
