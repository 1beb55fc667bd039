//! `bindery test`: runs decision cases and compares what comes out with what is expected.
//!
//! Must not know: how a case is compared, how a report is written.

mod case;
mod flow;
mod report;

use super::Exit;
use super::evaluators::{evaluators, places};
use super::output::{Screen, count, one_line};
use super::sources::{self, BlueprintArgs, StoreArgs};
use crate::api::ask;
use crate::config::PolicyArgs;
use crate::places::Databases;
use crate::store::Snapshot;
use crate::sync::source::{self, Loaded};
use crate::sync::suite::{self, BundleSource, Suite};
use crate::sync::yaml;
use case::CaseResult;
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// From how many cases on progress is shown to somebody who watches.
const MANY: usize = 1_000;
/// After how many cases it is shown again.
const STEP: usize = 250;

/// What `bindery test` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
A file holds one or more documents, each with a configuration and cases:

  bundle: ../config            # a path, or a bundle written here
  tests:
    - name: staff may see the dashboards
      check:
        target: {application: grafana}
        subject: {username: ada}
      expect: {decision: allow}

`expect` takes `decision` (allow or deny), `messages` (all of them, in order) or `error` (a part of the text).

A case may plan a flow instead, and walk through it:

    - name: somebody whose password was checked elsewhere is not asked again
      plan: {flow: login, subject: {anonymous: true}}
      expect: {stages: [identification, password, mfa]}
      steps:
        - expect: {stage: identification}
        - set: {pending_user: {username: ada, backend: ldap}}
          expect: {stage: mfa, dropped: [password]}
        - expect: {finished: true}

There, `expect` takes `stages`, `outcome` (planned, not_applicable or empty), `messages` or `error`.

Examples:
  bindery test tests/*.yaml
  bindery test tests/ --filter dashboards
  bindery test tests/ --output junit > report.xml

Exit code: 0 all cases passed, 1 a case failed, 2 a file is at fault or no case was run.")]
pub(super) struct TestArgs {
    /// File with cases, or a directory of them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Run only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    #[command(flatten)]
    blueprints: BlueprintArgs,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    policies: PolicyArgs,

    /// How to show the result
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: each case that failed, with its explanation, and a line of counts
    Text,
    /// One JSON object
    Json,
    /// JUnit XML
    Junit,
}

/// Runs the command.
pub(super) fn run(args: &TestArgs, screen: &mut Screen<'_>) -> Exit {
    let (mut suites, mut problems) = read(&args.files);
    if let Some(filter) = &args.filter {
        for suite in &mut suites {
            suite.cases.retain(|(case, _)| case.name.contains(filter));
        }
        suites.retain(|suite| !suite.cases.is_empty());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            screen.note(format_args!("the runtime cannot be started: {error}"));
            return Exit::Undecided;
        }
    };
    let results = runtime.block_on(run_all(suites, args, &mut problems, screen));
    if results.is_empty() && problems.is_empty() {
        problems.push(match &args.filter {
            Some(filter) => {
                format!("no name of a case contains `{filter}`; run without --filter to see them all")
            }
            None => "there is no case; write some under `tests`".to_owned(),
        });
    }
    match args.output {
        Format::Text => {}
        Format::Json => screen.line(format_args!("{:#}", report::json(&results, &problems))),
        Format::Junit => screen.put(report::junit(&results, &problems)),
    }
    for problem in &problems {
        screen.note(one_line(problem));
    }
    if !problems.is_empty() {
        screen.note(count(problems.len(), "problem"));
    }
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    if args.output == Format::Text {
        screen.line(report::counts(&results, screen.paint()));
    }
    match (problems.is_empty(), failed) {
        (false, _) => Exit::Undecided,
        (true, 0) => Exit::Good,
        (true, _) => Exit::Bad,
    }
}

/// Reads all files, and says of all of them what is wrong.
fn read(paths: &[PathBuf]) -> (Vec<Suite>, Vec<String>) {
    let (files, unread) = source::read_files(paths);
    let mut problems: Vec<String> = unread.iter().map(ToString::to_string).collect();
    let mut suites = Vec::new();
    for (name, text) in &files {
        match suite::read(text, name, &yaml::Limits::default()) {
            Ok(read) => suites.extend(read),
            Err(wrong) => problems.extend(wrong.iter().map(ToString::to_string)),
        }
    }
    (suites, problems)
}

async fn run_all(
    suites: Vec<Suite>,
    args: &TestArgs,
    problems: &mut Vec<String>,
    screen: &mut Screen<'_>,
) -> Vec<CaseResult> {
    let total: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let mut results = Vec::with_capacity(total);
    let needs = args.policies.clone().resolve(PolicyArgs::default());
    let needs = needs.and_then(|settings| Ok((evaluators(&settings)?, places(&settings)?)));
    let (evaluators, places) = match needs {
        Ok(needs) => needs,
        Err(problem) => {
            problems.push(problem);
            return results;
        }
    };
    let mut shared = Shared { args, places, known: HashMap::new() };
    let now = ask::now();
    for suite in suites {
        let snapshot = match shared.snapshot(suite.bundle, &suite.origin.file) {
            Ok(snapshot) => snapshot,
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        for (case, origin) in suite.cases {
            let result = case::run(&snapshot, &evaluators, case, origin, now).await;
            let failed = result.failure.is_some() && args.output == Format::Text;
            if total > MANY && (failed || results.len() % STEP == 0) {
                screen.show_progress(if failed {
                    String::new()
                } else {
                    format!("{} of {total} cases", results.len())
                });
            }
            if failed {
                let text = report::failure(&result, screen.paint());
                screen.put(text);
            }
            results.push(result);
        }
    }
    if total > MANY {
        screen.show_progress("");
    }
    results
}

/// Configurations that are given by path, each read once. One that is not valid is told of once.
struct Shared<'a> {
    args: &'a TestArgs,
    places: Option<Arc<Databases>>,
    known: HashMap<PathBuf, Option<Arc<Snapshot>>>,
}

impl Shared<'_> {
    /// The configuration of a suite in this file.
    fn snapshot(&mut self, bundle: BundleSource, file: &str) -> Result<Arc<Snapshot>, Vec<String>> {
        let path = match bundle {
            BundleSource::Inline(resources) => {
                return self.load(Ok(Loaded { resources, ..Loaded::default() }));
            }
            BundleSource::Path(path) => Path::new(file).parent().unwrap_or(Path::new("")).join(path),
        };
        // Two ways to write a path are one configuration.
        let key = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone().ok_or_else(Vec::new);
        }
        let spec = self.args.blueprints.spec(&[path], &[]);
        let snapshot = self.load(sources::load(&spec));
        self.known.insert(key, snapshot.as_ref().ok().map(Arc::clone));
        snapshot
    }

    fn load(&self, loaded: Result<Loaded, Vec<String>>) -> Result<Arc<Snapshot>, Vec<String>> {
        let store = sources::store(loaded?, self.args.store.settings())?;
        if let Some(places) = &self.places {
            store.set_places(Arc::clone(places) as Arc<_>);
        }
        Ok(store.load())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run_captured;
    use std::fs;

    const SUITE: &str = "\
bundle:
  applications: [{slug: a}]
  policies: [{name: shut, dummy: {messages: {texts: [one, two]}}}]
  policy_bindings: [{target: {application: a}, policy: shut}]
tests:
  - name: denied
    check: {target: {application: a}, subject: {username: ada}}
    expect: {decision: deny, messages: [one, two]}
  - name: gone
    check: {target: {application: b}, subject: {username: ada}}
    expect: {error: no application}
";

    fn test(text: &str, more: &[&str]) -> (Exit, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.yaml");
        fs::write(&path, text).unwrap();
        let (exit, out, err) = run_captured(&[&["test", path.to_str().unwrap()], more].concat());
        let start = format!("{}/", folder.path().display());
        (exit, out.replace(&start, ""), err.replace(&start, ""))
    }

    #[test]
    fn cases_that_pass_are_only_counted() {
        assert_eq!(test(SUITE, &[]), (Exit::Good, "2 passed, 0 failed\n".into(), String::new()));
    }

    #[test]
    fn a_case_that_fails_says_why() {
        let text =
            SUITE.replace("decision: deny, messages: [one, two]", "decision: allow, messages: [two, one]");
        let (exit, out, _) = test(&text, &[]);
        let expected = "\
FAIL t.yaml:6 denied: expected allow, got deny; expected the messages [two, one], got [one, two]
  application/a  DENY  one of its bindings must pass
  │  order  subject      result  negated  messages
  └─     0  policy/shut  fail             one; two
1 passed, 1 failed
";
        assert_eq!((exit, out.as_str()), (Exit::Bad, expected));
    }

    const FLOWS: &str = "\
bundle:
  flows: [{slug: login}]
  stages: [{name: password}, {name: mfa}]
  flow_stage_bindings:
    - {id: one, flow: login, stage: password, order: 0}
    - {id: two, flow: login, stage: mfa, order: 1}
  users: [{id: \"7\", username: ada}]
  policy_bindings: [{target: {flow_stage_binding: two}, user: {username: ada}}]
tests:
  - name: walked
    plan: {flow: login, subject: {anonymous: true}}
    expect: {stages: [password, mfa]}
    steps:
      - expect: {stage: password, dropped: [], messages: []}
      - set: {pending_user: ada}
        expect: {stage: mfa}
      - set: {pending_user: ~}
        subject: {username: ada}
        expect: {finished: true}
  - name: gone
    plan: {flow: logout, subject: {anonymous: true}}
    expect: {error: no flow}
";

    #[test]
    fn flows_are_planned_and_walked() {
        assert_eq!(test(FLOWS, &[]), (Exit::Good, "2 passed, 0 failed\n".into(), String::new()));
        for (right, wrong, part) in [
            (
                "[password, mfa]",
                "[mfa]",
                "walked: expected the stages [mfa], got [password, mfa]\n  PLANNED\n",
            ),
            ("stages: [password, mfa]", "outcome: empty", "expects no plan, and goes through it"),
            (
                "{stage: password,",
                "{stage: mfa,",
                "step 1: expected stage `mfa`, got stage `password`\n  > password",
            ),
            ("dropped: []", "dropped: [x]", "step 1: expected the dropped stages [x], got []"),
            ("messages: []", "messages: [x]", "step 1: expected the messages [x], got []"),
            (
                "pending_user: ada",
                "other: ada",
                "step 2: expected stage `mfa`, got the end\n  - mfa: it is dropped",
            ),
            (
                "error: no flow",
                "error: else",
                "gone: expected an error with `else`, got the error `flow: there",
            ),
            (
                "error: no flow",
                "outcome: empty",
                "gone: expected a plan, got the error `flow: there is no flow",
            ),
            ("flow: logout", "flow: login", "gone: expected an error with `no flow`, got planned"),
        ] {
            let (exit, out, err) = test(&FLOWS.replace(right, wrong), &[]);
            assert!(exit != Exit::Good && (out.contains(part) || err.contains(part)), "{wrong}: {out}{err}");
        }
        let (_, out, _) = test(&FLOWS.replace("[password, mfa]", "[mfa]"), &["--output=json"]);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["cases"][0]["plan"]["outcome"], "PLAN_OUTCOME_PLANNED");
        let (_, out, _) = test(&FLOWS.replace("{stage: password,", "{stage: mfa,"), &["--output=json"]);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["cases"][0]["step"]["stage"]["stage"], "password");
    }

    #[test]
    fn only_some_cases() {
        assert_eq!(test(SUITE, &["--filter=gone"]).1, "1 passed, 0 failed\n");
        let (exit, out, err) = test(SUITE, &["--filter=nothing"]);
        assert_eq!((exit, out.as_str()), (Exit::Undecided, "0 passed, 0 failed\n"));
        assert!(err.contains("no name of a case contains `nothing`"), "{err}");
    }

    #[test]
    fn a_bad_document_does_not_hide_the_others() {
        let text = format!(
            "{SUITE}---\nbundle:\n  policy_bindings: [{{target: {{application: x}}, policy: y}}]\ntests:\n  - name: z\n    check: {{target: {{application: x}}, subject: {{anonymous: true}}}}\n    expect: {{decision: allow}}\n"
        );
        let (exit, out, err) = test(&text, &[]);
        assert_eq!((exit, out.as_str()), (Exit::Undecided, "2 passed, 0 failed\n"));
        assert!(err.contains("t.yaml:14: policy binding"), "{err}");
    }

    #[test]
    fn a_configuration_by_path_is_read_once_and_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.yaml");
        let case = "tests:\n  - name: z\n    check: {target: {application: x}, subject: {anonymous: true}}\n    expect: {decision: allow}\n";
        fs::write(&path, format!("bundle: none.yaml\n{case}---\nbundle: ./none.yaml\n{case}")).unwrap();
        let (exit, _, err) = run_captured(&["test", path.to_str().unwrap()]);
        assert_eq!(exit, Exit::Undecided);
        assert_eq!(err.lines().count(), 2, "{err}");
        fs::write(folder.path().join("none.yaml"), "applications: [{slug: x}]\n").unwrap();
        let (exit, out, err) = run_captured(&["test", path.to_str().unwrap()]);
        assert_eq!((exit, out.as_str()), (Exit::Good, "2 passed, 0 failed\n"), "{err}");
    }

    #[test]
    fn machines_get_their_formats() {
        let text =
            SUITE.replace("decision: deny", "decision: allow").replace("name: denied", "name: a <b> & \"c\"");
        let (exit, out, _) = test(&text, &["--output=json"]);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((exit, json["passed"].as_u64(), json["failed"].as_u64()), (Exit::Bad, Some(1), Some(1)));
        assert_eq!(json["cases"][0]["explanation"]["decision"], "DECISION_DENY");
        let (exit, out, _) = test(&text, &["--output=junit"]);
        assert_eq!(exit, Exit::Bad);
        assert!(out.contains("name=\"a &lt;b&gt; &amp; &quot;c&quot;\""), "{out}");
    }

    #[test]
    fn many_documents_take_little_time() {
        let text = vec![SUITE; 5_000].join("---\n");
        let start = std::time::Instant::now();
        assert_eq!(test(&text, &[]).1, "10000 passed, 0 failed\n");
        // Generous: this is a build without optimization, on a machine that may be busy.
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
