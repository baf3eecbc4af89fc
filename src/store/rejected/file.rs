//! The ring's file: one table, one connection, no promise. Nothing is flushed (`synchronous=OFF`), so it never waits where the store's own
//! file does; a process that is killed loses what was not committed, a machine that loses power may lose all of it.
//!
//! A request is counted in the pages it can fill, so that the bound holds for the file and not only for what was sent.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, params};

use super::{
    entry::{NewRejected, RejectedFilter, RejectedId, RejectedPage, RejectedRequest, RejectedSummary},
    holders::Holders,
};
use crate::{
    clock::UnixMs,
    event::{EventId, EventIds},
    name::SourceName,
    request::Headers,
};

/// `HGKR`: what kind of file it is, in the header of the file.
const APPLICATION_ID: i32 = 0x484B_4752;
/// Where a SQLite file has that number, big-endian.
const APPLICATION_ID_AT: usize = 68;
/// The one version of its table; another one is written by another hookgate, and is not touched.
const VERSION: i64 = 1;
/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;
/// Bytes of a row that still lie in the page of its tree; what is beyond goes to pages of its own.
const IN_PAGE_BYTES: u64 = 3800;
/// Bytes such a page holds.
const OVERFLOW_BYTES: u64 = PAGE_BYTES - 4;
/// Bytes of a row's columns that have no length of their own.
const FIXED_BYTES: u64 = 256;
/// Rows a list answers at most.
pub(super) const LIST_MAX: usize = 500;

const SCHEMA: &str = "
    -- One rejected request. What a list shows comes first, so that it reads no body. `event` is what it was admitted as.
    CREATE TABLE request(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, provider TEXT NOT NULL, reason TEXT NOT NULL,
        ip TEXT NOT NULL, client TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, body_bytes INTEGER,
        event INTEGER, query TEXT, head BLOB NOT NULL, body BLOB) STRICT;
";
const SUMMARY: &str = "id, at, source, provider, reason, ip, method, path, body_bytes, event";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// SQLite refuses.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It is not ours to write over.
    #[error("it is not a file of this version of hookgate; move it away, and a new one is made")]
    Foreign,
}

impl Trouble {
    /// Whether the file is damaged, so that a new one is better than this one.
    pub(super) fn is_damage(&self) -> bool {
        let damaged =
            |error: &rusqlite::Error| matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
        matches!(self, Self::Sqlite(error) if damaged(error))
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct File {
    conn: Connection,
    holders: Holders,
    ids: EventIds,
    bytes_max: u64,
}

impl File {
    /// Opens the file, or makes it, readable by its owner only.
    pub(super) fn open(path: &Path, bytes_max: u64) -> Result<Self, Trouble> {
        let kind = kind(path)?;
        if kind == Kind::Foreign {
            return Err(Trouble::Foreign);
        }
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.execute_batch(&format!("PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size={PAGE_BYTES};"))?;
        if kind == Kind::None {
            // Before there is a log: whoever is killed before the first checkpoint leaves a file that says whose it is all the same.
            conn.execute_batch(&format!("PRAGMA application_id={APPLICATION_ID};"))?;
        }
        conn.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
        conn.execute_batch(
            "PRAGMA synchronous=OFF; PRAGMA cache_size=-2048; PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;",
        )?;
        conn.query_row("PRAGMA journal_size_limit=8388608", [], |_| Ok(()))?;
        let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version {
            0 => conn.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;"))?,
            VERSION => {}
            _ => return Err(Trouble::Foreign),
        }
        let (holders, highest) = held(&conn)?;
        Ok(Self { conn, holders, ids: EventIds::above(highest, 0), bytes_max })
    }

    /// Bytes of the requests in it, in pages, and their number.
    pub(super) fn held(&self) -> (u64, usize) {
        (self.holders.bytes(), self.holders.requests())
    }

    /// Writes requests in one step, and makes room for them. After an error the file is to be opened anew.
    pub(super) fn write(&mut self, batch: &[NewRejected], now: UnixMs) -> Result<(), Trouble> {
        let step = self.conn.unchecked_transaction()?;
        for new in batch {
            let bytes = pages(new.bytes()) * PAGE_BYTES;
            while self.holders.bytes() + bytes > self.bytes_max {
                let Some(id) = self.holders.push_out() else { break };
                step.prepare_cached("DELETE FROM request WHERE id=?1")?.execute([id])?;
            }
            let id = self.ids.next(now).to_i64();
            let client = new.client.map(|client| client.to_string()).unwrap_or_default();
            let mut insert = step.prepare_cached(
                "INSERT INTO request(id, at, source, provider, reason, ip, client, method, path, bytes, body_bytes, query, head, body)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?;
            insert.execute(params![
                id,
                new.at.0,
                new.source.as_str(),
                &*new.provider,
                new.reason.code(),
                new.client_ip.to_string(),
                client,
                &*new.method,
                &*new.path,
                signed(bytes),
                new.body.as_ref().map(|body| signed(body.len() as u64)),
                new.query.as_deref(),
                &new.headers[..],
                new.body.as_deref(),
            ])?;
            self.holders.add(&new.source, &client, id, bytes);
        }
        Ok(step.commit()?)
    }

    /// Removes what came before this time.
    pub(super) fn expire(&mut self, before: UnixMs) -> Result<(), Trouble> {
        let below = EventId::first_at(before).to_i64();
        self.holders.expire(below);
        self.conn.prepare_cached("DELETE FROM request WHERE id < ?1")?.execute([below])?;
        Ok(())
    }

    /// Notes what a request was admitted as.
    pub(super) fn mark(&self, id: RejectedId, event: EventId) -> Result<(), Trouble> {
        self.conn.prepare_cached("UPDATE request SET event=?2 WHERE id=?1")?.execute([id.to_i64(), event.to_i64()])?;
        Ok(())
    }

    /// Kept requests.
    pub(super) fn list(&self, filter: &RejectedFilter) -> Result<RejectedPage, Trouble> {
        let limit = filter.limit.clamp(1, LIST_MAX);
        let (side, order, end) = if filter.rising { (">", "ASC", i64::MIN) } else { ("<", "DESC", i64::MAX) };
        let left = if filter.left { "AND event IS NULL" } else { "" };
        let mut select = self.conn.prepare_cached(&format!(
            "SELECT {SUMMARY} FROM request WHERE id {side} ?1 AND at >= ?2 AND (?3 IS NULL OR source = ?3) {left}
             ORDER BY id {order} LIMIT ?4"
        ))?;
        let beyond = filter.beyond.map_or(end, RejectedId::to_i64);
        let since = filter.since.map_or(i64::MIN, |since| since.0);
        // One more than was asked for tells whether there is a next page.
        let asked = params![beyond, since, filter.source.as_ref().map(SourceName::as_str), limit as i64 + 1];
        let rows = select.query_map(asked, summary)?;
        let mut items: Vec<RejectedSummary> = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.id);
        Ok(RejectedPage { items, next })
    }

    /// One kept request.
    pub(super) fn read(&self, id: RejectedId) -> Result<Option<RejectedRequest>, Trouble> {
        let mut select = self.conn.prepare_cached(&format!("SELECT {SUMMARY}, query, head, body FROM request WHERE id=?1"))?;
        let whole = |row: &Row<'_>| {
            let head = Headers::parse(Bytes::from(row.get::<_, Vec<u8>>(11)?));
            let body: Option<Vec<u8>> = row.get(12)?;
            let query: Option<Box<str>> = row.get(10)?;
            let parts = summary(row)?.zip(head);
            Ok(parts.map(|(summary, headers)| RejectedRequest { summary, query, headers, body: body.map(Bytes::from) }))
        };
        Ok(select.query_row([id.to_i64()], whole).optional()?.flatten())
    }
}

/// Reads a row; `None` when it holds what this program would not have written.
fn summary(row: &Row<'_>) -> rusqlite::Result<Option<RejectedSummary>> {
    let (id, source) = (RejectedId::from_i64(row.get(0)?), SourceName::parse(&row.get::<_, Box<str>>(2)?));
    let Some((id, source)) = id.zip(source) else { return Ok(None) };
    Ok(Some(RejectedSummary {
        id,
        at: UnixMs(row.get(1)?),
        source,
        provider: row.get(3)?,
        reason: row.get(4)?,
        client_ip: row.get(5)?,
        method: row.get(6)?,
        path: row.get(7)?,
        body_bytes: row.get::<_, Option<i64>>(8)?.and_then(|bytes| u64::try_from(bytes).ok()),
        admitted: row.get::<_, Option<i64>>(9)?.and_then(EventId::from_i64),
    }))
}

/// Whose requests the file holds, and the highest id.
fn held(conn: &Connection) -> Result<(Holders, i64), Trouble> {
    let mut holders = Holders::default();
    let mut highest = 0;
    let mut select = conn.prepare("SELECT id, source, client, bytes FROM request ORDER BY id")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        highest = row.get(0)?;
        let (source, client): (Box<str>, Box<str>) = (row.get(1)?, row.get(2)?);
        if let Some(source) = SourceName::parse(&source) {
            holders.add(&source, &client, highest, u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0));
        }
    }
    Ok((holders, highest))
}

/// Pages that a request of so many bytes can fill: one of the tree, and those of its own.
fn pages(bytes: u64) -> u64 {
    let bytes = bytes.saturating_add(FIXED_BYTES);
    if bytes <= IN_PAGE_BYTES { 1 } else { 1 + bytes.div_ceil(OVERFLOW_BYTES) }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What lies where the ring's file should be.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    None,
    Ours,
    Foreign,
}

/// Looks at the header of the file, before SQLite changes anything in it.
fn kind(path: &Path) -> io::Result<Kind> {
    let mut header = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(100).read_to_end(&mut header)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kind::None),
        Err(error) => return Err(error),
    };
    let own = header.get(APPLICATION_ID_AT..APPLICATION_ID_AT + 4) == Some(&APPLICATION_ID.to_be_bytes());
    Ok(match header.as_slice() {
        [] => Kind::None,
        _ if own => Kind::Ours,
        _ => Kind::Foreign,
    })
}

/// Removes the file and what SQLite keeps beside it; what is not ours stays.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if kind(path)? == Kind::Foreign {
        return Ok(());
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(PathBuf::from(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
