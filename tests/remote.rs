//! Remote policies from the question to the answer, with evaluators that answer well, late, wrongly or not at all.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod evaluator;
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::evaluator::{Running, on_port, on_socket, on_socket_seeing, passes, raw};
    use crate::support::make::{dummy, mode, policy, resource, target};
    use bindery::api::ask::{check, now};
    use bindery::evaluators::python::{Isolation, PythonOptions};
    use bindery::evaluators::{Evaluators, RemoteOptions};
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};
    use tokio::sync::{Barrier, mpsc, oneshot};
    use tonic::{Code, Status};

    /// Longer than anything that is waited for on purpose.
    const LONG: Duration = Duration::from_secs(30);

    /// An application, and policies bound to it.
    struct Scenario {
        resources: Vec<v1::Resource>,
        evaluators: Evaluators,
    }

    impl Scenario {
        fn new(combine: &str) -> Self {
            let wiki = v1::Application {
                slug: "wiki".into(),
                policy_engine_mode: mode(combine),
                ..Default::default()
            };
            Self { resources: vec![resource(R::Application(wiki))], evaluators: Evaluators::default() }
        }

        fn within(mut self, options: RemoteOptions) -> Self {
            self.evaluators = Evaluators::default().with_remote(options);
            self
        }

        fn with(mut self, policy: v1::Resource, binding: v1::PolicyBinding) -> Self {
            let Some(R::Policy(named)) = &policy.resource else { panic!("no policy") };
            let (name, target) = (named.name.clone(), Some(target(T::Application("wiki".into()))));
            let order = i32::try_from(self.resources.len()).unwrap();
            let binding = v1::PolicyBinding { target, policy: name, order, ..binding };
            self.resources.extend([policy, resource(R::PolicyBinding(binding))]);
            self
        }

        /// Binds a remote policy.
        fn remote(self, name: &str, address: &str, timeout: Duration, failure_result: bool) -> Self {
            self.with(remote(name, address, false), within(timeout, failure_result))
        }

        async fn ask(&self) -> v1::CheckResponse {
            self.ask_with(v1::CheckRequest { full_evaluation: true, ..question() }).await
        }

        async fn ask_with(&self, question: v1::CheckRequest) -> v1::CheckResponse {
            let store = Store::new(Settings::default());
            apply(&store, Update::Replace(self.resources.clone())).unwrap();
            check(&store, &self.evaluators, question, now()).await.unwrap()
        }

        /// The outcome, and the only message.
        async fn error(&self) -> (bool, String) {
            let response = self.ask().await;
            let [text] = response.messages.as_slice() else { panic!("{:?}", response.messages) };
            (response.decision() == v1::Decision::Allow, text.clone())
        }
    }

    fn question() -> v1::CheckRequest {
        let subject = Some(v1::Subject { username: "ada".into(), ..Default::default() });
        v1::CheckRequest {
            target: Some(target(T::Application("wiki".into()))),
            subject,
            ..Default::default()
        }
    }

    fn remote(name: &str, address: &str, may_change_context: bool) -> v1::Resource {
        let address = address.to_owned();
        policy(
            name,
            v1::policy::Kind::Remote(v1::RemotePolicy { address, may_change_context, ..Default::default() }),
        )
    }

    fn within(timeout: Duration, failure_result: bool) -> v1::PolicyBinding {
        let timeout = Some(prost_types::Duration::try_from(timeout).unwrap());
        v1::PolicyBinding { timeout, failure_result, ..Default::default() }
    }

    struct Sockets(tempfile::TempDir);

    impl Sockets {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn address(&self, name: &str) -> String {
            format!("unix:{}", self.path(name).display())
        }
    }

    fn says(text: &str) -> v1::EvaluatePolicyResponse {
        v1::EvaluatePolicyResponse { passing: true, messages: vec![text.into()], ..Default::default() }
    }

    #[tokio::test]
    async fn the_answer_decides_over_a_socket_and_over_a_port() {
        let sockets = Sockets::new();
        let answer = |request: v1::EvaluatePolicyRequest| async move {
            Ok(v1::EvaluatePolicyResponse {
                passing: request.subject.unwrap().username == "ada",
                messages: vec![format!("{} on {}", request.policy, request.target_name)],
                valid_until: Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 }),
                ..Default::default()
            })
        };
        let one = on_socket(&sockets.path("s"), answer);
        let other = on_port(answer).await;
        let scenario = Scenario::new("all").remote("first", &one.address, LONG, false).remote(
            "second",
            &other.address,
            LONG,
            false,
        );
        let response = scenario.ask().await;
        assert_eq!(response.decision(), v1::Decision::Allow);
        assert_eq!(response.messages, ["first on wiki", "second on wiki"]);
        assert_eq!(response.valid_until.unwrap().seconds, 4_000_000_000);
        let stranger = Some(v1::Subject { username: "eve".into(), ..Default::default() });
        let denied = scenario.ask_with(v1::CheckRequest { subject: stranger, ..question() }).await;
        assert_eq!(denied.decision(), v1::Decision::Deny);
    }

    #[tokio::test]
    async fn what_decides_locally_makes_no_remote_call() {
        let sockets = Sockets::new();
        let server = on_socket(&sockets.path("s"), |_| async { passes(true) });
        // The remote one stands first, and is not asked all the same.
        let scenario = Scenario::new("any")
            .remote("remote", &server.address, LONG, false)
            .with(dummy("local", true, "local"), v1::PolicyBinding::default());
        let response = scenario.ask_with(question()).await;
        assert_eq!((response.decision(), server.calls()), (v1::Decision::Allow, 0));
        assert_eq!(response.messages, ["local"]);
        // Asked for all messages, it is.
        assert_eq!((scenario.ask().await.decision(), server.calls()), (v1::Decision::Allow, 1));
    }

    #[tokio::test]
    async fn remote_policies_run_side_by_side() {
        let sockets = Sockets::new();
        // Nobody gets past it alone.
        let barrier = Arc::new(Barrier::new(3));
        let server = on_socket(&sockets.path("s"), move |request| {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                Ok(says(&request.policy))
            }
        });
        let scenario = ["one", "two", "three"]
            .into_iter()
            .fold(Scenario::new("all"), |scenario, name| scenario.remote(name, &server.address, LONG, false));
        assert_eq!(scenario.ask().await.messages, ["one", "two", "three"]);
    }

    #[tokio::test]
    async fn a_slow_one_ends_at_its_deadline_while_others_answer() {
        let sockets = Sockets::new();
        let slow = on_socket(&sockets.path("slow"), |_| std::future::pending());
        let quick = on_socket(&sockets.path("quick"), |_| async { Ok(says("quick")) });
        for failure_result in [false, true] {
            let scenario = Scenario::new("all")
                .remote("slow", &slow.address, Duration::from_millis(200), failure_result)
                .remote("quick", &quick.address, LONG, false);
            let start = Instant::now();
            let response = scenario.ask().await;
            let took = start.elapsed();
            assert!((Duration::from_millis(200)..Duration::from_secs(10)).contains(&took), "{took:?}");
            assert_eq!(response.decision() == v1::Decision::Allow, failure_result);
            let [late, quick] = response.messages.as_slice() else { panic!("{:?}", response.messages) };
            assert!(late.contains(&slow.address) && late.contains("in time"), "{late}");
            assert_eq!(quick, "quick");
        }
    }

    #[tokio::test]
    async fn the_evaluator_is_told_its_deadline() {
        let sockets = Sockets::new();
        let server = on_socket_seeing(&sockets.path("s"), |_, metadata| async move {
            Ok(says(metadata.get("grpc-timeout").unwrap().to_str().unwrap()))
        });
        let (_, told) = Scenario::new("all").remote("p", &server.address, LONG, false).error().await;
        let (number, unit) = told.split_at(told.len() - 1);
        let number: f64 = number.parse().unwrap();
        let seconds = match unit {
            "n" => number / 1e9,
            "u" => number / 1e6,
            "m" => number / 1e3,
            "S" => number,
            _ => panic!("{told}"),
        };
        assert!((20.0..=30.0).contains(&seconds), "{told}");
    }

    #[tokio::test]
    async fn where_nobody_listens_the_failure_result_decides() {
        let sockets = Sockets::new();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        for address in [sockets.address("nobody"), port] {
            for failure_result in [false, true] {
                let scenario = Scenario::new("all").remote("p", &address, LONG, failure_result);
                let (allowed, text) = scenario.error().await;
                assert_eq!(allowed, failure_result);
                assert!(text.starts_with(&format!("`{address}` cannot be reached")), "{text}");
                assert!(text.contains("check that the evaluator runs"), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn whoever_does_not_speak_grpc_is_an_error_soon() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let talking = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                drop(connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await);
            }
        });
        let (allowed, text) = Scenario::new("all").remote("p", &address, LONG, false).error().await;
        assert!(!allowed && text.contains(&address) && !text.contains("in time"), "{text}");
        talking.abort();
    }

    #[tokio::test]
    async fn after_failures_in_a_row_the_circuit_opens_until_a_probe_passes() {
        let sockets = Sockets::new();
        let broken = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&broken);
        let server = on_socket(&sockets.path("s"), move |_| {
            let broken = seen.load(Ordering::SeqCst);
            async move { if broken { Err(Status::internal("out of ideas")) } else { passes(true) } }
        });
        let options =
            RemoteOptions { failures: 3, open_for: Duration::from_millis(400), ..RemoteOptions::default() };
        let scenario = Scenario::new("all").within(options).remote("p", &server.address, LONG, false);
        for _ in 0..3 {
            let (_, text) = scenario.error().await;
            assert!(
                text.contains("INTERNAL (out of ideas)") && text.contains("log of the evaluator"),
                "{text}"
            );
        }
        assert_eq!(server.calls(), 3);
        let opened = Instant::now();
        let (allowed, text) = scenario.error().await;
        // A machine may be busy for longer than the circuit is open; then there is nothing to see.
        if opened.elapsed() < Duration::from_millis(300) {
            assert!(!allowed && text.starts_with("the circuit to "), "{text}");
            for part in [&*server.address, "is open since 20", "after 3 failures in a row", "out of ideas"] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert_eq!(server.calls(), 3, "an open circuit was passed");
        }
        let before = server.calls();
        broken.store(false, Ordering::SeqCst);
        // Each time the circuit lets something through again, it is one probe.
        let healed = async {
            while scenario.ask().await.decision() != v1::Decision::Allow {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, healed).await.unwrap();
        assert_eq!(server.calls(), before + 1);
        assert_eq!(scenario.ask().await.decision(), v1::Decision::Allow);
    }

    #[tokio::test]
    async fn an_open_circuit_lets_one_probe_through_at_a_time() {
        let sockets = Sockets::new();
        let (begun, mut beginnings) = mpsc::unbounded_channel();
        let (release, released) = tokio::sync::watch::channel(false);
        let fails = AtomicBool::new(true);
        let server = on_socket(&sockets.path("s"), move |_| {
            let (begun, mut released) = (begun.clone(), released.clone());
            let fails = fails.swap(false, Ordering::SeqCst);
            async move {
                if fails {
                    return Err(Status::unavailable("not yet"));
                }
                begun.send(()).unwrap();
                released.wait_for(|released| *released).await.unwrap();
                passes(true)
            }
        });
        let options =
            RemoteOptions { failures: 1, open_for: Duration::from_millis(1), ..RemoteOptions::default() };
        let scenario =
            Arc::new(Scenario::new("all").within(options).remote("p", &server.address, LONG, false));
        assert!(scenario.error().await.1.contains("UNAVAILABLE (not yet)"));
        let asking = Arc::clone(&scenario);
        let probe = tokio::spawn(async move {
            while asking.ask().await.decision() != v1::Decision::Allow {
                tokio::task::yield_now().await;
            }
        });
        beginnings.recv().await.unwrap();
        for _ in 0..20 {
            let (_, text) = scenario.error().await;
            assert!(text.starts_with("the circuit to ") && text.contains("not yet"), "{text}");
        }
        assert_eq!(server.calls(), 2);
        release.send_replace(true);
        probe.await.unwrap();
        assert_eq!(scenario.ask().await.decision(), v1::Decision::Allow);
    }

    #[tokio::test]
    async fn an_expression_may_call_a_remote_policy() {
        let sockets = Sockets::new();
        let server = on_socket(&sockets.path("s"), |request| async move { Ok(says(&request.policy)) });
        let source =
            "result = ak_call_policy('hours')\nak_message(result.messages[0])\nreturn result.passing";
        let expression = v1::ExpressionPolicy { source: source.into(), ..Default::default() };
        let mut scenario = Scenario::new("all")
            .with(policy("calls", v1::policy::Kind::Expression(expression)), within(LONG, false));
        scenario.resources.push(remote("hours", &server.address, false));
        scenario.evaluators = Evaluators::default().with_python(PythonOptions {
            isolation: Isolation::Thread,
            workers: 1,
            memory: 64 << 20,
            limit: LONG,
        });
        let response = scenario.ask().await;
        assert_eq!(response.messages, ["hours"]);
        assert_eq!((response.decision(), server.calls()), (v1::Decision::Allow, 1));
    }

    #[tokio::test]
    async fn what_speaks_against_one_policy_opens_no_circuit() {
        let sockets = Sockets::new();
        let server = on_socket(&sockets.path("s"), |request| async move {
            match request.policy.as_str() {
                "unknown" => Err(Status::not_found("no such policy")),
                "undecided" => Ok(v1::EvaluatePolicyResponse {
                    error: Some("the list cannot be read".into()),
                    passing: true,
                    ..Default::default()
                }),
                _ => passes(true),
            }
        });
        let options = RemoteOptions { failures: 1, ..RemoteOptions::default() };
        let scenario = Scenario::new("all")
            .within(options)
            .remote("unknown", &server.address, LONG, true)
            .remote("undecided", &server.address, LONG, true)
            .remote("good", &server.address, LONG, false);
        for _ in 0..3 {
            let response = scenario.ask().await;
            assert_eq!(response.decision(), v1::Decision::Allow);
            let [unknown, undecided] = response.messages.as_slice() else {
                panic!("{:?}", response.messages)
            };
            assert!(unknown.contains("knows no policy `unknown` (no such policy)"), "{unknown}");
            let text =
                format!("`{}` could not decide policy `undecided`: the list cannot be read", server.address);
            assert_eq!(*undecided, text);
        }
        assert_eq!(server.calls(), 9);
    }

    #[tokio::test]
    async fn each_error_status_is_the_policys_error() {
        let sockets = Sockets::new();
        let server = on_socket(&sockets.path("s"), |request| async move {
            Err(Status::new(Code::from_i32(request.policy.parse().unwrap()), "so it is"))
        });
        for code in 1..17 {
            // Each with a circuit of its own.
            let scenario = Scenario::new("all").remote(&code.to_string(), &server.address, LONG, true);
            let (allowed, text) = scenario.error().await;
            assert!(allowed && text.contains(&server.address) && text.contains("so it is"), "{code}: {text}");
        }
        assert_eq!(server.calls(), 16);
    }

    #[tokio::test]
    async fn garbage_and_huge_answers_are_errors() {
        let sockets = Sockets::new();
        let framed = |message: &[u8]| {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            [&[0], &length[..], message].concat()
        };
        for (name, body, words) in [
            ("not-a-message", framed(&[0xff; 9]), "failed on policy `p`: INTERNAL"),
            // Field 1 as a text, which ought to be a truth value.
            ("another-message", framed(&[0x0a, 1, b'x']), "failed on policy `p`: INTERNAL"),
            ("compressed", vec![1, 0, 0, 0, 0], "failed on policy `p`"),
            (
                "claims-4-gib",
                vec![0, 0xff, 0xff, 0xff, 0xff, 1],
                "of more than 1048576 bytes; make it smaller",
            ),
            ("too-large", framed(&vec![0; (1 << 20) + 1]), "of more than 1048576 bytes; make it smaller"),
            ("cut-off", vec![0, 0, 0, 0, 9, 1], "failed on policy `p`"),
            ("nothing", vec![], "failed on policy `p`"),
        ] {
            let server = raw(sockets.path(name), body);
            let scenario = Scenario::new("all").remote("p", &server.address, LONG, true);
            let (allowed, text) = scenario.error().await;
            assert!(allowed && text.contains(&server.address) && text.contains(words), "{name}: {text}");
            assert_eq!(server.calls(), 1);
        }
    }

    #[tokio::test]
    async fn answers_beyond_bounds_are_refused() {
        let sockets = Sockets::new();
        let server = on_socket(&sockets.path("s"), |request| async move {
            let mut answer = says("x");
            match request.policy.as_str() {
                "many" => answer.messages = vec!["x".into(); 101],
                "long" => answer.messages = vec!["x".repeat(4_097)],
                "moment" => answer.valid_until = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
                _ => answer.error = Some("x".repeat(4_097)),
            }
            Ok(answer)
        });
        for (name, words) in [
            ("many", "messages: 101 are given; at most 100"),
            ("long", "messages: a text has 4097 bytes"),
            ("moment", "valid_until: is not a moment"),
            ("error", "error: a text has 4097 bytes"),
        ] {
            let (allowed, text) =
                Scenario::new("all").remote(name, &server.address, LONG, true).error().await;
            assert!(allowed && text.contains("that is refused") && text.contains(words), "{name}: {text}");
        }
    }

    #[tokio::test]
    async fn a_server_that_comes_back_is_found_again() {
        let sockets = Sockets::new();
        let path = sockets.path("s");
        let first = on_socket(&path, |_| async { Ok(says("first")) });
        let options = RemoteOptions { open_for: Duration::from_millis(20), ..RemoteOptions::default() };
        let scenario = Scenario::new("all").within(options).remote("p", &first.address, LONG, false);
        assert_eq!(scenario.ask().await.messages, ["first"]);
        first.stop().await;
        assert_eq!(scenario.ask().await.decision(), v1::Decision::Deny);
        let second = on_socket(&path, |_| async { Ok(says("second")) });
        let back = async {
            while scenario.ask().await.messages != ["second"] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, back).await.unwrap();
        second.stop().await;
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_cancels_the_call_and_gives_its_place_back() {
        /// Tells when a call is dropped.
        struct Told(Option<oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.take().unwrap().send(()).unwrap_or_default();
            }
        }
        let sockets = Sockets::new();
        let (begun, mut beginnings) = mpsc::unbounded_channel();
        let first = AtomicBool::new(true);
        let server = on_socket(&sockets.path("s"), move |_| {
            let begun = begun.clone();
            let first = first.swap(false, Ordering::SeqCst);
            async move {
                if !first {
                    return passes(true);
                }
                let (dropped, is_dropped) = oneshot::channel();
                let _told = Told(Some(dropped));
                begun.send(is_dropped).unwrap();
                std::future::pending().await
            }
        });
        let options = RemoteOptions { max_calls: 1, failures: 1, ..RemoteOptions::default() };
        let scenario =
            Arc::new(Scenario::new("all").within(options).remote("p", &server.address, LONG, false));
        let asking = Arc::clone(&scenario);
        let caller = tokio::spawn(async move { asking.ask().await });
        let is_dropped = beginnings.recv().await.unwrap();
        caller.abort();
        tokio::time::timeout(LONG, is_dropped).await.unwrap().unwrap();
        // Its place is free, and it counted neither way.
        assert_eq!(scenario.ask().await.decision(), v1::Decision::Allow);
    }

    #[tokio::test]
    async fn calls_under_way_are_bounded() {
        let sockets = Sockets::new();
        let server = on_socket(&sockets.path("s"), |request| async move {
            match request.policy.as_str() {
                "holds" => std::future::pending().await,
                _ => passes(true),
            }
        });
        let options = RemoteOptions { max_calls: 1, ..RemoteOptions::default() };
        let scenario = Scenario::new("all")
            .within(options)
            .remote("holds", &server.address, Duration::from_millis(400), true)
            .remote("waits", &server.address, Duration::from_millis(100), true)
            .remote("comes-after", &server.address, LONG, false);
        let response = scenario.ask().await;
        assert_eq!(response.decision(), v1::Decision::Allow);
        let [holds, waits] = response.messages.as_slice() else { panic!("{:?}", response.messages) };
        assert!(holds.contains("in time"), "{holds}");
        assert!(waits.contains(&server.address) && waits.contains("too many calls under way, 1"), "{waits}");
        assert_eq!(server.calls(), 2);
    }

    #[tokio::test]
    async fn a_changed_context_counts_only_where_the_policy_may_change_it() {
        use crate::support::make::data;
        let sockets = Sockets::new();
        let server: Running = on_socket(&sockets.path("s"), |request| async move {
            let seen = request.context.unwrap().values.unwrap_or_default();
            let step = seen.fields.get("step").and_then(|value| match value.kind {
                Some(prost_types::value::Kind::NumberValue(step)) => Some(step),
                _ => None,
            });
            let step = step.unwrap_or_default();
            Ok(v1::EvaluatePolicyResponse {
                context: Some(data(&serde_json::json!({ "step": step + 1.0 }))),
                ..says(&format!("{} saw {step}", request.policy))
            })
        });
        let asked = |may_change: bool| {
            let bound = || within(LONG, false);
            let scenario = Scenario::new("all")
                .with(remote("one", &server.address, may_change), bound())
                .with(remote("two", &server.address, may_change), bound());
            async move {
                let question = v1::CheckRequest { return_context: true, ..question() };
                let response = scenario.ask_with(question).await;
                (response.messages, response.context)
            }
        };
        let (messages, context) = asked(false).await;
        assert_eq!((messages, context), (vec!["one saw 0".to_owned(), "two saw 0".into()], None));
        let (messages, context) = asked(true).await;
        assert_eq!(messages, ["one saw 0", "two saw 1"]);
        assert_eq!(context, Some(data(&serde_json::json!({ "step": 2.0 }))));
    }
}
