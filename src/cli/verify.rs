//! `hookgate verify`: is this request genuine, and if not, why? It takes a request as it was sent and says what the gateway would.
//!
//! It shows what was looked for and where; never a secret, and never the signature that would have been right.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    call::Access,
    file, kept, raw,
    verdict::{Answer, Known},
};
use crate::{
    app::Exit,
    clock::{Clock, UnixMs},
    config::Config,
    provider::{Catalogue, Provider},
    secret::Secret,
    verify::{Credential, Setting},
};

/// The largest file that is read, in bytes: well above the largest body any source takes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Prove a request: accepted (exit code 0), or rejected (1) and why.
#[derive(Debug, clap::Args)]
#[command(override_usage = "hookgate verify [OPTIONS] <PROVIDER> <FILE>\n       hookgate verify [OPTIONS] --source <NAME> <FILE>\n       \
                                hookgate verify [OPTIONS] --rejected <ID>")]
pub(super) struct VerifyArgs {
    /// The provider, as `hookgate providers` lists it, with -c one of its `providers_dir` too; left out with --source and --rejected
    #[arg(value_name = "PROVIDER", required_unless_present = "rejected", conflicts_with = "rejected")]
    pub(super) first: Option<PathBuf>,
    /// A source of the configuration instead: provider, credentials, tolerance and public URL are its own
    #[arg(long, value_name = "NAME", conflicts_with_all = ["secret", "secret_file", "secret_env", "credentials"])]
    pub(super) source: Option<String>,
    /// A request that a running gateway rejected and kept, as its source in the configuration would verify it when it came
    #[arg(long, value_name = "ID", conflicts_with_all = ["source", "secret", "secret_file", "secret_env", "credentials", "url"])]
    pub(super) rejected: Option<String>,
    #[command(flatten)]
    pub(super) access: Access,
    /// The secret; visible to others on this machine, so better one of the next two
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["secret_file", "secret_env"])]
    pub(super) secret: Option<String>,
    /// A file that holds the secret; one line end at its end is not part of it
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    pub(super) secret_file: Option<PathBuf>,
    /// The environment variable that holds the secret
    #[arg(long, value_name = "NAME")]
    pub(super) secret_env: Option<String>,
    /// A further credential, in the provider's own words; may be repeated
    #[arg(long = "credential", value_name = "NAME=VALUE")]
    pub(super) credentials: Vec<String>,
    /// When the request was received, in seconds since 1970 [default: now]
    #[arg(long, value_name = "UNIX")]
    pub(super) at: Option<i64>,
    /// The public URL it was sent to, with its query
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<url::Url>,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
    /// The request as it was sent (HTTP/1.1: request line, headers, blank line, body), or `-` for standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["source", "rejected"], conflicts_with_all = ["source", "rejected"])]
    pub(super) second: Option<PathBuf>,
}

/// What a command knows of the machine; a test brings its own.
pub(super) struct Outside<'a> {
    /// The time when nothing else is said.
    pub(super) now: UnixMs,
    /// Looks an environment variable up.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Standard input.
    pub(super) stdin: &'a mut dyn Read,
}

/// Runs the command on this machine and answers the exit code: 0 accepted, 1 rejected, 2 it could not be tried, 78 the configuration.
pub(super) fn verify(args: &VerifyArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    #[expect(clippy::disallowed_methods, reason = "the variable is named on the command line, not in a configuration")]
    let variable = |name: &str| std::env::var(name).ok();
    let outside = Outside { now: Clock::System.wall(), variable: &variable, stdin: &mut io::stdin().lock() };
    verify_with(args, outside, out, err)
}

/// Runs the command with what is given as the machine.
pub(super) fn verify_with(args: &VerifyArgs, outside: Outside<'_>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let exit = answered(args, outside, out).unwrap_or_else(|(exit, problem)| {
        let _ = writeln!(err, "{problem}");
        exit
    });
    exit as u8
}

fn answered(args: &VerifyArgs, mut outside: Outside<'_>, out: &mut dyn Write) -> Result<Exit, (Exit, String)> {
    let (config, catalogue) = match (&args.source, &args.rejected) {
        (None, None) => (None, file::providers(args.access.config().named())?),
        _ => args.access.config().load().map(|(config, catalogue)| (Some(config), catalogue))?,
    };
    if let (Some(id), Some(config)) = (&args.rejected, &config) {
        return Ok(print(&of_rejected(args, id, config, &catalogue)?, args.json, out));
    }
    let known = match (&args.source, &config) {
        (Some(source), Some(config)) => Known::of_source(source, config, &catalogue)?,
        _ => {
            let named = args.first.as_deref().unwrap_or(Path::new("")).to_string_lossy();
            let provider = file::provider(&catalogue, &named)?;
            of_provider(args, provider, &catalogue, &outside)?
        }
    };
    Ok(print(&of_file(args, &known, &mut outside)?, args.json, out))
}

/// A provider with the credentials of the command line.
fn of_provider<'a>(
    args: &VerifyArgs,
    provider: &'a Provider,
    catalogue: &'a Catalogue,
    outside: &Outside<'_>,
) -> Result<Known<'a>, (Exit, String)> {
    let credentials = credentials(args, outside).map_err(|why| (Exit::Usage, why))?;
    Ok(Known::of_provider(Setting { provider, credentials, retired: Vec::new(), endpoint: None, tolerance: None }, catalogue))
}

/// The answer to the request in the file.
fn of_file<'a>(args: &VerifyArgs, known: &Known<'a>, outside: &mut Outside<'_>) -> Result<Answer<'a>, (Exit, String)> {
    let usage = |why: String| (Exit::Usage, why);
    let at = args.at.map_or(outside.now, |seconds| UnixMs(seconds.saturating_mul(1000)));
    let file = args.second.as_deref().or(args.first.as_deref()).unwrap_or(Path::new("-"));
    let captured = raw::captured(&read(file, outside).map_err(usage)?, at).map_err(usage)?;
    let mut answer = known.judge(captured.request, at, args.url.as_ref()).map_err(usage)?;
    if captured.ignored_bytes > 0 {
        let bytes = captured.ignored_bytes;
        answer.add(&format!(" Warning: the file has {bytes} bytes behind those that Content-Length counts; they are no part of the body."));
    }
    Ok(answer)
}

/// The answer to a kept request, by its source in the configuration, at the time it came.
fn of_rejected<'a>(args: &VerifyArgs, id: &str, config: &Config, catalogue: &'a Catalogue) -> Result<Answer<'a>, (Exit, String)> {
    let kept = kept::fetch(&args.access, id)?;
    let known = Known::of_source(&kept.source, config, catalogue).map_err(|(_, why)| (Exit::Config, format!("{id}: {why}")))?;
    let at = args.at.map_or(kept.at, |seconds| UnixMs(seconds.saturating_mul(1000)));
    let request = raw::request(&kept.message, at).map_err(|problem| (Exit::Internal, problem))?;
    let answer = known.judge_kept(&request, kept.has_body, at).map_err(|why| (Exit::Config, why))?;
    answer.ok_or_else(|| {
        let what = "its body was never read, and its head alone would be let through now: let the provider send it once more";
        (Exit::No, format!("{id}: {what}"))
    })
}

fn print(answer: &Answer<'_>, json: bool, out: &mut dyn Write) -> Exit {
    let text = if json { serde_json::to_string(answer).unwrap_or_default() } else { answer.text() };
    // A reader that has gone away does not change the answer, which is the exit code.
    let _ = writeln!(out, "{text}");
    if answer.is_accepted() { Exit::Fine } else { Exit::No }
}

fn credentials(args: &VerifyArgs, outside: &Outside<'_>) -> Result<Vec<Credential>, String> {
    let named = |name: &str, value: String| Credential { name: name.into(), value: Secret::new(value), until: None };
    let mut credentials = Vec::new();
    if let Some(secret) = &args.secret {
        credentials.push(named("secret", secret.clone()));
    }
    if let Some(path) = &args.secret_file {
        let mut text = fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
        if text.ends_with('\n') {
            text.pop();
        }
        if text.ends_with('\r') {
            text.pop();
        }
        credentials.push(named("secret", text));
    }
    if let Some(name) = &args.secret_env {
        let value = (outside.variable)(name).ok_or_else(|| format!("the environment variable `{name}` is not set"))?;
        credentials.push(named("secret", value));
    }
    for pair in &args.credentials {
        // The pair itself is not shown: it may be a secret without its name.
        let (name, value) = pair.split_once('=').ok_or("a credential is written NAME=VALUE")?;
        credentials.push(named(name, value.to_owned()));
    }
    Ok(credentials)
}

fn read(file: &Path, outside: &mut Outside<'_>) -> Result<Vec<u8>, String> {
    let name = file.display();
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        (&mut *outside.stdin).take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    let count = read.map_err(|why| format!("{name}: {why}"))?;
    if u64::try_from(count).is_ok_and(|count| count > FILE_BYTES_MAX) {
        return Err(format!("{name}: larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::provider::Vector;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: VerifyArgs,
    }

    const BODY: &str = concat!(
        r#"{"id":"evt_1RzHookgate0002","object":"event","type":"customer.subscription.updated","#,
        r#""data":{"object":{"id":"sub_1RzHookgate","status":"active"}}}"#
    );
    const SECRET: &str = "whsec_hookgate_old_9d1e77c0aa54b213";
    const SIGNATURE: &str = "4a3d7487469e726b27c2fac7cd5b437d111891211fe78cb614e536e258eb82b4";

    /// Runs `verify` as from the command line, with `input` as standard input.
    fn run(line: &[&str], input: &str) -> (u8, String, String) {
        let args = Line::try_parse_from([&["verify"], line].concat()).unwrap_or_else(|why| panic!("{why}")).args;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outside = Outside {
            now: UnixMs(1_760_000_130_000),
            variable: &|name| (name == "STRIPE_SECRET").then(|| SECRET.to_owned()),
            stdin: &mut input.as_bytes(),
        };
        let code = verify_with(&args, outside, &mut out, &mut err);
        (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
    }

    fn stripe(body: &str, signature: &str) -> String {
        format!(
            "POST /hooks/stripe HTTP/1.1\r\nHost: h\r\nStripe-Signature: t=1760000100,v1={signature}\r\nContent-Length: {}\r\n\r\n{body}\n",
            body.len()
        )
    }

    #[test]
    fn a_genuine_request_is_accepted_and_named() {
        let (code, out, err) = run(&["stripe", "--secret", SECRET, "--json", "-"], &stripe(BODY, SIGNATURE));
        let expected = concat!(
            r#"{"verdict":"accepted","reason":"signed","provider":"stripe","event_id":"evt_1RzHookgate0002","#,
            r#""event_type":"customer.subscription.updated","#,
            r#""explanation":"Signed with hmac-sha256, 30 s before the time it is verified at."}"#,
            "\n"
        );
        assert_eq!((code, &*out, &*err), (0, expected, ""));
        let (code, out, _) = run(&["stripe", "--secret-env", "STRIPE_SECRET", "--at", "1760000100", "-"], &stripe(BODY, SIGNATURE));
        assert!(code == 0 && out.starts_with("accepted: stripe (signed)\nevent id: evt_1RzHookgate0002\n"), "{out}");
    }

    #[test]
    fn a_rejection_says_why_and_what_was_looked_for() {
        let cases = [
            (&["--at", "1760009999"][..], stripe(BODY, SIGNATURE), "stale", "`--at 1760000100`"),
            (&["--at", "1750000000"], stripe(BODY, SIGNATURE), "future", "10000100 s behind"),
            (&[], stripe(&BODY.replace("active", "paused"), SIGNATURE), "bad_signature", "over `{sig:t}.{body}`"),
            (&[], stripe(BODY, &SIGNATURE.to_uppercase()), "malformed", "lower-case hex"),
            (&[], stripe(BODY, SIGNATURE).replace("Stripe-", "Strip-"), "missing_signature", "no `Stripe-Signature` header"),
            (&[], stripe(BODY, SIGNATURE).replace("Host: h", "stripe-signature: x"), "duplicate_header", "`stripe-signature` occurs twice"),
        ];
        for (more, request, reason, said) in cases {
            let line = [&["stripe", "--secret", SECRET, "--json", "-"], more].concat();
            let (code, out, _) = run(&line, &request);
            let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            assert_eq!((code, &answer["verdict"], &answer["reason"]), (1, &"rejected".into(), &reason.into()), "{out}");
            assert!(out.contains(said), "{out}");
        }
    }

    #[test]
    fn no_answer_gives_the_secret_or_the_right_signature_away() {
        let catalogue = Catalogue::embedded();
        for provider in catalogue.names().filter_map(|slug| catalogue.find(slug)) {
            for vector in &provider.vectors {
                let right: Vec<&str> =
                    vector.headers.iter().filter(|(name, _)| name.to_lowercase().contains("signature")).map(|(_, v)| &**v).collect();
                for reject in &vector.rejects {
                    let edited = vector.edited(reject);
                    let all = said(provider, &edited, &catalogue);
                    let secrets = vector.credentials.iter().chain(&edited.credentials).flat_map(|(_, values)| values);
                    let codes = right.iter().flat_map(|value| value.split([',', ' ', '=']).filter(|part| part.len() > 20));
                    for hidden in secrets.map(|value| &**value).chain(codes) {
                        assert!(!all.contains(hidden), "{} {}: {all}", provider.slug, reject.why);
                    }
                }
            }
        }
    }

    /// All that `verify` says of the request of a vector that is to be refused, with the first value of each of its credentials.
    fn said(provider: &Provider, vector: &Vector, catalogue: &Catalogue) -> String {
        let mut request = format!("{} / HTTP/1.1\r\n", vector.method).into_bytes();
        for (name, value) in &vector.headers {
            request.extend(format!("{name}: {value}\r\n").bytes());
        }
        request.extend(format!("Content-Length: {}\r\n\r\n", vector.body.len()).bytes());
        request.extend(&vector.body);
        let at = vector.at.to_string();
        let pairs: Vec<String> = vector.credentials.iter().map(|(name, values)| format!("{name}={}", values[0])).collect();
        let mut line: Vec<&str> = vec!["verify", &provider.slug, "--at", &at, "-"];
        line.extend(pairs.iter().flat_map(|pair| ["--credential", pair]));
        let url = vector.url.as_ref().map(url::Url::as_str);
        line.extend(url.iter().flat_map(|url| ["--url", url]));
        let args = Line::try_parse_from(line).unwrap_or_else(|why| panic!("{why}")).args;
        let mut outside = Outside { now: UnixMs(0), variable: &|_| None, stdin: &mut &*request };
        let answered = of_provider(&args, provider, catalogue, &outside).and_then(|known| of_file(&args, &known, &mut outside));
        let mut out = Vec::new();
        match answered {
            Ok(answer) => [true, false].into_iter().for_each(|json| assert_ne!(print(&answer, json, &mut out), Exit::Fine)),
            Err((exit, why)) => {
                assert_ne!(exit, Exit::Fine);
                out.extend(why.into_bytes());
            }
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_content_length_cuts_off_or_misses_is_said() {
        let warning = "Warning: the file has 7 bytes behind those that Content-Length counts; they are no part of the body.";
        let (code, out, _) = run(&["stripe", "--secret", SECRET, "-"], &(stripe(BODY, SIGNATURE) + "GET / \n").replace("}\nGET", "}GET"));
        assert!(code == 0 && out.trim_end().ends_with(warning), "{out}");
        let longer = stripe(&format!("{BODY}, again"), SIGNATURE).replace(&format!("{}\r\n\r\n", BODY.len() + 7), "9\r\n\r\n");
        let (code, out, _) = run(&["stripe", "--secret", SECRET, "--json", "-"], &longer);
        assert!(code == 1 && out.contains("bytes behind those that Content-Length counts"), "{out}");
        let (code, out, err) = run(&["stripe", "--secret", SECRET, "-"], &stripe(BODY, SIGNATURE).replace("{\"id\"", ""));
        assert!(code == 2 && out.is_empty() && err.contains("are there: the end is missing, or the file was edited"), "{out}{err}");
    }

    #[test]
    fn what_cannot_be_tried_is_told_from_a_rejection() {
        let good = stripe(BODY, SIGNATURE);
        let cases = [
            (&["strip", "--secret", "x", "-"][..], &*good, "there is no provider `strip`; did you mean `stripe`?"),
            (&["stripe", "-"], &good, "stripe needs `secret` (Signing secret)"),
            (&["stripe", "--secret-env", "NOPE", "-"], &good, "the environment variable `NOPE` is not set"),
            (&["stripe", "--secret", "x", "--credential", "hush", "-"], &good, "a credential is written NAME=VALUE"),
            (&["stripe", "--secret", "x", "--credential", "a=hush", "-"], &good, "stripe has no credential `a`; it has: secret"),
            (&["stripe", "--secret", "x", "-"], "{}", "this is not an HTTP/1.1 request: invalid token"),
            (
                &["standard-webhooks", "--secret", "whsec_hush!", "-"],
                &good,
                "`secret` is not base64 after its `whsec_`; copy it again, whole and without blanks",
            ),
        ];
        for (line, input, expected) in cases {
            let (code, out, err) = run(line, input);
            assert_eq!((code, &*out, err.trim_end()), (2, "", expected));
        }
        let (code, _, err) = run(&["stripe", "--secret-file", "/nonexistent/secret", "-"], &good);
        assert!(code == 2 && err.starts_with("/nonexistent/secret: "), "{err}");
    }

    #[test]
    fn a_secret_from_a_file_loses_one_line_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let (secret, request) = (dir.path().join("secret"), dir.path().join("request"));
        fs::write(&secret, format!("{SECRET}\r\n")).expect("written");
        fs::write(&request, stripe(BODY, SIGNATURE)).expect("written");
        let line = ["stripe", "--secret-file", &secret.to_string_lossy(), &request.to_string_lossy()].map(String::from);
        let line: Vec<&str> = line.iter().map(|word| &**word).collect();
        assert_eq!(run(&line, "").0, 0);
    }
}
