//! `bindery convert`: turns authentik blueprints into one bundle.
//!
//! Must not know: how either is written.

use super::Exit;
use super::output::{Screen, one_line};
use super::policies;
use super::sources::{self, BlueprintArgs};
use super::validate::{tally_lines, tell};
use crate::store::Settings;
use crate::sync::bundle;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What `bindery convert` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Give all blueprints that belong together at once, since they refer to one another. Bundles among the files go into the
result as they are. What was skipped is told on standard error.

Examples:
  bindery convert blueprints/ > bundle.yaml
  bindery convert blueprints/ --blueprint-env DOMAIN --output json --to bundle.json

Exit code: 0 converted, 2 not.")]
pub(super) struct ConvertArgs {
    /// Blueprint: a file or a directory
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    blueprints: BlueprintArgs,

    /// How to write the bundle
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Yaml)]
    output: Format,

    /// File to write to, instead of standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

/// Runs the command.
pub(super) fn run(args: &ConvertArgs, screen: &mut Screen<'_>) -> Exit {
    let text = match convert(args, screen) {
        Ok(text) => text,
        Err(problems) => {
            tell(&problems, screen);
            return Exit::Undecided;
        }
    };
    match &args.to {
        None => screen.put(text),
        Some(path) => {
            if let Err(error) = std::fs::write(path, text) {
                screen.note(format_args!("`{}` cannot be written: {error}", path.display()));
                return Exit::Undecided;
            }
        }
    }
    Exit::Good
}

/// The bundle as text. Only one that the server would take: a bundle that is not valid helps nobody.
fn convert(args: &ConvertArgs, screen: &mut Screen<'_>) -> Result<String, Vec<String>> {
    let mut loaded = sources::load(&args.blueprints.spec(&[], &args.paths))?;
    for line in tally_lines(&std::mem::take(&mut loaded.tally)) {
        screen.note(line);
    }
    for warning in std::mem::take(&mut loaded.warnings) {
        screen.note(format_args!("warning: {}", one_line(&warning.to_string())));
    }
    let origins = policies::origins(&loaded.resources);
    let resources: Vec<_> = loaded.resources.iter().map(|(resource, _)| resource.clone()).collect();
    let store = sources::store(loaded, Settings::default())?;
    for warning in policies::warnings(&policies::told(&store.load(), &origins)) {
        screen.note(format_args!("warning: {}", one_line(&warning)));
    }
    let bundle = bundle::group(resources);
    let written = match args.output {
        Format::Yaml => bundle::write_yaml(&bundle),
        Format::Json => bundle::write_json(&bundle),
    };
    let mut text = written.map_err(|error| vec![format!("the bundle cannot be written: {error}")])?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run_captured;
    use std::fs;

    const BLUEPRINT: &str = "\
version: 1
entries:
  - {model: authentik_core.group, identifiers: {name: staff}}
  - {model: authentik_brands.brand, identifiers: {domain: x}}
";

    #[test]
    fn a_blueprint_becomes_a_bundle_that_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("b.yaml"), folder.path().join("bundle.json"));
        fs::write(&from, BLUEPRINT).unwrap();
        let from = from.to_str().unwrap();
        let (exit, out, err) = run_captured(&["convert", from]);
        assert_eq!(exit, Exit::Good, "{err}");
        assert!(out.contains("groups:") && out.ends_with('\n'), "{out}");
        assert!(err.contains("authentik_brands.brand"), "{err}");
        let written = to.to_str().unwrap();
        let (exit, out, _) = run_captured(&["convert", from, "--output=json", "--to", written]);
        assert_eq!((exit, out.as_str()), (Exit::Good, ""));
        let (exit, _, err) = run_captured(&["validate", written]);
        assert_eq!(exit, Exit::Good, "{err}");
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("b.yaml");
        fs::write(&from, BLUEPRINT).unwrap();
        let to = folder.path().join("none/bundle.yaml");
        let (exit, _, err) = run_captured(&["convert", from.to_str().unwrap(), "--to", to.to_str().unwrap()]);
        assert_eq!(exit, Exit::Undecided);
        assert!(err.contains("bundle.yaml` cannot be written"), "{err}");
    }
}
