//! Addresses of servers, as people write them.
//!
//! Must not know: what is asked there.

use crate::tls::client::{Credentials, Server};
use clap::Args;
use std::path::PathBuf;

/// How to reach a server: whom to trust, and what shows who calls.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Reaching a server")]
pub(super) struct ReachArgs {
    /// Authorities to trust with https, PEM [default: those of the system]
    #[arg(long, env = "BINDERY_AUTHORITIES", value_name = "FILE")]
    authorities: Option<PathBuf>,

    /// Certificate that shows who calls, PEM
    #[arg(long, env = "BINDERY_CERTIFICATE", value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,

    /// Its key, PEM
    #[arg(long, env = "BINDERY_KEY", value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// File whose first line is a token that shows who calls
    #[arg(long, env = "BINDERY_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Name in the server's certificate [default: the host of its address]
    #[arg(long, env = "BINDERY_SERVER_NAME", value_name = "NAME")]
    server_name: Option<String>,
}

impl ReachArgs {
    /// Whom to trust, and what shows who calls.
    pub(super) fn credentials(&self) -> Credentials {
        let Self { authorities, certificate, key, token_file, server_name } = self.clone();
        Credentials { authorities, certificate, key, token_file, server_name }
    }
}

/// The server at an address.
///
/// # Errors
/// As [`url`].
pub(super) fn server(address: &str, reach: &ReachArgs) -> Result<Server, String> {
    Ok(Server { address: url(address)?, credentials: reach.credentials() })
}

/// The address as a URL: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:` with a path.
///
/// # Errors
/// What is wrong with it, and how to write it.
pub(super) fn url(address: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        Err(format!("`{address}` {why}; write http://ADDRESS:PORT, https://ADDRESS:PORT or unix:PATH"))
    };
    match address.split_once(':') {
        Some(("unix", path)) if path.trim_start_matches("//").is_empty() => wrong("names no socket"),
        Some(("unix" | "http" | "https", _)) => Ok(address.to_owned()),
        _ if address.contains("://") => wrong("is no address that can be asked"),
        // ADDRESS:PORT alone.
        _ => Ok(format!("http://{address}")),
    }
}

/// Whether this names a server rather than a file.
pub(super) fn is_server(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:")
}
