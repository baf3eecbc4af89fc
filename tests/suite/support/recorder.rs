//! A target that writes down what it receives, in the order of arrival.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    listener::{Listener, Reaction, Received},
    patience::wait_until,
};

/// A recording target.
pub struct Recorder {
    listener: Listener,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl Recorder {
    /// Answers 200 to everything.
    pub fn start() -> Self {
        Self::reacting(|_, _| Reaction::Status(200))
    }

    /// Does what the function says; it gets the request and how many there have been, this one included.
    pub fn reacting(react: impl Fn(&Received, usize) -> Reaction + Send + Sync + 'static) -> Self {
        let (seen, record) = Self::recording(react);
        Self { listener: Listener::start(record), seen }
    }

    /// The same on a port that was had before.
    pub fn again(address: SocketAddr) -> Self {
        let (seen, record) = Self::recording(|_, _| Reaction::Status(200));
        Self { listener: Listener::again(address, record), seen }
    }

    fn recording(
        react: impl Fn(&Received, usize) -> Reaction + Send + Sync + 'static,
    ) -> (Arc<Mutex<Vec<Received>>>, impl Fn(Received) -> Reaction + Send + Sync + 'static) {
        let seen: Arc<Mutex<Vec<Received>>> = Arc::default();
        let into = Arc::clone(&seen);
        let record = move |received: Received| {
            let count = {
                let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(received.clone());
                seen.len()
            };
            react(&received, count)
        };
        (seen, record)
    }

    /// Everything so far.
    pub fn seen(&self) -> Vec<Received> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much so far.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for at least this many requests, and gives everything so far.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        wait_until(&format!("a target had {count} requests (it has {})", self.count()), || self.count() >= count);
        self.seen()
    }

    /// The URL to configure.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }
}
