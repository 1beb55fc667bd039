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
use super::status::status;
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use std::sync::Arc;
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
        let asked = match read::asked(request) {
            Ok(asked) => asked,
            Err(failure) => {
                let asked = Asked::default();
                return self.fail(&asked, self.gateway.facts(Why::Undecided), failure);
            }
        };
        let Judgement { facts, verdict } = self.gateway.judge(&asked).await;
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
        self.answer(request.into_inner()).await.map(Response::new)
    }
}
