//! Bundles as people write them, what is said about wrong ones, and that what is written is read back.

use super::super::yaml::{Limits, parse};
use super::*;
use proptest::prelude::*;
use prost_types::{Duration, ListValue, Struct, Timestamp, Value, value::Kind};
use std::collections::BTreeMap;

fn try_read(text: &str) -> Result<Vec<(v1::Resource, Origin)>, Vec<FileProblem>> {
    let documents = parse(text, &Limits::default()).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    read(&documents[0], &Arc::from("b.yaml"))
}

fn read_bundle(text: &str) -> v1::Bundle {
    let resources = try_read(text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    group(resources.into_iter().map(|(resource, _)| resource))
}

fn told(text: &str) -> Vec<String> {
    try_read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn what_people_write() {
    let text = "\
# a small configuration
policies:
  - name: slow
    dummy: {result: yes, wait_min: 1, waitMax: 2.5s, messages: [no, thanks], error: ''}
  - {name: recent, passwordExpiry: {days: '30'}}
applications:

  - slug: grafana
    policy_engine_mode: all
    name: null
  - slug: wiki
    policyEngineMode: POLICY_ENGINE_MODE_ANY
policy_bindings:
  - target: {rac_endpoint: desk}
    group: {name: staff}
    expires: 2030-01-01T00:00:00+01:00
    timeout: 0.5
    order: -3
    enabled: off
flows:
  - {slug: login, authentication: Require_Superuser, denied_action: 2}
users:
  - username: ada
    attributes: {a: [1, 2.5, yes, ~, 'yes', {b: 2030-01-01}], 'on': x}
devices:
reputation_scores:
  - {id: r, score: '-9223372036854775808'}
  - {id: s, score: -5}
routes:
  - {host: a.example, pathPrefix: /x, methods: [GET], target: {rac_endpoint: desk}, anonymous: on}
"
    .replace("[no, thanks]", "['no', thanks]");
    let lines: Vec<usize> = try_read(&text).unwrap().iter().map(|(_, origin)| origin.line).collect();
    assert_eq!(lines, [3, 5, 8, 11, 14, 21, 23, 27, 28, 30]);
    let bundle = read_bundle(&text);
    let Some(v1::policy::Kind::Dummy(dummy)) = &bundle.policies[0].kind else { panic!("{bundle:?}") };
    assert!(dummy.result);
    assert_eq!(dummy.wait_min, Some(Duration { seconds: 1, nanos: 0 }));
    assert_eq!(dummy.wait_max, Some(Duration { seconds: 2, nanos: 500_000_000 }));
    assert_eq!(dummy.messages.clone().unwrap().texts, ["no", "thanks"]);
    assert_eq!(dummy.error.as_deref(), Some(""));
    let Some(v1::policy::Kind::PasswordExpiry(expiry)) = &bundle.policies[1].kind else {
        panic!("{bundle:?}")
    };
    assert_eq!(expiry.days, 30);
    assert_eq!(bundle.applications[0].policy_engine_mode(), v1::PolicyEngineMode::All);
    assert_eq!(bundle.applications[1].policy_engine_mode(), v1::PolicyEngineMode::Any);
    let binding = &bundle.policy_bindings[0];
    assert_eq!(binding.expires, Some(Timestamp { seconds: 1_893_452_400, nanos: 0 }));
    assert_eq!(binding.timeout, Some(Duration { seconds: 0, nanos: 500_000_000 }));
    assert_eq!((binding.order, binding.enabled), (-3, Some(false)));
    assert_eq!(bundle.flows[0].authentication(), v1::FlowAuthentication::RequireSuperuser);
    assert_eq!(bundle.flows[0].denied_action(), v1::FlowDeniedAction::Message);
    assert_eq!(bundle.reputation_scores[0].score, i64::MIN);
    let route = &bundle.routes[0];
    assert_eq!(
        (&*route.path_prefix, route.methods.as_slice(), route.anonymous),
        ("/x", &["GET".into()][..], true)
    );
    assert_eq!(route.target, bundle.policy_bindings[0].target);
    let attributes = bundle.users[0].attributes.clone().unwrap().fields;
    let Some(Kind::ListValue(list)) = attributes["a"].kind.clone() else { panic!("{attributes:?}") };
    assert_eq!(list.values[2].kind, Some(Kind::BoolValue(true)));
    assert_eq!(list.values[3].kind, Some(Kind::NullValue(0)));
    assert_eq!(list.values[4].kind, Some(Kind::StringValue("yes".into())));
    assert!(try_read("{}").unwrap().is_empty());
}

/// Each document with everything that is said about it.
const WRONG: &[(&str, &[&str])] = &[
    (
        "- a",
        &[
            "b.yaml:1: expected a bundle, which is a mapping with lists such as `applications` (an empty one is `{}`), \
           found a list",
        ],
    ),
    (
        "--- ~\n",
        &[
            "b.yaml:1: expected a bundle, which is a mapping with lists such as `applications` (an empty one is `{}`), \
           found null",
        ],
    ),
    (
        "!Find [a]",
        &[
            "b.yaml:1: the document: the tag `!Find` has no meaning here; write the value itself, or, if this is an \
           authentik blueprint, keep it in a file of its own",
        ],
    ),
    ("aplications: []", &["b.yaml:1: aplications: there is no such field; did you mean `applications`?"]),
    (
        "entries: []",
        &[
            "b.yaml:1: entries: there is no such field; the fields are `applications`, `entitlements`, `sources`, \
           `flows`, `flow_stage_bindings`, `devices`, `device_access_groups`, `notification_rules`, `rac_endpoints`, \
           `policy_bindings`, `policies`, `stages`, `users`, `groups`, `reputation_scores`, \
           `routes`",
        ],
    ),
    (
        "applications: {slug: a}",
        &["b.yaml:1: applications: expected a list, found a mapping; begin each item with `- `"],
    ),
    (
        "applications: grafana",
        &[
            "b.yaml:1: applications: expected a list, found text; write each item on a line that begins with `- `",
        ],
    ),
    (
        "applications: !KeyOf x",
        &["b.yaml:1: applications: the tag `!KeyOf` has no meaning here; write the value \
       itself, or, if this is an authentik blueprint, keep it in a file of its own"],
    ),
    ("applications: [grafana]", &["b.yaml:1: applications[0]: expected a mapping, found text"]),
    ("applications: [~]", &["b.yaml:1: applications[0]: expected a mapping, found null"]),
    (
        "applications:\n  - slug: a\n    slgu: b",
        &["b.yaml:3: applications[0].slgu: there is no such field; did you \
       mean `slug`?"],
    ),
    ("applications: [{slug: [a]}]", &["b.yaml:1: applications[0].slug: expected a text, found a list"]),
    ("applications: [{slug: {a: b}}]", &["b.yaml:1: applications[0].slug: expected a text, found a mapping"]),
    (
        "applications: [{slug: 42}]",
        &["b.yaml:1: applications[0].slug: expected a text, found a number; put it in quotes"],
    ),
    (
        "applications: [{slug: no}]",
        &["b.yaml:1: applications[0].slug: expected a text, found true or false; put it in quotes"],
    ),
    (
        "applications: [{slug: a, policy_engine_mode: some}]",
        &[
            "b.yaml:1: applications[0].policy_engine_mode: `some` is not one of its values; write `any` or `all`",
        ],
    ),
    (
        "flows: [{slug: a, denied_action: 9}]",
        &[
            "b.yaml:1: flows[0].denied_action: `9` is not one of its values; write `message_continue`, `message` or \
           `continue`",
        ],
    ),
    (
        "applications: [{slug: a, policy_engine_mode: [any]}]",
        &["b.yaml:1: applications[0].policy_engine_mode: expected `any` or `all`, found a list"],
    ),
    (
        "applications: [{slug: a, empty_result: 'true'}]",
        &["b.yaml:1: applications[0].empty_result: expected true or false, found text; leave out the quotes"],
    ),
    (
        "applications: [{slug: a, emptyResult: 1}]",
        &["b.yaml:1: applications[0].empty_result: expected true or false, found a number"],
    ),
    (
        "applications:\n  - slug: a\n    empty_result: true\n    emptyResult: false",
        &["b.yaml:4: applications[0].emptyResult: stands here already as `empty_result`; remove one"],
    ),
    (
        "policy_bindings: [{order: 2147483648}]",
        &[
            "b.yaml:1: policy_bindings[0].order: `2147483648` is out of range; write a whole number from -2147483648 to \
           2147483647",
        ],
    ),
    (
        "policies: [{password_expiry: {days: -1}}]",
        &[
            "b.yaml:1: policies[0].password_expiry.days: `-1` is out of range; write a whole number from 0 to \
           4294967295",
        ],
    ),
    (
        "policies: [{geoip: {history_max_distance_km: 18446744073709551616}}]",
        &[
            "b.yaml:1: policies[0].geoip.history_max_distance_km: `18446744073709551616` is out of range; write a whole \
           number from 0 to 18446744073709551615",
        ],
    ),
    (
        "reputation_scores: [{score: 1e30}]",
        &["b.yaml:1: reputation_scores[0].score: `1e30` is out of range; write a whole number from \
           -9223372036854775808 to 9223372036854775807"],
    ),
    (
        "policy_bindings: [{order: 1.5}]",
        &["b.yaml:1: policy_bindings[0].order: `1.5` is not a whole number; write one"],
    ),
    (
        "policy_bindings: [{order: first}]",
        &["b.yaml:1: policy_bindings[0].order: expected a whole number, found text"],
    ),
    (
        "users: [{logins: [{latitude: north}, {latitude: .nan}, {latitude: [1]}]}]",
        &[
            "b.yaml:1: users[0].logins[0].latitude: expected a number, found text",
            "b.yaml:1: users[0].logins[1].latitude: `.nan` is not a finite number; write one, or leave the field out",
            "b.yaml:1: users[0].logins[2].latitude: expected a number, found a list",
        ],
    ),
    (
        "policies:\n  - name: p\n    dummy: {}\n    expression: {source: x}",
        &["b.yaml:4: policies[0].expression: cannot be set together with `dummy`; remove one"],
    ),
    (
        "policy_bindings: [{timeout: 5m}, {timeout: 400000000000}, {timeout: [1]}]",
        &[
            "b.yaml:1: policy_bindings[0].timeout: `5m` is no duration; write seconds, like `30s` or `0.5s`",
            "b.yaml:1: policy_bindings[1].timeout: `400000000000` is no duration; write seconds, like `30s` or `0.5s`",
            "b.yaml:1: policy_bindings[2].timeout: expected a duration like `30s`, found a list",
        ],
    ),
    (
        "policy_bindings: [{expires: tomorrow}, {expires: 2030-01-01}, {expires: {}}]",
        &[
            "b.yaml:1: policy_bindings[0].expires: `tomorrow` is no moment; write it like `2030-12-31T23:59:59Z`",
            "b.yaml:1: policy_bindings[1].expires: `2030-01-01` is no moment; write it like `2030-12-31T23:59:59Z`",
            "b.yaml:1: policy_bindings[2].expires: expected a moment like `2030-12-31T23:59:59Z`, found a mapping",
        ],
    ),
    (
        "policy_bindings: [{group: staff, user: [ada]}]",
        &[
            "b.yaml:1: policy_bindings[0].group: expected a mapping with `id` or `name`, found text",
            "b.yaml:1: policy_bindings[0].user: expected a mapping with `id` or `username`, found a list",
        ],
    ),
    (
        "policy_bindings:\n  - target: {application: a, device: b, flow: ~}\n    group: !Find [x, [name, y]]",
        &[
            "b.yaml:2: policy_bindings[0].target.device: cannot be set together with `application`; remove one",
            "b.yaml:3: policy_bindings[0].group: the tag `!Find` has no meaning here; write the value itself, or, if \
             this is an authentik blueprint, keep it in a file of its own",
        ],
    ),
    (
        "policy_bindings: [{target: {rac_endpoint: 5}}, {target: {rac_endpoint: [a]}}]",
        &[
            "b.yaml:1: policy_bindings[0].target.rac_endpoint: expected a text, found a number; put it in quotes",
            "b.yaml:1: policy_bindings[1].target.rac_endpoint: expected a mapping with `id` or `application`, found a \
             list",
        ],
    ),
    (
        "policies: [{dummy: {messages: [1, a, ~]}}, {dummy: {messages: hello}}]",
        &[
            "b.yaml:1: policies[0].dummy.messages[0]: expected a text, found a number; put it in quotes",
            "b.yaml:1: policies[0].dummy.messages[2]: expected a text, found null; write `\"\"` for an empty one",
            "b.yaml:1: policies[1].dummy.messages: expected a mapping with `texts`, found text",
        ],
    ),
    ("users: [{attributes: [a]}]", &["b.yaml:1: users[0].attributes: expected a mapping, found a list"]),
    (
        "users:\n  - attributes:\n      1: a\n      [b]: c\n      d: !Env X\n      e: .inf\n      f: 9007199254740993",
        &[
            "b.yaml:3: users[0].attributes: the key `1` is a number, not a text; put it in quotes",
            "b.yaml:4: users[0].attributes: a key is a list, not a text; write a text",
            "b.yaml:5: users[0].attributes.d: the tag `!Env` has no meaning here; write the value itself, or, if this \
             is an authentik blueprint, keep it in a file of its own",
            "b.yaml:6: users[0].attributes.e: `.inf` is not a finite number; write one, or leave the field out",
            "b.yaml:7: users[0].attributes.f: 9007199254740993 is too large to be kept exactly here; put it in \
             quotes, as a text",
        ],
    ),
    (
        "[a]: b\nyes: c\n!x stages: []",
        &[
            "b.yaml:1: the document: a key is a list, not a text; write a text",
            "b.yaml:2: the document: the key `yes` is true or false, not a text; put it in quotes",
            "b.yaml:3: the document: the tag `!x` has no meaning here; write the value itself, or, if this is an \
             authentik blueprint, keep it in a file of its own",
        ],
    ),
    (
        "\"\\e[31m\": []",
        &["b.yaml:1: \\u{1b}[31m: there is no such field; the fields are `applications`, \
       `entitlements`, `sources`, `flows`, `flow_stage_bindings`, `devices`, `device_access_groups`, \
       `notification_rules`, `rac_endpoints`, `policy_bindings`, `policies`, `stages`, `users`, `groups`, \
       `reputation_scores`, `routes`"],
    ),
];

#[test]
fn what_is_said_about_wrong_documents() {
    for (text, messages) in WRONG {
        assert_eq!(told(text), *messages, "{text}");
    }
}

#[test]
fn a_message_alone() {
    let check = |text: &str| -> Result<v1::CheckRequest, Vec<FileProblem>> {
        let documents = parse(text, &Limits::default()).unwrap();
        message(&documents[0], "bindery.v1.CheckRequest", &Arc::from("q.yaml"))
    };
    let told = |text: &str| check(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
    let question =
        check("{scope: target_alone, minRevision: 18446744073709551615, context: {http: {headers: {a: b}}}}");
    let question = question.unwrap();
    assert_eq!((question.scope(), question.min_revision), (v1::Scope::TargetAlone, u64::MAX));
    assert_eq!(question.context.unwrap().http.unwrap().headers["a"], "b");
    assert_eq!(told("a"), ["q.yaml:1: the document: expected a mapping, found text"]);
    assert_eq!(
        told("context:\n  http:\n    headers: {1: b, c: [d], e: ~}\n    metod: GET"),
        [
            "q.yaml:3: context.http.headers: the key `1` is a number, not a text; put it in quotes",
            "q.yaml:3: context.http.headers.c: expected a text, found a list",
            "q.yaml:3: context.http.headers.e: expected a text, found null; write `\"\"` for an empty one",
            "q.yaml:4: context.http.metod: there is no such field; did you mean `method`?",
        ]
    );
    let nothing: Result<v1::CheckRequest, _> =
        message(&parse("{}", &Limits::default()).unwrap()[0], "bindery.v1.Nothing", &Arc::from("q.yaml"));
    assert_eq!(
        nothing.unwrap_err()[0].to_string(),
        "q.yaml:1: the schema has no `bindery.v1.Nothing`; report this"
    );
}

/// The deepest free data that is read is also what can be sent, wherever in a message it is.
#[test]
fn free_data_has_a_depth() {
    let nested = |levels: usize| format!("{}x{}", "{a: ".repeat(levels), "}".repeat(levels));
    let ways = [
        ("users: [{username: a, attributes: ", "}]"),
        ("policies: [{name: a, conditional: {program: ", "}}]"),
    ];
    for (before, after) in ways {
        read_bundle(&format!("{before}{}{after}", nested(31)));
        assert_eq!(
            told(&format!("{before}{}{after}", nested(32))),
            ["b.yaml:1: free data is nested deeper than 31 levels; flatten it"]
        );
    }
    let text = format!("{{name: a, check: {{context: {{event: {{context: {}}}}}}}}}", nested(31));
    let node = &parse(&text, &Limits::default()).unwrap()[0];
    message::<v1::TestCase>(node, "bindery.v1.TestCase", &Arc::from("q.yaml")).unwrap();
}

#[test]
fn problems_are_counted_beyond_a_thousand() {
    let problems = told(&format!("stages: [{}]", "{nam: a},".repeat(2_500)));
    assert_eq!(problems.len(), 1_001);
    assert_eq!(problems[1_000], "b.yaml:1: 1500 more problems follow; mend these first");
}

#[test]
fn long_input_is_repeated_only_in_part() {
    let long = told(&format!("? {}\n: []", "é".repeat(100_000)));
    assert!(long[0].starts_with("b.yaml:1: éééé") && long[0].len() < 600, "{}", long[0].len());
}

#[test]
fn written_for_people() {
    let text = "\
policy_bindings:
- id: b
  target:
    rac_endpoint: desk
  policy: work
  order: 2
  enabled: false
  timeout: 30s
  expires: \"2030-01-01T00:00:00Z\"
policies:
- name: work
  expression:
    language: python
    source: |
      if request.user.username == \"ada\":
          return True
      return False
- name: two
  dummy:
    result: true
    messages:
    - \"yes\"
    - no more
- name: three
  reputation:
    threshold: -7
users:
- username: ada
  attributes:
    height: 1.5
    level: 3
";
    let bundle = read_bundle(text);
    assert_eq!(write_yaml(&bundle).unwrap(), text);
    let json = write_json(&bundle).unwrap();
    assert_eq!(read_bundle(&json), bundle);
    assert!(
        json.contains("\"language\": \"EXPRESSION_LANGUAGE_PYTHON\"")
            && json.contains("\"threshold\": \"-7\"")
    );
    assert_eq!(write_yaml(&v1::Bundle::default()).unwrap(), "{}\n");
}

#[test]
fn what_has_no_form_is_not_written() {
    let never = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    let binding = v1::PolicyBinding { expires: never, ..Default::default() };
    let bundle = v1::Bundle { policy_bindings: vec![binding], ..Default::default() };
    assert!(write_yaml(&bundle).is_err() && write_json(&bundle).is_err());
}

fn text() -> impl Strategy<Value = String> {
    const PARTS: [&str; 60] = [
        "",
        " ",
        "  ",
        "a",
        "yes",
        "No",
        "on",
        "off",
        "~",
        "null",
        "true",
        "1",
        "1e3",
        "0x1F",
        "0o17",
        ".5",
        "-",
        "- ",
        "?",
        "? ",
        ":",
        ": ",
        "#",
        " #",
        "\n",
        "\n\n",
        "\t",
        "\r",
        "\r\n",
        "\u{0}",
        "\u{1b}",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffe}",
        "é",
        "😀",
        "'",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "---",
        "...",
        "<<",
        "=",
        "+",
        "return 1\n",
    ];
    let nasty =
        prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..5).prop_map(|parts| parts.concat());
    prop_oneof![
        4 => nasty.clone(),
        1 => any::<String>(),
        1 => (nasty, 0_usize..1_500).prop_map(|(text, more)| format!("{text}{}", "w ".repeat(more))),
    ]
}

fn free() -> impl Strategy<Value = Option<Struct>> {
    let leaf = prop_oneof![
        Just(Kind::NullValue(0)),
        any::<bool>().prop_map(Kind::BoolValue),
        any::<f64>()
            .prop_filter("JSON has none other", |number| number.is_finite())
            .prop_map(Kind::NumberValue),
        (-1_000_000_i64..1_000_000).prop_map(|number| Kind::NumberValue(number as f64)),
        text().prop_map(Kind::StringValue),
    ]
    .prop_map(|kind| Value { kind: Some(kind) });
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| Value { kind: Some(Kind::ListValue(ListValue { values })) }),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|fields| Value { kind: Some(Kind::StructValue(Struct { fields })) }),
        ]
    });
    prop::option::of(
        prop::collection::btree_map(text(), tree, 0..4)
            .prop_map(|fields: BTreeMap<String, Value>| Struct { fields }),
    )
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    let nanos = prop_oneof![Just(0), Just(500_000_000), 0..1_000_000_000];
    prop::option::of(
        (-62_135_596_800_i64..=253_402_300_799, nanos)
            .prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }),
    )
}

fn duration() -> impl Strategy<Value = Option<Duration>> {
    let nanos = prop_oneof![Just(0), Just(500_000_000), 0..1_000_000_000];
    prop::option::of((0_i64..=315_576_000_000, nanos, any::<bool>()).prop_map(|(seconds, nanos, minus)| {
        if minus { Duration { seconds: -seconds, nanos: -nanos } } else { Duration { seconds, nanos } }
    }))
}

fn target() -> impl Strategy<Value = Option<v1::TargetRef>> {
    use v1::target_ref::Target;
    let (id, other, name) = (text(), text(), text());
    (0..5, id, other, name).prop_map(|(kind, id, application, name)| {
        let target = match kind {
            0 => Target::Application(application),
            1 => Target::Entitlement(v1::EntitlementRef { application, name, id }),
            2 => Target::RacEndpoint(v1::RacEndpointRef { id, application: String::new() }),
            3 => Target::RacEndpoint(v1::RacEndpointRef { id, application }),
            _ => return None,
        };
        Some(v1::TargetRef { target: Some(target) })
    })
}

fn policy() -> impl Strategy<Value = v1::Policy> {
    use v1::policy::Kind;
    let dummy = (
        any::<bool>(),
        duration(),
        prop::option::of(prop::collection::vec(text(), 0..3)),
        prop::option::of(text()),
    )
        .prop_map(|(result, wait_min, texts, error)| {
            let messages = texts.map(|texts| v1::DummyMessages { texts });
            Kind::Dummy(v1::DummyPolicy { result, wait_min, wait_max: None, messages, error })
        });
    let expression = (0..3, text())
        .prop_map(|(language, source)| Kind::Expression(v1::ExpressionPolicy { language, source }));
    let geoip = (
        prop::collection::vec(any::<u32>(), 0..3),
        prop::collection::vec(text(), 0..3),
        any::<Option<u64>>(),
    )
        .prop_map(|(asns, countries, history_max_distance_km)| {
            Kind::Geoip(v1::GeoipPolicy { asns, countries, history_max_distance_km, ..Default::default() })
        });
    let reputation = (any::<Option<bool>>(), any::<Option<i64>>()).prop_map(|(check_ip, threshold)| {
        Kind::Reputation(v1::ReputationPolicy { check_ip, check_username: None, threshold })
    });
    let conditional =
        free().prop_map(|program| Kind::Conditional(v1::ConditionalPolicy { program, ..Default::default() }));
    let kind = prop::option::of(prop_oneof![dummy, expression, geoip, reputation, conditional]);
    (text(), text(), any::<bool>(), kind).prop_map(|(id, name, execution_logging, kind)| v1::Policy {
        id,
        name,
        execution_logging,
        kind,
    })
}

fn binding() -> impl Strategy<Value = v1::PolicyBinding> {
    let user = prop::option::of((text(), text()).prop_map(|(id, username)| v1::UserRef { id, username }));
    let group = prop::option::of((text(), text()).prop_map(|(id, name)| v1::GroupRef { id, name }));
    let flags = any::<(i32, Option<bool>, bool, bool, bool)>();
    (text(), target(), text(), user, group, flags, duration(), moment()).prop_map(
        |(
            id,
            target,
            policy,
            user,
            group,
            (order, enabled, negate, failure_result, dry_run),
            timeout,
            expires,
        )| {
            v1::PolicyBinding {
                id,
                target,
                policy,
                user,
                group,
                order,
                enabled,
                negate,
                timeout,
                failure_result,
                expires,
                dry_run,
            }
        },
    )
}

fn user() -> impl Strategy<Value = v1::User> {
    let login = (moment(), prop::option::of(-90.0..90.0_f64)).prop_map(|(time, latitude)| v1::Login {
        time,
        latitude,
        longitude: None,
    });
    (text(), text(), any::<Option<bool>>(), free(), prop::collection::vec(login, 0..3)).prop_map(
        |(id, username, is_active, attributes, logins)| v1::User {
            id,
            username,
            is_active,
            attributes,
            logins,
            ..Default::default()
        },
    )
}

fn bundle() -> impl Strategy<Value = v1::Bundle> {
    let application = (text(), text(), 0..3, any::<Option<bool>>()).prop_map(
        |(id, slug, policy_engine_mode, empty_result)| v1::Application {
            id,
            slug,
            policy_engine_mode,
            empty_result,
            ..Default::default()
        },
    );
    let flow = (text(), 0..8, 0..4).prop_map(|(slug, authentication, denied_action)| v1::Flow {
        slug,
        authentication,
        denied_action,
        ..Default::default()
    });
    let score = (text(), any::<i64>(), moment()).prop_map(|(id, score, expires)| v1::ReputationScore {
        id,
        score,
        expires,
        ..Default::default()
    });
    let route = (text(), text(), prop::collection::vec(text(), 0..3), any::<bool>()).prop_map(
        |(host, path_prefix, methods, anonymous)| v1::Route {
            host,
            path_prefix,
            methods,
            anonymous,
            ..Default::default()
        },
    );
    (
        prop::collection::vec(application, 0..3),
        prop::collection::vec(flow, 0..2),
        prop::collection::vec(policy(), 0..3),
        prop::collection::vec(binding(), 0..3),
        prop::collection::vec(user(), 0..3),
        prop::collection::vec(score, 0..2),
        prop::collection::vec(route, 0..2),
    )
        .prop_map(
            |(applications, flows, policies, policy_bindings, users, reputation_scores, routes)| v1::Bundle {
                applications,
                flows,
                policies,
                policy_bindings,
                users,
                reputation_scores,
                routes,
                ..Default::default()
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(bundle in bundle()) {
        let yaml = write_yaml(&bundle).unwrap();
        prop_assert_eq!(&read_bundle(&yaml), &bundle, "{}", yaml);
        let json = write_json(&bundle).unwrap();
        prop_assert_eq!(&read_bundle(&json), &bundle, "{}", json);
        prop_assert_eq!(&group(resources(bundle.clone())), &bundle);
    }
}
