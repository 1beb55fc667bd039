//! Addresses of servers, as people write them.
//!
//! Must not know: what is asked there.

/// The address as a URL: `http://HOST:PORT`, or `unix:` with a path.
///
/// # Errors
/// What is wrong with it, and how to write it.
pub(super) fn url(address: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("`{address}` {why}; write http://ADDRESS:PORT or unix:PATH"));
    match address.split_once(':') {
        Some(("unix", path)) if path.trim_start_matches("//").is_empty() => wrong("names no socket"),
        Some(("unix" | "http", _)) => Ok(address.to_owned()),
        Some(("https", _)) => wrong("asks for encryption, which this version does not have"),
        _ if address.contains("://") => wrong("is no address that can be asked"),
        // ADDRESS:PORT alone.
        _ => Ok(format!("http://{address}")),
    }
}

/// Whether this names a server rather than a file.
pub(super) fn is_server(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:")
}
