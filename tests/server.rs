//! The server as it runs: health, reflection, errors that name the field, limits, and an orderly end, over TCP and
//! over a unix socket.

#[cfg(test)]
mod tests {
    use bindery::app::{self, Decisions, Doors, Ending, Listeners, Waits};
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_client::DecisionServiceClient;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::{oneshot, watch};
    use tokio::task::JoinHandle;
    use tokio_stream::StreamExt as _;
    use tonic::transport::{Channel, Endpoint};
    use tonic::{Code, Status};
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
    use tonic_types::StatusExt as _;

    struct Running {
        store: Arc<Store>,
        channel: Channel,
        socket: PathBuf,
        ready: watch::Sender<bool>,
        stop: Option<oneshot::Sender<()>>,
        server: JoinHandle<Result<(), String>>,
        _directory: tempfile::TempDir,
    }

    /// Time enough for whatever a test lets run on.
    const PATIENT: Ending = Ending { delay: Duration::ZERO, drain: Duration::from_secs(60) };

    async fn start() -> Running {
        start_with(PATIENT).await
    }

    async fn start_with(ending: Ending) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("bindery.sock");
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let unix = app::bind_unix(&socket, 0o600).unwrap();
        let (ready, ready_seen) = watch::channel(false);
        let (stop, stopped) = oneshot::channel::<()>();
        let store = Arc::new(Store::new(Settings::default()));
        let listeners = Listeners { tcp: Some(tcp), unix: Some(unix), ..Listeners::default() };
        let waits = Waits { revision: Duration::from_millis(50), demand: None };
        let shutdown = async move { drop(stopped.await) };
        let served = Arc::clone(&store);
        let server = tokio::spawn(app::run(
            served,
            Arc::default(),
            Doors {
                decisions: Some(Decisions { grpc: listeners, waits, ..Decisions::default() }),
                ..Doors::default()
            },
            ending,
            ready_seen,
            shutdown,
        ));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Running { store, channel, socket, ready, stop: Some(stop), server, _directory: directory }
    }

    impl Running {
        fn client(&self) -> DecisionServiceClient<Channel> {
            DecisionServiceClient::new(self.channel.clone())
        }

        fn configure(&self) {
            apply(&self.store, Update::Replace(configuration())).unwrap();
            self.ready.send_replace(true);
        }

        async fn end(mut self) {
            drop(self.stop.take());
            let socket = self.socket.clone();
            self.server.await.unwrap().unwrap();
            assert!(!socket.exists(), "the socket stays behind");
        }
    }

    fn resource(resource: R) -> v1::Resource {
        v1::Resource { resource: Some(resource) }
    }

    fn milliseconds(milliseconds: i64) -> Option<prost_types::Duration> {
        let nanos = i32::try_from(milliseconds % 1_000).unwrap() * 1_000_000;
        Some(prost_types::Duration { seconds: milliseconds / 1_000, nanos })
    }

    fn bound(slug: &str, policy: v1::Policy, timeout: i64) -> Vec<v1::Resource> {
        let target = Some(v1::TargetRef { target: Some(T::Application(slug.into())) });
        let timeout = milliseconds(timeout);
        let binding =
            v1::PolicyBinding { target, policy: policy.name.clone(), timeout, ..Default::default() };
        vec![
            resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() })),
            resource(R::Policy(policy)),
            resource(R::PolicyBinding(binding)),
        ]
    }

    fn waiting(name: &str, wait: i64) -> v1::Policy {
        let dummy = v1::DummyPolicy { result: true, wait_min: milliseconds(wait), ..Default::default() };
        v1::Policy { name: name.into(), kind: Some(v1::policy::Kind::Dummy(dummy)), ..Default::default() }
    }

    fn configuration() -> Vec<v1::Resource> {
        let mut all = bound("slow", waiting("slow", 100), 1_800_000);
        all.extend(bound("endless", waiting("endless", 3_600_000), 50));
        all.extend(bound("hour", waiting("hour", 3_600_000), 3_600_000));
        all.push(resource(R::Application(v1::Application { slug: "wiki".into(), ..Default::default() })));
        all
    }

    fn ask(slug: &str) -> v1::CheckRequest {
        v1::CheckRequest {
            target: Some(v1::TargetRef { target: Some(T::Application(slug.into())) }),
            subject: Some(v1::Subject { username: "ada".into(), ..Default::default() }),
            ..Default::default()
        }
    }

    async fn health(channel: &Channel, service: &str) -> Result<ServingStatus, Status> {
        let request = HealthCheckRequest { service: service.into() };
        let response = HealthClient::new(channel.clone()).check(request).await?.into_inner();
        Ok(response.status())
    }

    #[tokio::test]
    async fn health_follows_the_configuration_and_the_end() {
        let running = start().await;
        for service in ["", "bindery.v1.DecisionService", "bindery.v1.FlowService"] {
            assert_eq!(health(&running.channel, service).await.unwrap(), ServingStatus::NotServing);
        }
        let status = running.client().check(ask("wiki")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("no configuration yet"), "{}", status.message());

        let request = HealthCheckRequest { service: "bindery.v1.DecisionService".into() };
        let mut watched =
            HealthClient::new(running.channel.clone()).watch(request).await.unwrap().into_inner();
        let mut next = async || watched.next().await.map(|it| it.map(|it: HealthCheckResponse| it.status()));
        assert_eq!(next().await.unwrap().unwrap(), ServingStatus::NotServing);
        running.configure();
        assert_eq!(next().await.unwrap().unwrap(), ServingStatus::Serving);
        assert_eq!(health(&running.channel, "").await.unwrap(), ServingStatus::Serving);
        let mut running = running;
        drop(running.stop.take());
        // Health says so before the connection goes.
        assert_eq!(next().await.unwrap().unwrap(), ServingStatus::NotServing);
        drop(watched);
        running.end().await;
    }

    /// A stream of questions under way: the first one is answered.
    async fn converse(
        running: &Running,
    ) -> (tokio::sync::mpsc::Sender<v1::CheckStreamRequest>, tonic::Streaming<v1::CheckStreamResponse>) {
        let (sender, questions) = tokio::sync::mpsc::channel(4);
        let questions = tokio_stream::wrappers::ReceiverStream::new(questions);
        let mut answers = running.client().check_stream(questions).await.unwrap().into_inner();
        sender.send(question(1, "wiki")).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 1);
        (sender, answers)
    }

    fn question(id: u64, slug: &str) -> v1::CheckStreamRequest {
        v1::CheckStreamRequest { id, check: Some(ask(slug)) }
    }

    #[tokio::test]
    async fn a_question_that_waits_holds_up_no_other() {
        let running = start().await;
        running.configure();
        let (sender, mut answers) = converse(&running).await;
        sender.send(question(2, "hour")).await.unwrap();
        sender.send(question(3, "wiki")).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap().id, 3);
        // Whoever no longer listens is no longer waited for.
        drop((sender, answers));
        running.end().await;
    }

    #[tokio::test]
    async fn a_full_stream_reads_on_when_there_is_room() {
        let running = start().await;
        running.configure();
        let (sender, mut answers) = converse(&running).await;
        let many = 2..600_u64;
        let asked = many.clone();
        let asking = tokio::spawn(async move {
            for id in asked {
                sender.send(question(id, "slow")).await.unwrap();
            }
        });
        let mut ids = Vec::new();
        while let Some(answer) = answers.next().await {
            ids.push(answer.unwrap().id);
        }
        asking.await.unwrap();
        ids.sort_unstable();
        assert_eq!(ids, many.collect::<Vec<_>>());
        running.end().await;
    }

    #[tokio::test]
    async fn a_stream_tells_what_is_wrong_with_each_question() {
        let running = start().await;
        running.configure();
        let (sender, mut answers) = converse(&running).await;
        sender.send(v1::CheckStreamRequest { id: 7, check: None }).await.unwrap();
        sender.send(question(8, "nowhere")).await.unwrap();
        sender.send(question(9, "wiki")).await.unwrap();
        let mut next = async || {
            let answer = answers.next().await.unwrap().unwrap();
            (answer.id, answer.result.unwrap())
        };
        use v1::check_stream_response::Result as Either;
        let (7, Either::Error(error)) = next().await else { panic!("no error") };
        assert_eq!((error.code, error.field.as_str()), (Code::InvalidArgument as u32, "check"));
        let (8, Either::Error(error)) = next().await else { panic!("no error") };
        assert_eq!((error.code, error.field.as_str()), (Code::NotFound as u32, "target"));
        let (9, Either::Response(_)) = next().await else { panic!("no answer") };
        drop(sender);
        assert!(answers.next().await.is_none());
        running.end().await;
    }

    #[tokio::test]
    async fn a_running_call_finishes_and_new_ones_are_refused() {
        let mut running = start().await;
        running.configure();
        let mut client = running.client();
        let (sender, mut answers) = converse(&running).await;
        sender.send(question(2, "slow")).await.unwrap();
        drop(running.stop.take());
        assert_eq!(answers.next().await.unwrap().unwrap().id, 2);
        drop(sender);
        assert!(answers.next().await.is_none());
        running.server.await.unwrap().unwrap();
        assert!(client.check(ask("wiki")).await.is_err());
    }

    #[tokio::test]
    async fn a_call_that_does_not_finish_is_not_waited_for_without_end() {
        let mut running = start_with(Ending { drain: Duration::from_millis(50), ..PATIENT }).await;
        running.configure();
        let (sender, answers) = converse(&running).await;
        sender.send(question(2, "hour")).await.unwrap();
        drop(running.stop.take());
        running.server.await.unwrap().unwrap();
        drop((sender, answers));
    }

    #[tokio::test]
    async fn during_the_delay_calls_are_answered_while_health_says_not_serving() {
        let mut running = start_with(Ending { delay: Duration::from_secs(3600), ..PATIENT }).await;
        running.configure();
        while health(&running.channel, "").await.unwrap() != ServingStatus::Serving {
            tokio::task::yield_now().await;
        }
        drop(running.stop.take());
        while health(&running.channel, "").await.unwrap() != ServingStatus::NotServing {
            tokio::task::yield_now().await;
        }
        let response = running.client().check(ask("wiki")).await.unwrap().into_inner();
        assert_eq!(response.decision(), v1::Decision::Allow);
        assert!(running.socket.exists() && !running.server.is_finished());
        running.server.abort();
    }

    #[tokio::test]
    async fn a_successor_may_have_the_socket_while_calls_are_drained() {
        let mut running = start().await;
        running.configure();
        let (sender, answers) = converse(&running).await;
        drop(running.stop.take());
        while running.socket.exists() {
            tokio::task::yield_now().await;
        }
        let successor = app::bind_unix(&running.socket, 0o600).unwrap();
        assert!(!running.server.is_finished());
        drop((sender, answers));
        running.server.await.unwrap().unwrap();
        assert!(running.socket.exists(), "the successor cannot be reached");
        drop(successor);
        assert!(!running.socket.exists(), "the socket stays behind");
    }

    #[tokio::test]
    async fn a_policy_that_takes_too_long_counts_as_an_error() {
        let running = start().await;
        running.configure();
        let request = v1::CheckRequest { explain: v1::ExplainLevel::Full.into(), ..ask("endless") };
        let response = running.client().check(request).await.unwrap().into_inner();
        assert_eq!(response.decision(), v1::Decision::Deny);
        let text = "timed out after 50ms; raise the binding's timeout, or make the policy faster";
        assert_eq!(response.messages, [text]);
        let explanation = response.explanation.unwrap();
        assert_eq!(explanation.bindings[0].error.as_deref(), Some(text));
        assert_eq!(
            explanation.summary,
            format!(
                "`ada` may not reach application `endless`: policy `endless` (order 0) errors with `{text}`, which counts as fail"
            )
        );
        running.end().await;
    }

    #[tokio::test]
    async fn the_unix_socket_answers_with_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let running = start().await;
        running.configure();
        let mode = std::fs::metadata(&running.socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let address = format!("unix:{}", running.socket.display());
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        let response = DecisionServiceClient::new(channel).check(ask("wiki")).await.unwrap().into_inner();
        assert_eq!((response.decision(), response.revision), (v1::Decision::Allow, 1));
        let taken = app::bind_unix(&running.socket, 0o600).unwrap_err();
        assert!(taken.contains("somebody listens on"), "{taken}");
        running.end().await;
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { drop(app::bind_unix(&path, 0o660).unwrap()) });
        std::fs::write(&path, "precious").unwrap();
        let refused = runtime.block_on(async { app::bind_unix(&path, 0o660).map(drop) }).unwrap_err();
        assert!(refused.contains("is there and is no socket"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn reflection_lists_what_is_served() {
        use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
        let running = start().await;
        let request = tonic_reflection::pb::v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(running.channel.clone());
        let mut answers =
            client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
        for name in ["bindery.v1.DecisionService", "bindery.v1.FlowService", "grpc.health.v1.Health"] {
            assert!(names.contains(&name), "{names:?}");
        }
        drop(answers);
        running.end().await;
    }

    fn nested(depth: usize) -> prost_types::Struct {
        let leaf = prost_types::value::Kind::BoolValue(true);
        let mut value = prost_types::Value { kind: Some(leaf) };
        for _ in 1..depth {
            let fields = [("a".to_owned(), value)].into_iter().collect();
            value = prost_types::Value {
                kind: Some(prost_types::value::Kind::StructValue(prost_types::Struct { fields })),
            };
        }
        prost_types::Struct { fields: [("a".to_owned(), value)].into_iter().collect() }
    }

    fn bad_requests() -> Vec<(v1::CheckRequest, &'static str, &'static str)> {
        let target =
            |target| v1::CheckRequest { target: Some(v1::TargetRef { target: Some(target) }), ..ask("wiki") };
        let subject = |subject| v1::CheckRequest { subject: Some(subject), ..ask("wiki") };
        let context = |context| v1::CheckRequest { context: Some(Box::new(context)), ..ask("wiki") };
        let ada = || v1::Subject { username: "ada".into(), ..Default::default() };
        let entitlement = |application: &str, name: &str| {
            T::Entitlement(v1::EntitlementRef {
                application: application.into(),
                name: name.into(),
                ..Default::default()
            })
        };
        let rac = |id: &str, application: &str| {
            T::RacEndpoint(v1::RacEndpointRef { id: id.into(), application: application.into() })
        };
        let big =
            prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("x".repeat(300 << 10))) };
        let big = prost_types::Struct { fields: [("big".to_owned(), big)].into_iter().collect() };
        let time = |seconds, nanos| v1::Context {
            time: Some(prost_types::Timestamp { seconds, nanos }),
            ..Default::default()
        };
        let reputation = |rows, expires: Option<i64>| {
            let mut scores = vec![v1::ReputationScore::default(); rows];
            scores.last_mut().unwrap().expires =
                expires.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
            v1::Context { reputation: Some(v1::ReputationScores { scores }), ..Default::default() }
        };
        vec![
            (v1::CheckRequest { target: None, ..ask("wiki") }, "target", "missing; say what is asked about"),
            (
                v1::CheckRequest { target: Some(v1::TargetRef { target: None }), ..ask("wiki") },
                "target",
                "missing",
            ),
            (target(T::Application(String::new())), "target.application", "missing; it is required"),
            (
                target(T::Device("x".repeat(2_000))),
                "target.device",
                "has 2000 bytes; at most 1024 are allowed",
            ),
            (target(entitlement("wiki", "")), "target.entitlement.name", "missing"),
            (target(entitlement("", "admin")), "target.entitlement.application", "missing"),
            (target(rac("", "")), "target.rac_endpoint.id", "missing"),
            (target(rac("", "wiki")), "target.rac_endpoint.id", "missing"),
            (v1::CheckRequest { subject: None, ..ask("wiki") }, "subject", "missing; say who is asked about"),
            (
                v1::CheckRequest { subject: None, ..target(T::NotificationRule("r".into())) },
                "context.event",
                "missing",
            ),
            (subject(v1::Subject::default()), "subject", "names nobody; set user_id, username or email"),
            (subject(v1::Subject { name: "Ada".into(), ..Default::default() }), "subject", "names nobody"),
            (
                subject(v1::Subject { group_names: vec!["g".into(); 1_001], ..ada() }),
                "subject.group_ids",
                "1001 groups",
            ),
            (
                subject(v1::Subject { group_ids: vec![String::new()], ..ada() }),
                "subject.group_ids",
                "an empty entry",
            ),
            (
                subject(v1::Subject { group_names: vec![String::new()], ..ada() }),
                "subject.group_names",
                "an empty entry",
            ),
            (
                subject(v1::Subject { attributes: Some(big.clone()), ..ada() }),
                "subject",
                "at most 262144 are allowed",
            ),
            (
                subject(v1::Subject { attributes: Some(nested(32)), ..ada() }),
                "subject.attributes",
                "nested deeper than 31",
            ),
            (
                context(v1::Context { values: Some(big), ..Default::default() }),
                "context",
                "at most 262144 are allowed",
            ),
            (
                context(v1::Context { values: Some(nested(32)), ..Default::default() }),
                "context.values",
                "flatten it",
            ),
            (
                context(v1::Context { client_ip: "home".into(), ..Default::default() }),
                "context.client_ip",
                "`home` is no IP address",
            ),
            (
                context(reputation(1_001, None)),
                "context.reputation.scores",
                "1001 rows are given; at most 1000 are allowed",
            ),
            (
                context(reputation(3, Some(i64::MIN))),
                "context.reputation.scores[2].expires",
                "is not a moment between the years",
            ),
            (context(time(i64::MIN, 0)), "context.time", "is not a moment between the years"),
            (context(time(i64::MAX, 0)), "context.time", "is not a moment between the years"),
            (context(time(0, -1)), "context.time", "is not a moment between the years"),
            (v1::CheckRequest { scope: 9, ..ask("wiki") }, "scope", "9 is none of its values"),
            (v1::CheckRequest { explain: -1, ..ask("wiki") }, "explain", "-1 is none of its values"),
        ]
    }

    #[tokio::test]
    async fn a_bad_question_is_told_which_field_is_wrong() {
        let running = start().await;
        running.configure();
        let mut client = running.client();
        let mut checked = 0;
        for (request, field, part) in bad_requests() {
            let status = client.check(request.clone()).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
            let details = status.get_details_bad_request().unwrap();
            let violation = &details.field_violations[0];
            assert_eq!(violation.field, field);
            assert!(violation.description.contains(part), "{}", violation.description);
            assert_eq!(status.get_details_error_info().unwrap().reason, "INVALID_QUESTION");
            // The same in a batch, where the others are answered.
            let batch = v1::CheckBatchRequest { checks: vec![ask("wiki"), request] };
            let results = client.check_batch(batch).await.unwrap().into_inner().results;
            assert!(matches!(&results[0].result, Some(v1::check_batch_result::Result::Response(_))));
            let Some(v1::check_batch_result::Result::Error(error)) = &results[1].result else {
                panic!("{results:?}")
            };
            assert_eq!((error.code, error.field.as_str()), (Code::InvalidArgument as u32, field));
            checked += 1;
        }
        assert!(checked >= 20);
        running.end().await;
    }

    #[tokio::test]
    async fn other_errors_have_their_codes() {
        let running = start().await;
        running.configure();
        let mut client = running.client();
        let status = client.check(ask("nowhere")).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains("there is no application `nowhere` in the configuration"));
        let status = client.check(v1::CheckRequest { min_revision: 2, ..ask("wiki") }).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().contains("revision 1 is in force, and at least 2 is asked for"));
        let batch = v1::CheckBatchRequest { checks: vec![ask("wiki"); 1_001] };
        let status = client.check_batch(batch).await.unwrap_err();
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "checks");
        let huge = v1::Context { client_ip: "x".repeat(5 << 20), ..Default::default() };
        let status =
            client.check(v1::CheckRequest { context: Some(huge.into()), ..ask("wiki") }).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        running.end().await;
    }
}
