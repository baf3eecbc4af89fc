//! The composition root: from a file to a running gateway, and back to nothing, in a fixed order.
//!
//! `prepare` opens what can be refused, `run` lives, `stop` ends. Everything is made here once and passed on; there are no globals but the
//! crypto provider and the log.

mod exit;
mod machine;
mod prepare;
mod renamed;
mod run;
mod signals;
mod stop;

pub use exit::Exit;
pub use machine::install_crypto;
pub use prepare::{PrepareError, Prepared, cautions, inspect, plan, prepare};
pub use run::run;
