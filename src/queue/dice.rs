//! Randomness, passed in: the same seed gives the same throws, so a simulated run can be run again.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// The queue's only source of chance.
#[derive(Debug)]
pub struct Dice(SmallRng);

impl Dice {
    /// Seeded: the same seed gives the same throws.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Equal jitter: half of `delay` for certain, the other half by chance; never zero.
    pub fn jitter(&mut self, delay: Duration) -> Duration {
        let half = delay / 2;
        (half + half.mul_f64(self.0.random::<f64>())).max(Duration::from_millis(1))
    }
}
