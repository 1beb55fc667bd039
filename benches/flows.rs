//! What a plan and a step cost: in the core, from message to message with the token, and with expressions in Python.
//!
//! Each flow has 20 stages, all evaluated when the flow is planned and again right before they are shown, each with one
//! binding that passes.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use bindery::api::ask::now;
use bindery::api::flow::{LIFETIME, Tokens, next_on, plan_on};
use bindery::decision::View as _;
use bindery::decision::flow::{Journey, PlanEntry, PlanOutcome, Planned, Stepped, Travellers};
use bindery::evaluators::Evaluators;
use bindery::evaluators::python::{Isolation, PythonOptions};
use bindery::model::{Context, Explain, Subject, TargetKind, TargetRef, Timestamp};
use bindery::proto::v1;
use bindery::store::{Settings, Snapshot, Store};
use bindery::sync::apply::{Update, apply};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use v1::policy::Kind;
use v1::resource::Resource as R;
use v1::target_ref::Target as T;

const STAGES: i32 = 20;

/// A flow for groups, and one for each expression.
fn store() -> Store {
    let group = || v1::GroupRef { name: "staff".into(), ..Default::default() };
    let mut all = vec![
        R::Group(v1::Group { name: "staff".into(), ..Default::default() }),
        R::User(v1::User { username: "alice".into(), groups: vec![group()], ..Default::default() }),
    ];
    for (flow, source) in [
        ("static", None),
        ("python", Some("return request.user.username == 'alice'")),
        ("python of the plan", Some("return len(context['flow_plan'].bindings) < 21")),
    ] {
        all.push(R::Flow(v1::Flow { slug: flow.into(), ..Default::default() }));
        if let Some(source) = source {
            let expression = v1::ExpressionPolicy { source: source.into(), ..Default::default() };
            let kind = Some(Kind::Expression(expression));
            all.push(R::Policy(v1::Policy { name: flow.into(), kind, ..Default::default() }));
        }
        for order in 0..STAGES {
            let (id, stage) = (format!("{flow} {order}"), format!("{flow} stage {order}"));
            all.push(R::Stage(v1::Stage {
                name: stage.clone(),
                kind: "prompt".into(),
                ..Default::default()
            }));
            all.push(R::FlowStageBinding(v1::FlowStageBinding {
                id: id.clone(),
                flow: flow.into(),
                stage,
                order,
                evaluate_on_plan: Some(true),
                ..Default::default()
            }));
            let target = Some(v1::TargetRef { target: Some(T::FlowStageBinding(id)) });
            let bound = v1::PolicyBinding { target, ..Default::default() };
            all.push(R::PolicyBinding(match source {
                Some(_) => v1::PolicyBinding { policy: flow.into(), ..bound },
                None => v1::PolicyBinding { group: Some(group()), ..bound },
            }));
        }
    }
    let store = Store::new(Settings::default());
    let all = all.into_iter().map(|resource| v1::Resource { resource: Some(resource) }).collect();
    apply(&store, Update::Replace(all)).expect("a valid configuration");
    store
}

/// The core's part: finding the flow and the user, and the work of the journey.
fn travel<T>(snapshot: &Snapshot, context: &Context, work: impl FnOnce(&Journey<'_, Snapshot>) -> T) -> T {
    let subject = Subject { username: Some("alice".into()), ..Subject::default() };
    let flow = snapshot.find(&TargetRef::Named(TargetKind::Flow, "static".into())).expect("the flow");
    let requesting = snapshot.member(&subject);
    let travellers = Travellers { requesting: &requesting, pending: None };
    let (answered, explain, ticks) = (&[], Explain::None, None);
    work(&Journey { view: snapshot, flow, travellers, context, answered, explain, ticks })
}

fn core(criterion: &mut Criterion) {
    let store = store();
    let context = Context::at(Timestamp::new(1_760_000_100, 0));
    let plan = || {
        let snapshot = store.load();
        travel(&snapshot, black_box(&context), |journey| match journey.plan(false) {
            Some(Planned::Answered(answer)) => match answer.outcome {
                PlanOutcome::Planned(stages) => stages,
                other => unreachable!("{other:?}"),
            },
            other => unreachable!("{other:?}"),
        })
    };
    let stages = plan();
    assert_eq!(stages.len(), 20);
    let entries: Vec<PlanEntry> = stages.iter().map(PlanEntry::from).collect();
    let mut group = criterion.benchmark_group("core, 20 static stages");
    group.bench_function("plan", |bencher| bencher.iter(plan));
    group.bench_function("next", |bencher| {
        bencher.iter(|| {
            let snapshot = store.load();
            travel(&snapshot, black_box(&context), |journey| match journey.next(&entries) {
                Some(Stepped::Answered(answer)) => answer.next.is_some(),
                other => unreachable!("{other:?}"),
            })
        });
    });
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let store = store();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tokens = Tokens::random(LIFETIME).expect("a key");
    let evaluators = {
        let _inside = runtime.enter();
        let program = Isolation::Process(env!("CARGO_BIN_EXE_bindery").into());
        Evaluators::default().with_python(PythonOptions::new(program))
    };
    let subject = || Some(v1::Subject { username: "alice".into(), ..Default::default() });
    let mut group = criterion.benchmark_group("from message to message, 20 stages");
    for flow in ["static", "python", "python of the plan"] {
        let snapshot = store.load();
        let request = || v1::PlanFlowRequest { flow: flow.into(), subject: subject(), ..Default::default() };
        let plan = || plan_on(&snapshot, &evaluators, &tokens, request(), now());
        let planned = runtime.block_on(plan()).expect("an answer");
        assert_eq!(planned.plan.as_ref().map(|plan| plan.stages.len()), Some(20), "{flow}");
        group.bench_function(format!("plan, {flow}"), |bencher| bencher.iter(|| runtime.block_on(plan())));
        let form = || Some(v1::next_stage_request::Form::Token(planned.token.clone()));
        let request = || v1::NextStageRequest { form: form(), subject: subject(), ..Default::default() };
        let next = || next_on(&snapshot, &evaluators, &tokens, request(), now());
        assert!(runtime.block_on(next()).expect("an answer").stage.is_some(), "{flow}");
        group.bench_function(format!("next, {flow}"), |bencher| bencher.iter(|| runtime.block_on(next())));
    }
    group.finish();
}

criterion_group!(benches, core, messages);
criterion_main!(benches);
