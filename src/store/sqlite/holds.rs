//! When lanes were held: a bounded list for each target, written whole when a hold begins or ends, read once when the store is opened.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, Statement, params};

use crate::{
    clock::{Span, UnixMs},
    name::TargetName,
};

use super::memory::Turn;

/// The statements.
pub(super) struct Sql<'c> {
    forget: Statement<'c>,
    keep: Statement<'c>,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            forget: conn.prepare("DELETE FROM hold WHERE target=?1")?,
            keep: conn.prepare("INSERT OR REPLACE INTO hold(target, from_at, to_at) VALUES(?1, ?2, ?3)")?,
        })
    }
}

/// Puts these spans in place of what was kept of the target.
pub(super) fn keep(turn: &mut Turn<'_, '_>, target: &TargetName, spans: &[Span]) -> Result<()> {
    let target = turn.memory.names.target(&mut turn.staged.names, &mut turn.sql.names, target)?;
    let sql = &mut turn.sql.holds;
    sql.forget.execute([target])?;
    spans.iter().try_for_each(|span| sql.keep.execute(params![target, span.from.0, span.to.map(|to| to.0)]).map(drop))
}

/// What is kept.
pub(super) fn load(conn: &Connection) -> Result<BTreeMap<TargetName, Vec<Span>>> {
    let mut holds = BTreeMap::<TargetName, Vec<Span>>::new();
    let mut all =
        conn.prepare("SELECT n.name, h.from_at, h.to_at FROM hold h JOIN name n ON n.id=h.target ORDER BY h.target, h.from_at")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let span = Span { from: UnixMs(row.get(1)?), to: row.get::<_, Option<i64>>(2)?.map(UnixMs) };
        if let Some(target) = TargetName::parse(row.get_ref(0)?.as_str()?) {
            holds.entry(target).or_default().push(span);
        }
    }
    Ok(holds)
}
