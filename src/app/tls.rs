//! Certificates of listeners and tokens of callers, from files that are read anew when they are replaced.
//!
//! Must not know: what is served.

use super::access::Access;
use crate::config::{AccessSettings, TlsSettings};
use crate::sync::watch::{self, Watch};
use crate::telemetry::Metrics;
use crate::telemetry::labels::{Label as _, Listener, ReloadResult, Reloaded};
use crate::tls::server::{ServerTls, TlsFiles};
use std::sync::Arc;

/// TLS of each listener.
#[derive(Clone, Debug, Default)]
pub struct Secured {
    /// For gRPC.
    pub grpc: Option<Arc<ServerTls>>,
    /// For HTTP.
    pub http: Option<Arc<ServerTls>>,
    /// For publishers and followers.
    pub sync: Option<Arc<ServerTls>>,
    /// For operators.
    pub admin: Option<Arc<ServerTls>>,
    /// Who may call what.
    pub access: Arc<Access>,
}

/// Reads all that these settings name and follows the files: keep the second for as long as replaced files are to be
/// seen.
///
/// # Errors
/// When a file cannot be used, or there can be no further thread.
pub fn open(
    tls: &TlsSettings,
    access: &AccessSettings,
    metrics: &Arc<Metrics>,
) -> Result<(Secured, Option<Watch>), String> {
    let one = |listener: &str, files: &Option<TlsFiles>| {
        let opened = files.clone().map(ServerTls::open).transpose();
        opened.map(|tls| tls.map(Arc::new)).map_err(|what| format!("tls, for {listener}: {what}"))
    };
    let mut paths: Vec<_> = access.tables().filter_map(|(_, callers)| callers.token_file.clone()).collect();
    for files in [&tls.grpc, &tls.http, &tls.sync, &tls.admin].into_iter().flatten() {
        paths.extend(files.paths());
    }
    // Before they are read, so that no change is missed.
    let seen = watch::look(&paths);
    let secured = Secured {
        grpc: one("grpc", &tls.grpc)?,
        http: one("http", &tls.http)?,
        sync: one("sync", &tls.sync)?,
        admin: one("admin", &tls.admin)?,
        access: Arc::new(Access::open(access)?),
    };
    if paths.is_empty() {
        return Ok((secured, None));
    }
    let (followed, metrics) = (secured.clone(), Arc::clone(metrics));
    let watch = watch::watch(paths, seen, move || followed.reload(&metrics))?;
    Ok((secured, Some(watch)))
}

impl Secured {
    fn reload(&self, metrics: &Metrics) {
        let listeners = [
            (Listener::Grpc, &self.grpc),
            (Listener::Http, &self.http),
            (Listener::Sync, &self.sync),
            (Listener::Admin, &self.admin),
        ];
        for (listener, tls) in listeners {
            let Some(tls) = tls else { continue };
            let outcome = tls.reload();
            metrics.reloaded(Reloaded::Tls, ReloadResult::of(&outcome));
            match outcome {
                Ok(()) => {
                    metrics.certificate_expires(listener, tls.expires());
                    tracing::info!(
                        listener = listener.word(),
                        expires = tls.expires(),
                        "the certificate was read again"
                    );
                }
                Err(error) => {
                    tracing::error!(listener = listener.word(), %error, "the certificate in use stays");
                }
            }
        }
        for outcome in self.access.reload() {
            metrics.reloaded(Reloaded::Tokens, ReloadResult::of(&outcome));
            match outcome {
                Ok(()) => tracing::info!("the tokens of callers were read again"),
                Err(error) => tracing::error!(%error, "the tokens in use stay"),
            }
        }
    }
}
