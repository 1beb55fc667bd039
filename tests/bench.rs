//! The load generator against the real server, and against servers whose answers are known one by one.

#[cfg(test)]
#[path = "support"]
mod support {
    pub(crate) mod certificates;
    #[expect(dead_code, reason = "shared with tests that need more of it")]
    pub(crate) mod sidecar;
}

#[cfg(test)]
mod tests {
    use crate::support::certificates::{Authority, Leaf};
    use crate::support::sidecar::{Ran, Server, bindery, ran, until};
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_server::{DecisionService, DecisionServiceServer};
    use futures_util::StreamExt as _;
    use prost::Message;
    use serde_json::Value;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;
    use tokio_stream::Stream;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::{Identity, ServerTlsConfig};
    use tonic::{Code, Request, Response, Status, Streaming};

    const BUNDLE: &str = "\
applications: [{slug: wiki}, {slug: blog}]
groups: [{name: staff}]
users: [{username: ada, groups: [{name: staff}]}]
policy_bindings:
  - {target: {application: wiki}, group: {name: staff}}
";

    /// What comes of the questions of a server, in turns.
    #[derive(Clone, Copy)]
    enum Turn {
        Allow,
        Deny,
        Refuse(Code),
        /// Allow, but not at once.
        Late(Duration),
        /// No answer at all.
        Never,
    }

    #[derive(Clone)]
    struct Scripted {
        turns: &'static [Turn],
        asked: Arc<AtomicU64>,
    }

    impl Scripted {
        async fn turn(&self) -> Result<v1::CheckResponse, Status> {
            let number = usize::try_from(self.asked.fetch_add(1, Ordering::SeqCst)).unwrap();
            let decided = |decision: v1::Decision| {
                Ok(v1::CheckResponse { decision: decision.into(), revision: 1, ..Default::default() })
            };
            match self.turns[number % self.turns.len()] {
                Turn::Allow => decided(v1::Decision::Allow),
                Turn::Deny => decided(v1::Decision::Deny),
                Turn::Refuse(code) => Err(Status::new(code, "as it is written")),
                Turn::Late(time) => {
                    tokio::time::sleep(time).await;
                    decided(v1::Decision::Allow)
                }
                Turn::Never => std::future::pending().await,
            }
        }

        fn error(status: &Status) -> v1::CheckError {
            let code = u32::try_from(i32::from(status.code())).unwrap();
            v1::CheckError { code, ..Default::default() }
        }
    }

    #[tonic::async_trait]
    impl DecisionService for Scripted {
        async fn check(&self, _: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
            self.turn().await.map(Response::new)
        }

        async fn check_batch(
            &self,
            request: Request<v1::CheckBatchRequest>,
        ) -> Result<Response<v1::CheckBatchResponse>, Status> {
            use v1::check_batch_result::Result as R;
            let mut results = Vec::new();
            for _ in 0..request.get_ref().checks.len() {
                let result = match self.turn().await {
                    Ok(answer) => R::Response(answer),
                    Err(status) => R::Error(Self::error(&status)),
                };
                results.push(v1::CheckBatchResult { result: Some(result) });
            }
            Ok(Response::new(v1::CheckBatchResponse { results, revision: 1 }))
        }

        type CheckStreamStream = Pin<Box<dyn Stream<Item = Result<v1::CheckStreamResponse, Status>> + Send>>;

        async fn check_stream(
            &self,
            request: Request<Streaming<v1::CheckStreamRequest>>,
        ) -> Result<Response<Self::CheckStreamStream>, Status> {
            use v1::check_stream_response::Result as R;
            let own = self.clone();
            let answers = request.into_inner().then(move |question| {
                let own = own.clone();
                async move {
                    let id = question?.id;
                    let result = match own.turn().await {
                        Ok(answer) => R::Response(answer),
                        Err(status) => R::Error(Self::error(&status)),
                    };
                    Ok(v1::CheckStreamResponse { id, result: Some(result) })
                }
            });
            Ok(Response::new(Box::pin(answers)))
        }
    }

    /// A server that ends with this.
    struct Served {
        address: SocketAddr,
        asked: Arc<AtomicU64>,
        _runtime: tokio::runtime::Runtime,
    }

    fn scripted(turns: &'static [Turn]) -> Served {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let service = Scripted { turns, asked: Arc::clone(&asked) };
        let address = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tonic::transport::Server::builder().add_service(DecisionServiceServer::new(service));
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            address
        });
        Served { address, asked, _runtime: runtime }
    }

    fn bench(address: &str, more: &[&str]) -> Command {
        let mut command = bindery();
        command.args(["bench", address, "--output", "json", "--warm-up", "0.2", "--duration", "1"]);
        command.args(more);
        command
    }

    const WIKI: [&str; 3] = ["application/wiki", "--user", "ada"];

    fn report(ran: &Ran) -> Value {
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    fn number(value: &Value) -> u64 {
        value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
    }

    /// The only round of the first server; every question that was sent must be somewhere in it.
    fn round(report: &Value) -> &Value {
        let server = &report["servers"][0];
        let round = &server["rounds"][0];
        let sum: u64 = ["answered", "shed", "failed", "unanswered"].iter().map(|it| number(&round[it])).sum();
        assert_eq!(number(&round["sent"]), sum, "{round}");
        assert_eq!(number(&round["answered"]), number(&round["allowed"]) + number(&round["denied"]));
        let errors: u64 = round["errors"].as_object().unwrap().values().map(number).sum();
        assert_eq!(number(&round["failed"]), errors, "{round}");
        let calls: u64 = ["latency", "latency_shed", "latency_errors"]
            .iter()
            .map(|it| if round[it].is_null() { 0 } else { number(&round[it]["calls"]) })
            .sum();
        if number(&round["unanswered"]) == 0 {
            assert_eq!(number(&round["calls"]), calls, "every call has one latency: {round}");
        }
        for kind in ["sent", "answered", "shed", "failed"] {
            assert_eq!(round[kind], server["total"][kind], "one round is the total");
        }
        round
    }

    #[test]
    fn every_mode_is_measured_against_the_real_server() {
        let server = Server::new(&[]);
        assert_eq!(server.push(BUNDLE, &["--yes"]).code, Some(0));
        let address = format!("unix:{}", server.directory.path().join("q").display());
        let questions = server.directory.path().join("questions.jsonl");
        let lines = ["wiki", "blog"].map(|slug| {
            format!(
                "{{\"target\": {{\"application\": \"{slug}\"}}, \"subject\": {{\"username\": \"bob\"}}}}\n"
            )
        });
        std::fs::write(&questions, lines.concat()).unwrap();
        let file = ["--questions", questions.to_str().unwrap()];
        for (mode, each) in [("unary", 1), ("batch", 7), ("stream", 1)] {
            let mode = ["--mode", mode, "--batch-size", "7", "--threads", "2"];
            let closed = ran(bench(&address, &WIKI).args(mode));
            assert_eq!(closed.code, Some(0), "{closed:?}");
            let json = report(&closed);
            assert_eq!((&json["loop"], &json["mode"]), (&"closed".into(), &mode[1].into()));
            let one = round(&json);
            assert!(number(&one["allowed"]) > 0 && number(&one["denied"]) == 0, "{one}");
            assert_eq!(number(&one["sent"]), number(&one["calls"]) * each);
            // The process behind a unix socket is found.
            assert!(number(&one["server"]["resident_bytes"]) > 1_000_000, "{one}");

            // Two questions in turns: one is open to everybody, the other closed.
            let open = ran(bench(&address, &file).args(mode).args(["--rate", "50", "--max-wait", "60"]));
            assert_eq!(open.code, Some(0), "{open:?}");
            let json = report(&open);
            let one = round(&json);
            // What is due does not depend on what the server does.
            assert_eq!((number(&one["calls"]), number(&one["not_sent"])), (50, 0), "{one}");
            assert!(number(&one["allowed"]) > 0 && number(&one["denied"]) > 0, "{one}");
        }
        let envoy = ran(bench(&address, &["application/blog", "--mode", "ext-authz"]).args([
            "--poisson",
            "--rate",
            "50",
        ]));
        let json = report(&envoy);
        let one = round(&json);
        // Nobody is named, and the server trusts no header.
        assert!(number(&one["answered"]) > 0, "{envoy:?}");
        let text = ran(bindery().args(["bench", &address, "--warm-up", "0", "--duration", "0.5"]).args(WIKI));
        assert_eq!(text.code, Some(0), "{text:?}");
        for part in ["unary, 1 question; closed loop", "answered", "p99.9", "of CPU for 1,000 questions"] {
            assert!(text.out.contains(part), "{text:?}");
        }
    }

    #[test]
    fn ready_made_messages_go_to_whatever_is_called() {
        let served = scripted(&[Turn::Allow, Turn::Deny, Turn::Refuse(Code::ResourceExhausted)]);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("messages");
        let application =
            |slug: &str| v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.to_owned())) };
        let questions = ["wiki", "blog"]
            .map(|slug| v1::CheckRequest { target: Some(application(slug)), ..Default::default() });
        let written: Vec<u8> = questions.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
        std::fs::write(&file, written).unwrap();
        let raw = ["--mode", "raw", "--messages", file.to_str().unwrap()];
        let call = ["--rpc", "/bindery.v1.DecisionService/Check"];
        let address = served.address.to_string();
        let json = report(&ran(bench(&address, &raw).args(call)));
        let server = &json["servers"][0]["rounds"][0];
        let [unread, answered, shed] = ["unread", "answered", "shed"].map(|it| number(&server[it]));
        assert!(unread > 0 && unread == answered && shed > 0, "{server}");
        assert_eq!((&json["mode"], &json["questions"]), (&"raw".into(), &2.into()));

        let real = Server::new(&[]);
        assert_eq!(real.push(BUNDLE, &["--yes"]).code, Some(0));
        let socket = format!("unix:{}", real.directory.path().join("q").display());
        let refused = ran(bench(&socket, &raw).args(["--rpc", "/bindery.v1.DecisionService/Nothing"]));
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("answers UNIMPLEMENTED"), "{refused:?}");
        let nobody = ran(bench(&socket, &raw).args(call));
        assert_eq!(nobody.code, Some(1), "nobody is asked about: {nobody:?}");
        let errors = report(&nobody)["servers"][0]["rounds"][0]["errors"].clone();
        assert_eq!(errors.as_object().unwrap().keys().collect::<Vec<_>>(), ["INVALID_ARGUMENT"]);
        let nothing = ran(bench(&address, &raw).args(call).args(["--compare", "do-nothing"]));
        assert!(nothing.err.contains("leave it out with --mode raw"), "{nothing:?}");
    }

    #[test]
    fn load_goes_over_tls_and_shows_who_puts_it() {
        let directory = tempfile::tempdir().unwrap();
        let ours = Authority::new("ours");
        let leaf = Leaf { names: &["localhost"], ..Leaf::default() };
        let files = ours.issue(directory.path(), "server", leaf);
        let authorities = ours.file(directory.path(), "authority.pem");
        let strangers = Authority::new("theirs").file(directory.path(), "theirs.pem");
        let token = directory.path().join("token");
        std::fs::write(&token, "secret\n").unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let asked = Arc::new(AtomicU64::new(0));
            let known = |request: Request<()>| match request.metadata().get("authorization") {
                Some(token) if token == "Bearer secret" => Ok(request),
                _ => Err(Status::unauthenticated("nobody knows who asks")),
            };
            let service =
                DecisionServiceServer::with_interceptor(Scripted { turns: &[Turn::Allow], asked }, known);
            let read = |path| std::fs::read(path).unwrap();
            let identity = Identity::from_pem(read(files.certificate), read(files.key));
            let server = tonic::transport::Server::builder()
                .tls_config(ServerTlsConfig::new().identity(identity))
                .unwrap()
                .add_service(service);
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            format!("https://localhost:{port}")
        });
        let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        let (ours, theirs, token) = (text(&authorities), text(&strangers), text(&token));
        for mode in ["unary", "stream"] {
            let known = ["--mode", mode, "--authorities", &ours, "--token-file", &token];
            let measured = ran(bench(&address, &WIKI).args(known));
            assert_eq!(measured.code, Some(0), "{measured:?}");
            assert!(number(&round(&report(&measured))["allowed"]) > 0, "{measured:?}");
        }
        let unknown = ran(bench(&address, &WIKI).args(["--authorities", &ours]));
        assert!(unknown.err.contains("answers UNAUTHENTICATED"), "{unknown:?}");
        let untrusted = ran(bench(&address, &WIKI).args(["--authorities", &theirs]));
        assert_eq!(untrusted.code, Some(2), "{untrusted:?}");
        assert!(untrusted.err.contains("name whom to trust with --authorities"), "{untrusted:?}");
    }

    #[test]
    fn outcomes_are_told_apart() {
        const TURNS: &[Turn] = &[
            Turn::Allow,
            Turn::Allow,
            Turn::Deny,
            Turn::Refuse(Code::ResourceExhausted),
            Turn::Refuse(Code::Unavailable),
        ];
        let served = scripted(TURNS);
        for mode in ["unary", "batch", "stream"] {
            let ran =
                ran(bench(&served.address.to_string(), &WIKI).args(["--mode", mode, "--batch-size", "5"]));
            assert_eq!(ran.code, Some(1), "errors: {ran:?}");
            let json = report(&ran);
            let one = round(&json);
            for kind in ["allowed", "denied", "shed"] {
                assert!(number(&one[kind]) > 0, "{mode}: {one}");
            }
            assert_eq!(one["errors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["UNAVAILABLE"]);
            assert_eq!(one["latency_shed"].is_null(), mode == "batch", "a batch was answered as a whole");
        }
    }

    #[test]
    fn a_stall_counts_for_all_that_were_due_in_it() {
        const STALL: Duration = Duration::from_millis(500);
        // Every 60th question; at most one is under way.
        const TURNS: &[Turn] = &{
            let mut turns = [Turn::Allow; 60];
            turns[40] = Turn::Late(STALL);
            turns
        };
        let served = scripted(TURNS);
        let load = ["--rate", "100", "--in-flight", "1", "--max-wait", "600"];
        let ran = ran(bench(&served.address.to_string(), &WIKI).args(load));
        let json = report(&ran);
        let one = round(&json);
        assert_eq!((number(&one["sent"]), number(&one["not_sent"])), (100, 0), "{one}");
        // One or two calls of 100 met the stall, and all that were due meanwhile waited for it.
        let waited = one["latency"]["p90_us"].as_f64().unwrap();
        assert!(waited >= 100_000.0, "{one}");
        let longest = one["latency_from_sending"]["max_us"].as_f64().unwrap();
        assert!(longest >= 500_000.0, "{one}");
    }

    #[test]
    fn what_finds_no_place_in_time_is_counted() {
        const TURNS: &[Turn] = &[Turn::Late(Duration::from_millis(100))];
        let served = scripted(TURNS);
        let load = ["--rate", "200", "--in-flight", "1", "--max-wait", "0.02"];
        let ran = ran(bench(&served.address.to_string(), &WIKI).args(load));
        let json = report(&ran);
        let one = round(&json);
        assert_eq!(number(&one["sent"]) + number(&one["not_sent"]), 200, "{one}");
        assert!(number(&one["not_sent"]) > 100, "at most ten a second are answered: {one}");
        assert!(ran.err.contains("never went out"), "{ran:?}");
    }

    #[test]
    fn a_deadline_ends_calls() {
        // The first question, which is asked alone, is answered.
        const TURNS: &[Turn] = &{
            let mut turns = [Turn::Never; 100_000];
            turns[0] = Turn::Allow;
            turns
        };
        for mode in ["unary", "stream"] {
            let served = scripted(TURNS);
            let ran =
                ran(bench(&served.address.to_string(), &WIKI).args(["--mode", mode, "--deadline-ms", "50"]));
            assert_eq!(ran.code, Some(1), "{ran:?}");
            let json = report(&ran);
            let one = round(&json);
            assert_eq!((number(&one["answered"]), number(&one["unanswered"])), (0, 0), "{one}");
            // So many calls that are taken back may end a connection: that is HTTP/2's bound against rapid resets.
            let errors = one["errors"].as_object().unwrap();
            assert!(errors.contains_key("DEADLINE_EXCEEDED"), "{one}");
            let is_known = |name: &String| name == "DEADLINE_EXCEEDED" || name.starts_with("connection: ");
            assert!(errors.keys().all(is_known), "{one}");
        }
    }

    #[test]
    fn servers_are_measured_in_turns() {
        const SLOW: &[Turn] = &[Turn::Late(Duration::from_millis(20))];
        let (fast, slow) = (scripted(&[Turn::Allow]), scripted(SLOW));
        let (fast, slow) = (fast.address.to_string(), slow.address.to_string());
        let servers = ["--compare", &slow, "--compare", "do-nothing", "--rounds", "2", "--duration", "0.5"];
        let both = ran(bindery()
            .args(["bench", &fast, "--output", "json", "--warm-up", "0"])
            .args(WIKI)
            .args(servers));
        assert_eq!(both.code, Some(0), "{both:?}");
        let json = report(&both);
        let servers = json["servers"].as_array().unwrap();
        assert_eq!(servers.len(), 3);
        for (server, name) in servers.iter().zip([fast.as_str(), &slow, "do-nothing"]) {
            assert_eq!(server["address"], name);
            assert_eq!(server["rounds"].as_array().unwrap().len(), 2);
            let sum: u64 =
                server["rounds"].as_array().unwrap().iter().map(|round| number(&round["answered"])).sum();
            assert_eq!(number(&server["total"]["answered"]), sum);
            let ratio = &server["ratio_to_first"];
            assert_eq!(ratio.is_null(), name == fast);
            if name != fast {
                let at = |key: &str| ratio[key].as_f64().unwrap();
                assert!(at("min") <= at("median") && at("median") <= at("max"), "{ratio}");
            }
        }
        let table = ran(bindery()
            .args(["bench", &fast, "--warm-up", "0", "--duration", "0.3", "--rounds", "1"])
            .args(WIKI)
            .args(["--compare", "do-nothing"]));
        assert_eq!(table.code, Some(0), "{table:?}");
        assert!(table.out.contains("to first") && table.out.contains("do-nothing"), "{table:?}");
    }

    #[test]
    fn an_interrupt_shows_what_there_is() {
        let served = scripted(&[Turn::Allow]);
        let child = bindery()
            .args(["bench", &served.address.to_string(), "--output", "json", "--warm-up", "0"])
            .args(["--duration", "3600", "--rounds", "3"])
            .args(WIKI)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The first is asked alone, before anything is measured.
        until("load", || (served.asked.load(Ordering::SeqCst) > 100).then_some(()));
        let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["interrupted"], true);
        assert!(number(&round(&json)["answered"]) > 0);
    }

    #[test]
    fn without_a_server_or_an_answer_there_is_no_result() {
        let absent = ran(&mut bench("127.0.0.1:1", &WIKI));
        assert_eq!(absent.code, Some(2));
        assert_eq!(absent.out, "");
        assert!(absent.err.contains("nobody answers at `http://127.0.0.1:1`"), "{absent:?}");
        let served = scripted(&[Turn::Refuse(Code::NotFound)]);
        let unknown = ran(&mut bench(&served.address.to_string(), &WIKI));
        assert_eq!(unknown.code, Some(2));
        assert!(unknown.err.contains("answers NOT_FOUND: as it is written"), "{unknown:?}");
    }
}
