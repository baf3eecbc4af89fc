//! The command line: one command a file, exit codes that mean the same everywhere.
//!
//! Results go to standard output, everything else to standard error. A command of the contract that this version does not have says
//! "planned" and ends with 2; it is not in the help.

mod bell;
mod call;
mod check;
mod completions;
mod demo;
mod echo;
mod events;
mod file;
mod filter;
mod health;
mod hold;
mod init;
mod jobs;
mod kept;
mod man;
mod output;
mod providers;
#[doc(hidden)]
pub mod raw;
mod rejected;
mod run;
mod schema;
mod secrets;
mod send;
mod status;
mod store;
mod table;
mod verdict;
mod verify;

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{
    CommandFactory as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::app::Exit;
use output::Output;

/// Commands of the contract that this version does not have.
const PLANNED: [&str; 5] = ["route", "test", "tail", "listen", "reload"];

/// Receives webhooks: proves who rang, writes the event down, answers 2xx, and delivers it until every target has it.
#[derive(Debug, Parser)]
#[command(name = "hookgate", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 fine, 1 the answer is no, 2 usage, 69 admin not reachable, 70 internal, 74 store I/O, \
                        75 store locked, 78 configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway. SIGTERM drains; a second one ends it at once
    Run(run::Args),
    /// Say everything that is wrong with a configuration: 0 or 1
    Check(check::Args),
    /// Write a starter configuration, and the secrets we choose into .env; overwrites nothing
    Init(init::Args),
    /// Gateway, echo target and signed events in one command, with nothing installed
    Demo(demo::Args),
    /// List the providers; with a name, how to set one up; `providers test` runs every known answer
    Providers(providers::Args),
    /// Sign a sample as a source's provider would, and ring the gateway with it: 0, or 1 when it was refused
    Send(send::Args),
    /// Tell whether a captured request is genuine, and if not, why: 0 or 1
    Verify(verify::VerifyArgs),
    /// List what a running gateway rejected, show one, or verify some again and admit them
    Rejected(rejected::Args),
    /// Ask a running gateway whether it is ready, or alive: 0, 1, or 69 when it cannot be reached
    Health(health::Args),
    /// Show how a running gateway stands
    Status(status::Args),
    /// List events of a running gateway, the newest first
    Events(events::Args),
    /// List deliveries of a running gateway, those of the newest event first
    Deliveries(events::Args),
    /// Give settled deliveries new ones, or unrouted events their deliveries; counts and asks first
    Replay(jobs::Replay),
    /// Settle deliveries that wait, unattempted; counts and asks first
    Cancel(jobs::Cancel),
    /// Give what waits for a target that has left the configuration to another one; counts and asks first
    Move(jobs::Move),
    /// List replays, cancels and moves that run or have ended, or end one
    Jobs(jobs::Jobs),
    /// Hold targets: what comes for them waits
    Pause(hold::Pause),
    /// Let targets that are held go on
    Resume(hold::Resume),
    /// Show which secrets may match, and when each last did
    Secrets(secrets::Args),
    /// Look the store over, or copy it, while no gateway has it
    Store(store::Args),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man,
}

/// Runs the command line of this process. A result that could not be written is none, whatever the command says.
#[must_use]
pub fn main() -> ExitCode {
    let code = command();
    let Some(why) = Output::lost() else { return code };
    complain(format_args!("the output could not be written: {why}"));
    Exit::Internal.into()
}

fn command() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    match cli.command {
        Command::Run(args) => run::run(&args).into(),
        Command::Check(args) => answer(|out, _| check::run(&args, out)),
        Command::Init(args) => init::run(&args).into(),
        Command::Demo(args) => demo::run(&args).into(),
        Command::Providers(args) => answer(|out, err| Ok(providers::run(&args, out, err))),
        Command::Send(args) => send::run(&args).into(),
        Command::Verify(args) => answer(|out, err| Ok(verify::verify(&args, out, err))),
        Command::Rejected(args) => rejected::run(&args).into(),
        Command::Health(args) => health::run(&args).into(),
        Command::Status(args) => status::run(&args).into(),
        Command::Events(args) => events::events(&args).into(),
        Command::Deliveries(args) => events::deliveries(&args).into(),
        Command::Replay(args) => jobs::replay(&args).into(),
        Command::Cancel(args) => jobs::cancel(&args).into(),
        Command::Move(args) => jobs::relocate(&args).into(),
        Command::Jobs(args) => jobs::jobs(&args).into(),
        Command::Pause(args) => hold::pause(&args).into(),
        Command::Resume(args) => hold::resume(&args).into(),
        Command::Secrets(args) => secrets::run(&args).into(),
        Command::Store(args) => answer(|out, err| store::run(&args, out, err)),
        Command::Schema => answer(|out, _| schema::schema(out).map(|()| Exit::Fine as u8)),
        Command::Completions(args) => completions::run(&args).into(),
        Command::Man => man::run().into(),
    }
}

/// Runs a command on the process's own output. An output that is closed ends the command where it stands, without a complaint to nobody.
fn answer(command: impl FnOnce(&mut dyn io::Write, &mut dyn io::Write) -> anyhow::Result<u8>) -> ExitCode {
    match command(&mut Output, &mut io::stderr()) {
        Ok(code) => code.into(),
        Err(error) => {
            if Output::lost().is_none() {
                complain(format_args!("{error:#}"));
            }
            Exit::Internal.into()
        }
    }
}

/// What clap has to say, unless the word was one of the planned commands.
fn refuse(error: &clap::Error) -> Exit {
    if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) = (error.kind(), error.get(ContextKind::InvalidSubcommand))
        && PLANNED.contains(&word.as_str())
    {
        complain(format_args!("`hookgate {word}` is planned: this version does not have it yet"));
        return Exit::Usage;
    }
    // A closed pipe behind `--help` is nobody's fault.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Fine }
}

/// The whole command tree, for completions and the manual page.
fn tree() -> clap::Command {
    Cli::command()
}

/// Writes a line of the result. A closed pipe behind it ends the output, not the command.
fn say(line: fmt::Arguments<'_>) {
    let _ = Output.write_all(format!("{line}\n").as_bytes());
}

/// Writes a line to people: what is wrong, what to do next.
fn complain(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a question to people, and leaves the line open.
fn ask(question: fmt::Arguments<'_>) {
    let _ = write!(io::stderr().lock(), "{question}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        tree().debug_assert();
    }

    #[test]
    fn a_planned_command_says_so_and_a_typo_does_not() {
        for planned in PLANNED {
            let error = Cli::try_parse_from(["hookgate", planned]).expect_err("not built");
            assert_eq!(error.kind(), ErrorKind::InvalidSubcommand, "{planned}");
            assert_eq!(refuse(&error), Exit::Usage);
        }
        assert!(Cli::try_parse_from(["hookgate", "rnu"]).is_err());
    }
}
