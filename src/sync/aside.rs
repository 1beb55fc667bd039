//! Work that takes long, beside everything else: on a thread that gets out of the way of those that answer questions.
//!
//! Must not know: what the work is.

/// The nice value of such a thread: it has a tenth of the weight of others where they want the processor, too, so that it is
/// never starved altogether.
const NICE: i32 = 10;

/// Does the work, beside the runtime.
///
/// # Errors
/// When there is no thread for it, or it panicked.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    // A thread of its own, since one that steps back cannot come forward again without rights.
    let run = move || {
        let thread = std::thread::Builder::new().name("aside".to_owned()).spawn(move || {
            let _refused = rustix::process::setpriority_process(None, NICE);
            work()
        });
        let thread = thread.map_err(|error| format!("there is no thread for it: {error}"))?;
        thread.join().map_err(|_| "it failed; this is a defect of bindery".to_owned())
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_what_came_of_it() {
        assert_eq!(aside(|| 7).await, Ok(7));
        let failed = aside(|| -> u8 { panic!("on purpose") }).await;
        assert!(failed.unwrap_err().contains("defect"));
    }
}
