//! Decision cases: what `bindery test` reads. A file may hold several documents, each a `bindery.v1.TestSuite`.
//!
//! Must not know: how a case is run.

use super::bundle;
use super::origin::{FileProblem, Origin};
use super::yaml::{self, Content, Limits, Node};
use crate::proto::v1;
use std::collections::HashSet;
use std::sync::Arc;

/// One document.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Where it begins.
    pub origin: Origin,
    /// Its configuration.
    pub bundle: BundleSource,
    /// Its cases, in order.
    pub cases: Vec<(v1::TestCase, Origin)>,
}

/// The configuration of a suite.
#[derive(Clone, Debug)]
pub enum BundleSource {
    /// Written in the document.
    Inline(Vec<(v1::Resource, Origin)>),
    /// A file or directory, relative to the suite's file.
    Path(String),
}

/// Reads all suites of a text.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(text: &str, file: &Arc<str>, limits: &Limits) -> Result<Vec<Suite>, Vec<FileProblem>> {
    let place = |line| Origin { file: Arc::clone(file), line };
    let documents = yaml::parse(text, limits)
        .map_err(|error| vec![FileProblem { origin: place(error.line), message: error.message }])?;
    let mut suites = Vec::new();
    let mut problems = Vec::new();
    for document in &documents {
        match suite(document, file) {
            Ok(suite) => suites.push(suite),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if documents.is_empty() {
        let message = "there is no document; write `bundle` and `tests`".to_owned();
        problems.push(FileProblem { origin: place(1), message });
    }
    if problems.is_empty() { Ok(suites) } else { Err(problems) }
}

fn suite(document: &Node, file: &Arc<str>) -> Result<Suite, Vec<FileProblem>> {
    let mut problems = Vec::new();
    let place = |line| Origin { file: Arc::clone(file), line };
    let problem = |line, message: &str| FileProblem { origin: place(line), message: message.to_owned() };
    let Content::Mapping(entries) = &document.content else {
        return Err(vec![problem(document.line, "expected a mapping with `bundle` and `tests`")]);
    };
    for (key, _) in entries {
        if !matches!(key.text(), Some("bundle" | "tests")) {
            let name = key.text().unwrap_or_default();
            let message = format!("`{name}`: there is no such field; the fields are bundle and tests");
            problems.push(FileProblem { origin: place(key.line), message });
        }
    }
    let bundle = match document.get("bundle") {
        None => {
            problems
                .push(problem(document.line, "`bundle` is missing; write resources, or the path of a file"));
            None
        }
        Some(node) => match (&node.content, node.text()) {
            (Content::Scalar { .. }, Some(path)) if !path.is_empty() => {
                Some(BundleSource::Path(path.to_owned()))
            }
            _ => match bundle::read(node, file) {
                Ok(resources) => Some(BundleSource::Inline(resources)),
                Err(wrong) => {
                    problems.extend(wrong);
                    None
                }
            },
        },
    };
    let mut cases = Vec::new();
    match document.get("tests").map(|node| (&node.content, node.line)) {
        Some((Content::Sequence(items), line)) => {
            if items.is_empty() {
                problems.push(problem(line, "`tests` is empty; write at least one case"));
            }
            let mut names = HashSet::new();
            for item in items {
                match case(item, file, &mut names) {
                    Ok(case) => cases.push((case, place(item.line))),
                    Err(wrong) => problems.extend(wrong),
                }
            }
        }
        Some((_, line)) => problems.push(problem(line, "`tests` is not a list; write a list of cases")),
        None => problems.push(problem(document.line, "`tests` is missing; write a list of cases")),
    }
    match bundle {
        Some(bundle) if problems.is_empty() => Ok(Suite { origin: place(document.line), bundle, cases }),
        _ => Err(problems),
    }
}

fn case(node: &Node, file: &Arc<str>, names: &mut HashSet<String>) -> Result<v1::TestCase, Vec<FileProblem>> {
    let case: v1::TestCase = bundle::message(node, "bindery.v1.TestCase", file)?;
    let mut problems = Vec::new();
    let mut wrong = |message: String| {
        problems.push(FileProblem { origin: Origin { file: Arc::clone(file), line: node.line }, message });
    };
    if case.name.is_empty() {
        wrong("the case has no `name`; give it one".to_owned());
    } else if !names.insert(case.name.clone()) {
        wrong(format!("`{}` is the name of a case before it; give each its own", case.name));
    }
    if case.check.is_none() {
        wrong("the case has no `check`; write the question".to_owned());
    }
    let expect = case.expect.clone().unwrap_or_default();
    let decides = expect.decision != 0 || expect.messages.is_some();
    if !decides && expect.error.is_empty() {
        wrong("the case expects nothing; write `expect` with a decision, messages or an error".to_owned());
    } else if decides && !expect.error.is_empty() {
        wrong("the case expects an answer and an error; write only one of them".to_owned());
    }
    if problems.is_empty() { Ok(case) } else { Err(problems) }
}
