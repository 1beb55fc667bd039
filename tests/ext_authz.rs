//! Envoy's external authorization and forward authentication: what each request gets, message by message.

#[cfg(test)]
mod tests {
    use bindery::api::decision::DecisionApi;
    use bindery::api::ext_authz::ExtAuthz;
    use bindery::api::forward_auth::{self, Caller};
    use bindery::api::gateway::Gateway;
    use bindery::api::gateway::settings::Rules;
    use bindery::evaluators::Evaluators;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::sync::source::{SourceSpec, load};
    use envoy_types::ext_authz::v3::pb::{
        Address, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue,
        HeaderValueOption, HttpResponse, OkHttpResponse,
    };
    use envoy_types::pb::envoy::config::core::v3::{self as core, HeaderMap, Metadata, Pipe, SocketAddress};
    use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
    use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
        HttpRequest, Peer, Request, TlsSession,
    };
    use envoy_types::pb::google::protobuf::value::Kind;
    use envoy_types::pb::google::protobuf::{Struct, Value};
    use std::sync::Arc;
    use tonic::Code;
    use tower::ServiceExt as _;

    const BUNDLE: &str = "
groups: [{name: staff}, {name: 'a|b'}]
users:
  - {username: ada, id: u-1, email: ada@example.com, groups: [{name: staff}, {name: 'a|b'}], attributes: {team: red}}
  - {username: bob}
  - {username: oscar, groups: [{name: staff}], is_active: false}
policies:
  - {name: says-no, dummy: {messages: {texts: ['not on <Mondays>']}}}
  - {name: sees-nothing, expression: {language: CEL, source: '!(\"x-authentik-username\" in request.headers)'}}
applications: [{slug: wiki}, {slug: open}, {slug: closed}, {slug: blind}, {slug: later}]
policy_bindings:
  - {target: {application: wiki}, group: {name: staff}}
  - {target: {application: closed}, policy: says-no}
  - {target: {application: blind}, policy: sees-nothing}
  - {target: {application: later}, user: {username: ada}, expires: '2200-01-01T00:00:00Z'}
routes:
  - {host: wiki.example.com, target: {application: wiki}}
  - {host: wiki.example.com, path_prefix: /open, target: {application: open}, anonymous: true}
  - {host: '*.example.com', path_prefix: /closed, target: {application: closed}}
  - {path_prefix: /anywhere, target: {application: wiki}}
";

    /// The proxy in front of Envoy, whose headers count, is at 10.0.0.1.
    const SETTINGS: &str = "
[identity.headers]
trusted_peers = ['10.0.0.1', 'unix']
[identity.metadata]
[identity.certificate]
trust_domains = ['example.com']
template = '{last}'
";

    fn gateway(settings: &str, bundle: &str) -> Arc<Gateway> {
        let store = Arc::new(Store::new(Settings::default()));
        if !bundle.is_empty() {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("bundle.yaml");
            std::fs::write(&file, bundle).unwrap();
            let loaded = load(&SourceSpec::of(vec![file])).unwrap_or_else(|all| panic!("{all:?}"));
            apply(&store, Update::Replace(loaded.into_parts().0)).unwrap();
        }
        let api = DecisionApi::new(store, Arc::new(Evaluators::default()));
        let rules = Rules::new(&toml::from_str(settings).unwrap()).unwrap();
        Arc::new(Gateway::new(api, rules))
    }

    /// A request of Envoy.
    struct Ask {
        http: HttpRequest,
        context: AttributeContext,
        /// Headers as a list rather than a map.
        raw: bool,
        headers: Vec<(&'static str, &'static str)>,
    }

    fn ask(url: &str) -> Ask {
        let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        let http = HttpRequest {
            id: "r-1".into(),
            method: "GET".into(),
            scheme: "https".into(),
            host: host.into(),
            path: path.into(),
            ..Default::default()
        };
        let headers = vec![(":path", "/"), ("accept", "text/html")];
        Ask { http, context: AttributeContext::default(), raw: false, headers }.from("203.0.113.9")
    }

    impl Ask {
        fn from(mut self, address: &str) -> Self {
            let socket = SocketAddress { address: address.into(), ..Default::default() };
            let source = self.context.source.get_or_insert_default();
            source.address = Some(core::Address { address: Some(Address::SocketAddress(socket)) });
            self
        }

        fn with(mut self, name: &'static str, value: &'static str) -> Self {
            self.headers.push((name, value));
            self
        }

        /// Signed in at the proxy in front.
        fn by(self, name: &'static str) -> Self {
            self.from("10.0.0.1").with("x-authentik-username", name)
        }

        fn extension(mut self, key: &str, value: &str) -> Self {
            self.context.context_extensions.insert(key.into(), value.into());
            self
        }

        fn message(mut self) -> CheckRequest {
            let headers = self.headers.iter();
            if self.raw {
                let header = |(name, value): &(&str, &str)| HeaderValue {
                    key: (*name).into(),
                    raw_value: value.as_bytes().to_vec(),
                    ..Default::default()
                };
                self.http.header_map = Some(HeaderMap { headers: headers.map(header).collect() });
            } else {
                self.http.headers =
                    headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            }
            self.context.request = Some(Request { http: Some(self.http), ..Default::default() });
            CheckRequest { attributes: Some(self.context) }
        }
    }

    fn put(gateway: &Arc<Gateway>, message: CheckRequest) -> Result<CheckResponse, tonic::Status> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ExtAuthz::new(Arc::clone(gateway)).answer(message))
    }

    fn fact(response: &CheckResponse, name: &str) -> String {
        let metadata = response.dynamic_metadata.as_ref().expect("every answer has metadata");
        match metadata.fields.get(name).and_then(|value| value.kind.clone()) {
            Some(Kind::StringValue(text)) => text,
            Some(Kind::NumberValue(number)) => number.to_string(),
            Some(Kind::BoolValue(truth)) => truth.to_string(),
            _ => String::new(),
        }
    }

    fn code(response: &CheckResponse) -> i32 {
        response.status.as_ref().expect("to Envoy, no status is OK").code
    }

    fn passed(gateway: &Arc<Gateway>, ask: Ask) -> (CheckResponse, OkHttpResponse) {
        let response = put(gateway, ask.message()).unwrap();
        assert_eq!((code(&response), fact(&response, "decision").as_str()), (0, "allow"), "{response:?}");
        let Some(HttpResponse::OkResponse(ok)) = response.http_response.clone() else {
            panic!("{response:?}")
        };
        (response, ok)
    }

    fn stopped(gateway: &Arc<Gateway>, ask: Ask) -> (String, i32, DeniedHttpResponse) {
        let response = put(gateway, ask.message()).unwrap();
        assert_ne!(code(&response), 0, "{response:?}");
        assert_eq!(fact(&response, "decision"), "deny");
        let Some(HttpResponse::DeniedResponse(denied)) = response.http_response.clone() else {
            panic!("{response:?}")
        };
        (fact(&response, "reason"), denied.status.as_ref().unwrap().code, denied)
    }

    fn header<'a>(headers: &'a [HeaderValueOption], name: &str) -> Option<&'a str> {
        let mut all = headers.iter().filter(|option| option.header.as_ref().unwrap().key == name);
        let one = all.next()?;
        assert!(all.next().is_none(), "`{name}` is there twice");
        assert_eq!(one.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd);
        Some(&one.header.as_ref().unwrap().value)
    }

    #[test]
    fn whoever_may_goes_on_with_headers_that_say_who() {
        let gateway = gateway(SETTINGS, BUNDLE);
        for raw in [false, true] {
            let ask = Ask { raw, ..ask("wiki.example.com/a").by("ada").with("x_authentik_username", "root") };
            let response = put(&gateway, ask.message()).unwrap();
            // A second spelling of a header that is believed is no evidence at all.
            assert_eq!(fact(&response, "reason"), "header_ambiguous");
        }
        let (response, ok) =
            passed(&gateway, ask("wiki.example.com/a?b=c").by("ada").with("x.authentik.meta", "x"));
        assert_eq!(header(&ok.headers, "x-authentik-username"), Some("ada"));
        assert_eq!(header(&ok.headers, "x-authentik-uid"), Some("u-1"), "the directory's word");
        assert_eq!(header(&ok.headers, "x-authentik-email"), Some("ada@example.com"));
        assert_eq!(
            header(&ok.headers, "x-authentik-groups"),
            Some("staff"),
            "a name with the separator is left out"
        );
        assert_eq!(header(&ok.headers, "x-authentik-name"), None);
        for gone in ["x-authentik-name", "x.authentik.meta", "x_authentik_username", "x-authentik-jwt"] {
            assert!(ok.headers_to_remove.iter().any(|name| name == gone), "{gone}: {ok:?}");
        }
        assert!(!ok.headers_to_remove.iter().any(|name| name == "x-authentik-username"));
        assert_eq!(fact(&response, "target"), "application/wiki");
        assert_eq!(fact(&response, "route"), "wiki.example.com/");
        assert_eq!((fact(&response, "revision"), fact(&response, "stale")), ("1".into(), "false".into()));
        assert_eq!(fact(&response, "decision_id").len(), 32);
        assert!(!format!("{response:?}").contains("root"));
    }

    #[test]
    fn values_that_were_joined_are_no_evidence() {
        let gateway = gateway(SETTINGS, BUNDLE);
        let asked = ask("wiki.example.com/").from("10.0.0.1").with("x-authentik-username", "ada,bob");
        assert_eq!(stopped(&gateway, asked).0, "header_ambiguous");
        let twice = ask("wiki.example.com/").by("ada").with("x-authentik-username", "bob");
        assert_eq!(stopped(&gateway, Ask { raw: true, ..twice }).0, "header_ambiguous");
    }

    #[test]
    fn what_is_told_is_when_the_answer_may_change() {
        let gateway = gateway(SETTINGS, BUNDLE);
        let (response, _) =
            passed(&gateway, ask("x.org/").by("ada").extension("bindery.target", "application/later"));
        assert_eq!(fact(&response, "valid_until"), "2200-01-01T00:00:00Z");
        assert_eq!(fact(&response, "route"), "");
        // A token ends before the binding does.
        let number = |number| Value { kind: Some(Kind::NumberValue(number)) };
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.into())) };
        let of = |fields: Vec<(&str, Value)>| Struct {
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        let claims = of(vec![("preferred_username", text("ada")), ("exp", number(4_000_000_000.0))]);
        let payload = of(vec![("jwt_payload", Value { kind: Some(Kind::StructValue(claims)) })]);
        let mut asked = ask("x.org/").extension("bindery.target", "application/later");
        let metadata = [("envoy.filters.http.jwt_authn".to_owned(), payload)];
        asked.context.metadata_context =
            Some(Metadata { filter_metadata: metadata.into(), ..Default::default() });
        let (response, _) = passed(&gateway, asked);
        assert!(fact(&response, "valid_until").starts_with("2096-10-02T0"), "{response:?}");
    }

    #[test]
    fn nobody_goes_on_under_the_name_of_somebody_else() {
        let gateway = gateway("[identity.claims]\nuser_id = 'sub'\n[identity.metadata]", BUNDLE);
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.into())) };
        let of = |fields: Vec<(&str, Value)>| Struct {
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        // The directory knows no `u-0`, and `ada` as somebody else by now.
        for (id, name, sent) in
            [("u-0", "ada", None), ("u-0", "eve", Some("eve")), ("u-1", "old", Some("ada"))]
        {
            let end = Value { kind: Some(Kind::NumberValue(4_000_000_000.0)) };
            let claims = of(vec![("sub", text(id)), ("preferred_username", text(name)), ("exp", end)]);
            let payload = of(vec![("jwt_payload", Value { kind: Some(Kind::StructValue(claims)) })]);
            let mut asked = ask("wiki.example.com/open");
            let metadata = [("envoy.filters.http.jwt_authn".to_owned(), payload)];
            asked.context.metadata_context =
                Some(Metadata { filter_metadata: metadata.into(), ..Default::default() });
            let (_, ok) = passed(&gateway, asked);
            assert_eq!(header(&ok.headers, "x-authentik-username"), sent, "{id} {name}");
            assert_eq!(header(&ok.headers, "x-authentik-uid"), Some(id));
        }
    }

    #[test]
    fn the_gateways_word_on_the_target_counts_before_routes() {
        let gateway = gateway(SETTINGS, BUNDLE);
        let closed = || ask("wiki.example.com/").by("ada").extension("bindery.target", "application/closed");
        assert_eq!(stopped(&gateway, closed()).0, "denied");
        assert_eq!(stopped(&gateway, closed().extension("envoy.other", "x")).0, "denied");
        let open = || ask("elsewhere.org/").extension("bindery.target", "application/open");
        assert_eq!(stopped(&gateway, open()).0, "not_signed_in");
        passed(&gateway, open().extension("bindery.anonymous", "true"));
        // What the operator wrote wrongly is no answer.
        for (key, value) in [
            ("bindery.target", "wiki"),
            ("bindery.target", "application/nothing"),
            ("bindery.anonymous", "yes"),
            ("bindery.targets", "application/wiki"),
        ] {
            let status = put(&gateway, ask("wiki.example.com/").by("ada").extension(key, value).message())
                .unwrap_err();
            assert!(matches!(status.code(), Code::InvalidArgument | Code::NotFound), "{status:?}");
        }
    }

    #[test]
    fn everybody_else_is_stopped_and_told_why() {
        let gateway = gateway(&format!("show_messages = true\n{SETTINGS}"), BUNDLE);
        let is = |ask: Ask, reason: &str, status: i32| {
            let (found, code, denied) = stopped(&gateway, ask);
            assert_eq!((found.as_str(), code), (reason, status));
            assert_eq!(header(&denied.headers, "x-bindery-reason"), Some(reason));
            assert_eq!(header(&denied.headers, "cache-control"), Some("no-store"));
            denied
        };
        is(ask("wiki.example.com/").by("bob"), "denied", 403);
        is(ask("wiki.example.com/").by("stranger"), "denied", 403);
        is(ask("wiki.example.com/").by("oscar"), "inactive_user", 403);
        is(ask("wiki.example.com/open").by("oscar"), "inactive_user", 403);
        is(ask("other.org/").by("ada"), "no_route", 403);
        is(ask("wiki.example.com/").with("x-authentik-username", "ada"), "not_signed_in", 401);
        is(ask("wiki.example.com/a/../b").by("ada"), "ambiguous_path", 400);
        is(ask("wiki.example.com@evil/").by("ada"), "malformed_request", 400);
        for method in ["", "get", "GeT", "G T"] {
            let mut asked = ask("wiki.example.com/open").by("ada");
            asked.http.method = method.into();
            is(asked, "malformed_request", 400);
        }
        let denied = is(ask("other.example.com/closed").by("ada"), "denied", 403);
        assert_eq!(header(&denied.headers, "content-type"), Some("text/html; charset=utf-8"));
        assert!(
            denied.body.contains("not on &lt;Mondays&gt;") && denied.body.contains("Request r-1"),
            "{denied:?}"
        );
        let mut other = ask("wiki.example.com/").by("ada");
        other.context.tls_session = Some(TlsSession { sni: "other.example.com".into() });
        is(other, "other_host", 421);
        let mut address = ask("127.0.0.1/anywhere").by("ada");
        address.context.tls_session = Some(TlsSession { sni: "other.example.com".into() });
        is(address, "other_host", 421);
        let mut same = ask("wiki.example.com:8443/").by("ada");
        same.context.tls_session = Some(TlsSession { sni: "WIKI.example.com.".into() });
        passed(&gateway, same);
    }

    #[test]
    fn messages_are_shown_where_that_is_wanted() {
        let (_, _, denied) = stopped(&gateway(SETTINGS, BUNDLE), ask("other.example.com/closed").by("ada"));
        assert!(!denied.body.contains("Mondays"), "{}", denied.body);
    }

    #[test]
    fn browsers_are_sent_to_sign_in_and_come_back() {
        let url = "sign_in_url = 'https://auth.example.com/start?rd={return_to}'";
        let gateway = gateway(&format!("{url}\n{SETTINGS}"), BUNDLE);
        let location = |ask: Ask| {
            let (_, status, denied) = stopped(&gateway, ask);
            (status, header(&denied.headers, "location").unwrap_or_default().to_owned())
        };
        let to = |back: &str| (302, format!("https://auth.example.com/start?rd={back}"));
        assert_eq!(location(ask("wiki.example.com/a?b")), to("https%3A%2F%2Fwiki.example.com%2Fa%3Fb"));
        // Any host may ask for this one, so none is an address to come back to.
        assert_eq!(location(ask("evil.org/anywhere")), to(""));
        let mut form = ask("wiki.example.com/a");
        form.http.method = "POST".into();
        assert_eq!(location(form), (401, String::new()));
        let mut program = ask("wiki.example.com/a");
        program.headers = vec![(":path", "/"), ("accept", "application/json")];
        assert_eq!(location(program), (401, String::new()));
        assert_eq!(location(ask("wiki.example.com/").by("bob")), (403, String::new()), "they are signed in");
    }

    #[test]
    fn the_anonymous_subject_is_asked_about_where_that_is_allowed() {
        let gateway = gateway(SETTINGS, BUNDLE);
        let (response, ok) =
            passed(&gateway, ask("wiki.example.com/open/x").with("X-Authentik-Username", "root"));
        assert!(ok.headers.is_empty(), "{ok:?}");
        assert!(ok.headers_to_remove.iter().any(|name| name == "x-authentik-username"));
        assert_eq!(fact(&response, "target"), "application/open");
        let closed = ask("x.org/").extension("bindery.target", "application/wiki");
        assert_eq!(stopped(&gateway, closed.extension("bindery.anonymous", "true")).0, "not_signed_in");
    }

    #[test]
    fn policies_see_the_request_and_nothing_that_a_client_says_of_itself() {
        let gateway = gateway(SETTINGS, BUNDLE);
        passed(&gateway, ask("x.org/").by("ada").extension("bindery.target", "application/blind"));
    }

    #[test]
    fn a_body_that_is_cut_is_not_decided_on() {
        let gateway = gateway(SETTINGS, BUNDLE);
        let mut cut = ask("wiki.example.com/").by("ada").with("x-envoy-auth-partial-body", "true");
        cut.http.body = "begin".into();
        assert_eq!(stopped(&gateway, cut).0, "cut_body");
        let mut whole = ask("wiki.example.com/").by("ada").with("x-envoy-auth-partial-body", "false");
        whole.http.raw_body = vec![0xff; 10];
        passed(&gateway, whole);
        let mut large = ask("wiki.example.com/").by("ada");
        large.http.raw_body = vec![0; (64 << 10) + 1];
        assert_eq!(stopped(&gateway, large).0, "cut_body");
        // Without a body there is nothing to cut, whatever a client says.
        passed(&gateway, ask("wiki.example.com/").by("ada").with("x-envoy-auth-partial-body", "true"));
    }

    #[test]
    fn connections_are_asked_about_without_http() {
        let gateway = gateway(SETTINGS, BUNDLE);
        let ask = |principal: &str, target: &str, sni: &str| {
            let target = [("bindery.target".to_owned(), target.to_owned())];
            let context = AttributeContext {
                source: Some(Peer { principal: principal.into(), ..Default::default() }),
                context_extensions: target.into_iter().filter(|(_, target)| !target.is_empty()).collect(),
                tls_session: Some(TlsSession { sni: sni.into() }),
                ..Default::default()
            };
            let response = put(&gateway, CheckRequest { attributes: Some(context) }).unwrap();
            assert!(response.http_response.is_none(), "Envoy takes none: {response:?}");
            (code(&response), fact(&response, "reason"))
        };
        let ada = "spiffe://example.com/ada";
        assert_eq!(ask(ada, "application/wiki", ""), (0, "allowed".into()));
        assert_eq!(ask(ada, "", "wiki.example.com"), (0, "allowed".into()));
        assert_eq!(ask("spiffe://example.com/bob", "application/wiki", ""), (7, "denied".into()));
        assert_eq!(ask("", "application/wiki", ""), (16, "not_signed_in".into()));
        assert_eq!(ask(ada, "", ""), (7, "no_route".into()));
    }

    #[test]
    fn what_cannot_be_decided_is_the_gateways_failure_mode() {
        let empty = gateway(SETTINGS, "");
        let status = put(&empty, ask("wiki.example.com/").by("ada").message()).unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let told = gateway(&format!("on_error = 'response'\n{SETTINGS}"), "");
        let response = put(&told, ask("wiki.example.com/").by("ada").message()).unwrap();
        assert_eq!((code(&response), fact(&response, "decision")), (14, "error".into()));
        let Some(HttpResponse::ErrorResponse(error)) = &response.http_response else {
            panic!("{response:?}")
        };
        assert_eq!(error.status.as_ref().unwrap().code, 503);
        for message in
            [CheckRequest::default(), Ask { headers: Vec::new(), ..ask("wiki.example.com/") }.message()]
        {
            assert_eq!(put(&empty, message.clone()).unwrap_err().code(), Code::InvalidArgument);
            assert_ne!(code(&put(&told, message).unwrap()), 0);
        }
    }

    #[test]
    fn a_proxy_on_a_socket_may_be_trusted() {
        let mut asked = ask("wiki.example.com/").with("x-authentik-username", "ada");
        let pipe = Some(Address::Pipe(Pipe { path: "@".into(), ..Default::default() }));
        asked.context.source =
            Some(Peer { address: Some(core::Address { address: pipe }), ..Default::default() });
        passed(&gateway(SETTINGS, BUNDLE), asked);
    }

    /// Writes the seeds of the fuzz target that reads messages of Envoy; the first byte says that they are whole messages.
    #[test]
    #[ignore = "writes into the tree"]
    fn seeds_for_the_fuzzer() {
        use prost::Message as _;
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/ext_authz");
        std::fs::create_dir_all(&seeds).unwrap();
        let mut cut = ask("app.test/public").with("x-envoy-auth-partial-body", "true");
        cut.http.body = "begin".into();
        let mut connection = ask("app.test/").message();
        connection.attributes.as_mut().unwrap().request = None;
        let messages = [
            ask("app.test/public/a?b=c").message(),
            ask("app.test/").by("ada").message(),
            Ask { raw: true, ..ask("a.below.test:443/public/x").by("ada") }.message(),
            ask("x.test/%70rivate").by("ada").extension("bindery.target", "application/private").message(),
            cut.message(),
            connection,
        ];
        for (number, message) in messages.iter().enumerate() {
            let bytes = [vec![1], message.encode_to_vec()].concat();
            std::fs::write(seeds.join(number.to_string()), bytes).unwrap();
        }
    }

    // Forward authentication: the same rules, told in headers.

    fn forward(
        gateway: &Arc<Gateway>,
        from: Option<&str>,
        name: &str,
        headers: &[(&str, &str)],
    ) -> (u16, http::HeaderMap) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut request = http::Request::get(format!("/forward-auth/{name}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let address = from.map(|address| address.parse().unwrap());
        let mut request = request.body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(Caller { address }));
        let router = forward_auth::router(Arc::clone(gateway));
        let response = runtime.block_on(router.oneshot(request)).unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    const TRUSTED: &str = "trusted_peers = ['127.0.0.1', 'unix']\n\
                           sign_in_url = 'https://auth.example.com/start?rd={return_to}'";

    #[test]
    fn gateways_ask_in_their_own_headers_and_get_the_same() {
        let gateway = gateway(&format!("{TRUSTED}\n{SETTINGS}"), BUNDLE);
        let nginx = |url: &'static str| {
            vec![("x-original-method", "GET"), ("x-original-url", url), ("accept", "text/html")]
        };
        let others = |uri: &'static str| {
            vec![
                ("x-forwarded-method", "GET"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "wiki.example.com"),
                ("x-forwarded-uri", uri),
                ("accept", "text/html"),
            ]
        };
        let ada = [("x-forwarded-for", "1.2.3.4, 10.0.0.1"), ("x-authentik-username", "ada")];
        let spoofed = [("x-forwarded-for", "10.0.0.1, 1.2.3.4"), ("x-authentik-username", "ada")];
        for from in [Some("127.0.0.1"), None] {
            for name in ["nginx", "caddy", "traefik", "haproxy"] {
                let base = |path: &str| match name {
                    "nginx" if path == "/" => nginx("https://wiki.example.com/"),
                    "nginx" => nginx("https://wiki.example.com/a/../b"),
                    _ if path == "/" => others("/"),
                    _ => others("/a/../b"),
                };
                let (status, headers) = forward(&gateway, from, name, &[base("/"), ada.to_vec()].concat());
                assert_eq!(
                    (status, headers["x-authentik-username"].to_str().unwrap()),
                    (200, "ada"),
                    "{name}"
                );
                assert_eq!(
                    headers["x-authentik-name"].to_str().unwrap(),
                    "",
                    "nothing of a client's is left"
                );
                let (status, headers) =
                    forward(&gateway, from, name, &[base("/"), spoofed.to_vec()].concat());
                let narrow = name == "nginx";
                assert_eq!(status, if narrow { 401 } else { 302 }, "{name}");
                assert!(
                    headers["location"].to_str().unwrap().ends_with("rd=https%3A%2F%2Fwiki.example.com%2F")
                );
                let (status, headers) = forward(&gateway, from, name, &base("/../"));
                assert_eq!(status, if narrow { 403 } else { 400 });
                assert_eq!(headers["x-bindery-reason"].to_str().unwrap(), "ambiguous_path");
                assert_eq!(forward(&gateway, from, name, &[]).0, 503, "it is not told what is asked");
            }
        }
        let (status, headers) =
            forward(&gateway, Some("127.0.0.2"), "caddy", &[others("/"), ada.to_vec()].concat());
        assert_eq!((status, headers["x-bindery-reason"].to_str().unwrap()), (403, "untrusted_gateway"));
        assert_eq!(forward(&gateway, None, "apache", &others("/")).0, 404);
        let (status, _) = forward(&gateway, None, "caddy/anonymous/application/open", &others("/"));
        assert_eq!(status, 200);
        let (status, _) =
            forward(&gateway, None, "caddy/application/nothing", &[others("/"), ada.to_vec()].concat());
        assert_eq!(status, 503);
    }
}
