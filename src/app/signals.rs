//! The signals of the process, as words.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGTERM, SIGINT: end in good order; at once when asked again.
    Stop,
    /// SIGHUP: take the new configuration.
    Reload,
    /// SIGUSR1: say how things are.
    Status,
}

/// Listening for signals. From here on none of them ends the process by itself.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    status: Signal,
}

impl Signals {
    /// Begins to listen; needs a runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            status: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.status.recv() => Asked::Status,
        }
    }

    /// The next wish to stop; whatever else is asked before it is not heard.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}
