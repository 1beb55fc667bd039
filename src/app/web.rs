//! Questions over HTTP: the listeners of forward authentication.
//!
//! Must not know: what is asked.

use super::{Listeners, Serving, stopped};
use crate::api::forward_auth::Caller;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;

/// Over TCP, without waiting for more to send.
struct Prompt(TcpListener);

impl Listener for Prompt {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (connection, address) = Listener::accept(&mut self.0).await;
        let _kept_as_it_is = connection.set_nodelay(true);
        (connection, address)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Prompt>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Prompt>) -> Self {
        Self { address: Some(stream.remote_addr().ip()) }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(_: IncomingStream<'_, UnixListener>) -> Self {
        Self { address: None }
    }
}

/// A server for each of the listeners.
pub(super) fn serve(
    listeners: &mut Listeners,
    routes: &Router,
    stopping: &watch::Receiver<bool>,
) -> Vec<Serving> {
    let mut servers: Vec<Serving> = Vec::new();
    let service = || routes.clone().into_make_service_with_connect_info::<Caller>();
    let failed = |error: std::io::Error| format!("a listener for HTTP failed: {error}");
    if let Some(listener) = listeners.tcp.take() {
        let server = axum::serve(Prompt(listener), service());
        let server = server.with_graceful_shutdown(stopped(stopping.clone())).into_future();
        servers.push(Box::pin(async move { server.await.map_err(failed) }));
    }
    if let Some(listener) = listeners.unix.as_mut().and_then(|socket| socket.listener.take()) {
        let server = axum::serve(listener, service());
        let server = server.with_graceful_shutdown(stopped(stopping.clone())).into_future();
        servers.push(Box::pin(async move { server.await.map_err(failed) }));
    }
    servers
}
