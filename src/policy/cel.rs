//! Rules in CEL: expressions that are true or false, over typed names. docs/cel.md describes them.
//!
//! The parser is the `cel` crate's. A source is scanned (is it small and flat enough for the parser?), parsed, checked
//! (names, arguments, types, patterns, networks, what it may cost), and kept as a tree in which all of that is
//! resolved. An evaluation walks the tree, reads the question in place, and pays for every step.
//! Must not know: bindings, and what becomes of an error.

mod calendar;
mod check;
mod cost;
mod eval;
mod fault;
mod functions;
mod meter;
mod names;
mod node;
mod parse;
mod pattern;
mod reads;
mod scan;
mod scene;
mod value;

use super::{CompileError, Input, Verdict};
use meter::{MAX_STEPS, Meter};

/// A rule, ready to be evaluated.
#[derive(Debug)]
pub(super) struct Cel {
    root: node::Node,
    /// To tell in which line something went wrong.
    source: Box<str>,
}

impl Cel {
    /// Compiles a source.
    pub(super) fn new(source: &str) -> Result<Self, CompileError> {
        let refuse = |message| CompileError { field: "expression.source", message };
        let parsed = parse::parse(source).map_err(refuse)?;
        let at = |at: u32, text: &str| refuse(format!("{}: {text}", parse::place(source, at as usize)));
        let root = check::check(&parsed).map_err(|refusal| at(refusal.at, &refusal.text))?;
        let steps = cost::cost(&root).steps;
        if steps > MAX_STEPS {
            let text = format!(
                "this may take {steps} steps, and {MAX_STEPS} are allowed; write shorter lists, or put fewer loops into each other"
            );
            return Err(at(root.at, &text));
        }
        Ok(Self { root, source: source.into() })
    }

    /// What the rule says.
    pub(super) fn evaluate(&self, input: &Input<'_>) -> Verdict {
        self.metered(input, &Meter::default())
    }

    /// The names that it reads.
    pub(super) fn reads(&self, into: &mut std::collections::BTreeSet<String>) {
        reads::reads(&self.root, into);
    }

    /// As [`Cel::evaluate`], with the steps that it took.
    pub(super) fn counted(&self, input: &Input<'_>) -> (Verdict, u64) {
        let meter = Meter::default();
        let verdict = self.metered(input, &meter);
        (verdict, meter.spent().steps)
    }

    fn metered(&self, input: &Input<'_>, meter: &Meter) -> Verdict {
        let scene = scene::Scene::new(input);
        let verdict = match eval::Run::new(&scene, meter).truth(&self.root) {
            Ok(passing) => Verdict::of(passing),
            Err(fault) => {
                Verdict::error(format!("{}: {}", parse::place(&self.source, fault.at as usize), fault.text()))
            }
        };
        // How long an answer lasts that depends on the moment is not known. To name none would say to the engine that
        // it lasts, and let another binding's moment stand for the whole; so it may change at once.
        if scene.read_now() { verdict.until(Some(input.context.now)) } else { verdict }
    }
}

#[cfg(test)]
mod tests;
