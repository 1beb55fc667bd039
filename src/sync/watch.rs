//! Watches files and directories for changes.
//!
//! The directories above are watched rather than the files, so that files that are replaced by renaming, and the
//! links that Kubernetes swaps under mounted configuration, are seen. Now and then everything is looked at anew, for
//! file systems that tell nothing. Must not know: what the files hold.

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Changes are one change until nothing has changed for this long.
const QUIET: Duration = Duration::from_millis(100);
/// Files that never rest are looked at all the same after this long.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often everything is looked at anew.
const RESCAN: Duration = Duration::from_secs(10);
/// How deep directories are looked at.
const MAX_DEPTH: usize = 16;
/// How many entries of directories are looked at.
const MAX_ENTRIES: usize = 100_000;
/// How many directories tell of their changes at once; those beyond are still looked at.
const MAX_DIRECTORIES: usize = 1_000;

/// A running watch; it ends when this goes.
#[derive(Debug)]
pub struct Watch {
    stop: Option<SyncSender<Signal>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Signal {
    Changed,
    Stop,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A thread that has ended already hears nothing, and need not.
            let _ended = stop.send(Signal::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Calls `reload` on a thread of its own whenever one of these files, or a file in one of these directories, is no
/// longer as it was `seen`: take that [`look`] before the files are read, and no change is missed. Where the system
/// does not tell of changes, they are found within ten seconds.
///
/// # Errors
/// When there can be no further thread.
pub fn watch(
    paths: Vec<PathBuf>,
    seen: Look,
    reload: impl FnMut() + Send + 'static,
) -> Result<Watch, String> {
    start(paths, seen, reload, RESCAN, true)
}

fn start(
    paths: Vec<PathBuf>,
    mut seen: Look,
    mut reload: impl FnMut() + Send + 'static,
    rescan: Duration,
    listen: bool,
) -> Result<Watch, String> {
    // Room for one: it only matters that something changed, however often it is told.
    let (signals, changes) = sync_channel(1);
    let watcher = if listen { listen_to(&paths, signals.clone()) } else { None };
    let run = move || {
        // The watcher lives as long as the thread that listens to it.
        let _watcher = watcher;
        loop {
            let now = look(&paths);
            if now != seen {
                seen = now;
                reload();
            }
            if !wait(&changes, rescan) {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(run);
    let thread = thread.map_err(|error| format!("files cannot be watched: {error}"))?;
    Ok(Watch { stop: Some(signals), thread: Some(thread) })
}

/// Has the system tell of changes. Its means for that are few on a busy machine, and files are looked at anyway: what
/// it does not grant is no reason not to start.
fn listen_to(paths: &[PathBuf], signals: SyncSender<Signal>) -> Option<RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|event| event.kind.is_access()) {
            // Full: it has been told already. Gone: it is the end.
            let _told = signals.try_send(Signal::Changed);
        }
    };
    let slower = "changes are not told at once; files are looked at every ten seconds";
    let mut watcher = match notify::recommended_watcher(tell) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "{slower}");
            return None;
        }
    };
    for directory in directories(paths) {
        if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
            tracing::warn!(directory = %directory.display(), %error, "{slower}");
        }
    }
    Some(watcher)
}

/// Waits until it is time to look again; false at the end.
fn wait(changes: &Receiver<Signal>, rescan: Duration) -> bool {
    match changes.recv_timeout(rescan) {
        Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        Err(RecvTimeoutError::Timeout) => return true,
        Ok(Signal::Changed) => {}
    }
    // One change of a person is often many of the file system, and half of them is no configuration.
    let first = Instant::now();
    while first.elapsed() < PATIENCE {
        match changes.recv_timeout(QUIET) {
            Ok(Signal::Changed) => {}
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    true
}

/// The directories to watch: those given with all below, and those that files are in.
fn directories(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for path in paths {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        all.insert(parent.canonicalize().unwrap_or_else(|_| parent.to_owned()));
        if path.is_dir() {
            below(path, 0, &mut all);
        }
    }
    all
}

fn below(directory: &Path, depth: usize, all: &mut BTreeSet<PathBuf>) {
    // The same directory has one real path, however many links lead to it or back to it.
    let Ok(directory) = directory.canonicalize() else { return };
    let children = children(&directory, &mut MAX_ENTRIES.clone());
    all.insert(directory);
    for path in children {
        if depth < MAX_DEPTH && all.len() < MAX_DIRECTORIES && path.is_dir() {
            let known = path.canonicalize().is_ok_and(|path| all.contains(&path));
            if !known {
                below(&path, depth + 1, all);
            }
        }
    }
}

/// What is in a directory, in a fixed order.
fn children(directory: &Path, left: &mut usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).take(*left).collect();
    *left -= paths.len();
    paths.sort();
    paths
}

/// What can be told of files without reading them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Path, length, time of the last change, and number.
    files: Vec<(PathBuf, u64, Option<SystemTime>, u64)>,
}

/// Looks at these files and all files in these directories.
pub fn look(paths: &[PathBuf]) -> Look {
    let mut all = Look::default();
    let mut left = MAX_ENTRIES;
    for path in paths {
        all.add(path, &mut Vec::new(), &mut left);
    }
    all
}

impl Look {
    /// `above` are the directories on the way here, by device and number: a link back to one of them is not followed.
    fn add(&mut self, path: &Path, above: &mut Vec<(u64, u64)>, left: &mut usize) {
        // Follows links, so a swapped link is a changed file.
        let Ok(data) = path.metadata() else { return self.files.push((path.to_owned(), 0, None, 0)) };
        if !data.is_dir() {
            return self.files.push((path.to_owned(), data.len(), data.modified().ok(), data.ino()));
        }
        let this = (data.dev(), data.ino());
        if above.len() >= MAX_DEPTH || above.contains(&this) {
            return;
        }
        above.push(this);
        for path in children(path, left) {
            self.add(&path, above, left);
        }
        above.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// Waits for a change to be told; long, since it is only reached when something is broken.
    fn told(changes: &Receiver<()>) -> bool {
        changes.recv_timeout(Duration::from_secs(60)).is_ok()
    }

    #[test]
    fn sees_writes_renames_and_swapped_links() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["one", "two"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("a.yaml"), version).unwrap();
        }
        std::os::unix::fs::symlink("one", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", at("a.yaml")).unwrap();
        std::fs::write(at("b.yaml"), "1").unwrap();
        let (sender, changes) = channel();
        let paths = vec![at("a.yaml"), at("b.yaml")];
        let watch = watch(paths.clone(), look(&paths), move || sender.send(()).unwrap()).unwrap();

        std::fs::write(at("new"), "333").unwrap();
        std::fs::rename(at("new"), at("b.yaml")).unwrap();
        assert!(told(&changes));
        std::os::unix::fs::symlink("two", at("..next")).unwrap();
        std::fs::rename(at("..next"), at("..data")).unwrap();
        assert!(told(&changes));
        // Last, since the emptying and the filling of a file may tell twice.
        std::fs::write(at("b.yaml"), "22").unwrap();
        assert!(told(&changes));
        drop(watch);
        while changes.try_recv().is_ok() {}
        std::fs::write(at("b.yaml"), "4444").unwrap();
        assert!(changes.recv().is_err(), "the watch goes on after its end");
    }
    #[test]
    fn a_change_before_the_watch_began_is_not_missed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let paths = vec![file.path().to_owned()];
        let seen = look(&paths);
        std::fs::write(file.path(), "changed while it was read").unwrap();
        let (sender, changes) = channel();
        let _watch = watch(paths, seen, move || sender.send(()).unwrap()).unwrap();
        assert!(told(&changes));
    }

    #[test]
    fn what_the_system_does_not_tell_is_found_by_looking() {
        let directory = tempfile::tempdir().unwrap();
        let paths = vec![directory.path().to_owned()];
        let (sender, changes) = channel();
        let rescan = Duration::from_millis(5);
        let reload = move || sender.send(()).unwrap();
        let _watch = start(paths.clone(), look(&paths), reload, rescan, false).unwrap();
        for (name, text) in [("a", "1"), ("a", "22"), ("deeper/b", "1")] {
            std::fs::create_dir_all(directory.path().join("deeper")).unwrap();
            std::fs::write(directory.path().join(name), text).unwrap();
            assert!(told(&changes), "{name}");
            // A look between the making and the writing of a file tells twice.
            while changes.try_recv().is_ok() {}
        }
        std::fs::remove_dir_all(directory.path().join("deeper")).unwrap();
        assert!(told(&changes));
    }

    #[test]
    fn many_changes_are_one_and_the_end_is_heard_in_between() {
        let (signals, changes) = sync_channel(64);
        (0..64).for_each(|_| signals.try_send(Signal::Changed).unwrap());
        assert!(wait(&changes, RESCAN));
        assert!(changes.try_recv().is_err(), "some of the changes are left for another round");
        signals.send(Signal::Changed).unwrap();
        signals.send(Signal::Stop).unwrap();
        assert!(!wait(&changes, RESCAN));
        drop(signals);
        assert!(!wait(&changes, RESCAN));
    }

    #[test]
    fn links_that_lead_back_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        for link in ["a", "b", "c"] {
            std::os::unix::fs::symlink(".", directory.path().join(link)).unwrap();
        }
        std::fs::write(directory.path().join("file"), "1").unwrap();
        let paths = [directory.path().to_owned()];
        assert_eq!(look(&paths).files.len(), 1);
        assert_eq!(directories(&paths).len(), 2);
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_seen_when_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("later.yaml")];
        let before = look(&paths);
        assert_eq!(before, look(&paths));
        std::fs::write(&paths[0], "").unwrap();
        assert_ne!(before, look(&paths));
    }
}
