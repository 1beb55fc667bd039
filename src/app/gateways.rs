//! Rules of gateways' doors, whose files of keys are read anew when they are replaced, and whose keys elsewhere are fetched
//! ahead of the first question.
//!
//! Must not know: what is asked.

use crate::api::ask::now;
use crate::api::gateway::settings::{GatewaySettings, Rules};
use crate::identity::Identifier;
use crate::sync::watch::{self, Watch};
use std::path::PathBuf;
use std::sync::Arc;

/// Checks the settings of a door; keep the second for as long as replaced files are to be seen.
///
/// # Errors
/// Names the setting that is wrong and what to do.
pub fn open(settings: &GatewaySettings) -> Result<(Rules, Option<Watch>), String> {
    let jwt = settings.identity.jwt.as_ref();
    let paths: Vec<PathBuf> = jwt.iter().flat_map(|jwt| jwt.jwks_file.iter().chain(&jwt.secret_file)).cloned().collect();
    // Before they are read, so that no change is missed.
    let seen = watch::look(&paths);
    let rules = Rules::new(settings)?;
    if paths.is_empty() {
        return Ok((rules, None));
    }
    let identifier = Arc::clone(rules.identifier());
    let watch = watch::watch(paths, seen, move || reload(&identifier))?;
    Ok((rules, Some(watch)))
}

fn reload(identifier: &Identifier) {
    for outcome in identifier.reload() {
        match outcome {
            Ok(what) => tracing::info!("{what}"),
            Err(error) => tracing::error!(%error, "the keys in use stay"),
        }
    }
}

/// Fetches keys, if they are elsewhere. Where that fails, questions that need them are not decided until they are there.
pub(super) async fn prepare(identifier: Arc<Identifier>) {
    if let Err(error) = identifier.prepare(now()).await {
        tracing::warn!(%error, "there are no keys to verify tokens with yet; they are tried again when they are needed");
    }
}
