//! The store's threads, from the first to the last line of their lives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, config::DbConfig};

use super::{
    OpenError, Shared, checkpoint,
    fatal::{self, AbortOnPanic},
    memory::Memory,
    open::{Lock, Opened},
    readers::{Questions, Reader},
    writer::{End, Writer},
};

/// The threads that run, and where their questions go.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) payloads: Questions,
    pub(super) views: Questions,
    pub(super) writer: JoinHandle<()>,
}

/// What the writing thread owns.
struct Owned {
    shared: Arc<Shared>,
    conn: Connection,
    memory: Memory,
    boots: i64,
    disk_full: bool,
    readers: [Reader; 2],
    lock: Lock,
}

/// Starts the readers and the writer.
pub(super) fn start(shared: &Arc<Shared>, opened: Opened) -> Result<Started, OpenError> {
    let path = shared.settings.path.clone();
    let failed = |why: String| OpenError::Io { action: "start the threads on", path: path.clone(), why };
    let Opened { mut conn, lock, boots, memory, disk_full, .. } = opened;
    let log_pages = Arc::new(AtomicU32::new(0));
    let seen_pages = Arc::clone(&log_pages);
    let hook = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
        seen_pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    };
    // Nobody else writes and readers are kept out by the gate: whatever is busy all the same is not waited for with everybody behind.
    conn.busy_timeout(Duration::ZERO).map_err(|error| failed(error.to_string()))?;
    conn.wal_hook(Some(hook)).map_err(|error| failed(error.to_string()))?;
    let reader = |name| Reader::start(name, &path, &shared.clock, &shared.gate).map_err(|error| failed(error.to_string()));
    let readers = [reader("store-read-a")?, reader("store-read-b")?];
    let [payloads, views] = [0, 1].map(|index: usize| readers[index].questions.clone());
    let owned = Owned { shared: Arc::clone(shared), conn, memory, boots, disk_full, readers, lock };
    let (ready, is_ready) = mpsc::channel();
    let writer = thread::Builder::new().name("store-writer".into()).spawn(move || owned.live(log_pages, &ready));
    let writer = writer.map_err(|error| failed(error.to_string()))?;
    // Tallies, room and statements stand before anybody can ask for them.
    is_ready.recv().unwrap_or_else(|_| Err("the writer ended at once".to_owned())).map_err(failed)?;
    Ok(Started { payloads, views, writer })
}

impl Owned {
    fn live(self, log_pages: Arc<AtomicU32>, ready: &mpsc::Sender<Result<(), String>>) {
        let _guard = AbortOnPanic;
        let Self { shared, conn, memory, boots, disk_full, readers, lock } = self;
        // Whoever opens the store waits for this; nobody else can be gone yet.
        let end = match Writer::new(&conn, &shared, memory, (boots, disk_full), log_pages) {
            Ok(writer) => {
                let _ = ready.send(Ok(()));
                writer.run()
            }
            Err(error) => {
                let _ = ready.send(Err(error.to_string()));
                End::Abandoned
            }
        };
        readers.into_iter().for_each(Reader::stop);
        match end {
            End::Closed(asker) => {
                if let Err(error) = checkpoint::finish(&conn).and_then(|()| conn.close().map_err(|(_, error)| error)) {
                    fatal::give_up(&error);
                }
                drop(lock);
                // Whoever asked may have gone by now; the file is closed all the same.
                let _ = asker.map(|asker| asker.send(Ok(())));
            }
            End::Abandoned => {
                // The log stays as it is, for the next start to recover.
                let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            }
        }
    }
}
