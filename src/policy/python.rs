//! Expressions in Python: authentik's function bodies as they are.
//!
//! A body is read here, written anew where the interpreter falls short of Python, and put together with the names that it
//! uses into a script. Running that script is the caller's part: a hostile body can take an interpreter down, so it runs
//! elsewhere, under limits. Must not know: how and where.

mod depth;
mod input;
mod modules;
mod needs;
mod outcome;
mod rewrite;
mod scene;
mod script;

pub use input::{object_of, user_object, value_of};
pub use modules::refusal;
pub use needs::Needs;
pub use outcome::{Outcome, verdict};
pub use rewrite::Finding;
pub use scene::Scene;
pub use script::Variant;

use super::{Deferred, Evaluation, Input, Verdict};
use rewrite::Reading;
use ruff_python_parser::parse_module;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// The longest source, in bytes.
pub const MAX_SOURCE: usize = 64 * 1024;

/// What a body becomes before it can run.
const HEAD: &str = "def _body():\n";
const INDENT: &str = "    ";

/// A program that is ready to be run.
#[derive(Debug)]
pub struct Program {
    name: Box<str>,
    body: String,
    needs: Needs,
    changes: bool,
    findings: Vec<Finding>,
    /// The scripts of its variants, made when they are first needed.
    scripts: [OnceLock<Arc<Script>>; Variant::COUNT],
    /// Set: it cannot run, for this reason.
    broken: Option<Box<str>>,
    /// Set: it gives this without running.
    constant: Option<bool>,
}

/// A script: what the interpreter compiles.
#[derive(Debug, PartialEq, Eq)]
pub struct Script {
    /// Tells this script from every other one.
    pub key: u64,
    /// The policy's name, for errors.
    pub name: Box<str>,
    /// The text.
    pub text: String,
}

/// A program with all that it runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What to run.
    pub script: Arc<Script>,
    /// What it sees.
    pub input: monty_types::MontyObject,
    /// Where it is run from, for what it looks up or calls; only when it does.
    pub scene: Option<Arc<Scene>>,
    /// Whether what it leaves in the context counts.
    pub changes: bool,
}

impl Program {
    /// Reads a body. One that cannot run becomes a program that errors with the reason, as in authentik, where such a
    /// policy can be saved.
    pub(super) fn new(name: &str, source: &str) -> Self {
        let mut program = Self {
            name: name.into(),
            body: String::new(),
            needs: Needs::default(),
            changes: false,
            findings: Vec::new(),
            scripts: Default::default(),
            broken: None,
            constant: None,
        };
        match program.read(source) {
            Ok(()) => {}
            Err(reason) => program.broken = Some(format!("{reason} ({name})").into()),
        }
        program
    }

    fn read(&mut self, source: &str) -> Result<(), String> {
        if source.len() > MAX_SOURCE {
            return Err(format!(
                "the expression has {} bytes; at most {MAX_SOURCE} are allowed, so split it",
                source.len()
            ));
        }
        let deep = depth::depth(source);
        if deep > depth::MAX_DEPTH {
            return Err(format!(
                "the expression nests {deep} deep; at most {} are allowed, so split its longest line",
                depth::MAX_DEPTH
            ));
        }
        let whole = wrapped(source);
        let parsed = parse_module(&whole).map_err(|error| {
            let before = whole.get(..usize::from(error.location.start())).unwrap_or(&whole);
            let line = before.bytes().filter(|byte| *byte == b'\n').count();
            format!("syntax error in line {line}: {}", error.error)
        })?;
        let Some(ruff_python_ast::Stmt::FunctionDef(function)) = parsed.suite().first() else {
            return Err("the expression has no statement; it must return something".to_owned());
        };
        let mut reading = Reading::new(&whole, parsed.tokens(), &function.body);
        self.needs = reading.needs;
        self.changes = reading.changes;
        self.findings = std::mem::take(&mut reading.findings);
        if reading.is_generator {
            // Calling it runs nothing and gives a generator, which is true.
            self.constant = Some(true);
            return Ok(());
        }
        let body = reading.rewritten();
        self.body = body.strip_prefix(HEAD).unwrap_or(&body).to_owned();
        self.check()
    }

    /// Lets the interpreter compile it once, so that what it does not know is found now. The source was bounded before,
    /// in length and depth, so that this cannot overflow the stack.
    fn check(&self) -> Result<(), String> {
        let script = self.script(Variant::default());
        let compiled = std::panic::catch_unwind(|| {
            let text = script.text.clone();
            monty::MontyRun::new(text, "policy", Script::inputs(), monty_types::CompileOptions::default())
                .map(drop)
        });
        match compiled {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(script.describe(&error)),
            Err(_) => Err("the interpreter cannot read the expression; write it in a simpler way".to_owned()),
        }
    }

    /// What the program reads.
    pub const fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether it may change the context.
    pub const fn changes_context(&self) -> bool {
        self.changes
    }

    /// What in it cannot work in a sidecar.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Why it cannot run at all; nothing if it can.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    fn script(&self, variant: Variant) -> Arc<Script> {
        let made = |slot: &OnceLock<Arc<Script>>| {
            Arc::clone(slot.get_or_init(|| {
                let text = script::assemble(&self.body, self.needs, variant, self.changes);
                let mut hasher = foldhash::quality::FixedState::default().build_hasher();
                text.hash(&mut hasher);
                self.name.hash(&mut hasher);
                Arc::new(Script { key: hasher.finish(), name: self.name.clone(), text })
            }))
        };
        // There is a place for every variant; without one it would be made each time.
        self.scripts.get(variant.index()).map_or_else(|| made(&OnceLock::new()), made)
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Evaluation {
        if let Some(text) = &self.broken {
            return Evaluation::Done(Verdict::error(text.clone()));
        }
        if let Some(result) = self.constant {
            return Evaluation::Done(Verdict::of(result));
        }
        let variant = Variant::of(input);
        let scene = (self.needs.policies || self.needs.users).then(|| Arc::new(Scene::of(input)));
        Evaluation::Deferred(Deferred::Python(Box::new(Call {
            script: self.script(variant),
            input: input::build(self.needs, input),
            scene,
            changes: self.changes,
        })))
    }
}

impl Script {
    /// The names of what goes in.
    pub fn inputs() -> Vec<String> {
        vec!["_in".to_owned(), "_host".to_owned()]
    }

    /// An error of the interpreter as people read it.
    pub fn describe(&self, error: &monty_types::MontyException) -> String {
        let text = error.message().unwrap_or_default();
        match text.strip_prefix("The monty syntax parser does not yet support ") {
            Some(what) => format!("{what}: not supported here; write it in another way"),
            None => text.to_owned(),
        }
    }
}

/// A body as a function. Every line is indented, those of a text over several lines too, as authentik does it.
fn wrapped(source: &str) -> String {
    let mut whole = String::with_capacity(source.len() + source.len() / 8 + HEAD.len());
    whole.push_str(HEAD);
    for line in source.lines() {
        whole.push_str(INDENT);
        whole.push_str(line);
        whole.push('\n');
    }
    whole
}
