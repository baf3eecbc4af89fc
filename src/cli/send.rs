//! `hookgate send`: signs samples as a source's provider would, and rings the gateway with them.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Uri;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    bell::{Bell, Papers, Rung, Tally},
    file::{self, ConfigFile, unknown_source},
};
use crate::{
    app::Exit,
    clock::Clock,
    config::{self, Config, Source, Tls},
    plan::with_token,
    provider::{Catalogue, Provider},
    verify::{Credential, Sample},
};

/// The largest body that is read from a file: no gateway takes more.
const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What to ring with.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The source to ring, as the configuration names it
    source: String,
    /// The event's type, where the provider has one
    #[arg(long = "type", value_name = "T")]
    kind: Option<String>,
    /// The body; without it, a sample of the provider's
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Where to ring, instead of where the configuration listens
    #[arg(long, value_name = "URL")]
    url: Option<url::Url>,
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How many a second (50, or 50/s); without it, as fast as they are answered
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// The certificate to show to a source that asks for one (PEM, `client_cert`)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

/// Rings, and ends with 1 when anything was refused.
pub(super) fn run(args: &Args) -> Exit {
    match prepared(args) {
        Ok(tally) => report(args, &tally),
        Err((exit, why)) => {
            super::complain(format_args!("{why}"));
            exit
        }
    }
}

/// Reads a rate: `50` or `50/s`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim();
    let rate = number.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| format!("{text} is no rate: write events a second, as 50 or 50/s"))
}

fn prepared(args: &Args) -> Result<Tally, (Exit, String)> {
    let (config, catalogue) = args.config.load()?;
    let source = config.sources.get(&args.source).ok_or_else(|| (Exit::Usage, unknown_source(&args.source, &config)))?;
    let provider = provider(&args.source, source, &catalogue).map_err(|why| (Exit::Config, why))?;
    if args.data.is_none() && provider.vectors.is_empty() {
        let why = format!(
            "{}: its provider comes without known answers, so there is no sample to send: give a body with --data FILE",
            args.source
        );
        return Err((Exit::Usage, why));
    }
    let to = place(args, source, &config).map_err(|why| (Exit::Usage, why))?;
    let believed = match &config.server.tls.value {
        Tls::Own { certs, .. } => certs.iter().map(|certificate| certificate.cert.value.as_path()).collect(),
        Tls::None | Tls::Upstream => Vec::new(),
    };
    let body = args.data.as_deref().map(body).transpose().map_err(|why| (Exit::Usage, why))?;
    let endpoint = endpoint(&args.source, source, &config);
    let sample = Sample { body, kind: args.kind.as_deref().map(Box::from), endpoint, ..Sample::default() };
    let papers = Papers { believed, shown: args.cert.as_deref().zip(args.key.as_deref()) };
    if papers.shown.is_some() && to.scheme_str() == Some("http") {
        return Err((Exit::Usage, format!("--cert and --key say nothing to an http URL, and {to} is one")));
    }
    let bell = Bell::new(to, provider, credentials(source), &papers, Clock::System);
    let bell = bell.map_err(|error| (Exit::Config, error.to_string()))?;
    ring(args, &bell, &sample).map_err(|why| (Exit::Usage, why))
}

fn ring(args: &Args, bell: &Bell<'_>, sample: &Sample) -> Result<Tally, String> {
    let count = usize::try_from(args.count).unwrap_or(usize::MAX);
    let progress = progress(u64::from(args.count));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let heard = |rung: &Rung| {
        progress.inc(1);
        if count == 1 {
            match rung {
                Rung::Accepted(event) => super::say(format_args!("accepted {event}")),
                Rung::Duplicate(event) => super::say(format_args!("duplicate of {event}")),
                Rung::Refused(reason) => super::say(format_args!("refused: {reason}")),
            }
        }
    };
    let tally = runtime.block_on(bell.ring(std::slice::from_ref(sample), count, args.rate, heard));
    progress.finish_and_clear();
    tally
}

fn report(args: &Args, tally: &Tally) -> Exit {
    if args.count > 1 {
        for (reason, times) in &tally.reasons {
            super::complain(format_args!("refused {times} times: {reason}"));
        }
        super::say(format_args!("{tally}"));
    }
    if tally.refused == 0 { Exit::Fine } else { Exit::No }
}

/// A bar on standard error, when that is a terminal and there is something to wait for.
pub(super) fn progress(count: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    if count == 1 {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta} left");
    // The template is a constant; a bar in the usual style would do as well.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn provider<'a>(name: &str, source: &Source, catalogue: &'a Catalogue) -> Result<&'a Provider, String> {
    if source.verify.is_some() {
        return file::inline(catalogue, name).map_err(|(_, why)| why);
    }
    let slug = source.provider.as_ref().ok_or_else(|| format!("source `{name}` names no provider"))?;
    file::provider(catalogue, &slug.value).map_err(|(_, why)| why)
}

fn credentials(source: &Source) -> Vec<Credential> {
    let plain = source.secret.iter().flat_map(|secret| secret.iter().map(|one| ("secret", one)));
    let named = source.credentials.0.iter().flat_map(|(key, values)| values.iter().map(|one| (key.text.as_str(), one)));
    let credential = |(name, one): (&str, &config::Credential)| Credential {
        name: name.into(),
        value: one.value.value.0.clone(),
        until: one.until.as_ref().map(|until| until.value.0),
    };
    plain.chain(named).map(credential).collect()
}

/// The public URL of a source, which some providers sign.
fn endpoint(name: &str, source: &Source, config: &Config) -> Option<url::Url> {
    let mut url = match &source.public_url {
        Some(link) => link.url.clone(),
        None => {
            let mut url = config.server.public_url.as_ref()?.url.clone();
            url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), first_path(name, source)));
            url
        }
    };
    url.set_path(&whole_path(url.path(), source, config));
    Some(url)
}

fn first_path(name: &str, source: &Source) -> String {
    let first = source.path.as_ref().and_then(|paths| paths.first());
    first.map_or_else(|| format!("/hooks/{name}"), |path| path.value.clone())
}

/// The path with the source's URL token, as its provider has it.
fn whole_path(path: &str, source: &Source, config: &Config) -> String {
    match source.active_url_tokens(config.read_at).next() {
        Some(token) => with_token(path, token.value.text()),
        None => path.to_owned(),
    }
}

/// Where the source is rung: as told, or where the configuration listens.
fn place(args: &Args, source: &Source, config: &Config) -> Result<Uri, String> {
    let url = match &args.url {
        Some(url) => url.to_string(),
        None => {
            let listen = config.server.listen.value.0;
            let scheme = if matches!(config.server.tls.value, Tls::Own { .. }) { "https" } else { "http" };
            let path = whole_path(&first_path(&args.source, source), source, config);
            // What listens on every address listens on this one.
            let ip = match listen.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
                IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            format!("{scheme}://{ip}:{}{path}", listen.port())
        }
    };
    let to: Uri = url.parse().map_err(|_| format!("{url} is no URL that can be rung"))?;
    match to.scheme_str() {
        Some("http" | "https") => Ok(to),
        _ => Err(format!("{url} is neither http:// nor https://")),
    }
}

fn body(file: &Path) -> Result<bytes::Bytes, String> {
    let told = |error: io::Error| format!("{}: {error}", file.display());
    let bytes = std::fs::metadata(file).map_err(told)?.len();
    if bytes > BODY_BYTES_MAX {
        return Err(format!("{} has {bytes} bytes; no gateway takes more than {BODY_BYTES_MAX}", file.display()));
    }
    std::fs::read(file).map(bytes::Bytes::from).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_events_a_second() {
        for (text, wanted) in
            [("50", Some(50.0)), ("50/s", Some(50.0)), ("0.5", Some(0.5)), ("0", None), ("-1", None), ("inf", None), ("x/s", None)]
        {
            assert_eq!(rate(text).ok(), wanted, "{text}");
        }
    }
}
