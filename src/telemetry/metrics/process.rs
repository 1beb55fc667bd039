//! What the system says of this process, under the names that Prometheus clients use. Only on Linux.
//!
//! Must not know: what the process does.

use super::family::{About, Family, Kind, Unit, Value};
use procfs::process::Process;
use procfs::{WithCurrentSystemInfo as _, boot_time_secs};

/// What can be read; the rest is left out.
pub(super) fn families() -> Vec<Family> {
    let Ok(process) = Process::myself() else { return Vec::new() };
    let mut all = Vec::new();
    let mut add = |name, help, unit, kind, value: Option<f64>| {
        let family = |value| Family::single(About { name, help, unit, kind }, Value::Number(value));
        all.extend(value.map(family));
    };
    let ticks = procfs::ticks_per_second() as f64;
    let stat = process.stat().ok();
    let stat = stat.as_ref();
    add(
        "process_cpu_seconds_total",
        "Time that the processor spent on this process, for itself and in the system.",
        Unit::Seconds,
        Kind::Counter,
        stat.map(|stat| (stat.utime + stat.stime) as f64 / ticks),
    );
    add(
        "process_resident_memory_bytes",
        "Memory of this process that is resident.",
        Unit::Bytes,
        Kind::Gauge,
        stat.map(|stat| stat.rss_bytes().get() as f64),
    );
    add(
        "process_open_fds",
        "Open file descriptors.",
        Unit::None,
        Kind::Gauge,
        process.fd_count().ok().map(|count| count as f64),
    );
    let most = process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
        procfs::process::LimitValue::Value(most) => Some(most as f64),
        procfs::process::LimitValue::Unlimited => None,
    });
    add("process_max_fds", "The most file descriptors that may be open.", Unit::None, Kind::Gauge, most);
    let started = stat.and_then(|stat| Some(boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks));
    add(
        "process_start_time_seconds",
        "When this process began, in seconds since 1970.",
        Unit::Seconds,
        Kind::Gauge,
        started,
    );
    all
}
