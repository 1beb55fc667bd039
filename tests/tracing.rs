//! Traces over OTLP, seen by a collector in this process: ids, parents and what spans say; and questions that go on when
//! the collector hangs or is not there.

#[cfg(test)]
mod tests {
    use bindery::api::decision::DecisionApi;
    use bindery::api::ext_authz::ExtAuthz;
    use bindery::api::gateway::Gateway;
    use bindery::api::gateway::settings::{GatewaySettings, Rules};
    use bindery::evaluators::Evaluators;
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_client::DecisionServiceClient;
    use bindery::proto::v1::policy_evaluator_server::{PolicyEvaluator, PolicyEvaluatorServer};
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::telemetry::otlp::Otlp;
    use bindery::telemetry::trace::Traces;
    use bindery::telemetry::{Metrics, Telemetry};
    use envoy_types::ext_authz::v3::pb::CheckRequest;
    use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
        TraceService, TraceServiceServer,
    };
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::Server;
    use tonic::{Request, Response, Status};
    use v1::resource::Resource as R;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    /// Keeps what it is sent, or never answers.
    #[derive(Clone, Default)]
    struct Collector {
        spans: Arc<Mutex<Vec<Span>>>,
        hangs: bool,
    }

    #[tonic::async_trait]
    impl TraceService for Collector {
        async fn export(
            &self,
            request: Request<ExportTraceServiceRequest>,
        ) -> Result<Response<ExportTraceServiceResponse>, Status> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            let spans = request.into_inner().resource_spans.into_iter();
            let spans = spans.flat_map(|it| it.scope_spans).flat_map(|it| it.spans);
            self.spans.lock().unwrap().extend(spans);
            Ok(Response::new(ExportTraceServiceResponse::default()))
        }
    }

    /// Says yes, and keeps the parent that it is told of.
    #[derive(Clone, Default)]
    struct Yes(Arc<Mutex<Vec<String>>>);

    #[tonic::async_trait]
    impl PolicyEvaluator for Yes {
        async fn evaluate(
            &self,
            request: Request<v1::EvaluatePolicyRequest>,
        ) -> Result<Response<v1::EvaluatePolicyResponse>, Status> {
            let parent = request.metadata().get("traceparent").and_then(|it| it.to_str().ok());
            self.0.lock().unwrap().extend(parent.map(str::to_owned));
            Ok(Response::new(v1::EvaluatePolicyResponse { passing: true, ..Default::default() }))
        }
    }

    async fn listen() -> (TcpListenerStream, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        (TcpListenerStream::new(listener), address)
    }

    fn application(slug: &str) -> Option<v1::TargetRef> {
        Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) })
    }

    fn policy(name: &str, target: &str, kind: v1::policy::Kind) -> [R; 2] {
        let (policy, target) = (name.to_owned(), application(target));
        [
            R::Policy(v1::Policy { name: name.into(), kind: Some(kind), ..Default::default() }),
            R::PolicyBinding(v1::PolicyBinding { target, policy, ..Default::default() }),
        ]
    }

    struct Sidecar {
        address: String,
        telemetry: Arc<Telemetry>,
    }

    async fn sidecar(collector: &str, ratio: f64, evaluator: &str) -> Sidecar {
        let store = Arc::new(Store::new(Settings::default()));
        let dummy = v1::DummyPolicy { result: true, ..Default::default() };
        let remote = v1::RemotePolicy { address: evaluator.to_owned(), ..Default::default() };
        let mut resources = vec![
            R::Application(v1::Application { slug: "wiki".into(), ..Default::default() }),
            R::Application(v1::Application { slug: "far".into(), ..Default::default() }),
            R::Route(v1::Route {
                id: "wiki".into(),
                target: application("wiki"),
                host: "wiki.example.com".into(),
                anonymous: true,
                ..Default::default()
            }),
        ];
        resources.extend(policy("fine", "wiki", v1::policy::Kind::Dummy(dummy)));
        resources.extend(policy("asks", "far", v1::policy::Kind::Remote(remote)));
        let resources = resources.into_iter().map(|it| v1::Resource { resource: Some(it) }).collect();
        apply(&store, Update::Replace(resources)).unwrap();
        let metrics = Arc::new(Metrics::new());
        let otlp = Otlp::new(collector, None, "", "bindery").unwrap();
        let traces = Traces::new(&otlp, ratio, false, Arc::clone(&metrics)).unwrap();
        let telemetry = Arc::new(Telemetry { metrics, log: None, traces: Some(traces) });
        let api =
            DecisionApi::new(store, Arc::new(Evaluators::default())).with_telemetry(Arc::clone(&telemetry));
        let rules = Rules::new(&GatewaySettings::default()).unwrap();
        let gateway = ExtAuthz::new(Arc::new(Gateway::new(api.clone(), rules)));
        let (incoming, address) = listen().await;
        let server = Server::builder().add_service(api.into_service()).add_service(gateway.into_service());
        tokio::spawn(server.serve_with_incoming(incoming));
        Sidecar { address, telemetry }
    }

    impl Sidecar {
        async fn check(&self, slug: &str, parent: Option<&str>) -> v1::Decision {
            let mut client = DecisionServiceClient::connect(self.address.clone()).await.unwrap();
            let subject = Some(v1::Subject { username: "ada".into(), ..Default::default() });
            let mut request =
                Request::new(v1::CheckRequest { target: application(slug), subject, ..Default::default() });
            if let Some(parent) = parent {
                request.metadata_mut().insert("traceparent", parent.parse().unwrap());
            }
            client.check(request).await.unwrap().into_inner().decision()
        }

        /// Sends what is waiting.
        async fn close(&self) {
            let telemetry = Arc::clone(&self.telemetry);
            tokio::task::spawn_blocking(move || telemetry.close(Duration::from_secs(20))).await.unwrap();
        }
    }

    async fn collector(hangs: bool) -> (Collector, String) {
        let collector = Collector { hangs, ..Collector::default() };
        let (incoming, address) = listen().await;
        let server = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        (collector, address)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn attribute(span: &Span, name: &str) -> Option<String> {
        let found = span.attributes.iter().find(|it| it.key == name)?;
        Some(match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        })
    }

    fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
        let mut found = spans.iter().filter(|span| span.name == name);
        let only = found.next().unwrap_or_else(|| {
            panic!("no `{name}` in {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>())
        });
        assert!(found.next().is_none(), "several `{name}`");
        only
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_question_is_part_of_its_callers_trace() {
        let (collector, address) = collector(false).await;
        let (yes, (incoming, evaluator)) = (Yes::default(), listen().await);
        let server = Server::builder().add_service(PolicyEvaluatorServer::new(yes.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        let sidecar = sidecar(&address, 0.0, &evaluator).await;
        let unsampled = PARENT.replace("-01", "-00");
        assert_eq!(sidecar.check("wiki", Some(&unsampled)).await, v1::Decision::Allow);
        assert_eq!(sidecar.check("wiki", None).await, v1::Decision::Allow);
        assert_eq!(sidecar.check("wiki", Some("nonsense")).await, v1::Decision::Allow);
        assert_eq!(sidecar.check("wiki", Some(PARENT)).await, v1::Decision::Allow);
        sidecar.check("far", Some(PARENT)).await;
        sidecar.close().await;
        let spans = collector.spans.lock().unwrap().clone();
        assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");
        let calls: Vec<&Span> =
            spans.iter().filter(|span| span.name == "bindery.v1.DecisionService/Check").collect();
        assert_eq!(calls.len(), 2, "only what its caller traces");
        for call in &calls {
            assert_eq!(hex(&call.parent_span_id), "b7ad6b7169203331");
            assert_eq!(attribute(call, "rpc.grpc.status_code").as_deref(), Some("0"));
            assert_eq!(attribute(call, "bindery.decision").as_deref(), Some("allow"));
            assert_eq!(attribute(call, "bindery.target.kind").as_deref(), Some("application"));
        }
        assert!(!format!("{spans:?}").contains("ada"), "spans name nobody");
        let target = one(&spans, "application wiki");
        assert!(calls.iter().any(|call| call.span_id == target.parent_span_id));
        assert_eq!(one(&spans, "policy/fine").parent_span_id, target.span_id);
        // The evaluator hears of the span that stands for its call.
        let asked = one(&spans, "bindery.v1.PolicyEvaluator/Evaluate");
        assert!(calls.iter().any(|call| call.span_id == asked.parent_span_id));
        let told = yes.0.lock().unwrap().clone();
        assert_eq!(told, [format!("00-{TRACE}-{}-01", hex(&asked.span_id))]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn envoys_own_span_counts_more_than_the_clients() {
        let (collector, address) = collector(false).await;
        let sidecar = sidecar(&address, 0.0, "http://127.0.0.1:1").await;
        let client = "00-11111111111111111111111111111111-2222222222222222-01";
        let mut checks = AuthorizationClient::connect(sidecar.address.clone()).await.unwrap();
        for metadata in [None, Some(PARENT)] {
            let mut message = CheckRequest::default();
            let attributes = message.attributes.get_or_insert_default();
            let http = attributes.request.get_or_insert_default().http.get_or_insert_default();
            (http.method, http.path) = ("GET".into(), "/".into());
            (http.host, http.scheme) = ("wiki.example.com".into(), "https".into());
            http.headers.insert("traceparent".into(), client.into());
            let mut request = Request::new(message);
            if let Some(parent) = metadata {
                request.metadata_mut().insert("traceparent", parent.parse().unwrap());
            }
            checks.check(request).await.unwrap();
        }
        sidecar.close().await;
        let spans = collector.spans.lock().unwrap().clone();
        let call = "envoy.service.auth.v3.Authorization/Check";
        let calls: Vec<&Span> = spans.iter().filter(|span| span.name == call).collect();
        let parents: Vec<String> = calls.iter().map(|call| hex(&call.parent_span_id)).collect();
        assert_eq!(parents, ["2222222222222222", "b7ad6b7169203331"]);
        assert_eq!(hex(&calls[1].trace_id), TRACE);
        assert!(
            calls.iter().all(|call| attribute(call, "bindery.decision_id").is_some_and(|id| id.len() == 32))
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn questions_go_on_when_the_collector_hangs_or_is_not_there() {
        let (_collector, hanging) = collector(true).await;
        for address in [hanging, "http://127.0.0.1:1".to_owned()] {
            let sidecar = sidecar(&address, 1.0, "http://127.0.0.1:1").await;
            for _ in 0..50 {
                assert_eq!(sidecar.check("wiki", None).await, v1::Decision::Allow);
            }
            let telemetry = Arc::clone(&sidecar.telemetry);
            // However it ends, it does.
            tokio::task::spawn_blocking(move || telemetry.close(Duration::from_millis(50))).await.unwrap();
        }
    }
}
