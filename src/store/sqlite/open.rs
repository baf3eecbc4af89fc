//! Opening the file: whether it may be opened at all, whose it is, and what a crash left in it.
//!
//! Nothing in the file is believed before the write-ahead log has been checkpointed with TRUNCATE: after a failed flush the log's frames
//! may be in the page cache only, and a checkpoint writes and flushes them anew. No step scans deliveries or payloads, so a start with a
//! million waiting deliveries takes no longer than one with none.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, params};

use crate::{
    clock::{Clock, Span, UnixMs},
    faults::{Fault, planted},
    limits::BACKOFF_MAX,
    name::TargetName,
    plan::{Level, StoreSettings},
    regular,
};

use super::{
    holds,
    memory::Memory,
    room::{beside, make_room_to_start},
    schema::{self, Kind},
};

/// The least SQLite library: earlier ones can corrupt a file in WAL mode (<https://sqlite.org/wal.html>, "WAL-reset bug").
const LIBRARY_MIN: i32 = 3_051_003;
/// Time between two tries for the lock.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the file.
    #[error("{} is held by {}; one process owns a store: stop that one first", path.display(), holder_text(*holder))]
    Locked {
        /// The database file.
        path: PathBuf,
        /// The process that holds it, when it said so.
        holder: Option<u32>,
    },
    /// The file or its directory could not be read or written.
    #[error("cannot {action} {}: {why}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system or SQLite said.
        why: String,
    },
    /// The file contradicts itself: starting again changes nothing, and going on could make it worse.
    #[error("the store {} is damaged: {why}", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// The SQLite library is one that can corrupt a file.
    #[error("the SQLite library is {0}, which can corrupt a database in WAL mode; at least 3.51.3 is needed")]
    OldLibrary(&'static str),
    /// It will not get better by starting again: the path, the file system or the file is not one to use.
    #[error("{} cannot be the store: {why}", path.display())]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
}

impl OpenError {
    /// The exit code of a process that ends because of it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OldLibrary(_) => 70,
            Self::Io { .. } => super::fatal::EXIT_IO,
            Self::Locked { .. } => 75,
            Self::Unusable { .. } | Self::Damaged { .. } => 78,
        }
    }

    /// What to do about it, as it is put behind the text; empty where the text says it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => {
                "; `hookgate store check` says how far. Nothing was changed in it: keep it, and put a copy that `hookgate store backup` \
                 made in its place (without its -wal and -shm), or move it away to begin with an empty one"
            }
            _ => "",
        }
    }

    fn io(action: &'static str, path: &Path, why: &dyn std::fmt::Display) -> Self {
        Self::Io { action, path: path.to_owned(), why: why.to_string() }
    }

    fn unusable(path: &Path, why: impl Into<String>) -> Self {
        Self::Unusable { path: path.to_owned(), why: why.into() }
    }
}

/// The right to the file, held by the lock on a file beside it for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// A file that is open, of this version, and believed.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) lock: Lock,
    pub(super) level: Level,
    pub(super) boots: i64,
    pub(super) memory: Memory,
    pub(super) highest_event_id: i64,
    pub(super) holds: Holds,
    /// The disk was full, and the ballast is given up.
    pub(super) disk_full: bool,
}

/// When lanes were held.
type Holds = BTreeMap<TargetName, Vec<Span>>;

/// Opens the file, creating it when it is not there, and takes it over from whatever process had it before.
pub(super) fn open(settings: &StoreSettings, lease_max: Duration, clock: &Clock, merge_at: usize) -> Result<Opened, OpenError> {
    let path = settings.path.as_path();
    if rusqlite::version_number() < LIBRARY_MIN {
        return Err(OpenError::OldLibrary(rusqlite::version()));
    }
    let directory = directory_of(path);
    make_directory(directory).map_err(|error| OpenError::io("create the directory", directory, &error))?;
    let level = level_of(path, directory)?;
    if settings.durability.is_some_and(|least| level < least) {
        let why = "its file system is kept in memory, and `store.durability` asks for more; put it on a disk";
        return Err(OpenError::unusable(path, why));
    }
    let lock = lock(path, settings.lock_wait)?;
    let disk_full = make_room_to_start(path, directory).map_err(|error| OpenError::io("give up the ballast beside", path, &error))?;
    let conn = connect(path)?;
    let take_over = || -> rusqlite::Result<(i64, Memory, i64, Holds)> {
        schema::migrate(&conn)?;
        let memory = Memory::load(&conn, merge_at)?;
        let boots = boot(&conn, &memory, lease_max, clock.wall())?;
        // The boot moved leases back to waiting: what is counted has changed with it.
        let memory = if boots > 1 { Memory::load(&conn, merge_at)? } else { memory };
        let highest = conn.query_row("SELECT coalesce(max(id), 0) FROM event", [], |row| row.get(0))?;
        Ok((boots, memory, highest, holds::load(&conn)?))
    };
    let (boots, memory, highest_event_id, holds) = take_over().map_err(|error| of_sqlite("start from", path, &error))?;
    Ok(Opened { conn, lock, level, boots, memory, highest_event_id, holds, disk_full })
}

/// Takes the lock beside the file, waiting for another process to let go of it for so long at most.
pub(super) fn lock(path: &Path, wait: Duration) -> Result<Lock, OpenError> {
    let beside = beside(path, ".lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&beside);
    let mut file = opened.map_err(|error| OpenError::io("open", &beside, &error))?;
    let mut left = wait;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(OpenError::io("lock", &beside, &error)),
            Err(TryLockError::WouldBlock) if left.is_zero() => {
                return Err(OpenError::Locked { path: path.to_owned(), holder: holder_of(&mut file) });
            }
            Err(TryLockError::WouldBlock) => {
                thread::sleep(LOCK_RETRY.min(left));
                left = left.saturating_sub(LOCK_RETRY);
            }
        }
    }
    write_holder(&mut file).map_err(|error| OpenError::io("write", &beside, &error))?;
    Ok(Lock { _file: file })
}

/// Opens the writing connection: looks first, then sets it up, then makes the log part of the file.
pub(super) fn connect(path: &Path) -> Result<Connection, OpenError> {
    let of = |action| move |error: rusqlite::Error| of_sqlite(action, path, &error);
    // Opening a FIFO to write would wait for its reader.
    regular::unless_other(path).map_err(|error| OpenError::unusable(path, format!("{error}; name another one")))?;
    // Made by us, so that it is nobody else's to read; SQLite gives its own files the same mode.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|error| OpenError::io("open", path, &error))?;
    let conn =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(of("open"))?;
    // Until it is known to be ours, nothing is moved in it, not even by letting go of it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(of("open"))?;
    match schema::kind(&conn).map_err(of("read"))? {
        Kind::New | Kind::Ours => {}
        Kind::Newer(found) => {
            let known = schema::version();
            let why = format!("it was written by a later hookgate (version {found}, this one knows {known}); run that one, or a newer");
            return Err(OpenError::unusable(path, why));
        }
        Kind::Foreign => return Err(OpenError::unusable(path, "it is another program's database; name another file")),
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(of("open"))?;
    if let Err(setting) = schema::configure(&conn).map_err(of("set up"))? {
        return Err(OpenError::unusable(path, format!("{setting} does not take on it; put it on a local disk")));
    }
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(of("recover"))?;
    if busy {
        return Err(OpenError::io("recover", path, &"another program has the file open"));
    }
    Ok(conn)
}

/// Makes every lease void and every time sane, in one transaction; how often the file has been opened.
fn boot(conn: &Connection, memory: &Memory, lease_max: Duration, now: UnixMs) -> rusqlite::Result<i64> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let boots =
        conn.query_row("INSERT INTO meta(k, v) VALUES('boots', 1) ON CONFLICT(k) DO UPDATE SET v=v+1 RETURNING v", [], |row| row.get(0))?;
    for target in memory.names.target_ids() {
        if !planted(Fault::BootWithoutVoiding) {
            void_leases(conn, target, memory.in_flight(target), lease_max, now)?;
        }
        // A due time beyond the longest delay was written under a clock that had run ahead.
        conn.execute(CLAMP, params![now.0, target, now.after(BACKOFF_MAX).0])?;
    }
    conn.execute_batch("COMMIT")?;
    Ok(boots)
}

/// Leases of a target that end in a range of time, made void; a trial counts against its delivery. The range keeps it from walking every
/// delivery that backs off.
pub(super) const VOID: &str =
    "UPDATE delivery SET state=0, due=?1, crashes=crashes+1, trials=trials+(tried IS token) WHERE (event, slot) IN (
    SELECT event, slot FROM delivery INDEXED BY delivery_due WHERE target=?2 AND due>?3 AND due<=?4 AND state=1)
    RETURNING first_at";
pub(super) const CLAMP: &str = "UPDATE delivery SET due=?1 WHERE (event, slot) IN (
    SELECT event, slot FROM delivery INDEXED BY delivery_due WHERE target=?2 AND due>?3)";

fn void_leases(conn: &Connection, target: i64, in_flight: i64, lease_max: Duration, now: UnixMs) -> rusqlite::Result<()> {
    let mut left = in_flight;
    // First where leases of a process that ended just now are. The rest, only when some are missing: what ran out while nothing ran, and
    // what a clock that was set back has put further ahead. The tallies are exact, so a clean start walks nothing.
    for (from, upto) in [(now.0, now.after(lease_max).0), (i64::MIN, now.0), (now.after(lease_max).0, i64::MAX)] {
        if left <= 0 {
            break;
        }
        let mut void = conn.prepare(VOID)?;
        let mut rows = void.query(params![now.0, target, from, upto])?;
        while let Some(row) = rows.next()? {
            let minute = row.get::<_, i64>(0)?.div_euclid(crate::store::tally::MINUTE_MS);
            for (state, change) in [(1, -1), (0, 1)] {
                conn.prepare_cached(
                    "INSERT INTO tally(target, state, minute, n) VALUES(?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET n=n+excluded.n",
                )?
                .execute(params![target, state, minute, change])?;
            }
            left -= 1;
        }
    }
    conn.execute("DELETE FROM tally WHERE n=0", [])?;
    Ok(())
}

/// Makes the directory, durable and ours alone, when it is not there, and those above it that are missing.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let missing = missing(directory);
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // The store flushes what is in its directory; the entry of each directory that was made is flushed here.
    missing.into_iter().try_for_each(|made| File::open(directory_of(made))?.sync_all())
}

/// The directory and those above it that are not there, the innermost first.
fn missing(directory: &Path) -> Vec<&Path> {
    directory.ancestors().take_while(|one| !one.as_os_str().is_empty() && !one.is_dir()).collect()
}

/// The directory a file is in.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a commit on this file system survives; network file systems are refused, because their locks and flushes cannot be trusted.
#[cfg(target_os = "linux")]
fn level_of(path: &Path, directory: &Path) -> Result<Level, OpenError> {
    // Magic numbers of statfs(2).
    const NETWORK: [(i64, &str); 5] = [(0x6969, "NFS"), (0x517B, "SMB"), (0xFF53_4D42, "CIFS"), (0xFE53_4D42, "SMB2"), (0x0102_1997, "9p")];
    const MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58F6];
    const OVERLAY: i64 = 0x794C_7630;
    let kind = rustix::fs::statfs(directory).map_err(|error| OpenError::io("look at the file system of", directory, &error))?.f_type;
    // Its width differs between platforms.
    let kind = kind as i64;
    if let Some((_, name)) = NETWORK.iter().find(|(magic, _)| *magic == kind) {
        return Err(OpenError::unusable(path, format!("it is on {name}, where a write-ahead log is not safe; put it on a local disk")));
    }
    if MEMORY.contains(&kind) {
        tracing::warn!(event = "store", path = %path.display(), "the store is on a file system kept in memory: a reboot loses it");
        return Ok(Level::Ephemeral);
    }
    if kind == OVERLAY {
        tracing::warn!(event = "store", path = %path.display(), "the store is in a container's own layer and goes with it: mount a volume");
    }
    Ok(Level::Embedded)
}

#[cfg(not(target_os = "linux"))]
fn level_of(_path: &Path, _directory: &Path) -> Result<Level, OpenError> {
    Ok(Level::Embedded)
}

/// What an error of SQLite's says of the file.
pub(super) fn of_sqlite(action: &'static str, path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            let why =
                "it is not a database; name another file, or, where it was the store, put a copy back that `hookgate store backup` made";
            OpenError::unusable(path, why)
        }
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path: path.to_owned(), why: error.to_string() },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path: path.to_owned(), holder: None },
        _ => OpenError::io(action, path, error),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder_of(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Whether the file is there at all.
pub(super) fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_that_is_to_be_made_has_its_entry_flushed() {
        let there = tempfile::tempdir().expect("a directory");
        let [first, second] = ["a", "a/b"].map(|name| there.path().join(name));
        assert_eq!(missing(&second), [second.as_path(), first.as_path()]);
        make_directory(&second).expect("made");
        assert!(second.is_dir() && missing(&second).is_empty());
        assert_eq!(missing(Path::new("not/here")), [Path::new("not/here"), Path::new("not")]);
    }
}
