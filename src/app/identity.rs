//! Who is asking, with files of keys that are read anew when they are replaced.
//!
//! Must not know: which door asks.

use crate::identity::{Identifier, Settings};
use crate::model::Timestamp;
use crate::sync::watch::{self, Watch};
use crate::telemetry::Metrics;
use crate::telemetry::labels::{ReloadResult, Reloaded};
use std::sync::Arc;

/// Sets this up and follows its files: keep the second for as long as replaced files are to be seen. Keys at a URL are
/// fetched meanwhile; when that fails, they are tried again as soon as somebody brings a token.
///
/// # Errors
/// When a setting is wrong, a file cannot be used, or there can be no further thread.
pub fn open(
    settings: &Settings,
    now: Timestamp,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Identifier>, Option<Watch>), String> {
    let paths = settings.key_files();
    // Before they are read, so that no change is missed.
    let seen = watch::look(&paths);
    let identifier = Arc::new(Identifier::new(settings)?);
    let fetching = Arc::clone(&identifier);
    tokio::spawn(async move {
        if let Err(error) = fetching.prepare(now).await {
            tracing::warn!(%error, "there are no keys yet; tokens are neither taken nor refused until there are");
        }
    });
    if paths.is_empty() {
        return Ok((identifier, None));
    }
    let (followed, metrics) = (Arc::clone(&identifier), Arc::clone(metrics));
    let watch = watch::watch(paths, seen, move || reload(&followed, &metrics))?;
    Ok((identifier, Some(watch)))
}

fn reload(identifier: &Identifier, metrics: &Metrics) {
    for outcome in identifier.reload() {
        metrics.reloaded(Reloaded::Keys, ReloadResult::of(&outcome));
        match outcome {
            Ok(said) => tracing::info!("{said}"),
            Err(error) => tracing::error!(%error, "the keys in use stay"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::forge::Signer;
    use crate::identity::{Algorithm, Evidence, Headers, Identified, JwtSettings, Peer, Reason};
    use serde_json::json;

    const NOW: Timestamp = Timestamp::new(1_780_315_200, 0);

    /// Why a token of this signer is refused; nothing if it is not.
    async fn refusal(identifier: &Identifier, signer: &Signer) -> Option<Reason> {
        let header = json!({"alg": "ES256", "kid": signer.kid()});
        let claims = json!({"preferred_username": "ada", "exp": NOW.seconds() + 60});
        let bearer = format!("Bearer {}", signer.token(&header.to_string(), &claims.to_string()));
        let headers: Headers<'_> = [("authorization", bearer.as_bytes())].into_iter().collect();
        let evidence = Evidence { headers: &headers, claims: None, peer: Peer::default(), principal: None };
        match identifier.identify(&evidence, NOW).await {
            Identified::Somebody(_) => None,
            Identified::Refused { reason, .. } => Some(reason),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_replaced_file_is_seen_and_a_broken_one_does_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        let put = |content: &str| {
            let new = directory.path().join("new");
            std::fs::write(&new, content).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        let [old, new] = ["old", "new"].map(|kid| Signer::generate(kid, Algorithm::ES256).unwrap());
        let keys = |signer: &Signer| json!({"keys": [signer.jwk()]}).to_string();
        put(&keys(&old));
        let jwt = JwtSettings {
            jwks_file: Some(path.clone()),
            any_issuer: true,
            any_audience: true,
            ..JwtSettings::default()
        };
        let settings = Settings { jwt: Some(jwt), ..Settings::default() };
        let (identifier, watch) = open(&settings, NOW, &Arc::default()).unwrap();
        assert!(watch.is_some());
        assert_eq!(refusal(&identifier, &old).await, None);
        assert_eq!(refusal(&identifier, &new).await, Some(Reason::TokenKeyUnknown));
        put("broken");
        put(&keys(&new));
        let start = std::time::Instant::now();
        while refusal(&identifier, &new).await.is_some() {
            assert!(start.elapsed().as_secs() < 60, "the new keys are not seen");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(refusal(&identifier, &old).await, Some(Reason::TokenKeyUnknown));
    }

    #[tokio::test]
    async fn it_starts_without_keys_and_not_with_wrong_settings() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let jwt = JwtSettings {
            jwks_url: Some(url),
            any_issuer: true,
            any_audience: true,
            ..JwtSettings::default()
        };
        let mut settings = Settings { jwt: Some(jwt), ..Settings::default() };
        let (identifier, watch) = open(&settings, NOW, &Arc::default()).unwrap();
        assert!(watch.is_none() && !identifier.trusts_nothing());
        settings.jwt.as_mut().unwrap().any_issuer = false;
        assert!(open(&settings, NOW, &Arc::default()).unwrap_err().contains("issuers"));
    }
}
