//! What Envoy says of a request.
//!
//! Must not know: how a request is judged.

use super::super::ask::Failure;
use super::super::gateway::asked::{Asked, AskedHttp, Headers};
use crate::identity::Peer;
use crate::model::TargetRef;
use envoy_types::ext_authz::v3::pb::{Address, CheckRequest};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use serde_json::Value as Json;
use std::net::IpAddr;

/// Keys of `context_extensions` that are bindery's. Others belong to somebody else and are left alone.
const OURS: &str = "bindery.";
const TARGET: &str = "bindery.target";
const ANONYMOUS: &str = "bindery.anonymous";
/// The filter that verifies tokens, and the name of its metadata.
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";
/// What a request is known by in logs.
const REQUEST_ID: &str = "x-request-id";
/// Whether Envoy sent only a part of a body.
const PARTIAL: &str = "x-envoy-auth-partial-body";
/// How deep claims may be nested, and how many values they may have.
const MAX_DEPTH: usize = 16;
const MAX_VALUES: usize = 10_000;

/// A request of Envoy in the form of all gateways.
///
/// # Errors
/// When Envoy is configured in a way that leaves open what is asked.
pub(super) fn asked(message: CheckRequest) -> Result<Asked, Failure> {
    let Some(attributes) = message.attributes else {
        return Err(Failure::argument("attributes", "missing; this is no request of Envoy"));
    };
    let mut asked = Asked::default();
    for (key, value) in attributes.context_extensions {
        let field = format!("attributes.context_extensions.{key}");
        match key.as_str() {
            TARGET => {
                let target = value.parse::<TargetRef>();
                asked.target = Some(target.map_err(|what| Failure::argument(&field, &what))?);
            }
            ANONYMOUS => {
                asked.anonymous = value.parse().map_err(|_| {
                    Failure::argument(&field, "is neither `true` nor `false`; write one of them")
                })?;
            }
            key if key.starts_with(OURS) => {
                let text = format!("is not known; bindery's are {TARGET} and {ANONYMOUS}");
                return Err(Failure::argument(&field, &text));
            }
            _ => {}
        }
    }
    if let Some(source) = attributes.source {
        match source.address.and_then(|address| address.address) {
            Some(Address::SocketAddress(socket)) => {
                asked.client = socket.address.parse::<IpAddr>().ok().map(|address| address.to_canonical());
                asked.peer = Peer { address: asked.client, unix: false };
            }
            Some(Address::Pipe(_)) => asked.peer = Peer { address: None, unix: true },
            Some(_) | None => {}
        }
        asked.principal = Some(source.principal).filter(|it| !it.is_empty());
    }
    asked.sni = attributes.tls_session.map(|session| session.sni).filter(|it| !it.is_empty());
    if let Some(metadata) = attributes.metadata_context
        && let Some(verified) = metadata.filter_metadata.into_iter().find(|(name, _)| name == JWT_AUTHN)
    {
        let mut left = MAX_VALUES;
        let claims = map(verified.1, MAX_DEPTH, &mut left).ok_or_else(|| {
            Failure::argument("attributes.metadata_context", "has too much in it; send less")
        })?;
        asked.claims = Some(claims);
    }
    if let Some(http) = attributes.request.and_then(|request| request.http) {
        // Envoy's own id of the stream is in no log. What it logs and passes on is this header, which it makes itself unless
        // it is told to believe clients.
        let stream = http.id.clone();
        let http = read_http(http)?;
        asked.id = http.header(REQUEST_ID).filter(|id| !id.is_empty()).map_or(stream, str::to_owned);
        asked.http = Some(http);
    }
    Ok(asked)
}

fn read_http(http: HttpRequest) -> Result<AskedHttp, Failure> {
    let mut headers = Headers::default();
    match http.header_map {
        Some(map) if !map.headers.is_empty() => {
            for header in map.headers {
                let is_raw = !header.raw_value.is_empty();
                let value = if is_raw { header.raw_value } else { header.value.into_bytes() };
                headers.push(header.key, value);
            }
        }
        // Every request has some, `:path` among them.
        _ if http.headers.is_empty() => {
            let text = "there are none, so nothing of the request can be believed; let Envoy send them";
            return Err(Failure::argument("attributes.request.http.headers", text));
        }
        _ => {
            headers.mark_joined();
            for (name, value) in http.headers {
                headers.push(name, value.into_bytes());
            }
        }
    }
    let body = if http.raw_body.is_empty() { http.body.into_bytes() } else { http.raw_body };
    // Envoy says so beside what the client may have said under this name.
    let is_cut = !body.is_empty() && headers.all(PARTIAL).any(|value| value != b"false");
    Ok(AskedHttp {
        method: http.method,
        scheme: http.scheme,
        host: http.host,
        target: http.path,
        headers,
        body,
        is_cut,
    })
}

/// Data as JSON; nothing when it is too deep or too much.
fn map(data: Struct, depth: usize, left: &mut usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let entry = |(key, data): (String, Value)| Some((key, value(data, depth, left)?));
    data.fields.into_iter().map(entry).collect::<Option<_>>().map(Json::Object)
}

fn value(data: Value, depth: usize, left: &mut usize) -> Option<Json> {
    *left = left.checked_sub(1)?;
    Some(match data.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(truth)) => Json::Bool(truth),
        Some(Kind::NumberValue(number)) => number_of(number),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => {
            let depth = depth.checked_sub(1)?;
            let items = list.values.into_iter().map(|item| value(item, depth, left));
            Json::Array(items.collect::<Option<_>>()?)
        }
        Some(Kind::StructValue(data)) => map(data, depth, left)?,
    })
}

/// A whole number stays one, as it was in the token.
fn number_of(number: f64) -> Json {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
    let is_whole = number.abs() < 9_007_199_254_740_992.0 && whole as f64 == number;
    if is_whole { Json::from(whole) } else { Json::from(number) }
}
