//! Logs, and what of them is written, which may change at run time.
//!
//! Must not know: what is logged.

use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// What of the logs is written; a copy is the same.
#[derive(Clone, Debug)]
pub struct Level {
    handle: Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
}

impl Level {
    /// As it was set last, such as `info`.
    pub fn get(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets it from now on.
    ///
    /// # Errors
    /// When it is not understood; then the old one stays.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let parsed = parse(filter)?;
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.reload(parsed).map_err(|error| format!("log-level: it cannot be set: {error}"))?;
        filter.clone_into(&mut text);
        Ok(())
    }
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| {
        format!("log-level: `{filter}` is not understood ({error}); write info or bindery=debug")
    })
}

/// Starts writing logs to standard error.
///
/// # Errors
/// When the filter is not understood, or logs are being written already.
pub fn start(filter: &str, json: bool, color: bool) -> Result<Level, String> {
    let (layer, handle) = reload::Layer::new(parse(filter)?);
    let logs = fmt::layer().with_writer(std::io::stderr).with_ansi(color);
    let logs = if json { logs.json().flatten_event(true).boxed() } else { logs.with_target(false).boxed() };
    let started = tracing_subscriber::registry().with(layer).with(logs).try_init();
    started.map_err(|error| format!("logs cannot be started: {error}"))?;
    Ok(Level { handle, text: Arc::new(Mutex::new(filter.to_owned())) })
}
