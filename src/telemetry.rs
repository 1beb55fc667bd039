//! Logs.
//!
//! Must not know: what is logged.

use tracing_subscriber::EnvFilter;

/// Starts writing logs to standard error.
///
/// # Errors
/// When the filter is not understood, or logs are being written already.
pub fn start(filter: &str, json: bool, color: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("log-level: `{filter}` is not understood ({error}); write info or bindery=debug")
    })?;
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color);
    let started =
        if json { logs.json().flatten_event(true).try_init() } else { logs.with_target(false).try_init() };
    started.map_err(|error| format!("logs cannot be started: {error}"))
}
