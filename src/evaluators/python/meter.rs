//! Which programs take long, and what becomes of their priority.
//!
//! Must not know: the pool.

use super::Worker;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::Instant;

/// How much of the processor's time most programs take at most. One that takes more gives its place back. It is not
/// what a clock shows: on a busy machine every program takes long, and a hostile one could make suspects of all others.
pub(super) const SHORT: Duration = Duration::from_millis(25);
/// How long most programs take at most by the clock, on a busy machine or waiting for what they call.
const LONG: Duration = Duration::from_millis(250);
/// The nice value of what stands back.
pub(super) const NICE: i32 = 19;

/// Lets others come first from now on. The lowest priority, since what takes long would otherwise hold up every question
/// on a machine of few processors.
pub(super) fn stand_back(process: u32) {
    use rustix::process::{Pid, setpriority_process};
    // Priorities are of threads, and the one that runs programs is not the first one of its process.
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return };
    for thread in threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok()) {
        if let Some(thread) = Pid::from_raw(thread) {
            // It may have ended, or it may not be allowed; then they share.
            let _refused = setpriority_process(Some(thread), NICE);
        }
    }
}

/// What a program has used until now.
pub(super) struct Meter {
    pub(super) process: Option<u32>,
    start: Instant,
    /// What its worker had used before.
    used: Duration,
}

impl Meter {
    pub(super) fn of(worker: &Worker) -> Self {
        let process = worker.child.as_ref().and_then(Child::id);
        Self { process, start: Instant::now(), used: worker.used }
    }

    /// Whether it is one of those that take long. For a thread of this process there is only the clock.
    pub(super) fn is_long(&self) -> bool {
        let elapsed = self.start.elapsed();
        let used =
            self.process.and_then(processor_time).map_or(elapsed, |used| used.saturating_sub(self.used));
        used >= SHORT || elapsed >= LONG
    }
}

/// The processor's time that a process has used, in steps of a hundredth of a second.
fn processor_time(process: u32) -> Option<Duration> {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in parentheses, may have blanks and parentheses itself. The state is the third field.
    let mut fields = status.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis((user + system) * 1_000 / ticks))
}
