//! The command line: one command per file.

pub mod providers;
pub mod raw;
pub mod verify;
