//! A server that does nothing: it gives the same answer to everybody, over the transport that bindery uses. What it
//! reaches is the most that any server behind this transport and this generator can.
//!
//! Must not know: who asks, what is measured.

use crate::config;
use crate::proto::v1;
use crate::proto::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use futures_util::StreamExt as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use tokio_stream::Stream;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// What its threads are called, to find what they use.
pub(super) const THREADS: &str = "do-nothing";

/// The answers that it gives.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// To questions.
    pub(super) check: v1::CheckResponse,
    /// To Envoy.
    pub(super) envoy: CheckResponse,
}

#[tonic::async_trait]
impl DecisionService for Answers {
    async fn check(&self, _: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        Ok(Response::new(self.check.clone()))
    }

    async fn check_batch(
        &self,
        request: Request<v1::CheckBatchRequest>,
    ) -> Result<Response<v1::CheckBatchResponse>, Status> {
        let result = || v1::check_batch_result::Result::Response(self.check.clone());
        let results = request.get_ref().checks.iter();
        let results = results.map(|_| v1::CheckBatchResult { result: Some(result()) }).collect();
        Ok(Response::new(v1::CheckBatchResponse { results, revision: self.check.revision }))
    }

    type CheckStreamStream = Pin<Box<dyn Stream<Item = Result<v1::CheckStreamResponse, Status>> + Send>>;

    async fn check_stream(
        &self,
        request: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        let check = self.check.clone();
        let answer = move |question: Result<v1::CheckStreamRequest, Status>| {
            let result = Some(v1::check_stream_response::Result::Response(check.clone()));
            Ok(v1::CheckStreamResponse { id: question?.id, result })
        };
        Ok(Response::new(Box::pin(request.into_inner().map(answer))))
    }
}

#[tonic::async_trait]
impl Authorization for Answers {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.envoy.clone()))
    }
}

/// The server, as long as this is kept.
pub(super) struct Nothing {
    /// Where it listens.
    pub(super) url: String,
    socket: Option<PathBuf>,
    /// Ends with this.
    _runtime: tokio::runtime::Runtime,
}

impl Drop for Nothing {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _gone = std::fs::remove_file(socket);
        }
    }
}

impl Nothing {
    /// Starts it, on a unix socket or on TCP, with as many threads as bindery has.
    pub(super) fn start(answers: Answers, unix: bool) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("the server that does nothing cannot start: {error}");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name(THREADS).build();
        let runtime = runtime.map_err(failed)?;
        let _entered = runtime.enter();
        let server = Server::builder()
            .add_service(DecisionServiceServer::new(answers.clone()))
            .add_service(AuthorizationServer::new(answers));
        let (url, socket) = if unix {
            let name = format!("bindery-bench-{}.sock", std::process::id());
            let path = config::temporary_directory().join(name);
            let listener = tokio::net::UnixListener::bind(&path).map_err(failed)?;
            runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
            (format!("unix:{}", path.display()), Some(path))
        } else {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            let incoming = TcpListenerStream::new(listener).map(|taken| {
                let stream = taken?;
                // As bindery has it: without it, answers wait for more to send.
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(stream)
            });
            runtime.spawn(server.serve_with_incoming(incoming));
            (format!("http://{address}"), None)
        };
        drop(_entered);
        Ok(Self { url, socket, _runtime: runtime })
    }
}
