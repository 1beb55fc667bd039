//! Answers as AuthZEN has them: decisions with their context, pages, and errors.
//!
//! Must not know: how an answer came about.

use super::settings::AuthzenSettings;
use crate::api::ask::Failure;
use crate::api::ids::Ids;
use crate::api::status::{http, reason};
use crate::proto::v1;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// A decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Decision {
    pub(super) decision: bool,
    pub(super) context: Map<String, Json>,
}

/// Decisions, in the order of the questions.
#[derive(Debug, Serialize)]
pub(super) struct Decisions {
    pub(super) evaluations: Vec<Decision>,
}

/// Results of a search.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) page: PageReply,
    pub(super) context: Map<String, Json>,
    pub(super) results: Vec<Json>,
}

/// Where in all results these are.
#[derive(Debug, Serialize)]
pub(super) struct PageReply {
    /// Empty at the end.
    pub(super) next_token: String,
    pub(super) count: usize,
}

/// Why there is no answer to a whole call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) field: String,
    pub(super) message: String,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let status = StatusCode::from_u16(http(failure.code)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, reason: reason(&failure), field: failure.field, message: failure.message }
    }
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, field: String::new(), message: message.into() }
    }

    fn json(&self) -> Json {
        let mut error = Map::new();
        error.insert("status".to_owned(), json!(self.status.as_u16()));
        error.insert("reason".to_owned(), json!(self.reason));
        if !self.field.is_empty() {
            error.insert("field".to_owned(), json!(self.field));
        }
        error.insert("message".to_owned(), json!(self.message));
        Json::Object(error)
    }

    /// As the answer to a call.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = response(self.status, &json!({"error": self.json()}));
        if self.status == StatusCode::SERVICE_UNAVAILABLE || self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What every answer says of itself.
pub(super) fn about(ids: &Ids, revision: u64) -> Map<String, Json> {
    let mut context = Map::new();
    context.insert("id".to_owned(), json!(ids.next()));
    context.insert("revision".to_owned(), json!(revision));
    context
}

/// The decision of an answer.
pub(super) fn decided(answer: v1::CheckResponse, settings: &AuthzenSettings, ids: &Ids) -> Decision {
    let decision = answer.decision() == v1::Decision::Allow;
    let mut context = about(ids, answer.revision);
    if answer.stale {
        context.insert("stale".to_owned(), json!(true));
    }
    if let Some(moment) = &answer.valid_until {
        context.insert("valid_until".to_owned(), json!(moment.to_string()));
    }
    if settings.show_messages && !answer.messages.is_empty() {
        if !decision {
            context.insert("reason_user".to_owned(), json!({"403": answer.messages.join("\n")}));
        }
        context.insert("messages".to_owned(), json!(answer.messages));
    }
    if let Some(explanation) = answer.explanation.filter(|_| !decision) {
        let name = explanation.reason().as_str_name();
        let name = name.strip_prefix("REASON_").unwrap_or(name).to_ascii_lowercase();
        context.insert("reason".to_owned(), json!(name));
        context.insert("reason_admin".to_owned(), json!({"403": explanation.summary}));
    }
    Decision { decision, context }
}

/// The denial of somebody who is switched off.
pub(super) fn inactive(revision: u64, ids: &Ids) -> Decision {
    let mut context = about(ids, revision);
    explain_inactive(&mut context);
    Decision { decision: false, context }
}

/// Why somebody who is switched off reaches nothing.
pub(super) fn explain_inactive(context: &mut Map<String, Json>) {
    context.insert("reason".to_owned(), json!("inactive_user"));
    context
        .insert("reason_admin".to_owned(), json!({"403": "the directory says that the user is not active"}));
}

/// The denial of what could not be decided.
pub(super) fn undecided(failure: Failure, revision: u64, ids: &Ids) -> Decision {
    let mut context = about(ids, revision);
    context.insert("error".to_owned(), Refusal::from(failure).json());
    Decision { decision: false, context }
}

/// A failure in the context of an answer that has nothing else to say.
pub(super) fn error(failure: Failure) -> Json {
    Refusal::from(failure).json()
}

/// An answer with a body.
pub(super) fn response(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let (status, body) = match serde_json::to_vec(body) {
        Ok(body) => (status, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What was decided for one moment is nothing to keep.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
