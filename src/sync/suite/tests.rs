//! Suites as people write them, and what is said about wrong ones.

use super::*;
use std::fmt::Write as _;

fn told(text: &str) -> Vec<String> {
    let problems = read(text, &Arc::from("cases.yaml"), &Limits::default()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn several_documents_with_their_lines() {
    let text = "\
bundle:
  applications:
    - slug: grafana
tests:
  - name: anybody
    check: {target: {application: grafana}, subject: {username: ada}}
    expect: {decision: allow, messages: [a, b]}
  - name: unknown
    check: {target: {rac_endpoint: desk}, subject: {anonymous: true}}
    expect: {error: desk}
---
bundle: ../configuration
tests:
  - {name: anybody, check: {}, expect: {messages: []}}
";
    let suites = read(text, &Arc::from("cases.yaml"), &Limits::default()).unwrap();
    assert_eq!(suites.len(), 2);
    let BundleSource::Inline(resources) = &suites[0].bundle else { panic!("{:?}", suites[0].bundle) };
    assert_eq!(resources[0].1.to_string(), "cases.yaml:3");
    let lines: Vec<_> =
        suites[0].cases.iter().map(|(case, origin)| (case.name.as_str(), origin.line)).collect();
    assert_eq!(lines, [("anybody", 5), ("unknown", 8)]);
    let expect = suites[0].cases[0].0.expect.clone().unwrap();
    assert_eq!(expect.decision(), v1::Decision::Allow);
    assert_eq!(expect.messages.unwrap().texts, ["a", "b"]);
    let target = suites[0].cases[1].0.check.clone().unwrap().target.unwrap().target;
    let desk = v1::RacEndpointRef { id: "desk".into(), ..Default::default() };
    assert_eq!(target, Some(v1::target_ref::Target::RacEndpoint(desk)));
    assert!(matches!(&suites[1].bundle, BundleSource::Path(path) if path == "../configuration"));
    assert_eq!(suites[1].origin.to_string(), "cases.yaml:12");
    assert_eq!(suites[1].cases[0].0.expect.clone().unwrap().messages.unwrap().texts, [""; 0]);
}

#[test]
fn a_case_may_walk_through_a_flow() {
    let text = "\
bundle: {}
tests:
  - name: login
    plan: {flow: login, subject: {anonymous: true}, allow_empty: true}
    expect: {outcome: planned, stages: [password, mfa]}
    steps:
      - expect: {stage: password}
      - set: {pending_user: ada, n: ~}
        subject: {username: ada}
        expect: {finished: true, dropped: [mfa], messages: [m]}
";
    let suites = read(text, &Arc::from("cases.yaml"), &Limits::default()).unwrap();
    let case = &suites[0].cases[0].0;
    assert!(case.plan.as_ref().unwrap().allow_empty);
    let expect = case.expect.as_ref().unwrap();
    assert_eq!(expect.outcome(), v1::PlanOutcome::Planned);
    assert_eq!(expect.stages.as_ref().unwrap().names, ["password", "mfa"]);
    let [first, second] = case.steps.as_slice() else { panic!("{:?}", case.steps) };
    assert_eq!(first.expect.as_ref().unwrap().stage, "password");
    assert_eq!(second.set.as_ref().unwrap().fields.len(), 2);
    let expect = second.expect.as_ref().unwrap();
    assert!(expect.finished && second.subject.is_some());
    assert_eq!(expect.dropped.as_ref().unwrap().names, ["mfa"]);
    let case = |fields: &str| told(&format!("bundle: {{}}\ntests: [{{name: a, {fields}}}]\n"));
    for (fields, part) in [
        ("expect: {decision: deny}", "the case has no `check`; write the question, or a `plan`"),
        ("check: {}, plan: {}, expect: {decision: deny}", "has a `check` and a `plan`; remove one"),
        ("check: {}, expect: {stages: [x]}", "`outcome` and `stages` are of a `plan`"),
        ("check: {}, expect: {decision: deny}, steps: [{expect: {stage: x}}]", "`steps` go through a `plan`"),
        ("plan: {}, expect: {decision: deny}", "write `outcome` or `stages` for a `plan`"),
        ("plan: {}", "the case expects nothing; write `outcome`, `stages`, `messages` or `error`"),
        ("plan: {}, steps: [{set: {a: b}}]", "steps[0] expects nothing; write `stage` or `finished`"),
        ("plan: {}, steps: [{expect: {stage: a, finished: true}}]", "expects a `stage` and the end"),
        (
            "plan: {}, expect: {outcome: empty}, steps: [{expect: {stage: a}}]",
            "expects no plan, and goes through",
        ),
        ("plan: {}, expect: {error: x, outcome: empty}", "expects an answer and an `error`"),
    ] {
        let problems = case(fields).join("\n");
        assert!(problems.contains(part), "{fields}: {problems}");
    }
}

#[test]
fn what_is_said_about_wrong_suites() {
    let table: &[(&str, &[&str])] = &[
        ("", &["cases.yaml:1: the file is empty; write a document with `bundle` and `tests`"]),
        ("a: [", &["cases.yaml:2: not valid YAML: while parsing a node, did not find expected node content"]),
        ("- a\n", &["cases.yaml:1: expected a mapping with `bundle` and `tests`, found a list"]),
        (
            "bundle: {}\ntests: [{name: a, check: {}, expect: {decision: deny}}]\n--- ~\n",
            &["cases.yaml:3: this document is empty; remove it with its `---`"],
        ),
        (
            "test: []\n",
            &[
                "cases.yaml:1: test: there is no such field; the fields are `bundle`, `tests`",
                "cases.yaml:1: `bundle` is missing; write resources, or the path of a file or directory",
                "cases.yaml:1: `tests` is missing; write a list of cases",
            ],
        ),
        (
            "bundle: ''\ntests: []\n",
            &[
                "cases.yaml:1: bundle: the path is empty; write one, or resources",
                "cases.yaml:2: `tests` is empty; write at least one case",
            ],
        ),
        (
            "bundle: !File x\ntests: a\n",
            &[
                "cases.yaml:1: the document: the tag `!File` has no meaning here; write the value itself, or, if this \
                 is an authentik blueprint, keep it in a file of its own",
                "cases.yaml:2: tests: expected a list of cases, found text",
            ],
        ),
        (
            "bundle: {user: []}\ntests:\n  - check: {}\n    expect: {decision: permit}\n  - expect: {}\n",
            &[
                "cases.yaml:1: user: there is no such field; did you mean `users`?",
                "cases.yaml:4: expect.decision: `permit` is not one of its values; write `allow` or `deny`",
                "cases.yaml:5: the case has no `name`; give it one",
                "cases.yaml:5: the case has no `check`; write the question, or a `plan`",
                "cases.yaml:5: the case expects nothing; write `decision`, `messages` or `error` under `expect`",
            ],
        ),
        (
            "bundle: {}\ntests:\n  - {name: a, check: {}, expect: {error: x, decision: deny}}\n  \
             - {name: a, check: {}, expect: {decision: deny}}\n",
            &[
                "cases.yaml:3: the case expects an answer and an `error`; remove one",
                "cases.yaml:4: the name `a` is taken by the case in line 3; give each its own",
            ],
        ),
    ];
    for (text, messages) in table {
        assert_eq!(told(text), *messages, "{text}");
    }
}

/// Thousands of documents take time in proportion; a quadratic reader would not come back from this in a debug build.
#[test]
fn many_documents() {
    let mut text = String::new();
    for index in 0..5_000 {
        write!(
            text,
            "---\nbundle:\n  applications: [{{slug: a{index}}}]\n  policy_bindings:\n    - target: {{application: \
             a{index}}}\n      user: {{username: ada}}\ntests:\n  - name: case {index}\n    check:\n      target: \
             {{application: a{index}}}\n      subject: {{username: ada}}\n    expect: {{decision: allow}}\n"
        )
        .unwrap();
    }
    let suites = read(&text, &Arc::from("cases.yaml"), &Limits::default()).unwrap();
    assert_eq!(suites.len(), 5_000);
    assert_eq!(suites[4_999].origin.line, 4_999 * 12 + 2);
}
