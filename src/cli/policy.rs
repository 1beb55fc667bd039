//! `bindery policy run`: evaluates one policy by itself and shows what it says, what it took and what it changed.
//!
//! Must not know: how a policy is evaluated.

use super::Exit;
use super::check::Trouble;
use super::check::question::AboutArgs;
use super::evaluators::{evaluators, places};
use super::output::{Screen, one_line};
use super::sources::{self, BlueprintArgs, StoreArgs};
use crate::api::ask;
use crate::config::PolicyArgs;
use crate::evaluators::{Trial, Way};
use crate::model::TargetRef;
use crate::proto::resource::target_ref;
use crate::proto::v1;
use crate::proto::value::to_json;
use crate::sync::origin::Origin;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// What `bindery policy` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  bindery policy run only-staff --bundle config/ --user ada
  bindery policy run --expression rule.py --user ada --bundle config/
  echo 'return context[\"n\"] > 1' | bindery policy run --expression - --context n=@2")]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Evaluate one policy for a subject and a context, without any binding
    Run(Box<RunArgs>),
}

#[derive(Args, Debug)]
#[command(after_help = "\
A value of --context and --attribute is a text; one that begins with @ is JSON, as in --context n=@2.

Examples:
  bindery policy run only-staff --bundle config/ --user ada
  bindery policy run office-hours --bundle config/ --user ada --time 2026-06-15T09:00:00Z --output json
  bindery policy run --expression rule.cel --language cel --user ada --group staff

Exit code: 0 pass, 1 fail, 2 the policy errors, or could not be run.")]
struct RunArgs {
    /// The policy, by name or id
    #[arg(value_name = "POLICY", required_unless_present = "expression", conflicts_with = "expression")]
    policy: Option<String>,

    /// File with an expression to run instead of a policy of the configuration; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    expression: Option<PathBuf>,

    /// Language of the expression
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t = Language::Python, requires = "expression")]
    language: Language,

    /// How long the policy may take, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    timeout_ms: u64,

    /// Target that the policy sees, such as application/grafana
    #[arg(long, value_name = "TARGET", help_heading = "The question")]
    target: Option<TargetRef>,

    #[command(flatten)]
    about: AboutArgs,

    /// Bundle: a file or a directory; may be given several times
    #[arg(long, value_name = "PATH", help_heading = "Configuration")]
    bundle: Vec<PathBuf>,

    /// Blueprint: a file or a directory; may be given several times
    #[arg(long, value_name = "PATH", help_heading = "Configuration")]
    blueprint: Vec<PathBuf>,

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
enum Language {
    /// A Python function body, as authentik has it
    Python,
    /// A CEL expression
    Cel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// The name of a policy that is only tried.
const TRIED: &str = "expression";

/// Runs the command.
pub(super) fn run(command: PolicyCommand, screen: &mut Screen<'_>) -> Exit {
    let Command::Run(args) = command.command;
    let json = args.output == Format::Json;
    match trial(*args) {
        Ok(trial) => {
            if json {
                screen.line(format_args!("{:#}", as_json(&trial)));
            } else {
                show(&trial, screen);
            }
            match trial.verdict.result {
                Ok(true) => Exit::Good,
                Ok(false) => Exit::Bad,
                Err(_) => Exit::Undecided,
            }
        }
        Err(trouble) => {
            let (message, problems) = trouble.told();
            if json {
                screen.line(format_args!("{:#}", json!({"error": message, "problems": problems})));
            }
            for problem in &problems {
                screen.note(one_line(problem));
            }
            screen.note(format_args!("the policy was not run: {}", one_line(&message)));
            Exit::Undecided
        }
    }
}

fn trial(args: RunArgs) -> Result<Trial, Trouble> {
    let settings = args.policies.resolve(PolicyArgs::default()).map_err(Trouble::question)?;
    let mut loaded = sources::load(&args.blueprints.spec(&args.bundle, &args.blueprint))
        .map_err(|problems| Trouble::files("the configuration cannot be read", problems))?;
    let name = match (args.policy, args.expression) {
        (Some(name), _) => name,
        (None, Some(path)) => {
            let file = path.display().to_string().into();
            loaded.resources.push((expression(&path, args.language)?, Origin { file, line: 1 }));
            TRIED.to_owned()
        }
        (None, None) => return Err(Trouble::question("name a policy, or give --expression FILE")),
    };
    let store = sources::store(loaded, args.store.settings())
        .map_err(|problems| Trouble::files("the configuration is not valid", problems))?;
    if let Some(places) = places(&settings).map_err(Trouble::question)? {
        store.set_places(places);
    }
    let evaluators = evaluators(&settings).map_err(Trouble::question)?;
    // One that is not there: the policy then sees no target.
    let target = args.target.unwrap_or(TargetRef::Named(crate::model::TargetKind::Application, "-".into()));
    let request = v1::CheckRequest { target: Some(target_ref(&target)), ..args.about.request()? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Trouble::question(format!("the runtime cannot be started: {error}")))?;
    let timeout = Duration::from_millis(args.timeout_ms);
    let snapshot = store.load();
    let trial = ask::trial(&snapshot, &evaluators, &name, request, timeout, ask::now());
    runtime.block_on(trial).map_err(|failure| Trouble::question(failure.message))
}

fn expression(path: &std::path::Path, language: Language) -> Result<v1::Resource, Trouble> {
    let read = if path.as_os_str() == "-" {
        let mut text = String::new();
        // One more than is allowed, so that too much is seen as such.
        let most = crate::policy::python::MAX_SOURCE as u64 + 1;
        std::io::stdin().take(most).read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let source =
        read.map_err(|error| Trouble::question(format!("`{}` cannot be read: {error}", path.display())))?;
    let language = match language {
        Language::Python => v1::ExpressionLanguage::Python,
        Language::Cel => v1::ExpressionLanguage::Cel,
    };
    let kind = v1::policy::Kind::Expression(v1::ExpressionPolicy { language: language.into(), source });
    let policy = v1::Policy { name: TRIED.to_owned(), kind: Some(kind), ..Default::default() };
    Ok(v1::Resource { resource: Some(v1::resource::Resource::Policy(policy)) })
}

fn show(trial: &Trial, screen: &mut Screen<'_>) {
    let paint = screen.paint();
    let verdict = &trial.verdict;
    let word = match &verdict.result {
        Ok(true) => paint.good("PASS"),
        Ok(false) => paint.bad("FAIL"),
        Err(text) => format!("{}  {}", paint.bad("ERROR"), one_line(text)),
    };
    screen.line(word);
    let value = to_json(&trial.value);
    if !value.is_null() {
        screen.line(format_args!("value    {}", one_line(&value.to_string())));
    }
    for message in &verdict.messages {
        screen.line(format_args!("message  {}", one_line(message)));
    }
    if let Some(changes) = &verdict.changes {
        for (what, value) in [("context", &changes.values), ("user", &changes.attributes)] {
            if let Some(value) = value {
                screen.line(format_args!("{what:<7}  {}", one_line(&to_json(value).to_string())));
            }
        }
    }
    if let Some(way) = &trial.way {
        screen.line(format_args!("way      {}", told(way)));
    }
    let steps = trial.steps.map(|steps| format!(", {steps} steps")).unwrap_or_default();
    screen.line(format_args!("took     {:.1?}{steps}", trial.took));
}

/// What answered, for people.
fn told(way: &Way) -> String {
    match way {
        Way::Native => "native".to_owned(),
        Way::Interpreter(Some(why)) => format!("interpreter, because of {} in line {}", why.what, why.line),
        Way::Interpreter(None) => {
            "interpreter, because of this question: others are answered natively".to_owned()
        }
    }
}

fn as_json(trial: &Trial) -> serde_json::Value {
    let verdict = &trial.verdict;
    let changes = verdict.changes.as_ref();
    json!({
        "passing": verdict.result.as_ref().ok(),
        "error": verdict.result.as_ref().err(),
        "value": to_json(&trial.value),
        "messages": verdict.messages,
        "context": changes.and_then(|it| it.values.as_ref()).map(to_json),
        "attributes": changes.and_then(|it| it.attributes.as_ref()).map(to_json),
        "nanoseconds": u64::try_from(trial.took.as_nanos()).unwrap_or(u64::MAX),
        "steps": trial.steps,
        "way": trial.way.as_ref().map(|way| match way {
            Way::Native => "native",
            Way::Interpreter(_) => "interpreter",
        }),
        "interpreted": trial.way.as_ref().and_then(|way| match way {
            Way::Interpreter(Some(why)) => Some(json!({"line": why.line, "what": why.what})),
            _ => None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run_captured;

    #[test]
    fn a_policy_says_its_piece() {
        let folder = tempfile::tempdir().unwrap();
        let rule = folder.path().join("rule.cel");
        std::fs::write(&rule, "context.n > 1.0").unwrap();
        let rule = rule.to_str().unwrap();
        let tried = |more: &[&str]| {
            run_captured(&[&["policy", "run", "--expression", rule, "--language=cel"], more].concat())
        };
        let (exit, out, err) = tried(&["--context", "n=@2"]);
        assert_eq!((exit, err.as_str()), (Exit::Good, ""));
        assert!(out.starts_with("PASS\ntook ") && out.ends_with(" steps\n"), "{out}");
        let (exit, out, _) = tried(&["--context", "n=@1", "--output=json"]);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((exit, json["passing"].as_bool()), (Exit::Bad, Some(false)));
        let (exit, out, _) = tried(&[]);
        assert_eq!(exit, Exit::Undecided);
        assert!(out.starts_with("ERROR  "), "{out}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let (exit, _, err) = run_captured(&["policy", "run", "none"]);
        assert_eq!(exit, Exit::Undecided);
        assert_eq!(err, "the policy was not run: policy: there is no policy `none` in the configuration\n");
        let (_, _, err) = run_captured(&["policy", "run", "--expression", "/no/such.py"]);
        assert!(err.contains("`/no/such.py` cannot be read"), "{err}");
    }
}
