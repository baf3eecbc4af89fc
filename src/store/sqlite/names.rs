//! Names of sources and targets as small numbers: rows carry the number, memory has all of them.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, Statement};

use crate::name::{SourceName, TargetName};

const SOURCE: i64 = 0;
const TARGET: i64 = 1;

/// The names that are durable.
#[derive(Debug, Default)]
pub(super) struct Names {
    sources: HashMap<SourceName, i64>,
    targets: HashMap<TargetName, i64>,
    target_names: HashMap<i64, TargetName>,
}

/// Names first written in the transaction under way.
#[derive(Debug, Default)]
pub(super) struct NewNames {
    sources: Vec<(SourceName, i64)>,
    targets: Vec<(TargetName, i64)>,
}

/// The statements.
pub(super) struct Sql<'c> {
    find: Statement<'c>,
    insert: Statement<'c>,
}

impl<'c> Sql<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            find: conn.prepare("SELECT id FROM name WHERE kind=?1 AND name=?2")?,
            insert: conn.prepare("INSERT INTO name(kind, name) VALUES(?1, ?2) RETURNING id")?,
        })
    }

    fn number(&mut self, kind: i64, name: &str) -> Result<i64> {
        match self.find.query_row((kind, name), |row| row.get(0)).optional()? {
            Some(id) => Ok(id),
            None => self.insert.query_row((kind, name), |row| row.get(0)),
        }
    }
}

impl Names {
    /// Reads all of them.
    pub(super) fn load(conn: &Connection) -> Result<Self> {
        let mut names = Self::default();
        let mut all = conn.prepare("SELECT id, kind, name FROM name")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let (id, kind, name): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            match kind {
                SOURCE => names.sources.extend(SourceName::known(&name).map(|name| (name, id))),
                _ => names.learn(TargetName::parse(&name).map(|name| (name, id))),
            }
        }
        Ok(names)
    }

    /// The number of a target that is known.
    pub(super) fn known_target(&self, name: &TargetName) -> Option<i64> {
        self.targets.get(name).copied()
    }

    /// The name of a known target.
    pub(super) fn target_name(&self, id: i64) -> Option<&TargetName> {
        self.target_names.get(&id)
    }

    /// The numbers of all known targets.
    pub(super) fn target_ids(&self) -> impl Iterator<Item = i64> {
        self.target_names.keys().copied()
    }

    /// The number of a target, written now if it is new.
    pub(super) fn target(&self, new: &mut NewNames, sql: &mut Sql<'_>, name: &TargetName) -> Result<i64> {
        let known = self.known_target(name).or_else(|| new.targets.iter().find(|(other, _)| other == name).map(|(_, id)| *id));
        if let Some(id) = known {
            return Ok(id);
        }
        let id = sql.number(TARGET, name.as_str())?;
        new.targets.push((name.clone(), id));
        Ok(id)
    }

    /// The number of a source, written now if it is new.
    pub(super) fn source(&self, new: &mut NewNames, sql: &mut Sql<'_>, name: &SourceName) -> Result<i64> {
        let known = self.sources.get(name).copied();
        let known = known.or_else(|| new.sources.iter().find(|(other, _)| other == name).map(|(_, id)| *id));
        if let Some(id) = known {
            return Ok(id);
        }
        let id = sql.number(SOURCE, name.as_str())?;
        new.sources.push((name.clone(), id));
        Ok(id)
    }

    /// After the commit: the new names are durable.
    pub(super) fn apply(&mut self, new: &mut NewNames) {
        self.sources.extend(new.sources.drain(..));
        self.learn(new.targets.drain(..));
    }

    fn learn(&mut self, targets: impl IntoIterator<Item = (TargetName, i64)>) {
        for (name, id) in targets {
            self.target_names.insert(id, name.clone());
            self.targets.insert(name, id);
        }
    }
}

impl NewNames {
    /// After a rollback: they were never written.
    pub(super) fn clear(&mut self) {
        self.sources.clear();
        self.targets.clear();
    }
}
