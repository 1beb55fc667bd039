//! `bindery check`: asks one question, of a server or of files, and shows the answer.
//!
//! Must not know: how a question is decided.

pub(super) mod ask;
pub(super) mod question;

use super::Exit;
use super::address::{self, ReachArgs};
use super::output::{Screen, count, one_line, tree};
use super::sources::{BlueprintArgs, StoreArgs};
use crate::config::PolicyArgs;
use crate::proto::{self, v1};
use crate::tls::client::Server;
use clap::{Args, ValueEnum};
use question::QuestionArgs;
use serde_json::json;
use std::path::PathBuf;

/// What `bindery check` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
A TARGET is kind/name:
  application/SLUG  entitlement/APPLICATION/NAME  source/SLUG  flow/SLUG  flow_stage_binding/ID
  device/IDENTIFIER  device_access_group/NAME  notification_rule/NAME  rac_endpoint/ID
An id may stand wherever a name does.

A value of --context and --attribute is a text; one that begins with @ is JSON, as in --context is_sso=@true.

Examples:
  bindery check application/grafana --user ada
  bindery check entitlement/grafana/editor --user guest --group contractors --bundle config/
  bindery check device/ACME-0001 --user ada --server unix:/run/bindery/bindery.sock --output json
  bindery check application/payroll --user ada --client-ip 192.0.2.10 --time 2026-06-15T09:00:00Z
  bindery check --request question.yaml --bundle config/

Exit code: 0 allow, 1 deny, 2 could not decide.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    question: QuestionArgs,

    /// The question as a file: a bindery.v1.CheckRequest as YAML or JSON, instead of the arguments above
    #[arg(long, value_name = "FILE", conflicts_with_all = ["QuestionArgs", "AboutArgs"], required_unless_present = "target")]
    request: Option<PathBuf>,

    /// How much to explain
    #[arg(long, value_enum, value_name = "LEVEL", help_heading = "Output", default_value_t = Explain::Full)]
    explain: Explain,

    #[command(flatten)]
    whom: WhomArgs,

    #[command(flatten)]
    blueprints: BlueprintArgs,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    policies: PolicyArgs,

    /// How to show the answer
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

/// Who is asked.
#[derive(Args, Debug)]
#[command(next_help_heading = "Who is asked")]
pub(super) struct WhomArgs {
    /// Server to ask: http(s)://ADDRESS:PORT, or unix:PATH [default: http://127.0.0.1:9191]
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["bundle", "blueprint"])]
    pub(super) server: Option<String>,

    #[command(flatten)]
    pub(super) reach: ReachArgs,

    /// Bundle to decide from, without a server: a file or a directory; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(super) bundle: Vec<PathBuf>,

    /// Blueprint to decide from, without a server: a file or a directory; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(super) blueprint: Vec<PathBuf>,
}

impl WhomArgs {
    /// The server that is asked, the usual one where none is named.
    pub(super) fn asked(&self) -> Result<Server, Trouble> {
        let address = self.server.as_deref().unwrap_or(ask::DEFAULT_SERVER);
        address::server(address, &self.reach).map_err(|why| Trouble::question(format!("server: {why}")))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Explain {
    /// The decision alone
    None,
    /// Why, in a sentence
    Reasons,
    /// Every binding
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// A bindery.v1.CheckResponse, or an object with `error`
    Json,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Trouble {
    error: v1::CheckError,
    /// What is wrong with files, each with its place.
    problems: Vec<String>,
}

impl Trouble {
    /// What went wrong, in a sentence, with what is wrong with files.
    pub(super) fn told(self) -> (String, Vec<String>) {
        (self.error.message, self.problems)
    }

    pub(super) fn new(code: tonic::Code, message: impl Into<String>) -> Self {
        let code = u32::try_from(i32::from(code)).unwrap_or_default();
        let error = v1::CheckError { code, message: message.into(), field: String::new() };
        Self { error, problems: Vec::new() }
    }

    /// The question is at fault.
    pub(super) fn question(message: impl Into<String>) -> Self {
        Self::new(tonic::Code::InvalidArgument, message)
    }

    /// Files are at fault.
    pub(super) fn files(what: &str, problems: Vec<String>) -> Self {
        let message = format!("{what}: {}", count(problems.len(), "problem"));
        Self { problems, ..Self::new(tonic::Code::InvalidArgument, message) }
    }
}

/// Runs the command.
pub(super) fn run(args: CheckArgs, screen: &mut Screen<'_>) -> Exit {
    let json = args.output == Format::Json;
    let result = answer(args);
    match result {
        Ok((response, named)) => {
            if json {
                match proto::to_json("bindery.v1.CheckResponse", &response) {
                    Ok(json) => screen.line(format_args!("{json:#}")),
                    Err(error) => return tell(&Trouble::new(tonic::Code::Internal, error), json, screen),
                }
            } else {
                let text = tree::answer(&response, named, screen.paint());
                screen.put(text);
            }
            match response.decision() {
                v1::Decision::Allow => Exit::Good,
                v1::Decision::Deny => Exit::Bad,
                v1::Decision::Unspecified => {
                    let message = "the server gave no decision; it may be of another version";
                    tell(&Trouble::new(tonic::Code::Internal, message), false, screen)
                }
            }
        }
        Err(trouble) => tell(&trouble, json, screen),
    }
}

/// Says why there is no answer.
pub(super) fn tell(trouble: &Trouble, json: bool, screen: &mut Screen<'_>) -> Exit {
    if json {
        let v1::CheckError { code, message, field } = &trouble.error;
        let error = json!({"code": code, "message": message, "field": field, "problems": trouble.problems});
        screen.line(format_args!("{:#}", json!({ "error": error })));
    }
    for problem in &trouble.problems {
        screen.note(one_line(problem));
    }
    screen.note(format_args!("could not decide: {}", one_line(&trouble.error.message)));
    Exit::Undecided
}

/// The answer, and whether the question names somebody.
fn answer(args: CheckArgs) -> Result<(v1::CheckResponse, bool), Trouble> {
    let CheckArgs { question, request, explain, whom, blueprints, store, policies, .. } = args;
    let mut request = match request {
        Some(path) => question::from_file(path)?,
        None => question.request()?,
    };
    if request.explain == 0 {
        request.explain = match explain {
            Explain::None => v1::ExplainLevel::None,
            Explain::Reasons => v1::ExplainLevel::Reasons,
            Explain::Full => v1::ExplainLevel::Full,
        }
        .into();
    }
    let named = request.subject.as_ref().is_some_and(|subject| !subject.anonymous);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Trouble::new(tonic::Code::Internal, format!("the runtime cannot be started: {error}"))
    })?;
    let response = if whom.bundle.is_empty() && whom.blueprint.is_empty() {
        runtime.block_on(ask::server(&whom.asked()?, request))?
    } else {
        let spec = blueprints.spec(&whom.bundle, &whom.blueprint);
        let policies = policies.resolve(PolicyArgs::default()).map_err(Trouble::question)?;
        runtime.block_on(ask::files(&spec, store.settings(), &policies, request))?
    };
    Ok((response, named))
}
