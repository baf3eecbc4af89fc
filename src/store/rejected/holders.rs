//! Who holds what of the ring, and whose request goes when there is no room: the oldest of the client that holds most, in the source that
//! holds most. So a flood pushes out what it brought itself, and what another source or another client left stays until its time is over.

use std::collections::{BTreeMap, VecDeque};

use crate::name::SourceName;

/// What is in the ring, by whose it is. It has one entry for each request in the file, and the file's bound bounds it.
#[derive(Debug, Default)]
pub(super) struct Holders {
    by_source: BTreeMap<SourceName, Held>,
    bytes: u64,
    requests: usize,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    by_client: BTreeMap<Box<str>, Line>,
}

/// The requests of one client, oldest first: id and bytes.
#[derive(Debug, Default)]
struct Line {
    bytes: u64,
    requests: VecDeque<(i64, u64)>,
}

impl Holders {
    /// Bytes of all requests.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of requests.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// Adds a request, newer than all that are there.
    pub(super) fn add(&mut self, source: &SourceName, client: &str, id: i64, bytes: u64) {
        let held = self.by_source.entry(source.clone()).or_default();
        let line = held.by_client.entry(client.into()).or_default();
        line.requests.push_back((id, bytes));
        line.bytes += bytes;
        held.bytes += bytes;
        self.bytes += bytes;
        self.requests += 1;
    }

    /// Takes the request out that goes next; `None` when there is none.
    pub(super) fn push_out(&mut self) -> Option<i64> {
        let (source, held) = self.by_source.iter_mut().max_by_key(|(_, held)| held.bytes)?;
        let (client, line) = held.by_client.iter_mut().max_by_key(|(_, line)| line.bytes)?;
        let (id, bytes) = line.requests.pop_front()?;
        line.bytes -= bytes;
        held.bytes -= bytes;
        self.bytes -= bytes;
        self.requests -= 1;
        if line.requests.is_empty() {
            let client = client.clone();
            held.by_client.remove(&client);
        }
        if held.by_client.is_empty() {
            let source = source.clone();
            self.by_source.remove(&source);
        }
        Some(id)
    }

    /// Takes out every request whose id is below this one.
    pub(super) fn expire(&mut self, below: i64) {
        for held in self.by_source.values_mut() {
            for line in held.by_client.values_mut() {
                while let Some((_, bytes)) = line.requests.pop_front_if(|(id, _)| *id < below) {
                    line.bytes -= bytes;
                    held.bytes -= bytes;
                    self.bytes -= bytes;
                    self.requests -= 1;
                }
            }
            held.by_client.retain(|_, line| !line.requests.is_empty());
        }
        self.by_source.retain(|_, held| !held.by_client.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceName {
        SourceName::parse(text).expect("a name")
    }

    #[test]
    fn the_oldest_of_whoever_holds_most_goes_first() {
        let mut holders = Holders::default();
        holders.add(&source("quiet"), "a", 1, 10);
        holders.add(&source("loud"), "vendor", 2, 10);
        (3..6).for_each(|id| holders.add(&source("loud"), "flood", id, 10));
        assert_eq!((holders.bytes(), holders.requests()), (50, 5));
        assert_eq!([holders.push_out(), holders.push_out()], [Some(3), Some(4)], "the flood's own");
        let mut rest: Vec<i64> = std::iter::from_fn(|| holders.push_out()).collect();
        rest.sort_unstable();
        assert_eq!(rest, [1, 2, 5]);
        assert_eq!((holders.bytes(), holders.requests()), (0, 0));
        assert!(holders.by_source.is_empty());
    }

    #[test]
    fn what_is_over_goes_whoever_has_it() {
        let mut holders = Holders::default();
        for (source_name, client, id) in [("a", "x", 1), ("b", "y", 2), ("a", "x", 3), ("b", "z", 4)] {
            holders.add(&source(source_name), client, id, 7);
        }
        holders.expire(3);
        assert_eq!((holders.bytes(), holders.requests()), (14, 2));
        holders.expire(100);
        assert!(holders.by_source.is_empty() && holders.bytes() == 0);
    }
}
