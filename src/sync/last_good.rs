//! The last-good file: the configuration in force, on disk, so that a restart serves at once what was served before.
//!
//! It holds the very messages of the sync protocol. A header of 16 bytes (`bindery` and a zero byte, the version of the
//! format as a little-endian number of 4 bytes, 4 bytes of zeros), then records: the length of the payload and its CRC-32,
//! each a little-endian number of 4 bytes, and the payload, a serialized `SourceMessage`. First comes a snapshot (begin,
//! chunks, commit), written as a whole beside the old file and renamed over it; then one delta for each change, appended.
//! When these outweigh the snapshot, a new one is written. An end that is torn was never acknowledged, and is cut off;
//! any other damage sets the file aside. Must not know: streams, who changes what.

mod read;
mod write;

use super::ledger::{Disk, Recorded};
use crate::model::Version;
use crate::store::{Settings, Snapshot, Store};
use crate::telemetry::Metrics;
use crate::telemetry::labels::WriteResult;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

const MAGIC: &[u8; 8] = b"bindery\0";
/// The version of the format that is written and read.
const FORMAT: u32 = 1;
const HEADER: usize = 16;
/// The largest payload of a record, in bytes; as large as a message may be.
const MAX_RECORD: u32 = 16 << 20;
/// The most files that are kept which were set aside.
const MAX_ASIDE: usize = 3;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was no file.
    Nothing,
    /// A configuration.
    Configuration {
        /// Where it stands.
        version: Version,
        /// How many resources it has.
        resources: u64,
        /// How many bytes of an unfinished end were cut off.
        torn: u64,
    },
    /// The file cannot be used, and was set aside.
    SetAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A last-good file that is written to.
#[derive(Debug)]
pub struct LastGood {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Held for as long as this is: no other process writes the file.
    _lock: File,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Set once, soon after the start.
    metrics: OnceLock<Arc<Metrics>>,
}

/// What waits to be written. However much that is, only the newest snapshot is kept of it.
#[derive(Debug, Default)]
struct Queue {
    changes: Vec<Recorded>,
    newest: Option<Arc<Snapshot>>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// The changes were too many; everything is written instead.
    whole: bool,
    closed: bool,
}

/// How long until what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// More changes than this at once are written as a whole.
const MAX_QUEUE: usize = 4_096;

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A writer that panicked left nothing half done: what it took is not there any more.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LastGood {
    /// Opens the file, or begins one: gives a store with what it holds, which decides as the settings say.
    ///
    /// # Errors
    /// When another process writes it, or its directory cannot be used. A file that is damaged, or of a newer format, is
    /// no error: it is set aside.
    pub fn open(path: &Path, settings: Settings) -> Result<(Self, Store, Found), String> {
        let shown = path.display();
        let lock_path = with_ending(path, "lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| format!("last-good: `{}` cannot be opened: {error}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "last-good: another process writes `{shown}`; stop that, or name another file"
                ));
            }
            Err(TryLockError::Error(error)) => {
                return Err(format!("last-good: `{shown}` cannot be locked: {error}"));
            }
        }
        let (store, found, tail) = match read::load(path, settings) {
            Ok(None) => (Store::new(settings), Found::Nothing, None),
            Ok(Some(read)) => {
                let snapshot = read.store.load();
                let found = Found::Configuration {
                    version: snapshot.version(),
                    resources: snapshot.digest().count(),
                    torn: read.torn,
                };
                (read.store, found, Some((read.base, read.end)))
            }
            Err(read::Unreadable::Io(error)) => {
                return Err(format!("last-good: `{shown}` cannot be read: {error}"));
            }
            Err(read::Unreadable::Unusable(reason)) => {
                let aside = set_aside(path)
                    .map_err(|error| format!("last-good: `{shown}` cannot be set aside: {error}"))?;
                (Store::new(settings), Found::SetAside { path: aside, reason }, None)
            }
        };
        let shared = Arc::new(Shared::default());
        let writer = write::Writer::new(path, store.load().version(), tail);
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("last-good".to_owned())
            .spawn(move || run(&of_thread, writer))
            .map_err(|error| format!("last-good: no thread could be started: {error}"))?;
        Ok((Self { shared, thread: Some(thread), _lock: lock }, store, found))
    }
}

impl LastGood {
    /// Counts its writes here.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        let _first = self.shared.metrics.set(metrics);
        self
    }
}

impl Drop for LastGood {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Disk for LastGood {
    fn save(&self, change: &Recorded, snapshot: &Arc<Snapshot>) -> oneshot::Receiver<Result<(), String>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.shared.queue();
        if queue.changes.len() >= MAX_QUEUE {
            queue.changes.clear();
            queue.whole = true;
        }
        if !queue.whole {
            queue.changes.push(change.clone());
        }
        queue.newest = Some(Arc::clone(snapshot));
        queue.waiting.push(answer);
        drop(queue);
        self.shared.filled.notify_one();
        answered
    }
}

/// What the writer has to do next.
enum Next {
    /// To write what waits.
    Write(Queue),
    /// To try once more what could not be written.
    Again { closed: bool },
    /// Nothing any more.
    End,
}

impl Shared {
    /// Waits for something to do; for a moment only, where something is owed to the disk.
    fn next(&self, owes: bool) -> Next {
        let mut queue = self.queue();
        while queue.waiting.is_empty() && !queue.closed {
            if owes {
                let waited = self.filled.wait_timeout(queue, AGAIN);
                let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                queue = woken;
                if timeout.timed_out() {
                    break;
                }
            } else {
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
        match (queue.waiting.is_empty(), owes, queue.closed) {
            (false, _, _) => Next::Write(std::mem::take(&mut *queue)),
            (true, true, closed) => Next::Again { closed },
            (true, false, _) => Next::End,
        }
    }
}

/// Writes what waits, all of it at once, until the end. What could not be written is tried again until it can: nobody may
/// come with another change for long.
fn run(shared: &Shared, mut writer: write::Writer) {
    let mut owed: Option<Arc<Snapshot>> = None;
    loop {
        let (closed, result) = match shared.next(owed.is_some()) {
            Next::End => return,
            Next::Again { closed } => (closed, owed.as_ref().map_or(Ok(()), |newest| writer.whole(newest))),
            Next::Write(taken) => {
                let result = match &taken.newest {
                    Some(newest) if taken.whole => writer.whole(newest),
                    Some(newest) => writer.append(&taken.changes, newest),
                    None => Ok(()),
                };
                let told = result.as_ref().map_err(told_by).copied();
                for waiting in taken.waiting {
                    // Who does not wait any more need not hear.
                    let _gone = waiting.send(told.clone());
                }
                if let (Err(error), None) = (&result, &owed) {
                    tracing::error!(
                        error = told_by(error),
                        "what is in force is not kept; it is tried again"
                    );
                }
                if result.is_err() {
                    owed = taken.newest.or(owed);
                }
                (taken.closed, result)
            }
        };
        if let Some(metrics) = shared.metrics.get() {
            let written = if result.is_ok() { WriteResult::Written } else { WriteResult::Failed };
            metrics.last_good_written(written);
        }
        if result.is_ok() && owed.take().is_some() {
            tracing::info!("what is in force is kept again in the last-good file");
        }
        if closed {
            return;
        }
    }
}

fn told_by(error: &std::io::Error) -> String {
    format!("the last-good file cannot be written: {error}")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// Renames a file that cannot be used, and removes the oldest ones that were set aside before.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    // Seconds and what is left of one, so that names are in the order of time.
    let now =
        std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let aside = with_ending(path, &format!("damaged-{:012}-{:09}", now.as_secs(), now.subsec_nanos()));
    std::fs::rename(path, &aside)?;
    let prefix = with_ending(path, "damaged-").file_name().unwrap_or_default().to_os_string();
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut all: Vec<PathBuf> = std::fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|it| {
            let name = it.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
        })
        .collect();
    all.sort();
    for old in all.iter().rev().skip(MAX_ASIDE) {
        std::fs::remove_file(old)?;
    }
    Ok(aside)
}

/// Only for fuzzing: reads bytes as a last-good file. What was read has to be what it says that it is.
#[cfg(fuzzing)]
pub fn read_bytes(bytes: &[u8]) -> bool {
    let Ok(loaded) = read::parse(bytes, bytes.len() as u64, Settings::default()) else { return false };
    let snapshot = loaded.store.load();
    assert_eq!(*snapshot.digest(), snapshot.recount());
    assert!(loaded.base <= loaded.end && loaded.end + loaded.torn == bytes.len() as u64);
    true
}

#[cfg(test)]
mod tests;
