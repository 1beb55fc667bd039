//! Flows over gRPC: random ones are planned and walked as the slow rules say, and plans are handed back in every wrong way.
//!
//! `PROPTEST_CASES` sets how many random flows; a failure prints the smallest that was found.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
    pub(crate) mod message;
    pub(crate) mod vectors;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{resource, target};
    use crate::support::vectors::Vector;
    use crate::support::vectors::walk::{Guide, by_the_rules, walk};
    use bindery::api::decision::DecisionApi;
    use bindery::api::flow::{FlowApi, LIFETIME, Tokens};
    use bindery::evaluators::Evaluators;
    use bindery::evaluators::python::{Isolation, PythonOptions};
    use bindery::proto::v1;
    use bindery::proto::v1::flow_service_client::FlowServiceClient;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Value as Json, json};
    use std::sync::Arc;
    use std::time::Duration;
    use tonic::transport::Channel;
    use tonic::{Code, Status};
    use tonic_types::StatusExt as _;
    use v1::next_stage_request::Form;

    /// A server of flows on a free port, and a connection to it.
    struct Server {
        store: Arc<Store>,
        runtime: tokio::runtime::Runtime,
        client: FlowServiceClient<Channel>,
    }

    impl Server {
        fn new(tokens: Tokens) -> Self {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let store = Arc::new(Store::new(Settings::default()));
            let isolation = Isolation::Process(env!("CARGO_BIN_EXE_bindery").into());
            let python = PythonOptions { limit: Duration::from_secs(20), ..PythonOptions::new(isolation) };
            let evaluators = Arc::new(Evaluators::default().with_python(python));
            let service = FlowApi::new(DecisionApi::new(Arc::clone(&store), evaluators), Arc::new(tokens));
            let client = runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
                let server = tonic::transport::Server::builder().add_service(service.into_service());
                tokio::spawn(server.serve_with_incoming(incoming));
                let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await;
                FlowServiceClient::new(channel.unwrap())
            });
            Self { store, runtime, client }
        }

        fn apply(&self, resources: Vec<R>) {
            apply(&self.store, Update::Replace(resources.into_iter().map(resource).collect())).unwrap();
        }

        fn ask(&self, request: v1::PlanFlowRequest) -> Result<v1::PlanFlowResponse, Status> {
            let mut client = self.client.clone();
            self.runtime.block_on(client.plan_flow(request)).map(tonic::Response::into_inner)
        }

        fn step(&self, request: v1::NextStageRequest) -> Result<v1::NextStageResponse, Status> {
            let mut client = self.client.clone();
            self.runtime.block_on(client.next_stage(request)).map(tonic::Response::into_inner)
        }
    }

    impl Guide for Server {
        fn load(&mut self, resources: Vec<v1::Resource>) {
            apply(&self.store, Update::Replace(resources)).unwrap();
        }

        fn plan(&self, request: v1::PlanFlowRequest) -> v1::PlanFlowResponse {
            self.ask(request).unwrap()
        }

        fn next(&self, request: v1::NextStageRequest) -> v1::NextStageResponse {
            self.step(request).unwrap()
        }
    }

    fn tokens() -> Tokens {
        Tokens::random(LIFETIME).unwrap()
    }

    const USERS: [&str; 4] = ["u0", "u1", "u2", "u3"];
    const EXPRESSIONS: [&str; 10] = [
        "return len(context['flow_plan'].bindings) > 1 if 'flow_plan' in context else True",
        "return len(context['flow_plan'].bindings) > 3 if 'flow_plan' in context else True",
        "return request.user.is_authenticated",
        "return request.user.username == 'u1'",
        "return ak_is_group_member(request.user, name='staff')",
        "return context.get('n', 0) > 1",
        "ak_message('e')\nreturn context.get('flag', False)",
        "return len(context['flow_plan'].bindings) > 2 if 'flow_plan' in context else True",
        "context['flow_plan'].context['mark'] = 7\nreturn True",
        "return context.get('mark') == 7",
    ];

    /// Policies `p0` and so on: what always passes, what never does, what errs, and with `python` expressions.
    fn policies(python: bool) -> Vec<Json> {
        let mut all = vec![
            json!({"kind": "dummy", "result": true, "messages": ["yes"]}),
            json!({"kind": "dummy", "result": false, "messages": ["no", "never"]}),
            json!({"kind": "raise", "message": "broken"}),
        ];
        // One of the expressions needs a plan, which a flow's own bindings do not have.
        let bodies = if python { &EXPRESSIONS[..] } else { &[] };
        all.extend(bodies.iter().map(|body| json!({"kind": "expression", "body": body})));
        for (index, policy) in all.iter_mut().enumerate() {
            policy["id"] = format!("p{index}").into();
        }
        all
    }

    fn any_bindings(subjects: Vec<Json>) -> impl Strategy<Value = Json> {
        let one = (select(subjects), prop::bool::weighted(0.9), any::<bool>(), any::<bool>());
        vec(one, 0..4).prop_map(|all| {
            let bindings = all.into_iter().enumerate();
            let bindings = bindings.map(|(order, (subject, enabled, negate, failure_result))| {
                json!({"order": order, "subject": subject, "enabled": enabled, "negate": negate,
                       "failure_result": failure_result, "timeout": 30})
            });
            Json::Array(bindings.collect())
        })
    }

    fn any_set() -> impl Strategy<Value = Json> {
        let entry = prop_oneof![
            (0..4_u8).prop_map(|n| json!({"n": n})),
            any::<bool>().prop_map(|flag| json!({"flag": flag})),
            select([&USERS[..], &["unsaved"]].concat()).prop_map(|user| json!({"pending_user": user})),
            Just(json!({"is_redirected": true})),
            Just(json!({})),
        ];
        vec(entry, 0..3).prop_map(|entries| {
            let mut all = json!({});
            for entry in entries {
                all.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
            }
            all
        })
    }

    /// A flow, somebody who goes through it, and what the context becomes on the way; in the form of the vectors.
    fn any_flow(python: bool) -> impl Strategy<Value = Json> {
        let policies = policies(python);
        let mut subjects: Vec<Json> = USERS.iter().map(|user| json!({"user": user})).collect();
        subjects.extend(["staff", "all", "root"].map(|group| json!({"group": group})));
        let mut own = subjects.clone();
        let plain =
            |policy: &&Json| !policy["body"].as_str().is_some_and(|body| body.starts_with("context['flow"));
        own.extend(policies.iter().filter(plain).map(|policy| json!({"policy": policy["id"]})));
        subjects.extend(policies.iter().map(|policy| json!({"policy": policy["id"]})));
        let mode = select(vec!["any", "all"]);
        let again = prop::bool::weighted(0.7);
        let stage = (any_bindings(subjects), mode.clone(), any::<bool>(), again, 0..9_u8);
        let requirement = select(vec![
            "none",
            "none",
            "none",
            "require_authenticated",
            "require_unauthenticated",
            "require_superuser",
            "require_redirect",
        ]);
        let session = select([&USERS[..], &["anonymous"]].concat());
        let flow = (prop_oneof![Just(json!([])), any_bindings(own)], mode, requirement, any::<bool>());
        (flow, vec(stage, 0..7), session, any_set(), vec(any_set(), 0..6)).prop_map(
            move |((bindings, mode, authentication, empty), stages, session, context, steps)| {
                let stages = stages.into_iter().enumerate();
                let stages = stages.map(|(index, (bindings, mode, on_plan, again, order))| {
                    json!({"id": format!("s{index}"), "order": order, "mode": mode, "bindings": bindings,
                           "evaluate_on_plan": on_plan, "re_evaluate_policies": again})
                });
                let user = |id: &str, groups: &[&str]| json!({"id": id, "username": id, "groups": groups, "is_active": true, "attributes": {}});
                json!({
                    "name": "random",
                    "users": [user("u0", &[]), user("u1", &["staff"]), user("u2", &["root"]), user("u3", &["staff", "root"])],
                    "groups": [
                        {"id": "all", "name": "all", "parents": []},
                        {"id": "staff", "name": "staff", "parents": ["all"]},
                        {"id": "root", "name": "root", "parents": [], "is_superuser": true},
                    ],
                    "policies": policies,
                    "flow": {"designation": "authentication", "authentication": authentication, "mode": mode, "bindings": bindings},
                    "stages": stages.collect::<Vec<_>>(),
                    "request": {"http_user": session, "context": context},
                    "steps": steps.into_iter().map(|set| json!({"set": set})).collect::<Vec<_>>(),
                    "allow_empty_flows": empty,
                })
            },
        )
    }

    fn hold(cases: u32, python: bool) {
        let server = std::cell::RefCell::new(Server::new(tokens()));
        let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
            ProptestConfig::default().cases
        } else {
            cases
        };
        let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
        proptest!(config, |(json in any_flow(python))| {
            let vector = Vector { json, name: "random".into() };
            let (wanted, found) = (by_the_rules(&vector, false), walk(&vector, &mut *server.borrow_mut()));
            prop_assert!(wanted.agrees(&found), "expected {wanted:?}, got {found:?}");
        });
    }

    #[test]
    fn random_flows_are_walked_by_the_rules() {
        hold(400, false);
    }

    #[test]
    fn random_flows_with_expressions_are_walked_by_the_rules() {
        hold(150, true);
    }

    fn stage(name: &str) -> R {
        R::Stage(v1::Stage { id: format!("id-{name}"), name: name.into(), kind: "kind".into() })
    }

    fn placed(name: &str, order: i32) -> v1::FlowStageBinding {
        let (flow, stage) = ("login".into(), name.into());
        v1::FlowStageBinding { id: format!("at-{name}"), flow, stage, order, ..Default::default() }
    }

    /// Two stages, of which the second is for the group `staff`.
    fn login() -> Vec<R> {
        let user = Some(v1::UserRef { username: "ada".into(), ..Default::default() });
        let bound = v1::PolicyBinding {
            target: Some(target(T::FlowStageBinding("at-mfa".into()))),
            user,
            ..Default::default()
        };
        let action = v1::InvalidResponseAction::RestartWithContext.into();
        vec![
            R::Flow(v1::Flow { id: "id-login".into(), slug: "login".into(), ..Default::default() }),
            stage("password"),
            stage("mfa"),
            R::FlowStageBinding(v1::FlowStageBinding {
                invalid_response_action: action,
                ..placed("password", 0)
            }),
            R::FlowStageBinding(v1::FlowStageBinding { evaluate_on_plan: Some(true), ..placed("mfa", 1) }),
            R::PolicyBinding(bound),
        ]
    }

    fn somebody(name: &str) -> Option<v1::Subject> {
        Some(v1::Subject { username: name.into(), ..Default::default() })
    }

    fn plan(who: &str) -> v1::PlanFlowRequest {
        let explain = v1::ExplainLevel::Full.into();
        v1::PlanFlowRequest { flow: "login".into(), subject: somebody(who), explain, ..Default::default() }
    }

    fn next(form: Form, who: &str) -> v1::NextStageRequest {
        let explain = v1::ExplainLevel::Full.into();
        v1::NextStageRequest { form: Some(form), subject: somebody(who), explain, ..Default::default() }
    }

    fn names(stages: &[v1::PlannedStage]) -> Vec<&str> {
        stages.iter().map(|stage| stage.stage.as_str()).collect()
    }

    #[test]
    fn a_plan_tells_all_of_its_stages_and_why() {
        let server = Server::new(tokens());
        server.apply(login());
        let ada = server.ask(plan("ada")).unwrap();
        assert_eq!(ada.outcome(), v1::PlanOutcome::Planned);
        let plan_of_ada = ada.plan.unwrap();
        assert_eq!((plan_of_ada.flow.as_str(), plan_of_ada.revision), ("id-login", 1));
        let first = v1::PlannedStage {
            binding_id: "at-password".into(),
            stage: "password".into(),
            stage_id: "id-password".into(),
            kind: "kind".into(),
            order: 0,
            marker: v1::StageMarker::ReEvaluate.into(),
            invalid_response_action: v1::InvalidResponseAction::RestartWithContext.into(),
        };
        assert_eq!(plan_of_ada.stages[0], first);
        assert_eq!(names(&plan_of_ada.stages), ["password", "mfa"]);
        let outcomes: Vec<_> = ada.stages.iter().map(|it| (it.outcome(), it.summary.as_str())).collect();
        use v1::StageOutcome as O;
        assert_eq!(
            outcomes,
            [
                (O::Later, "its bindings are looked at right before it is shown"),
                (
                    O::In,
                    "it is in: the subject is user `ada` (order 0); its bindings must pass once more right before it is shown"
                ),
            ]
        );
        assert_eq!(
            ada.summary,
            "`ada` goes through both stages of flow `login`, both of which are looked at again right before they are shown"
        );
        let bob = server.ask(plan("bob")).unwrap();
        assert_eq!(names(&bob.plan.unwrap().stages), ["password"]);
        let out = &bob.stages[1];
        assert_eq!(out.outcome(), O::Out);
        assert_eq!(out.summary, "it is left out: the subject is not user `ada` (order 0)");
        assert_eq!(out.explanation.as_ref().unwrap().bindings.len(), 1);
    }

    #[test]
    fn what_cannot_be_planned_says_why() {
        let server = Server::new(tokens());
        let failed = |request| server.ask(request).unwrap_err();
        assert_eq!(failed(plan("ada")).code(), Code::Unavailable);
        server.apply(login());
        let unknown = failed(v1::PlanFlowRequest { flow: "logout".into(), ..plan("ada") });
        assert_eq!(
            (unknown.code(), unknown.message()),
            (Code::NotFound, "flow: there is no flow `logout` in the configuration")
        );
        let values = bindery::proto::from_json("google.protobuf.Struct", json!({"flow_plan": {}})).unwrap();
        let context = Some(v1::Context { values: Some(values), ..Default::default() });
        for (request, part) in [
            (v1::PlanFlowRequest { flow: String::new(), ..plan("ada") }, "flow: missing"),
            (v1::PlanFlowRequest { flow: "f".repeat(2_000), ..plan("ada") }, "flow: has 2000 bytes"),
            (v1::PlanFlowRequest { subject: None, ..plan("ada") }, "subject: missing"),
            (v1::PlanFlowRequest { explain: 9, ..plan("ada") }, "explain: 9 is none of its values"),
            (
                v1::PlanFlowRequest { context, ..plan("ada") },
                "context.values.flow_plan: is made by the planner",
            ),
        ] {
            let status = failed(request);
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().contains(part), "{status:?}");
        }
        let early = failed(v1::PlanFlowRequest { min_revision: 9, ..plan("ada") });
        assert_eq!(early.code(), Code::FailedPrecondition);
    }

    #[test]
    fn a_flow_that_is_not_for_somebody_is_an_answer() {
        let server = Server::new(tokens());
        let mut resources = login();
        let denied_action = v1::FlowDeniedAction::Continue.into();
        let authentication = v1::FlowAuthentication::RequireUnauthenticated.into();
        resources[0] =
            R::Flow(v1::Flow { slug: "login".into(), authentication, denied_action, ..Default::default() });
        server.apply(resources);
        let refused = server.ask(plan("ada")).unwrap();
        assert_eq!(
            (refused.outcome(), refused.reason()),
            (v1::PlanOutcome::NotApplicable, v1::Reason::Authentication)
        );
        assert_eq!(refused.denied_action(), v1::FlowDeniedAction::Continue);
        assert_eq!((refused.plan, refused.token.as_str()), (None, ""));
        assert_eq!(
            refused.summary,
            "flow `login` is not for `ada`: the flow requires somebody who is not signed in"
        );
        // A flow without a stage is empty, unless that is allowed.
        server.apply(vec![R::Flow(v1::Flow { slug: "login".into(), ..Default::default() })]);
        let empty = server.ask(plan("ada")).unwrap();
        assert_eq!((empty.outcome(), empty.plan), (v1::PlanOutcome::Empty, None));
        let allowed = server.ask(v1::PlanFlowRequest { allow_empty: true, ..plan("ada") }).unwrap();
        let done = server.step(next(Form::Token(allowed.token), "ada")).unwrap();
        assert_eq!(
            (done.finished, done.summary.as_str()),
            (true, "no stage is left, so the flow is finished")
        );
    }

    #[test]
    fn a_plan_is_stepped_against_todays_bindings() {
        let server = Server::new(tokens());
        server.apply(login());
        let planned = server.ask(plan("ada")).unwrap();
        let first = server.step(next(Form::Token(planned.token.clone()), "ada")).unwrap();
        assert_eq!(first.stage.unwrap().stage, "password");
        // The same plan once more: the same stage.
        let again = server.step(next(Form::Token(planned.token.clone()), "ada")).unwrap();
        assert_eq!(again.stage.unwrap().stage, "password");
        let rest = first.plan.unwrap();
        assert_eq!((names(&rest.stages), rest.revision), (vec!["mfa"], 1));
        let second = server.step(next(Form::Plan(rest), "ada")).unwrap();
        assert_eq!(second.summary, "stage `mfa` is next: the subject is user `ada` (order 0)");
        // One stage leaves the flow, the other is no longer for her.
        let mut resources = login();
        resources.remove(3);
        let Some(R::PolicyBinding(bound)) = resources.last_mut() else { panic!() };
        bound.negate = true;
        server.apply(resources);
        let none = server.step(next(Form::Token(planned.token.clone()), "ada")).unwrap();
        assert!(none.finished && none.stage.is_none() && none.plan.unwrap().stages.is_empty());
        let dropped: Vec<_> = none
            .dropped
            .iter()
            .map(|it| (it.stage.as_ref().unwrap().stage.as_str(), it.reason(), it.summary.as_str()))
            .collect();
        use v1::DropReason as D;
        assert_eq!(
            dropped,
            [
                ("password", D::Vanished, "it has left the flow since the plan was made"),
                ("mfa", D::Bindings, "it is dropped: the subject is user `ada` (order 0), negated"),
            ]
        );
        assert_eq!(none.revision, 2);
        // The flow itself goes: that is no plan that has come to its end.
        server.apply(vec![stage("password")]);
        let gone = server.step(next(Form::Token(planned.token), "ada")).unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
    }

    #[test]
    fn a_plan_that_was_tampered_with_is_refused() {
        let server = Server::new(tokens());
        server.apply(login());
        let planned = server.ask(plan("ada")).unwrap();
        let other = Server::new(tokens());
        other.apply(login());
        let mut changed = planned.token.clone();
        // In the middle of the plan itself.
        let character = if changed.as_bytes()[20] == b'A' { "B" } else { "A" };
        changed.replace_range(20..21, character);
        for (server, token) in [(&server, changed), (&other, planned.token), (&server, "b1.x.y".into())] {
            let status = server.step(next(Form::Token(token), "ada")).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().starts_with("token: "), "{status:?}");
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "PLAN_REFUSED");
            assert_eq!(details.bad_request().unwrap().field_violations[0].field, "token");
        }
        let bare = |stages| v1::FlowPlan { flow: "login".into(), stages, ..Default::default() };
        let named = |marker| v1::PlannedStage { binding_id: "at-mfa".into(), marker, ..Default::default() };
        for (form, part) in [
            (None, "plan: missing"),
            (Some(Form::Plan(v1::FlowPlan::default())), "plan.flow: missing"),
            (Some(Form::Plan(bare(vec![v1::PlannedStage::default()]))), "plan.stages[0].binding_id: missing"),
            (Some(Form::Plan(bare(vec![named(7)]))), "plan.stages[0].marker: 7 is none of its values"),
            (Some(Form::Plan(bare(vec![named(1); 1_001]))), "plan.stages: has 1001 stages"),
        ] {
            let request = v1::NextStageRequest { form, subject: somebody("ada"), ..Default::default() };
            let status = server.step(request).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains(part), "{status:?}");
        }
    }

    fn expression(name: &str, source: &str) -> R {
        let expression = v1::ExpressionPolicy { source: source.into(), ..Default::default() };
        let kind = Some(v1::policy::Kind::Expression(expression));
        R::Policy(v1::Policy { name: name.into(), kind, ..Default::default() })
    }

    /// A flow of one stage for each of these, to which all of the stage's policies are bound.
    fn flow_of(stages: &[(&str, &[&str])]) -> Vec<R> {
        let mut all = vec![R::Flow(v1::Flow { slug: "login".into(), ..Default::default() })];
        for (order, (name, policies)) in (0..).zip(stages) {
            all.push(stage(name));
            let policy_engine_mode = v1::PolicyEngineMode::All.into();
            all.push(R::FlowStageBinding(v1::FlowStageBinding { policy_engine_mode, ..placed(name, order) }));
            all.extend((0..).zip(*policies).map(|(order, policy)| {
                let target = Some(target(T::FlowStageBinding(format!("at-{name}"))));
                R::PolicyBinding(v1::PolicyBinding {
                    target,
                    order,
                    policy: (*policy).into(),
                    ..Default::default()
                })
            }));
        }
        all
    }

    fn values(json: Json) -> Option<v1::Context> {
        let values = bindery::proto::from_json("google.protobuf.Struct", json).unwrap();
        Some(v1::Context { values: Some(values), ..Default::default() })
    }

    fn json_of(values: Option<prost_types::Struct>) -> Json {
        values.map_or(Json::Null, |it| bindery::proto::to_json("google.protobuf.Struct", &it).unwrap())
    }

    #[test]
    fn what_policies_change_goes_on_as_in_authentik() {
        let server = Server::new(tokens());
        let mut resources = flow_of(&[("a", &["changes", "sees"]), ("b", &["later"]), ("c", &["nested"])]);
        resources.extend([
            expression(
                "changes",
                "context['only_here'] = 1\n\
                 context['prompt_data']['username'] = 'x'\n\
                 context['flow_plan'].context['kept'] = 7\n\
                 return True",
            ),
            // What is the plan's alone is not in the context of a set that is under way.
            expression(
                "sees",
                "return context['only_here'] == 1 and context['flow_plan'].context['kept'] == 7 \
                 and 'kept' not in context and context['flow_plan'].context['prompt_data']['username'] == 'x'",
            ),
            expression(
                "later",
                "return 'only_here' not in context and context['kept'] == 7 \
                 and context['prompt_data']['username'] == 'x'",
            ),
            // It does not look at the plan.
            expression("nested", "context['prompt_data']['name'] = 'y'\ncontext['new'] = 1\nreturn True"),
            R::User(v1::User { id: "7".into(), username: "ada".into(), ..Default::default() }),
        ]);
        server.apply(resources);
        let context =
            json!({"prompt_data": {"email": "e"}, "pending_user": {"username": "ada", "backend": "z"}});
        let request = v1::PlanFlowRequest { context: values(context.clone()), ..plan("bob") };
        let planned = server.ask(request).unwrap();
        assert_eq!(planned.context, None);
        let step = |token: String, context: Json| {
            let step = next(Form::Token(token), "bob");
            server.step(v1::NextStageRequest { context: values(context), ..step }).unwrap()
        };
        let first = step(planned.token, context);
        assert_eq!(first.stage.unwrap().stage, "a", "{:?}", first.dropped);
        let pending = json!({"username": "ada", "backend": "z", "pk": "7"});
        let expected =
            json!({"kept": 7.0, "pending_user": pending, "prompt_data": {"email": "e", "username": "x"}});
        assert_eq!(json_of(first.context.clone()), expected);
        let second = step(first.token, expected.clone());
        assert_eq!(second.stage.unwrap().stage, "b", "{:?}", second.dropped);
        assert_eq!(second.context, None);
        let third = step(second.token, expected);
        let expected = json!({"kept": 7.0, "pending_user": pending,
                              "prompt_data": {"email": "e", "username": "x", "name": "y"}});
        assert_eq!(json_of(third.context), expected);
    }

    #[test]
    fn a_program_keeps_what_it_sets() {
        let server = Server::new(tokens());
        let source = json!({"version": 2, "actions": [
            {"type": "set", "enabled": true, "target": {"key": "plan.context", "param": "color"},
             "value": {"type": "literal", "value": "red"}},
            {"type": "set", "enabled": true, "target": {"key": "prompt_data", "param": "name"},
             "value": {"type": "literal", "value": "Ada"}},
        ]});
        let program = bindery::proto::from_json("google.protobuf.Struct", source).unwrap();
        let program = v1::ConditionalPolicy { program: Some(program), ..Default::default() };
        let kind = Some(v1::policy::Kind::Conditional(program));
        let mut resources = flow_of(&[("a", &["sets"])]);
        resources.push(R::Policy(v1::Policy { name: "sets".into(), kind, ..Default::default() }));
        server.apply(resources);
        let planned = server.ask(plan("ada")).unwrap();
        let step = server.step(next(Form::Token(planned.token), "ada")).unwrap();
        assert_eq!(json_of(step.context), json!({"color": "red", "prompt_data": {"name": "Ada"}}));
    }

    #[test]
    fn expressions_see_the_stages_of_the_plan() {
        let server = Server::new(tokens());
        let mut resources = flow_of(&[("a", &[]), ("b", &["tells"]), ("c", &["tells"])]);
        for resource in &mut resources {
            if let R::FlowStageBinding(placed) = resource {
                placed.evaluate_on_plan = Some(true);
            }
        }
        resources.push(expression(
            "tells",
            "plan = context['flow_plan']\n\
             ak_message(plan.flow_pk + ':' + ','.join([str(it.order) + it.stage.name for it in plan.bindings]))\n\
             ak_message(str(len(plan.markers)) + str(plan.bindings[0].stage) + request.obj.pk)\n\
             return True",
        ));
        server.apply(resources);
        let planned = server.ask(plan("ada")).unwrap();
        let said: Vec<_> = planned.stages.iter().map(|it| it.messages.join(" ")).collect();
        assert_eq!(said, ["", "login:0a 1Stage aat-b", "login:0a,1b 2Stage aat-c"]);
        let first = server.step(next(Form::Token(planned.token), "ada")).unwrap();
        let second = server.step(next(Form::Token(first.token), "ada")).unwrap();
        assert_eq!(second.messages, ["login:1b,2c", "2Stage bat-b"]);
    }

    #[test]
    fn one_stage_stands_in_several_flows_each_with_its_own_bindings() {
        let server = Server::new(tokens());
        let mut resources = login();
        resources.push(R::Flow(v1::Flow { slug: "recovery".into(), ..Default::default() }));
        resources.push(R::FlowStageBinding(v1::FlowStageBinding {
            id: "elsewhere".into(),
            flow: "recovery".into(),
            evaluate_on_plan: Some(true),
            ..placed("mfa", 5)
        }));
        server.apply(resources);
        let stages = |flow: &str| {
            let planned = server.ask(v1::PlanFlowRequest { flow: flow.into(), ..plan("bob") }).unwrap();
            planned.plan.unwrap().stages.into_iter().map(|it| (it.binding_id, it.stage)).collect::<Vec<_>>()
        };
        assert_eq!(stages("login"), [("at-password".to_owned(), "password".to_owned())]);
        assert_eq!(stages("recovery"), [("elsewhere".to_owned(), "mfa".to_owned())]);
    }
}
