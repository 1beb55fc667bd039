//! `bindery validate`: reads configuration as a whole and says what is wrong with it, or what is in it.
//!
//! Must not know: how files are read or what makes them valid.

use super::Exit;
use super::output::{Align, Screen, columns, count, one_line};
use super::policies::{self, Told};
use super::sources::{self, BlueprintArgs};
use crate::proto::v1;
use crate::store::Settings;
use crate::sync::blueprint::ModelTally;
use crate::sync::origin::Origin;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use v1::resource::Resource as R;

/// What `bindery validate` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
All files together are one configuration, checked as the server would: every reference must resolve and every policy
compile. Directories are searched for .yaml, .yml and .json files.

Examples:
  bindery validate config/
  bindery validate --bundle bundle.yaml --blueprint blueprints/
  bindery validate config/ --output json

Exit code: 0 valid, 2 not valid or not readable.")]
pub(super) struct ValidateArgs {
    /// Bundle or blueprint, told by its content: a file or a directory
    #[arg(value_name = "PATH", required_unless_present_any = ["bundle", "blueprint"])]
    paths: Vec<PathBuf>,

    /// Bundle: a file or a directory; may be given several times
    #[arg(long, value_name = "PATH")]
    bundle: Vec<PathBuf>,

    /// Blueprint: a file or a directory; may be given several times
    #[arg(long, value_name = "PATH")]
    blueprint: Vec<PathBuf>,

    /// List what every policy needs from a question or beside the configuration; without this only as many as fit
    /// on a page
    #[arg(long, help_heading = "Output")]
    policies: bool,

    #[command(flatten)]
    blueprints: BlueprintArgs,

    /// How to show the result
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// What a valid configuration holds.
struct Summary {
    kinds: Vec<(&'static str, usize)>,
    files: usize,
    tally: Vec<ModelTally>,
    warnings: Vec<String>,
    policies: Vec<Told>,
}

/// Runs the command.
pub(super) fn run(args: &ValidateArgs, screen: &mut Screen<'_>) -> Exit {
    let json = args.output == Format::Json;
    match validate(args) {
        Ok(summary) => {
            if json {
                screen.line(format_args!("{:#}", summary_json(&summary)));
            } else {
                show(&summary, args.policies, screen);
            }
            Exit::Good
        }
        Err(problems) => {
            if json {
                screen.line(format_args!("{:#}", json!({"valid": false, "problems": problems})));
            } else {
                tell(&problems, screen);
            }
            Exit::Undecided
        }
    }
}

/// Says what is wrong with files, and how much it is.
pub(super) fn tell(problems: &[String], screen: &mut Screen<'_>) {
    for problem in problems {
        screen.note(one_line(problem));
    }
    screen.note(format_args!("not valid: {}", count(problems.len(), "problem")));
}

fn validate(args: &ValidateArgs) -> Result<Summary, Vec<String>> {
    let bundles = [args.paths.as_slice(), &args.bundle].concat();
    let spec = args.blueprints.spec(&bundles, &args.blueprint);
    let mut loaded = sources::load(&spec)?;
    let mut warnings: Vec<String> =
        std::mem::take(&mut loaded.warnings).iter().map(ToString::to_string).collect();
    let tally = std::mem::take(&mut loaded.tally);
    let (kinds, files) = (kinds(&loaded.resources), loaded.files);
    let origins = policies::origins(&loaded.resources);
    let store = sources::store(loaded, Settings::default())?;
    let policies = policies::told(&store.load(), &origins);
    warnings.extend(policies::warnings(&policies));
    Ok(Summary { kinds, files, tally, warnings, policies })
}

/// How many lines of policies are shown unless all are asked for.
const PAGE: usize = 40;

/// The kinds in the order of the schema, as people call several of them.
const KINDS: [&str; 16] = [
    "applications",
    "entitlements",
    "sources",
    "flows",
    "flow-stage bindings",
    "devices",
    "device access groups",
    "notification rules",
    "RAC endpoints",
    "policy bindings",
    "policies",
    "stages",
    "users",
    "groups",
    "reputation scores",
    "routes",
];

const fn kind(resource: &R) -> usize {
    match resource {
        R::Application(_) => 0,
        R::Entitlement(_) => 1,
        R::Source(_) => 2,
        R::Flow(_) => 3,
        R::FlowStageBinding(_) => 4,
        R::Device(_) => 5,
        R::DeviceAccessGroup(_) => 6,
        R::NotificationRule(_) => 7,
        R::RacEndpoint(_) => 8,
        R::PolicyBinding(_) => 9,
        R::Policy(_) => 10,
        R::Stage(_) => 11,
        R::User(_) => 12,
        R::Group(_) => 13,
        R::ReputationScore(_) => 14,
        R::Route(_) => 15,
    }
}

/// How many resources there are of each kind that there is.
fn kinds(resources: &[(v1::Resource, Origin)]) -> Vec<(&'static str, usize)> {
    let mut counts = KINDS.map(|name| (name, 0));
    for resource in resources.iter().filter_map(|(resource, _)| resource.resource.as_ref()) {
        if let Some((_, count)) = counts.get_mut(kind(resource)) {
            *count += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn show(summary: &Summary, all: bool, screen: &mut Screen<'_>) {
    let paint = screen.paint();
    for warning in &summary.warnings {
        screen.line(format_args!("warning: {}", one_line(warning)));
    }
    if !summary.warnings.is_empty() {
        screen.line("");
    }
    if !summary.tally.is_empty() {
        for line in tally_lines(&summary.tally) {
            screen.line(line);
        }
        screen.line("");
    }
    let table = policies::table(&summary.policies);
    if !table.is_empty() && (all || table.len() <= PAGE) {
        table.iter().for_each(|line| screen.line(line));
        screen.line("");
    } else if !table.is_empty() {
        let number = table.len() - 1;
        screen
            .line(format_args!("{number} policies need something from a question; --policies lists what\n"));
    }
    let total = summary.kinds.iter().map(|(_, count)| count).sum::<usize>();
    let rows: Vec<_> =
        summary.kinds.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]).collect();
    for line in columns(&[Align::Left, Align::Right], &rows) {
        screen.line(line);
    }
    if !rows.is_empty() {
        screen.line("");
    }
    let (resources, files) = (count(total, "resource"), count(summary.files, "file"));
    let warnings = match summary.warnings.len() {
        0 => String::new(),
        number => format!(", {}", count(number, "warning")),
    };
    screen.line(format_args!("{}: {resources} from {files}{warnings}", paint.good("valid")));
}

/// What became of the entries of blueprints, as a table.
pub(super) fn tally_lines(tally: &[ModelTally]) -> Vec<String> {
    let mut rows = vec![["blueprint model", "entries", "taken", "skipped"].map(str::to_owned).to_vec()];
    rows.extend(tally.iter().map(|row| {
        let ModelTally { model, entries, taken, skipped } = row;
        vec![one_line(model), entries.to_string(), taken.to_string(), skipped.to_string()]
    }));
    columns(&[Align::Left, Align::Right, Align::Right, Align::Right], &rows)
}

fn summary_json(summary: &Summary) -> serde_json::Value {
    let models: Vec<_> = summary
        .tally
        .iter()
        .map(|row| json!({"model": row.model, "entries": row.entries, "taken": row.taken, "skipped": row.skipped}))
        .collect();
    let resources: serde_json::Map<_, _> = summary
        .kinds
        .iter()
        .map(|(name, count)| (name.replace([' ', '-'], "_").to_lowercase(), json!(count)))
        .collect();
    json!({
        "valid": true,
        "files": summary.files,
        "resources": resources,
        "warnings": summary.warnings,
        "blueprint_models": models,
        "policies": policies::as_json(&summary.policies),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run_captured;
    use std::fs;

    #[test]
    fn a_valid_configuration_is_summed_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, "applications: [{slug: a}, {slug: b}]\nrac_endpoints: [{id: db}]\nroutes: [{target: {application: a}}]\n")
            .unwrap();
        let (exit, out, err) = run_captured(&["validate", path.to_str().unwrap()]);
        let expected =
            "applications   2\nRAC endpoints  1\nroutes         1\n\nvalid: 4 resources from 1 file\n";
        assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Good, expected, ""));
        let (_, out, _) = run_captured(&["validate", "--bundle", path.to_str().unwrap(), "--output=json"]);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["resources"], json!({"applications": 2, "rac_endpoints": 1, "routes": 1}));
    }

    #[test]
    fn every_problem_of_every_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "applications:\n  - {slug: a}\n  - {slugg: b}\n").unwrap();
        fs::write(folder.path().join("b.yaml"), "users: 3\n").unwrap();
        let (exit, out, err) = run_captured(&["validate", folder.path().to_str().unwrap()]);
        assert_eq!((exit, out.as_str()), (Exit::Undecided, ""));
        assert!(err.contains("a.yaml:3: ") && err.contains("b.yaml:1: "), "{err}");
        assert!(err.ends_with("not valid: 2 problems\n"), "{err}");
    }

    #[test]
    fn what_does_not_fit_together_is_told_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, "policy_bindings:\n\n  - target: {application: gone}\n    group: {name: x}\n")
            .unwrap();
        let (exit, _, err) = run_captured(&["validate", path.to_str().unwrap()]);
        assert_eq!(exit, Exit::Undecided);
        assert!(err.contains("a.yaml:3: policy binding"), "{err}");
    }

    #[test]
    fn the_table_of_models_lines_up() {
        let row = |model: &str, entries, taken| ModelTally {
            model: model.into(),
            entries,
            taken,
            skipped: entries - taken,
        };
        let lines = tally_lines(&[row("authentik_core.group", 12, 12), row("authentik_brands.brand", 1, 0)]);
        assert_eq!(
            lines,
            [
                "blueprint model         entries  taken  skipped",
                "authentik_core.group         12     12        0",
                "authentik_brands.brand        1      0        1",
            ]
        );
    }
}
