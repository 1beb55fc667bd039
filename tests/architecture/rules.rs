//! The rules of the house, over a tree of files given as paths and texts. Each complaint names file and line, and what
//! to do.
//!
//! Must not know: where the files come from.

use super::source::{Path, Source};

/// Who may use whom among the modules at the top of `src`, from left to right:
/// `model < (policy | telemetry) < (places | decision) < proto < store < evaluators < (sync | api) < app < cli < main`.
///
/// A module that is not here is an error: give it a place.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("places", &["model", "policy"]),
    ("decision", &["model", "policy"]),
    ("proto", &["model"]),
    ("store", &["model", "policy", "decision", "proto", "telemetry"]),
    ("identity", &["model", "tls"]),
    ("tls", &[]),
    ("health", &["model", "store"]),
    ("telemetry", &["model"]),
    ("config", &["model", "tls", "api"]),
    ("sync", &["model", "policy", "decision", "proto", "store", "tls", "telemetry"]),
    ("evaluators", &["model", "policy", "decision", "proto", "store", "tls", "telemetry"]),
    ("api", &["model", "policy", "decision", "proto", "store", "evaluators", "identity", "tls", "telemetry"]),
    (
        "app",
        &[
            "model",
            "policy",
            "places",
            "decision",
            "proto",
            "store",
            "identity",
            "tls",
            "health",
            "telemetry",
            "config",
            "evaluators",
            "sync",
            "api",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "policy",
            "places",
            "decision",
            "proto",
            "store",
            "identity",
            "tls",
            "health",
            "telemetry",
            "config",
            "evaluators",
            "sync",
            "api",
            "app",
        ],
    ),
    ("main", &["model", "policy", "decision", "store", "sync", "api", "app", "cli"]),
];

/// Single files that may use one module more than their room.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Rooms whose code is pure and synchronous.
const PURE: &[&str] = &["model", "policy", "decision"];
/// Crates that have no place there, with all that begin with one of these names and an underscore.
const IMPURE_CRATES: &[&str] = &["tonic", "prost", "tokio", "tracing", "log", "dashmap", "arc_swap"];
/// Names that have no place there: clocks and locks.
const IMPURE_NAMES: &[&str] = &["Instant", "SystemTime", "Mutex", "RwLock"];
/// Modules of the standard library of which a pure room may not import all at once, since that hides the names above.
const IMPURE_GLOBS: &[&str] = &["std::*", "std::time::*", "std::sync::*"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "manager", "managers", "helpers", "helper"];

const MOST_LINES: usize = 500;
const MOST_LINES_OF_MAIN: usize = 59;

/// Everything that is wrong with the files under `src`, given as paths from the top of the project and texts.
pub(crate) fn complaints(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> = files.iter().map(|&(path, text)| (path, text, Source::read(text))).collect();
    let tests: Vec<String> = sources
        .iter()
        .flat_map(|(path, _, source)| {
            source
                .test_files
                .iter()
                .map(move |name| [module_path(path), vec![name.clone()]].concat().join("::"))
        })
        .collect();
    let mut all = Vec::new();
    for (path, text, source) in &sources {
        names(path, text, source, &mut all);
        room(path, &mut all);
        let module = module_path(path).join("::");
        let is_test = tests.iter().any(|test| module == *test || module.starts_with(&format!("{test}::")));
        if !is_test {
            length(path, source, &mut all);
            imports(path, source, &mut all);
        }
    }
    all
}

/// Every line of `Cargo.toml` that brings in a crate says why.
pub(crate) fn dependency_complaints(manifest: &str) -> Vec<String> {
    let mut all = Vec::new();
    // The entry that is being read: its line, its name, its open brackets, whether it has a comment.
    let (mut in_section, mut depth) = (false, 0_i32);
    let mut entry: Option<(usize, &str, bool)> = None;
    let mut finish = |entry: &mut Option<(usize, &str, bool)>| {
        if let Some((line, name, false)) = entry.take() {
            all.push(format!("Cargo.toml:{line}: `{name}` has no comment; say behind it what it is for"));
        }
    };
    for (index, line) in manifest.lines().enumerate() {
        let (code, comment) = split_comment(line);
        let code = code.trim();
        let has_comment = !comment.trim_matches(['#', ' ']).is_empty();
        if depth == 0 && code.starts_with('[') {
            finish(&mut entry);
            let header = code.trim_matches(['[', ']']);
            in_section = header.ends_with("dependencies");
            // A table of its own for one dependency.
            if let Some((section, name)) = header.rsplit_once('.')
                && section.ends_with("dependencies")
            {
                entry = Some((index + 1, name, has_comment));
            }
            continue;
        }
        if in_section && depth == 0 && !code.is_empty() {
            finish(&mut entry);
            entry = Some((index + 1, code.split(['=', ' ', '.']).next().unwrap_or_default(), false));
        }
        if let Some((_, _, commented)) = &mut entry {
            *commented |= has_comment && !code.is_empty();
        }
        depth += signed(code, ['[', '{']) - signed(code, [']', '}']);
    }
    finish(&mut entry);
    all
}

fn signed(text: &str, signs: [char; 2]) -> i32 {
    i32::try_from(text.matches(signs).count()).unwrap_or(i32::MAX)
}

/// The line up to its comment, and the comment.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (None, '"' | '\'') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            (None, '#') => return line.split_at(at),
            _ => {}
        }
    }
    (line, "")
}

/// `src/a/b.rs` is `a::b`; `src/lib.rs` and `src/main.rs` are the root.
fn module_path(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    if matches!(inner, "lib" | "main") { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

/// The room that a file lies in: the first part of its path under `src`.
fn room_of(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split('/').next().map_or("", |first| first.strip_suffix(".rs").unwrap_or(first))
}

fn names(path: &str, text: &str, source: &Source, all: &mut Vec<String>) {
    if !text.starts_with("//!") {
        all.push(format!("{path}:1: open it with `//!`: what it is, and what it must not know"));
    }
    if path.ends_with("/mod.rs") {
        all.push(format!("{path}:1: use `foo.rs` beside `foo/` instead of `mod.rs`"));
    }
    let parts = module_path(path).into_iter().map(|part| (1, part));
    for (line, name) in parts.chain(source.modules.iter().cloned()) {
        if EMPTY_NAMES.contains(&name.as_str()) {
            all.push(format!("{path}:{line}: `{name}` says nothing; name it after what is inside"));
        }
    }
}

fn room(path: &str, all: &mut Vec<String>) {
    let room = room_of(path);
    if room != "lib" && !ROOMS.iter().any(|(name, _)| *name == room) {
        all.push(format!(
            "{path}:1: give `{room}` a place in the layers (ROOMS in tests/architecture/rules.rs)"
        ));
    }
}

fn length(path: &str, source: &Source, all: &mut Vec<String>) {
    let most = if path == "src/main.rs" { MOST_LINES_OF_MAIN } else { MOST_LINES };
    let lines = source.production_lines;
    if lines > most {
        all.push(format!(
            "{path}:1: {lines} production lines, and {most} are allowed; split it by what it does"
        ));
    }
}

fn imports(path: &str, source: &Source, all: &mut Vec<String>) {
    let room = room_of(path);
    for used in &source.paths {
        let at = format!("{path}:{}", used.line);
        let text = used.segments.join("::");
        if is_environment(used) && path != "src/config.rs" {
            all.push(format!("{at}: `{text}` reads the environment; only src/config.rs does"));
        }
        if PURE.contains(&room) && is_impure(used) {
            all.push(format!(
                "{at}: `{text}` has no place in `{room}`, which is pure; take it as an argument"
            ));
        }
        if room == "lib" {
            continue;
        }
        match inner_module(path, used) {
            Some(Inner::Root) => {
                all.push(format!("{at}: `{text}` takes in every module; name the one it needs"))
            }
            Some(Inner::Module(module)) if module != room && !may_use(path, room, &module) => {
                all.push(format!(
                    "{at}: `{room}` may not use `{module}` (`{text}`); see the layers in src/lib.rs"
                ));
            }
            _ => {}
        }
    }
}

fn may_use(path: &str, room: &str, module: &str) -> bool {
    ROOMS.iter().any(|(name, left)| *name == room && left.contains(&module))
        || EXCEPTIONS.contains(&(path, module))
}

/// What of this crate a path names.
enum Inner {
    /// The root itself, under a name or with all that is in it.
    Root,
    /// A module at the top.
    Module(String),
}

/// Follows `crate`, `self`, `super` and the crate's own name. Nothing for what comes from elsewhere.
fn inner_module(path: &str, used: &Path) -> Option<Inner> {
    let mut segments = used.segments.iter().map(String::as_str).peekable();
    let mut place = [module_path(path), used.inside.clone()].concat();
    match *segments.peek()? {
        // A keyword alone is a visibility or a value, not a path.
        _ if used.segments.len() == 1 && !used.imported => return None,
        "crate" | "bindery" => {
            segments.next();
            place.clear();
        }
        "self" | "super" => {
            while let Some(word) = segments.next_if(|word| matches!(*word, "self" | "super")) {
                if word == "super" {
                    place.pop();
                }
            }
        }
        _ => return None,
    }
    place.extend(segments.map(str::to_owned));
    Some(match place.into_iter().next() {
        None => Inner::Root,
        Some(first) if first == "*" || first == "self" => Inner::Root,
        Some(first) => Inner::Module(first),
    })
}

fn is_environment(used: &Path) -> bool {
    let mut segments = used.segments.iter().map(String::as_str);
    segments.next() == Some("std")
        && matches!((segments.next(), used.imported), (Some("env"), _) | (Some("*"), true))
}

fn is_impure(used: &Path) -> bool {
    let is_path = used.imported || used.segments.len() > 1;
    let crate_name = used.segments.first().map_or("", String::as_str);
    let impure_crate = IMPURE_CRATES.iter().any(|name| {
        crate_name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    });
    let impure_name = used.segments.iter().any(|segment| IMPURE_NAMES.contains(&segment.as_str()));
    let impure_glob = IMPURE_GLOBS.contains(&used.segments.join("::").as_str());
    (is_path && impure_crate) || impure_name || (used.imported && impure_glob)
}
