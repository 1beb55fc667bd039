//! Settings of how much is taken on.
//!
//! Must not know: how the rest is refused.

use super::within;
use clap::Args;
use serde::Deserialize;
use std::time::Duration;

/// How much is taken on. In the settings file these stand under `[load]`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Load")]
pub struct LoadArgs {
    /// The most questions under way, over all listeners; more are refused at once, 1 to 1000000 [default: 1024]
    #[arg(long, env = "BINDERY_MAX_IN_FLIGHT", value_name = "COUNT")]
    pub max_in_flight: Option<usize>,

    /// The longest that a question waits for its turn before it is refused, in milliseconds, 1 to 60000 [default: 1000]
    #[arg(long, env = "BINDERY_MAX_QUEUE_MS", value_name = "MS")]
    pub max_queue_ms: Option<u64>,

    /// The most connections of each listener, 1 to 1000000 [default: 4096]
    #[arg(long, env = "BINDERY_MAX_CONNECTIONS", value_name = "COUNT")]
    pub max_connections: Option<usize>,

    /// The most calls under way on one connection, 1 to 100000 [default: 1024]
    #[arg(long, env = "BINDERY_MAX_STREAMS", value_name = "COUNT")]
    pub max_streams: Option<u32>,

    /// How long a connection is used before its client is asked to make another one, in seconds, a tenth more or less; 0 is
    /// for ever [default: 0]
    #[arg(long, env = "BINDERY_MAX_CONNECTION_AGE_SECONDS", value_name = "SECONDS")]
    pub max_connection_age_seconds: Option<u64>,

    /// The most bytes of headers of a request, 1024 to 1048576 [default: 65536]
    #[arg(long, env = "BINDERY_MAX_HEADER_BYTES", value_name = "BYTES")]
    pub max_header_bytes: Option<u32>,

    /// How long a TLS handshake may take, in seconds, 1 to 60 [default: 10]
    #[arg(long, env = "BINDERY_HANDSHAKE_SECONDS", value_name = "SECONDS")]
    pub handshake_seconds: Option<u64>,
}

/// Settings that were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSettings {
    /// The most questions under way.
    pub in_flight: usize,
    /// The longest wait of a question for its turn.
    pub queue: Duration,
    /// The most connections of a listener.
    pub connections: usize,
    /// The most calls of a connection.
    pub streams: u32,
    /// How long a connection is used; zero is for ever.
    pub age: Duration,
    /// The most bytes of headers.
    pub header_bytes: u32,
    /// How long a handshake may take.
    pub handshake: Duration,
}

impl Default for LoadSettings {
    fn default() -> Self {
        Self {
            in_flight: 1_024,
            queue: Duration::from_secs(1),
            connections: 4_096,
            streams: 1_024,
            age: Duration::ZERO,
            header_bytes: 65_536,
            handshake: Duration::from_secs(10),
        }
    }
}

impl LoadArgs {
    /// These over the settings file over the defaults, checked.
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn resolve(self, file: Self) -> Result<LoadSettings, String> {
        let default = LoadSettings::default();
        let in_flight = self.max_in_flight.or(file.max_in_flight).unwrap_or(default.in_flight);
        let connections = self.max_connections.or(file.max_connections).unwrap_or(default.connections);
        let streams = self.max_streams.or(file.max_streams).unwrap_or(default.streams);
        let age = self.max_connection_age_seconds.or(file.max_connection_age_seconds).unwrap_or(0);
        let header_bytes = self.max_header_bytes.or(file.max_header_bytes).unwrap_or(default.header_bytes);
        let queue = self.max_queue_ms.or(file.max_queue_ms).map_or(default.queue, Duration::from_millis);
        let handshake = self.handshake_seconds.or(file.handshake_seconds);
        let handshake = handshake.map_or(default.handshake, Duration::from_secs);
        within("max-queue-ms", queue.as_millis(), 1, 60_000)?;
        within("handshake-seconds", handshake.as_secs(), 1, 60)?;
        within("max-connection-age-seconds", age, 0, 30 * 24 * 60 * 60)?;
        Ok(LoadSettings {
            in_flight: within("max-in-flight", in_flight, 1, 1_000_000)?,
            queue,
            connections: within("max-connections", connections, 1, 1_000_000)?,
            streams: within("max-streams", streams, 1, 100_000)?,
            age: Duration::from_secs(age),
            header_bytes: within("max-header-bytes", header_bytes, 1_024, 1 << 20)?,
            handshake,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_bounded() {
        let none = LoadArgs::default;
        assert_eq!(none().resolve(none()).unwrap(), LoadSettings::default());
        for (args, part) in [
            (LoadArgs { max_in_flight: Some(0), ..none() }, "max-in-flight: 0 is not between 1 and 1000000"),
            (LoadArgs { max_queue_ms: Some(0), ..none() }, "max-queue-ms: 0 is not"),
            (LoadArgs { max_connections: Some(0), ..none() }, "max-connections: 0 is not"),
            (LoadArgs { max_streams: Some(0), ..none() }, "max-streams: 0 is not"),
            (LoadArgs { max_header_bytes: Some(1), ..none() }, "max-header-bytes: 1 is not"),
            (LoadArgs { handshake_seconds: Some(61), ..none() }, "handshake-seconds: 61 is not"),
        ] {
            let error = args.resolve(none()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
