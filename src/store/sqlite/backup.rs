//! Copying a store that nobody else has, with SQLite's own backup.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rusqlite::{
    Connection, ErrorCode, Result,
    backup::{Backup, StepResult},
    ffi,
};

use super::{room::beside, schema::PAGE_BYTES};

/// Pages copied in one step, as SQLite names all of them: nobody else waits for the file.
const ALL_PAGES: i32 = -1;

/// Copies the file behind `from` to a new file; bytes copied. A file that is there is never written over, and an unfinished copy never has
/// the name of a finished one.
pub(super) fn copy(from: &Connection, to: &Path) -> Result<u64> {
    if to.exists() {
        return Err(failure(ffi::SQLITE_CANTOPEN, format!("{} is there already", to.display())));
    }
    let unfinished = beside(to, ".part");
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    made.map_err(|error| failure(ffi::SQLITE_CANTOPEN, format!("{}: {error}", unfinished.display())))?;
    let copied = copy_pages(from, &unfinished).and_then(|bytes| {
        let finish = || {
            File::open(&unfinished)?.sync_all()?;
            fs::rename(&unfinished, to)?;
            File::open(to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
        };
        finish().map_err(|error: std::io::Error| failure(ffi::SQLITE_CANTOPEN, format!("{}: {error}", to.display())))?;
        Ok(bytes)
    });
    if copied.is_err() {
        // What is left of a failed copy is of no use to anybody.
        let _ = fs::remove_file(&unfinished);
    }
    copied
}

fn copy_pages(from: &Connection, to: &Path) -> Result<u64> {
    let mut target = Connection::open(to)?;
    let pages = {
        let backup = Backup::new(from, &mut target)?;
        match backup.step(ALL_PAGES)? {
            StepResult::Done => backup.progress().pagecount,
            _ => return Err(failure(ffi::SQLITE_BUSY, "another program has the file open".to_owned())),
        }
    };
    target.close().map_err(|(_, error)| error)?;
    Ok(u64::try_from(pages).unwrap_or(0) * u64::from(PAGE_BYTES))
}

/// Whether a copy failed because its place is taken or not to be written.
pub(super) fn is_about_the_place(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::CannotOpen)
}

fn failure(code: i32, why: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(why))
}
