//! What the process asks of the machine before anything runs: one crypto provider, enough files, no core dumps, and threads that may not
//! die quietly.

use std::{io, panic, process, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{limits, plan::Plan};

/// Files beyond connections and lanes: the store's, the listeners', the log's, what runtimes keep.
const FILES_BESIDES: u64 = 128;
/// Threads whose death would leave work undone that nobody else does.
const VITAL_THREADS: [&str; 2] = ["store", "shard"];

/// Installs the one crypto provider of the process. Every TLS user would panic without it, so it comes first.
pub fn install_crypto() {
    // An error says that it is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Switches core dumps off: they would hold secrets and payloads.
///
/// # Errors
/// The system refuses.
pub fn forbid_core_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Raises the limit of open files as far as the plan needs and the system lets us. `Some` is a complaint: what is needed, and what there is.
#[must_use]
pub fn raise_files(plan: &Plan) -> Option<String> {
    let connections = u64::try_from(plan.server.limits.connections).unwrap_or(u64::MAX);
    let lanes = u64::try_from(limits::IN_FLIGHT_MAX).unwrap_or(u64::MAX);
    let needed = connections.saturating_mul(2).saturating_add(lanes).saturating_add(FILES_BESIDES);
    let limit = getrlimit(Resource::Nofile);
    // `None` means that there is no limit.
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= needed {
        return None;
    }
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    let now = if set.is_ok() { raised } else { current };
    (now < needed).then(|| {
        format!(
            "{now} files may be open, {needed} are needed for {connections} connections: raise the limit (ulimit -n, LimitNOFILE=) or lower \
             `server.limits.connections`"
        )
    })
}

/// Makes a panic of a vital thread the end of the process: a gateway that accepts and no longer writes or delivers is worse than a restart.
pub fn guard_threads() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        let thread = thread::current();
        if thread.name().is_some_and(|name| VITAL_THREADS.iter().any(|vital| name.starts_with(vital))) {
            process::abort();
        }
    }));
}
