//! The provider of a source: found among those that are known, or written in the source itself, and proved where no test of ours proves it.

use crate::{
    config,
    provider::{Catalogue, Provider},
    verify::{prove, prove_handshakes},
    yaml::{Problem, Problems},
};

/// What a source names or writes. `None` when there is none of the name, or what is written is broken, which is noted.
pub(super) fn find<'c>(name: &str, source: &config::Source, catalogue: &'c Catalogue, problems: &mut Problems) -> Option<&'c Provider> {
    if source.verify.is_some() {
        return whole(catalogue.load_inline(name)?, problems);
    }
    let asked = source.provider.as_ref()?;
    if let Some(read) = catalogue.load(asked) {
        return whole(read, problems);
    }
    let said = format!("there is no provider {}", asked.shown());
    match problems.nearest(asked, catalogue.names()) {
        Some(meant) => problems.error_hint(&asked.at, said, format!("did you mean `{meant}`?")),
        None => problems.error_hint(&asked.at, said, "`hookgate providers` lists them"),
    }
    None
}

fn whole<'c>(read: Result<&'c Provider, &[Problem]>, problems: &mut Problems) -> Option<&'c Provider> {
    read.map_err(|faults| faults.iter().for_each(|fault| problems.push(Problem::clone(fault)))).ok()
}

/// Runs the known answers of a file that no test of ours has seen, and says so where there are none.
pub(super) fn known_answers(name: &str, source: &config::Source, provider: &Provider, catalogue: &Catalogue, problems: &mut Problems) {
    let is_inline = source.verify.is_some();
    if !is_inline && !catalogue.is_own(&provider.slug) {
        return;
    }
    let (at, slug) = (source.provider_at(), &provider.slug);
    if is_inline {
        let said = "nothing shows that it verifies as its sender signs; a file in `providers_dir` can, by its `vectors`";
        problems.warning(at, format!("the `verify` of `{name}` is unproved: {said}"));
    } else if provider.vectors.is_empty() {
        let said = "its file has no `vectors`, so nothing shows that it verifies as its vendor signs";
        problems.warning(at, format!("`{slug}` is unproved: {said}"));
    }
    for tried in prove(provider) {
        if let Some(problem) = tried.problem {
            let edit = tried.edit.map(|edit| format!(" ({edit})")).unwrap_or_default();
            problems.error(at, format!("the vector `{}`{edit} of `{slug}` does not come out: {problem}", tried.vector));
        }
    }
    for (handshake, answered) in prove_handshakes(provider) {
        if let Err(problem) = answered {
            problems.error(at, format!("the example of the handshake `{handshake}` of `{slug}` does not come out: {problem}"));
        }
    }
}
