//! The processes that this one has started, and what they take.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Tests of one program share its children, so only one of them may have any.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ids of all that run.
pub(crate) fn of_this_process() -> Vec<u32> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that has ended with all of its threads and was not waited for yet has no memory and is none.
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let ended = field("State:").is_none_or(|state| state.starts_with('Z'));
        if field("PPid:") == Some(&own) && !(ended && field("Threads:") == Some("1")) {
            found.push(id);
        }
    }
    found
}

/// Waits until there are none; not for ever.
pub(crate) fn none_left() -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if of_this_process().is_empty() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Looks at what children take until it is asked.
pub(crate) struct Watch {
    ends: Arc<AtomicBool>,
    highest: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let (ends, highest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (theirs, seen) = (Arc::clone(&ends), Arc::clone(&highest));
        let thread = std::thread::spawn(move || {
            let mut children = of_this_process();
            let mut looks = 0_u32;
            while !theirs.load(Ordering::Relaxed) {
                if looks.is_multiple_of(8) {
                    children = of_this_process();
                }
                looks += 1;
                for child in &children {
                    if let Some(size) = resident(*child) {
                        seen.fetch_max(size, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { ends, highest, thread: Some(thread) }
    }

    /// The most that one of them had resident, in bytes.
    pub(crate) fn highest(mut self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.highest.load(Ordering::Relaxed)
    }
}

/// The most that a process ever had resident, once it is the program that it was started for.
fn resident(id: u32) -> Option<u64> {
    let command = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    if !command.windows(13).any(|part| part == b"python-worker") {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
