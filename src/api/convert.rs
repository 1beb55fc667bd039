//! Questions from messages to the model, and answers back. Every field of a question is checked here.
//!
//! Must not know: how a question is decided.

use super::ask::Failure;
use crate::model::{
    Answer, BindingReport, Context, Decision, Event, EventUser, Explain, HttpRequest, Id, Mode, Question,
    Reason, ReputationScore, Scope, SkipReason, Subject, TargetKind, TargetRef, TargetReport, Timestamp,
    Value,
};
use crate::proto::{v1, value};
use crate::store::Age;
use prost::Message;

/// The most groups that a caller may vouch for.
pub const MAX_GROUPS: usize = 1_000;
/// The largest context, in bytes of its message.
pub const MAX_CONTEXT: usize = 256 << 10;
/// The largest subject, in bytes of its message.
pub const MAX_SUBJECT: usize = 256 << 10;
/// The most reputation rows in a context.
pub const MAX_SCORES: usize = 1_000;
/// The largest body of an HTTP request in a question, in bytes.
pub const MAX_BODY: usize = 64 << 10;
/// The longest name in a question, in bytes.
const MAX_NAME: usize = 1_024;

type Checked<T> = Result<T, Failure>;

/// The question of a message; `now` counts where the message names no moment.
pub(super) fn question(request: v1::CheckRequest, now: Timestamp) -> Checked<Question> {
    let target = target(request.target)?;
    let context = match request.context {
        Some(message) => context(*message, now)?,
        None => Context::at(now),
    };
    let subject = match request.subject {
        Some(message) => subject(message)?,
        None if target.kind() == TargetKind::NotificationRule => actor(context.event.as_ref())?,
        None => {
            return Err(Failure::argument("subject", "missing; say who is asked about, or set anonymous"));
        }
    };
    let scope = match v1::Scope::try_from(request.scope) {
        Ok(v1::Scope::Unspecified | v1::Scope::WithParents) => Scope::WithParents,
        Ok(v1::Scope::TargetAlone) => Scope::TargetAlone,
        Err(_) => return Err(no_member("scope", request.scope)),
    };
    let explain = explain(request.explain)?;
    Ok(Question { target, subject, context, scope, explain, full_evaluation: request.full_evaluation })
}

/// How much to explain.
pub(super) fn explain(level: i32) -> Checked<Explain> {
    match v1::ExplainLevel::try_from(level) {
        Ok(v1::ExplainLevel::Unspecified | v1::ExplainLevel::None) => Ok(Explain::None),
        Ok(v1::ExplainLevel::Reasons) => Ok(Explain::Reasons),
        Ok(v1::ExplainLevel::Full) => Ok(Explain::Full),
        Err(_) => Err(no_member("explain", level)),
    }
}

/// What and whom a question is about, as far as it says so; the whole of it is checked elsewhere.
pub(super) fn about(request: &v1::CheckRequest) -> Option<(TargetRef, Subject)> {
    let target = target(request.target.clone()).ok()?;
    let subject = match &request.subject {
        Some(message) => Subject {
            user_id: (!message.user_id.is_empty()).then(|| message.user_id.as_str().into()),
            username: (!message.username.is_empty()).then(|| message.username.as_str().into()),
            anonymous: message.anonymous,
            ..Subject::default()
        },
        None => {
            let user = request.context.as_ref()?.event.as_ref()?.user.as_ref()?;
            let (id, name) = (user.id.as_str(), user.username.as_str());
            Subject {
                user_id: (!id.is_empty()).then(|| id.into()),
                username: (!name.is_empty()).then(|| name.into()),
                ..Subject::default()
            }
        }
    };
    Some((target, subject))
}

fn no_member(field: &str, number: i32) -> Failure {
    Failure::argument(field, &format!("{number} is none of its values; see the schema for these"))
}

pub(super) fn target(message: Option<v1::TargetRef>) -> Checked<TargetRef> {
    use v1::target_ref::Target;
    let Some(target) = message.and_then(|message| message.target) else {
        return Err(Failure::argument("target", "missing; say what is asked about, such as an application"));
    };
    let (kind, name, field) = match target {
        Target::Application(name) => (TargetKind::Application, name, "target.application"),
        Target::Source(name) => (TargetKind::Source, name, "target.source"),
        Target::Flow(name) => (TargetKind::Flow, name, "target.flow"),
        Target::FlowStageBinding(id) => (TargetKind::FlowStageBinding, id, "target.flow_stage_binding"),
        Target::Device(name) => (TargetKind::Device, name, "target.device"),
        Target::DeviceAccessGroup(name) => {
            (TargetKind::DeviceAccessGroup, name, "target.device_access_group")
        }
        Target::NotificationRule(name) => (TargetKind::NotificationRule, name, "target.notification_rule"),
        Target::RacEndpoint(endpoint) if !endpoint.application.is_empty() => {
            let application = name_in("target.rac_endpoint.application", endpoint.application)?;
            return Ok(TargetRef::RacEndpointOf {
                id: name_in("target.rac_endpoint.id", endpoint.id)?,
                application,
            });
        }
        Target::RacEndpoint(endpoint) => (TargetKind::RacEndpoint, endpoint.id, "target.rac_endpoint.id"),
        Target::Entitlement(entitlement) if entitlement.id.is_empty() => {
            let application = name_in("target.entitlement.application", entitlement.application)?;
            return Ok(TargetRef::Entitlement {
                application,
                name: name_in("target.entitlement.name", entitlement.name)?,
            });
        }
        Target::Entitlement(entitlement) => {
            (TargetKind::Entitlement, entitlement.id, "target.entitlement.id")
        }
    };
    Ok(TargetRef::Named(kind, name_in(field, name)?))
}

fn name_in(field: &str, name: String) -> Checked<String> {
    if name.is_empty() {
        return Err(Failure::argument(field, "missing; it is required"));
    }
    bounded(field, &name)?;
    Ok(name)
}

pub(super) fn bounded(field: &str, text: &str) -> Checked<()> {
    if text.len() > MAX_NAME {
        let message = format!("has {} bytes; at most {MAX_NAME} are allowed", text.len());
        return Err(Failure::argument(field, &message));
    }
    Ok(())
}

/// A text that may be left out.
fn optional(field: &str, text: String) -> Checked<Option<String>> {
    bounded(field, &text)?;
    Ok((!text.is_empty()).then_some(text))
}

pub(super) fn subject(message: v1::Subject) -> Checked<Subject> {
    let size = message.encoded_len();
    if size > MAX_SUBJECT {
        let message = format!("has {size} bytes; at most {MAX_SUBJECT} are allowed, so send less");
        return Err(Failure::argument("subject", &message));
    }
    let named = !(message.user_id.is_empty() && message.username.is_empty() && message.email.is_empty());
    if !message.anonymous && !named {
        let text = "names nobody; set user_id, username or email, or set anonymous";
        return Err(Failure::argument("subject", text));
    }
    let groups = message.group_ids.len() + message.group_names.len();
    if groups > MAX_GROUPS {
        let text = format!("{groups} groups are given with group_names; at most {MAX_GROUPS} are allowed");
        return Err(Failure::argument("subject.group_ids", &text));
    }
    for (field, groups) in
        [("subject.group_ids", &message.group_ids), ("subject.group_names", &message.group_names)]
    {
        if groups.iter().any(String::is_empty) {
            return Err(Failure::argument(field, "has an empty entry; remove it"));
        }
    }
    Ok(Subject {
        user_id: optional("subject.user_id", message.user_id)?,
        username: optional("subject.username", message.username)?,
        email: optional("subject.email", message.email)?,
        name: optional("subject.name", message.name)?,
        group_ids: message.group_ids,
        group_names: message.group_names,
        attributes: data("subject.attributes", message.attributes)?,
        is_superuser: message.is_superuser,
        anonymous: message.anonymous,
    })
}

/// The subject of a notification rule: who did what the event tells of, or nobody. One that the directory does not
/// know (any more) counts as anonymous, which is for [`super::ask`] to see.
fn actor(event: Option<&Event>) -> Checked<Subject> {
    let Some(event) = event else {
        return Err(Failure::argument(
            "context.event",
            "missing; a notification rule is asked about an event",
        ));
    };
    let Some(user) = event.user.as_ref().filter(|user| !(user.id.is_empty() && user.username.is_empty()))
    else {
        return Ok(Subject { anonymous: true, ..Subject::default() });
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.into());
    Ok(Subject {
        user_id: given(&user.id),
        username: given(&user.username),
        email: given(&user.email),
        ..Subject::default()
    })
}

fn data(field: &str, data: Option<prost_types::Struct>) -> Checked<Value> {
    match data {
        Some(data) => value::from_struct(data).map_err(|error| Failure::argument(field, &error)),
        None => Ok(Value::Null),
    }
}

pub(super) fn context(message: v1::Context, now: Timestamp) -> Checked<Context> {
    let size = message.encoded_len();
    if size > MAX_CONTEXT {
        let message = format!("has {size} bytes; at most {MAX_CONTEXT} are allowed, so send less");
        return Err(Failure::argument("context", &message));
    }
    let now = match message.time {
        None => now,
        Some(time) => value::moment(&time).ok_or_else(|| {
            Failure::argument("context.time", "is not a moment between the years 1678 and 2261; correct it")
        })?,
    };
    let client_ip = match message.client_ip.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            bounded("context.client_ip", text).err().unwrap_or_else(|| {
                Failure::argument(
                    "context.client_ip",
                    &format!("`{text}` is no IP address; leave it empty if unknown"),
                )
            })
        })?),
    };
    Ok(Context {
        now,
        client_ip,
        http: message.http.map(http).transpose()?,
        event: message.event.map(event).transpose()?,
        values: data("context.values", message.values)?,
        reputation: message.reputation.map(reputation).transpose()?,
    })
}

fn http(message: v1::HttpRequest) -> Checked<HttpRequest> {
    let remote_address = match message.remote_address.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            let text = format!("`{text}` is not an address; write one, such as 192.0.2.7");
            Failure::argument("context.http.remote_address", &text)
        })?),
    };
    let length = message.body.len();
    if length > MAX_BODY {
        let text = format!("{length} bytes; at most {MAX_BODY} are allowed, so leave it out or cut it");
        return Err(Failure::argument("context.http.body", &text));
    }
    Ok(HttpRequest {
        method: message.method.into(),
        scheme: message.scheme.into(),
        host: message.host.into(),
        path: message.path.into(),
        query: message.query.into(),
        headers: message.headers.into_iter().collect(),
        brand_title: message.brand_title.map(Into::into),
        remote_address,
        body: message.body.into(),
    })
}

fn event(message: v1::Event) -> Checked<Event> {
    let user = message.user.map(|user| EventUser {
        id: user.id.into(),
        username: user.username.into(),
        email: user.email.into(),
    });
    Ok(Event {
        action: message.action.into(),
        app: message.app.into(),
        client_ip: message.client_ip.map(Into::into),
        context: data("context.event.context", message.context)?,
        user,
    })
}

fn reputation(message: v1::ReputationScores) -> Checked<Vec<ReputationScore>> {
    let count = message.scores.len();
    if count > MAX_SCORES {
        let text = format!(
            "{count} rows are given; at most {MAX_SCORES} are allowed, so send only those of the client's address \
             and of the username"
        );
        return Err(Failure::argument("context.reputation.scores", &text));
    }
    let row = |(index, score): (usize, v1::ReputationScore)| {
        let expires = match score.expires {
            None => None,
            Some(moment) => Some(value::moment(&moment).ok_or_else(|| {
                let field = format!("context.reputation.scores[{index}].expires");
                Failure::argument(&field, "is not a moment between the years 1678 and 2261; correct it")
            })?),
        };
        let (ip, identifier) = (score.ip.into(), score.identifier.into());
        Ok(ReputationScore { id: Id::new(&score.id), ip, identifier, score: score.score, expires })
    };
    message.scores.into_iter().enumerate().map(row).collect()
}

/// The message of an answer.
pub(super) fn response(answer: Answer, summary: String, revision: u64, age: Age) -> v1::CheckResponse {
    let subject_known = answer.subject_known;
    let explanation =
        answer.report.map(|report| v1::Explanation { summary, subject_known, ..explanation(*report) });
    v1::CheckResponse {
        decision: decision(answer.decision).into(),
        messages: answer.messages.into_iter().map(Into::into).collect(),
        revision,
        stale: age.stale,
        explanation,
        valid_until: answer.valid_until.map(value::to_timestamp),
        context: answer.changed_context.map(value::to_struct),
        age: age_message(age),
    }
}

/// How long ago the configuration was confirmed, as a message.
pub(super) fn age_message(age: Age) -> Option<prost_types::Duration> {
    age.age.and_then(|age| age.try_into().ok())
}

/// The message of a reason.
pub(super) const fn reason(reason: Reason) -> v1::Reason {
    match reason {
        Reason::Bindings => v1::Reason::Bindings,
        Reason::NoBindings => v1::Reason::NoBindings,
        Reason::ParentFailed => v1::Reason::ParentFailed,
        Reason::AccessGroupPassed => v1::Reason::AccessGroupPassed,
        Reason::AccessGroupFailed => v1::Reason::AccessGroupFailed,
        Reason::Authentication(_) => v1::Reason::Authentication,
    }
}

const fn decision(decision: Decision) -> v1::Decision {
    match decision {
        Decision::Allow => v1::Decision::Allow,
        Decision::Deny => v1::Decision::Deny,
    }
}

pub(super) fn explanation(report: TargetReport) -> v1::Explanation {
    let mode = match report.mode {
        Mode::Any => v1::PolicyEngineMode::Any,
        Mode::All => v1::PolicyEngineMode::All,
    };
    v1::Explanation {
        target: Some(target_message(report.kind, report.id.to_string())),
        decision: decision(report.decision).into(),
        reason: reason(report.reason).into(),
        policy_engine_mode: mode.into(),
        bindings: report.bindings.into_iter().map(binding).collect(),
        parents: report.parents.into_iter().map(explanation).collect(),
        summary: String::new(),
        subject_known: false,
    }
}

/// A target by its id.
fn target_message(kind: TargetKind, id: String) -> v1::TargetRef {
    use v1::target_ref::Target;
    let target = match kind {
        TargetKind::Application => Target::Application(id),
        TargetKind::Entitlement => Target::Entitlement(v1::EntitlementRef { id, ..Default::default() }),
        TargetKind::Source => Target::Source(id),
        TargetKind::Flow => Target::Flow(id),
        TargetKind::FlowStageBinding => Target::FlowStageBinding(id),
        TargetKind::Device => Target::Device(id),
        TargetKind::DeviceAccessGroup => Target::DeviceAccessGroup(id),
        TargetKind::NotificationRule => Target::NotificationRule(id),
        TargetKind::RacEndpoint => Target::RacEndpoint(v1::RacEndpointRef { id, ..Default::default() }),
    };
    v1::TargetRef { target: Some(target) }
}

fn binding(report: BindingReport) -> v1::BindingExplanation {
    let skipped = match report.skipped {
        None => v1::SkipReason::Unspecified,
        Some(SkipReason::Disabled) => v1::SkipReason::Disabled,
        Some(SkipReason::Expired) => v1::SkipReason::Expired,
        Some(SkipReason::Decided) => v1::SkipReason::Decided,
    };
    v1::BindingExplanation {
        binding_id: report.id.to_string(),
        order: report.order,
        subject: report.subject.into(),
        skipped: skipped.into(),
        raw_result: report.raw_result,
        negated: report.negated,
        result: report.result,
        dry_run: report.dry_run,
        messages: report.messages.into_iter().map(Into::into).collect(),
        error: report.error.map(Into::into),
        nanoseconds: report.nanoseconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Age = Age { stale: false, age: None };
    use crate::model::FlowAuthentication;
    use v1::target_ref::Target;

    const NOW: Timestamp = Timestamp::new(1_780_315_200, 0);

    fn request(target: Target) -> v1::CheckRequest {
        v1::CheckRequest { target: Some(v1::TargetRef { target: Some(target) }), ..Default::default() }
    }

    fn about(subject: v1::Subject) -> v1::CheckRequest {
        v1::CheckRequest { subject: Some(subject), ..request(Target::Application("wiki".into())) }
    }

    fn of_event(user: Option<v1::EventUser>) -> Question {
        let event = Some(v1::Event { action: "login_failed".into(), user, ..Default::default() });
        let context = Some(v1::Context { event, ..Default::default() }.into());
        let rule = request(Target::NotificationRule("rule".into()));
        question(v1::CheckRequest { context, ..rule }, NOW).unwrap()
    }

    #[test]
    fn every_kind_of_target_has_its_name() {
        let entitlement = |id: &str, application: &str, name: &str| {
            Target::Entitlement(v1::EntitlementRef {
                id: id.into(),
                application: application.into(),
                name: name.into(),
            })
        };
        let rac = |id: &str, application: &str| {
            Target::RacEndpoint(v1::RacEndpointRef { id: id.into(), application: application.into() })
        };
        for (given, text) in [
            (Target::Application("a".into()), "application/a"),
            (Target::Source("a".into()), "source/a"),
            (Target::Flow("a".into()), "flow/a"),
            (Target::FlowStageBinding("a".into()), "flow_stage_binding/a"),
            (Target::Device("a".into()), "device/a"),
            (Target::DeviceAccessGroup("a".into()), "device_access_group/a"),
            (Target::NotificationRule("a".into()), "notification_rule/a"),
            (rac("a", ""), "rac_endpoint/a"),
            (rac("a", "wiki"), "rac_endpoint/a"),
            (entitlement("e", "", ""), "entitlement/e"),
            (entitlement("", "wiki", "admin"), "entitlement/wiki/admin"),
            // An id says all.
            (entitlement("e", "wiki", "admin"), "entitlement/e"),
        ] {
            let ada = Some(v1::Subject { username: "ada".into(), ..Default::default() });
            let asked = question(v1::CheckRequest { subject: ada, ..request(given) }, NOW).unwrap();
            assert_eq!(asked.target.to_string(), text);
        }
    }

    #[test]
    fn what_is_left_out_is_absent_and_not_empty() {
        let asked = question(about(v1::Subject { email: "a@b".into(), ..Default::default() }), NOW).unwrap();
        assert_eq!((asked.subject.user_id, asked.subject.username, asked.subject.name), (None, None, None));
        assert_eq!(asked.subject.email.as_deref(), Some("a@b"));
        assert_eq!(asked.context, Context::at(NOW));
        assert_eq!((asked.scope, asked.explain), (Scope::WithParents, Explain::None));
    }

    #[test]
    fn the_anonymous_subject_needs_no_name_and_may_have_one() {
        let nobody = v1::Subject { anonymous: true, ..Default::default() };
        assert!(question(about(nobody.clone()), NOW).unwrap().subject.anonymous);
        let named = question(about(v1::Subject { username: "new".into(), ..nobody }), NOW).unwrap().subject;
        assert!(named.anonymous && named.username.as_deref() == Some("new"));
    }

    #[test]
    fn limits_still_take_what_they_allow() {
        let groups = |count| v1::Subject {
            username: "ada".into(),
            group_ids: vec!["g".into(); count / 2],
            group_names: vec!["g".into(); count - count / 2],
            ..Default::default()
        };
        assert!(question(about(groups(MAX_GROUPS)), NOW).is_ok());
        assert_eq!(question(about(groups(MAX_GROUPS + 1)), NOW).unwrap_err().field, "subject.group_ids");
        let rows = |count| v1::Context {
            reputation: Some(v1::ReputationScores { scores: vec![v1::ReputationScore::default(); count] }),
            ..Default::default()
        };
        assert_eq!(
            context(rows(MAX_SCORES), NOW).unwrap().reputation.map(|rows| rows.len()),
            Some(MAX_SCORES)
        );
        assert_eq!(context(rows(MAX_SCORES + 1), NOW).unwrap_err().field, "context.reputation.scores");
        assert_eq!(context(rows(0), NOW).unwrap().reputation, Some(Vec::new()));
    }

    #[test]
    fn a_rule_is_asked_about_who_did_it() {
        let user = |id: &str, username: &str, email: &str| {
            Some(v1::EventUser { id: id.into(), username: username.into(), email: email.into() })
        };
        let subject = of_event(user("1", "ada", "ada@example.com")).subject;
        assert_eq!((subject.user_id.as_deref(), subject.username.as_deref()), (Some("1"), Some("ada")));
        assert!(!subject.anonymous);
        // An e-mail address identifies nobody.
        for nobody in [None, user("", "", "ada@example.com")] {
            assert_eq!(of_event(nobody).subject, Subject { anonymous: true, ..Subject::default() });
        }
    }

    #[test]
    fn a_subject_that_is_given_goes_before_the_events() {
        let event = Some(v1::Event {
            user: Some(v1::EventUser { username: "eve".into(), ..Default::default() }),
            ..Default::default()
        });
        let request = v1::CheckRequest {
            subject: Some(v1::Subject { username: "ada".into(), ..Default::default() }),
            context: Some(v1::Context { event, ..Default::default() }.into()),
            ..request(Target::NotificationRule("rule".into()))
        };
        assert_eq!(question(request, NOW).unwrap().subject.username.as_deref(), Some("ada"));
    }

    fn report(kind: TargetKind, reason: Reason, parents: Vec<TargetReport>) -> TargetReport {
        TargetReport {
            kind,
            id: Id::new("x"),
            name: "X".into(),
            decision: Decision::Deny,
            reason,
            mode: Mode::All,
            bindings: Vec::new(),
            parents,
        }
    }

    #[test]
    fn the_whole_answer_is_explained_and_its_parts_below() {
        let parent = report(TargetKind::Application, Reason::NoBindings, Vec::new());
        let mut whole = report(TargetKind::Entitlement, Reason::ParentFailed, vec![parent]);
        whole.bindings.push(BindingReport {
            id: Id::new("b"),
            order: -3,
            subject: "group/name/staff".into(),
            skipped: Some(SkipReason::Expired),
            raw_result: true,
            negated: true,
            result: false,
            dry_run: true,
            messages: vec!["m".into()],
            error: Some("".into()),
            nanoseconds: 7,
        });
        let answer = Answer {
            decision: Decision::Deny,
            messages: vec!["one".into(), "two".into()],
            valid_until: Some(Timestamp::new(-1, 5)),
            report: Some(Box::new(whole)),
            subject_known: true,
            changed_context: None,
            deciding: None,
            policy_errors: Vec::new(),
        };
        let message = response(answer, "why".into(), 4, OWN);
        assert_eq!((message.decision(), message.revision, message.stale), (v1::Decision::Deny, 4, false));
        assert_eq!(message.messages, ["one", "two"]);
        assert_eq!(message.valid_until, Some(prost_types::Timestamp { seconds: -1, nanos: 5 }));
        let whole = message.explanation.unwrap();
        assert_eq!((whole.summary.as_str(), whole.subject_known), ("why", true));
        assert_eq!(
            (whole.reason(), whole.policy_engine_mode()),
            (v1::Reason::ParentFailed, v1::PolicyEngineMode::All)
        );
        let binding = &whole.bindings[0];
        assert_eq!(
            (binding.binding_id.as_str(), binding.order, binding.skipped()),
            ("b", -3, v1::SkipReason::Expired)
        );
        // An error may be empty, and is one all the same.
        assert_eq!((binding.error.as_deref(), binding.nanoseconds), (Some(""), 7));
        assert!(binding.raw_result && binding.negated && !binding.result && binding.dry_run);
        let parent = &whole.parents[0];
        assert_eq!((parent.summary.as_str(), parent.subject_known), ("", false));
        assert_eq!(parent.target, Some(v1::TargetRef { target: Some(Target::Application("x".into())) }));
    }

    #[test]
    fn every_kind_and_reason_has_its_message() {
        let reasons = [
            (Reason::Bindings, v1::Reason::Bindings),
            (Reason::NoBindings, v1::Reason::NoBindings),
            (Reason::ParentFailed, v1::Reason::ParentFailed),
            (Reason::AccessGroupPassed, v1::Reason::AccessGroupPassed),
            (Reason::AccessGroupFailed, v1::Reason::AccessGroupFailed),
            (Reason::Authentication(FlowAuthentication::RequireToken), v1::Reason::Authentication),
        ];
        for (reason, expected) in reasons {
            for kind in TargetKind::ALL {
                let message = explanation(report(kind, reason, Vec::new()));
                assert_eq!(message.reason(), expected);
                // What is given back can be asked about.
                assert_eq!(target(message.target).unwrap(), TargetRef::Named(kind, "x".into()));
            }
        }
    }

    #[test]
    fn nobody_asked_and_nothing_is_explained() {
        let answer = Answer {
            decision: Decision::Allow,
            messages: Vec::new(),
            valid_until: None,
            report: None,
            subject_known: true,
            changed_context: None,
            deciding: None,
            policy_errors: Vec::new(),
        };
        assert_eq!(response(answer, String::new(), 1, OWN).explanation, None);
    }
}
