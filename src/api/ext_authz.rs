//! Envoy's external authorization, `envoy.service.auth.v3.Authorization`.
//!
//! Must not know: how a request is judged.

mod read;
mod write;

use super::ask::Failure;
use super::gateway::Gateway;
use super::gateway::asked::Asked;
use super::gateway::reason::Why;
use super::gateway::settings::OnError;
use super::gateway::{Facts, Judgement, Verdict};
use super::note::{Noting, Told, room};
use super::status::status;
use crate::telemetry::labels::{Door, GatewayDoor, GatewayReason};
use crate::telemetry::trace::{Call, TRACEPARENT, Trace};
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use std::sync::Arc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// The largest message that is taken, in bytes. A request that does not fit is an error to Envoy, whose failure mode
/// applies.
pub const MAX_MESSAGE: usize = 4 << 20;

/// Answers Envoy.
#[derive(Clone, Debug)]
pub struct ExtAuthz {
    gateway: Arc<Gateway>,
}

impl ExtAuthz {
    /// Answers as this gateway judges.
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// As a service for a server, with its limits.
    pub fn into_service(self) -> AuthorizationServer<Self> {
        AuthorizationServer::new(self).max_decoding_message_size(MAX_MESSAGE)
    }

    /// The answer to a message of Envoy.
    ///
    /// # Errors
    /// When it could not be decided, and the door's setting is a status for that.
    pub async fn answer(&self, request: CheckRequest) -> Result<CheckResponse, Status> {
        self.answer_traced(request, &MetadataMap::new()).await
    }

    /// The span of a message. Envoy sends its own span for this call in the metadata, where it traces; the headers of the
    /// checked request have no more than the client's, since Envoy adds its own to them only on their way to the
    /// application. So metadata count more, and headers where there is nothing in them.
    fn trace(&self, request: &CheckRequest, metadata: &MetadataMap) -> Option<Box<Trace>> {
        let traces = self.gateway.telemetry().traces.as_ref()?;
        let call = Call::Grpc("envoy.service.auth.v3.Authorization", "Check");
        if metadata.contains_key(TRACEPARENT) {
            return traces.begin(call, |name| metadata.get(name).and_then(|value| value.to_str().ok()));
        }
        let checked = request.attributes.as_ref().and_then(|it| it.request.as_ref()?.http.as_ref());
        let header = |name: &str| {
            let http = checked?;
            let listed = || {
                let all = http.header_map.as_ref()?.headers.iter();
                all.clone().find(|header| header.key.eq_ignore_ascii_case(name))
            };
            http.headers.get(name).map(String::as_str).or_else(|| {
                let header = listed()?;
                if header.raw_value.is_empty() {
                    Some(header.value.as_str())
                } else {
                    std::str::from_utf8(&header.raw_value).ok()
                }
            })
        };
        traces.begin(call, header)
    }

    async fn answer_traced(
        &self,
        request: CheckRequest,
        metadata: &MetadataMap,
    ) -> Result<CheckResponse, Status> {
        let trace = self.trace(&request, metadata);
        let asked = match read::asked(request) {
            Ok(asked) => asked,
            Err(failure) => {
                let asked = Asked::default();
                let facts = self.gateway.facts(Why::Undecided);
                let telemetry = self.gateway.telemetry();
                let noting = Noting::begin(telemetry, Door::ExtAuthz, None).with(trace);
                let reason = Some(facts.why.word());
                let (decision_id, result) = (facts.decision_id.as_str(), Err(failure.clone()));
                let told = Told { decision_id, reason, ..Told::of(&result, None) };
                room(noting.end(telemetry, told)).await;
                let undecided = GatewayReason::named(facts.why.word());
                telemetry.metrics.gateway_answered(GatewayDoor::ExtAuthz, undecided);
                return self.fail(&asked, facts, failure);
            }
        };
        let judgement = self.gateway.judge(&asked, GatewayDoor::ExtAuthz, trace).await;
        let Judgement { facts, verdict } = judgement;
        match verdict {
            Verdict::Pass { set, remove } => Ok(write::pass(&asked, &facts, set, remove)),
            Verdict::Stop { status, headers, body } => Ok(write::stop(&asked, &facts, status, headers, body)),
            Verdict::Fail(failure) => self.fail(&asked, facts, failure),
        }
    }

    fn fail(&self, asked: &Asked, facts: Facts, failure: Failure) -> Result<CheckResponse, Status> {
        match self.gateway.rules().on_error() {
            OnError::Status => Err(status(failure)),
            OnError::Response => {
                let (status, headers, body) = self.gateway.sorry(asked, &facts);
                Ok(write::error(asked, &facts, status, headers, body))
            }
        }
    }
}

#[tonic::async_trait]
impl Authorization for ExtAuthz {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.answer_traced(request, &metadata).await.map(Response::new)
    }
}
