//! Configuration for commands that read it themselves: the arguments that name it, and the way from files to a store.
//!
//! Must not know: what a command does with it.

use crate::config::{self, Authority, EmptyResult};
use crate::store::{GroupAuthority, Settings, Store};
use crate::sync::apply::{Update, apply};
use crate::sync::source::{self, Loaded, SourceSpec};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// How blueprints are read. The names are those of `bindery serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Reading blueprints")]
pub(super) struct BlueprintArgs {
    /// Environment variable that blueprints may read with !Env; others give nothing
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) blueprint_env: Vec<String>,

    /// Directory whose files blueprints may read with !File; others give nothing
    #[arg(long, value_name = "DIR")]
    pub(super) blueprint_files: Option<PathBuf>,

    /// What an application without bindings gives when it comes from a blueprint: authentik's default application
    /// access
    #[arg(long, value_name = "RESULT", default_value = "pass")]
    pub(super) application_access: Option<EmptyResult>,
}

/// What a store decides differently from another. The names are those of `bindery serve`.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Deciding from files")]
pub(super) struct StoreArgs {
    /// The result of a target without an enabled binding that does not say itself
    #[arg(long, value_name = "RESULT", default_value = "pass")]
    pub(super) default_empty_result: Option<EmptyResult>,

    /// Whose word counts on the groups of a user that the directory knows
    #[arg(long, value_name = "WHO", default_value = "directory")]
    pub(super) group_authority: Option<Authority>,
}

impl BlueprintArgs {
    /// These bundles and blueprints, read in this way.
    pub(super) fn spec(&self, bundles: &[PathBuf], blueprints: &[PathBuf]) -> SourceSpec {
        SourceSpec {
            bundles: bundles.to_vec(),
            blueprints: blueprints.to_vec(),
            env_names: self.blueprint_env.clone(),
            env: Arc::new(config::variable),
            files_dir: self.blueprint_files.clone(),
            default_application_access: self.application_access != Some(EmptyResult::Fail),
        }
    }
}

impl StoreArgs {
    /// The settings of a store.
    pub(super) fn settings(self) -> Settings {
        Settings {
            default_empty_result: self.default_empty_result != Some(EmptyResult::Fail),
            group_authority: match self.group_authority {
                None | Some(Authority::Directory) => GroupAuthority::Directory,
                Some(Authority::Caller) => GroupAuthority::Caller,
                Some(Authority::Union) => GroupAuthority::Union,
            },
        }
    }
}

/// Reads files; what is wrong, each with its place.
pub(super) fn load(spec: &SourceSpec) -> Result<Loaded, Vec<String>> {
    source::load(spec).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// A store with this configuration in force, or what is wrong with it, each with its place.
pub(super) fn store(loaded: Loaded, settings: Settings) -> Result<Store, Vec<String>> {
    let (resources, origins) = loaded.into_parts();
    let store = Store::new(settings);
    match apply(&store, Update::Replace(resources)) {
        Ok(_) => Ok(store),
        Err(problems) => Err(source::locate(&problems, &origins)),
    }
}
