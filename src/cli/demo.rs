//! `hookgate demo`: a gateway, a target that echoes, and signed events, in one command with nothing installed.
//!
//! The gateway is this very binary, run as anyone would run it: a child process with a configuration file, in a directory of its own that
//! is removed in the end.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use indicatif::ProgressBar;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{
    bell::{Bell, Papers, Tally, percentile_ms},
    call::Admin,
    echo::{Echo, Received},
    send,
};
use crate::{
    app::Exit,
    clock::{Clock, UnixMs},
    provider::Catalogue,
    secret::Secret,
    verify::{Credential, Sample},
};

/// Who rings, how his secrets begin, and with what he rings, in turn.
const RINGS: [(&str, &str, &[&str]); 2] =
    [("github", "", &["push", "pull_request", "release"]), ("stripe", "whsec_", &["invoice.paid", "customer.created", "charge.refunded"])];
/// How long the gateway may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// How often it is looked whether the gateway is ready, or has stopped.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the last deliveries are waited for.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// How long the gateway may take to stop: its own deadline, and a little.
const STOPPED_WITHIN: Duration = Duration::from_secs(13);
/// Up to so many events each delivery has a line of its own; above, a bar.
const LINES_MAX: u32 = 100;
/// Lines of the gateway's log that are shown when something went wrong.
const LOG_LINES_SHOWN: usize = 10;

/// How much to show.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How many a second (50, or 50/s)
    #[arg(long, value_name = "R", default_value = "20/s", value_parser = send::rate)]
    rate: f64,
    /// Go on running afterwards, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

/// Shows it, and ends with 0 when every event was delivered, with 130 when somebody ended it before that.
pub(super) fn run(args: &Args) -> Exit {
    match show(args) {
        Ok(exit) => exit,
        Err(error) => {
            super::complain(format_args!("the demo cannot be shown: {error:#}"));
            Exit::Internal
        }
    }
}

fn show(args: &Args) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on no signal ends the process by itself: what is put up next is to be cleared away.
    let mut curtain = runtime.block_on(async { Curtain::listen() })?;
    let echo = runtime.block_on(Echo::bind())?;
    let mut stage = Stage::set(echo.address()?.port())?;
    if !stage.wait_until_ready(&runtime, &mut curtain)? {
        return Ok(Exit::Interrupted);
    }
    stage.announce();
    let mut played = Played::of(args.count);
    let interrupted = runtime.block_on(async {
        tokio::select! {
            ended = play(args, &stage, echo, &mut played) => ended.map(|()| false),
            () = curtain.falls() => Ok(true),
        }
    })?;
    let exit = stage.clear(args, &played);
    // Whoever ended it before it was over has not been told "no".
    Ok(if interrupted && exit == Exit::No { Exit::Interrupted } else { exit })
}

/// The wish to see no more: Ctrl-C, a TERM, a terminal that is closed.
struct Curtain([Signal; 3]);

impl Curtain {
    /// Begins to listen; needs a runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn falls(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// What the demo runs on.
struct Stage {
    dir: PathBuf,
    gateway: Child,
    secret: String,
    listen: u16,
    admin: u16,
}

/// What came of it.
#[derive(Default)]
struct Played {
    tally: Tally,
    delivered: HashSet<String>,
    /// From the gateway's receipt to the target's.
    took: Vec<Duration>,
    progress: Option<ProgressBar>,
}

impl Stage {
    fn set(target: u16) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("hookgate-demo-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&dir)?;
        Self::in_dir(dir.clone(), target).inspect_err(|_| {
            // Why it cannot be shown is told; a directory that stays besides is the lesser trouble.
            let _ = fs::remove_dir_all(&dir);
        })
    }

    fn in_dir(dir: PathBuf, target: u16) -> anyhow::Result<Self> {
        let secret = format!("demo-{:032x}", rand::random::<u128>());
        let (listen, admin) = (free_port()?, free_port()?);
        let file = dir.join("hookgate.yaml");
        let mut config = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        config.write_all(configuration(&dir.join("data").display().to_string(), &secret, listen, admin, target).as_bytes())?;
        let log = File::create(dir.join("log"))?;
        let gateway = Command::new(std::env::current_exe()?)
            .args(["run", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { dir, gateway, secret, listen, admin })
    }

    /// Whether it is ready; not when the curtain fell before.
    fn wait_until_ready(&mut self, runtime: &Runtime, curtain: &mut Curtain) -> anyhow::Result<bool> {
        let admin = Admin::at(format!("http://127.0.0.1:{}", self.admin).parse()?);
        let end = Clock::System.mono() + READY_WITHIN;
        loop {
            if let Some(status) = self.gateway.try_wait()? {
                anyhow::bail!("the gateway ended with {status}:\n{}", self.last_of_log());
            }
            if admin.get("/readyz", None).is_ok_and(|answer| answer.status.is_success()) {
                return Ok(true);
            }
            if Clock::System.mono() >= end {
                anyhow::bail!("the gateway is not ready after {} s:\n{}", READY_WITHIN.as_secs(), self.last_of_log());
            }
            if runtime.block_on(async { tokio::time::timeout(LOOK_EVERY, curtain.falls()).await }).is_ok() {
                return Ok(false);
            }
        }
    }

    fn announce(&self) {
        super::say(format_args!("gateway    http://127.0.0.1:{}/hooks/{{github,stripe}}", self.listen));
        super::say(format_args!("admin      http://127.0.0.1:{}/api/v1/status", self.admin));
        super::say(format_args!("           token in {}", self.dir.join("data/admin.token").display()));
        super::say(format_args!("metrics    http://127.0.0.1:{}/metrics", self.admin));
        super::say(format_args!(""));
    }

    fn bell<'a>(&self, slug: &str, prefix: &str, catalogue: &'a Catalogue) -> anyhow::Result<Bell<'a>> {
        let provider = catalogue.find(slug).ok_or_else(|| anyhow::anyhow!("this binary has no provider {slug}"))?;
        let credential = Credential { name: "secret".into(), value: Secret::new(secret_of(&self.secret, slug, prefix)), until: None };
        let to = format!("http://127.0.0.1:{}/hooks/{slug}", self.listen).parse()?;
        Ok(Bell::new(to, provider, vec![credential], &Papers::default(), Clock::System)?)
    }

    /// Ends the gateway and says how it was; what of its log is worth a look is shown, because its directory goes.
    fn clear(mut self, args: &Args, played: &Played) -> Exit {
        if let Some(progress) = &played.progress {
            progress.finish_and_clear();
        }
        let rung = usize::try_from(args.count).unwrap_or(usize::MAX);
        let is_whole = played.tally.accepted == rung && played.delivered.len() == rung;
        super::say(format_args!(""));
        super::say(format_args!("{}", played.tally));
        let (p50, p99) = (percentile_ms(&played.took, 0.5), percentile_ms(&played.took, 0.99));
        super::say(format_args!("delivered {}; at the target after p50 {p50:.1} ms, p99 {p99:.1} ms", played.delivered.len()));
        for (reason, times) in &played.tally.reasons {
            super::complain(format_args!("refused {times} times: {reason}"));
        }
        if !is_whole {
            super::complain(format_args!("the end of the gateway's log:\n{}", self.last_of_log()));
        }
        self.stop();
        if is_whole { Exit::Fine } else { Exit::No }
    }

    fn stop(&mut self) {
        // A gateway that has ended by itself cannot be told to.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.gateway), rustix::process::Signal::TERM);
        let end = Clock::System.mono() + STOPPED_WITHIN;
        while matches!(self.gateway.try_wait(), Ok(None)) && Clock::System.mono() < end {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn last_of_log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Whatever way the demo ended: no process and no directory of it stays.
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Rings, hears what arrives, until everything accepted was delivered, or for as long as asked.
async fn play(args: &Args, stage: &Stage, echo: Echo, played: &mut Played) -> anyhow::Result<()> {
    let (to, arriving) = mpsc::unbounded_channel();
    tokio::select! {
        () = echo.serve(to) => Ok(()),
        heard = hear(args, stage, arriving, played) => heard,
    }
}

async fn hear(args: &Args, stage: &Stage, mut arriving: mpsc::UnboundedReceiver<Received>, played: &mut Played) -> anyhow::Result<()> {
    let ringing = ring(args, stage);
    tokio::pin!(ringing);
    played.tally = loop {
        tokio::select! {
            tally = &mut ringing => break tally?,
            Some(received) = arriving.recv() => played.note(&received),
        }
    };
    let end = tokio::time::Instant::now() + DELIVERED_WITHIN;
    while played.delivered.len() < played.tally.accepted
        && let Ok(Some(received)) = tokio::time::timeout_at(end, arriving.recv()).await
    {
        played.note(&received);
    }
    if args.stay {
        super::say(format_args!("\n{}; it goes on until Ctrl-C", played.tally));
        while let Some(received) = arriving.recv().await {
            played.note(&received);
        }
    }
    Ok(())
}

/// All providers ring at the same time, each its share of the events at its share of the rate.
async fn ring(args: &Args, stage: &Stage) -> anyhow::Result<Tally> {
    let catalogue = Catalogue::embedded();
    let (all, rate) = (usize::try_from(args.count)?, args.rate);
    let mut ringing = Vec::with_capacity(RINGS.len());
    for (index, (slug, prefix, kinds)) in RINGS.into_iter().enumerate() {
        let count = all / RINGS.len() + usize::from(index < all % RINGS.len());
        let bell = stage.bell(slug, prefix, &catalogue)?;
        let samples: Vec<_> = kinds.iter().map(|kind| Sample { kind: Some((*kind).into()), ..Sample::default() }).collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of events")]
        let share = rate * count.max(1) as f64 / all.max(1) as f64;
        ringing.push(async move { bell.ring(&samples, count, Some(share), |_| ()).await });
    }
    let mut whole = Tally::default();
    for tally in futures_util::future::join_all(ringing).await {
        whole.join(tally.map_err(anyhow::Error::msg)?);
    }
    Ok(whole)
}

impl Played {
    fn of(count: u32) -> Self {
        let progress = (count > LINES_MAX).then(|| send::progress(u64::from(count)));
        Self { progress, ..Self::default() }
    }

    /// An event has arrived, perhaps not for the first time.
    fn note(&mut self, received: &Received) {
        if !self.delivered.insert(received.event_id.clone()) {
            return;
        }
        let took = received.received_at.parse::<jiff::Timestamp>().ok().map(|at| {
            let ms = Clock::System.wall().ms_since(UnixMs(at.as_millisecond()));
            Duration::from_millis(ms)
        });
        self.took.extend(took);
        if let Some(progress) = &self.progress {
            progress.inc(1);
            return;
        }
        let Received { event_id, source, kind, attempt, body_bytes, .. } = received;
        let took_ms = took.unwrap_or_default().as_millis();
        super::say(format_args!("delivered  {event_id}  {source:<7} {kind:<17} {body_bytes:>6} bytes  attempt {attempt}  {took_ms} ms"));
    }
}

/// Each source has a secret of its own.
fn secret_of(secret: &str, slug: &str, prefix: &str) -> String {
    format!("{prefix}{slug}-{secret}")
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn configuration(data_dir: &str, secret: &str, listen: u16, admin: u16, target: u16) -> String {
    let source =
        |(slug, prefix, _): (&str, &str, _)| format!("  {slug}: {{ provider: {slug}, secret: {} }}\n", secret_of(secret, slug, prefix));
    let sources: String = RINGS.into_iter().map(source).collect();
    format!(
        "data_dir: {data_dir:?}
server: {{ listen: 127.0.0.1:{listen} }}
admin: {{ listen: 127.0.0.1:{admin} }}
store: {{ min_free: 16MiB }}
log: {{ format: json, requests: rejected }}
sources:
{sources}targets:
  echo: {{ url: \"http://127.0.0.1:{target}/\" }}
routes:
  - {{ to: echo }}
"
    )
}
