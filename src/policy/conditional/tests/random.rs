//! Random programs against the reference, and arbitrary JSON, which must never be the end of anything.

use super::reference::Reference;
use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const WORDS: [&str; 8] = ["Jane", "jane", "a@B.c", "Straße", "STRASSE", "x", "", "internal"];
const PARTS: [&str; 5] = ["an", "JA", "ss", "x", ""];
const MOMENTS: [&str; 4] =
    ["2026-01-10T11:00:00Z", "2026-01-10T12:00:00+01:00", "2026-01-10", "2025-06-01T00:00:00Z"];
const ADDRESSES: [&str; 4] = ["10.1.2.3", "10.1.2.4", "8.8.8.8", "9.9.9.9"];
const NETWORKS: [&str; 3] = ["10.0.0.0/8", "8.8.8.0/24", "::/0"];
const GROUPS: [&str; 4] = ["staff", "Staff", "admins", "x"];
const SPANS: [&str; 4] = ["hours=1", "days=1", "days=300", "seconds=0"];
const KEYS: [&str; 3] = ["a", "b", "absent"];

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<Json> {
    prop::sample::select(words).prop_map(Json::from).boxed()
}

fn listed(item: BoxedStrategy<Json>) -> BoxedStrategy<Json> {
    prop::collection::vec(item, 0..4).prop_map(Json::from).boxed()
}

fn of_kind(kind: &'static str) -> BoxedStrategy<Json> {
    match kind {
        "string" | "enum_like" => one_of(&WORDS),
        "enum" => one_of(&["internal", "external"]),
        "model" => one_of(&["7", "8"]),
        "number" => prop_oneof![(-3_i32..4).prop_map(Json::from), Just(json!("2")), Just(json!(2.5))].boxed(),
        "datetime" => one_of(&MOMENTS),
        "ip" => one_of(&ADDRESSES),
        "group" => one_of(&GROUPS),
        other => panic!("{other}"),
    }
}

/// A variable and its kind.
fn any_variable() -> BoxedStrategy<(Json, &'static str)> {
    let fixed = prop::sample::select(vec![
        ("user.email", "string"),
        ("user.username", "string"),
        ("user.type", "enum"),
        ("user.id", "model"),
        ("user.is_active", "boolean"),
        ("user.last_login", "datetime"),
        ("user.groups", "list"),
        ("request.client_ip", "ip"),
    ]);
    let cast = (
        prop::sample::select(&["plan.context", "prompt_data"][..]),
        prop::sample::select(&KEYS[..]),
        prop::sample::select(&["string", "number", "boolean", "datetime", "ip"][..]),
    );
    prop_oneof![
        fixed.prop_map(|(key, kind)| (json!({"key": key}), kind)),
        cast.prop_map(|(key, param, cast)| (json!({"key": key, "param": param, "cast": cast}), cast)),
    ]
    .boxed()
}

fn literal(value: BoxedStrategy<Json>) -> BoxedStrategy<Json> {
    value.prop_map(|value| json!({"type": "literal", "value": value})).boxed()
}

/// The operators of a kind, whether they can be negated, and what they are compared with.
fn tests_of(kind: &'static str) -> BoxedStrategy<(&'static str, bool, Json)> {
    let nothing = || Just(Json::Null).boxed();
    let mut all: Vec<(&'static str, bool, BoxedStrategy<Json>)> =
        vec![("is_set", false, nothing()), ("is_not_set", false, nothing())];
    if !matches!(kind, "boolean" | "list") {
        let same = || literal(of_kind(kind));
        let list = || literal(listed(of_kind(kind)));
        all.extend([("eq", false, same()), ("ne", false, same())]);
        all.extend([("in", false, list()), ("not_in", false, list())]);
        let variable = any_variable().prop_filter("of the same kind", move |(_, other)| *other == kind);
        let variable =
            variable.prop_map(|(variable, _)| json!({"type": "variable", "variable": variable})).boxed();
        all.extend([("eq", false, variable.clone()), ("ne", false, variable)]);
    }
    match kind {
        "string" => {
            let part = || literal(one_of(&PARTS));
            let pattern = (any::<bool>(), prop::sample::select(&PARTS[..])).prop_map(|(start, part)| {
                Json::from(if start { format!("^{part}") } else { part.to_owned() })
            });
            all.extend([
                ("contains", true, part()),
                ("starts_with", true, part()),
                ("ends_with", true, part()),
                ("matches", true, literal(pattern.boxed())),
            ]);
        }
        "number" | "datetime" => {
            let same = || literal(of_kind(kind));
            let bounds = prop::collection::vec(of_kind(kind), 2).prop_map(Json::from).boxed();
            all.extend([
                ("lt", false, same()),
                ("lte", false, same()),
                ("gt", false, same()),
                ("gte", false, same()),
                ("between", true, literal(bounds)),
            ]);
            if kind == "datetime" {
                all.push(("within_last", false, literal(one_of(&SPANS))));
                all.push(("older_than", false, literal(one_of(&SPANS))));
            }
        }
        "boolean" => all.extend([("is_true", false, nothing()), ("is_false", false, nothing())]),
        "ip" => all.extend([
            ("in_network", true, literal(listed(one_of(&NETWORKS)))),
            ("is_private", true, nothing()),
            ("is_global", true, nothing()),
        ]),
        "list" => {
            let length = || literal((0_i32..4).prop_map(Json::from).boxed());
            all.extend([
                ("has_item", true, literal(of_kind("group"))),
                ("has_any", true, literal(listed(of_kind("group")))),
                ("has_all", true, literal(listed(of_kind("group")))),
                ("is_empty", true, nothing()),
                ("length_eq", false, length()),
                ("length_gt", false, length()),
                ("length_lt", false, length()),
            ]);
        }
        _ => {}
    }
    let all: Vec<_> = all
        .into_iter()
        .map(|(name, can_negate, operand)| {
            operand.prop_map(move |operand| (name, can_negate, operand)).boxed()
        })
        .collect();
    prop::strategy::Union::new(all).boxed()
}

fn comparison() -> BoxedStrategy<Json> {
    any_variable()
        .prop_flat_map(|(variable, kind)| (Just(variable), tests_of(kind), any::<bool>(), any::<bool>()))
        .prop_map(|(variable, (operator, can_negate, operand), case_sensitive, negate)| {
            json!({
                "type": "compare", "variable": variable, "operator": operator, "value": operand,
                "options": {"case_sensitive": case_sensitive, "negate": negate && can_negate}
            })
        })
        .boxed()
}

fn node() -> BoxedStrategy<Json> {
    comparison()
        .prop_recursive(3, 12, 4, |node| {
            let op = prop::sample::select(&["all", "any", "none"][..]);
            (op, prop::collection::vec(node, 1..4))
                .prop_map(|(op, children)| json!({"type": "group", "op": op, "children": children}))
        })
        .boxed()
}

fn actions() -> BoxedStrategy<Json> {
    let stop =
        any::<bool>().prop_map(|pass| json!({"type": "stop", "result": if pass { "pass" } else { "fail" }}));
    let set = (
        prop::sample::select(&["plan.context", "prompt_data"][..]),
        prop::sample::select(&KEYS[..]),
        prop_oneof![
            literal(prop_oneof![of_kind("string"), of_kind("number"), Just(json!(null))].boxed()),
            any_variable().prop_map(|(variable, _)| json!({"type": "variable", "variable": variable})),
        ],
    )
        .prop_map(|(key, param, value)| json!({"type": "set", "target": {"key": key, "param": param}, "value": value}));
    let action = prop_oneof![
        6 => node().prop_map(condition),
        2 => set,
        1 => stop,
    ];
    let action = (action, prop::bool::weighted(0.9)).prop_map(|(mut action, enabled)| {
        action["enabled"] = enabled.into();
        action
    });
    let nested = action.prop_recursive(2, 8, 3, |action| {
        let branch = || prop::collection::vec(action.clone(), 0..3);
        (node(), branch(), branch()).prop_map(|(condition, then, other)| {
            json!({"type": "if", "condition": condition, "then_actions": then, "else_actions": other})
        })
    });
    prop::collection::vec(nested, 1..5).prop_map(Json::from).boxed()
}

/// Contexts with a flow under way, so that `set` works.
fn values() -> BoxedStrategy<Json> {
    let found = || {
        prop::option::of(prop_oneof![
            of_kind("string"),
            of_kind("number"),
            of_kind("datetime"),
            of_kind("ip"),
            one_of(&["true", "0"]),
            any::<bool>().prop_map(Json::from),
            Just(json!([1])),
            Just(json!(null)),
        ])
    };
    (found(), found(), prop::option::of(found()))
        .prop_map(|(a, b, prompted)| {
            let mut values = json!({"flow_plan": {}});
            for (key, found) in [("a", a), ("b", b)] {
                if let Some(found) = found {
                    values[key] = found;
                }
            }
            if let Some(found) = prompted {
                values["prompt_data"] = json!({"a": found});
            }
            values
        })
        .boxed()
}

fn settings() -> BoxedStrategy<(Setting, Json)> {
    (
        values(),
        prop::sample::select(&WORDS[..]),
        prop::sample::subsequence(&GROUPS[..], 0..4),
        prop::option::of(prop::sample::select(&MOMENTS[..])),
        prop::option::of(prop::sample::select(&ADDRESSES[..])),
        any::<bool>(),
    )
        .prop_map(|(values, email, groups, login, address, is_active)| {
            let mut setting = Setting::new();
            setting.context.values = value(values.clone());
            setting.context.client_ip = address.map(|text| text.parse().unwrap());
            let user = setting.user.as_mut().unwrap();
            user.email = email.into();
            user.groups = groups.iter().map(|name| GroupRef::Name((*name).into())).collect();
            user.last_login = login.map(|text| super::super::time::moment(text).unwrap());
            user.is_active = is_active;
            (setting, values)
        })
        .boxed()
}

/// JSON that looks a little like a program, and a lot like nothing.
fn anything() -> BoxedStrategy<Json> {
    let word = prop::sample::select(
        &[
            "version",
            "actions",
            "type",
            "condition",
            "if",
            "set",
            "stop",
            "compare",
            "group",
            "policy",
            "variable",
            "key",
            "param",
            "cast",
            "operator",
            "value",
            "options",
            "negate",
            "case_sensitive",
            "op",
            "children",
            "then_actions",
            "else_actions",
            "target",
            "result",
            "message",
            "enabled",
            "literal",
            "pass",
            "all",
            "eq",
            "user.email",
            "user.attributes",
            "plan.context",
            "matches",
            "between",
            "(",
            "a.*.b",
            "string",
            "",
        ][..],
    );
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        Just(json!(2)),
        word.clone().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(8, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Replaces something inside a program by something else.
fn spoilt(program: Json, at: &[usize], by: Json) -> Json {
    let Some((step, rest)) = at.split_first() else { return by };
    match program {
        Json::Array(mut list) if !list.is_empty() => {
            let index = step % list.len();
            list[index] = spoilt(list[index].take(), rest, by);
            Json::Array(list)
        }
        Json::Object(mut map) if !map.is_empty() => {
            let index = step % map.len();
            if let Some(item) = map.values_mut().nth(index) {
                *item = spoilt(item.take(), rest, by);
            }
            Json::Object(map)
        }
        _ => by,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_say_what_the_reference_says(
        actions in actions(),
        (setting, values) in settings(),
        fail_missing in any::<bool>(),
    ) {
        let source = json!({"version": 2, "actions": actions});
        let missing = if fail_missing { MissingBehavior::Fail } else { MissingBehavior::False };
        let compiled = compiled(value(source.clone()), missing, None);
        let compiled = compiled.unwrap_or_else(|error| panic!("{}: {source}", error.message));
        let mut reference = Reference { setting: &setting, values: values.clone(), fail_missing };
        let expected = reference.run(&source);
        let verdict = setting.verdict(&compiled);
        prop_assert_eq!(&verdict.result, &Ok(expected), "{}", source);
        let mut wanted = reference.values;
        let changes = verdict.changes.and_then(|changes| changes.values);
        if changes.is_some() {
            // What is set is the plan's, too.
            let mut context = wanted.clone();
            context.as_object_mut().unwrap().remove("flow_plan");
            wanted["flow_plan"] = json!({"context": context});
        }
        prop_assert_eq!(changes.unwrap_or_else(|| value(values)), value(wanted), "{}", source);
        prop_assert!(verdict.valid_until.is_none_or(|until| until > NOW));
    }

    /// Each comparison on its own, so that none hides behind another: many to a case.
    #[test]
    fn random_comparisons_say_what_the_reference_says(
        nodes in prop::collection::vec(comparison(), 60),
        (setting, values) in settings(),
    ) {
        for node in nodes {
            let source = json!({"version": 2, "actions": [condition(node)]});
            let compiled = compiled(value(source.clone()), MissingBehavior::False, None).unwrap();
            let mut reference = Reference { setting: &setting, values: values.clone(), fail_missing: false };
            prop_assert_eq!(setting.verdict(&compiled).result, Ok(reference.run(&source)), "{}", source);
        }
    }

    #[test]
    fn an_answer_lasts_until_it_says(
        actions in actions(),
        (mut setting, _) in settings(),
        part in 0.0..1.0_f64,
    ) {
        let compiled = compiled(value(json!({"version": 2, "actions": actions})), MissingBehavior::Fail, None).unwrap();
        let verdict = setting.verdict(&compiled);
        let year = NOW.plus_seconds(31_536_000);
        let until = verdict.valid_until.unwrap_or(year).min(year);
        let later = (until.nanoseconds_since(NOW) as f64 * part) as i64;
        setting.context.now = Timestamp::new(NOW.seconds() + later / 1_000_000_000, 0).max(NOW);
        prop_assert_eq!(setting.verdict(&compiled).result, verdict.result);
    }

    #[test]
    fn nothing_is_the_end_of_anything(
        anything in anything(),
        actions in actions(),
        at in prop::collection::vec(any::<usize>(), 0..9),
        (setting, _) in settings(),
    ) {
        let whole = json!({"version": 2, "actions": actions});
        for source in [anything.clone(), json!({"version": 2, "actions": [anything.clone()]}), spoilt(whole, &at, anything)] {
            match compiled(value(source), MissingBehavior::False, None) {
                Ok(compiled) => drop(setting.ask(&compiled)),
                Err(error) => prop_assert!(!error.message.is_empty()),
            }
        }
    }
}
