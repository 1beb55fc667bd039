//! `bindery serve`: loads the configuration, watches it, and answers until it is told to end.
//!
//! Must not know: how a question is answered.

use crate::app::{self, Listeners};
use crate::config::{self, Authority, LogFormat, ServeArgs, ServeSettings};
use crate::store::{GroupAuthority, Settings, Store};
use crate::sync::apply::{Applied, Update, apply};
use crate::sync::source::{self, SourceSpec};
use crate::sync::watch;
use crate::telemetry;
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
    telemetry::start(&settings.log_level, settings.log_format == LogFormat::Json)?;
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
    let spec = spec(&settings);
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
        Some(watch::watch(spec.paths(), move || reload(&store, &spec))?)
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
    let result = app::run(store, listeners, settings.drain, ready, shutdown).await;
    drop(watching);
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
        tracing::info!(%address, "answering over TCP");
        listeners.tcp = Some(listener);
    }
    if let Some(path) = &settings.socket {
        listeners.unix = Some(app::bind_unix(path, settings.socket_mode)?);
        tracing::info!(path = %path.display(), "answering over a unix socket");
    }
    Ok(listeners)
}
