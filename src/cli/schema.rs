//! `hookgate schema`: what an editor needs to know about the configuration.

use std::io;

use crate::config;

/// Writes the JSON Schema of the configuration. Point an editor at it with a first line of
/// `# yaml-language-server: $schema=hookgate.schema.json`.
///
/// # Errors
/// When it cannot be written.
pub(super) fn schema(out: &mut dyn io::Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &config::schema())?;
    writeln!(out)?;
    Ok(())
}
