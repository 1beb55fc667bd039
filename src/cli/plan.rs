//! `bindery plan`: plans a flow for somebody, draws it, and walks through it when asked.
//!
//! Must not know: how a flow is planned.

mod desk;
pub(super) mod show;
mod walk;

use super::Exit;
use super::check::question::AboutArgs;
use super::check::{Trouble, WhomArgs, tell};
use super::output::Screen;
use super::sources::{BlueprintArgs, StoreArgs};
use crate::config::PolicyArgs;
use crate::proto::{self, v1};
use clap::{Args, ValueEnum};
use desk::Desk;
use serde_json::json;
use std::io::BufRead;

/// What `bindery plan` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
A value of --context and --attribute is a text; one that begins with @ is JSON, as in --context is_sso=@true. The entry
`pending_user` says whom the flow is about, once somebody is known: a username, or a map with `pk` or `username`.

With --step, changes of the context are read before each stage, one a line: KEY=VALUE, KEY=@JSON, or -KEY to remove one.
An empty line goes on, `q` ends.

Examples:
  bindery plan login --anonymous --bundle config/
  bindery plan login --anonymous --context pending_user=ada --step --bundle config/
  bindery plan login --anonymous --blueprint blueprints/ --output mermaid > login.mmd

Exit code: 0 there is a plan, 1 the flow is not for them or has no stage for them, 2 could not decide.")]
pub(super) struct PlanArgs {
    /// The flow, by slug or id
    #[arg(value_name = "FLOW")]
    flow: String,

    #[command(flatten)]
    about: AboutArgs,

    /// A plan without a stage is a plan
    #[arg(long)]
    allow_empty: bool,

    /// Walk through the plan, stage by stage
    #[arg(long)]
    step: bool,

    /// Show every binding of each stage
    #[arg(long, help_heading = "Output")]
    bindings: bool,

    #[command(flatten)]
    whom: WhomArgs,

    #[command(flatten)]
    blueprints: BlueprintArgs,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    policies: PolicyArgs,

    /// How to show the plan
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// An object with `plan`, a bindery.v1.PlanFlowResponse, and with --step the `steps`, each a
    /// bindery.v1.NextStageResponse
    Json,
    /// A Mermaid flowchart of the plan
    Mermaid,
}

/// Runs the command; changes of the context come from `lines`.
pub(super) fn run(args: PlanArgs, lines: &mut dyn BufRead, screen: &mut Screen<'_>) -> Exit {
    let (format, step) = (args.output, args.step);
    let json = format == Format::Json;
    let answer = plan(args);
    let (desk, request, response, bindings) = match answer {
        Ok(answer) => answer,
        Err(trouble) => return tell(&trouble, json, screen),
    };
    match format {
        Format::Text => screen.put(show::plan(&response, bindings, screen.paint())),
        Format::Mermaid => screen.put(show::mermaid(&request.flow, &response)),
        Format::Json => {}
    }
    let planned = response.outcome() == v1::PlanOutcome::Planned;
    let mut steps = Ok(Vec::new());
    if step && planned && format != Format::Mermaid {
        let quiet = json;
        steps = walk::walk(&desk, request, &response, lines, walk::Manner { quiet, bindings }, screen);
    }
    if json && let Ok(steps) = &steps {
        let of = |name: &str, message: Result<serde_json::Value, String>| {
            message.map_err(|error| Trouble::new(tonic::Code::Internal, format!("{name}: {error}")))
        };
        let whole = of("plan", proto::to_json("bindery.v1.PlanFlowResponse", &response)).and_then(|plan| {
            let steps = steps.iter().map(|it| of("step", proto::to_json("bindery.v1.NextStageResponse", it)));
            Ok((plan, steps.collect::<Result<Vec<_>, _>>()?))
        });
        match whole {
            Ok((plan, _)) if !step => screen.line(format_args!("{:#}", json!({ "plan": plan }))),
            Ok((plan, steps)) => screen.line(format_args!("{:#}", json!({ "plan": plan, "steps": steps }))),
            Err(trouble) => return tell(&trouble, json, screen),
        }
    }
    match (steps, planned) {
        (Err(trouble), _) => tell(&trouble, json, screen),
        (Ok(_), true) => Exit::Good,
        (Ok(_), false) => Exit::Bad,
    }
}

/// The answer, with what it takes to ask further, and whether bindings are wanted.
fn plan(args: PlanArgs) -> Result<(Desk, v1::PlanFlowRequest, v1::PlanFlowResponse, bool), Trouble> {
    let PlanArgs { flow, about, allow_empty, bindings, whom, blueprints, store, policies, .. } = args;
    if about.is_about_nobody() {
        let text = "say who asks: --user NAME, --user-id ID or --anonymous";
        return Err(Trouble::question(text));
    }
    let v1::CheckRequest { subject, context, .. } = about.request()?;
    let explain = v1::ExplainLevel::Full.into();
    let context = context.map(|context| *context);
    let request = v1::PlanFlowRequest { flow, subject, context, allow_empty, explain, min_revision: 0 };
    let desk = if whom.bundle.is_empty() && whom.blueprint.is_empty() {
        Desk::server(whom.asked()?)?
    } else {
        let spec = blueprints.spec(&whom.bundle, &whom.blueprint);
        let policies = policies.resolve(PolicyArgs::default()).map_err(Trouble::question)?;
        Desk::files(&spec, store.settings(), &policies)?
    };
    let response = desk.plan(request.clone())?;
    Ok((desk, request, response, bindings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;
    use std::fs;

    const FLOW: &str = "\
flows: [{slug: login}, {slug: closed, authentication: require_superuser}]
stages: [{name: password, kind: password}, {name: \"a \\\"<b>\\\"\", kind: captcha}, {name: mfa}, {name: done}]
flow_stage_bindings:
  - {id: one, flow: login, stage: password, order: 0, re_evaluate_policies: false}
  - {id: two, flow: login, stage: \"a \\\"<b>\\\"\", order: 1, evaluate_on_plan: true}
  - {id: three, flow: login, stage: mfa, order: 2}
  - {id: four, flow: login, stage: done, order: 3}
users: [{id: \"7\", username: ada}]
policies: [{name: never, dummy: {result: false, messages: {texts: [closed]}}}]
policy_bindings:
  - {target: {flow_stage_binding: two}, policy: never}
  - {target: {flow_stage_binding: three}, user: {username: ada}}
";

    fn plan(arguments: &[&str], lines: &str) -> (Exit, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        fs::write(&path, FLOW).unwrap();
        let all = [&["bindery", "plan", "--bundle", path.to_str().unwrap()], arguments].concat();
        let Command::Plan(args) = Cli::try_parse_from(all).unwrap().command else { panic!() };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err);
        let exit = run(*args, &mut lines.as_bytes(), &mut screen);
        assert!(screen.finish());
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn every_stage_has_its_mark_and_why() {
        let expected = "\
PLANNED
the anonymous subject goes through 3 of the 4 stages of flow `login`, 2 of which are looked at again right before they are shown

       order  stage    kind      why
in         0  password  password  its bindings are never looked at
out        1  a \"<b>\"   captcha   it is left out: policy `never` (order 0) fails with `closed`
later      2  mfa                 its bindings are looked at right before it is shown
later      3  done                its bindings are looked at right before it is shown

revision 1
";
        let expected = expected.replace("order  stage    kind", "order  stage     kind");
        assert_eq!(plan(&["login", "--anonymous"], ""), (Exit::Good, expected, String::new()));
    }

    #[test]
    fn a_walk_takes_changes_on_the_way() {
        let (exit, out, _) = plan(&["login", "--anonymous", "--step"], "\npending_user=ada\n\n\n\n");
        let steps: Vec<&str> = out.lines().skip_while(|line| !line.starts_with('>')).collect();
        assert_eq!(
            steps,
            [
                "> password (password)  its bindings are not looked at; 2 left after it",
                "> mfa  the subject is user `ada` (order 0); 1 left after it",
                "> done  it has no enabled binding, and its result is then pass; 0 left after it",
                "finished  no stage is left, so the flow is finished",
            ]
        );
        assert_eq!(exit, Exit::Good);
        // Taken back again; and whoever wants no more, ends.
        let lines = "x=@1\n-x\n-y\n\npending_user=ada\n-pending_user\n\nq\n";
        let (_, out, err) = plan(&["login", "--anonymous", "--step"], lines);
        assert!(
            out.contains("- mfa: it is dropped: the subject is not user `ada` (order 0)\n> done"),
            "{out}"
        );
        assert!(!out.contains("finished"), "{out}");
        assert_eq!(err, "there is no `y` in the context\n");
        let (exit, _, err) = plan(&["login", "--anonymous", "--step"], "nonsense\n");
        assert!(exit == Exit::Undecided && err.contains("write KEY=VALUE"), "{err}");
    }

    #[test]
    fn machines_get_the_messages() {
        let (exit, out, _) = plan(&["login", "--user=ada", "--step", "--output=json"], "");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((exit, &json["plan"]["outcome"]), (Exit::Good, &json!("PLAN_OUTCOME_PLANNED")));
        let shown: Vec<_> =
            json["steps"].as_array().unwrap().iter().map(|it| &it["stage"]["stage"]).collect();
        assert_eq!(shown, [&json!("password"), &json!("mfa"), &json!("done"), &json!(null)]);
        let (exit, out, _) = plan(&["none", "--user=ada", "--output=json"], "");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((exit, &json["error"]["field"]), (Exit::Undecided, &json!("flow")));
    }

    #[test]
    fn a_flowchart_holds_whatever_stands_in_names() {
        let (_, out, _) = plan(&["login", "--anonymous", "--output=mermaid"], "");
        let expected = "\
flowchart TD
  start([\"login\"])
  s0[\"0 password<br/>password\"]:::in
  start --> s0
  s1[\"1 a #34;#60;b#62;#34;<br/>captcha\"]:::out
  s0 -. out .-> s1
  s2[\"2 mfa<br/>\"]:::later
  s0 --> s2
  s3[\"3 done<br/>\"]:::later
  s2 --> s3
  s3 --> done([\"finished\"])
  classDef later stroke-dasharray: 4 4
  classDef out stroke-dasharray: 2 2, color: gray
";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_flow_that_is_not_for_somebody_says_why() {
        let (exit, out, _) = plan(&["closed", "--user=ada"], "");
        assert_eq!(exit, Exit::Bad);
        assert!(
            out.starts_with(
                "NOT APPLICABLE\nflow `closed` is not for `ada`: the flow requires a superuser\nwhat they see: the page"
            ),
            "{out}"
        );
        let (exit, _, err) = plan(&["login"], "");
        assert!(exit == Exit::Undecided && err.contains("say who asks"), "{err}");
    }
}
