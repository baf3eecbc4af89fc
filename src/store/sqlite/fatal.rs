//! The end of the process, where going on would risk a false answer. This is the one place that ends it.

use std::{io::Write, process, thread};

/// Exit code: the store's device failed; starting again is the way on (sysexits `EX_IOERR`).
pub(super) const EXIT_IO: u8 = 74;

/// Aborts the process when the thread that holds it panics: a gateway whose store thread is gone would look alive and answer nothing.
pub(super) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// Ends the process without another answer. After a failed flush the kernel may call pages clean that never reached the disk, so nothing
/// this process believes of the file may be told to anybody.
pub(super) fn give_up(error: &dyn std::fmt::Display) -> ! {
    tracing::error!(event = "store", reason = %error, "the store's file failed; ending, to start again from what is on the disk");
    // The log is written by another thread and may not get to it; a second line on stderr costs nothing.
    let _ = writeln!(std::io::stderr(), "hookgate: the store's file failed: {error}");
    process::exit(i32::from(EXIT_IO))
}
