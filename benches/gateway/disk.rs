//! How fast this disk flushes, alone and beside a running gateway: what no acknowledgement can be faster than.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::process::now;

const BLOCK_BYTES: usize = 64 * 1024;
const FLUSHES: usize = 500;

/// Latencies of writing and flushing 64 KiB, with nothing else running.
pub(crate) fn fdatasync_latencies(room: &Path) -> Vec<Duration> {
    let mut file = File::create(room.join("flush")).expect("a file");
    (0..FLUSHES).map(|_| flush(&mut file)).collect()
}

/// Flushes beside a run, a few times a second, so that it measures the disk without loading it.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Probe {
    /// Starts flushing.
    pub(crate) fn start(room: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let mut file = File::create(room.join("probe")).expect("a file");
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            while !told.load(Ordering::Acquire) {
                took.push(flush(&mut file));
                std::thread::sleep(Duration::from_millis(20));
            }
            took
        });
        Self { stop, thread }
    }

    /// The latencies seen.
    pub(crate) fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the probe does not panic")
    }
}

fn flush(file: &mut File) -> Duration {
    file.seek(SeekFrom::Start(0)).expect("seekable");
    file.write_all(&[7; BLOCK_BYTES]).expect("room");
    let started = now();
    file.sync_data().expect("a disk that flushes");
    now() - started
}
