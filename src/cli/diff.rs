//! `bindery diff`: compares two configurations, each from files or from a server.
//!
//! Must not know: how a difference is found.

use super::Exit;
use super::address::ReachArgs;
use super::output::{Screen, change, one_line};
use super::sources::{self, BlueprintArgs};
use super::{address, push};
use crate::store::{Settings, Snapshot};
use crate::sync::diff::between;
use crate::sync::publish;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// What `bindery diff` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
A and B are a bundle or blueprint (a file or a directory), or the sync listener of a server: http://ADDRESS:PORT or
unix:PATH.

Examples:
  bindery diff old/ new/
  bindery diff unix:/run/bindery/sync.sock config/
  bindery diff http://127.0.0.1:9192 http://127.0.0.1:9292 --output json

Exit code: 0 the same, 1 different, 2 could not compare.")]
pub(super) struct DiffArgs {
    /// What there was
    a: String,

    /// What there is
    b: String,

    #[command(flatten)]
    blueprints: BlueprintArgs,

    #[command(flatten)]
    reach: ReachArgs,

    /// Leave nothing out
    #[arg(long, help_heading = "Output")]
    full: bool,

    /// How to show the result
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

/// For whom output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Runs the command.
pub(super) fn run(args: &DiffArgs, screen: &mut Screen<'_>) -> Exit {
    let json = args.output == Format::Json;
    let sides = side(&args.a, &args.blueprints, &args.reach)
        .and_then(|a| Ok((a, side(&args.b, &args.blueprints, &args.reach)?)));
    let (a, b) = match sides {
        Ok(sides) => sides,
        Err(problems) => {
            for problem in &problems {
                screen.note(one_line(problem));
            }
            screen.note("could not compare");
            if json {
                screen.line(format_args!("{:#}", json!({"error": problems})));
            }
            return Exit::Undecided;
        }
    };
    let diff = between(&a, &b);
    if json {
        screen.line(format_args!("{:#}", change::as_json(&diff)));
    } else {
        change::show(&diff, args.full, screen);
    }
    if diff.is_empty() { Exit::Good } else { Exit::Bad }
}

fn side(text: &str, blueprints: &BlueprintArgs, reach: &ReachArgs) -> Result<Arc<Snapshot>, Vec<String>> {
    if address::is_server(text) {
        let server = address::server(text, reach).map_err(|error| vec![error])?;
        let runtime = push::runtime().map_err(|error| vec![error])?;
        let node = push::node("diff");
        let held = runtime.block_on(publish::fetch(&server, &node, Settings::default(), 1));
        let held = held.map_err(|error| vec![error.to_string()])?;
        return Ok(held.ledger.store().load());
    }
    let loaded = sources::load(&blueprints.spec(&[PathBuf::from(text)], &[]))?;
    Ok(sources::store(loaded, Settings::default())?.load())
}
