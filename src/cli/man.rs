//! `hookgate man`: one page, with a section for each command.

use std::io::{self, Write as _};

use clap_mangen::Man;

use super::output::Output;
use crate::app::Exit;

/// Prints the manual page in roff.
pub(super) fn run() -> Exit {
    match page() {
        Ok(page) => {
            // A closed pipe ends the output, not the command.
            let _ = Output.write_all(&page);
            Exit::Fine
        }
        Err(error) => {
            super::complain(format_args!("cannot write the manual page: {error}"));
            Exit::Internal
        }
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut tree = super::tree();
    // This gives each command its whole name, `hookgate run`.
    tree.build();
    let mut page = Vec::new();
    let whole = Man::new(tree.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    for command in tree.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name().to_owned();
        writeln!(page, ".SH \"HOOKGATE {}\"", name.to_uppercase())?;
        let one = Man::new(command.clone());
        let mut section = Vec::new();
        one.render_synopsis_section(&mut section)?;
        one.render_description_section(&mut section)?;
        one.render_options_section(&mut section)?;
        // The sections of a command are the second level of this page.
        page.extend(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").into_bytes());
    }
    whole.render_extra_section(&mut page)?;
    whole.render_version_section(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_has_its_section() {
        let page = String::from_utf8(super::page().expect("written")).expect("UTF-8");
        for command in crate::cli::tree().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(page.contains(&format!(".SH \"HOOKGATE {}\"", command.get_name().to_uppercase())), "{}", command.get_name());
        }
    }
}
