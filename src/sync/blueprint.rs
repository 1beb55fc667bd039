//! Reads authentik blueprints: entries of several files, put together, as resources.
//!
//! Must not know: where files and environment are; they are given.

mod document;
mod models;
mod tags;
mod value;
mod world;

use super::origin::{FileProblem, Origin};
use super::yaml::{self, Node};
use crate::proto::v1;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The file as it was named.
    pub name: Arc<str>,
    /// Its text.
    pub text: &'a str,
}

/// What an import needs besides the files.
pub struct Options<'a> {
    /// Looks up a variable of the environment, for `!Env`. Nothing: it is not set, or may not be seen.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file, for `!File`. Nothing: it is not there, or may not be seen.
    pub file: &'a dyn Fn(&str) -> Option<String>,
    /// Values for `!Context`, stronger than those of the files.
    pub context: BTreeMap<String, serde_json::Value>,
    /// Whether an application without an enabled binding lets everybody in: true leaves it to the server, false writes
    /// an `empty_result` of false to every application.
    pub default_application_access: bool,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("context", &self.context)
            .field("default_application_access", &self.default_application_access)
            .finish_non_exhaustive()
    }
}

/// What became of the entries of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelTally {
    /// The model, as app and model in lower case.
    pub model: String,
    /// Entries of it.
    pub entries: usize,
    /// Entries that went into a resource.
    pub taken: usize,
    /// Entries that did not: of a model that no decision needs, left out by conditions, or removed.
    pub skipped: usize,
}

/// What came out of the files.
#[derive(Clone, Debug)]
pub struct Import {
    /// The resources, each with the place of its first entry.
    pub resources: Vec<(v1::Resource, Origin)>,
    /// By model, in alphabetical order.
    pub tally: Vec<ModelTally>,
    /// What does not keep the files from being used.
    pub warnings: Vec<FileProblem>,
}

/// Whether a document is a blueprint: a mapping with `entries`.
pub fn looks_like_blueprint(node: &Node) -> bool {
    node.get("entries").is_some()
}

/// Puts the files together and takes what decisions need. The files may refer to one another in any order; where two
/// write the same field, the later one wins.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn import(
    sources: &[Source<'_>],
    options: &Options<'_>,
    limits: &yaml::Limits,
) -> Result<Import, Vec<FileProblem>> {
    let mut problems = Vec::new();
    let mut parsed: Vec<(&Arc<str>, Node)> = Vec::new();
    for source in sources {
        let at = |line| Origin { file: Arc::clone(&source.name), line };
        match yaml::parse(source.text, limits) {
            Ok(nodes) if nodes.is_empty() => {
                let message = "the file is empty; write `entries`, or remove it".to_owned();
                problems.push(FileProblem { origin: at(1), message });
            }
            Ok(nodes) => parsed.extend(nodes.into_iter().map(|node| (&source.name, node))),
            Err(error) => problems.push(FileProblem { origin: at(error.line), message: error.message }),
        }
    }
    let documents: Vec<_> =
        parsed.iter().map(|(name, node)| document::read(name, node, &mut problems)).collect();
    // An outline that is wrong would only bring wrong complaints about what it should hold.
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut world = world::gather(&documents, options, &mut problems);
    let mut warnings = Vec::new();
    models::cascade(&mut world, &mut warnings);
    let (resources, taken) = models::resources(&world, options, &mut problems, &mut warnings);
    if !problems.is_empty() {
        problems.sort_by_key(|problem| {
            let file = sources.iter().position(|source| source.name == problem.origin.file);
            (file, problem.origin.line)
        });
        problems.dedup();
        return Err(problems);
    }
    let mut tally: BTreeMap<&str, ModelTally> = BTreeMap::new();
    for entry in &world.entries {
        let counted = tally.entry(&entry.model).or_insert_with(|| ModelTally {
            model: entry.model.to_string(),
            entries: 0,
            taken: 0,
            skipped: 0,
        });
        counted.entries += 1;
        match entry.object {
            Some(object) if taken.contains(&object) => counted.taken += 1,
            _ => counted.skipped += 1,
        }
    }
    Ok(Import { resources, tally: tally.into_values().collect(), warnings })
}

#[cfg(test)]
mod tests;
