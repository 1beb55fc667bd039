//! The doors agree: a question alone, in a batch and in a stream, by Envoy, by another gateway and over AuthZEN gets the
//! answer that the core gives.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod generate;
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::generate::{any_question, any_world};
    use crate::support::make::{NOW, dummy, question, resource, target};
    use axum::Router;
    use axum::body::Body;
    use axum::extract::ConnectInfo;
    use bindery::api::ask;
    use bindery::api::authzen::{self, AuthzenSettings};
    use bindery::api::decision::DecisionApi;
    use bindery::api::ext_authz::ExtAuthz;
    use bindery::api::forward_auth::{self, Caller};
    use bindery::api::gateway::Gateway;
    use bindery::api::gateway::settings::Rules;
    use bindery::evaluators::Evaluators;
    use bindery::model::Timestamp;
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_client::DecisionServiceClient;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use envoy_types::ext_authz::v3::pb::{Address, CheckRequest};
    use envoy_types::pb::envoy::config::core::v3::{self as core, SocketAddress};
    use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
    use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request as Asked};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    use serde_json::{Value as Json, json};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use tokio_stream::StreamExt as _;
    use tonic::transport::Channel;
    use tower::ServiceExt as _;

    /// The service on a free port of this machine, and a connection to it.
    async fn serve(store: Arc<Store>) -> Channel {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let service = DecisionApi::new(store, Arc::default()).into_service();
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
    }

    /// A world and questions about it, the same ones in every run.
    fn example(seed: u8, count: usize) -> (Arc<Store>, Vec<v1::CheckRequest>) {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let explain = prop::sample::select(vec![
            v1::ExplainLevel::Unspecified,
            v1::ExplainLevel::Reasons,
            v1::ExplainLevel::Full,
        ]);
        let questions = vec((any_question(), explain, any::<bool>()), count);
        let (world, questions) = (any_world(), questions).new_tree(&mut runner).unwrap().current();
        let store = Arc::new(Store::new(Settings::default()));
        apply(&store, Update::Replace(world.resources())).unwrap();
        let request = |(asked, explain, full_evaluation): &(_, v1::ExplainLevel, bool)| v1::CheckRequest {
            explain: (*explain).into(),
            full_evaluation: *full_evaluation,
            ..world.question(asked)
        };
        (store, questions.iter().map(request).collect())
    }

    /// An answer or an error's code. The text of an error is only looked at to be there.
    type Same = Result<v1::CheckResponse, u32>;

    /// The time that bindings took is never the same.
    fn without_times(mut answer: v1::CheckResponse) -> v1::CheckResponse {
        fn clear(explanation: &mut v1::Explanation) {
            explanation.bindings.iter_mut().for_each(|binding| binding.nanoseconds = 0);
            explanation.parents.iter_mut().for_each(clear);
        }
        answer.explanation.iter_mut().for_each(clear);
        answer
    }

    fn number(code: tonic::Code) -> u32 {
        u32::try_from(i32::from(code)).unwrap()
    }

    fn refused(code: u32, message: &str) -> u32 {
        assert!(!message.is_empty(), "an error with code {code} says nothing");
        code
    }

    async fn by_core(store: &Store, requests: &[v1::CheckRequest]) -> Vec<Same> {
        let mut answers = Vec::new();
        for request in requests {
            let answer =
                ask::check(store, &Evaluators::default(), request.clone(), Timestamp::new(NOW, 0)).await;
            let error = |failure: ask::Failure| refused(number(failure.code), &failure.message);
            answers.push(answer.map(without_times).map_err(error));
        }
        answers
    }

    async fn by_check(channel: Channel, requests: &[v1::CheckRequest]) -> Vec<Same> {
        let mut client = DecisionServiceClient::new(channel);
        let mut answers = Vec::new();
        for request in requests {
            let answer = client.check(request.clone()).await;
            let error = |status: tonic::Status| refused(number(status.code()), status.message());
            answers.push(answer.map(|answer| without_times(answer.into_inner())).map_err(error));
        }
        answers
    }

    async fn by_batch(channel: Channel, requests: &[v1::CheckRequest]) -> (Vec<Same>, u64) {
        use v1::check_batch_result::Result as Either;
        let request = v1::CheckBatchRequest { checks: requests.to_vec() };
        let answer = DecisionServiceClient::new(channel).check_batch(request).await.unwrap().into_inner();
        let one = |result: v1::CheckBatchResult| match result.result.unwrap() {
            Either::Response(answer) => Ok(without_times(answer)),
            Either::Error(error) => Err(refused(error.code, &error.message)),
        };
        (answer.results.into_iter().map(one).collect(), answer.revision)
    }

    async fn by_stream(channel: Channel, requests: &[v1::CheckRequest]) -> Vec<Same> {
        use v1::check_stream_response::Result as Either;
        // Ids that are neither small nor in order: they belong to the caller.
        let id = |index: usize| u64::MAX - (index as u64) * 7;
        let questions: Vec<v1::CheckStreamRequest> = requests
            .iter()
            .enumerate()
            .map(|(index, request)| v1::CheckStreamRequest { id: id(index), check: Some(request.clone()) })
            .collect();
        let mut client = DecisionServiceClient::new(channel);
        let mut stream = client.check_stream(tokio_stream::iter(questions)).await.unwrap().into_inner();
        let mut answers = BTreeMap::new();
        while let Some(answer) = stream.next().await {
            let answer = answer.unwrap();
            let same = match answer.result.unwrap() {
                Either::Response(answer) => Ok(without_times(answer)),
                Either::Error(error) => Err(refused(error.code, &error.message)),
            };
            assert!(answers.insert(answer.id, same).is_none(), "question {} was answered twice", answer.id);
        }
        assert_eq!(answers.len(), requests.len());
        (0..requests.len()).map(|index| answers.remove(&id(index)).unwrap()).collect()
    }

    #[tokio::test]
    async fn every_door_gives_the_answer_of_the_core() {
        let mut answered = 0;
        let mut failed = 0;
        for seed in 0..8 {
            let (store, requests) = example(seed, 150);
            let channel = serve(Arc::clone(&store)).await;
            let core = by_core(&store, &requests).await;
            assert_eq!(by_check(channel.clone(), &requests).await, core);
            let (batch, revision) = by_batch(channel.clone(), &requests).await;
            assert_eq!(batch, core);
            assert_eq!(revision, store.load().revision());
            assert_eq!(by_stream(channel, &requests).await, core);
            answered += core.iter().filter(|answer| answer.is_ok()).count();
            failed += core.iter().filter(|answer| answer.is_err()).count();
        }
        assert!(answered > 500 && failed > 50, "{answered} answers and {failed} errors are too few of one");
    }

    /// The text form of a target.
    fn text(target: &v1::TargetRef) -> Option<String> {
        Some(match target.target.as_ref()? {
            T::Application(name) => format!("application/{name}"),
            T::Source(name) => format!("source/{name}"),
            T::Flow(name) => format!("flow/{name}"),
            T::FlowStageBinding(id) => format!("flow_stage_binding/{id}"),
            T::Device(name) => format!("device/{name}"),
            T::DeviceAccessGroup(name) => format!("device_access_group/{name}"),
            T::NotificationRule(name) => format!("notification_rule/{name}"),
            T::RacEndpoint(endpoint) if endpoint.application.is_empty() => {
                format!("rac_endpoint/{}", endpoint.id)
            }
            T::Entitlement(it) if it.id.is_empty() => format!("entitlement/{}/{}", it.application, it.name),
            T::Entitlement(it) => format!("entitlement/{}", it.id),
            T::RacEndpoint(_) => return None,
        })
    }

    /// What a door says: let in, kept out, or not decided.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Said {
        Yes,
        No,
        Nothing,
    }

    fn gateway(store: &Arc<Store>) -> Arc<Gateway> {
        let settings = "trusted_peers = ['unix']\n[identity.headers]\ntrusted_peers = ['10.0.0.1']";
        let rules = Rules::new(&toml::from_str(settings).unwrap()).unwrap();
        Arc::new(Gateway::new(DecisionApi::new(Arc::clone(store), Arc::default()), rules))
    }

    async fn by_envoy(gateway: &Arc<Gateway>, target: &str, username: &str) -> Said {
        let socket = SocketAddress { address: "10.0.0.1".into(), ..Default::default() };
        let address = Some(core::Address { address: Some(Address::SocketAddress(socket)) });
        let headers = [(":path", "/"), ("x-authentik-username", username)];
        let http = HttpRequest {
            method: "GET".into(),
            host: "app.example.com".into(),
            path: "/".into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Default::default()
        };
        let context = AttributeContext {
            source: Some(Peer { address, ..Default::default() }),
            request: Some(Asked { http: Some(http), ..Default::default() }),
            context_extensions: [("bindery.target".to_owned(), target.to_owned())].into(),
            ..Default::default()
        };
        let asked = CheckRequest { attributes: Some(context) };
        match ExtAuthz::new(Arc::clone(gateway)).answer(asked).await {
            Err(_) => Said::Nothing,
            Ok(answer) if answer.status.as_ref().unwrap().code == 0 => Said::Yes,
            Ok(_) => Said::No,
        }
    }

    async fn over_http(router: Router, request: http::request::Builder, body: String) -> (u16, String) {
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(Caller { address: None }));
        let answer = router.oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn by_forwarding(gateway: &Arc<Gateway>, target: &str, username: &str) -> Said {
        let name = |part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
        let path: Vec<String> = target.split('/').map(name).collect();
        let request = http::Request::get(format!("/forward-auth/caddy/{}", path.join("/")))
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "app.example.com")
            .header("x-forwarded-uri", "/")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-authentik-username", username);
        match over_http(forward_auth::router(Arc::clone(gateway)), request, String::new()).await.0 {
            200 => Said::Yes,
            403 => Said::No,
            _ => Said::Nothing,
        }
    }

    async fn by_authzen(store: &Arc<Store>, target: &str, username: &str) -> Said {
        let (kind, name) = target.split_once('/').unwrap();
        let body = json!({
            "subject": {"type": "user", "id": username},
            "action": {"name": "access"},
            "resource": {"type": kind, "id": name},
        });
        let api = DecisionApi::new(Arc::clone(store), Arc::default());
        let request = http::Request::post("/access/v1/evaluation").header("content-type", "application/json");
        let router = authzen::router(api, AuthzenSettings::default());
        let (status, answer) = over_http(router, request, body.to_string()).await;
        let answer: Json = serde_json::from_str(&answer).unwrap();
        match (status, &answer["decision"], &answer["context"]["error"]) {
            (200, Json::Bool(true), _) => Said::Yes,
            (200, Json::Bool(false), Json::Null) => Said::No,
            _ => Said::Nothing,
        }
    }

    #[tokio::test]
    async fn gateways_and_programs_get_the_answer_of_the_core() {
        let (mut yes, mut no, mut nothing) = (0, 0, 0);
        for seed in 20..28 {
            let (store, requests) = example(seed, 60);
            let gateway = gateway(&store);
            for request in requests {
                let Some(target) = request.target.as_ref().and_then(text) else { continue };
                let subject = request.subject.unwrap_or_default();
                let username = subject.username;
                if username.is_empty() || !username.bytes().all(|byte| byte.is_ascii_graphic()) {
                    continue;
                }
                let inactive = store.load().user_named(&username).is_some_and(|user| !user.is_active);
                let subject = v1::Subject { username: username.clone(), ..Default::default() };
                let plain =
                    v1::CheckRequest { target: request.target, subject: Some(subject), ..Default::default() };
                // A gateway tells of the request, too, and policies may look at it.
                let http = v1::HttpRequest {
                    method: "GET".into(),
                    host: "app.example.com".into(),
                    path: "/".into(),
                    ..Default::default()
                };
                let context =
                    v1::Context { client_ip: "10.0.0.1".into(), http: Some(http), ..Default::default() };
                let told = v1::CheckRequest { context: Some(context.into()), ..plain.clone() };
                let core =
                    async |asked| match ask::check(&store, &Evaluators::default(), asked, ask::now()).await {
                        Err(_) => Said::Nothing,
                        // The front doors keep those out before anything is asked.
                        Ok(_) if inactive => Said::No,
                        Ok(answer) if answer.decision() == v1::Decision::Allow => Said::Yes,
                        Ok(_) => Said::No,
                    };
                let (core, told) = (core(plain).await, core(told).await);
                let envoy = by_envoy(&gateway, &target, &username).await;
                let forwarding = by_forwarding(&gateway, &target, &username).await;
                let authzen = by_authzen(&store, &target, &username).await;
                // Whoever is inactive is kept out also where there is nothing to decide.
                let is_same = envoy == told && forwarding == told && authzen == core;
                let said =
                    format!("{target} {username}: {core:?} {told:?} {envoy:?} {forwarding:?} {authzen:?}");
                assert!(is_same || (inactive && core == Said::Nothing), "{said}");
                match core {
                    Said::Yes => yes += 1,
                    Said::No => no += 1,
                    Said::Nothing => nothing += 1,
                }
            }
        }
        assert!(yes > 30 && no > 30 && nothing > 5, "{yes}, {no} and {nothing} are too few of one");
    }

    /// All answers of a batch stand on one revision, whatever the writer does meanwhile.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_batch_stands_on_one_revision() {
        let store = Arc::new(Store::new(Settings::default()));
        let says = |generation: u64| dummy("says", true, &format!("generation {generation}"));
        let application = target(T::Application("t".into()));
        let row = v1::PolicyBinding {
            target: Some(application.clone()),
            policy: "says".into(),
            ..Default::default()
        };
        let slug = v1::Application { slug: "t".into(), ..Default::default() };
        let first = vec![says(1), resource(R::Application(slug)), resource(R::PolicyBinding(row))];
        apply(&store, Update::Replace(first)).unwrap();
        let channel = serve(Arc::clone(&store)).await;
        let writer = {
            let store = Arc::clone(&store);
            tokio::task::spawn_blocking(move || {
                for generation in 2..2_000 {
                    let update = Update::Delta { upserts: vec![says(generation)], removals: Vec::new() };
                    assert_eq!(apply(&store, update).unwrap().revision, generation);
                }
            })
        };
        let requests = vec![question(application, "somebody"); 50];
        loop {
            let finished = writer.is_finished();
            let (answers, revision) = by_batch(channel.clone(), &requests).await;
            assert_eq!(answers.len(), requests.len());
            for answer in answers {
                let answer = answer.unwrap();
                assert_eq!(answer.revision, revision);
                assert_eq!(answer.messages, [format!("generation {revision}")]);
            }
            if finished {
                break;
            }
        }
        writer.await.unwrap();
    }

    /// The questions are the same in every run, and both answers and errors are among them.
    #[test]
    fn the_examples_are_the_same_every_time() {
        let (_, first) = example(3, 50);
        let (_, second) = example(3, 50);
        let (_, other) = example(4, 50);
        assert_eq!(first, second);
        assert_ne!(first, other);
    }
}
