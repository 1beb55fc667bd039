//! Spans, metrics and the decision log of the real server at a collector over TLS; and a collector that stops, hangs and comes
//! back.

#[cfg(test)]
#[path = "support/certificates.rs"]
mod certificates;
#[cfg(test)]
#[path = "support/sidecar.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod sidecar;

#[cfg(test)]
mod tests {
    use super::certificates::{Authority, Leaf};
    use super::sidecar::{Running, bindery, ran, until};
    use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
        LogsService, LogsServiceServer,
    };
    use opentelemetry_proto::tonic::collector::logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
    };
    use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
        MetricsService, MetricsServiceServer,
    };
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    };
    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
        TraceService, TraceServiceServer,
    };
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use std::collections::BTreeSet;
    use std::fs;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::process::Stdio;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use tokio::runtime::Runtime;
    use tokio::sync::oneshot;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::{Identity, Server, ServerTlsConfig};
    use tonic::{Request, Response, Status};

    /// What a collector was sent.
    #[derive(Clone, Default)]
    struct Collector {
        spans: Arc<Mutex<Vec<String>>>,
        metrics: Arc<Mutex<BTreeSet<String>>>,
        records: Arc<Mutex<Vec<String>>>,
        hangs: Arc<AtomicBool>,
    }

    impl Collector {
        async fn think(&self) {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
        }

        fn has_decision(&self) -> bool {
            self.records.lock().unwrap().iter().any(|it| it.contains("wiki") && it.contains("allow"))
        }

        /// Forgets what it was sent.
        fn forget(&self) {
            self.spans.lock().unwrap().clear();
            self.metrics.lock().unwrap().clear();
            self.records.lock().unwrap().clear();
        }
    }

    #[tonic::async_trait]
    impl TraceService for Collector {
        async fn export(
            &self,
            request: Request<ExportTraceServiceRequest>,
        ) -> Result<Response<ExportTraceServiceResponse>, Status> {
            self.think().await;
            let spans = request.into_inner().resource_spans.into_iter().flat_map(|it| it.scope_spans);
            self.spans.lock().unwrap().extend(spans.flat_map(|it| it.spans).map(|span| span.name));
            Ok(Response::new(ExportTraceServiceResponse::default()))
        }
    }

    #[tonic::async_trait]
    impl MetricsService for Collector {
        async fn export(
            &self,
            request: Request<ExportMetricsServiceRequest>,
        ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
            self.think().await;
            let metrics = request.into_inner().resource_metrics.into_iter().flat_map(|it| it.scope_metrics);
            self.metrics.lock().unwrap().extend(metrics.flat_map(|it| it.metrics).map(|metric| metric.name));
            Ok(Response::new(ExportMetricsServiceResponse::default()))
        }
    }

    #[tonic::async_trait]
    impl LogsService for Collector {
        async fn export(
            &self,
            request: Request<ExportLogsServiceRequest>,
        ) -> Result<Response<ExportLogsServiceResponse>, Status> {
            self.think().await;
            let records = request.into_inner().resource_logs.into_iter().flat_map(|it| it.scope_logs);
            let records = records.flat_map(|it| it.log_records).map(|record| format!("{record:?}"));
            self.records.lock().unwrap().extend(records);
            Ok(Response::new(ExportLogsServiceResponse::default()))
        }
    }

    /// Serves a collector at this address with this certificate until the sender goes.
    fn serve(
        runtime: &Runtime,
        collector: &Collector,
        at: SocketAddr,
        pem: &str,
    ) -> (SocketAddr, oneshot::Sender<()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = until("the port is free", || runtime.block_on(tokio::net::TcpListener::bind(at)).ok());
        let address = listener.local_addr().unwrap();
        let (certificate, key) = pem.split_once("=====").unwrap();
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        let server = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()))
            .add_service(LogsServiceServer::new(collector.clone()));
        let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
        // Cut off, not ended in order.
        runtime.spawn(async move {
            tokio::select! {
                _ended = serving => {}
                _stop = stopped => {}
            }
        });
        (address, stop)
    }

    fn check(socket: &Path) -> Option<i32> {
        let server = format!("unix:{}", socket.display());
        ran(bindery().args(["check", "application/wiki", "--user", "ada", "--server", &server])).code
    }

    #[test]
    fn everything_arrives_and_a_collector_that_is_not_there_keeps_nobody_waiting() {
        let here = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let authority = Authority::new("collectors");
        let files =
            authority.issue(here.path(), "collector", Leaf { names: &["localhost"], ..Leaf::default() });
        let pem = [files.certificate, files.key].map(|path| fs::read_to_string(path).unwrap()).join("=====");
        let collector = Collector::default();
        let (address, stop) = serve(&runtime, &collector, "127.0.0.1:0".parse().unwrap(), &pem);
        fs::write(here.path().join("b.yaml"), "applications:\n- {slug: wiki}\n").unwrap();
        let socket = here.path().join("q");
        let child = bindery()
            .args(["serve", "--listen", "none", "--log-level", "off", "--trace-ratio", "1", "--socket"])
            .arg(&socket)
            .arg("--bundle")
            .arg(here.path().join("b.yaml"))
            .args(["--decision-log", "otlp", "--otlp-metrics-seconds", "1", "--otlp-endpoint"])
            .arg(format!("https://localhost:{}", address.port()))
            .arg("--otlp-authorities")
            .arg(authority.file(here.path(), "ca.pem"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _server = Running(child);
        until("the server answers", || (check(&socket) == Some(0)).then_some(()));
        let complete = || {
            let spans =
                collector.spans.lock().unwrap().iter().any(|it| it.ends_with("DecisionService/Check"));
            let metrics = collector.metrics.lock().unwrap().contains("bindery_decisions_total")
                || collector.metrics.lock().unwrap().contains("bindery_decisions");
            (spans && metrics && collector.has_decision()).then_some(())
        };
        until("spans, metrics and records arrive", complete);

        // It hangs, and then it is gone: questions do not notice.
        collector.hangs.store(true, Ordering::SeqCst);
        for _ in 0..10 {
            assert_eq!(check(&socket), Some(0));
        }
        drop(stop);
        for _ in 0..10 {
            assert_eq!(check(&socket), Some(0));
        }
        // It is back, and gets what comes from then on.
        collector.hangs.store(false, Ordering::SeqCst);
        collector.forget();
        let (_, _stop) = serve(&runtime, &collector, address, &pem);
        until("they arrive again", || {
            assert_eq!(check(&socket), Some(0));
            complete()
        });
    }
}
