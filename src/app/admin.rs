//! Health over HTTP, for probes and people: `/livez`, `/readyz` and `/healthz`.
//!
//! Must not know: what is decided.

use crate::store::Store;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers, from a configuration that is current.
    Ready,
    /// It answers, from a configuration that may be behind.
    Degraded,
    /// It answers nothing: there is no configuration yet, or it is shutting down.
    NotReady,
}

impl Health {
    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NotReady => "not ready",
        }
    }

    /// How a server over this store is doing.
    pub fn of(store: &Store, stopping: bool) -> Self {
        let snapshot = store.load();
        if stopping || snapshot.is_unset() {
            Self::NotReady
        } else if snapshot.freshness().age().stale {
            Self::Degraded
        } else {
            Self::Ready
        }
    }
}

/// What is asked about over HTTP.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The configuration.
    pub store: Arc<Store>,
    /// The services that are served, by their gRPC names.
    pub services: Vec<&'static str>,
    /// Turns true at shutdown.
    pub stopping: watch::Receiver<bool>,
}

/// Serves until `stopped`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    axum::serve(listener, router(admin))
        .with_graceful_shutdown(stopped)
        .await
        .map_err(|error| format!("admin-listen: {error}"))
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/healthz", get(health))
        .with_state(Arc::new(admin))
}

impl Admin {
    fn health(&self) -> Health {
        Health::of(&self.store, *self.stopping.borrow())
    }

    fn report(&self) -> Value {
        let (health, snapshot) = (self.health(), self.store.load());
        let (version, age) = (snapshot.version(), snapshot.freshness().age());
        // Publishers and followers are served whatever is held.
        let of = |name: &str| match name.ends_with("SyncService") {
            true if *self.stopping.borrow() => Health::NotReady,
            true => Health::Ready,
            false => health,
        };
        let services: serde_json::Map<String, Value> =
            self.services.iter().map(|name| ((*name).to_owned(), json!(of(name).name()))).collect();
        json!({
            "status": health.name(),
            "revision": version.revision,
            "epoch": format!("{:016x}", version.epoch),
            "stale": age.stale,
            "age_seconds": age.age.map(|age| age.as_secs_f64()),
            "services": services,
        })
    }
}

async fn ready(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let health = admin.health();
    let code = if health == Health::NotReady { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, format!("{}\n", health.name()))
}

async fn health(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let code =
        if admin.health() == Health::NotReady { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, [(header::CONTENT_TYPE, "application/json")], format!("{:#}\n", admin.report()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;
    use crate::store::Settings;
    use crate::sync::apply::{Update, apply};
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn health_goes_from_not_ready_to_ready_to_degraded_and_back() {
        let store = Arc::new(Store::new(Settings::default()));
        let (stop, stopping) = watch::channel(false);
        let services = vec!["bindery.v1.DecisionService", "bindery.v1.SyncService"];
        let router = router(Admin { store: Arc::clone(&store), services, stopping });
        assert_eq!(get(&router, "/livez").await.0, 200);
        assert_eq!(get(&router, "/readyz").await, (503, "not ready\n".to_owned()));
        let group = v1::Group { name: "staff".into(), ..Default::default() };
        let group = v1::Resource { resource: Some(v1::resource::Resource::Group(group)) };
        apply(&store, Update::Replace(vec![group])).unwrap();
        assert_eq!(get(&router, "/readyz").await, (200, "ready\n".to_owned()));
        store.load().freshness().fall_behind();
        assert_eq!(get(&router, "/readyz").await, (200, "degraded\n".to_owned()));
        let (code, report) = get(&router, "/healthz").await;
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((code, &report["revision"], &report["stale"]), (200, &json!(1), &json!(true)));
        assert_eq!(report["services"]["bindery.v1.SyncService"], json!("ready"));
        assert_eq!(report["services"]["bindery.v1.DecisionService"], json!("degraded"));
        stop.send_replace(true);
        assert_eq!(get(&router, "/healthz").await.0, 503);
        assert_eq!(get(&router, "/nothing").await.0, 404);
    }
}
