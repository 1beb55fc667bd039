//! Keys that an issuer publishes at a URL: fetched when they are needed, kept, fetched anew when they get old or a
//! key is missing. Never more than one fetch at a time, and never one soon after another, whatever requests come.
//! Requests wait for a fetch only where they cannot do without.
//!
//! Time is that of the requests. Must not know: tokens.

use super::super::settings::JwtSettings;
use super::Algorithm;
use super::keys::{KeySet, MAX_BYTES};
use crate::model::Timestamp;
use crate::tls::{Client, Failure, parse_url};
use arc_swap::ArcSwapOption;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

const EXAMPLE: &str = "https://auth.example.com/application/o/grafana/jwks/";

/// When keys are fetched. Times between moments are in nanoseconds, as moments count them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    max_age: i64,
    min_interval: i64,
    keep: i64,
    timeout: Duration,
}

impl Pace {
    pub(super) fn new(settings: &JwtSettings) -> Result<Self, String> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(i64::try_from(value).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
            } else {
                Err(format!(
                    "identity.jwt.{name}: {value} is not between {least} and {most}; choose one that is"
                ))
            }
        };
        let max_age = within("jwks_max_age_seconds", settings.jwks_max_age_seconds, 1, 86_400)?;
        let min_interval = within("jwks_min_interval_seconds", settings.jwks_min_interval_seconds, 1, 3_600)?;
        let keep = within("jwks_keep_seconds", settings.jwks_keep_seconds, 1, 2_592_000)?;
        within("jwks_timeout_ms", settings.jwks_timeout_ms, 50, 30_000)?;
        if keep < max_age {
            return Err("identity.jwt.jwks_keep_seconds: is less than jwks_max_age_seconds, so keys would be gone before they \
                        are fetched anew; raise it"
                .to_owned());
        }
        Ok(Self { max_age, min_interval, keep, timeout: Duration::from_millis(settings.jwks_timeout_ms) })
    }
}

pub(super) struct Remote(Arc<Inner>);

struct Inner {
    client: Client,
    uri: http::Uri,
    /// The URL as it is shown.
    shown: String,
    pace: Pace,
    allowed: Vec<Algorithm>,
    /// Read by every request without waiting; swapped as a whole by a fetch.
    held: ArcSwapOption<Held>,
    /// Locked for moments, and never across a wait.
    flight: Mutex<Flight>,
}

/// What the last fetch that succeeded brought.
struct Held {
    keys: Arc<KeySet>,
    bytes: bytes::Bytes,
    /// When that fetch began.
    at: Timestamp,
}

#[derive(Default)]
struct Flight {
    /// When the last fetch began.
    begun: Option<Timestamp>,
    /// Closed when it ends.
    running: Option<watch::Receiver<()>>,
    /// Why it failed.
    failure: Option<String>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.0.shown).finish()
    }
}

impl Remote {
    pub(super) fn new(
        url: &str,
        authorities: Option<&Path>,
        pace: Pace,
        allowed: Vec<Algorithm>,
    ) -> Result<Self, String> {
        let wrong = |what: String| format!("identity.jwt.jwks_url: {what}");
        let uri = parse_url(url, EXAMPLE).map_err(wrong)?;
        if uri.scheme_str() == Some("http") && !is_loopback(&uri) {
            return Err(wrong(format!(
                "`{url}` is not encrypted, so whoever is on the way could give keys of their own; use https, or http on \
                 this machine"
            )));
        }
        if uri.scheme_str() == Some("http") && authorities.is_some() {
            return Err("identity.jwt.jwks_ca_file: jwks_url is not https; leave it out".to_owned());
        }
        let client = Client::new(&uri, authorities).map_err(wrong)?;
        let shown = url.split(['?', '#']).next().unwrap_or_default().to_owned();
        Ok(Self(Arc::new(Inner {
            client,
            uri,
            shown,
            pace,
            allowed,
            held: ArcSwapOption::empty(),
            flight: Mutex::default(),
        })))
    }

    /// The keys to verify with, if there are any. Old ones are fetched anew, without anybody waiting for it.
    pub(super) fn at_hand(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        let (keys, is_fresh) = self.0.usable(now)?;
        if !is_fresh {
            let _running = self.fetch(now);
        }
        Some(keys)
    }

    /// The keys to verify with. Waits for a fetch only when there are none.
    pub(super) async fn current(&self, now: Timestamp) -> Result<Arc<KeySet>, String> {
        if let Some(keys) = self.at_hand(now) {
            return Ok(keys);
        }
        if let Some(running) = self.fetch(now) {
            ended(running).await;
        }
        self.0.usable(now).map(|(keys, _)| keys).ok_or_else(|| self.0.why())
    }

    /// The keys after a fetch because one is missing; nothing when there was one a moment ago.
    pub(super) async fn newer(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        ended(self.fetch(now)?).await;
        self.0.usable(now).map(|(keys, _)| keys)
    }

    /// The fetch that runs, or one that begins now, if one may.
    fn fetch(&self, now: Timestamp) -> Option<watch::Receiver<()>> {
        // Without a runtime nothing could be fetched.
        let handle = Handle::try_current().ok()?;
        let mut flight = self.0.flight();
        if let Some(running) = flight.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        // A clock that was set back must not stop everything until it is there again.
        let recently = |begun| (0..self.0.pace.min_interval).contains(&now.nanoseconds_since(begun));
        if flight.begun.is_some_and(recently) {
            return None;
        }
        let (end, running) = watch::channel(());
        flight.begun = Some(now);
        flight.running = Some(running.clone());
        let inner = Arc::clone(&self.0);
        handle.spawn(async move {
            let outcome = tokio::time::timeout(inner.pace.timeout, inner.ask()).await;
            let late = |_| Err(format!("`{}` does not answer within {:?}", inner.shown, inner.pace.timeout));
            inner.take(outcome.unwrap_or_else(late), now);
            drop(end);
        });
        Some(running)
    }
}

async fn ended(mut running: watch::Receiver<()>) {
    // Nothing is ever sent; an error is the end.
    while running.changed().await.is_ok() {}
}

impl Inner {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys that may still be used, and whether they are young enough.
    fn usable(&self, now: Timestamp) -> Option<(Arc<KeySet>, bool)> {
        let held = self.held.load();
        let held = held.as_ref().filter(|held| held.keys.len() > 0)?;
        let age = now.nanoseconds_since(held.at);
        (age <= self.pace.keep).then(|| (Arc::clone(&held.keys), (0..=self.pace.max_age).contains(&age)))
    }

    /// Why there are no keys.
    fn why(&self) -> String {
        let shown = &self.shown;
        if let Some(failure) = &self.flight().failure {
            return failure.clone();
        }
        match self.held.load().as_ref() {
            Some(held) if held.keys.len() == 0 => {
                let why = held.keys.left_out.join("; ");
                let why = if why.is_empty() { "it is empty".to_owned() } else { why };
                format!(
                    "`{shown}` holds no key that can be used: {why}; choose a signing key at the issuer, or other algorithms"
                )
            }
            _ => format!("the keys of `{shown}` are not there yet"),
        }
    }

    async fn ask(&self) -> Result<bytes::Bytes, String> {
        let shown = &self.shown;
        let request = http::Request::get(self.uri.clone()).header(http::header::ACCEPT, "application/json");
        self.client.get(request, MAX_BYTES).await.map_err(|failure| match failure {
            Failure::Unreachable(causes) => format!("`{shown}` cannot be asked for keys: {causes}"),
            Failure::Redirect => {
                format!("`{shown}` answers with a redirect, which is not followed; name what it leads to")
            }
            Failure::Status(status) => {
                format!("`{shown}` answers with status {status}; check the URL and the server")
            }
            Failure::TooLong => {
                format!("`{shown}` answers with more than {MAX_BYTES} bytes; it is no key set")
            }
        })
    }

    /// What came of a fetch that began at this moment.
    fn take(&self, outcome: Result<bytes::Bytes, String>, at: Timestamp) {
        let held = self.held.load_full();
        let read = |bytes: bytes::Bytes| {
            // The same keys stay the same, so that tokens that were verified by them stay so.
            if let Some(held) = held.as_ref().filter(|held| held.bytes == bytes) {
                return Ok(Held { keys: Arc::clone(&held.keys), bytes, at });
            }
            let keys = KeySet::read(&bytes, &self.allowed)
                .map_err(|what| format!("what `{}` answers is of no use: {what}", self.shown))?;
            tracing::info!(
                url = self.shown,
                keys = keys.len(),
                left_out = keys.left_out.join("; "),
                "keys for tokens in use"
            );
            Ok(Held { keys: Arc::new(keys), bytes, at })
        };
        let failure = match outcome.and_then(read) {
            Ok(new) => {
                self.held.store(Some(Arc::new(new)));
                None
            }
            Err(error) => {
                tracing::warn!(%error, "keys for tokens cannot be fetched; those in use stay for now");
                Some(error)
            }
        };
        self.flight().failure = failure;
    }
}

/// Whether a URL leads to this machine.
fn is_loopback(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
