//! How much is taken on: questions, connections, calls of a connection, headers, the time of callers; and that health and
//! operators are answered all the same.

#[cfg(test)]
mod tests {
    use bindery::app::admin::Operation;
    use bindery::app::{self, Decisions, Doors, Ending, Listeners};
    use bindery::config::LoadSettings;
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_client::DecisionServiceClient;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::telemetry::metrics::Format;
    use bindery::telemetry::{Metrics, Telemetry};
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use prost::Message as _;
    use std::error::Error as _;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{oneshot, watch};
    use tonic::transport::{Channel, Endpoint};
    use tonic::{Code, Request, Status};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_types::StatusExt as _;

    const PATIENCE: Duration = Duration::from_secs(60);

    struct Server {
        grpc: SocketAddr,
        http: SocketAddr,
        admin: SocketAddr,
        metrics: Arc<Metrics>,
        _stop: oneshot::Sender<()>,
        _ready: watch::Sender<bool>,
    }

    /// An application of this name whose only policy waits.
    fn waits(slug: &str, seconds: i64) -> [R; 3] {
        let target = Some(v1::TargetRef { target: Some(T::Application(slug.into())) });
        let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let dummy = v1::DummyPolicy {
            result: true,
            wait_min: duration(seconds),
            wait_max: duration(seconds),
            ..Default::default()
        };
        let kind = Some(v1::policy::Kind::Dummy(dummy));
        let timeout = duration(seconds + 1);
        [
            R::Application(v1::Application { slug: slug.into(), ..Default::default() }),
            R::Policy(v1::Policy { name: slug.into(), kind, ..Default::default() }),
            R::PolicyBinding(v1::PolicyBinding {
                target,
                policy: slug.into(),
                timeout,
                ..Default::default()
            }),
        ]
    }

    async fn start(load: LoadSettings) -> Server {
        let store = Arc::new(Store::new(Settings::default()));
        let wiki = R::Application(v1::Application { slug: "wiki".into(), ..Default::default() });
        let resources = waits("slow", 60).into_iter().chain([wiki]);
        let resources = resources.map(|it| v1::Resource { resource: Some(it) }).collect();
        apply(&store, Update::Replace(resources)).unwrap();
        let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (grpc, http, admin) = (bind().await, bind().await, bind().await);
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let at = (address(&grpc), address(&http), address(&admin));
        let listeners = |tcp| Listeners { tcp: Some(tcp), ..Listeners::default() };
        let metrics = Arc::new(Metrics::new());
        let doors = Doors {
            decisions: Some(Decisions {
                grpc: listeners(grpc),
                http: listeners(http),
                ..Decisions::default()
            }),
            admin: Some((listeners(admin), Operation::default())),
            load,
            telemetry: Arc::new(Telemetry { metrics: Arc::clone(&metrics), ..Telemetry::default() }),
            ..Doors::default()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, ready_seen) = watch::channel(true);
        let ending = Ending { delay: Duration::ZERO, drain: Duration::ZERO };
        let shutdown = async move { drop(stopped.await) };
        tokio::spawn(app::run(store, Arc::default(), doors, ending, ready_seen, shutdown));
        let (grpc, http, admin) = at;
        Server { grpc, http, admin, metrics, _stop: stop, _ready: ready }
    }

    fn question(slug: &str) -> v1::CheckRequest {
        v1::CheckRequest {
            target: Some(v1::TargetRef { target: Some(T::Application(slug.into())) }),
            subject: Some(v1::Subject { username: "ada".into(), ..Default::default() }),
            ..Default::default()
        }
    }

    impl Server {
        async fn channel(&self) -> Channel {
            Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
        }

        fn metric(&self, name: &str) -> f64 {
            let text = self.metrics.text(Format::Prometheus).unwrap();
            let line =
                text.lines().find(|line| line.strip_prefix(name).is_some_and(|it| it.starts_with(' ')));
            line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
        }

        async fn until(&self, metric: &str, value: f64) {
            let start = Instant::now();
            while self.metric(metric) != value {
                assert!(start.elapsed() < PATIENCE, "{metric} is {}, not {value}", self.metric(metric));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// The gRPC status of a question whose caller says that it waits for so long, and then waits on.
    async fn status_of(server: &Server, question: v1::CheckRequest, timeout: &str) -> String {
        let stream = TcpStream::connect(server.grpc).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let message = question.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = Full::new(Bytes::from([&[0], &length[..], &message].concat()));
        let request = http::Request::post(format!("http://{}/bindery.v1.DecisionService/Check", server.grpc))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", timeout);
        let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
        answer.headers()["grpc-status"].to_str().unwrap().to_owned()
    }

    /// Sends this, and gives what comes back until the connection ends or there is an answer's head.
    async fn talk(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut part).await {
            text.extend(&part[..read]);
            if text.windows(4).any(|it| it == b"\r\n\r\n") {
                break;
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn more_questions_than_are_taken_are_refused_and_the_rest_is_answered() {
        let server = start(LoadSettings { in_flight: 3, ..LoadSettings::default() }).await;
        let channel = server.channel().await;
        let slow: Vec<_> = (0..3)
            .map(|_| {
                let mut client = DecisionServiceClient::new(channel.clone());
                tokio::spawn(async move { client.check(question("slow")).await })
            })
            .collect();
        server.until("bindery_requests_in_flight", 3.0).await;
        let mut client = DecisionServiceClient::new(channel.clone());
        let refused = client.check(question("wiki")).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(refused.get_details_error_info().unwrap().reason, "OVERLOADED");
        let retry = refused.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(retry, Some(Duration::from_secs(1)));
        let over_http = talk(server.http, "GET /forward-auth/caddy HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(
            over_http.starts_with("HTTP/1.1 503 ") && over_http.contains("retry-after: 1"),
            "{over_http}"
        );
        let shed = "bindery_requests_shed_total{service=\"decisions\",reason=\"in_flight\"}";
        assert_eq!(server.metric(shed), 1.0);

        // What answers no questions has room at all times.
        let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
        assert!(health.is_ok(), "{health:?}");
        for path in ["/readyz", "/metrics", "/config", "/log-level"] {
            let answer = talk(server.admin, &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            let status = if path == "/log-level" { "HTTP/1.1 501" } else { "HTTP/1.1 200" };
            assert!(answer.starts_with(status), "{path}: {answer}");
        }
        let health = Endpoint::from_shared(format!("http://{}", server.admin)).unwrap();
        let health = HealthClient::new(health.connect().await.unwrap());
        let service = "bindery.v1.DecisionService".to_owned();
        let health = { health }.check(HealthCheckRequest { service }).await;
        assert!(health.is_ok(), "{health:?}");

        // Who goes away makes room.
        slow.iter().for_each(tokio::task::JoinHandle::abort);
        server.until("bindery_requests_in_flight", 0.0).await;
        assert!(client.check(question("wiki")).await.is_ok());
    }

    #[tokio::test]
    async fn work_ends_with_the_time_of_its_caller() {
        let server = start(LoadSettings::default()).await;
        // 4: DEADLINE_EXCEEDED, said by the server while this side would wait.
        assert_eq!(status_of(&server, question("slow"), "50m").await, "4");
        server.until("bindery_requests_in_flight", 0.0).await;
        assert_eq!(status_of(&server, question("wiki"), "0n").await, "4");
        let gone = "bindery_requests_shed_total{service=\"decisions\",reason=\"deadline\"}";
        assert_eq!(server.metric(gone), 1.0);
    }

    #[tokio::test]
    async fn more_connections_than_are_taken_are_closed() {
        let server = start(LoadSettings { connections: 1, ..LoadSettings::default() }).await;
        let first = server.channel().await;
        assert!(DecisionServiceClient::new(first.clone()).check(question("wiki")).await.is_ok());
        let second = talk(server.grpc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        assert_eq!(second, "", "it is closed without a word");
        assert_eq!(
            server.metric("bindery_connections_refused_total{listener=\"grpc\",reason=\"limit\"}"),
            1.0
        );
        // Every listener has its own.
        assert!(talk(server.admin, "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.contains("200 OK"));
        drop(first);
        server.until("bindery_connections{listener=\"grpc\"}", 0.0).await;
        assert!(DecisionServiceClient::new(server.channel().await).check(question("wiki")).await.is_ok());
    }

    #[tokio::test]
    async fn headers_are_bounded() {
        let server = start(LoadSettings { header_bytes: 2_048, ..LoadSettings::default() }).await;
        let mut client = DecisionServiceClient::new(server.channel().await);
        let ask = async |client: &mut DecisionServiceClient<Channel>, length| {
            let mut request = Request::new(question("wiki"));
            request.metadata_mut().insert("x-long", "a".repeat(length).parse().unwrap());
            client.check(request).await
        };
        assert!(ask(&mut client, 1_000).await.is_ok());
        assert!(ask(&mut client, 4_000).await.is_err());
        let long = format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(20_000));
        let answer = talk(server.http, &long).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test]
    async fn a_connection_is_used_for_some_time_only() {
        let server = start(LoadSettings { age: Duration::from_millis(200), ..LoadSettings::default() }).await;
        let mut client = DecisionServiceClient::new(server.channel().await);
        let start = Instant::now();
        // The client connects anew by itself. What it cancels on its own side, since its connection has ended, it may ask again.
        while server.metric("bindery_connections_total{listener=\"grpc\"}") < 3.0 {
            let mut answer: Result<_, Status> = client.check(question("wiki")).await;
            if answer.as_ref().is_err_and(|status| status.source().is_some()) {
                answer = client.check(question("wiki")).await;
            }
            assert!(answer.is_ok(), "{answer:?}");
            assert!(start.elapsed() < PATIENCE, "the connection is used for ever");
        }
    }

    /// A frame of HTTP/2.
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// CVE-2023-44487: calls that are taken back as soon as they were made.
    #[tokio::test]
    async fn a_client_that_takes_all_calls_back_is_cut_off() {
        const HEADERS: u8 = 1;
        const RST_STREAM: u8 = 3;
        const SETTINGS: u8 = 4;
        const GOAWAY: u8 = 7;
        const ENHANCE_YOUR_CALM: u8 = 11;
        let server = start(LoadSettings::default()).await;
        let mut stream = TcpStream::connect(server.grpc).await.unwrap();
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend(frame(SETTINGS, 0, 0, &[]));
        for call in 0..200 {
            // POST, http, /, and the authority `a`, after HPACK's static table.
            sent.extend(frame(HEADERS, 4, 2 * call + 1, &[0x83, 0x86, 0x84, 0x41, 1, b'a']));
            sent.extend(frame(RST_STREAM, 0, 2 * call + 1, &8_u32.to_be_bytes()));
        }
        stream.write_all(&sent).await.unwrap();
        let mut got = Vec::new();
        // However it ends: what was said before counts.
        let _reset = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut got)).await.unwrap();
        let mut rest = got.as_slice();
        let mut said = None;
        while let Some((head, more)) = rest.split_at_checked(9) {
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            if head[3] == GOAWAY {
                said = Some(more[7]);
            }
            rest = more.get(length..).unwrap_or_default();
        }
        assert_eq!(said, Some(ENHANCE_YOUR_CALM));
        assert!(DecisionServiceClient::new(server.channel().await).check(question("wiki")).await.is_ok());
    }
}
