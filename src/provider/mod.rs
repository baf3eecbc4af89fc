//! Provider files: what a vendor's webhooks look like, as data. PLACEHOLDER for its owner.

/// All providers that are known: the embedded files.
#[derive(Debug, Default)]
pub struct Catalogue {}
