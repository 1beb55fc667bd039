//! What operators look at and change, over HTTP: health for probes and people (`/livez`, `/readyz`, `/healthz`), what runs
//! (`/build`, `/config`), what is logged (`/log-level`) and where time goes (`/profile`).
//!
//! Must not know: what is decided, who may call this.

mod profile;

use crate::store::Store;
use crate::telemetry::metrics::Format;
use crate::telemetry::{Level, Metrics};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
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
    /// What there is beside health.
    pub operation: Operation,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What operators see and change beside health.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// The settings in force, without anything secret, as JSON.
    pub settings: Value,
    /// What is logged. Absent: that cannot be changed.
    pub level: Option<Level>,
}

/// The routes.
pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/build", get(build))
        .route("/config", get(config))
        .route("/log-level", get(log_level).put(set_log_level))
        .route("/profile", get(profile))
        .with_state(Arc::new(admin))
}

/// Everything that is counted, as text for Prometheus, in the newer form for those who ask for it.
async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()));
    match admin.metrics.text(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response(),
    }
}

/// What was built.
async fn build() -> impl IntoResponse {
    let report = json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "target": env!("BINDERY_TARGET"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    });
    ([(header::CONTENT_TYPE, "application/json")], format!("{report:#}\n"))
}

async fn config(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], format!("{:#}\n", admin.operation.settings))
}

async fn log_level(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    match &admin.operation.level {
        Some(level) => (StatusCode::OK, format!("{}\n", level.get())),
        None => (StatusCode::NOT_IMPLEMENTED, "what is logged cannot be changed here\n".to_owned()),
    }
}

async fn set_log_level(State(admin): State<Arc<Admin>>, filter: String) -> (StatusCode, String) {
    let Some(level) = &admin.operation.level else {
        return (StatusCode::NOT_IMPLEMENTED, "what is logged cannot be changed here\n".to_owned());
    };
    let (before, filter) = (level.get(), filter.trim());
    match level.set(filter) {
        Ok(()) => {
            tracing::warn!(before, now = filter, "what is logged was changed");
            (StatusCode::OK, format!("{filter}\n"))
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

/// How long to look where time goes.
#[derive(Debug, Deserialize)]
struct ProfileQuery {
    #[serde(default = "ten")]
    seconds: u64,
}

const fn ten() -> u64 {
    10
}

/// Where the time of this process goes, looked at a hundred times a second, in the format of pprof.
async fn profile(query: Result<Query<ProfileQuery>, QueryRejection>) -> Response {
    let bad =
        |text: &str| (StatusCode::BAD_REQUEST, format!("seconds: {text}; write 1 to 60\n")).into_response();
    let Ok(Query(ProfileQuery { seconds })) = query else { return bad("is no number") };
    if !(1..=60).contains(&seconds) {
        return bad(&format!("{seconds} is not between 1 and 60"));
    }
    match profile::take(Duration::from_secs(seconds)).await {
        Ok(profile) => {
            let name = "attachment; filename=\"bindery.pb\"";
            let headers =
                [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, name)];
            (headers, profile).into_response()
        }
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
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
        let router = router(Admin {
            store: Arc::clone(&store),
            services,
            stopping,
            operation: Operation::default(),
            metrics: Arc::default(),
        });
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
