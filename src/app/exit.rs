//! How the process ends; the same numbers in every command. Numbers from 64 on are those of sysexits.h.

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// The answer is no.
    No = 1,
    /// The command line is wrong, or asks for what is planned.
    Usage = 2,
    /// The admin side cannot be reached, or refuses the token.
    Unreachable = 69,
    /// A mistake of ours.
    Internal = 70,
    /// The store cannot be read or written: start again, and mend the disk.
    StoreIo = 74,
    /// The store or an address is still another process's: try again.
    TryAgain = 75,
    /// The configuration is wrong.
    Config = 78,
    /// A second signal, or a demo that was ended before it was over: as a shell reports SIGINT.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
