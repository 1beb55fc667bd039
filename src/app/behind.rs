//! What calls reach once the gate let them through: those that gateways make all day by the shortest way, all others by their routes.
//!
//! Routes are looked up by path in a tree, and box a request, its body and what comes of them on the way; that is a fair part of what
//! an answer from memory costs. Must not know: who may call.

use crate::api::decision::DecisionApi;
use crate::api::ext_authz::ExtAuthz;
use crate::proto::v1::decision_service_server::DecisionServiceServer;
use axum::Router;
use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::codegen::Service as _;
use tonic::server::NamedService;
use tower::ServiceExt as _;

/// The body of an answer: of a service of gRPC, or of a route.
pub(super) type Body = Either<tonic::body::Body, axum::body::Body>;

type Boxed<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

/// What is behind a listener.
#[derive(Clone, Debug)]
pub(super) struct Behind {
    /// Whatever else is called.
    router: Router,
    straight: Option<Straight>,
}

/// The services that are called without a look at the routes.
#[derive(Clone, Debug)]
pub(super) struct Straight {
    /// Questions of bindery's own kind.
    pub(super) decisions: DecisionServiceServer<DecisionApi>,
    /// Envoy's.
    pub(super) envoy: AuthorizationServer<ExtAuthz>,
}

/// An answer to come.
pub(super) enum Call {
    /// Of a service that is called straight.
    Straight(Boxed<tonic::body::Body>),
    /// Of a route.
    Routed(Boxed<axum::body::Body>),
}

/// Whether a path is that of a method of this service.
fn is_of<S: NamedService>(path: &str) -> bool {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(S::NAME));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

impl Behind {
    pub(super) const fn new(router: Router, straight: Option<Straight>) -> Self {
        Self { router, straight }
    }

    /// Has a call answered.
    pub(super) fn call(&self, request: Request<Incoming>) -> Call {
        if let Some(Straight { decisions, envoy }) = &self.straight {
            let path = request.uri().path();
            if is_of::<DecisionServiceServer<DecisionApi>>(path) {
                return Call::Straight(decisions.clone().call(request));
            }
            if is_of::<AuthorizationServer<ExtAuthz>>(path) {
                return Call::Straight(envoy.clone().call(request));
            }
        }
        Call::Routed(Box::pin(self.router.clone().oneshot(request.map(axum::body::Body::new))))
    }
}

impl Future for Call {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        match self.get_mut() {
            Self::Straight(answer) => {
                answer.as_mut().poll(context).map(|Ok(answer)| answer.map(Either::Left))
            }
            Self::Routed(answer) => answer.as_mut().poll(context).map(|Ok(answer)| answer.map(Either::Right)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_a_service_when_its_name_is_whole() {
        let is_ours = is_of::<DecisionServiceServer<DecisionApi>>;
        assert!(is_ours("/bindery.v1.DecisionService/Check") && is_ours("/bindery.v1.DecisionService/"));
        for path in [
            "/bindery.v1.DecisionService",
            "/bindery.v1.DecisionServices/Check",
            "bindery.v1.DecisionService/Check",
            "/",
        ] {
            assert!(!is_ours(path), "{path}");
        }
        assert!(is_of::<AuthorizationServer<ExtAuthz>>("/envoy.service.auth.v3.Authorization/Check"));
    }
}
