//! Configuration from files: finds them, reads them under limits, and tells bundles from blueprints.
//!
//! Must not know: what is done with what they hold.

use super::origin::{FileProblem, Origin};
use super::yaml::{self, Limits, Node};
use super::{blueprint, bundle};
use crate::model::Problem;
use crate::proto::v1;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// The largest configuration over all files, in bytes.
const MAX_TOTAL: u64 = 256 << 20;
/// The most files.
const MAX_FILES: usize = 10_000;
/// How deep directories are searched.
const MAX_DEPTH: usize = 16;

/// Gives the value of an environment variable.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where a configuration comes from.
#[derive(Clone)]
pub struct SourceSpec {
    /// Bundles, or files and directories of whose content it is to be told.
    pub bundles: Vec<PathBuf>,
    /// Blueprints, likewise.
    pub blueprints: Vec<PathBuf>,
    /// The environment variables that blueprints may read.
    pub env_names: Vec<String>,
    /// The environment.
    pub env: Environment,
    /// The directory whose files blueprints may read.
    pub files_dir: Option<PathBuf>,
    /// What an application without bindings gives when imported from authentik: its tenant's default access.
    pub default_application_access: bool,
}

impl SourceSpec {
    /// These files and directories, with nothing of the environment.
    pub fn of(paths: Vec<PathBuf>) -> Self {
        Self {
            bundles: paths,
            blueprints: Vec::new(),
            env_names: Vec::new(),
            env: Arc::new(|_| None),
            files_dir: None,
            default_application_access: true,
        }
    }

    /// Every file and directory of it.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.bundles.iter().chain(&self.blueprints).cloned().collect()
    }
}

impl std::fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceSpec").field("paths", &self.paths()).finish_non_exhaustive()
    }
}

/// What files hold.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The resources, with where each was written.
    pub resources: Vec<(v1::Resource, Origin)>,
    /// What blueprints had, by model.
    pub tally: Vec<blueprint::ModelTally>,
    /// What is odd, but no error.
    pub warnings: Vec<FileProblem>,
    /// How many files were read.
    pub files: usize,
}

impl Loaded {
    /// The resources alone, for an update.
    pub fn into_parts(self) -> (Vec<v1::Resource>, Vec<Origin>) {
        self.resources.into_iter().unzip()
    }
}

/// Problems of an update, told by where the resource was written.
pub fn locate(problems: &[Problem], origins: &[Origin]) -> Vec<String> {
    let tell = |problem: &Problem| match problem.index.and_then(|index| origins.get(index)) {
        Some(origin) => format!("{origin}: {problem}"),
        None => problem.to_string(),
    };
    problems.iter().map(tell).collect()
}

/// Reads a configuration.
///
/// # Errors
/// Everything that is wrong with any file, in one go.
pub fn load(spec: &SourceSpec) -> Result<Loaded, Vec<FileProblem>> {
    let mut reader = Reader::default();
    for path in spec.paths() {
        reader.collect(&path);
    }
    let mut loaded = Loaded { files: reader.files.len(), ..Loaded::default() };
    let mut problems = reader.problems;
    let limits = Limits::default();
    let mut blueprints: Vec<(Arc<str>, &str)> = Vec::new();
    for (name, text) in &reader.files {
        let documents = match yaml_documents(name, text, &limits) {
            Ok(documents) => documents,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        if documents.iter().any(blueprint::looks_like_blueprint) {
            blueprints.push((Arc::clone(name), text));
            continue;
        }
        for document in &documents {
            match bundle::read(document, name) {
                Ok(resources) => loaded.resources.extend(resources),
                Err(wrong) => problems.extend(wrong),
            }
        }
    }
    if !blueprints.is_empty() {
        match import(spec, &blueprints, &limits) {
            Ok(import) => {
                loaded.resources.extend(import.resources);
                loaded.tally = import.tally;
                loaded.warnings = import.warnings;
            }
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

/// The documents of a text, without those that hold nothing at all.
fn yaml_documents(name: &Arc<str>, text: &str, limits: &Limits) -> Result<Vec<Node>, FileProblem> {
    let documents = yaml::parse(text, limits).or_else(|error| {
        // JSON is YAML, but for escapes like `\ud83d\ude00`, which some programs write beyond the first 65,536
        // characters. Written anew they are the characters themselves; only the lines are then those of the new text.
        let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let anew = json.and_then(|json| serde_json::to_string_pretty(&json).ok());
        anew.and_then(|anew| yaml::parse(&anew, limits).ok()).ok_or_else(|| FileProblem {
            origin: Origin { file: Arc::clone(name), line: error.line },
            message: error.message,
        })
    })?;
    Ok(documents.into_iter().filter(|document| document.scalar() != Some(yaml::Scalar::Null)).collect())
}

fn import(
    spec: &SourceSpec,
    blueprints: &[(Arc<str>, &str)],
    limits: &Limits,
) -> Result<blueprint::Import, Vec<FileProblem>> {
    let sources: Vec<blueprint::Source<'_>> =
        blueprints.iter().map(|(name, text)| blueprint::Source { name: Arc::clone(name), text }).collect();
    let env = |name: &str| {
        if spec.env_names.iter().any(|allowed| allowed == name) { (spec.env)(name) } else { None }
    };
    let file = |name: &str| spec.files_dir.as_deref().and_then(|directory| allowed_file(directory, name));
    let options = blueprint::Options {
        env: &env,
        file: &file,
        context: BTreeMap::new(),
        default_application_access: spec.default_application_access,
    };
    blueprint::import(&sources, &options, limits)
}

/// A file inside the directory that the operator named; nothing for one outside of it, links included.
fn allowed_file(directory: &Path, name: &str) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let path = directory.join(name).canonicalize().ok()?;
    let small = path.metadata().is_ok_and(|data| data.is_file() && data.len() <= MAX_FILE);
    if path.starts_with(&directory) && small { std::fs::read_to_string(path).ok() } else { None }
}

/// Collects files with their texts.
#[derive(Default)]
struct Reader {
    files: Vec<(Arc<str>, String)>,
    bytes: u64,
    problems: Vec<FileProblem>,
}

impl Reader {
    fn problem(&mut self, path: &Path, message: String) {
        let origin = Origin { file: path.to_string_lossy().into(), line: 1 };
        self.problems.push(FileProblem { origin, message });
    }

    fn collect(&mut self, path: &Path) {
        if !path.is_dir() {
            self.read(path);
            return;
        }
        let before = (self.files.len(), self.problems.len());
        self.search(path, 0);
        if (self.files.len(), self.problems.len()) == before {
            self.problem(path, "the directory has no .yaml, .yml or .json file; name another".to_owned());
        }
    }

    fn search(&mut self, directory: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            self.problem(
                directory,
                format!("directories are nested deeper than {MAX_DEPTH} levels; flatten them"),
            );
            return;
        }
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return self.problem(directory, format!("cannot be read: {error}")),
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        // The order must not depend on the file system.
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Hidden files, and the directories behind Kubernetes' mounted configuration.
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                self.search(&path, depth + 1);
            } else if matches!(path.extension().and_then(|it| it.to_str()), Some("yaml" | "yml" | "json")) {
                self.read(&path);
            }
        }
    }

    fn read(&mut self, path: &Path) {
        if self.files.len() >= MAX_FILES {
            if self.files.len() == MAX_FILES {
                self.problem(path, format!("there are more than {MAX_FILES} files; put several into one"));
            }
            return;
        }
        let size = match path.metadata() {
            Ok(data) => data.len(),
            Err(error) => return self.problem(path, format!("cannot be read: {error}")),
        };
        if size > MAX_FILE {
            let message =
                format!("the file has {size} bytes and at most {MAX_FILE} are read; split it into several");
            return self.problem(path, message);
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_TOTAL {
            let message = format!("all files together have more than {MAX_TOTAL} bytes; give less at once");
            return self.problem(path, message);
        }
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.files.push((path.to_string_lossy().into(), text)),
            Ok(Err(_)) => self.problem(path, "is not UTF-8 text; save it as UTF-8".to_owned()),
            Err(error) => self.problem(path, format!("cannot be read: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Loaded, Vec<FileProblem>> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        load(&SourceSpec::of(vec![directory.path().to_owned()]))
    }

    #[test]
    fn a_directory_is_one_configuration() {
        let loaded = read(&[
            ("b.yaml", "applications:\n  - slug: b\n---\napplications:\n  - slug: c\n"),
            ("deep/a.json", "{\"applications\": [{\"slug\": \"a\"}]}"),
            (
                "flows.yml",
                "version: 1\nentries:\n  - {model: authentik_flows.flow, identifiers: {slug: f}}\n",
            ),
            (".hidden/x.yaml", "broken: ["),
            ("README.md", "broken: ["),
            ("empty.yaml", "# nothing\n"),
        ])
        .unwrap();
        assert_eq!((loaded.files, loaded.resources.len()), (4, 4));
        assert_eq!(loaded.tally.len(), 1);
    }

    #[test]
    fn json_may_escape_what_is_beyond_the_first_plane() {
        let text = "{\"applications\": [{\"slug\": \"a\", \"name\": \"\\ud83d\\ude00\"}]}";
        let loaded = read(&[("a.json", text)]).unwrap();
        let (resources, _) = loaded.into_parts();
        let Some(v1::resource::Resource::Application(application)) = &resources[0].resource else { panic!() };
        assert_eq!(application.name, "\u{1f600}");
    }

    #[test]
    fn blueprints_read_no_file_outside_of_their_directory() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("a"), "a").unwrap();
        std::fs::write(directory.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(directory.path().join("secret"), inside.join("link")).unwrap();
        assert_eq!(allowed_file(&inside, "a").as_deref(), Some("a"));
        for name in ["../secret", "link", "/etc/passwd", "none"] {
            assert_eq!(allowed_file(&inside, name), None, "{name}");
        }
    }
}
