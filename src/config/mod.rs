//! What was written. PLACEHOLDER for its owner.

/// Where files and environment variables come from: the machine, or a test's own.
#[derive(Debug, Default)]
pub struct Surroundings {}
/// The configuration as written.
#[derive(Debug)]
pub struct Config {}
