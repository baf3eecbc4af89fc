//! `hookgate providers`: the catalogue, one provider with its set-up steps, and `providers test`, which runs every known answer.

use std::{collections::BTreeMap, fmt::Write as _, io::Write, path::PathBuf};

use serde::Serialize;

use super::file;
use crate::{
    app::Exit,
    config::Period,
    provider::{Atom, Catalogue, EventRule, Provider, Retries, Template},
    verify::{Tried, prove, prove_handshakes, signable},
};

/// Known answers a file of the catalogue must have.
const ACCEPTED_MIN: usize = 1;
/// Edits of them that must be refused.
const REJECTED_MIN: usize = 2;

/// A provider, as `--json` writes it.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    title: &'a str,
    scheme: String,
    confidence: &'static str,
    vectors: Vectors<'a>,
    docs: &'a [Box<str>],
    credentials: Vec<CredentialEntry<'a>>,
    event_id_signed: bool,
    event_type_signed: bool,
    needs_public_url: bool,
    handshakes: Vec<&'a str>,
    can_be_sent: bool,
    body_limit_bytes: Option<u64>,
    answer_timeout_ms: Option<u64>,
    retries: String,
    setup: &'a [Box<str>],
}

/// How a provider file is proved.
#[derive(Serialize)]
struct Vectors<'a> {
    accepted: usize,
    rejected: usize,
    /// Accepted ones by who signed them: `sdk`, `docs`, `computed`.
    by_source: BTreeMap<&'a str, usize>,
}

/// What came of the known answers of a provider, as `test --json` writes it.
#[derive(Serialize)]
struct Proved<'a> {
    name: &'a str,
    /// Nothing when its file cannot be read.
    vectors: Option<Vectors<'a>>,
    problems: Vec<String>,
}

/// A credential, as `--json` writes it.
#[derive(Serialize)]
struct CredentialEntry<'a> {
    name: &'a str,
    label: &'a str,
    #[serde(rename = "where")]
    place: Option<&'a str>,
    prefix: Option<&'a str>,
    required: bool,
    warn: Option<&'a str>,
}

/// Which providers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One provider, or `test`
    name: Option<String>,
    /// A configuration: the files of its `providers_dir` are providers too, and so is the `verify` of a source, by the source's name
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Lists, shows or tests; answers the exit code.
pub(super) fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let answered = file::providers(args.config.as_deref()).and_then(|catalogue| match args.name.as_deref() {
        Some("test") => Ok(test_providers(&catalogue, args.json, out)),
        name => providers(&catalogue, name, args.json, out),
    });
    let exit = answered.unwrap_or_else(|(exit, why)| {
        // A reader that has gone away does not change the answer; the same holds below.
        let _ = writeln!(err, "{why}");
        exit
    });
    exit as u8
}

/// Lists the catalogue, or shows one provider.
///
/// # Errors
/// The exit code and what to say: there is none of this name, or files of the user's own are broken. The others are listed all the same.
fn providers(catalogue: &Catalogue, name: Option<&str>, json: bool, out: &mut dyn Write) -> Result<Exit, (Exit, String)> {
    let all = || {
        let files = catalogue.names().map(|slug| file::provider(catalogue, slug));
        files.chain(catalogue.inline_names().map(|source| file::inline(catalogue, source))).collect()
    };
    let wanted: Vec<_> = name.map_or_else(all, |name| vec![file::provider(catalogue, name)]);
    let (mut found, mut broken) = (Vec::with_capacity(wanted.len()), Vec::new());
    for read in wanted {
        match read {
            Ok(provider) => found.push(provider),
            Err(problem) if name.is_some() => return Err(problem),
            Err((_, why)) => broken.push(why),
        }
    }
    let text = match (json, name, found.as_slice()) {
        (true, _, all) => serde_json::to_string_pretty(&all.iter().map(|provider| entry(provider)).collect::<Vec<_>>()).unwrap_or_default(),
        (false, Some(_), [provider]) => described(provider),
        (false, _, all) => table(all),
    };
    let _ = writeln!(out, "{}", text.trim_end());
    if broken.is_empty() { Ok(Exit::Fine) } else { Err((Exit::Config, broken.join("\n"))) }
}

/// Runs every known answer of every provider: `Fine` when all came out as they must, else `No`. The user's own files come last, where they
/// are seen.
fn test_providers(catalogue: &Catalogue, json: bool, out: &mut dyn Write) -> Exit {
    let mut slugs: Vec<&str> = catalogue.names().collect();
    slugs.sort_by_key(|slug| catalogue.is_own(slug));
    let mut all = Vec::with_capacity(slugs.len());
    for slug in slugs {
        let proved = test_provider(catalogue, slug);
        if !json {
            if let Some(Vectors { accepted, rejected, .. }) = &proved.vectors {
                let _ = writeln!(out, "{slug}: {accepted} accepted, {rejected} rejected");
            }
            for problem in &proved.problems {
                let _ = writeln!(out, "  FAILED {slug}: {problem}");
            }
        }
        all.push(proved);
    }
    if json {
        let _ = writeln!(out, "{}", serde_json::to_string_pretty(&all).unwrap_or_default());
    }
    if all.iter().all(|proved| proved.problems.is_empty()) { Exit::Fine } else { Exit::No }
}

fn test_provider<'a>(catalogue: &'a Catalogue, slug: &'a str) -> Proved<'a> {
    let provider = match catalogue.load(slug) {
        Some(Ok(provider)) => provider,
        Some(Err(problems)) => return Proved { name: slug, vectors: None, problems: problems.iter().map(ToString::to_string).collect() },
        None => return Proved { name: slug, vectors: None, problems: Vec::new() },
    };
    let tried = prove(provider);
    let rejected = tried.iter().filter(|tried| tried.edit.is_some()).count();
    let accepted = tried.len() - rejected;
    let mut problems: Vec<String> = tried.iter().filter_map(failure).collect();
    let unanswered = prove_handshakes(provider).into_iter().filter_map(|(name, result)| Some((name, result.err()?)));
    problems.extend(unanswered.map(|(name, why)| format!("handshake `{name}`: {why}")));
    if accepted < ACCEPTED_MIN || rejected < REJECTED_MIN {
        problems.push(format!("has fewer than {ACCEPTED_MIN} accepted and {REJECTED_MIN} rejected vectors"));
    }
    Proved { name: slug, vectors: Some(Vectors { accepted, rejected, by_source: by_source(provider) }), problems }
}

fn failure(tried: &Tried) -> Option<String> {
    let edit = tried.edit.as_ref().map(|edit| format!(", {edit}")).unwrap_or_default();
    tried.problem.as_ref().map(|problem| format!("`{}`{edit}: {problem}", tried.vector))
}

fn entry(provider: &Provider) -> Entry<'_> {
    let credentials = provider.credentials.iter().map(|rule| CredentialEntry {
        name: &rule.name,
        label: &rule.label,
        place: rule.place.as_deref(),
        prefix: rule.prefix.as_deref(),
        required: rule.required,
        warn: rule.warn.as_deref(),
    });
    Entry {
        name: &provider.slug,
        title: &provider.title,
        scheme: provider.scheme(),
        confidence: provider.confidence.word(),
        vectors: Vectors {
            accepted: provider.vectors.len(),
            rejected: provider.vectors.iter().map(|vector| vector.rejects.len()).sum(),
            by_source: by_source(provider),
        },
        docs: &provider.docs,
        credentials: credentials.collect(),
        event_id_signed: provider.event.id_signed,
        event_type_signed: provider.event.types_signed,
        needs_public_url: provider.needs_public_url,
        handshakes: provider.handshakes.iter().map(|handshake| &*handshake.name).collect(),
        can_be_sent: signable(provider).is_ok(),
        body_limit_bytes: provider.body_limit,
        answer_timeout_ms: provider.answer_timeout.and_then(|timeout| u64::try_from(timeout.as_millis()).ok()),
        retries: retries(provider.retries),
        setup: &provider.setup,
    }
}

fn by_source(provider: &Provider) -> BTreeMap<&str, usize> {
    let mut by_source = BTreeMap::new();
    for vector in &provider.vectors {
        *by_source.entry(vector.source.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    by_source
}

fn retries(retries: Retries) -> String {
    match retries {
        Retries::For(duration) => Period(duration).to_string(),
        Retries::None => "none".into(),
        Retries::Unknown => "unknown".into(),
    }
}

fn table(providers: &[&Provider]) -> String {
    let widest =
        |word: &str, of: &dyn Fn(&Provider) -> usize| providers.iter().map(|provider| of(provider)).max().unwrap_or(0).max(word.len());
    let (width, scheme) = (widest("NAME", &|provider| provider.slug.len()), widest("SCHEME", &|provider| provider.scheme().len()));
    let mut text = format!("{:width$}  {:scheme$}  {:10}  TITLE\n", "NAME", "SCHEME", "CONFIDENCE");
    for provider in providers {
        let (slug, confidence) = (&provider.slug, provider.confidence.word());
        // Writing to a String does not fail; the same holds below.
        let _ = writeln!(text, "{slug:width$}  {:scheme$}  {confidence:10}  {}", provider.scheme(), provider.title);
    }
    text
}

/// What an event is known by, in order, and whether who has seen a request can change it.
fn id(provider: &Provider) -> String {
    let event = &provider.event;
    let signed = |yes| if yes { "signed" } else { "not signed" };
    let ids = event.id.iter().map(Template::text).collect::<Vec<_>>().join(", else ");
    match event {
        EventRule { once: true, .. } if ids.is_empty() => "none: the signed text stands for the event".to_owned(),
        EventRule { once: true, .. } => format!("{ids}, {}; repeats are known by the signed text", signed(event.id_signed)),
        EventRule { always_new: true, .. } if ids.is_empty() => "none: each request is an event of its own".to_owned(),
        EventRule { always_new: true, .. } => format!("{ids}, {}, else each request is an event of its own", signed(event.id_signed)),
        _ if ids.is_empty() => format!("none: the body stands for the event, {}", signed(event.body_signed)),
        _ => format!("{ids}, {}", signed(event.id_signed)),
    }
}

fn kind(provider: &Provider) -> String {
    let kinds = provider.event.types.iter().map(Template::text).collect::<Vec<_>>().join(", else ");
    match provider.event.types_signed {
        _ if kinds.is_empty() => "none".to_owned(),
        true => format!("{kinds}, signed"),
        false => format!("{kinds}, not signed"),
    }
}

fn described(provider: &Provider) -> String {
    let entry = entry(provider);
    let mut text = format!("{} ({})\n\n", provider.title, provider.slug);
    let _ = writeln!(text, "scheme      {}, confidence {}", entry.scheme, entry.confidence);
    let _ = writeln!(text, "event id    {}", id(provider));
    let _ = writeln!(text, "event type  {}", kind(provider));
    let _ = writeln!(text, "retries     {}", entry.retries);
    if entry.needs_public_url {
        let _ = writeln!(text, "public URL  needed: it is part of what is verified");
    }
    let kept_back: Vec<String> = provider.credential_places.iter().map(Atom::to_string).collect();
    if !kept_back.is_empty() {
        let _ = writeln!(text, "kept back   {}: no target sees it", kept_back.join(", "));
    }
    if !entry.handshakes.is_empty() {
        let _ = writeln!(text, "handshakes  {}", entry.handshakes.join(", "));
    }
    let _ = writeln!(text, "vectors     {} accepted, {} rejected", entry.vectors.accepted, entry.vectors.rejected);
    for link in entry.docs {
        let _ = writeln!(text, "docs        {link}");
    }
    if !entry.credentials.is_empty() {
        let _ = writeln!(text, "\nCredentials");
    }
    for credential in &entry.credentials {
        let place = credential.place.map(|place| format!(": {place}")).unwrap_or_default();
        let optional = if credential.required { "" } else { " (optional)" };
        let _ = writeln!(text, "  {}  {}{place}{optional}", credential.name, credential.label);
        if let Some(warn) = credential.warn {
            let _ = writeln!(text, "    {warn}");
        }
    }
    let _ = writeln!(text, "\nSet-up");
    for (index, step) in entry.setup.iter().enumerate() {
        let _ = writeln!(text, "  {}. {step}", index + 1);
    }
    let _ = writeln!(text, "\n{{endpoint}} is the source's public URL: server.public_url and /hooks/<name of the source>.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: Option<&str>, json: bool) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = Args { name: name.map(str::to_owned), config: None, json };
        let code = run(&args, &mut out, &mut err);
        (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
    }

    #[test]
    fn the_list_is_for_people_and_for_machines() {
        let (code, text, _) = asked(None, false);
        assert!(
            code == 0
                && text.starts_with("NAME")
                && text.lines().any(|line| line.split_whitespace().eq(["stripe", "hmac-sha256", "high", "Stripe"])),
            "{text}"
        );
        let (_, json, _) = asked(None, true);
        let list: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let stripe = list.as_array().expect("an array").iter().find(|entry| entry["name"] == "stripe").expect("there");
        assert_eq!((&stripe["title"], &stripe["scheme"], &stripe["confidence"]), (&"Stripe".into(), &"hmac-sha256".into(), &"high".into()));
        assert_eq!(stripe["vectors"]["by_source"]["sdk"], 2);
        assert!(stripe["vectors"]["accepted"] == 2 && stripe["vectors"]["rejected"].as_u64() >= Some(3));
    }

    #[test]
    fn one_provider_comes_with_its_steps_and_a_typo_with_a_guess() {
        let (code, text, _) = asked(Some("github"), false);
        assert!(code == 0 && text.contains("Set-up\n  1. ") && text.contains("{header:X-GitHub-Delivery}, not signed"), "{text}");
        let (code, json, _) = asked(Some("github"), true);
        assert_eq!((code, serde_json::from_str::<Vec<serde_json::Value>>(&json).expect("an array").len()), (0, 1));
        let (code, out, err) = asked(Some("githbu"), false);
        assert_eq!((code, &*out, &*err), (2, "", "there is no provider `githbu`; did you mean `github`?\n"));
    }

    #[test]
    fn every_known_answer_is_run_and_counted() {
        let mut out = Vec::new();
        assert_eq!(test_providers(&Catalogue::embedded(), false, &mut out), Exit::Fine, "{}", String::from_utf8_lossy(&out));
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.lines().count() == Catalogue::embedded().names().count() && text.contains("github: 3 accepted, 14 rejected"),
            "{text}"
        );
    }
}
