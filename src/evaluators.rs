//! What policies need that is not in memory: a wait, other processes, other servers. Each at most for the timeout of its
//! binding; what comes too late, or not at all, is that policy's error and nobody else's.
//!
//! Must not know: who asks, how the answer is used.

mod breaches;
mod directory;
mod passwords;
pub mod python;
mod remote;

pub use breaches::BreachSource;
pub use remote::{RemoteOptions, code_name};

use crate::decision::{Answered, View as _, Waiting};
use crate::model::{Question, Subject, User, Value};
use crate::policy::python::{Call, NotLowered, Outcome, user_object};
use crate::policy::{Calls, Compiled, Deferred, Evaluation, Input, Scene, Verdict, World as _};
use crate::store::Snapshot;
use crate::telemetry::Metrics;
use crate::telemetry::labels::{Label as _, Outside, PolicyResult};
use crate::telemetry::trace::{Child, ChildKind, FutureExt as _};
use monty_types::MontyObject as Object;
use passwords::Passwords;
use python::{Answers, Python, PythonOptions, Runner};
use remote::Remote;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const NO_BREACHES: &str = "there is nowhere to look breached passwords up; set --hibp-directory or --hibp-url, or \
                           switch check_have_i_been_pwned off";

/// A remote call ends by itself at its deadline, and says best what it waited for. It is given up only this much later.
const GRACE: Duration = Duration::from_millis(100);

/// Sees deferred policies through. The default has nothing outside to turn to but remote evaluators; policies that need
/// something else error and say so.
#[derive(Debug, Default)]
pub struct Evaluators {
    python: Option<Python>,
    breaches: Option<BreachSource>,
    passwords: Passwords,
    remote: Remote,
    metrics: Arc<Metrics>,
}

impl Evaluators {
    /// With Python.
    #[must_use]
    pub fn with_python(mut self, options: PythonOptions) -> Self {
        self.python = Some(Python::new(options));
        self
    }

    /// Looks breached passwords up here.
    #[must_use]
    pub fn with_breaches(mut self, source: BreachSource) -> Self {
        self.breaches = Some(source);
        self
    }

    /// Asks remote evaluators within these bounds instead of the default ones.
    #[must_use]
    pub fn with_remote(mut self, options: RemoteOptions) -> Self {
        self.remote = Remote::new(options);
        self
    }

    /// Counts here.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// How many Python workers have nothing to do, and how many run a program; nothing without Python.
    pub fn python_workers(&self) -> Option<(u64, u64)> {
        self.python.as_ref().map(Python::workers)
    }

    /// How many circuits to remote evaluators are open.
    pub fn circuits_open(&self) -> u64 {
        self.remote.circuits_open()
    }

    /// Sees one deferred policy through, at most until its timeout after `start`.
    pub async fn settle(&self, snapshot: &Snapshot, waiting: Waiting, start: Instant) -> Answered {
        let Waiting { target, row, called, deferred, timeout } = waiting;
        let deadline = start + timeout;
        let end = patience(&deferred, deadline);
        let (kind, begun) = (outside(&deferred), Instant::now());
        let (name, place) = match kind {
            Outside::Remote => ("bindery.v1.PolicyEvaluator/Evaluate", ChildKind::Call),
            kind => (kind.word(), ChildKind::Inside),
        };
        let span = Child::begin(name, place);
        let work = tokio::time::timeout_at(end, self.run(snapshot, deferred, deadline));
        let verdict = match &span {
            Some(span) => Box::pin(work.with_context(span.context())).await,
            None => work.await,
        };
        // Remote calls and programs tell by themselves when their time is up, a little earlier or later.
        let is_late = verdict.is_err() || Instant::now() >= deadline;
        let verdict = verdict.unwrap_or_else(|_| timed_out(timeout));
        let result = match &verdict.result {
            Ok(true) => PolicyResult::Pass,
            Ok(false) => PolicyResult::Fail,
            Err(_) if is_late => PolicyResult::Timeout,
            Err(_) => PolicyResult::Error,
        };
        self.metrics.policy_evaluated(kind, result, begun.elapsed());
        if let Some(span) = span {
            span.end(verdict.result.is_err().then(|| result.word()));
        }
        Answered { target, row, called, verdict }
    }

    async fn run(&self, snapshot: &Snapshot, deferred: Deferred, deadline: Instant) -> Verdict {
        match deferred {
            Deferred::Wait { min, max, verdict } => {
                tokio::time::sleep(between(min, max)).await;
                verdict
            }
            Deferred::Called(deferred) => Box::pin(self.run(snapshot, *deferred, deadline)).await,
            Deferred::Python(call) => self.interpret(snapshot, &call, deadline).await.verdict,
            // Boxed, so that the room for what is rare is not carried, and moved, by everything that waits.
            Deferred::Breaches(breaches) => match &self.breaches {
                Some(source) => Box::pin(source.look_up(*breaches)).await,
                None => Verdict::error(NO_BREACHES),
            },
            Deferred::Reuse(reuse) => Box::pin(self.passwords.compare(*reuse)).await,
            Deferred::Remote(call) => Box::pin(self.remote.ask(*call, deadline)).await,
        }
    }

    /// Evaluates one policy for a question by itself, without any binding, under this timeout.
    pub async fn trial(
        &self,
        snapshot: &Snapshot,
        policy: &Compiled,
        question: &Question,
        timeout: Duration,
    ) -> Trial {
        let start = Instant::now();
        let deadline = start + timeout;
        let member = snapshot.member(&question.subject);
        let person = member.person();
        let target = snapshot.find(&question.target).ok().and_then(|key| snapshot.target(key));
        let target = target.map(|it| &it.target);
        let scene = Scene {
            context: question.context.clone(),
            anonymous: person.anonymous,
            id: person.id.into(),
            username: person.username.into(),
            name: person.name.into(),
            email: person.email.into(),
            attributes: person.attributes.clone(),
            user: person.user.cloned(),
            is_superuser: person.is_superuser,
            groups: snapshot.groups_of(&member),
            target: target.cloned(),
        };
        let mut verdicts: Vec<Verdict> = Vec::new();
        let native = policy.python().map(|_| Way::Native);
        let (outcome, steps, way) = loop {
            let calls = Calls::answered(&verdicts);
            let (person, context, target) = (scene.person(), &scene.context, scene.target.as_ref());
            let input = Input { person, context, target, groups: &scene, world: snapshot, calls: &calls };
            let (evaluation, steps) = match policy.python() {
                Some(program) => (program.valued(&input), None),
                None => {
                    let (evaluation, steps) = policy.evaluate_counted(&input);
                    let evaluation = match evaluation {
                        Evaluation::Done(verdict) => Ok(Outcome { verdict, raw: Value::Null }),
                        Evaluation::Deferred(deferred) => Err(deferred),
                    };
                    (evaluation, steps)
                }
            };
            let (called, deferred) = match evaluation {
                Ok(outcome) => break (outcome, steps, native),
                Err(Deferred::Called(deferred)) => (true, *deferred),
                Err(deferred) => (false, deferred),
            };
            let end = patience(&deferred, deadline);
            let work = async {
                match deferred {
                    Deferred::Python(call) => self.interpret(snapshot, &call, deadline).await,
                    deferred => Outcome::of(self.run(snapshot, deferred, deadline).await),
                }
            };
            let outcome = tokio::time::timeout_at(end, work)
                .await
                .unwrap_or_else(|_| Outcome { verdict: timed_out(timeout), raw: Value::Null });
            if !called {
                let way = policy.python().map(|program| Way::Interpreter(program.not_lowered().cloned()));
                break (outcome, None, way);
            }
            verdicts.push(outcome.verdict);
        };
        let Outcome { verdict, raw: value } = outcome;
        Trial { verdict, value, steps, way, took: start.elapsed() }
    }

    /// Runs a program in the interpreter, whether or not it was lowered.
    pub async fn interpret(&self, snapshot: &Snapshot, call: &Call, deadline: Instant) -> Outcome {
        let Some(python) = &self.python else {
            let text = "the interpreter for expressions in Python is switched off, and this one takes it; see the setting `python`";
            return Outcome { verdict: Verdict::error(text), raw: Value::Null };
        };
        let scene = Surroundings { evaluators: self, snapshot, scene: call.scene.as_deref(), deadline };
        python.run(call, deadline, &scene).await
    }
}

/// What came of one policy by itself.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it said.
    pub verdict: Verdict,
    /// The value that an expression in Python returned, where it is plain data.
    pub value: Value,
    /// The steps that it took, where steps are counted.
    pub steps: Option<u64>,
    /// Of an expression in Python: what answered.
    pub way: Option<Way>,
    /// How long it took.
    pub took: Duration,
}

/// What answers for an expression in Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The conditions that it was lowered to; or nothing had to run.
    Native,
    /// The interpreter: for this reason, or because the question has something that lowered conditions leave to it.
    Interpreter(Option<NotLowered>),
}

/// What a deferred policy turns to.
fn outside(deferred: &Deferred) -> Outside {
    match deferred {
        Deferred::Wait { .. } => Outside::Waits,
        Deferred::Called(deferred) => outside(deferred),
        Deferred::Python(_) => Outside::Python,
        Deferred::Breaches(_) => Outside::Breaches,
        Deferred::Reuse(_) => Outside::Passwords,
        Deferred::Remote(_) => Outside::Remote,
    }
}

/// When something deferred is given up.
fn patience(deferred: &Deferred, deadline: Instant) -> Instant {
    match deferred {
        Deferred::Remote(_) => deadline + GRACE,
        _ => deadline,
    }
}

fn timed_out(timeout: Duration) -> Verdict {
    Verdict::error(format!(
        "timed out after {timeout:?}; raise the binding's timeout, or make the policy faster"
    ))
}

/// Where a program runs: what it may look up and call.
struct Surroundings<'a> {
    evaluators: &'a Evaluators,
    snapshot: &'a Snapshot,
    scene: Option<&'a Scene>,
    deadline: Instant,
}

impl Surroundings<'_> {
    async fn call(
        &self,
        name: &str,
        values: Value,
        attributes: Value,
        runner: &mut Runner<'_>,
    ) -> io::Result<Option<Outcome>> {
        let (Some(policy), Some(scene)) = (self.snapshot.policy(name), self.scene) else { return Ok(None) };
        let mut scene = scene.clone();
        (scene.context.values, scene.attributes) = (values, attributes);
        let mut verdicts: Vec<Verdict> = Vec::new();
        loop {
            let deferred = {
                let calls = Calls::answered(&verdicts);
                let (person, context, target) = (scene.person(), &scene.context, scene.target.as_ref());
                let input =
                    Input { person, context, target, groups: &scene, world: self.snapshot, calls: &calls };
                match policy.valued(&input) {
                    Ok(outcome) => return Ok(Some(outcome)),
                    Err(deferred) => deferred,
                }
            };
            let (called, deferred) = match deferred {
                Deferred::Called(deferred) => (true, *deferred),
                deferred => (false, deferred),
            };
            let outcome = match deferred {
                // On the very worker that waits for this: another one might wait for a place that this one has.
                Deferred::Python(call) => Box::pin(runner.run(&call)).await?,
                deferred => Outcome::of(self.evaluators.run(self.snapshot, deferred, self.deadline).await),
            };
            if !called {
                return Ok(Some(outcome));
            }
            verdicts.push(outcome.verdict);
        }
    }
}

impl Answers for Surroundings<'_> {
    fn policy<'a>(
        &'a self,
        name: &'a str,
        values: Value,
        attributes: Value,
        runner: &'a mut Runner<'_>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Option<Outcome>>> + Send + 'a>> {
        Box::pin(self.call(name, values, attributes, runner))
    }

    fn users(&self, filters: &Value) -> Object {
        let object = |user: &Arc<User>| {
            let subject = Subject { user_id: Some(user.id.to_string()), ..Subject::default() };
            let member = self.snapshot.member(&subject);
            user_object(user, member.is_superuser, &self.snapshot.groups_of(&member))
        };
        Object::List(directory::find(self.snapshot, filters).iter().map(object).collect())
    }
}

/// Some span between the two. The hasher of a fresh map state is random, which is random enough for a wait.
fn between(min: Duration, max: Duration) -> Duration {
    let span = max.saturating_sub(min);
    let part = RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64;
    min + span.mul_f64(part.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::TargetKey;
    use crate::policy::{Breaches, Reuse, Secret};
    use crate::store::{Settings, Store};

    async fn settle(evaluators: &Evaluators, deferred: Deferred, timeout: Duration) -> Verdict {
        let waiting = Waiting { target: TargetKey(0), row: 0, called: false, deferred, timeout };
        let store = Store::new(Settings::default());
        evaluators.settle(&store.load(), waiting, Instant::now()).await.verdict
    }

    fn breaches() -> Deferred {
        let suffix = Secret::new("D66A63D4BF1747940578EC3D0103530E21D");
        let otherwise = Verdict::of(true);
        Deferred::Breaches(Box::new(Breaches { prefix: "F3BBB".into(), suffix, allowed: 0, otherwise }))
    }

    #[tokio::test]
    async fn without_a_source_of_breaches_the_error_says_what_to_set() {
        let verdict = settle(&Evaluators::default(), breaches(), Duration::from_secs(30)).await;
        let text = verdict.result.unwrap_err();
        assert!(text.contains("--hibp-directory") && text.contains("--hibp-url"), "{text}");
    }

    #[tokio::test]
    async fn a_mirror_that_says_nothing_is_an_error_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let evaluators = Evaluators::default().with_breaches(BreachSource::mirror(&url).unwrap());
        let verdict = settle(&evaluators, breaches(), Duration::from_millis(20)).await;
        assert!(verdict.result.unwrap_err().contains("timed out after 20ms"));
    }

    #[tokio::test]
    async fn former_passwords_that_take_too_long_are_an_error_in_time_while_others_go_on() {
        let hash = format!("pbkdf2_sha256$20000$salt${}=", "A".repeat(43));
        let reuse = |count| {
            let hashes = vec![hash.as_str().into(); count];
            Deferred::Reuse(Box::new(Reuse { password: Secret::new("a"), hashes }))
        };
        let evaluators = Evaluators::default();
        let slow = settle(&evaluators, reuse(1_000), Duration::from_millis(20));
        let other = settle(&evaluators, reuse(1), Duration::from_secs(60));
        let (slow, other) = tokio::join!(slow, other);
        assert!(slow.result.unwrap_err().contains("timed out"));
        assert_eq!(other, Verdict::of(true));
    }

    #[tokio::test]
    async fn what_waits_takes_little_room() {
        let (evaluators, store) = (Evaluators::default(), Store::new(Settings::default()));
        let deferred =
            Deferred::Wait { min: Duration::ZERO, max: Duration::ZERO, verdict: Verdict::of(true) };
        let (called, timeout) = (false, Duration::from_secs(1));
        let waiting = Waiting { target: TargetKey(0), row: 0, called, deferred, timeout };
        let snapshot = store.load();
        let size = size_of_val(&evaluators.settle(&snapshot, waiting, Instant::now()));
        assert!(size < 4_096, "{size} bytes");
    }

    #[test]
    fn a_wait_is_between_its_bounds() {
        let (min, max) = (Duration::from_millis(2), Duration::from_millis(5));
        for _ in 0..1_000 {
            assert!((min..=max).contains(&between(min, max)));
        }
        assert_eq!(between(max, min), max);
        assert_eq!(between(Duration::MAX, Duration::MAX), Duration::MAX);
    }
}
