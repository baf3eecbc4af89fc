//! Names to addresses: the system's resolver, asked once per name at a time, its answers kept for a moment.
//!
//! The question cannot be cancelled once the system has it, so it runs on the blocking threads of the shard's own runtime, of which there
//! are [`LOOKUP_THREADS_MAX`]: however many attempts wait for a dead name, it holds one of them.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::clock::{Clock, Mono};

/// Names that are asked for at once, over all targets of a shard.
pub(super) const LOOKUP_THREADS_MAX: usize = 16;
/// How long an answer is good. The system's resolver does not tell us how long it really is.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// How long "no such name" is believed: short, because it is what a name says while its service is being set up.
const BAD_FOR: Duration = Duration::from_secs(2);
/// Addresses of one name that are kept.
const ADDRESSES_MAX: usize = 8;
/// Names that are kept; targets come from the configuration, so this is never reached by honest use.
const NAMES_MAX: usize = 4096;

/// What a name stands for, or why it stands for nothing.
pub(super) type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

/// Asks the system for the addresses of a name. Cloning it copies a pointer.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    clock: Clock,
    ask: fn(&str) -> io::Result<Vec<IpAddr>>,
    names: Arc<Mutex<HashMap<Box<str>, Known>>>,
}

#[derive(Debug)]
enum Known {
    /// Asked, and good until then.
    Answer(Answer, Mono),
    /// Being asked: whoever wants it too waits for the same answer.
    Asking(watch::Receiver<Option<Answer>>),
}

impl Resolver {
    /// A resolver that knows nothing yet and asks the system.
    #[must_use]
    pub(super) fn new(clock: Clock) -> Self {
        Self::asking(clock, ask_the_system)
    }

    /// The same, which asks somebody else.
    pub(super) fn asking(clock: Clock, ask: fn(&str) -> io::Result<Vec<IpAddr>>) -> Self {
        Self { clock, ask, names: Arc::default() }
    }

    /// The addresses of `name`, at least one, in the system's order of preference.
    ///
    /// # Errors
    /// Why there are none, for people.
    pub(super) async fn resolve(&self, name: &str) -> Answer {
        let mut asked = match self.look_up(name) {
            Known::Answer(answer, _) => return answer,
            Known::Asking(asked) => asked,
        };
        match asked.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Err(interrupted())),
            Err(_) => Err(interrupted()),
        }
    }

    /// What is known of the name; when that is nothing, the question is on its way before this returns.
    fn look_up(&self, name: &str) -> Known {
        let now = self.clock.mono();
        let mut names = lock(&self.names);
        match names.get(name) {
            Some(Known::Answer(answer, until)) if now < *until => return Known::Answer(answer.clone(), *until),
            // A question whose asker is gone (its thread could not be had) will not be answered: it is asked again.
            Some(Known::Asking(asked)) if asked.has_changed().is_ok() => return Known::Asking(asked.clone()),
            _ => {}
        }
        if names.len() >= NAMES_MAX {
            names.retain(|_, known| matches!(known, Known::Asking(_)));
        }
        let (answered, asked) = watch::channel(None);
        names.insert(name.into(), Known::Asking(asked.clone()));
        let (this, name) = (self.clone(), Box::<str>::from(name));
        // The thread is not waited for: its answer arrives through the channel, and is noted even when nobody waits any more.
        drop(tokio::task::spawn_blocking(move || this.ask_now(&name, &answered)));
        Known::Asking(asked)
    }

    fn ask_now(&self, name: &str, answered: &watch::Sender<Option<Answer>>) {
        let answer = match (self.ask)(name) {
            Ok(addresses) if addresses.is_empty() => Err(format!("{name} has no address").into()),
            Ok(addresses) => Ok(addresses.into_iter().take(ADDRESSES_MAX).collect()),
            Err(error) => Err(format!("{name} does not resolve: {error}").into()),
        };
        let kept_for = if answer.is_ok() { GOOD_FOR } else { BAD_FOR };
        let until = self.clock.mono() + kept_for;
        lock(&self.names).insert(name.into(), Known::Answer(answer.clone(), until));
        answered.send_replace(Some(answer));
    }
}

fn ask_the_system(name: &str) -> io::Result<Vec<IpAddr>> {
    // Port 0 stands for none: the resolver wants one and does nothing with it.
    let mut addresses: Vec<IpAddr> = (name, 0).to_socket_addrs()?.map(|address: SocketAddr| address.ip()).collect();
    addresses.dedup();
    Ok(addresses)
}

fn interrupted() -> Arc<str> {
    "the name was not asked for: the gateway is stopping".into()
}

fn lock(names: &Mutex<HashMap<Box<str>, Known>>) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
    // Nothing panics while it is held, and a map is whole between two of its calls anyway.
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::{Now, SimClock, UnixMs};

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    fn scripted(name: &str) -> io::Result<Vec<IpAddr>> {
        ASKED.fetch_add(1, Ordering::SeqCst);
        match name {
            "two.example" => Ok(vec!["10.0.0.1".parse().expect("v4"), "::1".parse().expect("v6")]),
            "none.example" => Ok(vec![]),
            _ => Err(io::Error::other("no such name")),
        }
    }

    fn at(seconds: u64) -> Now {
        Now { wall: UnixMs(0), mono: Mono(seconds * 1_000_000_000) }
    }

    #[test]
    fn a_name_is_asked_for_once_and_again_when_the_answer_is_old() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sim = Arc::new(SimClock::default());
        let resolver = Resolver::asking(Clock::Sim(Arc::clone(&sim)), scripted);
        runtime.block_on(async {
            sim.set(at(1));
            let many = futures_util::future::join_all((0..50).map(|_| resolver.resolve("two.example"))).await;
            assert!(many.iter().all(|answer| answer.as_ref().is_ok_and(|addresses| addresses.len() == 2)));
            assert_eq!(ASKED.load(Ordering::SeqCst), 1, "fifty waited for one question");
            sim.set(at(30));
            assert!(resolver.resolve("two.example").await.is_ok());
            assert_eq!(ASKED.load(Ordering::SeqCst), 1, "still good");
            sim.set(at(32));
            assert!(resolver.resolve("two.example").await.is_ok());
            assert_eq!(ASKED.load(Ordering::SeqCst), 2, "too old");
            for name in ["gone.example", "none.example"] {
                let before = ASKED.load(Ordering::SeqCst);
                assert!(resolver.resolve(name).await.is_err_and(|cause| cause.contains(name)));
                assert!(resolver.resolve(name).await.is_err());
                assert_eq!(ASKED.load(Ordering::SeqCst), before + 1, "{name}: no is kept too, briefly");
            }
            sim.set(at(35));
            let before = ASKED.load(Ordering::SeqCst);
            assert!(resolver.resolve("gone.example").await.is_err());
            assert_eq!(ASKED.load(Ordering::SeqCst), before + 1);
        });
    }
}
