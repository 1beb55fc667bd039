//! Ranges of breached passwords from a server that answers as Have I Been Pwned does.
//!
//! Must not know: which hash of a range is asked about.

use super::{MAX_RANGE, count};
use crate::tls::{Client, Failure, parse_url};
use quick_cache::{Weighter, sync::Cache};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is kept of answers, in bytes: some hundred ranges.
const MAX_KEPT: u64 = 16 << 20;
/// About how many ranges that is.
const KEPT_RANGES: usize = 400;
/// How long an answer is kept: what was breached changes in weeks.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// What a URL of such a server looks like.
const EXAMPLE: &str = "https://api.pwnedpasswords.com";

pub(super) struct Mirror {
    /// Without a slash at the end.
    base: String,
    client: Client,
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
        let uri = parse_url(url, EXAMPLE)?;
        if uri.query().is_some() {
            return Err(format!("`{url}` has a query, to which no range can be added; write it like {EXAMPLE}"));
        }
        let client = Client::new(&uri, None)?;
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
        let request = http::Request::get(format!("{base}/range/{prefix}"))
            // Answers of all ranges are made equally long, so that who watches the line cannot tell them apart.
            .header("add-padding", "true")
            .header(http::header::ACCEPT, "text/plain");
        let body = self.client.get(request, MAX_RANGE).await.map_err(|failure| match failure {
            Failure::Unreachable(causes) => format!("`{base}` cannot be asked for breached passwords: {causes}"),
            Failure::Redirect => format!(
                "`{base}` answers with a redirect, which is not followed; name the server that it leads to"
            ),
            Failure::Status(status) => format!("`{base}` answers with status {status}; check the server"),
            Failure::TooLong => format!("`{base}` answers with more than {MAX_RANGE} bytes; it is no range"),
        })?;
        let text = String::from_utf8(body.into());
        text.map(Arc::from).map_err(|_| format!("`{base}` answers with what is no text; it is no range"))
    }
}

#[cfg(test)]
mod tests;
