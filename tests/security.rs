//! Who may call what, on every listener: certificates, SPIFFE ids, tokens and users of this system; and certificates and
//! tokens that are replaced while the server runs.

#[cfg(test)]
#[path = "support/certificates.rs"]
mod certificates;

#[cfg(test)]
mod tests {
    use super::certificates::{Authority, Files, Leaf, put};
    use bindery::app::admin::Operation;
    use bindery::app::{self, Decisions, Doors, Ending, Listeners};
    use bindery::config::{AccessSettings, TlsSettings};
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_client::DecisionServiceClient;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::sync_service_client::SyncServiceClient;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::sync::ledger::Ledger;
    use bindery::sync::service::SyncOptions;
    use bindery::sync::watch::Watch;
    use bindery::telemetry::{Metrics, Telemetry};
    use bindery::tls::client::{Credentials, Link};
    use bindery::tls::server::TlsFiles;
    use envoy_types::pb::envoy::service::auth::v3 as envoy;
    use http_body_util::Empty;
    use hyper_util::rt::TokioIo;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};
    use tempfile::TempDir;
    use tokio::sync::{oneshot, watch};
    use tonic::transport::Endpoint;
    use tonic::{Code, Status};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_types::StatusExt as _;

    const PATIENCE: Duration = Duration::from_secs(60);
    const TOKEN: &str = "right-right-right-right";

    struct Server {
        directory: TempDir,
        ours: Authority,
        theirs: Authority,
        grpc: SocketAddr,
        http: SocketAddr,
        sync: SocketAddr,
        admin: SocketAddr,
        metrics: Arc<Metrics>,
        _stop: oneshot::Sender<()>,
        _ready: watch::Sender<bool>,
        _watch: Option<Watch>,
    }

    /// Every service that callers are told apart for.
    const SERVICES: [&str; 7] =
        ["decisions", "ext_authz", "forward_auth", "authzen", "publish", "follow", "admin"];

    /// A server whose every listener wants certificates, or takes them, and whose every service has this list.
    async fn start(optional: bool, list: &str) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        let Files { certificate, key } = ours.issue(directory.path(), "server", leaf(&["localhost"]));
        let authorities = ours.file(directory.path(), "ca.pem");
        let files =
            TlsFiles { certificate, key, client_authorities: Some(authorities), client_optional: optional };
        let all = || Some(files.clone());
        let tls = TlsSettings { grpc: all(), http: all(), sync: all(), admin: all() };
        put(&directory.path().join("tokens"), TOKEN);
        let tokens = directory.path().join("tokens");
        let list = list.replace("TOKENS", &format!("token_file = {tokens:?}"));
        let access: String = SERVICES.iter().map(|service| format!("[{service}]\n{list}\n")).collect();
        let access: AccessSettings = toml::from_str(&access).unwrap();
        let metrics = Arc::new(Metrics::new());
        let (secured, watch) = app::tls::open(&tls, &access, &metrics).unwrap();
        let bind = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (grpc, http, sync, admin) = (bind().await, bind().await, bind().await, bind().await);
        let address = |listener: &tokio::net::TcpListener| listener.local_addr().unwrap();
        let at = (address(&grpc), address(&http), address(&sync), address(&admin));
        let listeners = |tcp| Listeners { tcp: Some(tcp), tls: secured.grpc.clone(), ..Listeners::default() };
        let store = Arc::new(Store::new(Settings::default()));
        let wiki = v1::Application { slug: "wiki".into(), ..Default::default() };
        let wiki = v1::Resource { resource: Some(R::Application(wiki)) };
        apply(&store, Update::Replace(vec![wiki])).unwrap();
        let ledger = Arc::new(Ledger::new(Arc::clone(&store)));
        let options = SyncOptions {
            node: "test".to_owned(),
            closed_to_publishers: None,
            max_followers: 10,
            heartbeat: Duration::from_secs(10),
        };
        let doors = Doors {
            decisions: Some(Decisions {
                grpc: listeners(grpc),
                http: listeners(http),
                ..Decisions::default()
            }),
            sync: Some((listeners(sync), ledger, options)),
            admin: Some((listeners(admin), Operation::default())),
            access: Arc::clone(&secured.access),
            telemetry: Arc::new(Telemetry { metrics: Arc::clone(&metrics), ..Telemetry::default() }),
            ..Doors::default()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, ready_seen) = watch::channel(true);
        let ending = Ending { delay: Duration::ZERO, drain: PATIENCE };
        let shutdown = async move { drop(stopped.await) };
        tokio::spawn(app::run(store, Arc::default(), doors, ending, ready_seen, shutdown));
        let (grpc, http, sync, admin) = at;
        Server {
            directory,
            ours,
            theirs,
            grpc,
            http,
            sync,
            admin,
            metrics,
            _stop: stop,
            _ready: ready,
            _watch: watch,
        }
    }

    fn leaf<'a>(names: &'a [&'a str]) -> Leaf<'a> {
        Leaf { names, ..Leaf::default() }
    }

    fn spiffe(id: &str) -> Leaf<'_> {
        Leaf { spiffe: Some(id), ..Leaf::default() }
    }

    /// What came of a call.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Came {
        /// No connection came about.
        Cut,
        /// It was answered, if perhaps by an error that is none of ours.
        Answered,
        /// It was refused, with this code and reason.
        Refused(Code, String),
        /// It was refused over HTTP.
        Status(u16),
    }

    fn of<T>(result: Result<T, Status>) -> Came {
        match result {
            Ok(_) => Came::Answered,
            // Made on this side: the connection broke, since TLS 1.3 tells a client late that it is not wanted.
            Err(status) if status.code() == Code::Unavailable || status.code() == Code::Unknown => Came::Cut,
            Err(status) => match status.get_details_error_info() {
                Some(info) if info.reason.starts_with("CALLER_") => Came::Refused(status.code(), info.reason),
                _ => Came::Answered,
            },
        }
    }

    impl Server {
        fn with(&self, files: Option<Files>, token: Option<&str>) -> Credentials {
            let token_file = token.map(|token| {
                let path = self.directory.path().join("token");
                put(&path, token);
                path
            });
            Credentials {
                authorities: Some(self.directory.path().join("ca.pem")),
                certificate: files.clone().map(|files| files.certificate),
                key: files.map(|files| files.key),
                token_file,
                server_name: Some("localhost".to_owned()),
            }
        }

        async fn link(&self, address: SocketAddr, credentials: &Credentials) -> Option<Link> {
            let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
            credentials.connect(endpoint, PATIENCE).await.ok()
        }

        /// Calls every service on its listener, and gives what came of each.
        async fn call_all(&self, credentials: &Credentials) -> Vec<(&'static str, Came)> {
            let mut came = Vec::new();
            for service in SERVICES {
                came.push((service, self.call(service, credentials).await));
            }
            came
        }

        async fn call(&self, service: &str, credentials: &Credentials) -> Came {
            match service {
                "decisions" => {
                    let Some(link) = self.link(self.grpc, credentials).await else { return Came::Cut };
                    of(DecisionServiceClient::new(link).check(question()).await)
                }
                "ext_authz" => {
                    let Some(link) = self.link(self.grpc, credentials).await else { return Came::Cut };
                    let mut client = envoy::authorization_client::AuthorizationClient::new(link);
                    of(client.check(envoy::CheckRequest::default()).await)
                }
                "publish" => {
                    let Some(link) = self.link(self.sync, credentials).await else { return Came::Cut };
                    let nothing = tokio_stream::iter(Vec::<v1::PushRequest>::new());
                    of(SyncServiceClient::new(link).push(nothing).await)
                }
                "follow" => {
                    let Some(link) = self.link(self.sync, credentials).await else { return Came::Cut };
                    let nothing = tokio_stream::iter(Vec::<v1::WatchRequest>::new());
                    of(SyncServiceClient::new(link).watch(nothing).await)
                }
                "forward_auth" => self.get(self.http, "/forward-auth/caddy", credentials).await,
                "authzen" => self.get(self.http, "/access/v1/evaluation", credentials).await,
                _ => self.get(self.admin, "/config", credentials).await,
            }
        }

        /// Asks over HTTP/1 with TLS.
        async fn get(&self, address: SocketAddr, path: &str, credentials: &Credentials) -> Came {
            let got = self.try_get(address, path, credentials).await;
            match got {
                None => Came::Cut,
                Some(status) if matches!(status, 401 | 403) => Came::Status(status),
                Some(_) => Came::Answered,
            }
        }

        async fn try_get(&self, address: SocketAddr, path: &str, credentials: &Credentials) -> Option<u16> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut roots = rustls::RootCertStore::empty();
            for certificate in pem_file(credentials.authorities.as_ref().unwrap()) {
                roots.add(certificate).unwrap();
            }
            let builder = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
            let config = match (&credentials.certificate, &credentials.key) {
                (Some(certificate), Some(key)) => builder
                    .with_client_auth_cert(pem_file(certificate), PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap(),
                _ => builder.with_no_client_auth(),
            };
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.ok()?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(connection);
            let mut request = http::Request::get(path).header("host", "localhost");
            if let Some(path) = &credentials.token_file {
                let token = std::fs::read_to_string(path).unwrap();
                request = request
                    .header("authorization", format!("Bearer {token}"))
                    .header("x-bindery-token", token);
            }
            let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
            Some(sender.send_request(request).await.ok()?.status().as_u16())
        }

        fn directory(&self) -> &Path {
            self.directory.path()
        }

        fn metric(&self, line: &str) -> bool {
            let text = self.metrics.text(bindery::telemetry::metrics::Format::Prometheus).unwrap();
            text.lines().any(|it| it == line)
        }
    }

    fn pem_file(path: &PathBuf) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
    }

    fn question() -> v1::CheckRequest {
        v1::CheckRequest {
            target: Some(v1::TargetRef { target: Some(T::Application("wiki".into())) }),
            subject: Some(v1::Subject { username: "ada".into(), ..Default::default() }),
            ..Default::default()
        }
    }

    /// That this came of every call: to gRPC, to forward authentication, and to the others over HTTP.
    fn all(came: &[(&'static str, Came)], grpc: &Came, gateway: &Came, http: &Came) {
        for (service, came) in came {
            let expected = match *service {
                "forward_auth" => gateway,
                "authzen" | "admin" => http,
                _ => grpc,
            };
            assert_eq!(came, expected, "{service}");
        }
    }

    #[tokio::test]
    async fn only_the_right_certificate_is_let_in_on_every_listener() {
        let server = start(false, "spiffe = ['spiffe://test/gateway', 'spiffe://test/ns/*']").await;
        let here = server.directory();
        let right = server.ours.issue(here, "right", spiffe("spiffe://test/gateway"));
        let below = server.ours.issue(here, "below", spiffe("spiffe://test/ns/web"));
        let wrong = server.ours.issue(here, "wrong", spiffe("spiffe://test/other"));
        let stranger = server.theirs.issue(here, "stranger", spiffe("spiffe://test/gateway"));
        let old = Leaf { is_expired: true, ..spiffe("spiffe://test/gateway") };
        let expired = server.ours.issue(here, "expired", old);

        for files in [right, below] {
            let came = server.call_all(&server.with(Some(files), None)).await;
            all(&came, &Came::Answered, &Came::Answered, &Came::Answered);
        }
        let refused = Came::Refused(Code::PermissionDenied, "CALLER_NOT_LISTED".to_owned());
        let came = server.call_all(&server.with(Some(wrong.clone()), None)).await;
        all(&came, &refused, &Came::Status(403), &Came::Status(403));
        for files in [None, Some(stranger), Some(expired)] {
            let came = server.call_all(&server.with(files.clone(), None)).await;
            all(&came, &Came::Cut, &Came::Cut, &Came::Cut);
        }
        // Health needs a connection, and no place on a list.
        let link = server.link(server.grpc, &server.with(Some(wrong), None)).await.unwrap();
        let health = HealthClient::new(link).check(HealthCheckRequest::default()).await;
        assert!(health.is_ok(), "{health:?}");
        assert!(
            server
                .metric("bindery_callers_refused_total{service=\"publish\",reason=\"unknown_credential\"} 1")
        );
        assert!(
            server.metric("bindery_connections_refused_total{listener=\"admin\",reason=\"certificate\"} 3")
        );
    }

    #[tokio::test]
    async fn tokens_are_right_wrong_absent_and_replaced() {
        let server = start(true, "TOKENS").await;
        let came = server.call_all(&server.with(None, Some(TOKEN))).await;
        all(&came, &Came::Answered, &Came::Answered, &Came::Answered);
        let unknown = Came::Refused(Code::Unauthenticated, "CALLER_TOKEN_UNKNOWN".to_owned());
        let came = server.call_all(&server.with(None, Some("wrong-wrong-wrong-wrong"))).await;
        all(&came, &unknown, &Came::Status(403), &Came::Status(401));
        let nothing = Came::Refused(Code::Unauthenticated, "CALLER_UNKNOWN".to_owned());
        let came = server.call_all(&server.with(None, None)).await;
        all(&came, &nothing, &Came::Status(403), &Came::Status(401));

        put(&server.directory().join("tokens"), "newer-newer-newer-newer");
        let start = Instant::now();
        while server.call("decisions", &server.with(None, Some("newer-newer-newer-newer"))).await
            != Came::Answered
        {
            assert!(start.elapsed() < PATIENCE, "the new token is not seen");
        }
        let came = server.call_all(&server.with(None, Some(TOKEN))).await;
        all(&came, &unknown, &Came::Status(403), &Came::Status(401));
    }

    #[tokio::test]
    async fn certificates_of_the_server_are_replaced_while_it_serves() {
        let server = start(false, "names = ['gateway']").await;
        let here = server.directory();
        let gateway = server.ours.issue(here, "gateway", leaf(&["gateway"]));
        let ours = server.with(Some(gateway), None);
        let open = server.link(server.grpc, &ours).await.unwrap();
        assert_eq!(of(DecisionServiceClient::new(open.clone()).check(question()).await), Came::Answered);

        // Half a pair does no harm.
        put(&here.join("server.key"), "nonsense");
        let start = Instant::now();
        while !server.metric("bindery_reloads_total{what=\"tls\",result=\"failed\"} 4") {
            assert!(start.elapsed() < PATIENCE, "the broken key is not seen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(server.call("decisions", &ours).await, Came::Answered);

        // Another authority for the server and its clients.
        server.theirs.issue(here, "server", leaf(&["localhost"]));
        server.theirs.file(here, "ca.pem");
        let gateway = server.theirs.issue(here, "gateway-of-theirs", leaf(&["gateway"]));
        let theirs = server.with(Some(gateway), None);
        let start = Instant::now();
        while server.call("decisions", &theirs).await != Came::Answered {
            assert!(start.elapsed() < PATIENCE, "the new certificate is not seen");
        }
        server.ours.file(here, "ours.pem");
        let before = Credentials { authorities: Some(here.join("ours.pem")), ..ours };
        assert_eq!(server.call("decisions", &before).await, Came::Cut, "the old one is not trusted any more");
        // What was open goes on.
        assert_eq!(of(DecisionServiceClient::new(open).check(question()).await), Came::Answered);
    }
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_call_fails_while_certificates_are_replaced() {
        let server = Arc::new(start(false, "names = ['gateway']").await);
        let gateway = server.ours.issue(server.directory(), "gateway", leaf(&["gateway"]));
        let credentials = server.with(Some(gateway), None);
        let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (server, credentials) = (Arc::clone(&server), credentials.clone());
                let (done, calls) = (Arc::clone(&done), Arc::clone(&calls));
                tokio::spawn(async move {
                    while !done.load(Ordering::SeqCst) {
                        // A connection of its own each time, so that each sees the certificate of its moment.
                        assert_eq!(server.call("decisions", &credentials).await, Came::Answered);
                        calls.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let start = Instant::now();
        for replaced in 1..=5 {
            server.ours.issue(server.directory(), "server", leaf(&["localhost"]));
            // Each of the four listeners reads it; whether the key alone was seen before is a matter of luck.
            let name = "bindery_reloads_total{what=\"tls\",result=\"loaded\"} ";
            let loaded = || {
                let text = server.metrics.text(bindery::telemetry::metrics::Format::Prometheus).unwrap();
                let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
                line.map_or(0.0, |count| count.parse::<f64>().unwrap())
            };
            while loaded() < f64::from(4 * replaced) {
                assert!(start.elapsed() < PATIENCE, "the new certificate is not seen");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let before = calls.load(Ordering::SeqCst);
        while calls.load(Ordering::SeqCst) < before + 4 {
            assert!(start.elapsed() < PATIENCE, "nobody is answered any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        done.store(true, Ordering::SeqCst);
        for caller in callers {
            caller.await.unwrap();
        }
    }
}
