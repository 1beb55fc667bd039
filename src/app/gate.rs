//! What every call passes before it is answered: who may call, how much is taken on, how long the caller waits.
//!
//! A question is counted from the moment that it is read to its answer, so that those whose turn has not come are counted,
//! too. What answers no questions (health, configuration, operators) is never counted, and so has room at all times.
//! Must not know: what is answered.

use super::access::{Access, Caller, Refused, Standing, Transport};
use crate::api::deadline;
use crate::api::forward_auth;
use crate::telemetry::Metrics;
use crate::telemetry::labels::{self, Access as Service, Label as _, ShedReason};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::ServiceExt as _;

/// What is said to those who are refused for the load, made once.
static TOO_MANY: LazyLock<HeaderMap> =
    LazyLock::new(|| Refusal::TooMany.status().into_http::<Body>().into_parts().0.headers);
static TOO_LATE: LazyLock<HeaderMap> =
    LazyLock::new(|| Refusal::TooLate.status().into_http::<Body>().into_parts().0.headers);

/// The header with a gateway's token where `authorization` is the client's own.
const TOKEN: &str = "x-bindery-token";
/// When somebody who was refused for the load should try again.
const RETRY: Duration = Duration::from_secs(1);

/// How many questions are under way, of how many at most.
#[derive(Debug)]
pub struct Load {
    under_way: AtomicUsize,
    most: usize,
    queue: Duration,
}

impl Load {
    /// At most so many at once, each waiting for its turn at most so long.
    pub const fn new(most: usize, queue: Duration) -> Self {
        Self { under_way: AtomicUsize::new(0), most, queue }
    }

    /// How many questions are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    fn enter(self: &Arc<Self>) -> Option<Place> {
        // The place gives back what was taken, also where that was one too many.
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        (before < self.most).then_some(place)
    }
}

/// One of the questions under way.
#[derive(Debug)]
struct Place(Arc<Load>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the calls of every connection pass.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Who may call what.
    pub access: Arc<Access>,
    /// How much is taken on.
    pub load: Arc<Load>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The calls of one connection.
#[derive(Debug)]
pub(super) struct Guarded {
    router: Router,
    gate: Gate,
    caller: Caller,
    standing: Standing,
}

/// Why a call is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Caller(Service, Refused),
    TooMany,
    TooLate,
    Deadline,
}

/// What is called; nothing: what anybody may call.
fn called(path: &str) -> Option<Service> {
    let (room, rest) = path.strip_prefix('/')?.split_once('/').unwrap_or((path.get(1..)?, ""));
    match room {
        "bindery.v1.DecisionService" | "bindery.v1.FlowService" => Some(Service::Decisions),
        "envoy.service.auth.v3.Authorization" => Some(Service::ExtAuthz),
        "bindery.v1.SyncService" if rest == "Watch" => Some(Service::Follow),
        // Whatever else comes: who may not publish may not do it either.
        "bindery.v1.SyncService" => Some(Service::Publish),
        "forward-auth" => Some(Service::ForwardAuth),
        "access" => Some(Service::Authzen),
        "config" | "log-level" | "profile" => Some(Service::Admin),
        _ => None,
    }
}

/// The service whose calls are questions; nothing: they are not.
const fn asked(service: Service) -> Option<labels::Service> {
    match service {
        Service::Decisions => Some(labels::Service::Decisions),
        Service::ExtAuthz => Some(labels::Service::ExtAuthz),
        Service::ForwardAuth => Some(labels::Service::ForwardAuth),
        Service::Authzen => Some(labels::Service::Authzen),
        Service::Publish | Service::Follow | Service::Admin => None,
    }
}

impl Guarded {
    pub(super) fn new(router: Router, gate: Gate, caller: Caller) -> Self {
        let standing = gate.access.standing(&caller);
        Self { router, gate, caller, standing }
    }

    fn let_in(&self, service: Service, headers: &mut HeaderMap) -> Result<(), Refused> {
        let own = (service == Service::ForwardAuth).then(|| headers.remove(TOKEN)).flatten();
        if service == Service::Admin && !self.gate.access.is_listed(service) {
            // What changes a server is not for everybody who may read its metrics.
            return if self.caller.is_local() { Ok(()) } else { Err(Refused::NoCredential) };
        }
        if self.standing.may(service) {
            return Ok(());
        }
        let token = match service {
            Service::ForwardAuth => own.as_ref().map(HeaderValue::as_bytes),
            _ => headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes())),
        };
        self.gate.access.check(service, self.standing, token)
    }

    /// Has a call answered, or refuses it.
    fn take(
        &self,
        mut request: Request<Body>,
        is_grpc: bool,
    ) -> Result<impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<>, Refusal> {
        let service = called(request.uri().path());
        if let Some(service) = service {
            let headers = request.headers_mut();
            self.let_in(service, headers).map_err(|why| {
                self.gate.metrics.caller_refused(service, why.label());
                tracing::debug!(service = service.word(), ?why, caller = ?self.caller, "a caller is refused");
                Refusal::Caller(service, why)
            })?;
        }
        let place = match service.and_then(asked) {
            None => None,
            Some(service) => {
                let place = self.gate.load.enter().ok_or_else(|| {
                    self.gate.metrics.shed(service, ShedReason::InFlight);
                    Refusal::TooMany
                });
                Some((place?, service))
            }
        };
        if service == Some(Service::ForwardAuth) {
            let address = match self.caller.transport {
                Transport::Tcp(address) => Some(address.ip()),
                Transport::Unix(_) => None,
            };
            request.extensions_mut().insert(ConnectInfo(forward_auth::Caller { address }));
        }
        let read = Instant::now();
        let until = deadline::of(request.headers()).map(|left| read + left);
        let (router, metrics) = (self.router.clone(), Arc::clone(&self.gate.metrics));
        Ok(async move {
            if let Some((Place(load), service)) = &place {
                let waited = read.elapsed();
                let refusal = if until.is_some_and(|until| read + waited >= until) {
                    Some((ShedReason::Deadline, Refusal::Deadline))
                } else {
                    (waited > load.queue).then_some((ShedReason::Queue, Refusal::TooLate))
                };
                if let Some((reason, refusal)) = refusal {
                    metrics.shed(*service, reason);
                    return Ok(refusal.response(is_grpc));
                }
            }
            let answer = router.oneshot(request);
            let answer = match until {
                // Whoever called is gone by then: so is the work, for it is dropped.
                Some(until) => tokio::time::timeout_at(until, answer)
                    .await
                    .unwrap_or_else(|_| Ok(Refusal::Deadline.response(is_grpc))),
                None => answer.await,
            };
            drop(place);
            answer
        })
    }
}

/// hyper calls this where it reads a request, and polls what comes of it in a task whose turn comes later: that is what
/// counts as waiting.
impl hyper::service::Service<Request<Incoming>> for Guarded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let is_grpc = is_grpc(request.headers());
        match self.take(request.map(Body::new), is_grpc) {
            Ok(answer) => Box::pin(answer),
            Err(refusal) => Box::pin(std::future::ready(Ok(refusal.response(is_grpc)))),
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The token of an `authorization` header.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

impl Refusal {
    const fn code(self) -> Code {
        match self {
            Self::Caller(_, Refused::NotListed) => Code::PermissionDenied,
            Self::Caller(..) => Code::Unauthenticated,
            Self::TooMany | Self::TooLate => Code::ResourceExhausted,
            Self::Deadline => Code::DeadlineExceeded,
        }
    }

    /// The reason, for programs.
    const fn reason(self) -> &'static str {
        match self {
            Self::Caller(_, Refused::NoCredential) => "CALLER_UNKNOWN",
            Self::Caller(_, Refused::UnknownToken) => "CALLER_TOKEN_UNKNOWN",
            Self::Caller(_, Refused::NotListed) => "CALLER_NOT_LISTED",
            Self::TooMany | Self::TooLate => "OVERLOADED",
            Self::Deadline => "CALLER_GONE",
        }
    }

    fn message(self) -> String {
        match self {
            Self::Caller(Service::ForwardAuth, Refused::NoCredential) => format!(
                "caller: nothing shows who calls; connect with a certificate, or send the gateway's token as {TOKEN}"
            ),
            Self::Caller(service, Refused::NoCredential) => format!(
                "caller: nothing shows who calls {}; connect with a certificate, or send authorization: Bearer TOKEN",
                service.word()
            ),
            Self::Caller(service, Refused::UnknownToken) => {
                format!(
                    "caller: the token is none of those for {}; see whether it was replaced",
                    service.word()
                )
            }
            Self::Caller(service, Refused::NotListed) => {
                format!("caller: not on the list of {}; see access.{0} in the settings", service.word())
            }
            Self::TooMany => "too many questions are under way; ask again after a moment".to_owned(),
            Self::TooLate => "the question waited too long for its turn; ask again after a moment".to_owned(),
            Self::Deadline => "the caller's time was up before there was an answer".to_owned(),
        }
    }

    /// The status for gRPC, with its details.
    fn status(self) -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason(), "bindery", std::collections::HashMap::<String, String>::new());
        if self.code() == Code::ResourceExhausted {
            details.set_retry_info(Some(RETRY));
        }
        Status::with_error_details(self.code(), self.message(), details)
    }

    fn response(self, is_grpc: bool) -> Response<Body> {
        let mut response = if is_grpc {
            // Whoever has too much to do must not have much to do with saying so.
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = match self {
                Self::TooMany => TOO_MANY.clone(),
                Self::TooLate => TOO_LATE.clone(),
                _ => self.status().into_http::<Body>().into_parts().0.headers,
            };
            return response;
        } else {
            Response::new(Body::from(format!("{}\n", self.message())))
        };
        *response.status_mut() = match self.code() {
            // A gateway takes 401 for the client's, and would send people to sign in.
            _ if matches!(self, Self::Caller(Service::ForwardAuth, _)) => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.code() {
            Code::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::ResourceExhausted => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY.as_secs()));
            }
            _ => {}
        }
        response
    }
}
