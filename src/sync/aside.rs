//! Work that takes long, beside everything else: on a thread that gets out of the way of those that answer questions.
//!
//! Must not know: what the work is.

use crate::store::Snapshot;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long somebody may hold an old snapshot before it is let go of all the same.
const LATEST: Duration = Duration::from_secs(10);
/// The nice value of such a thread: it has a tenth of the weight of others where they want the processor, too, so that it is
/// never starved altogether.
const NICE: i32 = 10;

/// Does the work, beside the runtime; `rest` follows on the same thread, and nobody waits for it.
///
/// # Errors
/// When there is no thread for it, or it panicked.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    rest: impl FnOnce() + Send + 'static,
) -> Result<T, String> {
    let (tell, told) = oneshot::channel();
    // A thread of its own, since one that steps back cannot come forward again without rights.
    let run = move || {
        let thread = std::thread::Builder::new().name("aside".to_owned()).spawn(move || {
            let _refused = rustix::process::setpriority_process(None, NICE);
            // Who asked may be gone.
            let _gone = tell.send(work());
            rest();
        });
        thread.map_err(|error| format!("there is no thread for it: {error}"))?;
        told.blocking_recv().map_err(|_| "it failed; this is a defect of bindery".to_owned())
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?
}

/// Lets go of a snapshot that is not in force any more, as the last one: to take a large one apart takes long, and a question
/// that has it still should not have to do it.
pub(super) fn retire(old: Arc<Snapshot>) {
    let start = Instant::now();
    while Arc::strong_count(&old) > 1 && start.elapsed() < LATEST {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_what_came_of_it() {
        let (tell, told) = oneshot::channel();
        assert_eq!(aside(|| 7, move || tell.send(8).unwrap()).await, Ok(7));
        assert_eq!(told.await, Ok(8));
        let failed = aside(|| -> u8 { panic!("on purpose") }, || {}).await;
        assert!(failed.unwrap_err().contains("defect"));
    }
}
