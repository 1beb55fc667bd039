//! The settings in force as operators see them.
//!
//! Only names of files, addresses and numbers: what is secret is in files, and nothing of those is shown. Must not know: who
//! looks.

use super::ServeSettings;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

impl ServeSettings {
    /// The settings as JSON, without anything secret: addresses lose what stands before an `@`.
    pub fn shown(&self) -> Value {
        let path = |path: &Option<PathBuf>| path.as_deref().map(Path::to_owned);
        let tls = |files: &Option<crate::tls::server::TlsFiles>| {
            files.as_ref().map(|files| {
                json!({
                    "certificate": files.certificate,
                    "key": files.key,
                    "client_authorities": path(&files.client_authorities),
                    "client_certificates": if files.client_optional { "optional" } else { "required" },
                })
            })
        };
        let access: serde_json::Map<String, Value> = self
            .access
            .tables()
            .map(|(service, callers)| {
                let shown = json!({
                    "spiffe": callers.spiffe,
                    "names": callers.names,
                    "uids": callers.uids,
                    "token_file": path(&callers.token_file),
                });
                (service.to_owned(), shown)
            })
            .collect();
        let (load, sync) = (&self.load, &self.sync);
        json!({
            "bundle": self.bundles,
            "blueprint": self.blueprints,
            "listen": self.listen,
            "socket": path(&self.socket),
            "http_listen": self.http,
            "http_socket": path(&self.http_socket),
            "admin_listen": self.admin,
            "socket_mode": format!("{:04o}", self.socket_mode),
            "default_empty_result": if self.default_empty_result { "pass" } else { "fail" },
            "group_authority": format!("{:?}", self.group_authority).to_lowercase(),
            "shutdown_delay_seconds": self.shutdown_delay.as_secs(),
            "drain_seconds": self.drain.as_secs(),
            "watch": self.watch,
            "log_level": self.log_level,
            "log_format": format!("{:?}", self.log_format).to_lowercase(),
            "tls": {
                "grpc": tls(&self.tls.grpc),
                "http": tls(&self.tls.http),
                "sync": tls(&self.tls.sync),
                "admin": tls(&self.tls.admin),
            },
            "access": access,
            "load": {
                "max_in_flight": load.in_flight,
                "max_queue_ms": load.queue.as_millis(),
                "max_connections": load.connections,
                "max_streams": load.streams,
                "max_connection_age_seconds": load.age.as_secs(),
                "max_header_bytes": load.header_bytes,
                "handshake_seconds": load.handshake.as_secs(),
            },
            "sync": {
                "follow": sync.follow.iter().map(|url| without_secrets(url)).collect::<Vec<_>>(),
                "follow_authorities": path(&sync.follow_as.authorities),
                "follow_certificate": path(&sync.follow_as.certificate),
                "follow_key": path(&sync.follow_as.key),
                "follow_token_file": path(&sync.follow_as.token_file),
                "follow_server_name": sync.follow_as.server_name,
                "on_demand": sync.on_demand,
                "sync_listen": sync.listen,
                "sync_socket": path(&sync.socket),
                "last_good": path(&sync.last_good),
                "node": sync.node,
                "max_followers": sync.max_followers,
                "heartbeat_seconds": sync.heartbeat.as_secs(),
                "max_staleness_seconds": sync.max_staleness.map(|age| age.as_secs()),
                "beyond_staleness": format!("{:?}", sync.beyond).to_lowercase(),
                "revision_wait_ms": sync.revision_wait.as_millis(),
            },
        })
    }
}

/// A URL without the user and password that may stand in it.
fn without_secrets(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServeArgs;

    #[test]
    fn secrets_are_not_shown() {
        let mut args = ServeArgs::default();
        args.sync.follow = vec!["https://me:pass@hub:1".to_owned(), "unix:///s".to_owned()];
        let shown = args.resolve().unwrap().shown();
        assert_eq!(shown["sync"]["follow"], json!(["https://***@hub:1", "unix:///s"]));
        assert_eq!(
            (&shown["listen"], &shown["load"]["max_in_flight"]),
            (&json!("127.0.0.1:9191"), &json!(1024))
        );
    }
}
