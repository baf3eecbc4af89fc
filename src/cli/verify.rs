//! `hookgate verify`: is this request genuine, and if not, why? It takes a request as it was sent and says what the gateway would.
//!
//! It shows what was looked for and where; never a secret, and never the signature that would have been right.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{call::Access, kept, raw};
use crate::{
    app::{self, Exit},
    clock::{Clock, UnixMs},
    config::Surroundings,
    name::SourceName,
    provider::{Atom, Catalogue, Check, Family, Provider, Shape},
    rejection::Rejection,
    request::RawRequest,
    secret::Secret,
    verify::{Credential, Greeted, Verifier},
    yaml::{Problems, nearest},
};

/// The largest file that is read, in bytes: well above the largest body any source takes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Prove a request: accepted (exit code 0), or rejected (1) and why.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The provider, as `hookgate providers` lists it
    #[arg(required_unless_present = "rejected", conflicts_with = "rejected")]
    pub(super) provider: Option<String>,
    /// A request that a running gateway rejected and kept, as its source in the configuration would verify it when it came
    #[arg(long, value_name = "ID", conflicts_with_all = ["secret", "secret_file", "secret_env", "credentials", "url"])]
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
    #[arg(value_name = "FILE", required_unless_present = "rejected", conflicts_with = "rejected")]
    pub(super) file: Option<PathBuf>,
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

/// The answer, as `--json` writes it. What is not known is empty.
#[derive(Serialize)]
struct Answer<'a> {
    verdict: &'static str,
    reason: &'static str,
    provider: &'a str,
    event_id: String,
    event_type: String,
    explanation: String,
}

/// Runs the command on this machine and answers the exit code: 0 accepted, 1 rejected, 2 it could not be tried.
pub(super) fn verify(args: &VerifyArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    #[expect(clippy::disallowed_methods, reason = "the variable is named on the command line, not in a configuration")]
    let variable = |name: &str| std::env::var(name).ok();
    let outside = Outside { now: Clock::System.wall(), variable: &variable, stdin: &mut io::stdin().lock() };
    verify_with(args, outside, out, err)
}

/// Runs the command with what is given as the machine.
pub(super) fn verify_with(args: &VerifyArgs, outside: Outside<'_>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    // A reader that has gone away does not change the answer, which is the exit code.
    let catalogue = Catalogue::embedded();
    match answer(args, outside, &catalogue) {
        Ok(answer) => {
            let text = if args.json { serde_json::to_string(&answer).unwrap_or_default() } else { answer.text() };
            let _ = writeln!(out, "{text}");
            u8::from(answer.verdict != "accepted")
        }
        Err((exit, problem)) => {
            let _ = writeln!(err, "{problem}");
            exit as u8
        }
    }
}

fn answer<'a>(args: &VerifyArgs, mut outside: Outside<'_>, catalogue: &'a Catalogue) -> Result<Answer<'a>, (Exit, String)> {
    match &args.rejected {
        Some(id) => of_rejected(args, id, catalogue),
        None => of_file(args, &mut outside, catalogue).map_err(|problem| (Exit::Usage, problem)),
    }
}

/// The answer to a kept request, by its source in the configuration, at the time it came.
fn of_rejected<'a>(args: &VerifyArgs, id: &str, catalogue: &'a Catalogue) -> Result<Answer<'a>, (Exit, String)> {
    let mut problems = Problems::new();
    let plan = app::plan(args.access.config().named(), &Surroundings::system(), &mut problems);
    let told = || problems.into_sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let plan = plan.ok_or_else(|| (Exit::Config, told()))?;
    let kept = kept::fetch(&args.access, id)?;
    let source = SourceName::parse(&kept.source).and_then(|name| plan.sources.get(&name));
    let source =
        source.ok_or_else(|| (Exit::Config, format!("{id} came to `{}`, which is no source of the configuration", kept.source)))?;
    let provider = provider(catalogue, &source.provider).map_err(|problem| (Exit::Config, problem))?;
    let at = args.at.map_or(kept.at, |seconds| UnixMs(seconds.saturating_mul(1000)));
    let request = raw::request(&kept.message, at).map_err(|problem| (Exit::Internal, problem))?;
    if !kept.has_body {
        let Err(rejection) = source.verifier.precheck(&request) else {
            let what = "its body was never read, and its head alone would be let through now: let the provider send it once more";
            return Err((Exit::No, format!("{id}: {what}")));
        };
        return Ok(refused(provider, rejection));
    }
    let mut answer = judge(provider, &source.verifier, request, at);
    if answer.verdict != "accepted" && !source.verifier.credential_places().is_empty() {
        answer.explanation.push_str(" The provider sends a secret as it is, and that is never kept: this request cannot be proved again.");
    }
    Ok(answer)
}

fn of_file<'a>(args: &VerifyArgs, outside: &mut Outside<'_>, catalogue: &'a Catalogue) -> Result<Answer<'a>, String> {
    let provider = provider(catalogue, args.provider.as_deref().unwrap_or_default())?;
    let credentials = credentials(args, outside)?;
    let at = args.at.map_or(outside.now, |seconds| UnixMs(seconds.saturating_mul(1000)));
    let endpoint = args.url.clone().map(|mut url| {
        url.set_query(None);
        url
    });
    let verifier = Verifier::compile(provider, &credentials, endpoint.as_ref(), None).map_err(|all| all.join("\n"))?;
    let mut request = raw::request(&file(args, outside)?, at)?;
    if let Some(url) = &args.url {
        request.path = url.path().into();
        request.query = url.query().map(Box::from);
    }
    Ok(judge(provider, &verifier, request, at))
}

/// What the gateway would say.
fn judge<'a>(provider: &'a Provider, verifier: &Verifier, request: RawRequest, at: UnixMs) -> Answer<'a> {
    if let Some(greeted) = verifier.greet(&request, at) {
        return handshake(provider, &greeted);
    }
    let head = RawRequest { body: bytes::Bytes::new(), ..request.clone() };
    // The whole is asked first: its reason is the more precise one.
    let proved = verifier.verify(request, at).and_then(|verified| verifier.precheck(&head).map(|()| verified));
    match proved {
        Ok(verified) if verifier.greet_verified(&verified).is_some() => {
            let greeted = verifier.greet_verified(&verified);
            greeted.as_ref().map_or_else(|| refused(provider, Rejection::Method), |greeted| handshake(provider, greeted))
        }
        Ok(verified) if &*verified.request().method != "POST" => refused(provider, Rejection::Method),
        Ok(verified) => {
            let identity = verifier.identify(&verified);
            Answer {
                verdict: "accepted",
                reason: if verifier.verification() == "none" { "unsigned" } else { "signed" },
                provider: &provider.slug,
                event_id: identity.id.map(|id| String::from_utf8_lossy(&id).into_owned()).unwrap_or_default(),
                event_type: identity.types.to_string(),
                explanation: accepted(provider, verified.proof().skew_ms()),
            }
        }
        Err(rejection) => refused(provider, rejection),
    }
}

fn refused(provider: &Provider, rejection: Rejection) -> Answer<'_> {
    Answer {
        verdict: "rejected",
        reason: rejection.code(),
        provider: &provider.slug,
        event_id: String::new(),
        event_type: String::new(),
        explanation: format!("{} {}", why(rejection), provider.checks.iter().map(looked_for).collect::<Vec<_>>().join(" ")),
    }
}

/// A handshake is no event: it is answered, or refused.
fn handshake<'a>(provider: &'a Provider, greeted: &Greeted) -> Answer<'a> {
    let name = &greeted.handshake;
    let (verdict, reason, explanation) = match &greeted.reply {
        Ok(reply) => ("accepted", "handshake", format!("It is the handshake `{name}`, answered {} and never stored.", reply.status)),
        Err(status) => {
            let what = format!("It is the handshake `{name}`, refused with {status}: what guards it does not hold, or a value is missing.");
            ("rejected", Rejection::Requirement.code(), what)
        }
    };
    Answer { verdict, reason, provider: &provider.slug, event_id: String::new(), event_type: String::new(), explanation }
}

fn provider<'a>(catalogue: &'a Catalogue, slug: &str) -> Result<&'a Provider, String> {
    match catalogue.load(slug) {
        Some(Ok(provider)) => Ok(provider),
        Some(Err(problems)) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        None => Err(match nearest(slug, catalogue.names()) {
            Some(meant) => format!("there is no provider `{slug}`; did you mean `{meant}`?"),
            None => format!("there is no provider `{slug}`; `hookgate providers` lists them"),
        }),
    }
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

fn file(args: &VerifyArgs, outside: &mut Outside<'_>) -> Result<Vec<u8>, String> {
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let name = path.display();
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        (&mut *outside.stdin).take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    let count = read.map_err(|why| format!("{name}: {why}"))?;
    if u64::try_from(count).is_ok_and(|count| count > FILE_BYTES_MAX) {
        return Err(format!("{name}: larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

impl Answer<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}: {} ({})\n", self.verdict, self.provider, self.reason);
        if !self.event_id.is_empty() {
            text.push_str(&format!("event id: {}\n", self.event_id.escape_debug()));
        }
        if !self.event_type.is_empty() {
            text.push_str(&format!("event type: {}\n", self.event_type.escape_debug()));
        }
        text.push_str(&self.explanation);
        text
    }
}

fn accepted(provider: &Provider, skew_ms: Option<i64>) -> String {
    let timed = match skew_ms {
        Some(skew_ms) if skew_ms < 0 => format!(", {} s ahead of the time it is verified at", -skew_ms / 1000),
        Some(skew_ms) => format!(", {} s before the time it is verified at", skew_ms / 1000),
        None => String::new(),
    };
    match provider.scheme().as_str() {
        "none" => "Nothing is signed: anyone who knows the URL can send this.".into(),
        scheme => format!("Signed with {scheme}{timed}."),
    }
}

/// What a reason means.
fn why(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::MissingSignature => "Nothing that could be a signature stands where the provider puts it.",
        Rejection::BadSignature => "The signature is of another body, of other signed headers, or made with another secret.",
        Rejection::Stale => "The signature holds, but it was made too long ago.",
        Rejection::Future => "The signature holds, but it was made too far in the future.",
        Rejection::Malformed => "Something that is signed is missing, or is not spelled as the provider spells it.",
        Rejection::Requirement => "The signature holds, and something that the provider promises besides does not.",
        Rejection::DuplicateHeader => "A header that is verified occurs twice.",
        _ => "The request is not one that this provider sends.",
    }
}

/// What a check looks for.
fn looked_for(check: &Check) -> String {
    let rule = &check.signature;
    let places = rule.at.iter().map(Atom::to_string).collect::<Vec<_>>().join(" or ");
    let prefix = match rule.strip.iter().filter(|prefix| !prefix.is_empty()).map(|prefix| format!("`{prefix}`")).collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        prefixes => format!("{} and ", prefixes.join(" or ")),
    };
    let field = match &rule.shape {
        Shape::Whole => String::new(),
        Shape::Pairs { separator, value } | Shape::Columns { separator, value, .. } => format!("as `{value}` of its `{separator}` list, "),
        Shape::Unpacked(value) => format!("as `{value}` of the JSON in it, "),
    };
    let what = match check.scheme.family() {
        Family::None => return "Nothing is signed.".into(),
        Family::Token => "the secret itself".into(),
        Family::Basic => "`Basic` with user and password".into(),
        Family::Jws => format!("a JSON Web Signature ({})", check.scheme.words()),
        _ => format!("{} of {} over `{}`", rule.encoding.words(), check.scheme.words(), check.message.text()),
    };
    let mut text = format!("Looked for in {places}: {field}{prefix}{what}.");
    if let Some(timestamp) = &check.timestamp {
        let tolerance =
            timestamp.tolerance.map_or("any age".to_owned(), |within| format!("within {} of now", humantime::format_duration(within)));
        text.push_str(&format!(" Its time is in {}, {tolerance}.", timestamp.at));
    }
    text
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
            (&["--at", "1760009999"][..], stripe(BODY, SIGNATURE), "stale"),
            (&["--at", "1750000000"], stripe(BODY, SIGNATURE), "future"),
            (&[], stripe(&BODY.replace("active", "paused"), SIGNATURE), "bad_signature"),
            (&[], stripe(BODY, &SIGNATURE.to_uppercase()), "malformed"),
            (&[], stripe(BODY, SIGNATURE).replace("Stripe-", "Strip-"), "missing_signature"),
            (&[], stripe(BODY, SIGNATURE).replace("Host: h", "stripe-signature: x"), "duplicate_header"),
        ];
        for (more, request, reason) in cases {
            let line = [&["stripe", "--secret", SECRET, "--json", "-"], more].concat();
            let (code, out, _) = run(&line, &request);
            let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            assert_eq!((code, &answer["verdict"], &answer["reason"]), (1, &"rejected".into(), &reason.into()), "{out}");
            assert!(out.contains("header Stripe-Signature") && out.contains("{sig:t}.{body}"), "{out}");
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
                    for json in [true, false] {
                        let (code, out, err) = ask(&provider.slug, &edited, json);
                        assert_ne!(code, 0, "{} {}", provider.slug, reject.why);
                        let all = format!("{out}{err}");
                        let secrets = vector.credentials.iter().chain(&edited.credentials).flat_map(|(_, values)| values);
                        let codes = right.iter().flat_map(|value| value.split([',', ' ', '=']).filter(|part| part.len() > 20));
                        for hidden in secrets.map(|value| &**value).chain(codes) {
                            assert!(!all.contains(hidden), "{} {}: {all}", provider.slug, reject.why);
                        }
                    }
                }
            }
        }
    }

    /// Runs `verify` on the request of a vector, with the first value of its first credential.
    fn ask(slug: &str, vector: &Vector, json: bool) -> (u8, String, String) {
        let mut request = format!("{} / HTTP/1.1\r\n", vector.method).into_bytes();
        for (name, value) in &vector.headers {
            request.extend(format!("{name}: {value}\r\n").bytes());
        }
        request.extend(format!("Content-Length: {}\r\n\r\n", vector.body.len()).bytes());
        request.extend(&vector.body);
        let at = vector.at.to_string();
        let pairs: Vec<String> = vector.credentials.iter().map(|(name, values)| format!("{name}={}", values[0])).collect();
        let mut line: Vec<&str> = vec![slug, "--at", &at, "-"];
        line.extend(pairs.iter().flat_map(|pair| ["--credential", pair]));
        let url = vector.url.as_ref().map(url::Url::as_str);
        line.extend(url.iter().flat_map(|url| ["--url", url]));
        line.extend(json.then_some("--json"));
        run(&line, std::str::from_utf8(&request).expect("vectors are text"))
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
