//! GeoIP databases that are read anew when their files are replaced.
//!
//! Must not know: what places are used for.

use crate::places::{Databases, Loaded};
use crate::sync::watch::{self, Watch};
use crate::telemetry::Metrics;
use crate::telemetry::labels::{ReloadResult, Reloaded};
use std::path::PathBuf;
use std::sync::Arc;

/// Reads these databases and follows their files: hand the first to [`crate::store::Store::set_places`], and keep the
/// second for as long as replaced files are to be seen.
///
/// # Errors
/// When a database cannot be used, or there can be no further thread.
pub fn open(
    city: Option<PathBuf>,
    asn: Option<PathBuf>,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Databases>, Watch), String> {
    let paths: Vec<PathBuf> = city.iter().chain(&asn).cloned().collect();
    // Before they are read, so that no change is missed.
    let seen = watch::look(&paths);
    let databases = Arc::new(Databases::open(city, asn)?);
    databases.loaded().iter().for_each(tell);
    let (followed, metrics) = (Arc::clone(&databases), Arc::clone(metrics));
    let watch = watch::watch(paths, seen, move || reload(&followed, &metrics))?;
    Ok((databases, watch))
}

fn reload(databases: &Databases, metrics: &Metrics) {
    for outcome in databases.reload() {
        metrics.reloaded(Reloaded::Places, ReloadResult::of(&outcome));
        match outcome {
            Ok(loaded) => tell(&loaded),
            Err(error) => tracing::error!(%error, "the GeoIP database in use stays"),
        }
    }
}

fn tell(loaded: &Loaded) {
    tracing::info!(
        file = %loaded.path.display(),
        database = loaded.database_type,
        built_seconds = loaded.built,
        "GeoIP database in use"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;
    use crate::places::tests::asn_database;
    use crate::policy::Places as _;
    use std::time::{Duration, Instant};

    #[test]
    fn a_replaced_file_is_seen_and_a_broken_one_does_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("asn.mmdb");
        let put = |content: Vec<u8>| {
            let new = directory.path().join("new");
            std::fs::write(&new, content).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        put(asn_database(1));
        let (databases, _watch) = open(None, Some(path.clone()), &Arc::default()).unwrap();
        let number = || databases.asn("192.0.2.1".parse().unwrap()).unwrap().get("asn").cloned();
        assert_eq!(number(), Some(Value::Number(1.0)));
        put(b"broken".to_vec());
        put(asn_database(2));
        let start = Instant::now();
        while number() != Some(Value::Number(2.0)) {
            assert!(start.elapsed() < Duration::from_secs(60), "the new database is not seen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
