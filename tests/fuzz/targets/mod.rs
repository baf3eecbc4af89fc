//! What is fuzzed: a function for every parser that touches bytes from outside. Each takes any bytes whatever, panics when a promise of
//! its parser is broken, and is the same for the short campaign (`tests/fuzz`) and the long one (`make fuzz`, the package in `fuzz/`).

mod grammar;
mod outside;
mod readers;
pub(crate) mod requests;
mod settings;

use std::time::Duration;

/// Processor time one input may take: more of it, and a few strangers could keep a worker busy.
pub(crate) const INPUT_TIME_MAX: Duration = Duration::from_secs(1);

/// A parser and how it is tried.
pub(crate) struct Target {
    /// Its name, which is that of its folder of seeds.
    pub(crate) name: &'static str,
    /// Gives it these bytes.
    run: fn(&[u8]),
}

/// All targets.
pub(crate) static TARGETS: [Target; 25] = [
    Target { name: "template", run: grammar::template },
    Target { name: "atom", run: grammar::atom },
    Target { name: "condition", run: grammar::condition },
    Target { name: "provider", run: grammar::provider_file },
    Target { name: "yaml", run: settings::yaml },
    Target { name: "config", run: settings::config },
    Target { name: "quantity", run: settings::quantity },
    Target { name: "types", run: settings::types },
    Target { name: "request", run: requests::request },
    Target { name: "places", run: requests::places },
    Target { name: "raw", run: requests::raw },
    Target { name: "headers", run: requests::headers },
    Target { name: "forwarded", run: requests::forwarded },
    Target { name: "json", run: readers::json },
    Target { name: "form", run: readers::form },
    Target { name: "jws", run: readers::jws },
    Target { name: "timestamp", run: readers::timestamp },
    Target { name: "retry-after", run: readers::retry_after },
    Target { name: "event-id", run: readers::event_id },
    Target { name: "framing", run: outside::framing },
    Target { name: "key-url", run: outside::key_url },
    Target { name: "certificate", run: outside::certificate },
    Target { name: "keys", run: outside::keys },
    Target { name: "given-key", run: outside::given_key },
    Target { name: "effect", run: outside::effect },
];

impl Target {
    /// Tries one input and says how much processor time it took.
    ///
    /// # Panics
    /// When a promise is broken, or the input took longer than [`INPUT_TIME_MAX`].
    pub(crate) fn call(&self, input: &[u8]) -> Duration {
        let before = processor_time();
        (self.run)(input);
        let took = processor_time().saturating_sub(before);
        assert!(took <= INPUT_TIME_MAX, "{}: {} bytes took {took:?} of processor time", self.name, input.len());
        took
    }
}

/// The processor time of this thread: a busy machine makes no input slow.
fn processor_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// An input's first line, and what follows it.
fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}
