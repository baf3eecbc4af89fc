//! Reading files that must be files. A FIFO that is read keeps its reader waiting for ever, a device may never end, a directory says what
//! nobody understands: whoever reads a file that somebody named reads it through here, and is told what it is instead.

use std::{
    fs::{File, FileType, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

/// Where the descriptors that the process was started with are found as files.
const GIVEN: [&str; 3] = ["/dev/stdin", "/dev/fd/", "/proc/self/fd/"];

/// Opens a regular file for reading, links followed. A pipe that the process was given when it was started, as a shell's `<(...)` gives
/// it, counts as one: somebody writes it, and its end comes.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidInput`] for what is no regular file, with a text that says what it is. It is not waited
/// for either.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Opened so, a FIFO does not wait for its writer; what is open is looked at, and not what the name stands for a moment before.
    let at_once = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(at_once).open(path)?;
    let facts = file.metadata()?;
    let kind = facts.file_type();
    if kind.is_fifo() && is_given(path) {
        // What is not written yet is waited for.
        rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
        return Ok((file, facts));
    }
    match named(kind) {
        None => Ok((file, facts)),
        Some(name) => Err(irregular(name)),
    }
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::FileTooLarge`] beyond the bound.
pub fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let said = format!("it is larger than {}", bytesize::ByteSize(bytes_max as u64).display().iec());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, said));
    }
    Ok(bytes)
}

/// Refuses what stands at a path and is no regular file, without opening it; that nothing is there is fine.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`], with a text that says what it is.
pub fn unless_other(path: &Path) -> io::Result<()> {
    let name = path.metadata().ok().and_then(|facts| named(facts.file_type()));
    name.map_or(Ok(()), |name| Err(irregular(name)))
}

fn irregular(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {name}, and not a regular file"))
}

fn is_given(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    GIVEN.iter().any(|given| if given.ends_with('/') { path.starts_with(given.as_bytes()) } else { path == given.as_bytes() })
}

/// What a file is when it is not a regular one.
fn named(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::fd::AsRawFd as _};

    use super::*;

    #[test]
    fn only_what_is_a_file_is_read_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, link, fifo) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("fifo"));
        std::fs::write(&file, "text").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a FIFO");
        for path in [&file, &link] {
            assert_eq!(read(path, 4).expect("a file"), b"text");
            assert_eq!(read(path, 3).expect_err("too long").to_string(), "it is larger than 3 B");
            assert!(unless_other(path).is_ok());
        }
        for (path, kind) in [(fifo.as_path(), "a FIFO"), (dir.path(), "a directory"), (Path::new("/dev/zero"), "a device")] {
            let refused = read(path, 10).expect_err("no file");
            assert_eq!(refused.to_string(), format!("it is {kind}, and not a regular file"));
            assert_eq!(unless_other(path).expect_err("no file").to_string(), refused.to_string());
        }
        assert_eq!(read(&dir.path().join("gone"), 1).expect_err("gone").kind(), io::ErrorKind::NotFound);
        assert!(unless_other(&dir.path().join("gone")).is_ok());
    }

    #[test]
    fn a_pipe_that_was_given_is_read_to_its_end() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let given = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let writing = std::thread::spawn(move || {
            writer.write_all(b"sources: ").expect("written");
            // The rest comes when that has been read, so it has to be waited for.
            while rustix::io::ioctl_fionread(&writer).expect("a pipe") > 0 {
                std::thread::yield_now();
            }
            writer.write_all(b"{}").expect("written");
        });
        assert_eq!(read(Path::new(&given), 100).expect("a pipe"), b"sources: {}");
        writing.join().expect("written");
    }
}
