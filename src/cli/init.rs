//! `hookgate init`: a first configuration that runs as it is, the secrets we may choose, and what to paste where.
//!
//! It writes two files or none, and never over one that is there. Secrets go into `.env`, which a shell, systemd and compose read alike,
//! and are never printed.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::Engine as _;
use rand::TryRng as _;

use super::file::{self, told};
use crate::{
    app::Exit,
    config::{self, Surroundings},
    name::SourceName,
    provider::{CLIENT_ID, CLIENT_SECRET, Catalogue, Check, CredentialRule, Family, Provider},
    secret::Secret,
    yaml::Problems,
};

/// Random bytes of a secret of ours.
const SECRET_BYTES: usize = 32;
/// The provider of a configuration nobody named one for: its secret is ours to choose, so it runs at once.
const FIRST_PROVIDER: &str = "github";
/// The target nobody named.
const FIRST_TARGET: &str = "http://127.0.0.1:3000/webhooks";

/// How a user and a password that are ours begin.
const LOGIN_PREFIX: &str = "hookgate:";
/// How a provider file says, where a credential is found, that the operator makes it up.
const OUR_CHOICE: &str = "your own choice";

/// The key of a source that guards what nothing proves.
const URL_TOKEN: &str = "url_token";

/// What the first configuration is about.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A provider that will send webhooks; may be repeated (`hookgate providers` lists them)
    #[arg(long = "provider", value_name = "P")]
    providers: Vec<String>,
    /// A directory of provider files of your own, which the configuration will name as `providers_dir`
    #[arg(long, value_name = "DIR")]
    providers_dir: Option<PathBuf>,
    /// Where events go
    #[arg(long, value_name = "URL", conflicts_with = "in_front_of")]
    target: Option<url::Url>,
    /// A service that receives one provider's webhooks itself today: the same path here, the service as the target
    #[arg(long, value_name = "URL")]
    in_front_of: Option<url::Url>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("{1}")]
    Provider(Exit, String),
    #[error("`{0}` cannot be the name of a source, which its provider would give it")]
    Name(String),
    #[error("`{0}` was asked for twice")]
    Twice(String),
    #[error(
        "--in-front-of takes over the path of one provider, and {0} are named; name one, or say `--target {1}` and give each provider the \
         URL of its own that is printed then"
    )]
    Path(usize, String),
    #[error("{0} is no URL of a target: it must be http:// or https://, without user and password")]
    Url(String),
    #[error("{0} is there already, and init overwrites nothing; nothing was written")]
    There(PathBuf),
    #[error("cannot write {0}: {1}; nothing was written")]
    Write(PathBuf, io::Error),
    #[error("cannot write {0}: {1}; remove what was begun, which could not be taken back: {2}")]
    Left(PathBuf, io::Error, String),
    #[error("the system gives no randomness: {0}")]
    Random(String),
}

/// Writes the files into the current directory and says what to do next.
pub(super) fn run(args: &Args) -> Exit {
    match known(args).and_then(|catalogue| Draft::of(args, &catalogue)).and_then(|draft| draft.write(Path::new(".")).map(|()| draft)) {
        Ok(draft) => {
            super::say(format_args!("{}", draft.next_steps().trim_end()));
            Exit::Fine
        }
        Err(error) => {
            super::complain(format_args!("{error}"));
            match error {
                InitError::Provider(exit, _) => exit,
                InitError::Name(_) | InitError::Twice(_) | InitError::Path(..) | InitError::Url(_) => Exit::Usage,
                InitError::There(_) => Exit::No,
                InitError::Write(..) | InitError::Left(..) => Exit::StoreIo,
                InitError::Random(_) => Exit::Internal,
            }
        }
    }
}

/// The providers that may be named.
fn known(args: &Args) -> Result<Catalogue, InitError> {
    let Some(folder) = &args.providers_dir else { return Ok(Catalogue::embedded()) };
    let mut problems = Problems::new();
    let catalogue = config::catalogue(folder, None, &Surroundings::system(), &mut problems);
    if problems.has_errors() { Err(InitError::Provider(Exit::Config, told(problems))) } else { Ok(catalogue) }
}

/// Everything that is to be written.
#[derive(Debug)]
struct Draft {
    /// Where our own provider files are, as it was said.
    providers_dir: Option<PathBuf>,
    sources: Vec<SourceDraft>,
    target: url::Url,
}

#[derive(Debug)]
struct SourceDraft {
    name: SourceName,
    title: String,
    path: String,
    /// Whether the path must be written down, because it is not `/hooks/<name>`.
    has_own_path: bool,
    credentials: Vec<CredentialDraft>,
    setup: Vec<String>,
    /// Whether the provider signs its public URL, so that none of its requests holds without one.
    signs_url: bool,
}

#[derive(Debug)]
struct CredentialDraft {
    name: String,
    variable: String,
    label: String,
    place: Option<String>,
    /// A secret of ours; `None` when the provider makes it, and people have to copy it.
    ours: Option<Secret>,
}

impl Draft {
    fn of(args: &Args, catalogue: &Catalogue) -> Result<Self, InitError> {
        let target = args.in_front_of.as_ref().or(args.target.as_ref()).cloned();
        let target = match target {
            Some(url) => url,
            None => FIRST_TARGET.parse().map_err(|_| InitError::Url(FIRST_TARGET.into()))?,
        };
        let is_plain = target.username().is_empty() && target.password().is_none();
        if !matches!(target.scheme(), "http" | "https") || target.host().is_none() || !is_plain {
            return Err(InitError::Url(target.to_string()));
        }
        let wanted = if args.providers.is_empty() { vec![FIRST_PROVIDER.to_owned()] } else { args.providers.clone() };
        // One path cannot tell two providers apart.
        if let (Some(url), 2..) = (&args.in_front_of, wanted.len()) {
            return Err(InitError::Path(wanted.len(), url.to_string()));
        }
        let mut sources: Vec<SourceDraft> = Vec::new();
        for slug in &wanted {
            let provider = file::provider(catalogue, slug).map_err(|(exit, why)| InitError::Provider(exit, why))?;
            let name = SourceName::parse(slug).ok_or_else(|| InitError::Name(slug.clone()))?;
            if sources.iter().any(|source| source.name == name) {
                return Err(InitError::Twice(slug.clone()));
            }
            let inherited = args.in_front_of.as_ref().filter(|url| url.path() != "/").map(url::Url::path);
            sources.push(SourceDraft::of(provider, name, inherited)?);
        }
        Ok(Self { providers_dir: args.providers_dir.clone(), sources, target })
    }

    /// Writes both files, or says why neither was written.
    fn write(&self, dir: &Path) -> Result<(), InitError> {
        let config = (dir.join("hookgate.yaml"), self.yaml(), 0o644);
        let secrets = (dir.join(".env"), self.env(), 0o600);
        for (path, ..) in [&config, &secrets] {
            if path.symlink_metadata().is_ok() {
                return Err(InitError::There(path.clone()));
            }
        }
        write_all([config, secrets])
    }

    fn yaml(&self) -> String {
        let mut text = String::from(HEAD);
        let signs = self.sources.iter().filter(|source| source.signs_url).map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
        // Writing to a String cannot fail, here and below.
        let _ = match &*signs {
            "" => writeln!(text, "# public_url: https://hooks.example.com"),
            _ => writeln!(
                text,
                "  public_url: http://127.0.0.1:8080   # write the base URL the provider reaches you under: {signs} signs it"
            ),
        };
        text.push_str(ADMIN);
        if let Some(folder) = &self.providers_dir {
            let _ = writeln!(text, "\n# Provider files of our own.\nproviders_dir: {:?}", folder.to_string_lossy());
        }
        text.push_str(SOURCES);
        for source in &self.sources {
            let _ = writeln!(text, "  {}:                       # {}", source.name, source.title);
            let _ = writeln!(text, "    provider: {}", source.name);
            if source.has_own_path {
                let _ = writeln!(text, "    path: {:?}", source.path);
            }
            let (own, others): (Vec<_>, Vec<_>) = source.credentials.iter().partition(|one| ["secret", URL_TOKEN].contains(&&*one.name));
            for one in own {
                let _ = writeln!(text, "    {}: \"${{{}}}\"", one.name, one.variable);
            }
            if !others.is_empty() {
                text.push_str("    credentials:\n");
            }
            for one in others {
                let _ = writeln!(text, "      {}: \"${{{}}}\"", one.name, one.variable);
            }
        }
        let _ =
            write!(text, "\n# Who receives them: body and headers arrive as the provider sent them.\ntargets:\n  app:\n    url: {:?}\n", {
                self.target.as_str()
            });
        let names: Vec<_> = self.sources.iter().map(|source| source.name.as_str()).collect();
        let _ = write!(
            text,
            "\n# Who gets what. `types: [\"invoice.*\"]` would narrow it down.\nroutes:\n  - {{ from: [{}], to: app }}\n",
            names.join(", ")
        );
        text
    }

    fn env(&self) -> String {
        let mut text = String::from("# Secrets of hookgate.yaml. Keep this file out of version control.\n");
        for one in self.sources.iter().flat_map(|source| &source.credentials) {
            match &one.ours {
                Some(secret) => {
                    let _ = writeln!(text, "{}={}", one.variable, String::from_utf8_lossy(secret.reveal()));
                }
                None => {
                    let place = one.place.as_deref().map(|place| format!(" ({place})")).unwrap_or_default();
                    let _ = writeln!(text, "# {}{place}\n{}=", one.label, one.variable);
                }
            }
        }
        text
    }

    fn next_steps(&self) -> String {
        let mut text = String::from("Wrote hookgate.yaml, and .env for the secrets.\n");
        for source in &self.sources {
            let endpoint = format!("https://YOUR-HOST{}", source.path);
            let _ = write!(text, "\n{}: the URL to paste is\n    {endpoint}\n", source.title);
            for step in &source.setup {
                let _ = writeln!(text, "  - {}", step.replace("{endpoint}", &endpoint));
            }
            for one in &source.credentials {
                match one.ours {
                    Some(_) if one.name == URL_TOKEN => {
                        let _ = writeln!(text, "  - {} stands in .env as {}: put a slash and it behind the URL.", one.label, one.variable);
                    }
                    Some(_) => {
                        let _ = writeln!(text, "  - {} stands in .env as {}: give it to {}.", one.label, one.variable, source.title);
                    }
                    None => {
                        let _ = writeln!(text, "  - Put the {} into .env as {}.", one.label, one.variable);
                    }
                }
            }
        }
        text.push_str("\nStart it:\n    set -a; . ./.env; set +a; hookgate run\n");
        if let Some(first) = self.sources.first() {
            let _ = write!(text, "\nRing it from another terminal:\n    set -a; . ./.env; set +a; hookgate send {}\n", first.name);
        }
        text
    }
}

/// Makes files, each with its text and mode, or none of them.
fn write_all(files: [(PathBuf, String, u32); 2]) -> Result<(), InitError> {
    let mut made: Vec<PathBuf> = Vec::new();
    for (path, text, mode) in files {
        let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let written = opened.and_then(|mut file| {
            made.push(path.clone());
            file.write_all(text.as_bytes())
        });
        if let Err(error) = written {
            return Err(unwritten(path, error, &made));
        }
    }
    Ok(())
}

/// Takes back what was made before a file could not be written, or was written in part. The error says what could not be taken back.
fn unwritten(path: PathBuf, error: io::Error, made: &[PathBuf]) -> InitError {
    let left: Vec<String> = made.iter().filter(|made| fs::remove_file(made).is_err()).map(|made| made.display().to_string()).collect();
    if left.is_empty() { InitError::Write(path, error) } else { InitError::Left(path, error, left.join(", ")) }
}

impl SourceDraft {
    fn of(provider: &Provider, name: SourceName, inherited: Option<&str>) -> Result<Self, InitError> {
        let asks = provider.checks.iter().any(Check::asks_for_keys);
        let needed = |rule: &&CredentialRule| rule.required || asks && [CLIENT_ID, CLIENT_SECRET].contains(&&*rule.name);
        let mut credentials = (provider.credentials.iter().filter(needed))
            .map(|rule| CredentialDraft::of(rule, provider, &name))
            .collect::<Result<Vec<_>, _>>()?;
        if provider.checks.iter().all(|check| check.scheme.family() == Family::None) {
            credentials.push(CredentialDraft::url_token(&name)?);
        }
        Ok(Self {
            title: provider.title.to_string(),
            path: inherited.map_or_else(|| format!("/hooks/{name}"), str::to_owned),
            has_own_path: inherited.is_some(),
            credentials,
            setup: provider.setup.iter().map(ToString::to_string).collect(),
            signs_url: provider.needs_public_url,
            name,
        })
    }
}

impl CredentialDraft {
    fn of(rule: &CredentialRule, provider: &Provider, source: &SourceName) -> Result<Self, InitError> {
        let what = if &*rule.name == "secret" { "webhook_secret" } else { &rule.name };
        // What the provider shows somewhere is the provider's to make, unless its file says that it is agreed on: then we make a good one.
        let is_agreed = rule.place.as_deref().is_none_or(|place| place.contains(OUR_CHOICE));
        let of_rule = |check: &&Check| check.key.from.contains(&rule.name);
        let is_login = provider.checks.iter().find(of_rule).is_some_and(|check| check.scheme.family() == Family::Basic);
        let prefix = if is_login { Some(LOGIN_PREFIX) } else { rule.prefix.as_deref() };
        let ours = if is_agreed { Some(random_secret(prefix)?) } else { None };
        Ok(Self {
            name: rule.name.to_string(),
            variable: variable(source, what),
            label: rule.label.to_string(),
            place: rule.place.as_deref().map(str::to_owned),
            ours,
        })
    }

    /// The guard of a source whose provider proves nothing.
    fn url_token(source: &SourceName) -> Result<Self, InitError> {
        let label = "The last segment of the URL".to_owned();
        let ours = Some(random_secret(None)?);
        Ok(Self { name: URL_TOKEN.to_owned(), variable: variable(source, URL_TOKEN), label, place: None, ours })
    }
}

fn variable(source: &SourceName, what: &str) -> String {
    format!("{source}_{what}").to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// A secret in letters a shell, YAML and every vendor's form take: hex, or base64 behind a prefix (`whsec_`), which is how those are read.
fn random_secret(prefix: Option<&str>) -> Result<Secret, InitError> {
    let mut random = zeroize::Zeroizing::new([0_u8; SECRET_BYTES]);
    rand::rngs::SysRng.try_fill_bytes(random.as_mut()).map_err(|error| InitError::Random(error.to_string()))?;
    Ok(match prefix {
        Some(prefix) => Secret::new(format!("{prefix}{}", base64::engine::general_purpose::STANDARD.encode(*random))),
        None => Secret::new(hex::encode(*random)),
    })
}

const HEAD: &str = "\
# hookgate's configuration. `hookgate check` says everything that is wrong with it.

server:
  listen: 127.0.0.1:8080          # off loopback, say who ends TLS: tls: { cert: a.pem, key: a.key }, or tls: upstream
";

const ADMIN: &str = "
admin:
  listen: 127.0.0.1:9480          # status, metrics, probes; the token is made at the first start: hookgate-data/admin.token
";

const SOURCES: &str = "
# Who rings, and how it is proved. ${NAME} is taken from the environment.
sources:
";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn args(providers: &[&str], target: Option<&str>, in_front_of: Option<&str>) -> Args {
        let url = |text: &str| text.parse().expect("a URL");
        Args {
            providers: providers.iter().map(|one| (*one).to_owned()).collect(),
            providers_dir: None,
            target: target.map(url),
            in_front_of: in_front_of.map(url),
        }
    }

    #[test]
    fn it_never_overwrites_and_writes_both_or_none() {
        for there in ["hookgate.yaml", ".env"] {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join(there), "mine").expect("written");
            let draft = Draft::of(&args(&[], None, None), &Catalogue::embedded()).expect("drafted");
            assert!(matches!(draft.write(dir.path()), Err(InitError::There(_))));
            let names: Vec<_> = fs::read_dir(dir.path()).expect("read").map(|one| one.expect("read").file_name()).collect();
            assert_eq!(names, [there]);
            assert_eq!(fs::read_to_string(dir.path().join(there)).expect("read"), "mine");
        }
    }

    #[test]
    fn what_was_made_goes_when_a_later_file_cannot_be_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (dir.path().join("hookgate.yaml"), dir.path().join("gone").join(".env"));
        let error = write_all([(first.clone(), "a".into(), 0o644), (second.clone(), "b".into(), 0o600)]).expect_err("no such directory");
        assert!(matches!(&error, InitError::Write(path, _) if *path == second), "{error}");
        assert!(!first.exists() && error.to_string().ends_with("nothing was written"), "{error}");
        // What is another's stays.
        let other = dir.path().join("other");
        fs::write(&other, "mine").expect("written");
        write_all([(first.clone(), "a".into(), 0o644), (other.clone(), "b".into(), 0o600)]).expect_err("it is there");
        assert!(!first.exists() && fs::read_to_string(other).expect("read") == "mine");
    }

    #[test]
    fn secrets_are_private_and_never_printed() {
        let dir = tempfile::tempdir().expect("a directory");
        let draft = Draft::of(&args(&["github"], None, None), &Catalogue::embedded()).expect("drafted");
        draft.write(dir.path()).expect("written");
        let env = dir.path().join(".env");
        assert_eq!(fs::metadata(&env).expect("there").permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(env).expect("read");
        for secret in text.lines().filter_map(|line| line.split_once('=')).map(|(_, value)| value).filter(|value| !value.is_empty()) {
            assert!(!draft.next_steps().contains(secret) && !draft.yaml().contains(secret));
        }
        assert!(draft.next_steps().contains("/hooks/github"));
    }

    #[test]
    fn every_provider_gets_a_configuration_that_starts() {
        let catalogue = Catalogue::embedded();
        for slug in catalogue.names() {
            let draft = Draft::of(&args(&[slug], None, None), &catalogue).expect("drafted");
            let given = &catalogue.find(slug).expect("reads").vectors.first().expect("proved").credentials;
            let pasted = |name: &str| {
                let known = given.iter().find(|(own, _)| **own == *name).and_then(|(_, values)| values.first());
                known.map_or_else(|| format!("pasted-{name}-0123456789"), ToString::to_string)
            };
            let value = |one: &CredentialDraft| match &one.ours {
                Some(secret) => String::from_utf8_lossy(secret.reveal()).into_owned(),
                None => pasted(&one.name),
            };
            let variables = draft.sources[0].credentials.iter().map(|one| (one.variable.clone(), value(one))).collect();
            let files = [(PathBuf::from("hookgate.yaml"), draft.yaml().into_bytes())].into();
            let around = Surroundings::held(files, variables, crate::clock::Clock::System);
            let mut problems = Problems::new();
            let config = config::load(Some(Path::new("hookgate.yaml")), &around, &mut problems).expect("a configuration");
            let plan = crate::plan::compile(&config, &catalogue, &mut problems);
            let said: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
            assert!(plan.is_some(), "{slug}: {said:#?}\n{}", draft.yaml());
            assert!(!said.iter().any(|line| line.contains("guessed")) || draft.sources[0].credentials.iter().any(|one| one.ours.is_none()));
        }
    }

    #[test]
    fn in_front_of_keeps_the_path() {
        let draft = Draft::of(&args(&["stripe"], None, Some("http://app:3000/api/stripe")), &Catalogue::embedded()).expect("drafted");
        assert!(draft.yaml().contains("path: \"/api/stripe\""), "{}", draft.yaml());
        assert!(draft.yaml().contains("url: \"http://app:3000/api/stripe\""));
    }

    #[test]
    fn a_typo_is_told_from_a_provider() {
        let error = Draft::of(&args(&["githbu"], None, None), &Catalogue::embedded()).expect_err("unknown");
        assert!(error.to_string().contains("did you mean `github`"), "{error}");
    }
}
