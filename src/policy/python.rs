//! Expressions in Python: authentik's function bodies as they are.
//!
//! A body in one of the commonest shapes is lowered to conditions that are evaluated here (`lowered`). For all others, and
//! wherever those are not sure, there is the interpreter: a body is read, written anew where the interpreter falls short of Python, and put together with the names that it
//! uses into a script. Running that script is the caller's part: a hostile body can take an interpreter down, so it runs
//! elsewhere, under limits. Must not know: how and where.

pub mod address;
mod depth;
mod input;
mod lowered;
mod modules;
mod needs;
mod outcome;
mod rewrite;
mod script;

pub use input::{MAX_DEPTH, MAX_VALUES, TooMuch, object_of, user_object, value_of};
pub use lowered::NotLowered;
pub use modules::refusal;
pub use needs::Needs;
pub use outcome::{MAX_MESSAGES, Outcome, verdict};
pub use rewrite::Finding;
pub use script::Variant;

use super::{Deferred, Evaluation, Input, Scene, Verdict};
use lowered::Lowered;
use rewrite::Reading;
use ruff_python_parser::parse_module;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// The longest source, in bytes.
pub const MAX_SOURCE: usize = 64 * 1024;

/// What a body becomes before it can run.
const HEAD: &str = "def _body():\n";
const INDENT: &str = "    ";

const UNREADABLE: &str = "the interpreter cannot read the expression; write it in a simpler way";

/// A program that is ready to be run.
#[derive(Debug)]
pub struct Program {
    name: Box<str>,
    body: String,
    needs: Needs,
    keys: BTreeSet<String>,
    changes: bool,
    findings: Vec<Finding>,
    /// The scripts of its variants, made when they are first needed.
    scripts: [OnceLock<Arc<Script>>; Variant::COUNT],
    /// Set: it cannot run, for this reason.
    broken: Option<Box<str>>,
    /// Set: it gives this without running.
    constant: Option<bool>,
    /// The body as it is evaluated here, or why it is not.
    lowered: Result<Lowered, NotLowered>,
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
    /// Whether it may ask the server while it runs.
    pub asks: bool,
}

impl Program {
    /// Reads a body. One that cannot run becomes a program that errors with the reason, as in authentik, where such a
    /// policy can be saved.
    pub(super) fn new(name: &str, source: &str) -> Self {
        let mut program = Self {
            name: name.into(),
            body: String::new(),
            needs: Needs::default(),
            keys: BTreeSet::new(),
            changes: false,
            findings: Vec::new(),
            scripts: Default::default(),
            broken: None,
            constant: None,
            lowered: Err(NotLowered { line: 1, what: "nothing that can run".into() }),
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
            // An end that comes too soon stands behind the last line.
            let last = source.lines().count().max(1);
            let line = before.bytes().filter(|byte| *byte == b'\n').count().clamp(1, last);
            format!("syntax error in line {line}: {}", error.error)
        })?;
        let Some(ruff_python_ast::Stmt::FunctionDef(function)) = parsed.suite().first() else {
            return Err("the expression has no statement; it must return something".to_owned());
        };
        is_body(parsed.suite())?;
        let mut reading = Reading::new(&whole, parsed.tokens(), &function.body);
        self.needs = reading.needs;
        self.changes = reading.changes;
        self.findings = std::mem::take(&mut reading.findings);
        self.keys = std::mem::take(&mut reading.keys);
        if reading.is_generator {
            // Calling it runs nothing and gives a generator, which is true.
            self.constant = Some(true);
            return Ok(());
        }
        let body = reading.rewritten();
        // What was written anew must be the one function still, or a part of it would run outside of it.
        is_body(parse_module(&body).map_err(|_| UNREADABLE)?.suite())?;
        self.body = body.strip_prefix(HEAD).unwrap_or(&body).to_owned();
        self.check()?;
        self.lowered = Lowered::new(&whole, &function.body, self.needs);
        Ok(())
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
            Err(_) => Err(UNREADABLE.to_owned()),
        }
    }

    /// What the program reads of the scope.
    pub const fn needs(&self) -> Needs {
        self.needs
    }

    /// What it reads, in words.
    pub fn reads(&self) -> BTreeSet<String> {
        let needs = self.needs;
        let mut all: BTreeSet<String> = self.keys.iter().map(|key| format!("context.values.{key}")).collect();
        // One that calls others reads what they read; more cannot be said of it.
        let known = [
            (needs.policies, "what the policies need that it calls"),
            (!needs.policies && needs.http, "context.http"),
            (!needs.policies && needs.ip, "context.client_ip"),
            (!needs.policies && needs.groups, "groups of the user"),
            (!needs.policies && needs.authenticators, "user.authenticators"),
            (needs.users, "other users of the directory"),
        ];
        all.extend(known.iter().filter(|(needed, _)| *needed).map(|(_, what)| (*what).to_owned()));
        all
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

    /// Why it takes the interpreter; nothing if it is lowered, or answers without running.
    pub fn not_lowered(&self) -> Option<&NotLowered> {
        let runs = self.broken.is_none() && self.constant.is_none();
        self.lowered.as_ref().err().filter(|_| runs)
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
        if let Some(verdict) = self.standing() {
            return Evaluation::Done(verdict);
        }
        if let Ok(lowered) = &self.lowered
            && let Some(verdict) = lowered.evaluate(input)
        {
            return Evaluation::Done(verdict);
        }
        Evaluation::Deferred(self.interpreted(input))
    }

    /// As [`super::Compiled::evaluate`], with the value that the body returns.
    ///
    /// # Errors
    /// When the interpreter has to tell.
    pub fn valued(&self, input: &Input<'_>) -> Result<Outcome, Deferred> {
        if let Some(verdict) = self.standing() {
            return Ok(Outcome::of(verdict));
        }
        let outcome = self.lowered.as_ref().ok().and_then(|lowered| lowered.outcome(input));
        outcome.ok_or_else(|| self.interpreted(input))
    }

    /// What it says whatever the question is.
    fn standing(&self) -> Option<Verdict> {
        let broken = self.broken.as_ref().map(|text| Verdict::error(text.clone()));
        broken.or(self.constant.map(Verdict::of))
    }

    /// The run of the interpreter that tells, whether or not the body is lowered.
    pub fn interpreted(&self, input: &Input<'_>) -> Deferred {
        let variant = Variant::of(input);
        let scene = (self.needs.policies || self.needs.users).then(|| Arc::new(Scene::of(input)));
        Deferred::Python(Box::new(Call {
            script: self.script(variant),
            input: input::build(self.needs, input),
            scene,
            changes: self.changes,
            asks: self.needs.asks(),
        }))
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

/// Whether a module is one function and nothing else.
fn is_body(module: &[ruff_python_ast::Stmt]) -> Result<(), &'static str> {
    match module {
        [ruff_python_ast::Stmt::FunctionDef(_)] => Ok(()),
        _ => Err("a part of the expression stands outside of its body; indent it as the rest"),
    }
}

/// A body as a function. Every line that is not blank is indented, those of a text over several lines too, as authentik
/// does it.
///
/// A line ends wherever Python's texts say that one does. A carriage return alone ends one for the parser, too: what
/// stands behind it would not belong to the body, if it was not indented.
fn wrapped(source: &str) -> String {
    let mut whole = String::with_capacity(source.len() + source.len() / 8 + HEAD.len());
    whole.push_str(HEAD);
    let mut rest = source;
    while !rest.is_empty() {
        let end = rest.find(ends_line).unwrap_or(rest.len());
        let width = match rest.get(end..) {
            Some(end) if end.starts_with("\r\n") => 2,
            Some(end) => end.chars().next().map_or(0, char::len_utf8),
            None => 0,
        };
        let (line, behind) = rest.split_at_checked(end + width).unwrap_or((rest, ""));
        if !line.trim().is_empty() {
            whole.push_str(INDENT);
        }
        whole.push_str(line);
        rest = behind;
    }
    whole.push('\n');
    whole
}

const fn ends_line(letter: char) -> bool {
    matches!(
        letter,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, Timestamp};
    use crate::policy::Calls;
    use crate::policy::tests::{ALICE, Nowhere};

    fn run<T>(source: &str, run: impl FnOnce(&Program, &Input<'_>) -> T) -> T {
        let (context, calls) = (Context::at(Timestamp::new(0, 0)), Calls::default());
        let (groups, world) = (&Nowhere, &Nowhere);
        let input = Input { person: ALICE, context: &context, target: None, groups, world, calls: &calls };
        run(&Program::new("p", source), &input)
    }

    fn evaluate(source: &str) -> Evaluation {
        run(source, Program::evaluate)
    }

    fn broken(source: &str) -> String {
        match evaluate(source) {
            Evaluation::Done(verdict) => verdict.result.unwrap_err().into(),
            Evaluation::Deferred(deferred) => panic!("{deferred:?}"),
        }
    }

    #[test]
    fn what_cannot_run_errors_with_the_reason() {
        let deep = format!("return {}1{}", "(".repeat(250), ")".repeat(250));
        let long = "x = 1\n".repeat(20_000);
        let chain = format!("return a{}", ".a".repeat(30_000));
        for (source, part) in [
            ("return (", "syntax error in line 1: "),
            ("return 1\n  return 2", "syntax error in line 2: "),
            ("", "syntax error in line 1: "),
            ("# nothing", "syntax error in line 1: "),
            ("class A(B):\n    pass", "not supported here"),
            ("del x", "not supported here"),
            (&deep, "nests 2"),
            (&chain, "nests 30001 deep; at most 200 are allowed"),
            (&long, "has 120000 bytes; at most 65536 are allowed"),
        ] {
            let text = broken(source);
            assert!(text.contains(part) && text.ends_with(" (p)"), "{text}");
        }
    }

    #[test]
    fn a_generator_is_true_without_running() {
        assert_eq!(evaluate("yield 1 / 0"), Evaluation::Done(Verdict::of(true)));
    }

    #[test]
    fn only_what_is_read_goes_along() {
        let text = |source: &str| match run(source, |program, input| program.interpreted(input)) {
            Deferred::Python(call) => call.script.text.clone(),
            other => panic!("{other:?}"),
        };
        let plain = text("return request.user.username == 'a'");
        for part in ["class Group:", "class WSGIRequest:", "class IPv4Address:", "def ak_call_policy("] {
            assert!(!plain.contains(part), "{part}");
        }
        assert!(text("return request.user.groups.all()").contains("class Group:"));
        assert!(text("return http_request.path").contains("class WSGIRequest:"));
        let all = text("return ak_call_policy('x').passing");
        assert!(all.contains("class Group:") && all.contains("class IPv4Address:"));
    }

    #[test]
    fn a_script_has_one_key_and_another_policy_has_another() {
        let key = |name: &str, source: &str| Program::new(name, source).script(Variant::default()).key;
        assert_eq!(key("p", "return 1"), key("p", "return 1"));
        assert_ne!(key("p", "return 1"), key("q", "return 1"));
        assert_ne!(key("p", "return 1"), key("p", "return 2"));
    }
}
