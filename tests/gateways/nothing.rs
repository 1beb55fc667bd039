//! An authorization service that answers everything with the same, or with nothing at all.

use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, HttpResponse, OkHttpResponse,
};
use envoy_types::pb::google::rpc::Status as RpcStatus;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

/// The service; it ends with this.
pub(crate) struct Nothing {
    socket: PathBuf,
    _directory: TempDir,
    served: tokio::task::AbortHandle,
}

impl Drop for Nothing {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// Allows, and says no more than that.
pub(crate) fn bare_yes() -> CheckResponse {
    CheckResponse {
        status: Some(RpcStatus::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
        ..Default::default()
    }
}

struct Fixed(CheckResponse);

#[tonic::async_trait]
impl Authorization for Fixed {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}

impl Nothing {
    /// Answers with this.
    pub(crate) fn start(answer: CheckResponse) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("q");
        let incoming = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
        let server = tonic::transport::Server::builder().add_service(AuthorizationServer::new(Fixed(answer)));
        let served = tokio::spawn(server.serve_with_incoming(incoming)).abort_handle();
        Self { socket, _directory: directory, served }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}
