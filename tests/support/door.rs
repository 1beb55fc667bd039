//! AuthZEN's door over a configuration: in this process, or behind a port of this machine.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, response};
use bindery::api::authzen::{AuthzenSettings, router};
use bindery::api::decision::DecisionApi;
use bindery::evaluators::Evaluators;
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use bindery::sync::source::{SourceSpec, load};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value as Json;
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt as _;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Json,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// What is wrong, of an answer that is an error.
    pub(crate) fn error(&self) -> (u16, &str, &str, &str) {
        let error = &self.body["error"];
        assert_eq!(error["status"], self.status, "{self:?}");
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        (self.status, text("reason"), text("field"), text("message"))
    }
}

/// The settings of these lines.
pub(crate) fn settings(toml: &str) -> AuthzenSettings {
    toml::from_str(toml).unwrap()
}

/// A store with these resources.
pub(crate) fn store(resources: Vec<v1::Resource>) -> Arc<Store> {
    let store = Arc::new(Store::new(Settings::default()));
    put(&store, resources);
    store
}

pub(crate) fn put(store: &Store, resources: Vec<v1::Resource>) {
    apply(store, Update::Replace(resources)).unwrap();
}

/// The resources of a bundle of the tests.
pub(crate) fn bundle(name: &str) -> Vec<v1::Resource> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authzen").join(name);
    load(&SourceSpec::of(vec![path])).unwrap().into_parts().0
}

/// The resources of a bundle that is written in place.
pub(crate) fn written(yaml: &str) -> Vec<v1::Resource> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bundle.yaml");
    std::fs::write(&path, yaml).unwrap();
    load(&SourceSpec::of(vec![path])).unwrap().into_parts().0
}

pub(crate) fn door(store: &Arc<Store>, settings: AuthzenSettings) -> Router {
    router(DecisionApi::new(Arc::clone(store), Arc::new(Evaluators::default())), settings)
}

/// Serves on a port of this machine until the test is over; the address.
pub(crate) async fn serve(door: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, door).await.unwrap() });
    format!("http://{address}")
}

/// Sends a request over the wire.
pub(crate) async fn over_wire(request: Request<Full<bytes::Bytes>>) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    read(parts, body.collect().await.unwrap().to_bytes())
}

/// Hands a request to the door in this process.
pub(crate) async fn hand(door: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = door.clone().oneshot(request).await.unwrap().into_parts();
    read(parts, body.collect().await.unwrap().to_bytes())
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// Posts JSON in this process.
pub(crate) async fn ask(door: &Router, path: &str, body: &Json) -> Answer {
    hand(door, post(path, body.to_string())).await
}

fn read(parts: response::Parts, body: bytes::Bytes) -> Answer {
    let body = match body.is_empty() {
        true => Json::Null,
        false => serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))),
    };
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}
