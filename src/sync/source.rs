//! Configuration from files: finds them, reads them under limits, and tells bundles from blueprints.
//!
//! Must not know: what is done with what they hold.

use super::origin::{FileProblem, Origin};
use super::yaml::{self, Limits, Node};
use super::{blueprint, bundle};
use crate::model::Problem;
use crate::proto::v1;
use std::collections::BTreeMap;
use std::io::Read;
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
        let documents = match documents(name, text, &limits) {
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

/// A file: as it is named in messages, and its text.
pub type TextFile = (Arc<str>, String);

/// Reads files, and directories as [`load`] does, whatever they hold. Gives what could be read and what could not.
pub fn read_files(paths: &[PathBuf]) -> (Vec<TextFile>, Vec<FileProblem>) {
    let mut reader = Reader::default();
    for path in paths {
        reader.collect(path);
    }
    (reader.files, reader.problems)
}

/// The documents of a text, without those that hold nothing at all.
///
/// # Errors
/// When the text is neither YAML nor JSON, or passes a limit.
pub fn documents(name: &Arc<str>, text: &str, limits: &Limits) -> Result<Vec<Node>, FileProblem> {
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
    if path.starts_with(&directory) && small { String::from_utf8(bytes_of(&path).ok()?).ok() } else { None }
}

/// The bytes of a file, one more than [`MAX_FILE`] at most: it may grow meanwhile, and a pipe has no size before.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Collects files with their texts.
#[derive(Default)]
struct Reader {
    files: Vec<(Arc<str>, String)>,
    bytes: u64,
    /// More files than allowed were found, and that was said.
    full: bool,
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
        self.search(path, &mut Vec::new());
        if (self.files.len(), self.problems.len()) == before {
            self.problem(path, "the directory has no .yaml, .yml or .json file; name another".to_owned());
        }
    }

    /// Reads what is under a directory. `above` are the directories that it lies in: a link back to one of them is not
    /// followed round and round.
    fn search(&mut self, directory: &Path, above: &mut Vec<PathBuf>) {
        if above.len() > MAX_DEPTH {
            self.problem(
                directory,
                format!("directories are nested deeper than {MAX_DEPTH} levels; flatten them"),
            );
            return;
        }
        let (real, entries) =
            match directory.canonicalize().and_then(|real| Ok((real, directory.read_dir()?))) {
                Ok(read) => read,
                Err(error) => return self.problem(directory, format!("cannot be read: {error}")),
            };
        if above.contains(&real) {
            return;
        }
        above.push(real);
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
                self.search(&path, above);
            } else if matches!(path.extension().and_then(|it| it.to_str()), Some("yaml" | "yml" | "json")) {
                self.read(&path);
            }
        }
        above.pop();
    }

    fn read(&mut self, path: &Path) {
        if self.files.len() >= MAX_FILES {
            if !self.full {
                self.problem(path, format!("there are more than {MAX_FILES} files; put several into one"));
            }
            self.full = true;
            return;
        }
        // Looked at before reading where there is a size, and held to afterwards.
        let before = match path.metadata() {
            Ok(data) => data.len(),
            Err(error) => return self.problem(path, format!("cannot be read: {error}")),
        };
        if self.is_too_large(path, before) {
            return;
        }
        let bytes = match bytes_of(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.problem(path, format!("cannot be read: {error}")),
        };
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.is_too_large(path, size) {
            return;
        }
        self.bytes = self.bytes.saturating_add(size);
        match String::from_utf8(bytes) {
            Ok(text) => self.files.push((path.to_string_lossy().into(), text)),
            Err(_) => self.problem(path, "is not UTF-8 text; save it as UTF-8".to_owned()),
        }
    }

    fn is_too_large(&mut self, path: &Path, size: u64) -> bool {
        if size > MAX_FILE {
            let message =
                format!("the file has {size} bytes and at most {MAX_FILE} are read; split it into several");
            self.problem(path, message);
            return true;
        }
        let all = self.bytes.saturating_add(size);
        if all > MAX_TOTAL {
            let message = format!("all files together have more than {MAX_TOTAL} bytes; give less at once");
            self.problem(path, message);
        }
        all > MAX_TOTAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ResourceKind, ResourceName};
    use std::fs;
    use std::os::unix::fs::symlink;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn directories_are_read_in_order_and_what_is_hidden_is_not() {
        let files = [
            ("b.yml", "b"),
            ("a/z.yaml", "z"),
            ("c.json", "c"),
            ("note.txt", "no"),
            (".git/x.yaml", "no"),
            ("..2026/k.yaml", "k"),
        ];
        let folder = folder(&files);
        symlink("..2026", folder.path().join("..data")).unwrap();
        symlink("..data/k.yaml", folder.path().join("k.yaml")).unwrap();
        symlink("..", folder.path().join("a/round")).unwrap();
        symlink(".", folder.path().join("a/here")).unwrap();
        let (files, problems) = read_files(&[folder.path().to_owned()]);
        assert_eq!(problems, []);
        let start = format!("{}/", folder.path().display());
        let names: Vec<_> = files.iter().map(|(name, _)| name.strip_prefix(&start).unwrap()).collect();
        assert_eq!(names, ["a/z.yaml", "b.yml", "c.json", "k.yaml"]);
        assert_eq!(files[3].1, "k");
    }

    #[test]
    fn everything_that_cannot_be_read_is_said_at_once() {
        let folder = folder(&[("a.yaml", "a")]);
        fs::write(folder.path().join("bad.yaml"), b"caf\xe9").unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        let mut paths =
            ["bad.yaml", "a.yaml", "missing.yaml", "empty"].map(|name| folder.path().join(name)).to_vec();
        // Has no size before it is read, and no end.
        paths.push("/dev/zero".into());
        let (files, problems) = read_files(&paths);
        let parts =
            ["is not UTF-8 text; save it", "cannot be read: ", "has no .yaml", "at most 67108864 are read"];
        assert_eq!((files.len(), problems.len()), (1, parts.len()), "{problems:?}");
        for (problem, part) in problems.iter().zip(parts) {
            assert!(problem.message.contains(part), "{problem}");
        }
    }

    #[test]
    fn problems_are_placed() {
        let origins = [Origin { file: "a.yaml".into(), line: 7 }];
        let problem = |index| Problem {
            index,
            resource: Some(ResourceName { kind: ResourceKind::Group, id: "staff".into() }),
            field: "name".into(),
            message: "is empty; give one".into(),
            missing: None,
        };
        let lines = locate(&[problem(Some(0)), problem(None)], &origins);
        let text = "group `staff`: name: is empty; give one";
        assert_eq!(lines, [format!("a.yaml:7: {text}"), text.to_owned()]);
    }

    fn read(files: &[(&str, &str)]) -> Result<Loaded, Vec<FileProblem>> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
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
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("a"), "a").unwrap();
        fs::write(directory.path().join("secret"), "s").unwrap();
        symlink(directory.path().join("secret"), inside.join("link")).unwrap();
        assert_eq!(allowed_file(&inside, "a").as_deref(), Some("a"));
        for name in ["../secret", "link", "/etc/passwd", "none"] {
            assert_eq!(allowed_file(&inside, name), None, "{name}");
        }
    }
}
