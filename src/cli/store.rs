//! `hookgate store check|backup`: look the store over, or copy it, while no gateway has it.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::Subcommand;

use super::file::ConfigFile;
use crate::{
    app,
    config::Surroundings,
    plan::StoreSettings,
    store::{OpenError, back_up_offline, check},
    yaml::Problems,
};

/// What to do with the store.
#[derive(Clone, Debug, Subcommand)]
enum Act {
    /// Read all of it: structure, checksums, counts. 0 when sound, 1 when not. The gateway must be stopped.
    Check,
    /// Copy it to a new file. The gateway must be stopped.
    Backup {
        /// The file to write; it must not be there yet
        to: PathBuf,
    },
}

/// Which store, and what to do with it.
#[derive(Debug, clap::Args)]
#[command(mut_arg("config", |config| config.global(true)))]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    act: Act,
}

/// Finds the store by the configuration, and does it; answers the exit code.
///
/// # Errors
/// `out` or `complaints` could not be written.
pub(super) fn run(args: &Args, out: &mut dyn Write, complaints: &mut dyn Write) -> anyhow::Result<u8> {
    let mut problems = Problems::new();
    let Some(plan) = app::plan(args.config.named(), &Surroundings::system(), &mut problems) else {
        for problem in problems.into_sorted() {
            writeln!(complaints, "{problem}")?;
        }
        return Ok(app::Exit::Config as u8);
    };
    Ok(perform(&args.act, &plan.store, out, complaints)?)
}

/// Does it, says on `out` what came of it and on `complaints` what went wrong; the exit code. Only a closed output is an error.
///
/// # Errors
/// `out` or `complaints` could not be written.
fn perform(act: &Act, settings: &StoreSettings, out: &mut dyn Write, complaints: &mut dyn Write) -> io::Result<u8> {
    // A person waits: whoever holds the store is named at once, not after `store.lock_wait`.
    let result = match act {
        Act::Check => check(&settings.path, Duration::ZERO).map(|report| (report.to_string(), u8::from(!report.is_sound()))),
        Act::Backup { to } => back_up_offline(&settings.path, to, Duration::ZERO).map(|bytes| {
            let size = bytesize::ByteSize(bytes);
            (format!("{} copied to {} ({size})\n", settings.path.display(), to.display()), 0)
        }),
    };
    match result {
        Ok((text, code)) => {
            out.write_all(text.as_bytes())?;
            Ok(code)
        }
        // That is what was asked, and the answer is no.
        Err(error @ OpenError::Damaged { .. }) if matches!(act, Act::Check) => {
            writeln!(complaints, "{error}; so far that it cannot be read whole. Put a copy back that `hookgate store backup` made")?;
            Ok(app::Exit::No as u8)
        }
        Err(error) => {
            writeln!(complaints, "{error}{}{}", error.advice(), advice(&error))?;
            Ok(error.exit_code())
        }
    }
}

fn advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::Locked { .. } => "\nA gateway is running on it: stop it (SIGTERM drains and closes the store), then run this again.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::{Clock, Mono},
        metrics::Metrics,
        plan::Retention,
        store::{SqliteStore, Store as _},
    };

    fn settings(directory: &std::path::Path) -> StoreSettings {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        StoreSettings {
            path: directory.join("hookgate.db"),
            data_dir: directory.to_owned(),
            durability: None,
            retention: Retention {
                delivered: days(3),
                unrouted: days(30),
                cancelled: days(3),
                dead: days(90),
                payload: None,
                rejected: None,
            },
            max_bytes: u64::MAX,
            min_free_bytes: 0,
            lock_wait: Duration::from_secs(30),
        }
    }

    fn said(act: &Act, settings: &StoreSettings) -> (u8, String, String) {
        let (mut out, mut complaints) = (Vec::new(), Vec::new());
        let code = perform(act, settings, &mut out, &mut complaints).expect("memory can be written");
        (code, String::from_utf8(out).expect("text"), String::from_utf8(complaints).expect("text"))
    }

    #[test]
    fn says_who_holds_it_and_what_to_do_then_looks_and_copies() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        assert_eq!(said(&Act::Check, &settings).0, 78, "nothing is there yet");

        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let store = SqliteStore::open(&settings, Duration::from_secs(30), Clock::System, metrics).expect("it opens");
        let (code, _, complaint) = said(&Act::Check, &settings);
        assert_eq!(code, 75);
        assert!(complaint.contains(&format!("process {}", std::process::id())) && complaint.contains("stop it"), "{complaint}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(store.close(Mono::NEVER)).expect("it closes");

        let (code, report, _) = said(&Act::Check, &settings);
        assert_eq!(code, 0, "{report}");
        assert!(report.ends_with("sound\n"), "{report}");
        let to = directory.path().join("copy.db");
        let (code, report, complaint) = said(&Act::Backup { to: to.clone() }, &settings);
        assert_eq!(code, 0, "{complaint}");
        assert!(to.exists() && report.contains("copied"), "{report}");
    }
}
