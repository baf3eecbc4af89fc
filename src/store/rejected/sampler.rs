//! Who may still put something into the ring: so much of a source, and of one client of it, in a stretch of time.
//!
//! It is asked on the threads that answer, so it costs a look at two counters and nothing that is sent decides how much it remembers.

use std::{collections::HashMap, net::IpAddr};

use crate::{
    clock::Mono,
    limits::{RING_CLIENT_REQUESTS_MAX, RING_SOURCE_BYTES_MAX, RING_SOURCE_REQUESTS_MAX, RING_WINDOW},
    name::SourceName,
};

/// What each source has put in, in its window. The names are those of the configuration, so it does not grow with the requests.
#[derive(Debug, Default)]
pub(super) struct Sampler(HashMap<SourceName, Window>);

#[derive(Debug)]
struct Window {
    began: Mono,
    requests: u32,
    bytes: u64,
    /// Only clients of requests that were taken, so at most as many as those.
    by_client: HashMap<IpAddr, u32>,
}

impl Sampler {
    /// Whether a request of so many bytes is taken. A client whose address is not its own counts for its source only.
    pub(super) fn takes(&mut self, source: &SourceName, client: Option<IpAddr>, bytes: u64, now: Mono) -> bool {
        if !self.0.contains_key(source) {
            self.0.insert(source.clone(), Window::new(now));
        }
        let Some(window) = self.0.get_mut(source) else { return false };
        if now.since(window.began) >= RING_WINDOW {
            *window = Window::new(now);
        }
        let full = window.requests >= RING_SOURCE_REQUESTS_MAX;
        let heavy = window.requests > 0 && window.bytes.saturating_add(bytes) > RING_SOURCE_BYTES_MAX;
        if full || heavy {
            return false;
        }
        if let Some(client) = client {
            let taken = window.by_client.entry(client).or_insert(0);
            if *taken >= RING_CLIENT_REQUESTS_MAX {
                return false;
            }
            *taken += 1;
        }
        window.requests += 1;
        window.bytes = window.bytes.saturating_add(bytes);
        true
    }
}

impl Window {
    fn new(began: Mono) -> Self {
        Self { began, requests: 0, bytes: 0, by_client: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(number).into())
    }

    fn source(text: &str) -> SourceName {
        SourceName::parse(text).expect("a name")
    }

    #[test]
    fn one_client_leaves_room_for_others_and_one_source_for_another() {
        let (mut sampler, one, other) = (Sampler::default(), source("one"), source("other"));
        let taken = (0..1000).filter(|_| sampler.takes(&one, client(1), 10, Mono(0))).count();
        assert_eq!(taken, RING_CLIENT_REQUESTS_MAX as usize);
        assert!(sampler.takes(&one, client(2), 10, Mono(0)), "another client's request is taken");
        let taken = (0..100_000).filter(|number| sampler.takes(&one, client(10 + number), 10, Mono(0))).count();
        assert_eq!(taken, (RING_SOURCE_REQUESTS_MAX - RING_CLIENT_REQUESTS_MAX - 1) as usize);
        assert!(sampler.takes(&other, client(1), 10, Mono(0)));
        assert!(sampler.0[&one].by_client.len() <= RING_SOURCE_REQUESTS_MAX as usize, "refused clients are not remembered");
        assert!(sampler.takes(&one, client(1), 10, Mono(0) + RING_WINDOW), "a new window");
    }

    #[test]
    fn bytes_count_too_and_the_first_always_fits() {
        let (mut sampler, one) = (Sampler::default(), source("one"));
        assert!(sampler.takes(&one, None, RING_SOURCE_BYTES_MAX * 2, Mono(0)));
        assert!(!sampler.takes(&one, None, 1, Mono(0)));
        let later = Mono(0) + RING_WINDOW;
        assert!(sampler.takes(&one, None, RING_SOURCE_BYTES_MAX - 1, later) && sampler.takes(&one, None, 1, later));
        assert!(!sampler.takes(&one, None, 1, later));
    }
}
