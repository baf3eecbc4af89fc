//! What the bench says: one line a figure, with the budget it is held against. No verdict fails the run; the reader judges.

use std::time::Duration;

use crate::load::Measured;

/// Lines collected over a run.
pub(crate) struct Report {
    lines: Vec<String>,
    first_keys_cpu_us: Option<f64>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new(), first_keys_cpu_us: None }
    }

    /// The disk alone.
    pub(crate) fn fdatasync(&mut self, latencies: &[Duration]) {
        let us = micros(latencies);
        self.say(format!(
            "disk: write + fdatasync of 64 KiB: p50 {:.2} ms, p99 {:.2} ms",
            quantile(&us, 0.5) / 1e3,
            quantile(&us, 0.99) / 1e3
        ));
    }

    /// Memory before the first request.
    pub(crate) fn idle(&mut self, rss_bytes: u64) {
        self.say(format!("idle: RSS {:.1} MiB (budget 30)", mib(rss_bytes)));
    }

    /// Accepting beside the bare handler.
    pub(crate) fn accept(&mut self, name: &str, ours: &Measured, bare: &Measured) {
        self.measured(&format!("accept, {name}, bare"), bare);
        self.measured(&format!("accept, {name}, hookgate"), ours);
        self.say(format!(
            "  ratio: {:.2} of the bare rate; CPU per event +{:.1} us over bare (budget +35)",
            ours.rate() / bare.rate(),
            ours.cpu_us() - bare.cpu_us()
        ));
    }

    /// The bare handler at the gateway's rate: what a request costs there where the server sleeps between two of them.
    pub(crate) fn same_rate(&mut self, ours: &Measured, bare: &Measured) {
        self.measured("accept, bare at the gateway's rate", bare);
        self.say(format!("  CPU per event +{:.1} us over bare at the same rate", ours.cpu_us() - bare.cpu_us()));
    }

    /// The ack at half load.
    pub(crate) fn half_load(&mut self, ours: &Measured, bare: &Measured, fdatasync: &[Duration]) {
        let sync_ms = quantile(&micros(fdatasync), 0.99) / 1e3;
        let allowed = 5.0 * bare.latency_ms(0.99) + 2.0 * sync_ms;
        self.measured("half load, bare", bare);
        self.measured("half load, hookgate", ours);
        self.say(format!(
            "  p99 {:.2} ms; budget 5 x bare's {:.2} + 2 x fdatasync's {sync_ms:.2} (beside the run) = {allowed:.2} ms",
            ours.latency_ms(0.99),
            bare.latency_ms(0.99),
        ));
    }

    /// Accepted, delivered, settled.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn end_to_end(&mut self, measured: &Measured, cpu: Duration, took: Duration, drained: bool) {
        self.measured("end to end, hookgate", measured);
        self.say(format!(
            "  {:.1} us CPU per event accepted, delivered and settled (budget 75); {:.0} events/s to the last delivery; \
             all arrived: {drained}",
            cpu.as_secs_f64() * 1e6 / measured.requests.max(1) as f64,
            measured.requests as f64 / took.as_secs_f64(),
        ));
    }

    /// The cost behind so many dedup keys.
    pub(crate) fn keys(&mut self, keys: u64, measured: &Measured) {
        self.measured(&format!("accept behind {keys} dedup keys"), measured);
        let first = *self.first_keys_cpu_us.get_or_insert(measured.cpu_us());
        self.say(format!("  {:.2} x the CPU of the fewest keys (budget 1.3)", measured.cpu_us() / first));
    }

    #[expect(clippy::print_stdout, reason = "the report")]
    pub(crate) fn print(&self) {
        for line in &self.lines {
            println!("{line}");
        }
    }

    fn measured(&mut self, name: &str, measured: &Measured) {
        self.say(format!(
            "{name}: {:.0} requests/s, p50 {:.2} ms, p99 {:.2} ms, CPU {:.1} us/event, RSS {:.0} MiB, {} failed",
            measured.rate(),
            measured.latency_ms(0.5),
            measured.latency_ms(0.99),
            measured.cpu_us(),
            mib(measured.server_rss_bytes),
            measured.failed
        ));
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }
}

/// The value that `share` of the samples stay under.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a sample")]
pub(crate) fn quantile(samples: &[u32], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().map_or(0.0, f64::from)
}

fn micros(latencies: &[Duration]) -> Vec<u32> {
    latencies.iter().map(|latency| u32::try_from(latency.as_micros()).unwrap_or(u32::MAX)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
