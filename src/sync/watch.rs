//! Watches files and directories for changes.
//!
//! The directories above are watched rather than the files, so that files that are replaced by renaming, and the
//! links that Kubernetes swaps under mounted configuration, are seen. Now and then everything is looked at anew, for
//! file systems that tell nothing. Must not know: what the files hold.

use notify::{RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Changes that come within this time are one change.
const QUIET: Duration = Duration::from_millis(100);
/// How often everything is looked at anew.
const RESCAN: Duration = Duration::from_secs(10);
/// How deep directories are looked at.
const MAX_DEPTH: usize = 16;

/// A running watch; it ends when this goes.
#[derive(Debug)]
pub struct Watch {
    stop: Option<Sender<Signal>>,
    thread: Option<JoinHandle<()>>,
}

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

/// Calls `reload` on a thread of its own whenever one of these files, or a file in one of these directories, changes.
///
/// # Errors
/// When the operating system cannot watch them.
pub fn watch(paths: Vec<PathBuf>, mut reload: impl FnMut() + Send + 'static) -> Result<Watch, String> {
    let (signals, changes) = channel();
    let told = signals.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ended = told.send(Signal::Changed);
        }
    })
    .map_err(|error| format!("files cannot be watched: {error}"))?;
    for directory in directories(&paths) {
        watcher
            .watch(&directory, RecursiveMode::NonRecursive)
            .map_err(|error| format!("`{}` cannot be watched: {error}", directory.display()))?;
    }
    let mut seen = look(&paths);
    let run = move || {
        // The watcher lives as long as the thread that listens to it.
        let _watcher = watcher;
        while wait(&changes) {
            let now = look(&paths);
            if now != seen {
                seen = now;
                reload();
            }
        }
    };
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(run);
    let thread = thread.map_err(|error| format!("files cannot be watched: {error}"))?;
    Ok(Watch { stop: Some(signals), thread: Some(thread) })
}

/// Waits until it is time to look again; false at the end.
fn wait(changes: &Receiver<Signal>) -> bool {
    match changes.recv_timeout(RESCAN) {
        Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        Err(RecvTimeoutError::Timeout) => return true,
        Ok(Signal::Changed) => {}
    }
    // One change of a person is often several of the file system. A file that never rests is looked at all the same.
    for _ in 0..20 {
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
        if path.is_dir() {
            below(path, 0, &mut all);
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        all.insert(parent.to_owned());
    }
    all
}

fn below(directory: &Path, depth: usize, all: &mut BTreeSet<PathBuf>) {
    all.insert(directory.to_owned());
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if depth < MAX_DEPTH && path.is_dir() {
            below(&path, depth + 1, all);
        }
    }
}

/// What can be told of all files without reading them.
type Look = Vec<(PathBuf, u64, Option<SystemTime>, u64)>;

fn look(paths: &[PathBuf]) -> Look {
    let mut all = Look::new();
    paths.iter().for_each(|path| look_at(path, 0, &mut all));
    all.sort();
    all
}

fn look_at(path: &Path, depth: usize, all: &mut Look) {
    use std::os::unix::fs::MetadataExt as _;
    // Follows links, so a swapped link is a changed file.
    let Ok(data) = path.metadata() else { return all.push((path.to_owned(), 0, None, 0)) };
    if data.is_file() {
        return all.push((path.to_owned(), data.len(), data.modified().ok(), data.ino()));
    }
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if depth < MAX_DEPTH {
            look_at(&path, depth + 1, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let watch = watch(paths, move || sender.send(()).unwrap()).unwrap();

        std::fs::write(at("b.yaml"), "22").unwrap();
        assert!(told(&changes));
        std::fs::write(at("new"), "333").unwrap();
        std::fs::rename(at("new"), at("b.yaml")).unwrap();
        assert!(told(&changes));
        std::os::unix::fs::symlink("two", at("..next")).unwrap();
        std::fs::rename(at("..next"), at("..data")).unwrap();
        assert!(told(&changes));
        drop(watch);
        std::fs::write(at("b.yaml"), "4444").unwrap();
        assert!(changes.recv().is_err(), "the watch goes on after its end");
    }
}
