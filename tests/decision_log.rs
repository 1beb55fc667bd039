//! The decision log of a server: every door writes its lines, and what they tell fits what was answered.

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bindery::api::authzen::{self, AuthzenSettings};
    use bindery::api::decision::DecisionApi;
    use bindery::api::ext_authz::ExtAuthz;
    use bindery::api::flow::{FlowApi, LIFETIME, Tokens};
    use bindery::api::gateway::Gateway;
    use bindery::api::gateway::settings::{GatewaySettings, Rules};
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_server::DecisionService as _;
    use bindery::proto::v1::flow_service_server::FlowService as _;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::telemetry::decision_log::{DecisionLog, File, Options};
    use bindery::telemetry::metrics::Format;
    use bindery::telemetry::{Metrics, Telemetry};
    use envoy_types::ext_authz::v3::pb::CheckRequest;
    use serde_json::{Value, json};
    use std::sync::Arc;
    use std::time::Duration;
    use tonic::Request;
    use tower::ServiceExt as _;
    use v1::resource::Resource as R;

    fn application(slug: &str) -> Option<v1::TargetRef> {
        Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) })
    }

    fn store() -> Arc<Store> {
        let store = Arc::new(Store::new(Settings::default()));
        let binding = |id: &str, group: &str, order| {
            let group = Some(v1::GroupRef { name: group.into(), ..Default::default() });
            let (id, target) = (id.to_owned(), application("wiki"));
            R::PolicyBinding(v1::PolicyBinding { id, target, group, order, ..Default::default() })
        };
        let group =
            |name: &str| R::Group(v1::Group { id: name.into(), name: name.into(), ..Default::default() });
        let staff = v1::GroupRef { name: "staff".into(), ..Default::default() };
        let ada =
            v1::User { id: "7".into(), username: "ada".into(), groups: vec![staff], ..Default::default() };
        let resources = [
            R::Application(v1::Application { slug: "wiki".into(), ..Default::default() }),
            R::Flow(v1::Flow { slug: "login".into(), ..Default::default() }),
            group("staff"),
            group("guests"),
            R::User(ada),
            binding("first", "guests", 0),
            binding("second", "staff", 1),
        ];
        let resources = resources.into_iter().map(|it| v1::Resource { resource: Some(it) }).collect();
        apply(&store, Update::Replace(resources)).unwrap();
        store
    }

    fn check(slug: &str, username: &str) -> v1::CheckRequest {
        let subject = Some(v1::Subject { username: username.into(), ..Default::default() });
        v1::CheckRequest { target: application(slug), subject, ..Default::default() }
    }

    #[tokio::test]
    async fn every_door_writes_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let metrics = Arc::new(Metrics::new());
        let out = Box::new(File::open(&path, 1 << 20, 1).unwrap());
        let log = DecisionLog::start(Options::default(), out, Arc::clone(&metrics)).unwrap();
        let telemetry = Arc::new(Telemetry { metrics, log: Some(log), traces: None });
        let api = DecisionApi::new(store(), Arc::default()).with_telemetry(Arc::clone(&telemetry));

        let answer = api.check(Request::new(check("wiki", "ada"))).await.unwrap().into_inner();
        assert_eq!(answer.decision(), v1::Decision::Allow);
        api.check(Request::new(check("wiki", "bob"))).await.unwrap();
        api.check(Request::new(check("nothing", "ada"))).await.unwrap_err();
        let checks = vec![check("wiki", "ada"), check("nothing", "bob")];
        api.check_batch(Request::new(v1::CheckBatchRequest { checks })).await.unwrap();
        let flows = FlowApi::new(api.clone(), Arc::new(Tokens::random(LIFETIME).unwrap()));
        let subject = Some(v1::Subject { username: "ada".into(), ..Default::default() });
        let plan =
            v1::PlanFlowRequest { flow: "login".into(), subject, allow_empty: true, ..Default::default() };
        flows.plan_flow(Request::new(plan)).await.unwrap();
        let rules = Rules::new(&GatewaySettings::default()).unwrap();
        let envoy = ExtAuthz::new(Arc::new(Gateway::new(api.clone(), rules)));
        let mut message = CheckRequest::default();
        let attributes = message.attributes.get_or_insert_default();
        let http = attributes.request.get_or_insert_default().http.get_or_insert_default();
        (http.method, http.path) = ("GET".into(), "/".into());
        (http.host, http.scheme) = ("nowhere.example.com".into(), "https".into());
        http.headers.insert("accept".into(), "*/*".into());
        envoy.answer(message).await.unwrap();
        let body = json!({
            "subject": {"type": "user", "id": "ada"},
            "action": {"name": "access"},
            "resource": {"type": "application", "id": "wiki"},
        });
        let request = http::Request::post("/access/v1/evaluation")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = authzen::router(api, AuthzenSettings::default()).oneshot(request).await.unwrap();
        let answer = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();

        telemetry.close(Duration::from_secs(60));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> =
            text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<(&str, &str)> = lines
            .iter()
            .map(|line| (line["door"].as_str().unwrap(), line["outcome"].as_str().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("check", "allow"),
                ("check", "deny"),
                ("check", "error"),
                ("batch", "allow"),
                ("batch", "error"),
                ("flow", "allow"),
                ("ext_authz", "deny"),
                ("authzen", "allow"),
            ],
            "{text}"
        );
        assert_eq!(lines[0]["deciding_binding"], "second", "the one that passes");
        assert_eq!(lines[0]["subject"], json!({"id": "7", "known": true}));
        assert_eq!(lines[0]["target"], json!({"kind": "application", "name": "wiki"}));
        assert_eq!(lines[0]["revision"], 1);
        assert_eq!(lines[1]["deciding_binding"], Value::Null, "none of them alone");
        assert_eq!(lines[1]["subject"], json!({"known": false}), "no name unless it is asked for");
        assert_eq!(
            (&lines[2]["reason"], &lines[2]["target"]["name"]),
            (&json!("unknown_target"), &json!("nothing"))
        );
        assert_eq!(lines[6]["reason"], "no_route");
        assert_eq!(lines[7]["decision_id"], answer["context"]["id"], "the id that the caller has");
        assert!(lines.iter().zip(1..).all(|(line, number)| line["sequence"] == json!(number)));

        let text = telemetry.metrics.text(Format::Prometheus).unwrap();
        for line in [
            r#"bindery_decisions_total{door="check",kind="application",outcome="allow"} 1"#,
            r#"bindery_decision_errors_total{door="batch",reason="unknown_target"} 1"#,
            r#"bindery_decisions_total{door="flow",kind="flow",outcome="allow"} 1"#,
            r#"bindery_decisions_total{door="ext_authz",kind="none",outcome="deny"} 1"#,
            r#"bindery_gateway_answers_total{door="ext_authz",reason="no_route"} 1"#,
            r#"bindery_decisions_total{door="authzen",kind="application",outcome="allow"} 1"#,
            r#"bindery_decision_duration_seconds_count{door="check"} 3"#,
            "bindery_decision_log_records_total 8",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}");
        }
    }
}
