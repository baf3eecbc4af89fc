//! Everything that can be refused before the first request: what was written, certificates, directories, addresses, the store.
//!
//! `check` and `run` go the same way: [`plan`] is pure, [`inspect`] touches files and binds nothing, and [`Prepared`] holds what `run`
//! needs to begin. Only a whole [`Prepared`] ever runs.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Exit;
use crate::{
    admin,
    clock::Clock,
    config::{self, Surroundings},
    deliver::{Runner, TlsByTarget},
    door, limits,
    metrics::{Metrics, SourceFacts},
    plan::{self, Plan},
    store::{OpenError, SqliteStore, Store},
    yaml::Problems,
};

/// What stands between a plan and its run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A directory that cannot be written.
    #[error("cannot write to `data_dir` {path}: {source}; make it writable for the user who runs hookgate, or set `data_dir`")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate, a key or the public address.
    #[error(transparent)]
    Door(#[from] door::DoorError),
    /// TLS files of a target.
    #[error("{0}")]
    Targets(io::Error),
    /// No roots to trust where keys are fetched.
    #[error("cannot fetch keys or confirm subscriptions: {0}")]
    Errands(io::Error),
    /// An address of the admin side, or its token.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// The store.
    #[error("{}{}", .0, .0.advice())]
    Store(#[from] OpenError),
    /// The store is less durable than demanded.
    #[error("the store is `{found}` here and `store.durability` demands `{demanded}`: move `data_dir` to a disk, or demand less")]
    Durability {
        /// What the file system gives.
        found: &'static str,
        /// What was demanded.
        demanded: &'static str,
    },
    /// A mistake of ours.
    #[error("a mistake in hookgate: {0}")]
    Internal(String),
}

/// Listening, with the store open; nothing is answered yet.
#[derive(Debug)]
pub struct Prepared {
    /// What will run.
    pub plan: Arc<Plan>,
    /// The open store, this process's alone.
    pub store: Arc<dyn Store>,
    /// The public door.
    pub door: door::Bound,
    /// The admin side.
    pub admin: admin::Bound,
    /// Every metric, with the plan's series at 0.
    pub metrics: Arc<Metrics>,
    /// The machine's clocks.
    pub clock: Clock,
}

/// Reads and compiles the configuration that was named, or the one that is found. `None` means that at least one problem is an error.
pub fn plan(named: Option<&Path>, around: &Surroundings, problems: &mut Problems) -> Option<Plan> {
    let config = config::load(named, around, problems)?;
    let plan = plan::compile(&config, &config.catalogue(around, problems), problems)?;
    (!problems.has_errors()).then_some(plan)
}

/// What can be seen without binding an address or opening the store: certificates, CA files, `data_dir`. Nothing is left behind.
#[must_use]
pub fn inspect(plan: &Plan) -> Vec<PrepareError> {
    let mut wrong = Vec::new();
    wrong.extend(door::check(plan).err().map(PrepareError::Door));
    wrong.extend(TlsByTarget::prepare(plan).err().map(PrepareError::Targets));
    wrong.extend(Runner::check(plan).err().map(PrepareError::Errands));
    wrong.extend(is_writable(&plan.store.data_dir).err().map(|source| PrepareError::DataDir { path: plan.store.data_dir.clone(), source }));
    wrong
}

/// What is no error and worth saying of the machine, for people: a `data_dir` that is not ours alone.
#[must_use]
pub fn cautions(plan: &Plan) -> Vec<String> {
    const OTHERS_WRITE: u32 = 0o002;
    let data_dir = &plan.store.data_dir;
    let mode = data_dir.metadata().map_or(0, |facts| facts.permissions().mode());
    if mode & OTHERS_WRITE == 0 {
        return Vec::new();
    }
    let path = data_dir.display();
    let said = format!("everyone on this machine may write to `data_dir` {path}, and so put a store or an admin token of his own there");
    vec![format!("{said}; `chmod 700 {path}`")]
}

/// Opens everything. Blocks while another process holds the store, for `store.lock_wait` at most.
///
/// # Errors
/// The first thing that stands in the way.
pub fn prepare(plan: Plan, clock: Clock) -> Result<Prepared, PrepareError> {
    if let Some(first) = inspect(&plan).into_iter().next() {
        return Err(first);
    }
    let internal = |error: &dyn std::fmt::Display| PrepareError::Internal(error.to_string());
    let metrics = Arc::new(Metrics::new().map_err(|error| internal(&error))?);
    configure(&metrics, &plan, &clock);
    // A lease of the process before may be one under another plan, with a longer timeout.
    let lease_max = limits::lease_for(limits::TIMEOUT_MAX);
    let store = SqliteStore::open(&plan.store, lease_max, clock.clone(), Arc::clone(&metrics))?;
    let found = store.health().level;
    if let Some(demanded) = plan.store.durability.filter(|demanded| found < *demanded) {
        return Err(PrepareError::Durability { found: found.as_str(), demanded: demanded.as_str() });
    }
    let admin = admin::bind(&plan)?;
    let door = door::bind(&plan)?;
    Ok(Prepared { plan: Arc::new(plan), store, door, admin, metrics, clock })
}

impl PrepareError {
    /// How the process ends with it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            // A process before us may still be on its way out.
            Self::Door(door::DoorError::Listen { cause: why, .. }) | Self::Admin(admin::AdminError::Listen { source: why, .. })
                if why.kind() == io::ErrorKind::AddrInUse =>
            {
                Exit::TryAgain
            }
            Self::Internal(_) | Self::Door(door::DoorError::Threads(_)) => Exit::Internal,
            Self::DataDir { .. } | Self::Door(_) | Self::Targets(_) | Self::Errands(_) | Self::Admin(_) | Self::Durability { .. } => {
                Exit::Config
            }
            Self::Store(error) => match error {
                OpenError::Locked { .. } => Exit::TryAgain,
                OpenError::Io { .. } => Exit::StoreIo,
                OpenError::Unusable { .. } | OpenError::Damaged { .. } => Exit::Config,
                OpenError::OldLibrary(_) => Exit::Internal,
            },
        }
    }
}

fn configure(metrics: &Metrics, plan: &Plan, clock: &Clock) {
    let sources: Vec<_> = plan
        .sources
        .values()
        .map(|source| SourceFacts {
            name: &source.name,
            provider: &source.provider,
            verification: source.verification(clock.wall()),
            secrets: source.verifier.fingerprints(),
            handshakes: source.verifier.handshakes().collect(),
        })
        .collect();
    let targets: Vec<_> = plan.targets.keys().collect();
    metrics.configure(&sources, &targets, clock.wall());
}

/// Whether a file can be made where everything will be written. The directory may not be there yet; then its nearest ancestor counts.
fn is_writable(dir: &Path) -> io::Result<()> {
    let nearest = dir.ancestors().find(|one| one.as_os_str().is_empty() || one.exists()).unwrap_or(dir);
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    if !nearest.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(nearest, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?)
}
