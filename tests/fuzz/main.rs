//! The short fuzz campaign: every seed in the tree, and a fixed number of mutations of it, through every parser that touches bytes from
//! outside. The long one is `make fuzz`, guided by coverage; what it finds becomes a seed here.
//!
//! The mutations are those of one seed of chance, so that a failure comes again. `FUZZ_ROUNDS=N` tries N of each target.

mod mutation;
mod targets;

use std::{
    fs,
    io::Write as _,
    panic::catch_unwind,
    path::{Path, PathBuf},
    time::Duration,
};

use mutation::Mutator;
use targets::{TARGETS, Target, requests};

/// Mutations of each target, unless `FUZZ_ROUNDS` says otherwise.
const ROUNDS: usize = 1000;
/// Longer inputs of each target: parts of its seeds, repeated, up to [`LONG_BYTES_MAX`].
const LONG_ROUNDS: usize = 12;
/// Bytes of the longest input; bodies of that size are taken at the door.
const LONG_BYTES_MAX: usize = 512 * 1024;

/// Bytes of an input that failed which are shown.
const SHOWN_BYTES_MAX: usize = 2000;

/// The seeds of a target: its own folder, and what the tree has of that kind anyway.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders: &[&str] = match target.name {
        "provider" => &["config/providers"],
        "config" => &["config", "config/examples"],
        "yaml" => &["config/examples"],
        _ => &[],
    };
    let own = root.join("fuzz/seeds").join(target.name);
    let folders = [own].into_iter().chain(folders.iter().map(|folder| root.join(folder)));
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no seeds", target.name);
    let mut all: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).expect("a seed")).collect();
    if target.name == "request" {
        all.extend(requests::known_answers());
    }
    all
}

/// Tries one input and says how long it took; of one that panics, which it was.
fn call(target: &Target, input: &[u8]) -> Result<Duration, String> {
    let shown = input.get(..SHOWN_BYTES_MAX).unwrap_or(input);
    catch_unwind(|| target.call(input)).map_err(|_| format!("{}: {} bytes: \"{}\"", target.name, input.len(), shown.escape_ascii()))
}

#[test]
fn no_input_panics_or_takes_long() {
    #[expect(clippy::disallowed_methods, reason = "a campaign is chosen on the command line")]
    let rounds = std::env::var("FUZZ_ROUNDS").ok().map_or(ROUNDS, |text| text.parse().expect("FUZZ_ROUNDS is a number"));
    let (mut executions, mut failed) = (0, Vec::new());
    for target in &TARGETS {
        let seeds = seeds(target);
        let mut mutator = Mutator::new(&seeds);
        let mutated = std::iter::repeat_with(|| mutator.mutated()).take(rounds).collect::<Vec<_>>();
        let long = std::iter::repeat_with(|| mutator.long(LONG_BYTES_MAX)).take(LONG_ROUNDS);
        let all = seeds.iter().cloned().chain(mutated).chain(long.collect::<Vec<_>>());
        let (mut count, mut slowest) = (0, Duration::ZERO);
        for input in all {
            match call(target, &input) {
                Ok(took) => slowest = slowest.max(took),
                Err(input) => {
                    failed.push(input);
                    break;
                }
            }
            count += 1;
        }
        executions += count;
        // To the stream itself, which shows it also when the test passes.
        let _ = writeln!(std::io::stderr(), "fuzz {:<12} {count:>6} executions of {} seeds, slowest {slowest:?}", target.name, seeds.len());
    }
    assert!(failed.is_empty(), "the first of each target (the panic itself stands above):\n{}", failed.join("\n"));
    let _ = writeln!(std::io::stderr(), "fuzz {executions} executions of {} targets, 0 panics, 0 slower than 1 s", TARGETS.len());
}

#[test]
fn every_known_answer_is_accepted_as_an_input() {
    let refused: Vec<_> = requests::known_answers().into_iter().filter(|input| !requests::accepted(input)).collect();
    let shown: Vec<String> = refused.iter().map(|input| input.escape_ascii().to_string()).collect();
    assert!(shown.is_empty(), "{shown:#?}");
}

#[test]
fn repeated_members_take_no_longer_than_others() {
    let json = TARGETS.iter().find(|target| target.name == "json").expect("the target");
    // Two members by turns, one first: each of the other kind was once looked for among all of the first.
    let body = ["/a\n{", &"\"a\":1,".repeat(60_000), &"\"b\":1,".repeat(60_000), "\"c\":1}"].concat();
    assert!(call(json, body.as_bytes()).is_ok());
}
