//! The real binary, started as a user would: a configuration file, a directory, a process. Each has its own directory and ports, and
//! dropping it ends exactly the process it started.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    exposition::Exposition,
    patience::{SOON, holds_within, now, wait_until},
    wire::{Answer, Connection, Ring},
};

/// How often a start is tried when another process took a port in between.
const STARTS_MAX: usize = 5;
/// How long a start may take before the test fails: a debug build on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(60);
/// The token of the admin API in every configuration that does not name its own.
pub const ADMIN_TOKEN: &str = "an-admin-token-for-the-tests-0123456789";

/// A gateway under test.
pub struct Gateway {
    folder: TempDir,
    written: String,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    door: u16,
    admin: u16,
    process: Option<Child>,
}

/// The binary under test: the one cargo built, or the one `HOOKGATE_TEST_BIN` names (`make crash` gives the release build).
pub fn binary() -> PathBuf {
    std::env::var_os("HOOKGATE_TEST_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_hookgate")), PathBuf::from)
}

/// A port that was free a moment ago, below those the system gives to outgoing connections, so that a restart finds it free again.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 180).expect("small") * 100;
    loop {
        let port = 12_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Gateway {
    /// Starts a gateway and waits until it is ready. `@DIR@` in the configuration is its directory; `server`, `admin` and `data_dir` are
    /// added where the configuration says nothing of them, and `@DOOR@` and `@ADMIN@` are their ports where it does.
    pub fn start(configuration: &str) -> Self {
        let mut gateway = Self::written(configuration);
        gateway.boot();
        gateway
    }

    /// The same, not started yet.
    pub fn written(configuration: &str) -> Self {
        let written = completed(configuration);
        let folder = tempfile::Builder::new().prefix("hookgate-suite-").tempdir().expect("a directory");
        Self { folder, written, environment: Vec::new(), wrapper: Vec::new(), door: free_port(), admin: free_port(), process: None }
    }

    /// Starts with another file from the next start on.
    pub fn rewrite(&mut self, configuration: &str) {
        self.written = completed(configuration);
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it under another command, which must leave the process id to the gateway.
    #[must_use]
    pub fn wrapped(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|part| part.replace("@DIR@", &self.folder.path().to_string_lossy())).collect();
        self
    }

    /// Runs it by itself from the next start on.
    pub fn run_by_itself(&mut self) {
        self.wrapper.clear();
    }

    /// Starts it and waits until it is ready; says how long that took.
    pub fn boot(&mut self) -> Duration {
        for left in (0..STARTS_MAX).rev() {
            let before = self.log().len();
            let began = now();
            self.spawn();
            let ready = holds_within(START_WITHIN, || self.is_ready() || !self.is_running());
            if ready && self.is_running() {
                return began.elapsed();
            }
            let said = self.log().split_off(before);
            assert!(left > 0 && said.contains("in use"), "the gateway did not become ready:\n{}\n{said}", self.configuration());
            self.end();
            if before == 0 {
                (self.door, self.admin) = (free_port(), free_port());
            }
        }
        unreachable!("the last try returns or fails")
    }

    /// Starts it without waiting for anything.
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "one process at a time");
        fs::write(self.configuration_file(), self.configuration()).expect("written");
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a log");
        let mut command = match self.wrapper.split_first() {
            None => Command::new(binary()),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary());
                command
            }
        };
        self.surround(&mut command).arg("run").arg("-c").arg(self.configuration_file());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.process = Some(command.spawn().expect("the binary starts"));
    }

    /// Runs another command of the binary in its directory, to the end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.told(arguments, "")
    }

    /// The same, with something to read.
    pub fn told(&self, arguments: &[&str], input: &str) -> Output {
        fs::write(self.configuration_file(), self.configuration()).expect("written");
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        // It fits into the pipe, so nobody has to read first.
        writer.write_all(input.as_bytes()).expect("written");
        drop(writer);
        let mut command = Command::new(binary());
        self.surround(&mut command).args(arguments).stdin(reader).output().expect("the binary starts")
    }

    fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOOKGATE")) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(self.folder.path())
    }

    /// SIGKILL, at whatever it is doing.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// SIGTERM, and the status it ends with.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().expect("running").id();
        let pid = Pid::from_raw(i32::try_from(id).expect("a process id")).expect("not 0");
        kill_process(pid, signal).expect("it is our child");
    }

    /// Waits for its end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("running");
        let mut status = None;
        let ended = holds_within(SOON * 2, || {
            status = process.try_wait().expect("our child");
            status.is_some()
        });
        if !ended {
            let _ = process.kill();
            let _ = process.wait();
            panic!("the gateway did not end by itself:\n{}", self.log());
        }
        status.expect("ended")
    }

    /// Whether its process is there.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().expect("our child").is_none())
    }

    /// Ends what is left of it; the next start is a new process.
    fn end(&mut self) {
        self.kill();
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("running").id()
    }

    /// Whether it answers, and says that requests may be sent to it.
    pub fn is_ready(&self) -> bool {
        self.look("/readyz").is_ok_and(|answer| answer.status == 200)
    }

    /// Rings at the door on a connection of its own, without TLS.
    #[track_caller]
    pub fn ring(&self, ring: &Ring) -> Answer {
        let answered = Connection::plain(self.door()).and_then(|mut connection| connection.exchange(ring));
        answered.unwrap_or_else(|error| panic!("no answer to {} {}: {error}", ring.method, ring.path))
    }

    /// A GET at the admin listener, with the token.
    pub fn look(&self, path: &str) -> std::io::Result<Answer> {
        self.look_as(path, ADMIN_TOKEN)
    }

    /// The same with another token.
    pub fn look_as(&self, path: &str, token: &str) -> std::io::Result<Answer> {
        let mut ring = Ring::post(path, vec![("Authorization".into(), format!("Bearer {token}"))], b"");
        "GET".clone_into(&mut ring.method);
        Connection::plain(self.admin())?.exchange(&ring)
    }

    /// A scrape.
    pub fn metrics(&self) -> Exposition {
        Exposition::parse(&self.look("/metrics").expect("the admin listener answers").text())
    }

    /// Waits until nothing is waiting and nothing is under way.
    #[track_caller]
    pub fn wait_until_drained(&self) {
        wait_until("every delivery was settled", || self.open_deliveries() == 0);
    }

    /// Deliveries that wait or are under way.
    pub fn open_deliveries(&self) -> u64 {
        open(&self.metrics())
    }

    /// Whether it answers, and says that nothing waits or is under way.
    pub fn is_settled(&self) -> bool {
        let Ok(answer) = self.look("/metrics") else { return false };
        answer.status == 200 && open(&Exposition::parse(&answer.text())) == 0
    }

    /// The part of a scrape that tells how its queue stands, for people.
    pub fn queue_as_told(&self) -> Vec<String> {
        let Ok(answer) = self.look("/metrics") else { return vec!["/metrics does not answer".to_owned()] };
        let told = ["hookgate_queue_deliveries", "hookgate_attempts_total", "hookgate_workers", "hookgate_deliveries_total"];
        let text = answer.text();
        let lines = text.lines().filter(|line| told.iter().any(|name| line.starts_with(name)) && !line.ends_with(" 0"));
        lines.map(str::to_owned).collect()
    }

    /// The public door.
    pub fn door(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.door))
    }

    /// The admin listener.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.admin))
    }

    /// Its directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The file it is started with.
    pub fn configuration_file(&self) -> PathBuf {
        self.folder.path().join("hookgate.yaml")
    }

    /// What that file says.
    pub fn configuration(&self) -> String {
        let filled = self.written.replace("@DOOR@", &self.door.to_string()).replace("@ADMIN@", &self.admin.to_string());
        filled.replace("@DIR@", &self.folder.path().to_string_lossy())
    }

    /// Everything it has said so far, over all starts.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A file with what every gateway of these tests needs.
fn completed(configuration: &str) -> String {
    let mut written = configuration.to_owned();
    let defaults = [
        ("server:", "server: { listen: \"127.0.0.1:@DOOR@\" }"),
        ("admin:", &format!("admin: {{ listen: \"127.0.0.1:@ADMIN@\", tokens: [{{ name: tests, role: admin, token: {ADMIN_TOKEN} }}] }}")),
        ("data_dir:", "data_dir: \"@DIR@/data\""),
    ];
    for (key, default) in defaults {
        if !written.lines().any(|line| line.starts_with(key)) {
            written.push('\n');
            written.push_str(default);
        }
    }
    written.push('\n');
    written
}

fn open(metrics: &Exposition) -> u64 {
    ["pending", "in_flight", "parked"].iter().map(|state| metrics.count("queue_deliveries", &[("state", state)])).sum()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln_lines(&tail);
        }
    }
}

#[expect(clippy::print_stderr, reason = "the test runner shows it with the test that failed")]
fn eprintln_lines(newest_first: &[&str]) {
    eprintln!("the end of the gateway's log:");
    newest_first.iter().rev().for_each(|line| eprintln!("  {line}"));
}
