//! A policy evaluator for tests: answers as a test says, over a unix socket or TCP, and can be stopped and started again.

use bindery::proto::v1;
use bindery::proto::v1::policy_evaluator_server::{PolicyEvaluator, PolicyEvaluatorServer};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

type Answer = Result<v1::EvaluatePolicyResponse, Status>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What it answers.
type Say = Arc<dyn Fn(v1::EvaluatePolicyRequest, tonic::metadata::MetadataMap) -> Answering + Send + Sync>;

#[derive(Clone)]
struct Fake {
    say: Say,
    calls: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl PolicyEvaluator for Fake {
    async fn evaluate(
        &self,
        request: Request<v1::EvaluatePolicyRequest>,
    ) -> Result<Response<v1::EvaluatePolicyResponse>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (metadata, _, request) = request.into_parts();
        (self.say)(request, metadata).await.map(Response::new)
    }
}

/// An evaluator that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) address: String,
    calls: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Running {
    /// How many calls came.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Ends it, with all its connections.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        // Connections of tonic's server are tasks of their own, which the end of this one does not wait for; being told
        // to stop, each ends once it has no call under way.
        (&mut self.server).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Answers with what this makes of a question, on a unix socket.
pub(crate) fn on_socket<F>(
    path: &Path,
    say: impl Fn(v1::EvaluatePolicyRequest) -> F + Send + Sync + 'static,
) -> Running
where
    F: Future<Output = Answer> + Send + 'static,
{
    on_socket_seeing(path, move |request, _| say(request))
}

/// As [`on_socket`], with the metadata of the call.
pub(crate) fn on_socket_seeing<F>(
    path: &Path,
    say: impl Fn(v1::EvaluatePolicyRequest, tonic::metadata::MetadataMap) -> F + Send + Sync + 'static,
) -> Running
where
    F: Future<Output = Answer> + Send + 'static,
{
    // What a former server left behind.
    drop(std::fs::remove_file(path));
    let listener = UnixListener::bind(path).unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let say: Say = Arc::new(move |request, metadata| Box::pin(say(request, metadata)));
    let service = PolicyEvaluatorServer::new(Fake { say, calls: Arc::clone(&calls) });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async { drop(stopped.await) });
    let server = tokio::spawn(async { serving.await.unwrap() });
    Running { address: format!("unix:{}", path.display()), calls, stop: Some(stop), server }
}

/// Answers with what this makes of a question, on a port of the loopback.
pub(crate) async fn on_port<F>(
    say: impl Fn(v1::EvaluatePolicyRequest) -> F + Send + Sync + 'static,
) -> Running
where
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::<AtomicUsize>::default();
    let say: Say = Arc::new(move |request, _| Box::pin(say(request)));
    let service = PolicyEvaluatorServer::new(Fake { say, calls: Arc::clone(&calls) });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async { drop(stopped.await) });
    let server = tokio::spawn(async { serving.await.unwrap() });
    Running { address, calls, stop: Some(stop), server }
}

/// Passes or fails.
pub(crate) fn passes(passing: bool) -> Answer {
    Ok(v1::EvaluatePolicyResponse { passing, ..Default::default() })
}

/// Answers every call with these bytes as the body of a response with status OK, whatever they are.
pub(crate) fn raw(path: PathBuf, body: Vec<u8>) -> Running {
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let service = Raw { body: body.into(), calls: Arc::clone(&calls) };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async { drop(stopped.await) });
    let server = tokio::spawn(async { serving.await.unwrap() });
    Running { address: format!("unix:{}", path.display()), calls, stop: Some(stop), server }
}

#[derive(Clone)]
struct Raw {
    body: Bytes,
    calls: Arc<AtomicUsize>,
}

impl NamedService for Raw {
    const NAME: &'static str = "bindery.v1.PolicyEvaluator";
}

impl Service<http::Request<Body>> for Raw {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let body = Body::new(http_body_util::Full::new(self.body.clone()));
        let response = http::Response::builder().header("content-type", "application/grpc").body(body);
        std::future::ready(Ok(response.unwrap()))
    }
}
