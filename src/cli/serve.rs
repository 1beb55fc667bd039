//! `bindery serve`: loads the configuration, watches it, and answers until it is told to end.
//!
//! Must not know: how a question is answered.

use super::evaluators::evaluators;
use super::telemetry::telemetry;
use crate::api::ask::now;
use crate::api::flow::Tokens;
use crate::api::gateway::settings::{GatewaySettings, Rules};
use crate::app::admin::Operation;
use crate::app::{self, Decisions, Doors, Ending, Listeners, Waits};
use crate::config::{self, Authority, Beyond, LogFormat, ServeArgs, ServeSettings};
use crate::model::Version;
use crate::store::{GroupAuthority, OnDemand, Settings, Staleness, Store};
use crate::sync::apply::{Applied, Update};
use crate::sync::demand::{Demand, DemandOptions};
use crate::sync::follow::{FollowOptions, Network, follow};
use crate::sync::last_good::{Found, LastGood};
use crate::sync::ledger::Ledger;
use crate::sync::service::SyncOptions;
use crate::sync::sink::Nobody;
use crate::sync::source::{self, SourceSpec};
use crate::sync::watch::{self, Watch};
use crate::telemetry::labels::{UpdateResult, UpdateSource};
use crate::telemetry::{self as logs, Level, Telemetry};
use crate::tls::server::ServerTls;
use std::hash::{BuildHasher as _, RandomState};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// How long the decision log, and then traces, may take at the end.
const TELEMETRY_TIME: Duration = Duration::from_secs(2);

/// Runs the server with these arguments until SIGTERM or SIGINT.
///
/// # Errors
/// When a setting is wrong, the first configuration is not valid, or a listener cannot be opened.
pub fn serve(args: ServeArgs) -> Result<(), String> {
    start(args.resolve()?)
}

/// Runs a hub with these arguments until SIGTERM or SIGINT.
///
/// # Errors
/// As [`serve`].
pub fn hub(args: ServeArgs) -> Result<(), String> {
    start(args.resolve_hub()?)
}

fn start(settings: ServeSettings) -> Result<(), String> {
    let color = std::io::stderr().is_terminal() && !config::no_color();
    let level = logs::start(&settings.log_level, settings.log_format == LogFormat::Json, color)?;
    keep_small();
    // Questions have threads of their own: however many there are, configuration and operators get their turn.
    let answering = (settings.answers()).then(|| runtime("answer", None)).transpose()?;
    let rest = runtime("serve", Some(REST_THREADS))?;
    let handle = answering.as_ref().map(|runtime| runtime.handle().clone());
    let result = rest.block_on(run(settings, handle, Some(level)));
    // What is cut off at the end is not waited for.
    for runtime in answering.into_iter().chain([rest]) {
        runtime.shutdown_background();
    }
    result
}

/// Has memory in small pages: of huge ones, the few that the allocator touches at the start would be more than a small
/// configuration takes.
#[cfg(target_os = "linux")]
fn keep_small() {
    // Where the system does not grant it, it costs some megabytes.
    let _as_it_is = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(not(target_os = "linux"))]
const fn keep_small() {}

/// Threads for everything but questions.
const REST_THREADS: usize = 2;

/// A runtime whose threads have this name, as many as there are cores unless it is said how many.
fn runtime(name: &str, threads: Option<usize>) -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.thread_name(name).enable_all().build();
    runtime.map_err(|error| format!("the runtime cannot be started: {error}"))
}

async fn run(settings: ServeSettings, answering: Option<Handle>, level: Option<Level>) -> Result<(), String> {
    let telemetry = telemetry(&settings.telemetry)?;
    let ledger = Arc::new(open(&settings, &telemetry)?);
    let store = Arc::clone(ledger.store());
    let metrics = Arc::clone(&telemetry.metrics);
    let evaluators = Arc::new(evaluators(&settings.policies)?.with_metrics(metrics));
    let (city, asn) = (settings.policies.geoip_city.clone(), settings.policies.geoip_asn.clone());
    let places = if city.is_some() || asn.is_some() {
        let (databases, watch) = app::places::open(city, asn, &telemetry.metrics)?;
        store.set_places(databases);
        Some(watch)
    } else {
        None
    };
    let spec = spec(&settings);
    // Before they are read, so that no change is missed.
    let paths = watched(&spec);
    let seen = watch::look(&paths);
    let files = !spec.paths().is_empty();
    if files && let Err(problems) = load(&ledger, &spec) {
        let count = problems.len();
        return Err(format!(
            "the configuration is not valid, so there is nothing to serve ({count} problems):\n  {}",
            problems.join("\n  ")
        ));
    }
    limit(&store, &settings)?;
    let demand = settings.sync.on_demand.then(|| Arc::new(Demand::new(DemandOptions::default())));
    let mut followed = Vec::new();
    let mut doors = listen(&settings, &ledger, demand.clone(), files, &telemetry, &mut followed).await?;
    doors.runtime = answering;
    if let Some((_, operation)) = &mut doors.admin {
        operation.level = level;
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("no signals: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("no signals: {error}"))?;
    let watching = if settings.watch && files {
        let ledger = Arc::clone(&ledger);
        Some(watch::watch(paths, seen, move || reload(&ledger, &spec))?)
    } else {
        None
    };
    let (ready, ready_seen) = tokio::sync::watch::channel(!store.load().is_unset());
    let mut newest = ledger.newest();
    tokio::spawn(async move {
        while newest.changed().await.is_ok() {
            ready.send_replace(true);
        }
    });
    if !settings.sync.follow.is_empty() {
        let options = FollowOptions {
            heartbeat: settings.sync.heartbeat,
            on_demand: demand,
            ..FollowOptions::new(settings.sync.follow.clone(), node(&settings))
        };
        let network = Network {
            connect_timeout: options.connect_timeout,
            credentials: settings.sync.follow_as.clone(),
        };
        tokio::spawn(follow(Arc::clone(&ledger), options, network, Nobody));
    } else if !files {
        store.load().freshness().follow();
    }
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let ending = Ending { delay: settings.shutdown_delay, drain: settings.drain };
    let result = app::run(store, evaluators, doors, ending, ready_seen, shutdown).await;
    drop((watching, places, followed));
    // What is waiting is written and sent, within a bound; other work of the runtime goes on meanwhile.
    let _closed = tokio::task::spawn_blocking(move || telemetry.close(TELEMETRY_TIME)).await;
    tracing::info!("stopped");
    result
}

/// The ledger, over a store that decides as the settings say, with what the last-good file holds.
fn open(settings: &ServeSettings, telemetry: &Telemetry) -> Result<Ledger, String> {
    let decides = Settings {
        default_empty_result: settings.default_empty_result,
        group_authority: match settings.group_authority {
            Authority::Directory => GroupAuthority::Directory,
            Authority::Caller => GroupAuthority::Caller,
            Authority::Union => GroupAuthority::Union,
        },
    };
    let mut disk = None;
    let mut store = None;
    if let Some(path) = &settings.sync.last_good {
        let start = Instant::now();
        let (file, held, found) = LastGood::open(path, decides)?;
        let shown = path.display();
        match found {
            Found::Nothing => tracing::info!(file = %shown, "there is no last-good file yet"),
            Found::Configuration { version, resources, torn } => {
                let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(file = %shown, %version, resources, milliseconds, "serving what was in force last");
                if torn > 0 {
                    tracing::warn!(file = %shown, bytes = torn, "the end of the last-good file was torn, and is cut off");
                }
                store = Some(held);
            }
            Found::SetAside { path, reason } => {
                tracing::error!(file = %path.display(), reason, "the last-good file cannot be used, and is set aside");
            }
        }
        disk = Some(file.with_metrics(Arc::clone(&telemetry.metrics)));
    }
    let files = !settings.bundles.is_empty() || !settings.blueprints.is_empty();
    let store = store.unwrap_or_else(|| {
        if !(files && settings.sync.is_served()) {
            return Store::new(decides);
        }
        // Files have no history of their own. Each start is a new one, whose revisions are beyond all former ones.
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let epoch = RandomState::new().hash_one(seconds).max(1);
        Store::with_history(decides, Version { epoch, revision: seconds })
    });
    let ledger = Ledger::new(Arc::new(store)).with_metrics(Arc::clone(&telemetry.metrics));
    // Where nobody can follow, nobody needs to be told what changed.
    let ledger = if settings.sync.is_served() { ledger } else { ledger.without_history() };
    Ok(match disk {
        Some(disk) => ledger.with_disk(Box::new(disk)),
        None => ledger,
    })
}

/// What this process is called.
fn node(settings: &ServeSettings) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    settings.sync.node.clone().unwrap_or_else(host)
}

/// Sets how old the configuration may be.
fn limit(store: &Store, settings: &ServeSettings) -> Result<(), String> {
    let by_target = settings.sync.max_staleness_for.iter().map(|(target, limit)| {
        let target = target.parse().map_err(|error| format!("max-staleness-for: {error}"))?;
        Ok((target, *limit))
    });
    let by_target = by_target.collect::<Result<Vec<_>, String>>()?;
    if settings.sync.beyond == Beyond::Refuse
        && (settings.sync.max_staleness.is_some() || !by_target.is_empty())
    {
        store.load().freshness().limit(Staleness { most: settings.sync.max_staleness, by_target });
    }
    Ok(())
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
fn load(ledger: &Ledger, spec: &SourceSpec) -> Result<Applied, Vec<String>> {
    let start = Instant::now();
    let loaded = source::load(spec)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let skipped: usize = loaded.tally.iter().map(|model| model.skipped).sum();
    let files = loaded.files;
    let (resources, origins) = loaded.into_parts();
    let committed =
        ledger.update(Update::Replace(resources)).map_err(|problems| source::locate(&problems, &origins))?;
    ledger.metrics().updated(UpdateSource::Files, UpdateResult::Applied, start.elapsed());
    committed.snapshot.freshness().confirm();
    let (applied, counts) = (committed.changed, committed.snapshot.counts());
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
fn reload(ledger: &Ledger, spec: &SourceSpec) {
    let start = Instant::now();
    if let Err(problems) = load(ledger, spec) {
        ledger.metrics().updated(UpdateSource::Files, UpdateResult::Refused, start.elapsed());
        let snapshot = ledger.store().load();
        snapshot.freshness().fall_behind();
        let revision = snapshot.revision();
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

async fn listen(
    settings: &ServeSettings,
    ledger: &Arc<Ledger>,
    demand: Option<Arc<Demand>>,
    files: bool,
    telemetry: &Arc<Telemetry>,
    watching: &mut Vec<Watch>,
) -> Result<Doors, String> {
    let (secured, watch) = app::tls::open(&settings.tls, &settings.access, &telemetry.metrics)?;
    watching.extend(watch);
    let mut doors = Doors {
        load: settings.load,
        access: Arc::clone(&secured.access),
        telemetry: Arc::clone(telemetry),
        ..Doors::default()
    };
    let http = (settings.http, settings.http_socket.as_deref());
    if settings.listen.is_some() || settings.socket.is_some() || http != (None, None) {
        let mut rules = |door: &str, settings: &GatewaySettings| {
            let (identifier, watch) = app::identity::open(&settings.identity, now(), &telemetry.metrics)
                .map_err(|what| format!("{door}.{what}"))?;
            watching.extend(watch);
            let rules = Rules::with_identifier(settings, identifier);
            rules.map(Some).map_err(|what| format!("{door}.{what}"))
        };
        let socket = settings.socket.as_deref();
        let demand = demand.map(|demand| -> Arc<dyn OnDemand> { demand });
        doors.decisions = Some(Decisions {
            ext_authz: rules("ext_authz", &settings.ext_authz)?,
            forward_auth: rules("forward_auth", &settings.forward_auth)?,
            authzen: settings.authzen.clone(),
            tokens: Some(Arc::new(tokens(settings)?)),
            grpc: listeners(settings, "listen", settings.listen, &secured.grpc, socket, "answering").await?,
            http: {
                let what = "answering over HTTP";
                listeners(settings, "http-listen", http.0, &secured.http, http.1, what).await?
            },
            waits: Waits { revision: settings.sync.revision_wait, demand },
        });
    }
    if settings.admin.is_some() {
        let what = "there for operators";
        let listeners =
            listeners(settings, "admin-listen", settings.admin, &secured.admin, None, what).await?;
        doors.admin = Some((listeners, Operation { settings: settings.shown(), level: None }));
    }
    let sync = &settings.sync;
    if sync.is_served() {
        let serving = "serving publishers and followers";
        let socket = sync.socket.as_deref();
        let listeners =
            listeners(settings, "sync-listen", sync.listen, &secured.sync, socket, serving).await?;
        let closed_to_publishers = match (files, sync.follow.is_empty()) {
            (true, _) => Some("this server takes its configuration from files; change those"),
            (false, false) => Some("this server follows a hub; publish there"),
            (false, true) => None,
        };
        let options = SyncOptions {
            node: node(settings),
            closed_to_publishers,
            max_followers: sync.max_followers,
            heartbeat: sync.heartbeat,
        };
        doors.sync = Some((listeners, Arc::clone(ledger), options));
    }
    Ok(doors)
}

/// What signs plans of flows.
fn tokens(settings: &ServeSettings) -> Result<Tokens, String> {
    let Some(path) = &settings.plan_key_file else { return Tokens::random(settings.plan_lifetime) };
    let wrong = |what: String| format!("plan-key-file: `{}`: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    Tokens::from_text(&text, settings.plan_lifetime).map_err(wrong)
}

async fn listeners(
    settings: &ServeSettings,
    setting: &str,
    address: Option<SocketAddr>,
    tls: &Option<Arc<ServerTls>>,
    socket: Option<&Path>,
    what: &str,
) -> Result<Listeners, String> {
    let mut listeners = Listeners { tls: tls.clone(), ..Listeners::default() };
    if let Some(address) = address {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            format!("{setting}: `{address}` cannot be listened on: {error}; choose another")
        })?;
        // Port 0 is any free one.
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, tls = tls.is_some(), "{what} over TCP");
        listeners.tcp = Some(listener);
    }
    if let Some(path) = socket {
        listeners.unix = Some(app::bind_unix(path, settings.socket_mode)?);
        tracing::info!(path = %path.display(), "{what} over a unix socket");
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let error = runtime.block_on(run(settings(&bundle), None, None)).unwrap_err();
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
        let settings = settings(&bundle);
        let (ledger, spec) = (open(&settings, &Telemetry::default()).unwrap(), spec(&settings));
        let store = Arc::clone(ledger.store());
        let revision_of = |text: &str| {
            std::fs::write(&bundle, text).unwrap();
            reload(&ledger, &spec);
            store.load().revision()
        };
        assert_eq!(revision_of("applications: [{slug: wiki}]"), 1);
        assert_eq!(revision_of("applications: [{slug: wiki}"), 1);
        assert_eq!(revision_of("applications: [{slog: wiki}]"), 1);
        assert_eq!(revision_of("applications: [{slug: wiki}]"), 1);
        assert_eq!(revision_of("applications: [{slug: wiki}, {slug: blog}]"), 2);
        std::fs::remove_file(&bundle).unwrap();
        reload(&ledger, &spec);
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
