//! `bindery serve`: loads the configuration, watches it, and answers until it is told to end.
//!
//! Must not know: how a question is answered.

use super::evaluators::evaluators;
use crate::app::{self, Ending, Listeners};
use crate::config::{self, Authority, LogFormat, ServeArgs, ServeSettings};
use crate::store::{GroupAuthority, Settings, Store};
use crate::sync::apply::{Applied, Update, apply};
use crate::sync::source::{self, SourceSpec};
use crate::sync::watch;
use crate::telemetry;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the server with these arguments until SIGTERM or SIGINT.
///
/// # Errors
/// When a setting is wrong, the first configuration is not valid, or a listener cannot be opened.
pub fn serve(args: ServeArgs) -> Result<(), String> {
    let settings = args.resolve()?;
    let color = std::io::stderr().is_terminal() && !config::no_color();
    telemetry::start(&settings.log_level, settings.log_format == LogFormat::Json, color)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(run(settings))
}

async fn run(settings: ServeSettings) -> Result<(), String> {
    let store = Arc::new(Store::new(Settings {
        default_empty_result: settings.default_empty_result,
        group_authority: match settings.group_authority {
            Authority::Directory => GroupAuthority::Directory,
            Authority::Caller => GroupAuthority::Caller,
            Authority::Union => GroupAuthority::Union,
        },
    }));
    let evaluators = Arc::new(evaluators(&settings.policies)?);
    let (city, asn) = (settings.policies.geoip_city.clone(), settings.policies.geoip_asn.clone());
    let following = if city.is_some() || asn.is_some() {
        let (databases, watch) = app::places::open(city, asn)?;
        store.set_places(databases);
        Some(watch)
    } else {
        None
    };
    let spec = spec(&settings);
    // Before they are read, so that no change is missed.
    let paths = watched(&spec);
    let seen = watch::look(&paths);
    if let Err(problems) = load(&store, &spec) {
        let count = problems.len();
        return Err(format!(
            "the configuration is not valid, so there is nothing to serve ({count} problems):\n  {}",
            problems.join("\n  ")
        ));
    }
    let listeners = listen(&settings).await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("no signals: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("no signals: {error}"))?;
    let watching = if settings.watch {
        let store = Arc::clone(&store);
        Some(watch::watch(paths, seen, move || reload(&store, &spec))?)
    } else {
        None
    };
    let (_ready, ready) = tokio::sync::watch::channel(true);
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let ending = Ending { delay: settings.shutdown_delay, drain: settings.drain };
    let result = app::run(store, evaluators, listeners, ending, ready, shutdown).await;
    drop((watching, following));
    tracing::info!("stopped");
    result
}

fn spec(settings: &ServeSettings) -> SourceSpec {
    SourceSpec {
        bundles: settings.bundles.clone(),
        blueprints: settings.blueprints.clone(),
        env_names: settings.blueprint_env.clone(),
        env: Arc::new(config::variable),
        files_dir: settings.blueprint_files.clone(),
        default_application_access: settings.application_access,
    }
}

/// The files whose change is a change of the configuration.
fn watched(spec: &SourceSpec) -> Vec<PathBuf> {
    spec.paths().into_iter().chain(spec.files_dir.clone()).collect()
}

/// Reads the files and puts them into force, or tells everything that is wrong with them.
fn load(store: &Store, spec: &SourceSpec) -> Result<Applied, Vec<String>> {
    let start = Instant::now();
    let loaded = source::load(spec)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let skipped: usize = loaded.tally.iter().map(|model| model.skipped).sum();
    let files = loaded.files;
    let (resources, origins) = loaded.into_parts();
    let applied =
        apply(store, Update::Replace(resources)).map_err(|problems| source::locate(&problems, &origins))?;
    let counts = store.load().counts();
    tracing::info!(
        revision = applied.revision,
        changed = applied.upserted,
        removed = applied.removed,
        files,
        targets = counts.targets,
        bindings = counts.bindings,
        policies = counts.policies,
        users = counts.users,
        groups = counts.groups,
        entries_skipped = skipped,
        milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        "configuration in force"
    );
    Ok(applied)
}

/// As [`load`], for files that changed: what is wrong is logged, and the old configuration stays in force.
fn reload(store: &Store, spec: &SourceSpec) {
    if let Err(problems) = load(store, spec) {
        let revision = store.load().revision();
        tracing::error!(
            revision,
            problems = problems.len(),
            "the changed configuration is not valid; the old one stays"
        );
        for problem in problems {
            tracing::error!("{problem}");
        }
    }
}

async fn listen(settings: &ServeSettings) -> Result<Listeners, String> {
    let mut listeners = Listeners::default();
    if let Some(address) = settings.listen {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| format!("listen: `{address}` cannot be listened on: {error}; choose another"))?;
        // Port 0 is any free one.
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "answering over TCP");
        listeners.tcp = Some(listener);
    }
    if let Some(path) = &settings.socket {
        listeners.unix = Some(app::bind_unix(path, settings.socket_mode)?);
        tracing::info!(path = %path.display(), "answering over a unix socket");
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn settings(bundle: &Path) -> ServeSettings {
        let args = ServeArgs {
            bundle: vec![bundle.to_owned()],
            socket: Some(bundle.with_extension("sock")),
            listen: Some("none".to_owned()),
            ..ServeArgs::default()
        };
        args.resolve().unwrap()
    }

    #[test]
    fn a_first_configuration_that_is_wrong_is_told_whole_and_not_served() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("b.yaml");
        std::fs::write(&bundle, "applications:\n- slug: wiki\n  nmae: Wiki\n- slug: [wiki]\n").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(run(settings(&bundle))).unwrap_err();
        assert!(error.starts_with("the configuration is not valid, so there is nothing to serve"), "{error}");
        for part in ["b.yaml:3", "nmae", "b.yaml:4"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!directory.path().join("b.sock").exists(), "it listened all the same");
    }

    #[test]
    fn a_change_that_is_wrong_keeps_what_is_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("b.yaml");
        let (store, spec) = (Store::new(Settings::default()), spec(&settings(&bundle)));
        let revision_of = |text: &str| {
            std::fs::write(&bundle, text).unwrap();
            reload(&store, &spec);
            store.load().revision()
        };
        assert_eq!(revision_of("applications: [{slug: wiki}]"), 1);
        assert_eq!(revision_of("applications: [{slug: wiki}"), 1);
        assert_eq!(revision_of("applications: [{slog: wiki}]"), 1);
        assert_eq!(revision_of("applications: [{slug: wiki}]"), 1);
        assert_eq!(revision_of("applications: [{slug: wiki}, {slug: blog}]"), 2);
        std::fs::remove_file(&bundle).unwrap();
        reload(&store, &spec);
        assert_eq!((store.load().revision(), store.load().counts().targets), (2, 2));
    }

    #[test]
    fn files_that_blueprints_read_are_watched_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().to_owned();
        let settings =
            ServeSettings { blueprint_files: Some(files.clone()), ..settings(&files.join("b.yaml")) };
        assert_eq!(watched(&spec(&settings)), [files.join("b.yaml"), files]);
    }
}
