//! Puts requests to a server as Envoy would.
//!
//! Must not know: what must become of them.

use super::Seen;
use super::requests::Attack;
use crate::tls::client::{self as server, Link};
use envoy_types::ext_authz::v3::pb::{Address, CheckRequest, HeaderValue, HttpResponse};
use envoy_types::pb::envoy::config::core::v3::{self as core, HeaderMap, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request, TlsSession};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::google::protobuf::value::Kind;
use std::time::Duration;
use tonic::Code;
use tonic::transport::Endpoint;

/// How long a server may take for one request.
const DEADLINE: Duration = Duration::from_secs(10);

/// A server that is attacked.
pub(super) struct Server {
    client: AuthorizationClient<Link>,
    address: String,
}

impl Server {
    pub(super) async fn connect(server: server::Server) -> Result<Self, String> {
        let server::Server { address, credentials } = server;
        let endpoint = Endpoint::from_shared(address.clone());
        let endpoint = endpoint.map_err(|error| format!("`{address}` is no address: {error}"))?;
        let channel = credentials.connect(endpoint, DEADLINE).await;
        let channel = channel.map_err(|error| format!("nobody answers at `{address}`: {error}"))?;
        Ok(Self { client: AuthorizationClient::new(channel), address })
    }

    /// Asks, with headers as a list (`raw`) or as a map.
    pub(super) async fn ask(&mut self, attack: &Attack, raw: bool) -> Result<Seen, String> {
        let call = tokio::time::timeout(DEADLINE, self.client.check(message(attack, raw)));
        let answer = match call.await {
            Err(_) => {
                return Err(format!(
                    "`{}` did not answer `{}` within {DEADLINE:?}",
                    self.address, attack.name
                ));
            }
            // Whoever cannot decide lets nobody through, as long as the gateway fails closed.
            Ok(Err(status))
                if matches!(status.code(), Code::Unimplemented | Code::Unknown | Code::Cancelled) =>
            {
                return Err(format!("`{}`: {}", self.address, status.message()));
            }
            Ok(Err(status)) => {
                let what = format!("error {:?}: {}", status.code(), status.message());
                return Ok(Seen { what, ..Seen::default() });
            }
            Ok(Ok(answer)) => answer.into_inner(),
        };
        let metadata = answer.dynamic_metadata.unwrap_or_default();
        let reason = metadata.fields.get("reason").and_then(|value| match &value.kind {
            Some(Kind::StringValue(text)) => Some(text.clone()),
            _ => None,
        });
        // To Envoy, no status is OK.
        let code = answer.status.unwrap_or_default().code;
        let (mut what, mut went_on) = (format!("status {code}"), None);
        match answer.http_response {
            Some(HttpResponse::OkResponse(ok)) if code == 0 => {
                let mut headers = sent(attack);
                headers.retain(|(name, _)| !ok.headers_to_remove.iter().any(|gone| gone == name));
                for option in ok.headers {
                    let Some(header) = option.header else { continue };
                    headers.retain(|(name, _)| *name != header.key);
                    let raw = String::from_utf8_lossy(&header.raw_value).into_owned();
                    headers.push((header.key, if raw.is_empty() { header.value } else { raw }));
                }
                went_on = Some(headers);
            }
            Some(HttpResponse::DeniedResponse(denied)) => {
                what = format!("HTTP {}", denied.status.map_or(403, |status| status.code));
            }
            _ => {}
        }
        Ok(Seen { allowed: code == 0, reason, what, went_on })
    }
}

/// The headers as Envoy has them: names in lower case, those of the request itself among them.
fn sent(attack: &Attack) -> Vec<(String, String)> {
    let own = [(":method", &attack.method), (":path", &attack.path), (":authority", &attack.host)];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.clone()));
    own.chain(attack.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))).collect()
}

fn message(attack: &Attack, raw: bool) -> CheckRequest {
    let mut http = HttpRequest {
        id: "attack".to_owned(),
        method: attack.method.clone(),
        path: attack.path.clone(),
        host: attack.host.clone(),
        scheme: "https".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        body: attack.body.clone(),
        ..HttpRequest::default()
    };
    match (attack.no_headers, raw) {
        (true, _) => {}
        (false, true) => {
            let header = |(key, value): (String, String)| HeaderValue {
                key,
                raw_value: value.into_bytes(),
                ..HeaderValue::default()
            };
            http.header_map = Some(HeaderMap { headers: sent(attack).into_iter().map(header).collect() });
        }
        (false, false) => http.headers = sent(attack).into_iter().collect(),
    }
    let client = SocketAddress { address: "203.0.113.9".to_owned(), ..SocketAddress::default() };
    let source = Peer {
        address: Some(core::Address { address: Some(Address::SocketAddress(client)) }),
        principal: attack.principal.clone().unwrap_or_default(),
        ..Peer::default()
    };
    let target = attack.target.iter().map(|target| ("bindery.target".to_owned(), target.clone()));
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            request: Some(Request { http: Some(http), ..Request::default() }),
            context_extensions: target.collect(),
            tls_session: attack.sni.clone().map(|sni| TlsSession { sni }),
            ..AttributeContext::default()
        }),
    }
}
