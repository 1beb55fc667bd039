//! Settings of how configuration comes and goes over streams.
//!
//! Must not know: the protocol.

use super::{address, within};
use crate::tls::client::Credentials;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What becomes of questions when the configuration is older than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Beyond {
    /// They are answered, and the answer says that it is stale.
    Serve,
    /// They are not answered: UNAVAILABLE.
    Refuse,
}

/// How configuration comes and goes over streams. In the settings file these stand under `[sync]`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Configuration over streams")]
pub struct SyncArgs {
    /// Hub to follow, such as https://hub:9192 or unix:///run/bindery/hub.sock; several are tried in turns
    #[arg(long, env = "BINDERY_FOLLOW", value_name = "URL", value_delimiter = ',')]
    pub follow: Vec<String>,

    /// Authorities to trust with https, PEM; read for each connection [default: those of the system]
    #[arg(long, env = "BINDERY_FOLLOW_AUTHORITIES", value_name = "FILE")]
    pub follow_authorities: Option<PathBuf>,

    /// Certificate that shows the hub who follows, PEM; read for each connection
    #[arg(long, env = "BINDERY_FOLLOW_CERTIFICATE", value_name = "FILE")]
    pub follow_certificate: Option<PathBuf>,

    /// Its key, PEM
    #[arg(long, env = "BINDERY_FOLLOW_KEY", value_name = "FILE")]
    pub follow_key: Option<PathBuf>,

    /// File whose first line is a token that shows the hub who follows; read for each connection
    #[arg(long, env = "BINDERY_FOLLOW_TOKEN_FILE", value_name = "FILE")]
    pub follow_token_file: Option<PathBuf>,

    /// Name in the hub's certificate [default: the host of its address]
    #[arg(long, env = "BINDERY_FOLLOW_SERVER_NAME", value_name = "NAME")]
    pub follow_server_name: Option<String>,

    /// Hold only the targets and users that questions are about, fetched from the hub when first asked about [default:
    /// false]
    #[arg(long, env = "BINDERY_ON_DEMAND", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub on_demand: Option<bool>,

    /// Address for publishers and followers [default: none]
    #[arg(long, env = "BINDERY_SYNC_LISTEN", value_name = "ADDRESS")]
    pub sync_listen: Option<String>,

    /// Unix socket for publishers and followers [default: none]
    #[arg(long, env = "BINDERY_SYNC_SOCKET", value_name = "PATH")]
    pub sync_socket: Option<PathBuf>,

    /// File that keeps the configuration in force, so that a restart serves it at once; not with on-demand [default:
    /// none]
    #[arg(long, env = "BINDERY_LAST_GOOD", value_name = "FILE")]
    pub last_good: Option<PathBuf>,

    /// What this process is called by those who follow it and whom it follows [default: the host's name]
    #[arg(long, env = "BINDERY_NODE", value_name = "NAME")]
    pub node: Option<String>,

    /// The most followers at once, 1 to 100000 [default: 10000]
    #[arg(long, env = "BINDERY_MAX_FOLLOWERS", value_name = "COUNT")]
    pub max_followers: Option<usize>,

    /// How often something is said on a stream at least, in seconds, 1 to 300 [default: 10]
    #[arg(long, env = "BINDERY_HEARTBEAT_SECONDS", value_name = "SECONDS")]
    pub heartbeat_seconds: Option<u64>,

    /// How old a configuration from a stream may be, in seconds since its source last confirmed it [default: any age]
    #[arg(long, env = "BINDERY_MAX_STALENESS_SECONDS", value_name = "SECONDS")]
    pub max_staleness_seconds: Option<u64>,

    /// The same for one target, such as application/payroll=30; counts more than the other; may be given several times
    #[arg(long, env = "BINDERY_MAX_STALENESS_FOR", value_name = "TARGET=SECONDS", value_delimiter = ',')]
    pub max_staleness_for: Vec<String>,

    /// What becomes of questions beyond that age [default: refuse]
    #[arg(long, env = "BINDERY_BEYOND_STALENESS", value_name = "WHAT")]
    pub beyond_staleness: Option<Beyond>,

    /// The longest that a question waits for the revision that it asks for, in milliseconds, 0 to 60000 [default: 5000]
    #[arg(long, env = "BINDERY_REVISION_WAIT_MS", value_name = "MS")]
    pub revision_wait_ms: Option<u64>,
}

/// Settings that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncSettings {
    /// Hubs to follow.
    pub follow: Vec<String>,
    /// Whom to trust there, and what shows who follows.
    pub follow_as: Credentials,
    /// Whether only what is asked about is held.
    pub on_demand: bool,
    /// Address for publishers and followers.
    pub listen: Option<SocketAddr>,
    /// Unix socket for them.
    pub socket: Option<PathBuf>,
    /// File that keeps the configuration in force.
    pub last_good: Option<PathBuf>,
    /// What this process is called. Absent: as the host.
    pub node: Option<String>,
    /// The most followers.
    pub max_followers: usize,
    /// How often something is said.
    pub heartbeat: Duration,
    /// How old a configuration may be.
    pub max_staleness: Option<Duration>,
    /// The same by target, as written.
    pub max_staleness_for: Vec<(String, Duration)>,
    /// What becomes of questions beyond that.
    pub beyond: Beyond,
    /// The longest wait for a revision.
    pub revision_wait: Duration,
}

impl SyncSettings {
    /// Whether anybody may publish or follow here.
    pub const fn is_served(&self) -> bool {
        self.listen.is_some() || self.socket.is_some()
    }
}

impl SyncArgs {
    /// These over the settings file over the defaults, checked. `allow_remote`: other addresses than loopback are taken.
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn resolve(self, file: Self, allow_remote: bool) -> Result<SyncSettings, String> {
        let followers = self.max_followers.or(file.max_followers).unwrap_or(10_000);
        within("max-followers", followers, 1, 100_000)?;
        let heartbeat = self.heartbeat_seconds.or(file.heartbeat_seconds).unwrap_or(10);
        let wait = self.revision_wait_ms.or(file.revision_wait_ms).unwrap_or(5_000);
        let listen = self.sync_listen.or(file.sync_listen).unwrap_or_else(|| "none".to_owned());
        let node = self.node.or(file.node);
        if let Some(node) = node.as_deref().filter(|node| node.is_empty() || node.len() > 255) {
            return Err(format!("node: the name has {} bytes; give it 1 to 255", node.len()));
        }
        let follow = super::first(self.follow, file.follow);
        if let Some(wrong) = follow.iter().find(|url| !url.contains("://")) {
            return Err(format!(
                "follow: `{wrong}` is no URL; write http://HOST:PORT, https://HOST:PORT or unix:///PATH"
            ));
        }
        let follow_as = Credentials {
            authorities: self.follow_authorities.or(file.follow_authorities),
            certificate: self.follow_certificate.or(file.follow_certificate),
            key: self.follow_key.or(file.follow_key),
            token_file: self.follow_token_file.or(file.follow_token_file),
            server_name: self.follow_server_name.or(file.follow_server_name),
        };
        follow_as.check().map_err(|what| format!("follow-{what}"))?;
        let on_demand = self.on_demand.or(file.on_demand).unwrap_or(false);
        if on_demand && follow.is_empty() {
            return Err("on-demand: there is no hub to fetch from; set follow".to_owned());
        }
        let for_targets = super::first(self.max_staleness_for, file.max_staleness_for);
        let for_targets: Result<Vec<_>, String> =
            for_targets.iter().map(|text| staleness_for(text)).collect();
        Ok(SyncSettings {
            follow,
            follow_as,
            on_demand,
            listen: address("sync-listen", &listen, allow_remote)?,
            socket: self.sync_socket.or(file.sync_socket),
            last_good: self.last_good.or(file.last_good),
            node,
            max_followers: followers,
            heartbeat: Duration::from_secs(within("heartbeat-seconds", heartbeat, 1, 300)?),
            max_staleness: self.max_staleness_seconds.or(file.max_staleness_seconds).map(Duration::from_secs),
            max_staleness_for: for_targets?,
            beyond: self.beyond_staleness.or(file.beyond_staleness).unwrap_or(Beyond::Refuse),
            revision_wait: Duration::from_millis(within("revision-wait-ms", wait, 0, 60_000)?),
        })
    }
}

fn staleness_for(text: &str) -> Result<(String, Duration), String> {
    let parsed = text.rsplit_once('=').and_then(|(target, seconds)| Some((target, seconds.parse().ok()?)));
    match parsed {
        Some((target, seconds)) => Ok((target.to_owned(), Duration::from_secs(seconds))),
        None => Err(format!(
            "max-staleness-for: `{text}` is not understood; write TARGET=SECONDS, such as application/payroll=30"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let none = SyncArgs::default;
        let text = |text: &str| Some(text.to_owned());
        for (args, part) in [
            (SyncArgs { max_followers: Some(0), ..none() }, "max-followers: 0 is not between 1 and 100000"),
            (SyncArgs { heartbeat_seconds: Some(301), ..none() }, "heartbeat-seconds: 301 is not"),
            (SyncArgs { revision_wait_ms: Some(60_001), ..none() }, "revision-wait-ms: 60001 is not"),
            (
                SyncArgs { sync_listen: text("0.0.0.0:1"), ..none() },
                "sync-listen: `0.0.0.0:1` can be reached",
            ),
            (SyncArgs { sync_listen: text("x"), ..none() }, "sync-listen: `x` is no address"),
            (SyncArgs { node: text(""), ..none() }, "node: the name has 0 bytes"),
            (SyncArgs { follow: vec!["hub:9192".into()], ..none() }, "follow: `hub:9192` is no URL"),
            (
                SyncArgs { max_staleness_for: vec!["application/a".into()], ..none() },
                "max-staleness-for: `application/a` is not understood",
            ),
        ] {
            let error = args.resolve(none(), false).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn ages_are_read_by_target() {
        let for_targets = vec!["application/a=b=30".to_owned()];
        let settings = SyncArgs { max_staleness_for: for_targets, ..SyncArgs::default() };
        let settings = settings.resolve(SyncArgs::default(), false).unwrap();
        assert_eq!(settings.max_staleness_for, [("application/a=b".to_owned(), Duration::from_secs(30))]);
        assert!(!settings.is_served() && settings.beyond == Beyond::Refuse);
    }
}
