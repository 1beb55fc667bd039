//! Where the time of this process goes.
//!
//! Must not know: who wants to know.

use pprof::ProfilerGuardBuilder;
use pprof::protos::Message as _;
use std::sync::Mutex;
use std::time::Duration;

/// How often a second it is looked at: not in step with what happens a hundred times a second.
const FREQUENCY: i32 = 99;

/// One at a time: a process has one timer for this.
static RUNNING: Mutex<()> = Mutex::new(());

/// Looks for this long; the profile in the format of pprof.
///
/// # Errors
/// When somebody looks already, or it cannot be done here.
pub(super) async fn take(time: Duration) -> Result<Vec<u8>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("no profile can be taken: {error}");
    let taken = tokio::task::spawn_blocking(move || {
        let Ok(_one) = RUNNING.try_lock() else {
            return Err("a profile is being taken already; wait for that".to_owned());
        };
        let guard = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY)
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build()
            .map_err(|error| failed(&error))?;
        std::thread::sleep(time);
        let profile = guard.report().build().map_err(|error| failed(&error))?;
        let profile = profile.pprof().map_err(|error| failed(&error))?;
        profile.write_to_bytes().map_err(|error| failed(&error))
    });
    taken.await.map_err(|error| failed(&error))?
}
