//! What a process uses, as the kernel tells it.
//!
//! Must not know: which process it is, and why that matters.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a process has used up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// CPU time of all its threads, in steps of about 10 ms.
    pub(super) cpu: Duration,
    /// Bytes in memory. Zero where they are not its own.
    pub(super) resident: u64,
}

/// Whose use is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A process, by its id.
    Process(u32),
    /// Threads of this process, by their name.
    Threads(&'static str),
}

/// What was used until now. Absent: that cannot be told, such as of a process that is gone.
pub(super) fn usage(whose: &Whose) -> Option<Usage> {
    match whose {
        Whose::Process(id) => of_stat(&Path::new("/proc").join(id.to_string()).join("stat")),
        Whose::Threads(name) => {
            let mut cpu = Duration::ZERO;
            for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
                let called = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
                if called.trim() == *name {
                    cpu += of_stat(&thread.path().join("stat")).unwrap_or_default().cpu;
                }
            }
            Some(Usage { cpu, resident: 0 })
        }
    }
}

fn of_stat(path: &Path) -> Option<Usage> {
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    parse(&fs::read_to_string(path).ok()?, rustix::param::clock_ticks_per_second(), page)
}

/// Reads a line of `/proc/PID/stat`.
fn parse(stat: &str, ticks: u64, page: u64) -> Option<Usage> {
    // The name may hold anything, brackets and spaces among it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Fields are numbered from 1 and the third is the first here: utime 14, stime 15, rss 24.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let used = field(14)? + field(15)?;
    let cpu = Duration::from_secs_f64(used as f64 / ticks.max(1) as f64);
    Some(Usage { cpu, resident: field(24)? * page })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_confuse() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 100 5000000 300 18446744073709551615";
        let usage = parse(stat, 100, 4_096).unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_secs(3), resident: 300 * 4_096 });
        assert_eq!(parse("7 (a", 100, 4_096), None);
        assert_eq!(parse("7 (a) S 1", 100, 4_096), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found() {
        assert!(usage(&Whose::Process(std::process::id())).unwrap().resident > 0);
        assert!(usage(&Whose::Threads("no such thread")).is_some());
        assert_eq!(usage(&Whose::Process(u32::MAX)), None);
    }
}
