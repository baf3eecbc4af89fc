//! PLACEHOLDER, written by its owner.
use super::*;
/// Randomness, passed in.
#[derive(Debug)]
pub struct Dice(rand::rngs::SmallRng);
impl Dice {
    /// Seeded: the same seed gives the same throws.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(rand::SeedableRng::seed_from_u64(seed))
    }
}
/// All lanes of a shard.
#[derive(Debug, Default)]
pub struct Lanes {}
impl Lanes {
    /// No lanes yet: they come with the first plan.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
    /// Takes one input and says what is to be done.
    pub fn step(&mut self, _now: Now, _input: Input<'_>, _dice: &mut Dice, _out: &mut Vec<Action>) {}
    /// Attempts under way.
    #[must_use]
    pub fn running(&self) -> usize {
        0
    }
    /// Whether everything that was started is settled.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }
}
