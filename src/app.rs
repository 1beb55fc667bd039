//! The server put together: services on their listeners, health, and an orderly end.
//!
//! Listeners and the signal to end are arguments, so that tests drive the same code. Must not know: where settings
//! and configuration come from.

pub mod admin;
pub mod identity;
pub mod places;
mod probes;
mod web;

use crate::api::authzen::{self, AuthzenSettings};
use crate::api::decision::DecisionApi;
use crate::api::ext_authz::ExtAuthz;
use crate::api::flow::{FlowApi, LIFETIME, Tokens};
use crate::api::forward_auth;
use crate::api::gateway::Gateway;
use crate::api::gateway::settings::{GatewaySettings, Rules};
use crate::evaluators::Evaluators;
use crate::proto;
use crate::proto::v1::decision_service_server::DecisionServiceServer;
use crate::proto::v1::flow_service_server::FlowServiceServer;
use crate::proto::v1::sync_service_server::SyncServiceServer;
use crate::store::{OnDemand, Store};
use crate::sync::ledger::Ledger;
use crate::sync::service::{SyncApi, SyncOptions};
use crate::telemetry::Telemetry;
use admin::Admin;
use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use futures_util::future::{join_all, pending};
use futures_util::{Stream, StreamExt, TryFutureExt as _};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;

/// Keepalive: a connection whose peer does not answer for this long is closed.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The most streams (calls) under way on one connection.
const MAX_STREAMS: u32 = 1_024;
/// Wait before the next connection is taken when one could not be. Without it, a process that is out of file
/// descriptors would spend all its time on failing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    /// Health over HTTP. Absent: only over gRPC.
    pub admin: Option<TcpListener>,
    /// Publishers and followers, and what they are allowed. Absent: there are none.
    pub sync: Option<(Listeners, Arc<Ledger>, SyncOptions)>,
    /// Where all of it is told.
    pub telemetry: Arc<Telemetry>,
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

/// Where questions come in.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Over TCP.
    pub tcp: Option<TcpListener>,
    /// Over a unix socket.
    pub unix: Option<BoundSocket>,
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
    let telemetry = doors.telemetry;
    probes::add(&telemetry.metrics, Arc::clone(&store), Arc::clone(&evaluators), drained.clone());
    let mut sockets = Vec::new();
    let mut servers: Vec<Serving> = Vec::new();
    let mut services = Vec::new();
    if let Some(mut doors) = doors.decisions {
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
        routes.add_service(ExtAuthz::new(gateway(doors.ext_authz)?).into_service());
        let over_http = forward_auth::router(gateway(doors.forward_auth)?);
        let over_http = over_http.merge(authzen::router(api.clone(), doors.authzen));
        routes.add_service(FlowApi::new(api.clone(), tokens).into_service());
        routes.add_service(api.into_service());
        services.extend(ANSWERING);
        let routes = with_standard(routes, health_service.clone())?;
        servers.extend(doors.grpc.serve(&routes, &stopping));
        servers.extend(web::serve(&mut doors.http, &over_http, &stopping));
        sockets.extend([doors.grpc, doors.http]);
    }
    if let Some((mut listeners, ledger, options)) = doors.sync {
        let mut routes = Routes::builder();
        routes.add_service(SyncApi::new(ledger, options, stopping.clone()).into_service());
        services.push(sync_name);
        let routes = with_standard(routes, health_service)?;
        servers.extend(listeners.serve(&routes, &stopping));
        sockets.push(listeners);
    }
    if let Some(listener) = doors.admin {
        let admin = Admin { store: Arc::clone(&store), services, stopping: drained };
        servers.push(Box::pin(admin::serve(listener, admin, stopped(stopping.clone()))));
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
) -> Result<Routes, String> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    routes.add_service(health);
    routes.add_service(reflection().build_v1().map_err(|error| error.to_string())?);
    routes.add_service(reflection().build_v1alpha().map_err(|error| error.to_string())?);
    Ok(routes.routes())
}

type Serving = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

fn failed(error: tonic::transport::Error) -> String {
    format!("a listener failed: {error}")
}

impl Listeners {
    /// A server for each of them.
    fn serve(&mut self, routes: &Routes, stopping: &watch::Receiver<bool>) -> Vec<Serving> {
        let mut servers: Vec<Serving> = Vec::new();
        if let Some(listener) = self.tcp.take() {
            let incoming = patient(TcpListenerStream::new(listener));
            let incoming = incoming.map(|connection| {
                connection.inspect(|connection: &TcpStream| {
                    // Without it, small answers wait for more to send.
                    let _kept_as_it_is = connection.set_nodelay(true);
                })
            });
            let stopped = stopped(stopping.clone());
            let server = server().add_routes(routes.clone());
            servers.push(Box::pin(server.serve_with_incoming_shutdown(incoming, stopped).map_err(failed)));
        }
        if let Some(listener) = self.unix.as_mut().and_then(|socket| socket.listener.take()) {
            let incoming = patient(UnixListenerStream::new(listener));
            let stopped = stopped(stopping.clone());
            let server = server().add_routes(routes.clone());
            servers.push(Box::pin(server.serve_with_incoming_shutdown(incoming, stopped).map_err(failed)));
        }
        servers
    }
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(Some(MAX_STREAMS))
}

/// Takes connections as they come, and pauses when one could not be taken for want of something on this side.
fn patient<C>(
    incoming: impl Stream<Item = io::Result<C>> + Send + 'static,
) -> impl Stream<Item = io::Result<C>> + Send + 'static
where
    C: Send + 'static,
{
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    incoming.then(|connection| async {
        if let Err(error) = &connection
            && !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        {
            tracing::warn!(%error, "a connection cannot be taken");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        connection
    })
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

    #[tokio::test]
    async fn a_listener_out_of_means_pauses_and_goes_on() {
        let out = || io::Error::from_raw_os_error(24);
        let came = futures_util::stream::iter([
            Err(out()),
            Ok(1),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(2),
        ]);
        let start = tokio::time::Instant::now();
        let taken: Vec<io::Result<i32>> = patient(came).collect().await;
        assert!(start.elapsed() >= ACCEPT_PAUSE);
        assert_eq!(taken.into_iter().filter_map(Result::ok).collect::<Vec<_>>(), [1, 2]);
    }
}
