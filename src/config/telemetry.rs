//! Settings of telemetry: where traces and metrics go, and what the decision log holds.
//!
//! Must not know: what the settings are used for.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// What happens with a record of the decision log when its queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogWhenFull {
    /// The oldest one is lost.
    DropOldest,
    /// It is lost itself.
    DropNewest,
    /// Its question waits for room, for `block_ms` at most.
    Block,
}

/// Where traces and metrics go; the table `[telemetry]` of the settings file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryArgs {
    /// Collector for traces over OTLP (gRPC), such as http://127.0.0.1:4317 [default: none]
    #[arg(long, env = "BINDERY_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Certificates (PEM) of who may vouch for the collector [default: whom the system trusts]
    #[arg(long, env = "BINDERY_OTLP_AUTHORITIES", value_name = "FILE")]
    pub otlp_authorities: Option<PathBuf>,

    /// File with headers for the collector, lines `name: value`
    #[arg(long, env = "BINDERY_OTLP_HEADERS_FILE", value_name = "FILE")]
    pub otlp_headers_file: Option<PathBuf>,

    /// The part of the questions without a parent that is traced, 0 to 1; with a parent, its flag decides [default: 0.01]
    #[arg(long, env = "BINDERY_TRACE_RATIO", value_name = "RATIO")]
    pub trace_ratio: Option<f64>,

    /// How often metrics are sent over OTLP, in seconds, up to 3600; 0: never [default: 0]
    #[arg(long, env = "BINDERY_OTLP_METRICS_SECONDS", value_name = "SECONDS")]
    pub otlp_metrics_seconds: Option<u64>,

    /// What this service is called there [default: bindery]
    #[arg(long, env = "BINDERY_SERVICE_NAME", value_name = "NAME")]
    pub service_name: Option<String>,

    /// Whether spans name people [default: false]
    #[arg(
        long = "telemetry-personal-data",
        env = "BINDERY_TELEMETRY_PERSONAL_DATA",
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub personal_data: Option<bool>,

    /// Where decisions are logged: none, stdout, otlp, or a file [default: none]
    #[arg(long = "decision-log", env = "BINDERY_DECISION_LOG", value_name = "WHERE")]
    #[serde(skip)]
    pub decision_log: Option<String>,

    /// The part of the allowed questions that is logged, 0 to 1; denials and errors always are [default: 1]
    #[arg(long, env = "BINDERY_DECISION_LOG_SAMPLE_ALLOWS", value_name = "RATIO")]
    #[serde(skip)]
    pub decision_log_sample_allows: Option<f64>,

    /// What happens when decisions come faster than they can be written [default: drop-oldest]
    #[arg(long, env = "BINDERY_DECISION_LOG_WHEN_FULL", value_name = "WHAT")]
    #[serde(skip)]
    pub decision_log_when_full: Option<LogWhenFull>,
}

/// What the decision log holds; the table `[decision_log]` of the settings file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionLogArgs {
    /// none, stdout, otlp, or a file. Default: none.
    pub to: Option<String>,
    /// The part of the allowed questions that is logged. Default: 1.
    pub sample_allows: Option<f64>,
    /// What else a line holds: username, client_ip, http, context. Default: nothing.
    pub include: Vec<String>,
    /// Paths to what is not shown.
    pub mask: Vec<String>,
    /// How many records may wait. Default: 16384.
    pub queue: Option<usize>,
    /// What happens with more. Default: drop-oldest.
    pub when_full: Option<LogWhenFull>,
    /// How long a question may wait for room, in milliseconds. Default: 50.
    pub block_ms: Option<u64>,
    /// A file larger than this is set aside, in bytes. Default: 100 MiB.
    pub max_bytes: Option<u64>,
    /// How many of those are kept. Default: 5.
    pub keep: Option<usize>,
}

/// Settings that were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySettings {
    /// The collector.
    pub otlp_endpoint: Option<String>,
    /// Who may vouch for it.
    pub otlp_authorities: Option<PathBuf>,
    /// Headers for it.
    pub otlp_headers: Option<PathBuf>,
    /// The part of the questions that is traced.
    pub trace_ratio: f64,
    /// How often metrics are sent.
    pub otlp_metrics: Option<Duration>,
    /// What this service is called.
    pub service_name: String,
    /// Whether spans name people.
    pub personal_data: bool,
    /// The decision log.
    pub decision_log: DecisionLogSettings,
}

// A ratio is a number, since others are refused.
impl Eq for TelemetrySettings {}

/// Where decisions are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Nowhere.
    None,
    /// Standard output.
    Stdout,
    /// The collector.
    Otlp,
    /// A file.
    File(PathBuf),
}

/// The decision log.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionLogSettings {
    /// Where it goes.
    pub to: LogTo,
    /// The part of the allowed questions that is logged.
    pub sample_allows: f64,
    /// What else a line holds.
    pub include: Vec<String>,
    /// Paths to what is not shown.
    pub mask: Vec<String>,
    /// How many records may wait.
    pub queue: usize,
    /// What happens with more.
    pub when_full: LogWhenFull,
    /// How long a question may wait for room.
    pub block: Duration,
    /// A file larger than this is set aside, in bytes.
    pub max_bytes: u64,
    /// How many of those are kept.
    pub keep: usize,
}

/// What a line may hold.
const INCLUDE: [&str; 4] = ["username", "client_ip", "http", "context"];

fn ratio(setting: &str, value: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(format!("{setting}: {value} is not between 0 and 1; correct it"))
}

impl TelemetryArgs {
    /// Flags and environment over the tables of the file over the defaults, checked.
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn resolve(self, file: Self, log: DecisionLogArgs) -> Result<TelemetrySettings, String> {
        let endpoint = self.otlp_endpoint.or(file.otlp_endpoint).filter(|it| it != "none");
        if let Some(endpoint) = &endpoint
            && !(endpoint.starts_with("http://") || endpoint.starts_with("https://"))
        {
            return Err(format!(
                "otlp-endpoint: `{endpoint}` is no address; write http://HOST:PORT or https://HOST:PORT"
            ));
        }
        let every = self.otlp_metrics_seconds.or(file.otlp_metrics_seconds).unwrap_or(0);
        if every > 3_600 {
            return Err(format!("otlp-metrics-seconds: {every} is more than 3600; lower it"));
        }
        if every > 0 && endpoint.is_none() {
            return Err("otlp-metrics-seconds: there is nowhere to send them; set otlp-endpoint".to_owned());
        }
        let to = match self.decision_log.or(log.to).as_deref() {
            None | Some("none") => LogTo::None,
            Some("stdout") => LogTo::Stdout,
            Some("otlp") if endpoint.is_none() => {
                return Err("decision-log: there is no collector; set otlp-endpoint".to_owned());
            }
            Some("otlp") => LogTo::Otlp,
            Some("") => return Err("decision-log: the path is empty; write one, or none".to_owned()),
            Some(path) => LogTo::File(path.into()),
        };
        if let Some(word) = log.include.iter().find(|word| !INCLUDE.contains(&word.as_str())) {
            let all = INCLUDE.join(", ");
            return Err(format!("decision_log.include: `{word}` is not known; these are: {all}"));
        }
        let queue = log.queue.unwrap_or(16_384);
        if !(1..=4_194_304).contains(&queue) {
            return Err(format!("decision_log.queue: {queue} is not between 1 and 4194304; correct it"));
        }
        let block = log.block_ms.unwrap_or(50);
        if block > 10_000 {
            return Err(format!("decision_log.block_ms: {block} is more than 10000; lower it"));
        }
        let sample = self.decision_log_sample_allows.or(log.sample_allows).unwrap_or(1.0);
        Ok(TelemetrySettings {
            otlp_endpoint: endpoint,
            otlp_authorities: self.otlp_authorities.or(file.otlp_authorities),
            otlp_headers: self.otlp_headers_file.or(file.otlp_headers_file),
            trace_ratio: ratio("trace-ratio", self.trace_ratio.or(file.trace_ratio).unwrap_or(0.01))?,
            otlp_metrics: (every > 0).then(|| Duration::from_secs(every)),
            service_name: self.service_name.or(file.service_name).unwrap_or_else(|| "bindery".to_owned()),
            personal_data: self.personal_data.or(file.personal_data).unwrap_or(false),
            decision_log: DecisionLogSettings {
                to,
                sample_allows: ratio("decision-log-sample-allows", sample)?,
                include: log.include,
                mask: log.mask,
                queue,
                when_full: self.decision_log_when_full.or(log.when_full).unwrap_or(LogWhenFull::DropOldest),
                block: Duration::from_millis(block),
                max_bytes: log.max_bytes.unwrap_or(100 << 20),
                keep: log.keep.unwrap_or(5),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let none = TelemetryArgs::default;
        let text = |text: &str| Some(text.to_owned());
        for (args, log, part) in [
            (TelemetryArgs { otlp_endpoint: text("a:1"), ..none() }, "", "otlp-endpoint: `a:1` is no"),
            (TelemetryArgs { trace_ratio: Some(1.5), ..none() }, "", "trace-ratio: 1.5 is not"),
            (TelemetryArgs { otlp_metrics_seconds: Some(5), ..none() }, "", "set otlp-endpoint"),
            (TelemetryArgs { decision_log: text("otlp"), ..none() }, "", "there is no collector"),
            (none(), "include = [\"body\"]", "decision_log.include: `body` is not known"),
            (none(), "queue = 0", "decision_log.queue: 0 is not"),
            (none(), "block_ms = 10001", "decision_log.block_ms: 10001 is more"),
            (none(), "sample_allows = -0.5", "decision-log-sample-allows: -0.5 is not"),
        ] {
            let error = args.resolve(none(), toml::from_str(log).unwrap()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn flags_count_more_than_the_file_and_nothing_is_logged_by_default() {
        let settings =
            TelemetryArgs::default().resolve(TelemetryArgs::default(), Default::default()).unwrap();
        assert_eq!((settings.decision_log.to, settings.trace_ratio), (LogTo::None, 0.01));
        let log = toml::from_str("to = \"stdout\"\nwhen_full = \"block\"\nblock_ms = 7").unwrap();
        let args = TelemetryArgs { decision_log: Some("/a".to_owned()), ..TelemetryArgs::default() };
        let log = args.resolve(TelemetryArgs::default(), log).unwrap().decision_log;
        assert_eq!((log.to, log.when_full), (LogTo::File("/a".into()), LogWhenFull::Block));
        assert_eq!(log.block, Duration::from_millis(7));
    }
}
