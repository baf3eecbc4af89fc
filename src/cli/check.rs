//! `hookgate check`: everything that is wrong with a configuration at once, and what it comes to.

use std::{
    io::{self, Write as _},
    path::Path,
};

use super::file::ConfigFile;
use crate::{
    app,
    config::{self, Surroundings},
    plan::{self, Plan},
    yaml::{Problem, Problems, Severity},
};

/// The configuration is fine.
const FINE: u8 = 0;
/// It is not.
const WRONG: u8 = 1;

/// What to check, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Take a warning for an error
    #[arg(long)]
    strict: bool,
    /// Print the configuration in force: includes and defaults worked in, secrets as fingerprints
    #[arg(long)]
    print: bool,
}

/// Checks on this machine; answers the exit code.
pub(super) fn run(args: &Args, out: &mut dyn io::Write) -> anyhow::Result<u8> {
    // Keys and certificates are looked at as `run` would look at them.
    app::install_crypto();
    let inspect = |plan: &Plan| {
        let problem = |severity, what| Problem { at: None, severity, what, hint: None };
        let errors = app::inspect(plan).into_iter().map(|error| problem(Severity::Error, error.to_string()));
        errors.chain(app::cautions(plan).into_iter().map(|caution| problem(Severity::Warning, caution))).collect()
    };
    check(args.config.named(), args.strict, args.print, &Surroundings::system(), &inspect, out)
}

/// Checks the configuration that was named, or the one that is found, as `run` would before it opens anything. Problems go to standard
/// error, one a line; with `print`, the configuration as it is in force goes to `out`, its credentials as fingerprints. `inspect` says what
/// only the machine can tell about a plan, such as a key that does not fit its certificate. Answers the exit code: 0, or 1 when anything
/// is an error, or, with `strict`, a warning.
///
/// # Errors
/// When the output cannot be written.
fn check(
    file: Option<&Path>,
    strict: bool,
    print: bool,
    surroundings: &Surroundings,
    inspect: &dyn Fn(&Plan) -> Vec<Problem>,
    out: &mut dyn io::Write,
) -> anyhow::Result<u8> {
    let (exit, problems, listing) = judge(file, strict, surroundings, inspect);
    let mut people = io::stderr().lock();
    for problem in &problems {
        writeln!(people, "{problem}")?;
    }
    writeln!(people, "{}", verdict(&problems, exit))?;
    if let Some(listing) = listing.filter(|_| print) {
        out.write_all(listing.as_bytes())?;
    }
    Ok(exit)
}

/// The exit code, all problems in order, and the listing of what could be read.
fn judge(
    file: Option<&Path>,
    strict: bool,
    surroundings: &Surroundings,
    inspect: &dyn Fn(&Plan) -> Vec<Problem>,
) -> (u8, Vec<Problem>, Option<String>) {
    let mut problems = Problems::new();
    let config = config::load(file, surroundings, &mut problems);
    if let Some(config) = &config
        && let catalogue = config.catalogue(surroundings, &mut problems)
        && let Some(plan) = plan::compile(config, &catalogue, &mut problems)
    {
        inspect(&plan).into_iter().for_each(|problem| problems.push(problem));
    }
    let has_errors = problems.has_errors();
    let problems = problems.into_sorted();
    let exit = if has_errors || (strict && !problems.is_empty()) { WRONG } else { FINE };
    (exit, problems, config.map(|config| config.listing()))
}

fn verdict(problems: &[Problem], exit: u8) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let said = match (errors, warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (0, warnings) => counted(warnings, "warning"),
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    if exit == FINE { format!("the configuration is fine: {said}") } else { format!("the configuration does not start: {said}") }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Clock;

    fn judged(text: &str, strict: bool) -> (u8, Vec<String>, Option<String>) {
        let files = BTreeMap::from([("/etc/hookgate/hookgate.yaml".into(), text.as_bytes().to_vec())]);
        let surroundings = Surroundings::held(files, BTreeMap::new(), Clock::System);
        let (exit, problems, listing) = judge(None, strict, &surroundings, &|_| Vec::new());
        (exit, problems.iter().map(ToString::to_string).collect(), listing)
    }

    const GOOD: &str = "sources: { git: { provider: github, secret: 0123456789abcdef } }\n\
                        targets: { app: { url: http://127.0.0.1:3000/ } }\nroutes: [{ to: app }]\n";

    #[test]
    fn a_good_file_is_fine_and_is_listed_without_its_secret() {
        let (exit, problems, listing) = judged(GOOD, true);
        assert_eq!((exit, problems), (FINE, vec![]));
        let listing = listing.expect("read");
        assert!(listing.contains("give_up_after: 3d") && !listing.contains("0123456789abcdef"), "{listing}");
    }

    #[test]
    fn a_warning_counts_only_when_it_is_asked_to() {
        let short = GOOD.replace("0123456789abcdef", "0123456789");
        assert_eq!(judged(&short, false).0, FINE);
        assert_eq!(judged(&short, true).0, WRONG);
    }

    #[test]
    fn what_the_machine_says_counts_too() {
        let files = BTreeMap::from([("f.yaml".into(), GOOD.as_bytes().to_vec())]);
        let surroundings = Surroundings::held(files, BTreeMap::new(), Clock::System);
        let inspect = |_: &Plan| vec![Problem { at: None, severity: Severity::Error, what: "the key does not fit".into(), hint: None }];
        let (exit, problems, _) = judge(Some(Path::new("f.yaml")), false, &surroundings, &inspect);
        assert_eq!((exit, problems.len()), (WRONG, 1));
    }
}
