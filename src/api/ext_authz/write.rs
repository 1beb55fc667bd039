//! What Envoy is to do, in its messages.
//!
//! An answer is put together whole, field by field: to Envoy, an answer without a status lets a request through. Must not
//! know: how a request is judged.

use super::super::gateway::Facts;
use super::super::gateway::asked::Asked;
use super::super::gateway::reason::Why;
use crate::proto::value::rfc3339;
use envoy_types::ext_authz::v3::pb::{
    CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue, HeaderValueOption, HttpResponse,
    HttpStatus, OkHttpResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc;
use tonic::Code;

type Fields = Vec<(&'static str, String)>;

/// Lets a request through.
pub(super) fn pass(
    asked: &Asked,
    facts: &Facts,
    set: Vec<(String, String)>,
    remove: Vec<String>,
) -> CheckResponse {
    // A connection has no headers, and Envoy takes none for it.
    let http_response = asked.http.as_ref().map(|_| {
        HttpResponse::OkResponse(OkHttpResponse {
            headers: set.into_iter().map(|(name, value)| header(&name, value)).collect(),
            headers_to_remove: remove,
            ..Default::default()
        })
    });
    CheckResponse { status: said(Code::Ok, facts), dynamic_metadata: metadata(facts, "allow"), http_response }
}

/// Answers a request instead of the application.
pub(super) fn stop(
    asked: &Asked,
    facts: &Facts,
    status: u16,
    headers: Fields,
    body: String,
) -> CheckResponse {
    let code = match facts.why {
        Why::NotSignedIn | Why::NotBelieved(_) => Code::Unauthenticated,
        _ => Code::PermissionDenied,
    };
    let http_response =
        asked.http.as_ref().map(|_| HttpResponse::DeniedResponse(answer(status, headers, body)));
    CheckResponse { status: said(code, facts), dynamic_metadata: metadata(facts, "deny"), http_response }
}

/// Says that it could not be decided.
pub(super) fn error(
    asked: &Asked,
    facts: &Facts,
    status: u16,
    headers: Fields,
    body: String,
) -> CheckResponse {
    let http_response =
        asked.http.as_ref().map(|_| HttpResponse::ErrorResponse(answer(status, headers, body)));
    CheckResponse {
        status: said(Code::Unavailable, facts),
        dynamic_metadata: metadata(facts, "error"),
        http_response,
    }
}

fn said(code: Code, facts: &Facts) -> Option<rpc::Status> {
    Some(rpc::Status { code: i32::from(code), message: facts.why.word().to_owned(), details: Vec::new() })
}

fn answer(status: u16, headers: Fields, body: String) -> DeniedHttpResponse {
    DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(status) }),
        headers: headers.into_iter().map(|(name, value)| header(name, value)).collect(),
        body,
    }
}

fn header(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, raw_value: Vec::new() }),
        // Envoys that only know `append` overwrite where it is absent.
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}

fn metadata(facts: &Facts, decision: &str) -> Option<Struct> {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    #[expect(
        clippy::cast_precision_loss,
        reason = "metadata has no other numbers; exact up to 2^53 revisions"
    )]
    let revision = facts.revision as f64;
    let mut fields = vec![
        ("decision", text(decision)),
        ("decision_id", text(&facts.decision_id)),
        ("reason", text(facts.why.word())),
        ("revision", Value { kind: Some(Kind::NumberValue(revision)) }),
        ("route", text(&facts.route)),
        ("stale", Value { kind: Some(Kind::BoolValue(facts.stale)) }),
        ("target", text(&facts.target)),
    ];
    if let Some(moment) = facts.valid_until.and_then(rfc3339) {
        fields.push(("valid_until", text(&moment)));
    }
    Some(Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() })
}
