//! authentik's blueprints as they are: entries with tags, over several files that refer to one another.
//!
//! Objects of all files are known to one another in whatever order the files come, since their order on disk says
//! nothing. What is not ours (prompts, brands, providers, ...) is counted and skipped, but can be referred to. Must
//! not know: whether the resources fit together; that is checked when they are applied.

mod document;
mod fields;
mod models;
mod tags;
mod world;

use super::origin::{FileProblem, Origin};
use super::yaml::{self, Content, Limits, Node};
use crate::proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use world::World;

/// One file.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// As it is named in messages.
    pub name: Arc<str>,
    /// Its text.
    pub text: &'a str,
}

/// What blueprints may read besides themselves.
#[derive(Clone)]
pub struct Options<'a> {
    /// The value of an environment variable for `!Env`; nothing unless the operator named it.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The content of a file for `!File`; nothing unless the operator allowed it.
    pub file: &'a dyn Fn(&str) -> Option<String>,
    /// The instance's context, which stands over the defaults of each file.
    pub context: BTreeMap<String, serde_json::Value>,
    /// The tenant's default application access: whether an application without bindings is open.
    pub default_application_access: bool,
}

/// What became of the entries of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelTally {
    /// authentik's name of the model, such as `authentik_core.group`.
    pub model: String,
    /// Entries in all.
    pub entries: usize,
    /// Entries that became, or went into, a resource.
    pub taken: usize,
    /// Entries that did not: of a model that is not ours, or by condition or state.
    pub skipped: usize,
}

/// What blueprints hold.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The resources.
    pub resources: Vec<(v1::Resource, Origin)>,
    /// What became of the entries, by model.
    pub tally: Vec<ModelTally>,
    /// What is odd, but no error.
    pub warnings: Vec<FileProblem>,
}

/// Whether a document is a blueprint: a mapping with `entries`.
pub fn looks_like_blueprint(node: &Node) -> bool {
    matches!(node.content, Content::Mapping(_)) && node.get("entries").is_some()
}

/// Reads blueprints together.
///
/// # Errors
/// Everything that is wrong with any of them, in one go.
pub fn import(
    sources: &[Source<'_>],
    options: &Options<'_>,
    limits: &Limits,
) -> Result<Import, Vec<FileProblem>> {
    let mut world = World::new(options);
    for source in sources {
        match yaml::parse(source.text, limits) {
            Ok(documents) => {
                documents.iter().for_each(|document| document::read(&mut world, document, &source.name));
            }
            Err(error) => {
                let origin = Origin { file: Arc::clone(&source.name), line: error.line };
                world.problems.push(FileProblem { origin, message: error.message });
            }
        }
    }
    world.settle();
    models::resources(world)
}
