//! AuthZEN over HTTP: the Authorization API 1.0 of the OpenID Foundation, as a front door.
//!
//! Subjects are users or the anonymous one, resources are targets by kind and name, and there is one right: to reach the
//! target. An action's name is handed to policies, which may tell actions apart. Must not know: evaluation rules.

mod asked;
mod evaluate;
mod json;
mod page;
mod reply;
mod search;
mod settings;

pub use settings::{AuthzenSettings, MAX_ACTIONS, MAX_CANDIDATES, MAX_PAGE, MAX_PAGE_MS, MAX_TYPES};

use super::decision::DecisionApi;
use super::ids::Ids;
use super::list::Lists;
use crate::model::Value;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodRouter, get, post};
use http_body_util::LengthLimitError;
use reply::{Refusal, response};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The largest body that is taken, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The longest request id that comes back, in bytes.
pub const MAX_REQUEST_ID: usize = 256;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Where the metadata is found.
const WELL_KNOWN: &str = "/.well-known/authzen-configuration";
const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const SUBJECTS: &str = "/access/v1/search/subject";
const RESOURCES: &str = "/access/v1/search/resource";
const ACTIONS: &str = "/access/v1/search/action";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every call needs.
#[derive(Debug)]
struct Desk {
    api: DecisionApi,
    settings: AuthzenSettings,
    lists: Lists,
    ids: Ids,
}

type Shared = State<Arc<Desk>>;

/// The routes of AuthZEN: five under `/access/v1`, and the metadata.
pub fn router(api: DecisionApi, settings: AuthzenSettings) -> Router {
    let path = settings.base.as_ref().map(|base| base.path.clone()).unwrap_or_default();
    let desk = Arc::new(Desk { api, settings, lists: Lists::default(), ids: Ids::default() });
    let mut router = Router::new()
        .route(EVALUATION, only_post(post(evaluation)))
        .route(EVALUATIONS, only_post(post(evaluations)))
        .route(SUBJECTS, only_post(post(subjects)))
        .route(RESOURCES, only_post(post(resources)))
        .route(ACTIONS, only_post(post(actions)))
        .route(WELL_KNOWN, only_get(get(metadata)));
    if !path.is_empty() {
        // A path of the base URL stands behind the well-known one.
        router = router.route(&format!("{WELL_KNOWN}{path}"), only_get(get(metadata)));
    }
    router.layer(from_fn(identified)).with_state(desk)
}

async fn evaluation(State(desk): Shared, request: Request) -> Response<Body> {
    let headers = request.headers().clone();
    let answer = async { evaluate::evaluation(&desk, &read(request).await?, &headers).await };
    answered(answer.await)
}

async fn evaluations(State(desk): Shared, request: Request) -> Response<Body> {
    let headers = request.headers().clone();
    let answer = async { evaluate::evaluations(&desk, &read(request).await?, &headers).await };
    match answer.await {
        Ok(Ok(many)) => response(StatusCode::OK, &many),
        Ok(Err(one)) => response(StatusCode::OK, &one),
        Err(refusal) => refusal.response(),
    }
}

async fn subjects(State(desk): Shared, request: Request) -> Response<Body> {
    let answer = async { search::subjects(&desk, &read(request).await?).await };
    answered(answer.await)
}

async fn resources(State(desk): Shared, request: Request) -> Response<Body> {
    let answer = async { search::resources(&desk, &read(request).await?).await };
    answered(answer.await)
}

async fn actions(State(desk): Shared, request: Request) -> Response<Body> {
    let answer = async { search::actions(&desk, &read(request).await?).await };
    answered(answer.await)
}

fn answered(answer: Result<impl Serialize, Refusal>) -> Response<Body> {
    match answer {
        Ok(answer) => response(StatusCode::OK, &answer),
        Err(refusal) => refusal.response(),
    }
}

/// Where everything is found. Only as configured: a host that a request names may be anybody's.
async fn metadata(State(desk): Shared) -> Response<Body> {
    let Some(base) = &desk.settings.base else {
        let text = "there is no base_url in the settings, and addresses are never taken from a request; set it to where \
                    this server is found";
        return Refusal::new(StatusCode::NOT_FOUND, "NO_BASE_URL", text).response();
    };
    let at = |path: &str| format!("{}{path}", base.url);
    let mut document = json!({
        "policy_decision_point": base.url,
        "access_evaluation_endpoint": at(EVALUATION),
        "access_evaluations_endpoint": at(EVALUATIONS),
        "search_action_endpoint": at(ACTIONS),
    });
    // Where only a part is held there is nothing to search.
    if let Some(document) = document.as_object_mut().filter(|_| !desk.api.is_partial()) {
        document.insert("search_subject_endpoint".to_owned(), json!(at(SUBJECTS)));
        document.insert("search_resource_endpoint".to_owned(), json!(at(RESOURCES)));
    }
    let mut response = response(StatusCode::OK, &document);
    let hour = HeaderValue::from_static("max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, hour);
    response
}

/// The object that a call sends.
async fn read(request: Request) -> Result<Value, Refusal> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let text = "send the body as JSON, with the header `content-type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NOT_JSON", text));
    }
    let body = tokio::time::timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await.map_err(|_| {
        let text = format!("the body did not arrive within {BODY_TIME:?}; send it at once");
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "TOO_SLOW", text)
    })?;
    let body = body.map_err(|error| {
        let too_much =
            std::error::Error::source(&error).is_some_and(|source| source.is::<LengthLimitError>());
        match too_much {
            true => {
                let text = format!("the body has more than {MAX_BODY} bytes; send less at a time");
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MUCH", text)
            }
            false => {
                Refusal::new(StatusCode::BAD_REQUEST, "INVALID_QUESTION", "the body broke off; send it again")
            }
        }
    })?;
    let wrong = |text: String| Refusal::new(StatusCode::BAD_REQUEST, "INVALID_QUESTION", text);
    match json::read(&body).map_err(wrong)? {
        object @ Value::Map(_) => Ok(object),
        _ => Err(wrong("the body is no JSON object; send one".to_owned())),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn only_post(methods: MethodRouter<Arc<Desk>>) -> MethodRouter<Arc<Desk>> {
    methods.fallback(async |method: Method| not_allowed(&method, "POST"))
}

fn only_get(methods: MethodRouter<Arc<Desk>>) -> MethodRouter<Arc<Desk>> {
    methods.fallback(async |method: Method| not_allowed(&method, "GET, HEAD"))
}

fn not_allowed(method: &Method, allowed: &'static str) -> Response<Body> {
    let method: String = method.as_str().chars().take(16).collect();
    let text = format!("`{method}` is not offered here; use {allowed}");
    let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "WRONG_METHOD", text).response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Hands the caller's request id back. One that is long or has odd signs is left out, since another would be none.
async fn identified(request: Request, next: Next) -> Response<Body> {
    let id = {
        let mut ids = request.headers().get_all(REQUEST_ID).iter();
        let only = match (ids.next(), ids.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        };
        let is_plain = |id: &&HeaderValue| {
            (1..=MAX_REQUEST_ID).contains(&id.len())
                && id.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte))
        };
        only.filter(is_plain).cloned()
    };
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
