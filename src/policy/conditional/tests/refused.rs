//! Programs that are refused: each with its one message.

use super::*;
use serde_json::json;

fn refused(program: serde_json::Value) -> String {
    let error =
        compiled(value(program.clone()), MissingBehavior::Fail, None).expect_err(&program.to_string());
    assert_eq!(error.field, "conditional.program");
    assert!(!error.message.ends_with('.') && !error.message.contains('\n'), "{}", error.message);
    error.message
}

fn of_node(node: serde_json::Value) -> String {
    refused(json!({"version": 2, "actions": [condition(node)]}))
}

#[test]
fn programs_and_actions() {
    let stop = json!({"type": "stop", "result": "pass"});
    let target = json!({"key": "plan.context", "param": "a"});
    let literal = json!({"type": "literal", "value": 1});
    for (program, message) in [
        (json!(null), "missing; write a program with its `version` and its `actions`"),
        (json!([]), "a list where a mapping belongs; write one"),
        (json!({"actions": []}), "version: missing; it is required"),
        (json!({"version": 1, "actions": []}), "version: `1` is not supported; write 2"),
        (
            json!({"version": 2, "actions": [], "conditions": {}}),
            "`conditions` is not a field here; use version, actions",
        ),
        (json!({"version": 2}), "actions: empty; add at least one action"),
        (json!({"version": 2, "actions": []}), "actions: empty; add at least one action"),
        (json!({"version": 2, "actions": {}}), "actions: a mapping where a list belongs; write one"),
        (json!({"version": 2, "actions": [7]}), "actions[0]: `7` where a mapping belongs; write one"),
        (json!({"version": 2, "actions": [{}]}), "actions[0].type: missing; it is required"),
        (
            json!({"version": 2, "actions": [{"type": "go"}]}),
            "actions[0].type: `go` is not known; use condition, if, set, stop",
        ),
        (
            json!({"version": 2, "actions": [stop, {"type": "stop", "result": "perhaps"}]}),
            "actions[1].result: `perhaps` is not known; use pass, fail",
        ),
        (
            json!({"version": 2, "actions": [{"type": "stop", "result": "pass", "enabled": "yes"}]}),
            "actions[0].enabled: `yes` is neither true nor false; write one of them",
        ),
        (
            json!({"version": 2, "actions": [{"type": "stop", "result": "pass", "mesage": "x"}]}),
            "actions[0]: `mesage` is not a field here; did you mean `message`?",
        ),
        (
            json!({"version": 2, "actions": [{"type": "stop", "result": "pass", "message": 1}]}),
            "actions[0].message: `1` where a text belongs; write one",
        ),
        (
            json!({"version": 2, "actions": [{"type": "stop", "result": "pass", "message": "x".repeat(5_000)}]}),
            "actions[0].message: has 5000 bytes; at most 4096 are allowed",
        ),
        // What is not enabled has to be right, too.
        (
            json!({"version": 2, "actions": [{"type": "condition", "enabled": false}]}),
            "actions[0].condition: missing; it is required",
        ),
        (
            json!({"version": 2, "actions": [{
                "type": "if", "condition": compare("user.is_active", "is_true", json!(null)),
                "then_actions": [stop], "else_actions": [stop, {"type": "stop"}]
            }]}),
            "actions[0].else_actions[1].result: missing; it is required",
        ),
        (
            json!({"version": 2, "actions": [{"type": "set", "target": {"key": "user.name"}, "value": literal}]}),
            "actions[0].target.key: `user.name` is not known; use plan.context, prompt_data, plan.email_override",
        ),
        (
            json!({"version": 2, "actions": [{"type": "set", "target": {"key": "plan.context"}, "value": literal}]}),
            "actions[0].target.param: missing; `plan.context` needs the key of a value",
        ),
        (
            json!({"version": 2, "actions": [{
                "type": "set", "target": {"key": "plan.email_override", "param": "a"}, "value": literal
            }]}),
            "actions[0].target.param: `plan.email_override` takes no parameter; leave it out",
        ),
        (
            json!({"version": 2, "actions": [{
                "type": "set", "target": {"key": "plan.email_override"}, "value": {"type": "literal", "value": true}
            }]}),
            "actions[0].value.value: `true` is not of kind string; write a text",
        ),
        (
            json!({"version": 2, "actions": [{
                "type": "set", "target": {"key": "plan.email_override"},
                "value": {"type": "variable", "variable": variable("plan.context/a")}
            }]}),
            "actions[0].value.variable: `plan.context` is of kind any and `plan.email_override` of kind string; \
             cast it or name another",
        ),
        (
            json!({"version": 2, "actions": [{"type": "set", "target": target}]}),
            "actions[0].value: missing; it is required",
        ),
    ] {
        assert_eq!(refused(program.clone()), message, "{program}");
    }
}

#[test]
fn conditions() {
    let none = json!(null);
    let at = |rest: &str| format!("actions[0].condition{rest}");
    let bad_group = json!({"type": "group", "op": "any", "children": [
        compare("user.email", "is_set", json!(null)), compare("user.email", "is_sett", json!(null))
    ]});
    for (node, message) in [
        (json!({"type": "not", "child": {}}), ".type: `not` is not known; use compare, group, policy"),
        (json!({"type": "group", "op": "xor"}), ".op: `xor` is not known; use all, any, none"),
        (json!({"type": "group", "op": "all"}), ".children: empty; a group has at least one condition"),
        (
            json!({"type": "group", "op": "all", "children": 1}),
            ".children: `1` where a list belongs; write one",
        ),
        (
            bad_group,
            ".children[1].operator: `is_sett` is no operator for values of kind string; use one of is_set, is_not_set, eq, ne, in, not_in, contains, starts_with, ends_with, matches, is_url",
        ),
        (json!({"type": "policy", "policy": ""}), ".policy: empty; name a policy by its id or name"),
        (json!({"type": "policy"}), ".policy: missing; it is required"),
        (json!({"type": "compare", "operator": "eq"}), ".variable: missing; it is required"),
        (
            compare("user.mail", "is_set", none.clone()),
            ".variable.key: `user.mail` is not a variable; did you mean `user.email`?",
        ),
        (
            compare("foo", "is_set", none.clone()),
            ".variable.key: `foo` is not a variable; docs/conditional.md lists them",
        ),
        (
            compare("user.email", "like", json!("x")),
            ".operator: `like` is no operator for values of kind string; use one of is_set, is_not_set, eq, ne, in, not_in, contains, starts_with, ends_with, matches, is_url",
        ),
        (
            compare("user.is_active", "eq", json!(true)),
            ".operator: `eq` is no operator for values of kind boolean; use one of is_set, is_not_set, is_true, is_false",
        ),
        (compare("user.email", "eq", none.clone()), ".value: missing; `eq` needs one to compare with"),
        (
            compare("user.email", "is_set", json!("x")),
            ".value: `is_set` compares with nothing; leave the value out",
        ),
        (
            compare("user.last_login", "eq", json!("yesterday")),
            ".value.value: `yesterday` is not of kind datetime; write it like 2026-01-31T12:00:00Z",
        ),
        (
            compare("user.last_login", "within_last", json!("1h")),
            ".value.value: `1h` is not a duration; write it like hours=1;minutes=30, in weeks, days, hours, \
             minutes, seconds, milliseconds or microseconds",
        ),
        (
            compare("user.last_login", "older_than", json!(1)),
            ".value.value: `1` where a text belongs; write one",
        ),
        (
            compare("user.last_login", "between", json!(["2020-01-01"])),
            ".value.value: has 1 values; write two, the lower and the upper bound",
        ),
        (
            compare("user.last_login", "between", json!(["2020-01-01", 7])),
            ".value.value[1]: `7` is not of kind datetime; write it like 2026-01-31T12:00:00Z",
        ),
        (
            compare("request.client_ip", "in_network", json!(["10.0.0.0/8", "foo"])),
            ".value.value[1]: `foo` is not a network; write it like 10.0.0.0/8",
        ),
        (
            compare("request.client_ip", "in_network", json!("10.0.0.0/8")),
            ".value.value: `10.0.0.0/8` where a list belongs; write one",
        ),
        (
            compare("request.client_ip", "eq", json!("x")),
            ".value.value: `x` is not of kind ip; write it like 192.0.2.7",
        ),
        (
            compare("user.type", "eq", json!("robot")),
            ".value.value: `robot` is not of kind enum; write one of internal, external, service_account, \
             internal_service_account",
        ),
        (
            compare("user.id", "eq", json!([])),
            ".value.value: a list is not of kind model; write the id of a user",
        ),
        (
            compare("user.groups", "length_eq", json!("many")),
            ".value.value: `many` is not of kind number; write a number",
        ),
        (
            compare("user.groups", "has_item", json!({})),
            ".value.value: a mapping is not of kind model; write the id of a group",
        ),
        (
            compare("user.email", "matches", json!("(")),
            ".value.value: `(` is not a regular expression that bindery runs (unclosed group); correct it",
        ),
        (
            compare("user.email", "matches", json!("(?<=a)b")),
            ".value.value: `(?<=a)b` is not a regular expression that bindery runs (look-around, including \
             look-ahead and look-behind, is not supported); correct it",
        ),
        (
            compare("user.email", "matches", json!("a".repeat(257))),
            &format!(".value.value: `{}...` has 257 characters; at most 256 are allowed", "a".repeat(100)),
        ),
        (
            compare("user.email", "matches", json!(r"(\w{90}){90}")),
            r".value.value: `(\w{90}){90}` matches in too many ways; write smaller counts in its repetitions",
        ),
        (
            compare("user.attributes", "is_set", none.clone()),
            ".variable.param: missing; `user.attributes` needs a path such as `a.b`",
        ),
        (
            compare("prompt_data", "is_set", none.clone()),
            ".variable.param: missing; `prompt_data` needs the key of a value",
        ),
        (
            compare("user.email/foo", "is_set", none.clone()),
            ".variable.param: `user.email` takes no parameter; leave it out",
        ),
        (
            compare(&format!("user.attributes/{}", "a.".repeat(40)), "is_set", none.clone()),
            ".variable.param: has 41 keys; at most 32 are allowed",
        ),
        (
            compare("user.attributes/a", "eq", json!("x")),
            ".variable: `user.attributes` has no fixed kind; set `cast` to one of string, number, boolean, \
             datetime, ip",
        ),
        (
            compare("user.email//string", "is_set", none.clone()),
            ".variable.cast: `user.email` is always of kind string; leave the cast out",
        ),
        (
            compare("user.attributes/a/list", "is_set", none.clone()),
            ".variable.cast: `list` is not known; use string, number, boolean, datetime, ip",
        ),
        (
            with_options(compare("user.email", "eq", json!("x")), json!({"negate": true})),
            ".options.negate: `eq` cannot be negated; use the operator that says the opposite",
        ),
        (
            with_options(compare("user.email", "eq", json!("x")), json!({"negated": true})),
            ".options: `negated` is not a field here; did you mean `negate`?",
        ),
        (
            against("user.email", "eq", "plan.context/a"),
            ".value.variable: `plan.context` has no fixed kind; set `cast` to one of string, number, boolean, \
             datetime, ip",
        ),
        (
            against("user.email", "eq", "user.last_login"),
            ".value.variable: `user.last_login` is of kind datetime, and `eq` needs a string here; name another",
        ),
        (
            against("user.email", "in", "user.groups"),
            ".value.variable: `user.groups` is of kind list, and `in` needs a list of string here; name another",
        ),
        (
            against("user.last_login", "within_last", "user.email"),
            ".value.variable: `user.email` is of kind string, and `within_last` needs a literal here; name another",
        ),
        (
            json!({"type": "compare", "variable": {"key": "user.email"}, "operator": "eq", "value": "x"}),
            ".value: `x` where a mapping belongs; write one",
        ),
        (
            json!({"type": "compare", "variable": {"key": "user.email"}, "operator": "eq", "value": {"type": "x"}}),
            ".value.type: `x` is not known; use literal, variable",
        ),
        (
            json!({"type": "compare", "variable": {"key": "user.email"}, "operator": "eq", "value": {"type": "literal"}}),
            ".value.value: null is not of kind string; write a text",
        ),
        (
            compare("user.email", "in", json!(vec!["x"; 10_001])),
            ".value.value: has 10001 values; at most 10000 are allowed",
        ),
    ] {
        assert_eq!(of_node(node.clone()), at(message), "{node}");
    }
}

#[test]
fn long_and_deep_programs() {
    let leaf = || compare("user.is_active", "is_true", json!(null));
    let nested = |levels: usize| {
        (0..levels).fold(leaf(), |node, _| json!({"type": "group", "op": "none", "children": [node]}))
    };
    // The action is the first level, the comparison the last.
    program(json!([condition(nested(8))]));
    let message = of_node(nested(9));
    assert!(message.ends_with(".children[0]: nested deeper than 10 levels; flatten it"), "{message}");
    let ifs = |levels: usize| {
        let stop = json!({"type": "stop", "result": "pass"});
        (0..levels)
            .fold(stop, |action, _| json!({"type": "if", "condition": leaf(), "then_actions": [action]}))
    };
    program(json!([ifs(9)]));
    let message = refused(json!({"version": 2, "actions": [ifs(10)]}));
    assert!(message.ends_with("nested deeper than 10 levels; flatten it"), "{message}");
    // Each action here is two nodes.
    program(json!(vec![condition(leaf()); 100]));
    let message = refused(json!({"version": 2, "actions": vec![condition(leaf()); 101]}));
    assert_eq!(message, "actions[100]: the program has more than 200 actions and conditions; split it");
    let group = json!({"type": "group", "op": "all", "children": vec![leaf(); 199]});
    let message = of_node(group);
    assert!(
        message.starts_with("actions[0].condition.children[198]: the program has more than"),
        "{message}"
    );
}

#[test]
fn everything_that_may_be_written_is_documented() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conditional.md"));
    let variables = super::super::variable::VARIABLES.iter().map(|variable| variable.key);
    let operators = super::super::operator::Operator::ALL.map(|(name, _)| name);
    for name in variables.chain(operators) {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}
