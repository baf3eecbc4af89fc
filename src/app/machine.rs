//! What the process asks of the machine before anything runs: one crypto provider, no core dumps, and threads that may not die quietly. The
//! door asks for the files it needs itself.

use std::{io, panic, process, thread};

use rustix::process::{Resource, Rlimit, setrlimit};

/// Threads whose panic would leave work undone that nobody else does. A shard is not one of them: a panic in an attempt ends that attempt
/// only, and `deliver` itself ends the process when a shard's own loop panics.
const VITAL_THREADS: [&str; 1] = ["store"];

/// Installs the one crypto provider of the process. Every TLS user would panic without it, so it comes first.
pub fn install_crypto() {
    // An error says that it is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Switches core dumps off: they would hold secrets and payloads.
///
/// # Errors
/// The system refuses.
pub(super) fn forbid_core_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Makes a panic of a vital thread the end of the process: a gateway that accepts and no longer writes or delivers is worse than a restart.
pub(super) fn guard_threads() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        let thread = thread::current();
        if thread.name().is_some_and(|name| VITAL_THREADS.iter().any(|vital| name.starts_with(vital))) {
            process::abort();
        }
    }));
}
