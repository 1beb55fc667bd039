//! Decision cases: what `bindery test` reads. A file may hold several documents, each a `bindery.v1.TestSuite`.
//!
//! Must not know: how a case is run.

use super::bundle::{self, MAX_PROBLEMS, shown};
use super::origin::{FileProblem, Origin};
use super::yaml::{self, Content, Limits, Node, Scalar};
use crate::proto::v1;
use std::collections::HashMap;
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
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    if documents.is_empty() {
        let message = "the file is empty; write a document with `bundle` and `tests`".to_owned();
        problems.push(FileProblem { origin: place(1), message });
    }
    problems.sort_by_key(|problem| problem.origin.line);
    if problems.is_empty() { Ok(suites) } else { Err(problems) }
}

fn suite(document: &Node, file: &Arc<str>) -> Result<Suite, Vec<FileProblem>> {
    let place = |line| Origin { file: Arc::clone(file), line };
    let problem = |line, message: &str| FileProblem { origin: place(line), message: message.to_owned() };
    let entries = match &document.content {
        Content::Mapping(entries) => entries,
        _ if document.scalar() == Some(Scalar::Null) => {
            return Err(vec![problem(document.line, "this document is empty; remove it with its `---`")]);
        }
        _ => {
            let found = document.describe();
            let message = format!("expected a mapping with `bundle` and `tests`, found {found}");
            return Err(vec![problem(document.line, &message)]);
        }
    };
    let mut problems = Vec::new();
    let (mut bundle, mut tests) = (None, None);
    for (key, value) in entries {
        match key.text() {
            Some("bundle" | "tests") if value.tag.is_none() && value.scalar() == Some(Scalar::Null) => {}
            Some("bundle") => bundle = Some(value),
            Some("tests") => tests = Some(value),
            name => {
                let name = shown(name.unwrap_or(key.describe()));
                let message = format!("{name}: there is no such field; the fields are `bundle`, `tests`");
                problems.push(problem(key.line, &message));
            }
        }
    }
    let bundle = match bundle {
        None => {
            let message = "`bundle` is missing; write resources, or the path of a file or directory";
            problems.push(problem(document.line, message));
            None
        }
        Some(node) => match node.scalar().filter(|_| node.tag.is_none()) {
            Some(Scalar::Text("")) => {
                problems.push(problem(node.line, "bundle: the path is empty; write one, or resources"));
                None
            }
            Some(Scalar::Text(path)) => Some(BundleSource::Path(path.to_owned())),
            _ => bundle::read(node, file)
                .map(BundleSource::Inline)
                .map_err(|wrong| problems.extend(wrong))
                .ok(),
        },
    };
    let mut cases = Vec::new();
    match tests.map(|node| (&node.content, node)) {
        Some((Content::Sequence(items), node)) if node.tag.is_none() => {
            if items.is_empty() {
                problems.push(problem(node.line, "`tests` is empty; write at least one case"));
            }
            let mut names = HashMap::new();
            for item in items {
                match case(item, file, &mut names) {
                    Ok(case) => cases.push((case, place(item.line))),
                    Err(wrong) => problems.extend(wrong),
                }
                if problems.len() >= MAX_PROBLEMS {
                    break;
                }
            }
        }
        Some((_, node)) => {
            let message = format!("tests: expected a list of cases, found {}", node.describe());
            problems.push(problem(node.line, &message));
        }
        None => problems.push(problem(document.line, "`tests` is missing; write a list of cases")),
    }
    match bundle {
        Some(bundle) if problems.is_empty() => Ok(Suite { origin: place(document.line), bundle, cases }),
        _ => Err(problems),
    }
}

/// Reads a case; `names` has the line of each name that is taken.
fn case(
    node: &Node,
    file: &Arc<str>,
    names: &mut HashMap<String, usize>,
) -> Result<v1::TestCase, Vec<FileProblem>> {
    let case: v1::TestCase = bundle::message(node, "bindery.v1.TestCase", file)?;
    let mut problems = Vec::new();
    let mut wrong = |message: String| {
        problems.push(FileProblem { origin: Origin { file: Arc::clone(file), line: node.line }, message });
    };
    if case.name.is_empty() {
        wrong("the case has no `name`; give it one".to_owned());
    } else if let Some(line) = names.get(&case.name) {
        wrong(format!(
            "the name `{}` is taken by the case in line {line}; give each its own",
            shown(&case.name)
        ));
    } else {
        names.insert(case.name.clone(), node.line);
    }
    let expect = case.expect.clone().unwrap_or_default();
    let of_check = expect.decision != 0;
    let of_plan = expect.outcome != 0 || expect.stages.is_some();
    let answer = of_check || of_plan || expect.messages.is_some();
    match (&case.check, &case.plan) {
        (None, None) => wrong("the case has no `check`; write the question, or a `plan`".to_owned()),
        (Some(_), Some(_)) => wrong("the case has a `check` and a `plan`; remove one".to_owned()),
        (Some(_), None) => {
            if of_plan {
                wrong("`outcome` and `stages` are of a `plan`; remove them, or the `check`".to_owned());
            }
            if !case.steps.is_empty() {
                wrong("`steps` go through a `plan`; remove them, or the `check`".to_owned());
            }
        }
        (None, Some(_)) if of_check => {
            wrong("`decision` is of a `check`; write `outcome` or `stages` for a `plan`".to_owned());
        }
        (None, Some(_)) => {}
    }
    if !answer && expect.error.is_empty() && case.steps.is_empty() {
        let what = if case.plan.is_some() { "`outcome`, `stages`" } else { "`decision`" };
        wrong(format!("the case expects nothing; write {what}, `messages` or `error` under `expect`"));
    } else if answer && !expect.error.is_empty() {
        wrong("the case expects an answer and an `error`; remove one".to_owned());
    }
    let ends = !expect.error.is_empty()
        || !matches!(expect.outcome(), v1::PlanOutcome::Unspecified | v1::PlanOutcome::Planned);
    if ends && !case.steps.is_empty() {
        wrong("the case expects no plan, and goes through it in `steps`; remove one".to_owned());
    }
    for (index, step) in case.steps.iter().enumerate() {
        let expect = step.expect.clone().unwrap_or_default();
        match (expect.stage.is_empty(), expect.finished) {
            (true, false) => {
                wrong(format!("steps[{index}] expects nothing; write `stage` or `finished` under `expect`"))
            }
            (false, true) => wrong(format!("steps[{index}] expects a `stage` and the end; remove one")),
            _ => {}
        }
    }
    if problems.is_empty() { Ok(case) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
