//! `hookgate completions SHELL`.

use std::io::Write as _;

use clap_complete::Shell;

use super::output::Output;
use crate::app::Exit;

/// What to print completions for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
pub(super) fn run(args: &Args) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::tree(), "hookgate", &mut text);
    // A closed pipe ends the output, not the command.
    let _ = Output.write_all(&text);
    Exit::Fine
}
