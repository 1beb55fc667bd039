//! Settings of the server: from a file, the environment and flags, in that order of growing strength. The only reader
//! of the environment.
//!
//! Must not know: what the settings are used for.

mod load;
mod policies;
mod security;
mod shown;
mod sync;
mod telemetry;

pub use load::{LoadArgs, LoadSettings};
pub use policies::{PolicyArgs, PolicySettings, PythonMode};
pub use security::{AccessSettings, CallerSettings, ClientCertificates, ListenerTls, TlsArgs, TlsSettings};
pub use sync::{Beyond, SyncArgs, SyncSettings};
pub use telemetry::{
    DecisionLogArgs, DecisionLogSettings, LogTo, LogWhenFull, TelemetryArgs, TelemetrySettings,
};

use crate::api::authzen::AuthzenSettings;
use crate::api::gateway::settings::GatewaySettings;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the token of a plan is good where nothing else is said.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that it may be good, in seconds: 30 days.
const MAX_LIFETIME: u64 = 30 * 24 * 60 * 60;

/// Pass or fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmptyResult {
    /// As in authentik.
    Pass,
    /// For deployments that trust nothing.
    Fail,
}

/// Whose word counts on the groups of a user that the directory knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// The directory's.
    Directory,
    /// The caller's.
    Caller,
    /// Both together.
    Union,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What `bindery serve` takes. Every setting may also stand in the settings file, with underscores for hyphens.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeArgs {
    /// Settings file (TOML); flags and environment variables count more than it
    #[arg(long, env = "BINDERY_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Bundle: a file, or a directory of .yaml, .yml and .json files; may be given several times
    #[arg(long, env = "BINDERY_BUNDLE", value_name = "PATH", value_delimiter = ',')]
    pub bundle: Vec<PathBuf>,

    /// authentik blueprint: a file or a directory; may be given several times
    #[arg(long, env = "BINDERY_BLUEPRINT", value_name = "PATH", value_delimiter = ',')]
    pub blueprint: Vec<PathBuf>,

    /// Environment variable that blueprints may read with !Env; others give nothing
    #[arg(long, env = "BINDERY_BLUEPRINT_ENV", value_name = "NAME", value_delimiter = ',')]
    pub blueprint_env: Vec<String>,

    /// Directory whose files blueprints may read with !File; others give nothing
    #[arg(long, env = "BINDERY_BLUEPRINT_FILES", value_name = "DIR")]
    pub blueprint_files: Option<PathBuf>,

    /// What an application without bindings gives when it comes from a blueprint: authentik's default application
    /// access [default: pass]
    #[arg(long, env = "BINDERY_APPLICATION_ACCESS", value_name = "RESULT")]
    pub application_access: Option<EmptyResult>,

    /// Address for questions over TCP; `none` for no TCP [default: 127.0.0.1:9191]
    #[arg(long, env = "BINDERY_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,

    /// Address for operators: health, metrics and more over HTTP, health over gRPC [default: none]
    #[arg(long, env = "BINDERY_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<String>,

    /// Unix socket for questions [default: none]
    #[arg(long, env = "BINDERY_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Mode of the unix socket, octal [default: 0660]
    #[arg(long, env = "BINDERY_SOCKET_MODE", value_name = "MODE")]
    pub socket_mode: Option<String>,

    /// Address for questions over HTTP: forward authentication and AuthZEN [default: none]
    #[arg(long, env = "BINDERY_HTTP_LISTEN", value_name = "ADDRESS")]
    pub http_listen: Option<String>,

    /// Unix socket for questions over HTTP [default: none]
    #[arg(long, env = "BINDERY_HTTP_SOCKET", value_name = "PATH")]
    pub http_socket: Option<PathBuf>,

    /// Listen on other addresses than loopback also where there is no TLS
    #[arg(long, env = "BINDERY_ALLOW_REMOTE", num_args = 0..=1, default_missing_value = "true")]
    pub allow_remote: Option<bool>,

    /// The result of a target without an enabled binding that does not say itself [default: pass]
    #[arg(long, env = "BINDERY_DEFAULT_EMPTY_RESULT", value_name = "RESULT")]
    pub default_empty_result: Option<EmptyResult>,

    /// Whose word counts on the groups of a user that the directory knows [default: directory]
    #[arg(long, env = "BINDERY_GROUP_AUTHORITY", value_name = "WHO")]
    pub group_authority: Option<Authority>,

    /// How long to go on answering at shutdown after health turned to not serving, in seconds, 0 to 300 [default: 0]
    #[arg(long, env = "BINDERY_SHUTDOWN_DELAY_SECONDS", value_name = "SECONDS")]
    pub shutdown_delay_seconds: Option<u64>,

    /// How long running calls may take after that, in seconds, 0 to 300 [default: 10]
    #[arg(long, env = "BINDERY_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<u64>,

    /// Whether files are watched for changes [default: true]
    #[arg(long, env = "BINDERY_WATCH", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub watch: Option<bool>,

    /// Do not watch files for changes; counts more than any --watch
    #[arg(long)]
    #[serde(skip)]
    pub no_watch: bool,

    /// File with the keys that sign plans of flows, one a line: the first signs, all are accepted [default: a key of
    /// this process's own]
    #[arg(long, env = "BINDERY_PLAN_KEY_FILE", value_name = "FILE")]
    pub plan_key_file: Option<PathBuf>,

    /// How long the token of a plan is good, in seconds, 60 to 2592000 [default: 86400]
    #[arg(long, env = "BINDERY_PLAN_LIFETIME_SECONDS", value_name = "SECONDS")]
    pub plan_lifetime_seconds: Option<u64>,

    /// How logs are written [default: text]
    #[arg(long, env = "BINDERY_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// What is logged, such as info, debug or bindery=debug,warn [default: info]
    #[arg(long, env = "BINDERY_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,

    /// How configuration comes and goes over streams.
    #[command(flatten)]
    pub sync: SyncArgs,

    /// TLS on listeners.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// How much is taken on.
    #[command(flatten)]
    pub load: LoadArgs,

    /// What policies need beside the configuration.
    #[command(flatten)]
    pub policies: PolicyArgs,

    /// Who may call what; only in the settings file.
    #[arg(skip)]
    pub access: AccessSettings,

    /// Where traces and metrics go, and where decisions are logged.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,

    /// What the decision log holds; only in the settings file.
    #[arg(skip)]
    pub decision_log: DecisionLogArgs,

    /// What gateways may ask over Envoy's external authorization; only in the settings file.
    #[arg(skip)]
    pub ext_authz: GatewaySettings,

    /// What gateways may ask over HTTP; only in the settings file.
    #[arg(skip)]
    pub forward_auth: GatewaySettings,

    /// How AuthZEN is spoken over HTTP; only in the settings file.
    #[arg(skip)]
    pub authzen: AuthzenSettings,
}

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It answers questions.
    Sidecar,
    /// It hands configuration on.
    Hub,
}

/// Settings that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeSettings {
    /// Bundles.
    pub bundles: Vec<PathBuf>,
    /// Blueprints.
    pub blueprints: Vec<PathBuf>,
    /// Environment variables that blueprints may read.
    pub blueprint_env: Vec<String>,
    /// Directory whose files blueprints may read.
    pub blueprint_files: Option<PathBuf>,
    /// What an application without bindings gives when it comes from a blueprint.
    pub application_access: bool,
    /// Address for questions over TCP.
    pub listen: Option<SocketAddr>,
    /// Address for health over HTTP.
    pub admin: Option<SocketAddr>,
    /// Unix socket for questions.
    pub socket: Option<PathBuf>,
    /// Address for questions over HTTP.
    pub http: Option<SocketAddr>,
    /// Unix socket for questions over HTTP.
    pub http_socket: Option<PathBuf>,
    /// Mode of unix sockets.
    pub socket_mode: u32,
    /// The result of a target without an enabled binding.
    pub default_empty_result: bool,
    /// Whose word counts on groups.
    pub group_authority: Authority,
    /// How long to go on answering after health turned to not serving.
    pub shutdown_delay: Duration,
    /// How long running calls may take after that.
    pub drain: Duration,
    /// Whether files are watched.
    pub watch: bool,
    /// File with the keys that sign plans.
    pub plan_key_file: Option<PathBuf>,
    /// How long the token of a plan is good.
    pub plan_lifetime: Duration,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
    /// How configuration comes and goes over streams.
    pub sync: SyncSettings,
    /// TLS on listeners.
    pub tls: TlsSettings,
    /// How much is taken on.
    pub load: LoadSettings,
    /// Who may call what.
    pub access: AccessSettings,
    /// What policies need beside the configuration.
    pub policies: PolicySettings,
    /// Where traces and metrics go, and where decisions are logged.
    pub telemetry: TelemetrySettings,
    /// What gateways may ask over Envoy's external authorization.
    pub ext_authz: GatewaySettings,
    /// What gateways may ask over HTTP.
    pub forward_auth: GatewaySettings,
    /// How AuthZEN is spoken over HTTP.
    pub authzen: AuthzenSettings,
}

/// The program that runs, for processes of its own kind.
///
/// # Errors
/// When the system does not tell.
pub fn own_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("the program cannot find itself: {error}"))
}

/// The value of an environment variable, for blueprints whose operator named it.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where files that soon go again are kept, such as the socket of a server that only `bindery bench` asks.
pub fn temporary_directory() -> PathBuf {
    std::env::temp_dir()
}

/// Whether people asked for output without colour.
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

impl ServeArgs {
    /// Flags and environment over the settings file over the defaults, checked.
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn resolve(self) -> Result<ServeSettings, String> {
        self.resolve_as(Role::Sidecar)
    }

    /// As [`ServeArgs::resolve`], for somebody who answers no questions and hands configuration on.
    ///
    /// # Errors
    /// As [`ServeArgs::resolve`].
    pub fn resolve_hub(self) -> Result<ServeSettings, String> {
        self.resolve_as(Role::Hub)
    }

    fn resolve_as(self, role: Role) -> Result<ServeSettings, String> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let default = if role == Role::Hub { "none" } else { "127.0.0.1:9191" };
        let listen = self.listen.or(file.listen).unwrap_or_else(|| default.to_owned());
        let allow_remote = self.allow_remote.or(file.allow_remote).unwrap_or(false);
        let tls = self.tls.resolve(file.tls)?;
        file.access.check()?;
        let listen = address("listen", &listen, allow_remote || tls.grpc.is_some())?;
        let admin = self.admin_listen.or(file.admin_listen).unwrap_or_else(|| "none".to_owned());
        let socket = self.socket.or(file.socket);
        let http = self.http_listen.or(file.http_listen).unwrap_or_else(|| "none".to_owned());
        let http = address("http-listen", &http, allow_remote || tls.http.is_some())?;
        let http_socket = self.http_socket.or(file.http_socket);
        let over_http = http.is_some() || http_socket.is_some();
        if role == Role::Sidecar && listen.is_none() && socket.is_none() && !over_http {
            return Err(
                "listen: is `none` and there is no socket, so nobody could ask; set one of them".to_owned()
            );
        }
        let mode = self.socket_mode.or(file.socket_mode).unwrap_or_else(|| "0660".to_owned());
        let delay = self.shutdown_delay_seconds.or(file.shutdown_delay_seconds).unwrap_or(0);
        let drain = self.drain_seconds.or(file.drain_seconds).unwrap_or(10);
        for (setting, seconds) in [("shutdown-delay-seconds", delay), ("drain-seconds", drain)] {
            if seconds > 300 {
                return Err(format!("{setting}: {seconds} is more than 300; lower it"));
            }
        }
        let lifetime = self.plan_lifetime_seconds.or(file.plan_lifetime_seconds);
        let lifetime = lifetime.unwrap_or(LIFETIME.as_secs());
        if !(60..=MAX_LIFETIME).contains(&lifetime) {
            return Err(format!(
                "plan-lifetime-seconds: {lifetime} is not between 60 and {MAX_LIFETIME}; correct it"
            ));
        }
        let settings = ServeSettings {
            bundles: first(self.bundle, file.bundle),
            blueprints: first(self.blueprint, file.blueprint),
            blueprint_env: first(self.blueprint_env, file.blueprint_env),
            blueprint_files: self.blueprint_files.or(file.blueprint_files),
            application_access: self.application_access.or(file.application_access)
                != Some(EmptyResult::Fail),
            listen,
            admin: address("admin-listen", &admin, allow_remote || tls.admin.is_some())?,
            socket,
            http,
            http_socket,
            socket_mode: socket_mode(&mode)?,
            default_empty_result: self.default_empty_result.or(file.default_empty_result)
                != Some(EmptyResult::Fail),
            group_authority: self.group_authority.or(file.group_authority).unwrap_or(Authority::Directory),
            shutdown_delay: Duration::from_secs(delay),
            drain: Duration::from_secs(drain),
            watch: !self.no_watch && self.watch.or(file.watch).unwrap_or(true),
            plan_key_file: self.plan_key_file.or(file.plan_key_file),
            plan_lifetime: Duration::from_secs(lifetime),
            log_format: self.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            log_level: self.log_level.or(file.log_level).unwrap_or_else(|| "info".to_owned()),
            sync: self.sync.resolve(file.sync, allow_remote || tls.sync.is_some())?,
            tls,
            load: self.load.resolve(file.load)?,
            access: file.access,
            policies: self.policies.resolve(file.policies)?,
            telemetry: self.telemetry.resolve(file.telemetry, file.decision_log)?,
            ext_authz: file.ext_authz,
            forward_auth: file.forward_auth,
            authzen: file.authzen,
        };
        if role == Role::Hub && !settings.sync.is_served() {
            return Err("sync-listen, sync-socket: neither is set, so nobody could follow; set one of them"
                .to_owned());
        }
        if settings.sync.on_demand && settings.sync.is_served() {
            return Err(
                "on-demand: a part cannot be handed on; leave out sync-listen and sync-socket".to_owned()
            );
        }
        let files = !settings.bundles.is_empty() || !settings.blueprints.is_empty();
        if settings.sync.last_good.is_some()
            && (settings.sync.on_demand || (files && !settings.sync.is_served()))
        {
            return Err("last-good: there is nothing to keep; leave it out with files that nobody follows, and with on-demand"
                .to_owned());
        }
        if files && !settings.sync.follow.is_empty() {
            return Err("follow: there are files as well; leave out the one or the other".to_owned());
        }
        if !files && settings.sync.follow.is_empty() && !settings.sync.is_served() {
            return Err("bundle, blueprint: there is no configuration; name at least one file or directory, a hub to \
                        follow, or an address for publishers (sync-listen, sync-socket)"
                .to_owned());
        }
        if let Some(directory) = settings.blueprint_files.as_deref().filter(|it| !it.is_dir()) {
            return Err(format!("blueprint-files: `{}` is no directory; name one", directory.display()));
        }
        Ok(settings)
    }
}

impl ServeSettings {
    /// Whether questions are answered.
    pub const fn answers(&self) -> bool {
        self.listen.is_some() || self.socket.is_some() || self.http.is_some() || self.http_socket.is_some()
    }
}

/// A number within its bounds.
fn within<T: PartialOrd + std::fmt::Display>(
    setting: &str,
    value: T,
    least: T,
    most: T,
) -> Result<T, String> {
    if (&least..=&most).contains(&&value) {
        Ok(value)
    } else {
        Err(format!("{setting}: {value} is not between {least} and {most}; choose one that is"))
    }
}

fn first<T>(strong: Vec<T>, weak: Vec<T>) -> Vec<T> {
    if strong.is_empty() { weak } else { strong }
}

fn read_file(path: &Path) -> Result<ServeArgs, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("config: `{shown}` cannot be read: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("config: `{shown}`: {}", error.to_string().trim_end()))
}

fn address(setting: &str, text: &str, allow_remote: bool) -> Result<Option<SocketAddr>, String> {
    if text == "none" {
        return Ok(None);
    }
    let address: SocketAddr = text.parse().map_err(|_| {
        format!("{setting}: `{text}` is no address; write address:port, such as 127.0.0.1:9191, or none")
    })?;
    if !address.ip().is_loopback() && !allow_remote {
        return Err(format!(
            "{setting}: `{address}` can be reached from other machines, and there is no TLS on it; use a loopback address \
             or a unix socket, set tls-certificate and tls-key, or set allow-remote if something else keeps others out"
        ));
    }
    Ok(Some(address))
}

fn socket_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("socket-mode: `{text}` is no file mode; write three octal digits, such as 0660")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ServeArgs {
        ServeArgs { bundle: vec!["b.yaml".into()], ..ServeArgs::default() }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = args().resolve().unwrap();
        assert_eq!(settings.listen, "127.0.0.1:9191".parse().ok());
        assert_eq!(
            (settings.socket_mode, settings.drain, settings.watch),
            (0o660, Duration::from_secs(10), true)
        );
        assert!(settings.default_empty_result && settings.application_access);
    }

    #[test]
    fn a_bad_setting_is_named_with_a_remedy() {
        let text = |text: &str| Some(text.to_owned());
        for (args, part) in [
            (ServeArgs::default(), "name at least one file"),
            (ServeArgs { listen: text("0.0.0.0:9191"), ..args() }, "listen: `0.0.0.0:9191` can be reached"),
            (ServeArgs { listen: text("localhost"), ..args() }, "listen: `localhost` is no address"),
            (ServeArgs { listen: text("none"), ..args() }, "there is no socket"),
            (ServeArgs { socket_mode: text("9"), ..args() }, "socket-mode: `9` is no file mode"),
            (ServeArgs { drain_seconds: Some(301), ..args() }, "drain-seconds: 301 is more than 300"),
            (
                ServeArgs { shutdown_delay_seconds: Some(301), ..args() },
                "shutdown-delay-seconds: 301 is more than 300",
            ),
            (
                ServeArgs { plan_lifetime_seconds: Some(59), ..args() },
                "plan-lifetime-seconds: 59 is not between 60 and 2592000",
            ),
            (ServeArgs { blueprint_files: Some("/no/such".into()), ..args() }, "blueprint-files: `/no/such`"),
            (
                ServeArgs { config: Some("/no/such.toml".into()), ..args() },
                "config: `/no/such.toml` cannot be read",
            ),
        ] {
            let error = args.resolve().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn flags_count_more_than_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"127.0.0.1:1\"\ndrain_seconds = 3\nwatch = false\n").unwrap();
        let config = Some(file.path().to_owned());
        let settings = ServeArgs { config, drain_seconds: Some(4), ..args() }.resolve().unwrap();
        assert_eq!(settings.listen, "127.0.0.1:1".parse().ok());
        assert_eq!((settings.drain, settings.watch), (Duration::from_secs(4), false));
    }

    #[test]
    fn the_file_names_what_it_does_not_know() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listn = \"127.0.0.1:1\"\n").unwrap();
        let error = ServeArgs { config: Some(file.path().to_owned()), ..args() }.resolve().unwrap_err();
        assert!(error.contains("line 1") && error.contains("listn"), "{error}");
    }
    fn command() -> clap::Command {
        ServeArgs::augment_args(clap::Command::new("serve"))
    }

    fn parse(flags: &[&str]) -> ServeSettings {
        use clap::FromArgMatches as _;
        let matches = command().try_get_matches_from([&["serve", "--bundle", "b"], flags].concat()).unwrap();
        ServeArgs::from_arg_matches(&matches).unwrap().resolve().unwrap()
    }

    #[test]
    fn every_setting_has_its_help_its_variable_and_its_place_in_the_file() {
        command().debug_assert();
        for setting in command().get_arguments() {
            let name = setting.get_id().as_str();
            assert!(setting.get_help().is_some(), "{name}");
            let flag = setting.get_long().unwrap_or_default();
            let long = if name == "personal_data" { "telemetry_personal_data" } else { name };
            assert_eq!(flag, long.replace('_', "-"));
            if name == "no_watch" {
                continue;
            }
            let variable = format!("BINDERY_{}", long.to_uppercase());
            assert_eq!(setting.get_env().and_then(|it| it.to_str()), Some(variable.as_str()));
            // A table fits no setting, so what is known is told by the error.
            let policies = PolicyArgs::augment_args(clap::Command::new("policies"));
            let sync = SyncArgs::augment_args(clap::Command::new("sync"));
            let telemetry = TelemetryArgs::augment_args(clap::Command::new("telemetry"));
            let load = LoadArgs::augment_args(clap::Command::new("load"));
            let tls = TlsArgs::augment_args(clap::Command::new("tls"));
            let has = |command: &clap::Command| command.get_arguments().any(|it| it.get_id() == name);
            let (table, name) = match name {
                // In the file they have a table of their own.
                "decision_log" => ("decision_log.", "to"),
                _ if name.starts_with("decision_log_") => {
                    ("decision_log.", name.trim_start_matches("decision_log_"))
                }
                _ if has(&policies) => ("policies.", name),
                _ if has(&sync) => ("sync.", name),
                _ if has(&telemetry) => ("telemetry.", name),
                _ if has(&load) => ("load.", name),
                _ if has(&tls) => ("tls.", name.trim_start_matches("tls_")),
                _ => ("", name),
            };
            let text = format!("{table}{name} = {{}}");
            let error = toml::from_str::<ServeArgs>(&text).unwrap_err().to_string();
            assert_eq!(error.contains("unknown field"), name == "config", "{name}: {error}");
            assert!(error.contains(name) && error.contains("line 1"), "{error}");
        }
    }

    #[test]
    fn watching_is_switched_on_and_off() {
        assert!(parse(&[]).watch && parse(&["--watch"]).watch && parse(&["--watch", "true"]).watch);
        for off in [&["--no-watch"][..], &["--watch", "false"], &["--watch", "--no-watch"]] {
            assert!(!parse(off).watch, "{off:?}");
        }
    }

    #[test]
    fn remote_addresses_are_taken_when_they_are_allowed() {
        let remote = ["--listen", "0.0.0.0:1"];
        assert_eq!(parse(&[&remote[..], &["--allow-remote"]].concat()).listen, "0.0.0.0:1".parse().ok());
        for loopback in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1"] {
            assert_eq!(parse(&["--listen", loopback]).listen, loopback.parse().ok());
        }
    }

    /// The variables of this process cannot be changed safely, so the test runs once more with some set.
    #[test]
    fn flags_count_more_than_the_environment_and_that_more_than_the_file() {
        const AGAIN: &str =
            "config::tests::flags_count_more_than_the_environment_and_that_more_than_the_file";
        if variable("BINDERY_LISTEN").is_some() {
            let settings = parse(&["--drain-seconds", "3", "--no-watch"]);
            assert_eq!(settings.listen, "127.0.0.1:2".parse().ok(), "over the file");
            assert_eq!((settings.drain.as_secs(), settings.watch), (3, false), "over the environment");
            assert_eq!(settings.shutdown_delay.as_secs(), 1, "from the file");
            assert_eq!(settings.bundles, [Path::new("b")], "lists are not joined");
            assert_eq!(settings.blueprints, [Path::new("x"), Path::new("y")]);
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            "listen = \"127.0.0.1:1\"\ndrain_seconds = 1\nshutdown_delay_seconds = 1\nbundle = [\"f\"]\n";
        std::fs::write(file.path(), text).unwrap();
        let ran = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", AGAIN])
            .env("BINDERY_CONFIG", file.path())
            .env("BINDERY_LISTEN", "127.0.0.1:2")
            .env("BINDERY_DRAIN_SECONDS", "2")
            .env("BINDERY_WATCH", "true")
            .env("BINDERY_BUNDLE", "e")
            .env("BINDERY_BLUEPRINT", "x,y")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    }
}
