//! Programs: groups, actions, missing values, messages, changes, references.

use super::*;
use crate::policy::Deferred;
use serde_json::json;
use std::time::Duration;

fn yes() -> serde_json::Value {
    compare("user.is_active", "is_true", json!(null))
}

fn no() -> serde_json::Value {
    compare("user.is_active", "is_false", json!(null))
}

fn absent() -> serde_json::Value {
    compare("plan.context/absent/string", "eq", json!("x"))
}

fn group(op: &str, children: &[serde_json::Value]) -> serde_json::Value {
    json!({"type": "group", "op": op, "children": children})
}

fn refer(name: &str) -> serde_json::Value {
    json!({"type": "policy", "policy": name})
}

fn set(key: &str, param: Option<&str>, to: serde_json::Value) -> serde_json::Value {
    json!({"type": "set", "target": {"key": key, "param": param}, "value": {"type": "literal", "value": to}})
}

fn stop(result: &str, message: Option<&str>) -> serde_json::Value {
    json!({"type": "stop", "result": result, "message": message})
}

fn ask(setting: &Setting, missing: MissingBehavior, actions: serde_json::Value) -> Verdict {
    let program = value(json!({"version": 2, "actions": actions}));
    setting.verdict(&compiled(program, missing, None).unwrap())
}

fn texts(messages: &[Box<str>]) -> Vec<&str> {
    messages.iter().map(|text| &**text).collect()
}

fn dummy(result: bool, messages: &[&str], error: Option<&str>, wait: u64) -> Arc<Compiled> {
    let kind = PolicyKind::Dummy(model::Dummy {
        result,
        wait_min: Duration::from_secs(wait),
        wait_max: Duration::from_secs(wait),
        messages: messages.iter().map(|text| Box::from(*text)).collect(),
        error: error.map(Into::into),
    });
    let policy = Policy { id: Id::new("d"), name: "d".into(), execution_logging: false, kind };
    Arc::new(Compiled::new(&policy).unwrap())
}

#[test]
fn groups_combine() {
    let setting = Setting::new();
    for (node, expected) in [
        (group("all", &[yes(), yes()]), true),
        (group("all", &[yes(), no()]), false),
        (group("any", &[no(), yes()]), true),
        (group("any", &[no(), no()]), false),
        (group("none", &[no(), no()]), true),
        (group("none", &[no(), yes()]), false),
        (group("all", &[yes(), group("none", &[no(), group("all", &[no()])])]), true),
    ] {
        assert_eq!(
            setting.verdict(&program(json!([condition(node.clone())]))).result,
            Ok(expected),
            "{node}"
        );
    }
}

#[test]
fn a_missing_value_fails_the_policy_or_the_comparison() {
    let setting = Setting::new();
    let negated =
        with_options(compare("plan.context/absent/string", "contains", json!("x")), json!({"negate": true}));
    let guarded = group("any", &[compare("plan.context/absent", "is_not_set", json!(null)), absent()]);
    let operand = against("user.email", "ne", "plan.context/absent/string");
    let cases = [
        // The node, with the missing failing, and with it being false.
        (absent(), false, false),
        (group("none", &[absent()]), false, true),
        (group("any", &[absent(), yes()]), false, true),
        (group("any", &[yes(), absent()]), true, true),
        (negated.clone(), false, false),
        (group("none", &[negated]), false, true),
        (guarded, true, true),
        (operand, false, false),
        (compare("plan.context/absent/string", "ne", json!("x")), false, false),
        (compare("plan.context/absent/string", "not_in", json!(["x"])), false, false),
    ];
    for (node, fail, falsely) in cases {
        let actions = json!([condition(node.clone()), stop("pass", Some("through"))]);
        for (missing, expected) in [(MissingBehavior::Fail, fail), (MissingBehavior::False, falsely)] {
            let verdict = ask(&setting, missing, actions.clone());
            assert_eq!(verdict.result, Ok(expected), "{node}");
            assert_eq!(texts(&verdict.messages).len(), usize::from(expected), "{node}");
        }
    }
    // In the condition of an `if`, too: the other branch is not taken.
    let action = json!({"type": "if", "condition": absent(), "else_actions": [stop("pass", None)]});
    assert_eq!(ask(&setting, MissingBehavior::Fail, json!([action])).result, Ok(false));
    assert_eq!(ask(&setting, MissingBehavior::False, json!([action])).result, Ok(true));
    // Setting to what is missing fails, or sets nothing.
    let action = json!({
        "type": "set", "target": {"key": "plan.context", "param": "x"},
        "value": {"type": "variable", "variable": {"key": "plan.context", "param": "absent"}}
    });
    assert_eq!(ask(&setting, MissingBehavior::Fail, json!([action])), Verdict::of(false));
    assert_eq!(ask(&setting, MissingBehavior::False, json!([action])), Verdict::of(true));
}

#[test]
fn actions_run_in_order_until_one_stops() {
    let setting = Setting::new();
    let branch = |truth| {
        let condition = if truth { yes() } else { no() };
        json!({"type": "if", "condition": condition, "then_actions": [], "else_actions": [stop("fail", Some("no"))]})
    };
    let disabled = json!({"type": "stop", "result": "fail", "enabled": false});
    for (actions, passing, messages) in [
        (json!([condition(yes())]), true, vec![]),
        (json!([condition(no()), stop("pass", None)]), false, vec![]),
        (json!([disabled, stop("pass", Some("welcome")), stop("fail", None)]), true, vec!["welcome"]),
        (json!([disabled]), true, vec![]),
        (json!([stop("fail", None)]), false, vec![]),
        (json!([branch(true)]), true, vec![]),
        (json!([branch(false), stop("pass", None)]), false, vec!["no"]),
        (json!([{"type": "if", "condition": yes()}]), true, vec![]),
    ] {
        let verdict = ask(&setting, MissingBehavior::Fail, actions.clone());
        assert_eq!((verdict.result, texts(&verdict.messages)), (Ok(passing), messages), "{actions}");
    }
}

#[test]
fn a_failure_message_replaces_all_others() {
    let mut setting = Setting::new();
    setting.world.policies.insert("failing", dummy(false, &["no luck"], None, 0));
    for (actions, passing) in [
        (json!([condition(no())]), false),
        (json!([condition(absent())]), false),
        (json!([condition(refer("failing"))]), false),
        (json!([stop("fail", Some("other"))]), false),
        (json!([stop("pass", Some("hello"))]), true),
    ] {
        let program = value(json!({"version": 2, "actions": actions}));
        let compiled = compiled(program, MissingBehavior::Fail, Some("nope")).unwrap();
        let verdict = setting.verdict(&compiled);
        let expected = if passing { vec!["hello"] } else { vec!["nope"] };
        assert_eq!((verdict.result, texts(&verdict.messages)), (Ok(passing), expected), "{actions}");
    }
}

#[test]
fn messages_are_those_of_policies_that_failed_it() {
    let mut setting = Setting::new();
    setting.world.policies.insert("passing", dummy(true, &["fine"], None, 0));
    setting.world.policies.insert("one", dummy(false, &["one"], None, 0));
    setting.world.policies.insert("two", dummy(false, &["two", "too"], None, 0));
    for (node, passing, messages) in [
        (refer("passing"), true, vec![]),
        (refer("two"), false, vec!["two", "too"]),
        (group("any", &[refer("one"), refer("two")]), false, vec!["one", "two", "too"]),
        (group("any", &[refer("one"), refer("passing")]), true, vec![]),
        (group("all", &[group("any", &[refer("one"), yes()]), refer("two")]), false, vec!["two", "too"]),
        (group("none", &[refer("passing")]), false, vec![]),
        (group("all", &[group("none", &[refer("one")]), no()]), false, vec![]),
    ] {
        let verdict = ask(&setting, MissingBehavior::Fail, json!([condition(node.clone())]));
        assert_eq!((verdict.result, texts(&verdict.messages)), (Ok(passing), messages), "{node}");
    }
    // Of an `if` that does not hold they stay, since it is why the program came to its other branch.
    let action = json!({"type": "if", "condition": refer("one"), "else_actions": [stop("fail", Some("no"))]});
    let verdict = ask(&setting, MissingBehavior::Fail, json!([action]));
    assert_eq!(texts(&verdict.messages), ["one", "no"]);
}

#[test]
fn references_that_go_wrong_are_errors() {
    let mut setting = Setting::new();
    setting.world.policies.insert("broken", dummy(true, &[], Some("it broke"), 0));
    let verdict = |setting: &Setting, name: &str| {
        ask(setting, MissingBehavior::False, json!([condition(group("none", &[refer(name)]))]))
    };
    assert_eq!(verdict(&setting, "broken"), Verdict::error("it broke"));
    let text = "it refers to the policy `nobody`, which there is not; add it or name another";
    assert_eq!(verdict(&setting, "nobody"), Verdict::error(text));
    setting.world.policies.insert("loop", Arc::new(program(json!([condition(refer("loop"))]))));
    let error = verdict(&setting, "loop").result.unwrap_err();
    assert!(error.contains("more than 10 deep; break the loop"), "{error}");
}

#[test]
fn a_policy_that_takes_time_is_handed_back_and_asked_again() {
    let mut setting = Setting::new();
    setting.world.policies.insert("slow", dummy(false, &["late"], None, 1));
    let compiled = program(json!([set("plan.context", Some("a"), json!(1)), condition(refer("slow"))]));
    let Evaluation::Deferred(Deferred::Called(deferred)) = setting.ask(&compiled) else {
        panic!("not deferred")
    };
    let Deferred::Wait { verdict, .. } = *deferred else { panic!("no wait") };
    let verdicts = [verdict];
    let calls = Calls::answered(&verdicts);
    let Evaluation::Done(verdict) = compiled.evaluate(&setting.input(&calls)) else { panic!("deferred") };
    assert_eq!((verdict.result, texts(&verdict.messages)), (Ok(false), vec!["late"]));
    assert!(verdict.changes.is_some());
}

/// What the verdict's context has under this key.
fn changed(verdict: &Verdict, key: &str) -> Option<Value> {
    verdict.changes.as_ref()?.values.as_ref()?.get(key).cloned()
}

#[test]
fn set_is_handed_out_and_seen_by_what_follows() {
    let setting = Setting::new();
    let copy = json!({
        "type": "set", "target": {"key": "plan.context", "param": "copy"},
        "value": {"type": "variable", "variable": {"key": "user.email"}}
    });
    let groups = json!({
        "type": "set", "target": {"key": "plan.context", "param": "groups"},
        "value": {"type": "variable", "variable": {"key": "user.groups"}}
    });
    let login = json!({
        "type": "set", "target": {"key": "plan.context", "param": "login"},
        "value": {"type": "variable", "variable": {"key": "user.last_login"}}
    });
    let whole = json!({
        "type": "set", "target": {"key": "plan.context", "param": "whole"},
        "value": {"type": "variable", "variable": {"key": "plan.context", "param": "prompt_data"}}
    });
    let verdict = ask(
        &setting,
        MissingBehavior::Fail,
        json!([
            set("plan.context", Some("first"), json!({"a": [1]})),
            set("prompt_data", Some("username"), json!("changed")),
            set("plan.email_override", None, json!("a@example.com")),
            copy,
            groups,
            login,
            whole,
            condition(compare("prompt_data/username/string", "eq", json!("changed"))),
            condition(compare("plan.context/copy/string", "eq", json!("Jane.Doe@Example.com"))),
            condition(compare("plan.context/login/datetime", "within_last", json!("hours=2"))),
            condition(no()),
            set("plan.context", Some("second"), json!(2)),
        ]),
    );
    assert_eq!(verdict.result, Ok(false));
    assert_eq!(changed(&verdict, "first"), Some(value(json!({"a": [1]}))));
    assert_eq!(changed(&verdict, "second"), None);
    assert_eq!(changed(&verdict, "email"), Some(value(json!("a@example.com"))));
    assert_eq!(changed(&verdict, "groups"), Some(value(json!(["staff-id", "admins"]))));
    assert_eq!(changed(&verdict, "prompt_data"), Some(value(json!({"username": "changed", "age": "42"}))));
    assert_eq!(changed(&verdict, "whole"), changed(&verdict, "prompt_data"));
    // What was there before stays.
    assert_eq!(changed(&verdict, "word"), Some(value(json!("hello"))));
}

#[test]
fn set_needs_a_flow() {
    let mut setting = Setting::new();
    let actions = json!([set("prompt_data", Some("a"), json!(1))]);
    setting.context.values = Value::Null;
    let error = ask(&setting, MissingBehavior::Fail, actions.clone()).result.unwrap_err();
    assert!(error.contains("only be set while a flow is under way"), "{error}");
    setting.target = Some(application());
    assert!(ask(&setting, MissingBehavior::Fail, actions.clone()).result.is_err());
    setting.target = Some(flow());
    let verdict = ask(&setting, MissingBehavior::Fail, actions);
    assert_eq!(verdict.result, Ok(true));
    assert_eq!(changed(&verdict, "prompt_data"), Some(value(json!({"a": 1}))));
}

#[test]
fn an_error_keeps_what_was_set_before() {
    let setting = Setting::new();
    let actions = json!([set("plan.context", Some("a"), json!(1)), condition(refer("nobody"))]);
    let verdict = ask(&setting, MissingBehavior::Fail, actions);
    assert!(verdict.result.is_err());
    assert_eq!(changed(&verdict, "a"), Some(value(json!(1))));
}

#[test]
fn changes_pass_into_and_out_of_policies_that_are_called() {
    let mut setting = Setting::new();
    let inner = program(json!([
        condition(compare("plan.context/a/number", "eq", json!(1))),
        set("plan.context", Some("b"), json!(2)),
    ]));
    setting.world.policies.insert("inner", Arc::new(inner));
    let verdict = ask(
        &setting,
        MissingBehavior::Fail,
        json!([
            set("plan.context", Some("a"), json!(1)),
            condition(refer("inner")),
            condition(compare("plan.context/b/number", "eq", json!(2))),
        ]),
    );
    assert_eq!(verdict.result, Ok(true));
    assert_eq!(
        (changed(&verdict, "a"), changed(&verdict, "b")),
        (Some(value(json!(1))), Some(value(json!(2))))
    );
}

#[test]
fn only_what_may_change_the_context_says_so() {
    let nested = json!([{"type": "if", "condition": yes(), "else_actions": [set("plan.context", Some("a"), json!(1))]}]);
    for (actions, expected) in [
        (json!([condition(yes())]), false),
        (nested, true),
        (json!([condition(group("any", &[yes(), refer("x")]))]), true),
        (
            json!([{"type": "set", "enabled": false, "target": {"key": "plan.context", "param": "a"},
                 "value": {"type": "literal", "value": 1}}]),
            false,
        ),
    ] {
        assert_eq!(program(actions.clone()).changes_context(), expected, "{actions}");
    }
}
