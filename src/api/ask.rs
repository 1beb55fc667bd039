//! One question from message to answer: what every front door and the command line call.
//!
//! Must not know: how a question came in.

use super::convert;
use super::note::{Noted, Reply, Watch};
use crate::decision::{Answered, Outcome, TargetKey, Unresolved, View as _, Waiting, decide, decide_watched};
use crate::evaluators::{Evaluators, Trial};
use crate::model::{Answer, Explain, Question, Subject, TargetRef, TargetReport, Timestamp};
use crate::policy::World as _;
use crate::proto::v1;
use crate::store::{Snapshot, Store};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::time::{Instant, SystemTime};
use tonic::Code;

/// How often a question may have to wait: once for each policy that changes the context for those after it, and for
/// each that is called by another one, in its target and what that leans on, or in each stage of a flow.
const MAX_ROUNDS: usize = 10_000;

/// Why a question could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The gRPC status code.
    pub code: Code,
    /// The field of the question, or the setting of the server, at fault; empty: none.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Failure {
    /// The question is not complete or not allowed.
    pub(super) fn argument(field: &str, message: &str) -> Self {
        Self { code: Code::InvalidArgument, field: field.to_owned(), message: format!("{field}: {message}") }
    }
}

/// A question that waits for policies.
#[derive(Debug)]
pub struct Pending {
    question: Question,
    return_context: bool,
    answered: Vec<Answered>,
    waiting: Vec<Waiting>,
    watch: Watch,
}

/// What came of a first try.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box around most answers would be their one allocation")]
pub enum Attempt {
    /// The answer.
    Answered(Reply),
    /// The policies to wait for, with [`finish`].
    Pending(Box<Pending>),
}

/// The moment that it is.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = i32::try_from(since.subsec_nanos()).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanoseconds)
}

/// Answers a question on the revision in force, decided for `now` unless the question names a moment. Waits for
/// policies that take time, each at most for its binding's timeout.
///
/// # Errors
/// When the question is not complete or its target is not there; a denial is an answer.
pub async fn check(
    store: &Store,
    evaluators: &Evaluators,
    request: v1::CheckRequest,
    now: Timestamp,
) -> Result<v1::CheckResponse, Failure> {
    check_on(&store.load(), evaluators, request, now).await
}

/// As [`check`], on this revision.
///
/// # Errors
/// As [`check`].
pub async fn check_on(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    request: v1::CheckRequest,
    now: Timestamp,
) -> Result<v1::CheckResponse, Failure> {
    match attempt(snapshot, request, now)? {
        Attempt::Answered(reply) => Ok(reply.response),
        Attempt::Pending(pending) => {
            Box::pin(finish(snapshot, evaluators, *pending)).await.map(|reply| reply.response)
        }
    }
}

/// Only for tests: as [`check`], for a question that is traced and logged, whose answer must be the same.
///
/// # Errors
/// As [`check`].
#[doc(hidden)]
pub async fn check_told(
    store: &Store,
    evaluators: &Evaluators,
    request: v1::CheckRequest,
    now: Timestamp,
) -> Result<v1::CheckResponse, Failure> {
    let snapshot = store.load();
    match attempt_watched(&snapshot, request, now, Watch { record: true, report: true })? {
        Attempt::Answered(reply) => Ok(reply.response),
        Attempt::Pending(pending) => {
            Box::pin(finish(&snapshot, evaluators, *pending)).await.map(|reply| reply.response)
        }
    }
}

/// Refuses what cannot be answered on this revision.
pub(super) fn gate(snapshot: &Snapshot, least: u64) -> Result<(), Failure> {
    let revision = snapshot.revision();
    if snapshot.is_unset() {
        let message = "there is no configuration yet; try again once one is loaded".to_owned();
        return Err(Failure { code: Code::Unavailable, field: String::new(), message });
    }
    if revision < least {
        let message =
            format!("revision {revision} is in force, and at least {least} is asked for; try again later");
        return Err(Failure { code: Code::FailedPrecondition, field: "min_revision".to_owned(), message });
    }
    Ok(())
}

/// Refuses what is too old for this target.
pub(super) fn fresh(snapshot: &Snapshot, target: &TargetRef) -> Result<(), Failure> {
    if let Some(limit) = snapshot.too_old_for(target) {
        let message = format!(
            "the configuration was not confirmed by its source for longer than {limit:?}; see whether that can be \
             reached"
        );
        let field = super::status::MAX_STALENESS.to_owned();
        return Err(Failure { code: Code::Unavailable, field, message });
    }
    Ok(())
}

/// Answers a question at once, if no policy has to be waited for. Most have none.
///
/// # Errors
/// As [`check`].
pub fn attempt(snapshot: &Snapshot, request: v1::CheckRequest, now: Timestamp) -> Result<Attempt, Failure> {
    attempt_watched(snapshot, request, now, Watch::default())
}

/// As [`attempt`], and keeps what is to be told of it.
pub(super) fn attempt_watched(
    snapshot: &Snapshot,
    request: v1::CheckRequest,
    now: Timestamp,
    watch: Watch,
) -> Result<Attempt, Failure> {
    let return_context = request.return_context;
    let question = prepare(snapshot, request, now)?;
    begin(snapshot, question, return_context, watch)
}

/// The question of a message, checked, for a door that looks at it before it is decided.
pub(super) fn prepare(
    snapshot: &Snapshot,
    request: v1::CheckRequest,
    now: Timestamp,
) -> Result<Question, Failure> {
    gate(snapshot, request.min_revision)?;
    let from_event = request.subject.is_none();
    let mut question = convert::question(request, now)?;
    if from_event && snapshot.member(&question.subject).user.is_none() {
        // Nobody vouches for the user of an event whom the directory does not know, so policies see no name either.
        question.subject = Subject { anonymous: true, ..Subject::default() };
    }
    Ok(question)
}

/// A first try at a question.
pub(super) fn begin(
    snapshot: &Snapshot,
    question: Question,
    return_context: bool,
    watch: Watch,
) -> Result<Attempt, Failure> {
    fresh(snapshot, &question.target)?;
    step(snapshot, question, return_context, Vec::new(), watch)
}

/// Answers a question of a gateway on this revision, which [`gate`] has let through.
///
/// # Errors
/// As [`check`].
pub(super) async fn decide_on(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    question: Question,
    watch: Watch,
) -> Result<Reply, Failure> {
    match begin(snapshot, question, false, watch)? {
        Attempt::Answered(reply) => Ok(reply),
        Attempt::Pending(pending) => Box::pin(finish(snapshot, evaluators, *pending)).await,
    }
}

/// What came of a first try of which only the outcome counts.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Whether the subject passes.
    Decided(bool),
    /// The policies to wait for, with [`finish`].
    Pending(Box<Pending>),
}

/// A first try at a question that is asked again and again with small changes, and so is copied only if it waits.
pub(super) fn verdict(snapshot: &Snapshot, question: &Question) -> Result<Verdict, Failure> {
    fresh(snapshot, &question.target)?;
    let member = snapshot.member(&question.subject);
    match decide(snapshot, question, &member, &[], None).map_err(unresolved)? {
        Outcome::Decided(answer) => Ok(Verdict::Decided(answer.decision.is_allow())),
        Outcome::Waiting(waiting) => {
            let (question, answered) = (question.clone(), Vec::new());
            let (return_context, watch) = (false, Watch::default());
            Ok(Verdict::Pending(Box::new(Pending { question, return_context, answered, waiting, watch })))
        }
    }
}

/// Refuses a target that is not there.
pub(super) fn known(snapshot: &Snapshot, target: &TargetRef) -> Result<(), Failure> {
    snapshot.find(target).map(|_| ()).map_err(unresolved)
}

fn unresolved(unresolved: Unresolved) -> Failure {
    let code = match unresolved {
        Unresolved::NotFound(_) => Code::NotFound,
        Unresolved::OtherApplication { .. } => Code::InvalidArgument,
    };
    Failure { code, field: "target".to_owned(), message: format!("target: {unresolved}") }
}

/// Evaluates one policy for the subject and context of a question by itself, without any binding.
///
/// # Errors
/// When the question is not complete or there is no such policy.
pub async fn trial(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    policy: &str,
    request: v1::CheckRequest,
    timeout: std::time::Duration,
    now: Timestamp,
) -> Result<Trial, Failure> {
    let Some(policy) = snapshot.policy(policy) else {
        let message = format!("policy: there is no policy `{policy}` in the configuration");
        return Err(Failure { code: Code::NotFound, field: "policy".to_owned(), message });
    };
    let question = convert::question(request, now)?;
    Ok(evaluators.trial(snapshot, &policy, &question, timeout).await)
}

fn step(
    snapshot: &Snapshot,
    question: Question,
    return_context: bool,
    answered: Vec<Answered>,
    watch: Watch,
) -> Result<Attempt, Failure> {
    // Only a full explanation and a trace measure bindings; reading the clock is not free.
    let start = (question.explain == Explain::Full || watch.report).then(Instant::now);
    let ticks = || start.map_or(0, |start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let member = snapshot.member(&question.subject);
    match decide_watched(snapshot, &question, &member, &answered, Some(&ticks), watch.report) {
        Ok(Outcome::Decided(mut answer)) => {
            let report = watch.report.then(|| for_trace(&mut answer, question.explain)).flatten();
            if !return_context {
                answer.changed_context = None;
            }
            let summary =
                if question.explain == Explain::None { String::new() } else { answer.summary(&member) };
            let (revision, age) = (snapshot.revision(), snapshot.freshness().age());
            let user = member.user.as_ref().filter(|_| watch.record).map(|user| user.id.to_string());
            drop(member);
            let noted = Noted {
                kind: question.target.kind(),
                deciding: answer.deciding,
                policy_errors: std::mem::take(&mut answer.policy_errors),
                question: watch.record.then(|| (Box::new(question), user)),
                report,
            };
            let response = convert::response(answer, summary, revision, age);
            Ok(Attempt::Answered(Reply { response, noted }))
        }
        Ok(Outcome::Waiting(waiting)) => {
            drop(member);
            Ok(Attempt::Pending(Box::new(Pending { question, return_context, answered, waiting, watch })))
        }
        Err(error) => Err(unresolved(error)),
    }
}

/// The report for a trace; the answer keeps as much of it as the question asks for.
fn for_trace(answer: &mut Answer, explain: Explain) -> Option<Box<TargetReport>> {
    fn strip(report: &mut TargetReport) {
        report.bindings.clear();
        report.parents.iter_mut().for_each(strip);
    }
    match explain {
        Explain::None => answer.report.take(),
        Explain::Reasons => {
            let whole = answer.report.clone();
            answer.report.as_deref_mut().into_iter().for_each(strip);
            whole
        }
        Explain::Full => answer.report.clone(),
    }
}

/// Waits for what a question waits for, until it has its answer. A question leans on at most one other target, so
/// this takes few rounds.
///
/// # Errors
/// As [`check`]; and when the rounds do not come to an end.
pub async fn finish(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    pending: Pending,
) -> Result<Reply, Failure> {
    let Pending { mut question, return_context, mut answered, mut waiting, watch } = pending;
    let mut rounds = Rounds::default();
    loop {
        rounds.settle(snapshot, evaluators, waiting, &mut answered).await?;
        match step(snapshot, question, return_context, answered, watch)? {
            Attempt::Answered(reply) => return Ok(reply),
            Attempt::Pending(next) => Pending { question, answered, waiting, .. } = *next,
        }
    }
}

/// The rounds of waiting of one question.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// A policy that waits more than once has its timeout once.
    begun: Vec<((TargetKey, u32), tokio::time::Instant)>,
    count: usize,
}

impl Rounds {
    /// Sees through all that is waited for, side by side, and adds what came of it.
    ///
    /// # Errors
    /// When the rounds do not come to an end.
    pub(super) async fn settle(
        &mut self,
        snapshot: &Snapshot,
        evaluators: &Evaluators,
        waiting: Vec<Waiting>,
        answered: &mut Vec<Answered>,
    ) -> Result<(), Failure> {
        self.count += 1;
        if self.count > MAX_ROUNDS {
            let message = format!(
                "policies still wait after {MAX_ROUNDS} rounds; please report this as a mistake of bindery"
            );
            return Err(Failure { code: Code::Internal, field: String::new(), message });
        }
        let mut running: FuturesUnordered<_> = waiting
            .into_iter()
            .map(|one| {
                let key = (one.target, one.row);
                let start = match self.begun.iter().find(|(other, _)| *other == key) {
                    Some((_, start)) => *start,
                    None => {
                        let start = tokio::time::Instant::now();
                        self.begun.push((key, start));
                        start
                    }
                };
                evaluators.settle(snapshot, one, start)
            })
            .collect();
        while let Some(one) = running.next().await {
            answered.push(one);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Settings;
    use crate::sync::apply::{Update, apply};
    use v1::resource::Resource as R;
    use v1::target_ref::Target as T;

    const NOW: Timestamp = Timestamp::new(1_780_315_200, 0);

    fn target(target: T) -> Option<v1::TargetRef> {
        Some(v1::TargetRef { target: Some(target) })
    }

    fn milliseconds(count: i64) -> Option<prost_types::Duration> {
        let nanos = i32::try_from(count % 1_000).unwrap() * 1_000_000;
        Some(prost_types::Duration { seconds: count / 1_000, nanos })
    }

    /// A policy that says its name after a wait, bound to this target.
    fn waits(name: &str, target: T, wait: i64, timeout: i64) -> [R; 2] {
        let messages = Some(v1::DummyMessages { texts: vec![name.into()] });
        let dummy =
            v1::DummyPolicy { result: true, wait_min: milliseconds(wait), messages, ..Default::default() };
        let kind = Some(v1::policy::Kind::Dummy(dummy));
        let target = Some(v1::TargetRef { target: Some(target) });
        let (policy, timeout) = (name.to_owned(), milliseconds(timeout));
        [
            R::Policy(v1::Policy { name: name.into(), kind, ..Default::default() }),
            R::PolicyBinding(v1::PolicyBinding { target, policy, timeout, ..Default::default() }),
        ]
    }

    fn store(resources: impl IntoIterator<Item = R>) -> Store {
        let store = Store::new(Settings::default());
        let resources = resources.into_iter().map(|it| v1::Resource { resource: Some(it) }).collect();
        apply(&store, Update::Replace(resources)).unwrap();
        store
    }

    fn application(slug: &str) -> R {
        R::Application(v1::Application { slug: slug.into(), ..Default::default() })
    }

    fn endpoint(id: &str, application: &str) -> R {
        R::RacEndpoint(v1::RacEndpoint {
            id: id.into(),
            application: application.into(),
            ..Default::default()
        })
    }

    fn rac(id: &str, application: &str) -> T {
        T::RacEndpoint(v1::RacEndpointRef { id: id.into(), application: application.into() })
    }

    fn ask(asked: T) -> v1::CheckRequest {
        let subject = Some(v1::Subject { username: "ada".into(), ..Default::default() });
        v1::CheckRequest { target: target(asked), subject, full_evaluation: true, ..Default::default() }
    }

    fn wiki() -> T {
        T::Application("wiki".into())
    }

    fn refused(store: &Store, request: v1::CheckRequest) -> Failure {
        attempt(&store.load(), request, NOW).unwrap_err()
    }

    #[test]
    fn most_questions_need_no_runtime() {
        let store = store([application("wiki")]);
        let Attempt::Answered(reply) = attempt(&store.load(), ask(wiki()), NOW).unwrap() else {
            panic!("it waits")
        };
        let response = reply.response;
        assert_eq!((response.decision(), response.revision), (v1::Decision::Allow, 1));
    }

    #[test]
    fn what_cannot_be_answered_has_its_code_and_field() {
        let empty = Store::new(Settings::default());
        assert_eq!(refused(&empty, ask(wiki())).code, Code::Unavailable);
        let store = store([application("wiki"), application("other"), endpoint("db", "wiki")]);
        let later = refused(&store, v1::CheckRequest { min_revision: 2, ..ask(wiki()) });
        assert_eq!((later.code, later.field.as_str()), (Code::FailedPrecondition, "min_revision"));
        let unknown = refused(&store, ask(T::Flow("wiki".into())));
        assert_eq!((unknown.code, unknown.field.as_str()), (Code::NotFound, "target"));
        assert_eq!(unknown.message, "target: there is no flow `wiki` in the configuration");
        let other = refused(&store, ask(rac("db", "other")));
        assert_eq!((other.code, other.field.as_str()), (Code::InvalidArgument, "target"));
        assert!(attempt(&store.load(), ask(rac("db", "wiki")), NOW).is_ok());
    }

    #[tokio::test]
    async fn a_target_and_what_it_leans_on_are_both_waited_for() {
        let resources = [application("wiki"), endpoint("db", "wiki")]
            .into_iter()
            .chain(waits("of-wiki", wiki(), 1, 900))
            .chain(waits("of-db", rac("db", ""), 1, 900))
            .chain(waits("of-db-too", rac("db", ""), 1, 900));
        let response =
            check(&store(resources), &Evaluators::default(), ask(rac("db", "")), NOW).await.unwrap();
        assert_eq!(response.decision(), v1::Decision::Allow);
        assert_eq!(response.messages, ["of-db", "of-db-too"]);
    }

    #[tokio::test]
    async fn what_takes_too_long_errors_alone() {
        let [quick, slow] = [waits("quick", wiki(), 1, 999), waits("slow", wiki(), 3_600_000, 1)];
        let resources = [application("wiki")].into_iter().chain(quick).chain(slow);
        let response = check(&store(resources), &Evaluators::default(), ask(wiki()), NOW).await.unwrap();
        assert_eq!(response.decision(), v1::Decision::Allow);
        let text = "timed out after 1ms; raise the binding's timeout, or make the policy faster";
        assert_eq!(response.messages, ["quick", text]);
    }

    #[tokio::test]
    async fn a_question_keeps_the_revision_that_it_began_with() {
        let store = store([application("wiki")].into_iter().chain(waits("slow", wiki(), 1, 900)));
        let before = store.load();
        apply(&store, Update::Replace(vec![v1::Resource { resource: Some(application("other")) }])).unwrap();
        assert_eq!(check_on(&before, &Evaluators::default(), ask(wiki()), NOW).await.unwrap().revision, 1);
        assert_eq!(
            check(&store, &Evaluators::default(), ask(wiki()), NOW).await.unwrap_err().code,
            Code::NotFound
        );
    }

    #[test]
    fn only_what_is_asked_for_is_explained() {
        let store = store([application("wiki")]);
        for (level, explained) in [
            (v1::ExplainLevel::Unspecified, false),
            (v1::ExplainLevel::None, false),
            (v1::ExplainLevel::Reasons, true),
        ] {
            let request = v1::CheckRequest { explain: level.into(), ..ask(wiki()) };
            let Attempt::Answered(reply) = attempt(&store.load(), request, NOW).unwrap() else {
                panic!("it waits")
            };
            assert_eq!(reply.response.explanation.is_some(), explained, "{level:?}");
        }
    }

    #[test]
    fn an_events_user_whom_nobody_knows_is_anonymous() {
        let rule = R::NotificationRule(v1::NotificationRule { name: "rule".into(), ..Default::default() });
        let user = R::User(v1::User { username: "ada".into(), ..Default::default() });
        let binding = R::PolicyBinding(v1::PolicyBinding {
            target: target(T::NotificationRule("rule".into())),
            user: Some(v1::UserRef { username: "ada".into(), ..Default::default() }),
            negate: true,
            ..Default::default()
        });
        let store = store([rule, user, binding]);
        let asked = |username: &str| {
            let user = Some(v1::EventUser { username: username.into(), ..Default::default() });
            let event = Some(v1::Event { user, ..Default::default() });
            let context = Some(v1::Context { event, ..Default::default() }.into());
            let rule = target(T::NotificationRule("rule".into()));
            let request = v1::CheckRequest { target: rule, context, ..Default::default() };
            match attempt(&store.load(), request, NOW).unwrap() {
                Attempt::Answered(reply) => reply.response.decision(),
                Attempt::Pending(_) => panic!("it waits"),
            }
        };
        // Negated, the binding would let everybody else pass; nobody is not somebody else.
        assert_eq!((asked("ada"), asked("eve")), (v1::Decision::Deny, v1::Decision::Deny));
    }

    #[test]
    fn a_token_of_somebody_gone_is_not_the_new_user_of_that_name() {
        let user = R::User(v1::User { id: "2".into(), username: "ada".into(), ..Default::default() });
        let binding = R::PolicyBinding(v1::PolicyBinding {
            target: target(wiki()),
            user: Some(v1::UserRef { username: "ada".into(), ..Default::default() }),
            ..Default::default()
        });
        let store = store([application("wiki"), user, binding]);
        let asked = |id: &str, username: &str| {
            let subject =
                Some(v1::Subject { user_id: id.into(), username: username.into(), ..Default::default() });
            match attempt(&store.load(), v1::CheckRequest { subject, ..ask(wiki()) }, NOW).unwrap() {
                Attempt::Answered(reply) => reply.response.decision(),
                Attempt::Pending(_) => panic!("it waits"),
            }
        };
        assert_eq!((asked("2", ""), asked("", "ada")), (v1::Decision::Allow, v1::Decision::Allow));
        assert_eq!(asked("1", "ada"), v1::Decision::Deny);
    }
}
