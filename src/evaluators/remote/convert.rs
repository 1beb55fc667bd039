//! What a policy sees as a message, and the answer back into a verdict. Every field of an answer is checked here.
//!
//! Must not know: how messages travel.

use crate::model::{
    Authenticator, Context, Event, Group, HttpRequest, ReputationScore, Target, TargetDetail, User, Value,
};
use crate::policy::{Changes, Scene, Verdict};
use crate::proto::v1;
use crate::proto::value::{from_struct, moment, to_struct, to_timestamp};

/// The most messages in an answer.
pub(super) const MAX_MESSAGES: usize = 100;
/// The longest message in an answer, in bytes.
pub(super) const MAX_MESSAGE: usize = 4_096;

/// The question to a policy.
pub(super) fn request(policy: &str, scene: Scene) -> v1::EvaluatePolicyRequest {
    let Scene {
        context,
        anonymous,
        id,
        username,
        name,
        email,
        attributes,
        user,
        is_superuser,
        groups,
        target,
    } = scene;
    let time = Some(to_timestamp(context.now));
    let subject = v1::PolicySubject {
        anonymous,
        user_id: user.as_ref().map_or_else(|| id.into(), |user| user.id.to_string()),
        username: username.into(),
        email: email.into(),
        name: name.into(),
        groups: groups.iter().map(|(group, direct)| group_message(group, *direct)).collect(),
        attributes: data(attributes),
        is_superuser,
        directory: user.map(directory),
    };
    v1::EvaluatePolicyRequest {
        policy: policy.to_owned(),
        subject: Some(subject),
        context: Some(context_message(context)),
        target_name: target.as_ref().map(Target::display_name).unwrap_or_default(),
        target: target.map(target_message),
        time,
    }
}

/// Free data; none is absent.
fn data(value: Value) -> Option<prost_types::Struct> {
    matches!(value, Value::Map(_)).then(|| to_struct(value))
}

fn group_message(group: &Group, direct: bool) -> v1::PolicyGroup {
    v1::PolicyGroup {
        id: group.id.to_string(),
        name: group.name.to_string(),
        direct,
        is_superuser: group.is_superuser,
        attributes: data(group.attributes.clone()),
    }
}

fn directory(user: User) -> v1::DirectoryEntry {
    let completed = |it: Authenticator| it.confirmed.then(|| it.kind.into());
    v1::DirectoryEntry {
        is_active: user.is_active,
        r#type: user.kind.into(),
        path: user.path.into(),
        password_change_date: user.password_change_date.map(to_timestamp),
        date_joined: user.date_joined.map(to_timestamp),
        last_login: user.last_login.map(to_timestamp),
        authenticators: user.authenticators.into_iter().filter_map(completed).collect(),
    }
}

fn context_message(context: Context) -> v1::Context {
    let Context { now, client_ip, http, event, values, reputation } = context;
    v1::Context {
        client_ip: client_ip.map(|address| address.to_string()).unwrap_or_default(),
        http: http.map(http_message),
        time: Some(to_timestamp(now)),
        event: event.map(event_message),
        values: data(values),
        reputation: reputation
            .map(|rows| v1::ReputationScores { scores: rows.into_iter().map(row_message).collect() }),
    }
}

fn http_message(http: HttpRequest) -> v1::HttpRequest {
    v1::HttpRequest {
        method: http.method.into(),
        scheme: http.scheme.into(),
        host: http.host.into(),
        path: http.path.into(),
        query: http.query.into(),
        headers: http.headers.into_iter().collect(),
        brand_title: http.brand_title.map(Into::into),
        remote_address: http.remote_address.map(|address| address.to_string()).unwrap_or_default(),
        body: http.body.into(),
    }
}

fn event_message(event: Event) -> v1::Event {
    v1::Event {
        action: event.action.into(),
        app: event.app.into(),
        client_ip: event.client_ip.map(Into::into),
        context: data(event.context),
        user: event.user.map(|user| v1::EventUser {
            id: user.id.into(),
            username: user.username.into(),
            email: user.email.into(),
        }),
    }
}

fn row_message(row: ReputationScore) -> v1::ReputationScore {
    v1::ReputationScore {
        id: row.id.to_string(),
        ip: row.ip.into(),
        identifier: row.identifier.into(),
        score: row.score,
        expires: row.expires.map(to_timestamp),
    }
}

/// A target by its unique name where it has one, else by its id.
fn target_message(target: Target) -> v1::TargetRef {
    use v1::target_ref::Target as T;
    let id = target.id.to_string();
    let name = target.key.map_or_else(|| id.clone(), Into::into);
    let target = match target.detail {
        TargetDetail::Application(_) => T::Application(name),
        TargetDetail::Entitlement(own) => T::Entitlement(v1::EntitlementRef {
            id,
            application: own.application.into(),
            name: own.name.into(),
        }),
        TargetDetail::Source(_) => T::Source(name),
        TargetDetail::Flow(_) => T::Flow(name),
        TargetDetail::FlowStageBinding(_) => T::FlowStageBinding(name),
        TargetDetail::Device(_) => T::Device(name),
        TargetDetail::DeviceAccessGroup(_) => T::DeviceAccessGroup(name),
        TargetDetail::NotificationRule(_) => T::NotificationRule(name),
        TargetDetail::RacEndpoint(own) => T::RacEndpoint(v1::RacEndpointRef {
            id,
            application: own.application.map(Into::into).unwrap_or_default(),
        }),
    };
    v1::TargetRef { target: Some(target) }
}

/// What the policy says.
///
/// # Errors
/// When the answer is beyond bounds, with what is wrong about it.
pub(super) fn verdict(
    answer: v1::EvaluatePolicyResponse,
    address: &str,
    policy: &str,
    may_change_context: bool,
) -> Result<Verdict, String> {
    let v1::EvaluatePolicyResponse { passing, messages, error, valid_until, context } = answer;
    if let Some(text) = error {
        bounded("error", &text)?;
        let text = if text.is_empty() { "it does not say why" } else { &text };
        return Ok(Verdict::error(format!("`{address}` could not decide policy `{policy}`: {text}")));
    }
    let count = messages.len();
    if count > MAX_MESSAGES {
        return Err(format!(
            "messages: {count} are given; at most {MAX_MESSAGES} are allowed, so give fewer"
        ));
    }
    messages.iter().try_for_each(|text| bounded("messages", text))?;
    let valid_until = match valid_until {
        None => None,
        Some(until) => Some(moment(&until).ok_or_else(|| {
            "valid_until: is not a moment between the years 1678 and 2261; correct it".to_owned()
        })?),
    };
    let values = match context.filter(|_| may_change_context) {
        None => None,
        Some(values) => Some(from_struct(values).map_err(|what| format!("context: {what}"))?),
    };
    Ok(Verdict {
        result: Ok(passing),
        messages: messages.into_iter().map(Into::into).collect(),
        valid_until,
        changes: values.map(|values| Box::new(Changes { values: Some(values), attributes: None })),
    })
}

fn bounded(field: &str, text: &str) -> Result<(), String> {
    let length = text.len();
    if length > MAX_MESSAGE {
        return Err(format!(
            "{field}: a text has {length} bytes; at most {MAX_MESSAGE} are allowed, so shorten it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
