//! What every call passes before it is answered: who may call, how much is taken on, how long the caller waits.
//!
//! A question is counted from the moment that it is read to its answer, so that those whose turn has not come are counted,
//! too. What answers no questions (health, configuration, operators) is never counted, and so has room at all times.
//! Must not know: what is answered.

use super::access::{Access, Caller, Refused, Standing, Transport};
use super::behind::{Behind, Body, Call};
use super::gather::{Fresh, Siblings};
use crate::api::deadline;
use crate::api::forward_auth;
use crate::telemetry::Metrics;
use crate::telemetry::labels::{self, Access as Service, Label as _, ShedReason};
use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::Either;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What is said to those who are refused for the load, made once.
static TOO_MANY: LazyLock<HeaderMap> =
    LazyLock::new(|| Refusal::TooMany.status().into_http::<()>().into_parts().0.headers);
static TOO_LATE: LazyLock<HeaderMap> =
    LazyLock::new(|| Refusal::TooLate.status().into_http::<()>().into_parts().0.headers);

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
    behind: Behind,
    gate: Gate,
    caller: Caller,
    standing: Standing,
    siblings: Arc<Siblings>,
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
    pub(super) fn new(behind: Behind, gate: Gate, caller: Caller, siblings: Arc<Siblings>) -> Self {
        let standing = gate.access.standing(&caller);
        Self { behind, gate, caller, standing, siblings }
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
    fn take(&self, mut request: Request<Incoming>, is_grpc: bool) -> Result<Answering, Refusal> {
        let service = called(request.uri().path());
        if let Some(service) = service {
            let headers = request.headers_mut();
            self.let_in(service, headers).map_err(|why| {
                self.gate.metrics.caller_refused(service, why.label());
                tracing::debug!(service = service.word(), ?why, caller = ?self.caller, "a caller is refused");
                Refusal::Caller(service, why)
            })?;
        }
        let mut turn = None;
        if let Some(service) = service.and_then(asked) {
            let place = self.gate.load.enter().ok_or_else(|| {
                self.gate.metrics.shed(service, ShedReason::InFlight);
                Refusal::TooMany
            });
            let (place, metrics) = (place?, Arc::clone(&self.gate.metrics));
            turn = Some(Turn { place, service, metrics, has_come: false });
        }
        if service == Some(Service::ForwardAuth) {
            let address = match self.caller.transport {
                Transport::Tcp(address) => Some(address.ip()),
                Transport::Unix(_) => None,
            };
            request.extensions_mut().insert(ConnectInfo(forward_auth::Caller { address }));
        }
        let read = Instant::now();
        let until = deadline::of(request.headers()).map(|left| read + left);
        Ok(Answering { call: self.behind.call(request), turn, read, until, timer: None, is_grpc })
    }
}

/// A call that is being answered.
struct Answering {
    call: Call,
    /// Nothing where no question is asked.
    turn: Option<Turn>,
    /// When the call was read.
    read: Instant,
    /// When whoever called is gone.
    until: Option<Instant>,
    /// Made once the answer is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_grpc: bool,
}

/// What a question waits for before it is looked at.
#[derive(Debug)]
struct Turn {
    place: Place,
    service: labels::Service,
    metrics: Arc<Metrics>,
    has_come: bool,
}

impl Turn {
    /// Why a question is not answered whose turn has come.
    fn refusal(&self, read: Instant, until: Option<Instant>) -> Option<Refusal> {
        let waited = read.elapsed();
        let (reason, refusal) = if until.is_some_and(|until| read + waited >= until) {
            (ShedReason::Deadline, Refusal::Deadline)
        } else if waited > self.place.0.queue {
            (ShedReason::Queue, Refusal::TooLate)
        } else {
            return None;
        };
        self.metrics.shed(self.service, reason);
        Some(refusal)
    }
}

impl Future for Answering {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let Self { call, turn, read, until, timer, is_grpc } = self.get_mut();
        if let Some(turn) = turn.as_mut().filter(|turn| !turn.has_come) {
            turn.has_come = true;
            if let Some(refusal) = turn.refusal(*read, *until) {
                return Poll::Ready(refusal.response(*is_grpc));
            }
        }
        if let Poll::Ready(answer) = Pin::new(call).poll(context) {
            // Its place is free again before the answer is sent.
            *turn = None;
            return Poll::Ready(answer);
        }
        let Some(until) = *until else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        // Whoever called is gone by then: so is the work, for it is dropped.
        timer.as_mut().poll(context).map(|()| Refusal::Deadline.response(*is_grpc))
    }
}

/// A call that is answered, or was refused. What is asked all day has no box here.
pub(super) struct Taken {
    call: Result<Answering, (Refusal, bool)>,
    /// Until the end of the first turn, where that is not the connection's own.
    fresh: Option<Fresh>,
}

impl Future for Taken {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let _first = self.fresh.take();
        match &mut self.call {
            Ok(answering) => Pin::new(answering).poll(context).map(Ok),
            Err((refusal, is_grpc)) => Poll::Ready(Ok(refusal.response(*is_grpc))),
        }
    }
}

/// hyper calls this where it reads a request, and polls what comes of it in a task whose turn comes later: that is what
/// counts as waiting.
impl hyper::service::Service<Request<Incoming>> for Guarded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Taken;

    fn call(&self, request: Request<Incoming>) -> Taken {
        let is_grpc = is_grpc(request.headers());
        // Over HTTP/1 it is the connection itself that polls what comes of this, which must not wait for it.
        let fresh = (request.version() == Version::HTTP_2).then(|| self.siblings.enter());
        Taken { call: self.take(request, is_grpc).map_err(|refusal| (refusal, is_grpc)), fresh }
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
            let mut response = Response::new(Either::Left(tonic::body::Body::empty()));
            *response.headers_mut() = match self {
                Self::TooMany => TOO_MANY.clone(),
                Self::TooLate => TOO_LATE.clone(),
                _ => self.status().into_http::<()>().into_parts().0.headers,
            };
            return response;
        } else {
            Response::new(Either::Right(axum::body::Body::from(format!("{}\n", self.message()))))
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
