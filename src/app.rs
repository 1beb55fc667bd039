//! The server put together: services on their listeners, health, and an orderly end.
//!
//! Listeners and the signal to end are arguments, so that tests drive the same code. Must not know: where settings
//! and configuration come from.

pub mod access;
pub mod admin;
mod behind;
pub mod gate;
mod gather;
pub mod identity;
mod listen;
pub mod places;
mod probes;
pub mod tls;

use crate::api::authzen::{self, AuthzenSettings};
use crate::api::decision::DecisionApi;
use crate::api::ext_authz::ExtAuthz;
use crate::api::flow::{FlowApi, LIFETIME, Tokens};
use crate::api::forward_auth;
use crate::api::gateway::Gateway;
use crate::api::gateway::settings::{GatewaySettings, Rules};
use crate::config::LoadSettings;
use crate::evaluators::Evaluators;
use crate::proto;
use crate::proto::v1::decision_service_server::DecisionServiceServer;
use crate::proto::v1::flow_service_server::FlowServiceServer;
use crate::proto::v1::sync_service_server::SyncServiceServer;
use crate::store::{OnDemand, Store};
use crate::sync::ledger::Ledger;
use crate::sync::service::{SyncApi, SyncOptions};
use crate::telemetry::Telemetry;
use crate::telemetry::labels::Listener;
use crate::tls::server::ServerTls;
use access::Access;
use admin::{Admin, Operation};
use axum::Router;
use behind::{Behind, Straight};
use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use futures_util::future::{join_all, pending};
use gate::{Gate, Load};
use listen::Door;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;

/// The services that answer questions.
const ANSWERING: [&str; 3] = [
    <DecisionServiceServer<DecisionApi> as NamedService>::NAME,
    <FlowServiceServer<FlowApi> as NamedService>::NAME,
    <AuthorizationServer<ExtAuthz> as NamedService>::NAME,
];

/// How the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How long it goes on as before after health turned to not serving, so that whoever sends calls hears of it.
    pub delay: Duration,
    /// How long running calls may take after that.
    pub drain: Duration,
}

/// What is served, and where.
#[derive(Debug, Default)]
pub struct Doors {
    /// Questions. Absent: none are answered here.
    pub decisions: Option<Decisions>,
    /// What operators look at and change. Absent: there is only health over gRPC, beside what is served.
    pub admin: Option<(Listeners, Operation)>,
    /// Publishers and followers, and what they are allowed. Absent: there are none.
    pub sync: Option<(Listeners, Arc<Ledger>, SyncOptions)>,
    /// Who may call what.
    pub access: Arc<Access>,
    /// How much is taken on.
    pub load: LoadSettings,
    /// Where all of it is told.
    pub telemetry: Arc<Telemetry>,
    /// Where questions are answered. Absent: where everything else runs, too.
    pub runtime: Option<Handle>,
}

/// Where questions come in, and how they are answered.
#[derive(Debug, Default)]
pub struct Decisions {
    /// Over gRPC.
    pub grpc: Listeners,
    /// Over HTTP.
    pub http: Listeners,
    /// What questions wait for.
    pub waits: Waits,
    /// What signs plans of flows. Absent: a key of this process's own.
    pub tokens: Option<Arc<Tokens>>,
    /// How Envoy's questions are judged. Absent: nothing is trusted.
    pub ext_authz: Option<Rules>,
    /// How those of other gateways are. Absent: nothing is trusted.
    pub forward_auth: Option<Rules>,
    /// How AuthZEN is spoken.
    pub authzen: AuthzenSettings,
}

/// What questions wait for.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// The longest wait for a revision that one asks for.
    pub revision: Duration,
    /// Set where only what is asked about is held.
    pub demand: Option<Arc<dyn OnDemand>>,
}

/// Where calls come in.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Over TCP.
    pub tcp: Option<TcpListener>,
    /// TLS over that.
    pub tls: Option<Arc<ServerTls>>,
    /// Over a unix socket.
    pub unix: Option<BoundSocket>,
}

impl Listeners {
    fn take_unix(&mut self) -> Option<UnixListener> {
        self.unix.as_mut().and_then(|socket| socket.listener.take())
    }
}

/// A unix socket that is listened on; its file goes when this does.
#[derive(Debug)]
pub struct BoundSocket {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        // Nobody is left to tell; a file that stays behind is replaced at the next start.
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// Listens on a unix socket with this file mode. A file that a former server left behind is replaced; any other file,
/// or a socket that somebody listens on, is left alone.
///
/// # Errors
/// When the path is taken or the socket cannot be made.
pub fn bind_unix(path: &Path, mode: u32) -> Result<BoundSocket, String> {
    let shown = path.display();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("socket: `{shown}` cannot be looked at: {error}")),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(format!("socket: `{shown}` is there and is no socket; name another path"));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                return Err(format!(
                    "socket: somebody listens on `{shown}` already; stop that server or name another path"
                ));
            }
            // Only this says that nobody listens; others may be a matter of permission, or of another kind of socket.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)
                .map_err(|error| format!("socket: `{shown}` cannot be replaced: {error}"))?,
            Err(error) => {
                return Err(format!(
                    "socket: it cannot be told whether somebody listens on `{shown}`: {error}; remove it or name \
                     another path"
                ));
            }
        },
    }
    let listener =
        UnixListener::bind(path).map_err(|error| format!("socket: `{shown}` cannot be made: {error}"))?;
    let bound = BoundSocket { listener: Some(listener), path: path.to_owned() };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| format!("socket: the mode of `{shown}` cannot be set: {error}"))?;
    Ok(bound)
}

/// Serves until `shutdown` is done: then health turns to not serving, after a delay no new calls are taken, and running
/// ones have some time to finish. `ready` tells when there is a configuration; until then health says not serving.
///
/// # Errors
/// When a listener fails.
pub async fn run(
    store: Arc<Store>,
    evaluators: Arc<Evaluators>,
    doors: Doors,
    ending: Ending,
    ready: watch::Receiver<bool>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), String> {
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, false).await;
    let sync_name = <SyncServiceServer<SyncApi> as NamedService>::NAME;
    health.set_service_status(sync_name, tonic_health::ServingStatus::Serving).await;
    let (stop, stopping) = watch::channel(false);
    let (draining, drained) = watch::channel(false);
    let Doors { decisions, admin, sync, access, load, telemetry, runtime } = doors;
    probes::add(&telemetry.metrics, Arc::clone(&store), Arc::clone(&evaluators), drained.clone());
    let mut sockets = Vec::new();
    let mut servers: Vec<Serving> = Vec::new();
    let mut services = Vec::new();
    let under_way = Arc::new(Load::new(load.in_flight, load.queue));
    let gate = Gate { access, load: Arc::clone(&under_way), metrics: Arc::clone(&telemetry.metrics) };
    telemetry.metrics.probe(move |readings| {
        readings.requests_in_flight = Some(under_way.under_way() as u64);
    });
    let door = |name: Listener, listeners: &Listeners, router: Router, straight: Option<Straight>| {
        let (gate, tls) = (gate.clone(), listeners.tls.clone());
        if let Some(tls) = &tls {
            gate.metrics.certificate_expires(name, tls.expires());
        }
        Door { name, behind: Behind::new(router.with_state(()), straight), gate, tls, load }
    };
    if let Some(mut doors) = decisions {
        let mut routes = Routes::builder();
        let mut api = DecisionApi::new(Arc::clone(&store), evaluators).with_patience(doors.waits.revision);
        api = api.with_telemetry(Arc::clone(&telemetry));
        if let Some(demand) = doors.waits.demand {
            api = api.with_demand(demand);
        }
        let tokens = match doors.tokens {
            Some(tokens) => tokens,
            None => Arc::new(Tokens::random(LIFETIME)?),
        };
        let gateway = |rules: Option<Rules>| {
            let rules = rules.map_or_else(|| Rules::new(&GatewaySettings::default()), Ok)?;
            Ok::<_, String>(Arc::new(Gateway::new(api.clone(), rules)))
        };
        let envoy = ExtAuthz::new(gateway(doors.ext_authz)?).into_service();
        let over_http = forward_auth::router(gateway(doors.forward_auth)?);
        let over_http = over_http.merge(authzen::router(api.clone(), doors.authzen));
        routes.add_service(FlowApi::new(api.clone(), tokens).into_service());
        let straight = Straight { decisions: api.into_service(), envoy };
        services.extend(ANSWERING);
        let routes = with_standard(routes, health_service.clone())?;
        let over_grpc = door(Listener::Grpc, &doors.grpc, routes, Some(straight));
        let over_http = door(Listener::Http, &doors.http, over_http, None);
        let mut answering = listen::serve(&mut doors.grpc, &over_grpc, &stopping);
        answering.extend(listen::serve(&mut doors.http, &over_http, &stopping));
        servers.extend(answering.into_iter().map(|server| on(runtime.as_ref(), server)));
        sockets.extend([doors.grpc, doors.http]);
    }
    if let Some((mut listeners, ledger, options)) = sync {
        let mut routes = Routes::builder();
        routes.add_service(SyncApi::new(ledger, options, stopping.clone()).into_service());
        services.push(sync_name);
        let routes = with_standard(routes, health_service.clone())?;
        let door = door(Listener::Sync, &listeners, routes, None);
        servers.extend(listen::serve(&mut listeners, &door, &stopping));
        sockets.push(listeners);
    }
    if let Some((mut listeners, operation)) = admin {
        let metrics = Arc::clone(&telemetry.metrics);
        let admin = Admin { store: Arc::clone(&store), services, stopping: drained, operation, metrics };
        let over_grpc = with_standard(Routes::builder(), health_service)?;
        let door = door(Listener::Admin, &listeners, admin::router(admin).merge(over_grpc), None);
        servers.extend(listen::serve(&mut listeners, &door, &stopping));
        sockets.push(listeners);
    }
    let serving = async move {
        let results = join_all(servers).await;
        results.into_iter().collect::<Result<(), String>>()
    };
    tokio::pin!(serving);
    tokio::select! {
        result = &mut serving => return result,
        never = follow(&health, &store, ready) => match never {},
        () = shutdown => {}
    }
    let Ending { delay, drain } = ending;
    tracing::info!(
        delay_seconds = delay.as_secs(),
        drain_seconds = drain.as_secs(),
        "shutting down: soon no new calls, running ones may finish"
    );
    draining.send_replace(true);
    set_health(&health, false).await;
    health.set_service_status(sync_name, tonic_health::ServingStatus::NotServing).await;
    // Who watches health learns it before the connections close, also without a delay: this gives way to them.
    if let Ok(result) = tokio::time::timeout(delay, &mut serving).await {
        return result;
    }
    // The socket's file goes while it is still listened on. Later, a successor may have put its own there.
    drop(sockets);
    stop.send_replace(true);
    match tokio::time::timeout(drain, serving).await {
        Ok(result) => result,
        Err(_) => {
            tracing::warn!("some calls did not finish in time and are cut off");
            Ok(())
        }
    }
}

/// Adds what every listener has: health and reflection.
fn with_standard(
    mut routes: tonic::service::RoutesBuilder,
    health: HealthServer<impl tonic_health::pb::health_server::Health>,
) -> Result<Router, String> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    routes.add_service(health);
    routes.add_service(reflection().build_v1().map_err(|error| error.to_string())?);
    routes.add_service(reflection().build_v1alpha().map_err(|error| error.to_string())?);
    Ok(routes.routes().into_axum_router())
}

type Serving = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The server, in this runtime if there is one.
fn on(runtime: Option<&Handle>, server: Serving) -> Serving {
    match runtime {
        None => server,
        Some(runtime) => {
            let task = runtime.spawn(server);
            let ended = |error| Err(format!("a listener's task ended: {error}"));
            Box::pin(async move { task.await.unwrap_or_else(ended) })
        }
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the end, too.
    let _either = stopping.wait_for(|stop| *stop).await;
}

/// How often it is looked at whether the configuration is current.
const LOOK: Duration = Duration::from_millis(250);
/// The service name under which health tells whether the configuration is current.
pub const CURRENT: &str = "bindery.current";

/// Turns health to serving as soon as there is a configuration, and tells from then on whether it is current.
async fn follow(
    health: &HealthReporter,
    store: &Store,
    mut ready: watch::Receiver<bool>,
) -> std::convert::Infallible {
    use tonic_health::ServingStatus::{NotServing, Serving};
    health.set_service_status(CURRENT, NotServing).await;
    if ready.wait_for(|ready| *ready).await.is_ok() {
        set_health(health, true).await;
    } else {
        pending::<()>().await;
    }
    let mut told = None;
    loop {
        let snapshot = store.load();
        let current = !snapshot.is_unset() && !snapshot.freshness().age().stale;
        if told != Some(current) {
            health.set_service_status(CURRENT, if current { Serving } else { NotServing }).await;
            told = Some(current);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn set_health(health: &HealthReporter, serving: bool) {
    use tonic_health::ServingStatus::{NotServing, Serving};
    let status = if serving { Serving } else { NotServing };
    health.set_service_status("", status).await;
    for name in ANSWERING {
        health.set_service_status(name, status).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_others_use_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _log = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let refused = bind_unix(&path, 0o660).map(drop).unwrap_err();
        assert!(refused.contains("cannot be told whether somebody listens"), "{refused}");
        assert!(path.exists(), "somebody's socket is gone");
    }
}
