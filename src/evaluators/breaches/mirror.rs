//! Ranges of breached passwords from a server that answers as Have I Been Pwned does.
//!
//! Must not know: which hash of a range is asked about.

use super::{MAX_RANGE, count};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use quick_cache::{Weighter, sync::Cache};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::codegen::{Bytes, http};

/// What is kept of answers, in bytes: some hundred ranges.
const MAX_KEPT: u64 = 16 << 20;
/// About how many ranges that is.
const KEPT_RANGES: usize = 400;
/// How long an answer is kept: what was breached changes in weeks.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);
/// Connections that are not used are closed after this long.
const IDLE: Duration = Duration::from_secs(60);
/// How many connections wait for the next question.
const MAX_IDLE: usize = 8;

pub(super) struct Mirror {
    /// Without a slash at the end.
    base: String,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    kept: Cache<String, Kept, Size>,
}

#[derive(Clone)]
struct Kept {
    range: Arc<str>,
    since: Instant,
}

#[derive(Clone)]
struct Size;

impl Weighter<String, Kept> for Size {
    fn weight(&self, _: &String, kept: &Kept) -> u64 {
        // An entry costs something without a text, too.
        kept.range.len() as u64 + 64
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mirror").field(&self.base).finish()
    }
}

impl Mirror {
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{url}` {what}; write it like https://api.pwnedpasswords.com");
        let uri: http::Uri = url.parse().map_err(|error| wrong(&format!("is not a URL ({error})")))?;
        let Some(authority) = uri.authority() else { return Err(wrong("has no host")) };
        if authority.as_str().contains('@') {
            return Err("a URL with a user or password is not supported; leave them out".to_owned());
        }
        if uri.query().is_some() {
            return Err(wrong("has a query, to which no range can be added"));
        }
        let connector = match uri.scheme_str() {
            Some("http") => {
                // Never used for TLS, so there is nobody to trust.
                let nobody = rustls_config(rustls::RootCertStore::empty())?;
                HttpsConnectorBuilder::new().with_tls_config(nobody).https_or_http()
            }
            Some("https") => {
                HttpsConnectorBuilder::new().with_tls_config(rustls_config(roots()?)?).https_only()
            }
            _ => return Err(wrong("begins neither with http:// nor with https://")),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector.enable_http1().build());
        let kept = Cache::with_weighter(KEPT_RANGES, MAX_KEPT, Size);
        Ok(Self { base: url.trim_end_matches('/').to_owned(), client, kept })
    }

    /// The range of this prefix: a kept one, or what the server says. Questions for the same range wait for one answer.
    pub(super) async fn range(&self, prefix: &str) -> Result<Arc<str>, String> {
        self.kept.remove_if(prefix, |kept| kept.since.elapsed() > KEPT_FOR);
        let fetch = async {
            let range = self.fetch(prefix).await?;
            // What is no range is not kept either.
            count(&range, "")?;
            Ok(Kept { range, since: Instant::now() })
        };
        self.kept.get_or_insert_async(prefix, fetch).await.map(|kept| kept.range)
    }

    async fn fetch(&self, prefix: &str) -> Result<Arc<str>, String> {
        let base = &self.base;
        let failed =
            |error: &dyn Error| format!("`{base}` cannot be asked for breached passwords: {}", causes(error));
        let request = http::Request::get(format!("{base}/range/{prefix}"))
            // Answers of all ranges are made equally long, so that who watches the line cannot tell them apart.
            .header("add-padding", "true")
            .header(http::header::ACCEPT, "text/plain")
            .header(http::header::USER_AGENT, concat!("bindery/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| failed(&error))?;
        let response = self.client.request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!(
                "`{base}` answers with a redirect, which is not followed; name the server that it leads to"
            ));
        }
        if status != http::StatusCode::OK {
            return Err(format!("`{base}` answers with status {}; check the server", status.as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_RANGE).collect().await.map_err(|error| {
            match error.is::<LengthLimitError>() {
                true => format!("`{base}` answers with more than {MAX_RANGE} bytes; it is no range"),
                false => failed(&*error),
            }
        })?;
        let text = String::from_utf8(body.to_bytes().into());
        text.map(Arc::from).map_err(|_| format!("`{base}` answers with what is no text; it is no range"))
    }
}

/// What the system trusts.
fn roots() -> Result<rustls::RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        return Err(
            "there are no certificates to trust; install the system's, or use http in a network of your own"
                .to_owned(),
        );
    }
    Ok(roots)
}

fn rustls_config(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| format!("TLS cannot be used: {error}"))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// An error with what caused it: the outer one alone says little.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
