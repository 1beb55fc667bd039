//! What a worker's process takes of memory while a program runs, told to the interpreter.
//!
//! The interpreter ends a program that takes too much when its allocator counts; ours does not, since it is the server's
//! as well. So a thread looks at the resident memory every millisecond and keeps the interpreter's counter. What slips
//! between two looks meets the limit of the process, which ends it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(1);

/// The memory of this process, which has one worker.
pub(super) struct Memory {
    watched: Arc<Watched>,
    watcher: Thread,
    /// More than this does not go back by itself.
    spent: usize,
}

struct Watched {
    /// Opened before files are taken away.
    sizes: File,
    page: usize,
    /// How many programs run, one inside of another.
    running: AtomicUsize,
}

/// Keeps the counter until it is dropped.
pub(super) struct Measuring(Arc<Watched>);

impl Memory {
    /// Counts from what the process takes by now.
    pub(super) fn start(memory: u64) -> io::Result<Self> {
        let watched = Watched {
            sizes: File::open("/proc/self/statm")?,
            page: rustix::param::page_size(),
            running: AtomicUsize::new(0),
        };
        let baseline = watched.resident();
        monty_types::BASELINE_MEMORY.store(baseline, Ordering::Relaxed);
        let watched = Arc::new(watched);
        let theirs = Arc::clone(&watched);
        let work = move || {
            loop {
                thread::park();
                while theirs.running.load(Ordering::Relaxed) > 0 {
                    theirs.look();
                    thread::sleep(EVERY);
                }
            }
        };
        let watcher = thread::Builder::new().stack_size(64 << 10).spawn(work)?.thread().clone();
        let half = usize::try_from(memory / 2).unwrap_or(usize::MAX);
        Ok(Self { watched, watcher, spent: baseline.saturating_add(half) })
    }

    /// What of the address space is private and can be written to, which is what the limit of data counts.
    pub(super) fn written() -> io::Result<u64> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let kilobytes = status
            .lines()
            .filter_map(|line| line.strip_prefix("VmData:").or_else(|| line.strip_prefix("VmStk:")))
            .filter_map(|size| size.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .sum::<u64>();
        Ok(kilobytes << 10)
    }

    /// Looks from now on.
    pub(super) fn measure(&self) -> Measuring {
        self.watched.look();
        self.watched.running.fetch_add(1, Ordering::Relaxed);
        self.watcher.unpark();
        Measuring(Arc::clone(&self.watched))
    }

    /// Whether the last program left so much behind that the next one had too little.
    pub(super) fn is_spent(&self) -> bool {
        self.watched.resident() > self.spent
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watched {
    /// Resident memory in bytes. The second number of the file are pages.
    fn resident(&self) -> usize {
        let mut text = [0_u8; 128];
        let length = self.sizes.read_at(&mut text, 0).unwrap_or_default();
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default();
        pages.saturating_mul(self.page)
    }

    fn look(&self) {
        monty_types::LIVE_MEMORY.store(self.resident(), Ordering::Relaxed);
    }
}
