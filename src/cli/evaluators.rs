//! What policies need beside the configuration, made from settings.
//!
//! Must not know: what a command does with it.

use crate::config::{self, PolicySettings, PythonMode};
use crate::evaluators::python::{Isolation, PythonOptions};
use crate::evaluators::{BreachSource, Evaluators};
use crate::places::Databases;
use std::sync::Arc;

/// Evaluators after these settings.
///
/// # Errors
/// When one of the sources cannot be used.
pub(super) fn evaluators(settings: &PolicySettings) -> Result<Evaluators, String> {
    let mut evaluators = Evaluators::default();
    let isolation = match settings.python {
        PythonMode::Process => Some(Isolation::Process(config::own_program()?)),
        PythonMode::Thread => Some(Isolation::Thread),
        PythonMode::Off => None,
    };
    if let Some(isolation) = isolation {
        evaluators = evaluators.with_python(PythonOptions {
            isolation,
            workers: settings.python_workers,
            memory: settings.python_memory,
            limit: settings.python_limit,
        });
    }
    let breaches = match (&settings.hibp_directory, &settings.hibp_url) {
        (Some(directory), _) => Some(BreachSource::directory(directory)),
        (None, Some(url)) => Some(BreachSource::mirror(url)),
        (None, None) => None,
    };
    Ok(match breaches.transpose()? {
        Some(source) => evaluators.with_breaches(source),
        None => evaluators,
    })
}

/// The GeoIP databases of these settings, as they are now; nothing when there are none.
///
/// # Errors
/// When one cannot be used.
pub(super) fn places(settings: &PolicySettings) -> Result<Option<Arc<Databases>>, String> {
    if settings.geoip_city.is_none() && settings.geoip_asn.is_none() {
        return Ok(None);
    }
    Databases::open(settings.geoip_city.clone(), settings.geoip_asn.clone()).map(|it| Some(Arc::new(it)))
}
