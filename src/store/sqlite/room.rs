//! How much room there is: the store's own quota, the file system's free space, and a reserve to go on settling with when it is gone.
//!
//! A full disk stops admits, never deliveries: settling needs a little room too, so a ballast file is kept and given up when the disk is
//! full, and made again when there is space.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::plan::StoreSettings;

/// Bytes of the ballast: many checkpoints' worth of settles.
pub(super) const BALLAST_BYTES: u64 = 64 * 1024 * 1024;
/// Free pages inside the file, in bytes, that count as room although the file system has none to spare.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// Bytes of pages in use, and of the log.
    pub(super) used: u64,
    /// Bytes of free pages inside the file.
    pub(super) spare: u64,
    /// Bytes of the files.
    pub(super) files: u64,
    /// Bytes free on the file system, for us.
    pub(super) free: u64,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is room.
    Room,
    /// Room is getting short: delivered events go before their time.
    Short,
    /// No room: admits are refused, and delivered events go before their time.
    None,
}

/// The limits and the ballast.
#[derive(Debug)]
pub(super) struct Room {
    max_bytes: u64,
    min_free_bytes: u64,
    directory: PathBuf,
    ballast: PathBuf,
    log: PathBuf,
}

impl Room {
    pub(super) fn new(settings: &StoreSettings) -> Self {
        let directory = settings.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self {
            max_bytes: settings.max_bytes,
            min_free_bytes: settings.min_free_bytes,
            directory: directory.to_owned(),
            ballast: beside(&settings.path, "-ballast"),
            log: beside(&settings.path, "-wal"),
        }
    }

    /// Measures, given what SQLite says of its file.
    pub(super) fn measure(&self, pages: u64, free_pages: u64, page_bytes: u64) -> Measure {
        let log = fs::metadata(&self.log).map_or(0, |log| log.len());
        let spare = free_pages * page_bytes;
        Measure {
            used: (pages * page_bytes).saturating_sub(spare) + log,
            spare,
            files: pages * page_bytes + log,
            free: free_bytes(&self.directory),
        }
    }

    /// What follows from a measure. The quota is held by pages in use: a purge gives pages back to the file, not to the file system.
    pub(super) fn judge(&self, measure: Measure) -> Verdict {
        let by_quota = match measure.used {
            used if used >= self.max_bytes => Verdict::None,
            used if used >= self.max_bytes / 20 * 19 => Verdict::Short,
            _ => Verdict::Room,
        };
        let by_disk = match measure.free {
            free if free >= self.min_free_bytes => Verdict::Room,
            _ if measure.spare >= 4 * SPARE_BYTES => Verdict::Room,
            _ if measure.spare >= SPARE_BYTES => Verdict::Short,
            _ => Verdict::None,
        };
        match (by_quota, by_disk) {
            (Verdict::None, _) | (_, Verdict::None) => Verdict::None,
            (Verdict::Short, _) | (_, Verdict::Short) => Verdict::Short,
            (Verdict::Room, Verdict::Room) => Verdict::Room,
        }
    }

    /// Gives the ballast up, so that settles can go on.
    pub(super) fn drop_ballast(&self) {
        // Without one there is nothing to give up.
        let _ = fs::remove_file(&self.ballast);
    }

    /// Makes the ballast when there is space for it and as much again; `true` when there is room to write in. A file system that cannot set
    /// space aside has no ballast, and drains as far as it can.
    pub(super) fn take_ballast(&self, free: u64) -> bool {
        let stands = fs::metadata(&self.ballast).is_ok_and(|ballast| ballast.len() == BALLAST_BYTES);
        let space = free >= 2 * BALLAST_BYTES;
        if space && !stands && self.make_ballast().is_err() {
            self.drop_ballast();
        }
        stands || space
    }

    fn make_ballast(&self) -> io::Result<()> {
        // What lies there instead goes first, and is never written through: it could be a link.
        self.drop_ballast();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.ballast)?;
        // The space is taken without writing it.
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES)?;
        Ok(())
    }
}

/// Gives the ballast up before the file is opened, when there is hardly anything else left: making the log part of the file needs room
/// too. `true` when that was so; new events then have to wait until the ballast stands again.
pub(super) fn make_room_to_start(path: &Path, directory: &Path) -> io::Result<bool> {
    let ballast = beside(path, "-ballast");
    if free_bytes(directory) >= BALLAST_BYTES || !ballast.exists() {
        return Ok(false);
    }
    fs::remove_file(ballast)?;
    Ok(true)
}

/// Bytes free for us on the file system of a directory. One that does not say counts as one with room: SQLite will say when it has none.
fn free_bytes(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// The path with something added to its file name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn room() -> Room {
        Room {
            max_bytes: 1000 * MIB,
            min_free_bytes: 100 * MIB,
            directory: PathBuf::from("."),
            ballast: PathBuf::from("ballast"),
            log: PathBuf::from("wal"),
        }
    }

    #[test]
    fn the_quota_is_held_by_pages_in_use() {
        let measure = |used| Measure { used, spare: 0, files: 5000 * MIB, free: 500 * MIB };
        assert_eq!(room().judge(measure(900 * MIB)), Verdict::Room);
        assert_eq!(room().judge(measure(951 * MIB)), Verdict::Short);
        assert_eq!(room().judge(measure(1000 * MIB)), Verdict::None);
    }

    #[test]
    fn a_full_disk_with_free_pages_in_the_file_still_has_room() {
        let measure = |spare| Measure { used: MIB, spare, files: MIB, free: 99 * MIB };
        assert_eq!(room().judge(measure(0)), Verdict::None);
        assert_eq!(room().judge(measure(SPARE_BYTES)), Verdict::Short);
        assert_eq!(room().judge(measure(4 * SPARE_BYTES)), Verdict::Room);
    }
}
