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
    let request = v1::PlanFlowRequest { flow, subject, context, allow_empty, explain, min_revision: 0 };
    let desk = if whom.bundle.is_empty() && whom.blueprint.is_empty() {
        Desk::server(whom.server)?
    } else {
        let spec = blueprints.spec(&whom.bundle, &whom.blueprint);
        let policies = policies.resolve(PolicyArgs::default()).map_err(Trouble::question)?;
        Desk::files(&spec, store.settings(), &policies)?
    };
    let response = desk.plan(request.clone())?;
    Ok((desk, request, response, bindings))
}
