//! Walks through flows: what a run shows, by what a vector expects, by the rules, and by somebody who is asked.

use super::rules::{Seen, Set};
use super::{Vector, items, planner, question, text};
use crate::support::make::{NOW, data, moment};
use crate::support::message::{Message, agree};
use bindery::proto::v1;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Who plans and steps.
pub(crate) trait Guide {
    /// Takes a whole configuration.
    fn load(&mut self, resources: Vec<v1::Resource>);
    fn plan(&self, request: v1::PlanFlowRequest) -> v1::PlanFlowResponse;
    fn next(&self, request: v1::NextStageRequest) -> v1::NextStageResponse;
}

/// What a run through a flow shows.
#[derive(Clone, Debug)]
pub(crate) enum Run {
    Refused { authentication: bool, messages: Vec<Message> },
    Empty,
    Walked { planned: Vec<(String, bool)>, shown: Vec<(Option<String>, Vec<Message>)> },
}

impl Run {
    pub(crate) fn agrees(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Empty, Self::Empty) => true,
            (
                Self::Refused { authentication, messages },
                Self::Refused { authentication: other, messages: found },
            ) => authentication == other && agree(messages, found),
            (Self::Walked { planned, shown }, Self::Walked { planned: others, shown: found }) => {
                planned == others
                    && shown.len() == found.len()
                    && shown.iter().zip(found).all(|(a, b)| a.0 == b.0 && agree(&a.1, &b.1))
            }
            _ => false,
        }
    }
}

type Values = BTreeMap<String, Json>;

/// Puts what a vector sets at a moment into the context: at planning what the request says, then one step after the other.
fn merge(vector: &Vector, step: Option<usize>, values: &mut Values) {
    let json = &vector.json;
    let more = match step {
        None => &json["request"]["context"],
        Some(step) => &items(&json["steps"]).get(step).unwrap_or(&Json::Null)["set"],
    };
    values.extend(more.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
}

/// What `expected` says.
pub(crate) fn expected(vector: &Vector) -> Run {
    let expected = &vector.json["expected"];
    let texts = |list: &Json| Message::texts(&items(list).iter().map(text).collect::<Vec<_>>());
    match text(&expected["outcome"]) {
        "empty" => Run::Empty,
        "not_applicable" => Run::Refused {
            authentication: expected["reason"] == "authentication",
            messages: texts(&expected["messages"]),
        },
        _ => {
            let stage = |json: &Json| (text(&json["stage"]).to_owned(), json["reevaluate"] == true);
            let shown = |json: &Json| (json["stage"].as_str().map(str::to_owned), texts(&json["messages"]));
            Run::Walked {
                planned: items(&expected["planned"]).iter().map(stage).collect(),
                shown: items(&expected["shown"]).iter().map(shown).collect(),
            }
        }
    }
}

/// The same by the rules of `VECTORS.md`, slowly.
pub(crate) fn by_the_rules(vector: &Vector, as_authentik: bool) -> Run {
    let json = &vector.json;
    let session = text(&json["request"]["http_user"]);
    let mut seen = Seen::default();
    merge(vector, None, &mut seen.context);
    if !may_enter(vector, session, &seen.context) {
        return Run::Refused { authentication: true, messages: Vec::new() };
    }
    let evaluate = |set: &Json, seen: &mut Seen| {
        let user = seen.context.get("pending_user").and_then(Json::as_str).unwrap_or(session);
        let (mode, bindings) = (text(&set["mode"]), &set["bindings"]);
        let set = Set { vector, mode, bindings, user, empty_result: true, as_authentik, seen: Some(seen) };
        let outcome = set.evaluate();
        seen.context.append(seen.kept.get_mut());
        (outcome.passing, outcome.messages)
    };
    let (passing, messages) = evaluate(&json["flow"], &mut seen);
    if !passing {
        return Run::Refused { authentication: false, messages };
    }
    let mut all: Vec<&Json> = items(&json["stages"]).iter().collect();
    all.sort_by_key(|stage| (stage["order"].as_i64(), format!("f-{}", text(&stage["id"]))));
    let mut stages = Vec::new();
    for stage in all {
        seen.stages = Some(stages.len());
        if stage["evaluate_on_plan"] != true || evaluate(stage, &mut seen).0 {
            stages.push(stage);
        }
    }
    if stages.is_empty() && json["allow_empty_flows"] != true {
        return Run::Empty;
    }
    let marked = |stage: &Json| stage["re_evaluate_policies"] == true;
    let planned = stages.iter().map(|stage| (text(&stage["id"]).to_owned(), marked(stage))).collect();
    let (mut shown, mut flashed, mut step) = (Vec::new(), Vec::new(), 0);
    merge(vector, Some(step), &mut seen.context);
    let count = stages.len();
    for (index, stage) in stages.into_iter().enumerate() {
        if marked(stage) {
            seen.stages = Some(count - index);
            let (passing, messages) = evaluate(stage, &mut seen);
            flashed.extend(messages);
            if !passing {
                continue;
            }
        }
        shown.push((Some(text(&stage["id"]).to_owned()), std::mem::take(&mut flashed)));
        step += 1;
        merge(vector, Some(step), &mut seen.context);
    }
    shown.push((None, flashed));
    Run::Walked { planned, shown }
}

/// The authentication requirement, which looks at the session's user.
fn may_enter(vector: &Vector, session: &str, context: &Values) -> bool {
    let has = |key: &str| context.get(key).is_some_and(|value| *value != false);
    let signed_in = session != "anonymous";
    match text(&vector.json["flow"]["authentication"]) {
        "none" => true,
        "require_authenticated" => signed_in,
        "require_unauthenticated" => !signed_in,
        "require_superuser" => super::rules::is_superuser(vector, session),
        "require_redirect" => has("is_redirected"),
        "require_outpost" => has("outpost"),
        other => panic!("{}: a requirement that the rules do not know: {other}", vector.name),
    }
}

/// What a guide makes of it. A plan is handed back as a token and as a message in turns.
pub(crate) fn walk(vector: &Vector, guide: &mut impl Guide) -> Run {
    guide.load(planner::resources(vector));
    let session = text(&vector.json["request"]["http_user"]);
    let subjects = question::subjects(vector, session);
    let mut values = Values::new();
    let set = |step: Option<usize>, values: &mut Values| {
        merge(vector, step, values);
        let Some(Json::String(id)) = values.get("pending_user") else { return };
        let pending = if id == "unsaved" {
            json!({"username": question::UNSAVED, "name": question::UNSAVED, "email": "pending@example.com"})
        } else if step.is_some() {
            json!({"pk": id, "backend": "x"})
        } else {
            question::subjects(vector, id)[1].username.as_str().into()
        };
        values.insert("pending_user".into(), pending);
    };
    let context = |values: &Values| {
        let values = Json::Object(values.clone().into_iter().collect());
        Some(v1::Context { time: Some(moment(NOW)), values: Some(data(&values)), ..Default::default() })
    };
    let keep = |changed: Option<prost_types::Struct>, values: &mut Values| {
        if let Some(changed) = changed {
            let json = bindery::proto::to_json("google.protobuf.Struct", &changed).unwrap();
            *values = json.as_object().unwrap().clone().into_iter().collect();
        }
    };
    set(None, &mut values);
    let response = guide.plan(v1::PlanFlowRequest {
        flow: "f".into(),
        subject: subjects.first().cloned(),
        context: context(&values),
        allow_empty: vector.json["allow_empty_flows"] == true,
        ..Default::default()
    });
    keep(response.context.clone(), &mut values);
    let plan = match response.outcome() {
        v1::PlanOutcome::Planned => response.plan.unwrap(),
        v1::PlanOutcome::Empty => return Run::Empty,
        v1::PlanOutcome::NotApplicable => {
            let authentication = response.reason() == v1::Reason::Authentication;
            return Run::Refused { authentication, messages: Message::texts(&response.messages) };
        }
        v1::PlanOutcome::Unspecified => panic!("{}: no outcome", vector.name),
    };
    let marked = |stage: &v1::PlannedStage| stage.marker() == v1::StageMarker::ReEvaluate;
    let planned = plan.stages.iter().map(|stage| (stage.stage.clone(), marked(stage))).collect();
    let (mut shown, mut form) = (Vec::new(), v1::next_stage_request::Form::Token(response.token));
    for step in 0.. {
        set(Some(step), &mut values);
        let response = guide.next(v1::NextStageRequest {
            form: Some(form),
            subject: subjects.last().cloned(),
            context: context(&values),
            ..Default::default()
        });
        keep(response.context.clone(), &mut values);
        let messages = Message::texts(&response.messages);
        form = if step % 2 == 0 {
            v1::next_stage_request::Form::Plan(response.plan.unwrap())
        } else {
            v1::next_stage_request::Form::Token(response.token)
        };
        let Some(stage) = response.stage else {
            assert!(response.finished, "{}: neither a stage nor the end", vector.name);
            shown.push((None, messages));
            break;
        };
        shown.push((Some(stage.stage), messages));
    }
    Run::Walked { planned, shown }
}
