//! Composite vectors: targets that lean on others, the way authentik's own code puts them together.

use super::rules::Set;
use super::{Ask, Case, Messages, Plan, Vector, config, items, question, text};
use crate::support::make::{mode, resource, target};
use crate::support::message::Message;
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;
use serde_json::Value as Json;

pub(super) fn case(vector: &Vector) -> Case {
    let json = &vector.json;
    match text(&json["kind"]) {
        "device" => device(vector),
        "entitlements" => entitlements(vector),
        "notification_rule" => notification_rule(vector),
        "application" => application(vector),
        "rac" => rac(vector),
        other => panic!("`{other}` is no kind of composite"),
    }
}

fn messages(json: &Json) -> Messages {
    Messages::These(Message::texts(&items(json).iter().map(text).collect::<Vec<_>>()))
}

/// The same question for each way to name the subject.
fn ask_all(
    vector: &Vector,
    what: &'static str,
    target: &v1::TargetRef,
    scope: v1::Scope,
    passing: bool,
    messages: impl Fn() -> Messages,
) -> Vec<Ask> {
    let request = &vector.json["request"];
    let context = question::context(vector, request);
    let subjects = question::subjects(vector, text(&request["user"])).into_iter();
    subjects
        .map(|subject| Ask {
            what,
            request: question::ask(target, Some(subject), context.clone(), scope),
            passing,
            messages: messages(),
            reason: None,
            sources: Vec::new(),
        })
        .collect()
}

/// authentik evaluates device and group with an empty result of fail.
fn device(vector: &Vector) -> Case {
    let json = &vector.json;
    let (device, group) = (&json["device"], &json["access_group"]);
    let evaluate = |part: &Json| {
        let (mode, user) = (text(&part["mode"]), text(&json["request"]["user"]));
        Set {
            vector,
            mode,
            bindings: &part["bindings"],
            user,
            empty_result: false,
            as_authentik: false,
            seen: None,
        }
        .evaluate()
    };
    let mut resources = config::base(vector);
    let device_ref = target(T::Device("laptop".into()));
    let group_ref = target(T::DeviceAccessGroup("laptops".into()));
    resources.push(resource(R::Device(v1::Device {
        identifier: "laptop".into(),
        policy_engine_mode: mode(text(&device["mode"])),
        empty_result: Some(false),
        access_group: if group.is_null() { String::new() } else { "laptops".into() },
        ..Default::default()
    })));
    resources.extend(config::bindings(&device["bindings"], &device_ref, "device"));
    let mut expected = messages(&json["expected"]["messages"]);
    if !group.is_null() {
        resources.push(resource(R::DeviceAccessGroup(v1::DeviceAccessGroup {
            name: "laptops".into(),
            policy_engine_mode: mode(text(&group["mode"])),
            empty_result: Some(false),
            ..Default::default()
        })));
        resources.extend(config::bindings(&group["bindings"], &group_ref, "group"));
        let (own, its) = (evaluate(device), evaluate(group));
        // authentik drops the group's messages here, bindery keeps them.
        if its.counted > 0 && !its.passing && own.counted == 0 {
            expected = Messages::These(its.messages);
        }
    }
    let Messages::These(expected) = expected else { return Case::default() };
    let passing = json["expected"]["passing"] == true;
    let asks = ask_all(vector, "device", &device_ref, v1::Scope::WithParents, passing, || {
        Messages::These(expected.clone())
    });
    Case::plan(resources, asks)
}

/// authentik lists an entitlement when one of its users and groups matches; mode and policies are not looked at, nor
/// is the application's access. So it is imported as any, and asked about alone and, where the application is open to
/// all, with it.
fn entitlements(vector: &Vector) -> Case {
    let json = &vector.json;
    let application = target(T::Application("t".into()));
    let mut resources = config::base(vector);
    resources.push(config::application("t", &json["app"], None));
    resources.extend(config::bindings(&json["app"]["bindings"], &application, "app"));
    let application_is_open = items(&json["app"]["bindings"]).is_empty();
    let granted = items(&json["expected"]["entitlements"]);
    let mut refused = Vec::new();
    let mut with_policies = resources.clone();
    let mut asks = Vec::new();
    for entitlement in items(&json["entitlements"]) {
        let name = text(&entitlement["name"]);
        let by_name = v1::EntitlementRef { application: "t".into(), name: name.into(), id: String::new() };
        let its_ref = target(T::Entitlement(by_name));
        let its = resource(R::Entitlement(v1::ApplicationEntitlement {
            application: "t".into(),
            name: name.into(),
            policy_engine_mode: v1::PolicyEngineMode::Any.into(),
            empty_result: Some(false),
            ..Default::default()
        }));
        let prefix = format!("entitlement-{name}");
        for (index, row) in
            config::bindings(&entitlement["bindings"], &its_ref, &prefix).into_iter().enumerate()
        {
            // A policy is not allowed there.
            if entitlement["bindings"][index]["subject"]["policy"].is_null() {
                resources.push(row.clone());
            } else {
                refused.push(config::binding_id(&prefix, index));
            }
            with_policies.push(row);
        }
        resources.push(its.clone());
        with_policies.push(its);
        let passing = granted.iter().any(|granted| granted == name);
        let none = || Messages::These(Vec::new());
        asks.extend(ask_all(vector, "entitlement", &its_ref, v1::Scope::TargetAlone, passing, none));
        if application_is_open {
            let scope = v1::Scope::WithParents;
            asks.extend(ask_all(vector, "entitlement with application", &its_ref, scope, passing, none));
        }
    }
    let mut case = Case::plan(resources, asks);
    if !refused.is_empty() {
        case.plans.push(Plan { resources: with_policies, refused, asks: Vec::new() });
    }
    case
}

/// authentik evaluates a rule with an empty result of fail. The subject is the event's user, so none is named.
fn notification_rule(vector: &Vector) -> Case {
    let json = &vector.json;
    if json["expected"]["evaluated"] != true {
        return Case::skip("suppressing events of bound policies is the caller's part".into());
    }
    let rule = &json["notification_rule"];
    let rule_ref = target(T::NotificationRule("rule".into()));
    let mut resources = config::base(vector);
    resources.push(resource(R::NotificationRule(v1::NotificationRule {
        name: "rule".into(),
        policy_engine_mode: mode(text(&rule["mode"])),
        empty_result: Some(false),
        ..Default::default()
    })));
    resources.extend(config::bindings(&rule["bindings"], &rule_ref, "rule"));

    let mut passing = json["expected"]["passing"] == true;
    // Somebody unknown is nobody to bindery, and an account of its own to authentik, which negated users and groups
    // let pass.
    let is_negated = |binding: &Json| {
        binding["enabled"] == true && binding["negate"] == true && binding["subject"]["policy"].is_null()
    };
    if json["event"]["user"].as_str().is_none() && items(&rule["bindings"]).iter().any(is_negated) {
        let bindings = &rule["bindings"];
        let set = Set {
            vector,
            mode: "any",
            bindings,
            user: "anonymous",
            empty_result: false,
            as_authentik: false,
            seen: None,
        };
        passing = set.evaluate().passing;
    }
    let mut context = question::context(vector, &Json::Null);
    context.event = Some(question::event(vector, &json["event"]));
    let ask = Ask {
        what: "notification rule",
        request: question::ask(&rule_ref, None, context, v1::Scope::WithParents),
        passing,
        messages: messages(&json["expected"]["messages"]),
        reason: None,
        sources: Vec::new(),
    };
    Case::plan(resources, vec![ask])
}

/// The tenant's flag: default application access.
fn empty_result(json: &Json) -> Option<bool> {
    json["flag"].as_bool()
}

fn application(vector: &Vector) -> Case {
    let json = &vector.json;
    let application = target(T::Application("t".into()));
    let mut resources = config::base(vector);
    resources.push(config::application("t", &json["app"], empty_result(json)));
    resources.extend(config::bindings(&json["app"]["bindings"], &application, "app"));
    let expected = &json["expected"];
    let passing = expected["passing"] == true;
    let said = || messages(&expected["messages"]);
    let asks = ask_all(vector, "application", &application, v1::Scope::WithParents, passing, said);
    Case::plan(resources, asks)
}

fn rac(vector: &Vector) -> Case {
    let json = &vector.json;
    let expected = &json["expected"];
    let application = target(T::Application("t".into()));
    let mut resources = config::base(vector);
    resources.push(config::application("t", &json["app"], empty_result(json)));
    resources.extend(config::bindings(&json["app"]["bindings"], &application, "app"));
    let passing = expected["application"]["passing"] == true;
    let mut asks = ask_all(vector, "application", &application, v1::Scope::WithParents, passing, || {
        messages(&expected["application"]["messages"])
    });
    for endpoint in items(&json["endpoints"]) {
        let name = text(&endpoint["name"]);
        let named = |application: &str| {
            target(T::RacEndpoint(v1::RacEndpointRef { id: name.into(), application: application.into() }))
        };
        resources.push(resource(R::RacEndpoint(v1::RacEndpoint {
            id: name.into(),
            name: name.into(),
            policy_engine_mode: mode(text(&endpoint["mode"])),
            application: "t".into(),
            ..Default::default()
        })));
        resources.extend(config::bindings(&endpoint["bindings"], &named(""), name));
        let its = &expected["endpoints"][name];
        let can_start = its["can_start"] == true;
        for endpoint in [named(""), named("t")] {
            let scope = v1::Scope::WithParents;
            asks.extend(ask_all(vector, "start", &endpoint, scope, can_start, || Messages::NotCompared));
            let passing = its["passing"] == true;
            asks.extend(ask_all(vector, "endpoint", &endpoint, v1::Scope::TargetAlone, passing, || {
                match its["denied_text"].as_str() {
                    Some(text) => Messages::Joined(text.to_owned()),
                    None => Messages::NotCompared,
                }
            }));
        }
    }
    Case::plan(resources, asks)
}
