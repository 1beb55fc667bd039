//! Settings of what policies need beside the configuration: the Python interpreter, GeoIP databases, breached passwords.
//!
//! Must not know: what policies do with it.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Where expressions in Python run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PythonMode {
    /// In worker processes under limits of memory and time.
    Process,
    /// In threads of the server: for authors who are trusted, since a hostile expression can end the server.
    Thread,
    /// Nowhere: such a policy errors, unless it is lowered to native conditions.
    Off,
}

/// What policies need beside the configuration. In the settings file these stand under `[policies]`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "What policies need")]
pub struct PolicyArgs {
    /// Where expressions in Python run; `thread` is for authors who are trusted [default: process]
    #[arg(long, env = "BINDERY_PYTHON", value_name = "WHERE")]
    pub python: Option<PythonMode>,

    /// How many expressions in Python run at a time, 1 to 64; as many again may go on beside them when they take
    /// long [default: 2]
    #[arg(long, env = "BINDERY_PYTHON_WORKERS", value_name = "COUNT")]
    pub python_workers: Option<usize>,

    /// Memory for the expressions of a worker, in MiB, 8 to 4096 [default: 64]
    #[arg(long, env = "BINDERY_PYTHON_MEMORY_MIB", value_name = "MIB")]
    pub python_memory_mib: Option<u64>,

    /// How long an expression in Python may run at most, whatever its binding's timeout, in milliseconds, 1 to 60000
    /// [default: 1000]
    #[arg(long, env = "BINDERY_PYTHON_LIMIT_MS", value_name = "MS")]
    pub python_limit_ms: Option<u64>,

    /// MaxMind City database (.mmdb), read again when it is replaced [default: none]
    #[arg(long, env = "BINDERY_GEOIP_CITY", value_name = "FILE")]
    pub geoip_city: Option<PathBuf>,

    /// MaxMind ASN database (.mmdb), read again when it is replaced [default: none]
    #[arg(long, env = "BINDERY_GEOIP_ASN", value_name = "FILE")]
    pub geoip_asn: Option<PathBuf>,

    /// Directory of hash ranges of breached passwords [default: none]
    #[arg(long, env = "BINDERY_HIBP_DIRECTORY", value_name = "DIR", conflicts_with = "hibp_url")]
    pub hibp_directory: Option<PathBuf>,

    /// Server of hash ranges of breached passwords, asked for URL/range/PREFIX [default: none]
    #[arg(long, env = "BINDERY_HIBP_URL", value_name = "URL")]
    pub hibp_url: Option<String>,
}

/// Settings that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    /// Where expressions in Python run.
    pub python: PythonMode,
    /// How many of them at a time.
    pub python_workers: usize,
    /// Memory for those of a worker, in bytes.
    pub python_memory: u64,
    /// How long one may run.
    pub python_limit: Duration,
    /// City database.
    pub geoip_city: Option<PathBuf>,
    /// ASN database.
    pub geoip_asn: Option<PathBuf>,
    /// Hash ranges of breached passwords in a directory.
    pub hibp_directory: Option<PathBuf>,
    /// Hash ranges of breached passwords from a server.
    pub hibp_url: Option<String>,
}

impl PolicyArgs {
    /// These over the settings file over the defaults, checked.
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn resolve(self, file: Self) -> Result<PolicySettings, String> {
        let workers = self.python_workers.or(file.python_workers).unwrap_or(2);
        let memory = self.python_memory_mib.or(file.python_memory_mib).unwrap_or(64);
        let limit = self.python_limit_ms.or(file.python_limit_ms).unwrap_or(1_000);
        let within = |setting: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{setting}: {value} is not between {least} and {most}; choose one that is"))
            }
        };
        within("python-workers", u64::try_from(workers).unwrap_or(u64::MAX), 1, 64)?;
        within("python-memory-mib", memory, 8, 4_096)?;
        within("python-limit-ms", limit, 1, 60_000)?;
        let given = self.hibp_directory.is_some() || self.hibp_url.is_some();
        let (hibp_directory, hibp_url) =
            if given { (self.hibp_directory, self.hibp_url) } else { (file.hibp_directory, file.hibp_url) };
        if hibp_directory.is_some() && hibp_url.is_some() {
            return Err("hibp-directory, hibp-url: both are set; leave one of them out".to_owned());
        }
        Ok(PolicySettings {
            python: self.python.or(file.python).unwrap_or(PythonMode::Process),
            python_workers: workers,
            python_memory: memory << 20,
            python_limit: Duration::from_millis(limit),
            geoip_city: self.geoip_city.or(file.geoip_city),
            geoip_asn: self.geoip_asn.or(file.geoip_asn),
            hibp_directory,
            hibp_url,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let none = PolicyArgs::default;
        for (args, part) in [
            (PolicyArgs { python_workers: Some(0), ..none() }, "python-workers: 0 is not between 1 and 64"),
            (PolicyArgs { python_memory_mib: Some(7), ..none() }, "python-memory-mib: 7 is not between 8"),
            (PolicyArgs { python_limit_ms: Some(60_001), ..none() }, "python-limit-ms: 60001 is not"),
            (
                PolicyArgs { hibp_directory: Some("d".into()), hibp_url: Some("u".into()), ..none() },
                "both are set",
            ),
        ] {
            let error = args.resolve(none()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn one_source_of_hash_ranges_takes_the_place_of_the_other() {
        let file = PolicyArgs { hibp_url: Some("u".into()), ..PolicyArgs::default() };
        let flags = PolicyArgs { hibp_directory: Some("d".into()), ..PolicyArgs::default() };
        let settings = flags.resolve(file.clone()).unwrap();
        assert_eq!((settings.hibp_directory, settings.hibp_url), (Some("d".into()), None));
        assert_eq!(PolicyArgs::default().resolve(file).unwrap().hibp_url, Some("u".into()));
    }
}
