//! From what was written to what runs. PLACEHOLDER for its owner.
use crate::{config::Config, plan::Plan, provider::Catalogue, yaml::Problems};
/// Compiles; every problem is noted, and `None` means at least one was an error. Pure: no file is opened, no name resolved.
pub fn compile(_config: &Config, _catalogue: &Catalogue, _problems: &mut Problems) -> Option<Plan> {
    None
}
