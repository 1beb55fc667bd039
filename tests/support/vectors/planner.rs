//! Planner vectors. [`super::walk`] goes through the flow; here a plain question about it is asked: who may enter it.
//!
//! The authentication requirement looks at the session's user, the flow's bindings at the pending user if the context
//! has one. A plain question knows one subject, so only vectors are asked where the two are the same.

use super::rules::Set;
use super::{Ask, Case, Messages, Vector, config, items, question, text};
use crate::support::make::{mode, resource, target};
use crate::support::message::Message;
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;
use serde_json::Value as Json;

pub(super) fn case(vector: &Vector) -> Case {
    let json = &vector.json;
    let pending = &json["request"]["context"]["pending_user"];
    let session = text(&json["request"]["http_user"]);
    let elsewhere = || Case::skip("two subjects, which only a plan can tell apart".to_owned());
    if !pending.is_null() && pending != session {
        return elsewhere();
    }
    let Some((passing, messages, reason)) = entry(vector) else { return elsewhere() };

    let flow_ref = target(T::Flow("f".into()));
    let resources = resources(vector);

    let mut request = json["request"].clone();
    if let Some(context) = request["context"].as_object_mut() {
        context.remove("pending_user");
    }
    let context = question::context(vector, &request);
    let ask = |subject| Ask {
        what: "flow",
        request: v1::CheckRequest {
            explain: v1::ExplainLevel::Reasons.into(),
            ..question::ask(&flow_ref, Some(subject), context.clone(), v1::Scope::WithParents)
        },
        passing,
        messages: messages.clone().map_or(Messages::NotCompared, Messages::These),
        reason,
        sources: Vec::new(),
    };
    let asks = question::subjects(vector, session).into_iter().map(ask).collect();
    Case::plan(resources, asks)
}

/// The flow with its stages, and all that they need.
pub(crate) fn resources(vector: &Vector) -> Vec<v1::Resource> {
    let json = &vector.json;
    let flow = &json["flow"];
    let flow_ref = target(T::Flow("f".into()));
    let mut resources = config::base(vector);
    resources.push(resource(R::Flow(v1::Flow {
        slug: "f".into(),
        policy_engine_mode: mode(text(&flow["mode"])),
        designation: text(&flow["designation"]).into(),
        authentication: authentication(text(&flow["authentication"])).into(),
        ..Default::default()
    })));
    resources.extend(config::bindings(&flow["bindings"], &flow_ref, "flow"));
    for stage in items(&json["stages"]) {
        resources.extend(self::stage(stage));
    }
    resources
}

/// The flow's binding set, for the session's user.
pub(crate) fn set(vector: &Vector, as_authentik: bool) -> Set<'_> {
    let json = &vector.json;
    Set {
        vector,
        mode: text(&json["flow"]["mode"]),
        bindings: &json["flow"]["bindings"],
        user: text(&json["request"]["http_user"]),
        empty_result: true,
        as_authentik,
        seen: None,
    }
}

/// Whether the flow may be entered, and what is said and why if not; nothing when a plain question cannot show it.
fn entry(vector: &Vector) -> Option<(bool, Option<Vec<Message>>, Option<v1::Reason>)> {
    let json = &vector.json;
    let expected = &json["expected"];
    let texts = || Message::texts(&items(&expected["messages"]).iter().map(text).collect::<Vec<_>>());
    match (text(&expected["outcome"]), expected["reason"].as_str()) {
        (_, Some("authentication")) => Some((false, Some(texts()), Some(v1::Reason::Authentication))),
        _ if vector.binds(&json["flow"]["bindings"], "raise_other") => {
            let outcome = set(vector, false).evaluate();
            Some((outcome.passing, Some(outcome.messages), Some(v1::Reason::Bindings)))
        }
        (_, Some(_)) => Some((false, Some(texts()), Some(v1::Reason::Bindings))),
        // Of a flow that may be entered no messages are told.
        _ => Some((true, None, None)),
    }
}

impl Vector {
    fn binds(&self, bindings: &Json, kind: &str) -> bool {
        let enabled = items(bindings).iter().filter(|binding| binding["enabled"] == true);
        let mut policies = enabled.filter_map(|binding| binding["subject"]["policy"].as_str());
        policies.any(|policy| self.kind_of(policy) == kind)
    }
}

fn authentication(name: &str) -> v1::FlowAuthentication {
    use v1::FlowAuthentication as A;
    match name {
        "none" => A::None,
        "require_authenticated" => A::RequireAuthenticated,
        "require_unauthenticated" => A::RequireUnauthenticated,
        "require_superuser" => A::RequireSuperuser,
        "require_redirect" => A::RequireRedirect,
        "require_outpost" => A::RequireOutpost,
        "require_token" => A::RequireToken,
        other => panic!("`{other}` is no requirement"),
    }
}

fn stage(json: &Json) -> Vec<v1::Resource> {
    let id = text(&json["id"]);
    let place = format!("f-{id}");
    let mut resources = vec![
        resource(R::Stage(v1::Stage { id: id.into(), name: id.into(), ..Default::default() })),
        resource(R::FlowStageBinding(v1::FlowStageBinding {
            id: place.clone(),
            flow: "f".into(),
            stage: id.into(),
            policy_engine_mode: mode(text(&json["mode"])),
            order: json["order"].as_i64().unwrap().try_into().unwrap(),
            evaluate_on_plan: json["evaluate_on_plan"].as_bool(),
            re_evaluate_policies: json["re_evaluate_policies"].as_bool(),
            ..Default::default()
        })),
    ];
    resources.extend(config::bindings(
        &json["bindings"],
        &target(T::FlowStageBinding(place.clone())),
        &place,
    ));
    resources
}
