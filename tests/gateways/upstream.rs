//! An application behind a gateway: it answers with what arrived at it, and counts.
//!
//! Must not know: who asks, and through what.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

const LARGEST: usize = 1 << 20;

/// The application. It ends with this.
pub(crate) struct Upstream {
    pub(crate) port: u16,
    arrived: Arc<AtomicUsize>,
    _stop: oneshot::Sender<()>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let arrived = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&arrived));
        // A runtime of its own, so that it answers whatever the test is busy with.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { port, arrived, _stop: stop }
    }

    /// How many requests have arrived.
    pub(crate) fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }
}

async fn answer(State(arrived): State<Arc<AtomicUsize>>, mut request: Request) -> Response {
    arrived.fetch_add(1, Ordering::SeqCst);
    if request.headers().get(header::UPGRADE).is_some_and(|value| value == "websocket") {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { echo(TokioIo::new(upgrade.await.unwrap())).await });
        // What RFC 6455 has for the key of its example; some gateways look at it.
        let headers = [
            (header::UPGRADE, "websocket"),
            (header::CONNECTION, "upgrade"),
            (header::SEC_WEBSOCKET_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        return (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    }
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    let body = to_bytes(std::mem::replace(request.body_mut(), Body::empty()), LARGEST).await.unwrap();
    let seen = json!({"method": method, "target": target, "headers": headers, "body": body.len()});
    ([(header::CONTENT_TYPE, "application/json"), (header::SERVER, "upstream")], seen.to_string())
        .into_response()
}

/// Sends back what comes.
async fn echo(mut connection: TokioIo<hyper::upgrade::Upgraded>) {
    let mut piece = [0; 1024];
    while let Ok(size @ 1..) = connection.read(&mut piece).await {
        if connection.write_all(&piece[..size]).await.is_err() {
            return;
        }
    }
}
