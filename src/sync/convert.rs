//! Resources from messages to the model, with authentik's defaults filled in and every field checked by itself.
//!
//! Must not know: other resources; what refers to what is checked when the update is put together.

mod fields;
mod policy;
mod route;
mod target;

use crate::model::{
    Authenticator, BindingSubject, Field, Group, GroupRef, Login, PolicyBinding, Problem, ReputationScore,
    ResourceKind, ResourceName, Stage, TargetKind, TargetRef, User, UserRef,
};
use crate::proto::v1;
use crate::store::Upsert;
use fields::{Checked, Fields};
use prost::Message as _;

/// The most groups that a user, or parents that a group, may have.
const MAX_GROUPS: usize = 10_000;
/// The most sign-ins, authenticators or former passwords that a user may have.
const MAX_HISTORY: usize = 1_000;

/// The resource of a message, or everything that is wrong with it.
pub(super) fn upsert(index: usize, resource: v1::Resource) -> Result<Upsert, Vec<Problem>> {
    use v1::resource::Resource;
    let Some(resource) = resource.resource else {
        let message = "the resource is empty; set one of its fields".to_owned();
        return Err(vec![Problem {
            index: Some(index),
            resource: None,
            field: "".into(),
            message,
            missing: None,
        }]);
    };
    let mut fields = Fields::default();
    let (kind, id, converted) = match resource {
        Resource::PolicyBinding(message) => {
            let (id, converted) = binding(&mut fields, message);
            (ResourceKind::PolicyBinding, id, converted.map(Box::new).map(Upsert::Binding))
        }
        Resource::Policy(message) => {
            let id = or(&message.id, &message.name);
            (ResourceKind::Policy, id, policy::policy(&mut fields, message).map(Box::new).map(Upsert::Policy))
        }
        Resource::Stage(message) => {
            let id = or(&message.id, &message.name);
            (ResourceKind::Stage, id, stage(&mut fields, message).map(Box::new).map(Upsert::Stage))
        }
        Resource::User(message) => {
            let id = or(&message.id, &message.username);
            (ResourceKind::User, id, user(&mut fields, message).map(Box::new).map(Upsert::User))
        }
        Resource::Group(message) => {
            let id = or(&message.id, &message.name);
            (ResourceKind::Group, id, group(&mut fields, message).map(Box::new).map(Upsert::Group))
        }
        Resource::ReputationScore(message) => {
            let id = score_id(&message);
            (
                ResourceKind::ReputationScore,
                id,
                reputation(&mut fields, message).map(Box::new).map(Upsert::ReputationScore),
            )
        }
        Resource::Route(message) => {
            let (id, converted) = route::route(&mut fields, message);
            (ResourceKind::Route, id, converted.map(Box::new).map(Upsert::Route))
        }
        target => {
            let (kind, id, converted) = target::target(&mut fields, target);
            (ResourceKind::Target(kind), id, converted.map(Box::new).map(Upsert::Target))
        }
    };
    let problem = |(field, message): (Field, String)| {
        // An id that is too long is told by its beginning.
        let shown: String = id.chars().take(100).collect();
        let resource = Some(ResourceName { kind, id: shown.into() });
        Problem { index: Some(index), resource, field, message, missing: None }
    };
    match (converted, fields.problems.is_empty()) {
        (Some(upsert), true) => Ok(upsert),
        _ => Err(fields.problems.into_iter().map(problem).collect()),
    }
}

/// The kind and id of a serialized resource, as far as it can be read.
pub(super) fn name_of(bytes: &[u8]) -> Option<ResourceName> {
    use v1::resource::Resource;
    let target = |kind, id: &str, key: &str| (ResourceKind::Target(kind), or(id, key));
    let (kind, id) = match v1::Resource::decode(bytes).ok()?.resource? {
        Resource::Application(m) => target(TargetKind::Application, &m.id, &m.slug),
        Resource::Entitlement(m) => {
            target(TargetKind::Entitlement, &m.id, &format!("{}/{}", m.application, m.name))
        }
        Resource::Source(m) => target(TargetKind::Source, &m.id, &m.slug),
        Resource::Flow(m) => target(TargetKind::Flow, &m.id, &m.slug),
        Resource::FlowStageBinding(m) => {
            target(TargetKind::FlowStageBinding, &m.id, &format!("{}/{}/{}", m.flow, m.order, m.stage))
        }
        Resource::Device(m) => target(TargetKind::Device, &m.id, &m.identifier),
        Resource::DeviceAccessGroup(m) => target(TargetKind::DeviceAccessGroup, &m.id, &m.name),
        Resource::NotificationRule(m) => target(TargetKind::NotificationRule, &m.id, &m.name),
        Resource::RacEndpoint(m) => target(TargetKind::RacEndpoint, &m.id, &m.name),
        Resource::PolicyBinding(m) => {
            let (id, _) = binding(&mut Fields::default(), m);
            (ResourceKind::PolicyBinding, id)
        }
        Resource::Policy(m) => (ResourceKind::Policy, or(&m.id, &m.name)),
        Resource::Stage(m) => (ResourceKind::Stage, or(&m.id, &m.name)),
        Resource::User(m) => (ResourceKind::User, or(&m.id, &m.username)),
        Resource::Group(m) => (ResourceKind::Group, or(&m.id, &m.name)),
        Resource::ReputationScore(m) => (ResourceKind::ReputationScore, score_id(&m)),
        Resource::Route(m) => (ResourceKind::Route, route::route(&mut Fields::default(), m).0),
    };
    Some(ResourceName { kind, id: id.into() })
}

/// The id, or the natural key that stands in for it.
fn or(id: &str, key: &str) -> String {
    if id.is_empty() { key.to_owned() } else { id.to_owned() }
}

fn binding(fields: &mut Fields, message: v1::PolicyBinding) -> (String, Checked<PolicyBinding>) {
    let target = match message.target {
        Some(target) => target_ref(fields, target),
        None => fields.wrong("target", "missing; name what the binding is bound to"),
    };
    let sides = usize::from(!message.policy.is_empty())
        + usize::from(message.user.is_some())
        + usize::from(message.group.is_some());
    let subject = if sides == 1 {
        match (message.user, message.group) {
            (Some(user), _) => user_ref(fields, "user", user).map(BindingSubject::User),
            (_, Some(group)) => group_ref(fields, "group", group).map(BindingSubject::Group),
            _ => fields.name("policy", &message.policy).map(BindingSubject::Policy),
        }
    } else {
        let found = if sides == 0 { "none" } else { "more than one" };
        fields.wrong("", format!("{found} of policy, user and group is set; set exactly one"))
    };
    if let (Some(target), Some(BindingSubject::Policy(policy))) = (&target, &subject)
        && !target.kind().allows_policies()
    {
        let noun = target.kind().noun();
        let text = format!("policy `{policy}` cannot be bound to an {noun}; bind users or groups to it");
        fields.wrong::<()>("policy", text);
    }
    let id = match (&target, &subject) {
        _ if !message.id.is_empty() => message.id,
        (Some(target), Some(subject)) => format!("{target}#{}:{subject}", message.order),
        _ => String::new(),
    };
    let checked_id = if id.is_empty() { None } else { fields.id(&id, 4 * fields::MAX_NAME) };
    let timeout = fields.timeout("timeout", message.timeout);
    let expires = fields.moment("expires", message.expires);
    let binding = || {
        Some(PolicyBinding {
            id: checked_id?,
            target: target?,
            subject: subject?,
            order: message.order,
            enabled: message.enabled.unwrap_or(true),
            negate: message.negate,
            timeout: timeout?,
            failure_result: message.failure_result,
            expires: expires?,
            dry_run: message.dry_run,
        })
    };
    let binding = binding();
    (id, binding)
}

/// The target that a message names.
fn target_ref(fields: &mut Fields, message: v1::TargetRef) -> Checked<TargetRef> {
    use v1::target_ref::Target;
    let Some(target) = message.target else {
        return fields.wrong("target", "empty; set one kind of target");
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
        Target::RacEndpoint(endpoint) => {
            if !endpoint.application.is_empty() {
                let application = fields.name("target.rac_endpoint.application", &endpoint.application)?;
                let id = fields.name("target.rac_endpoint.id", &endpoint.id)?;
                return Some(TargetRef::RacEndpointOf { id: id.into(), application: application.into() });
            }
            (TargetKind::RacEndpoint, endpoint.id, "target.rac_endpoint.id")
        }
        Target::Entitlement(entitlement) => {
            if entitlement.id.is_empty() {
                let application = fields.name("target.entitlement.application", &entitlement.application);
                let name = fields.name("target.entitlement.name", &entitlement.name);
                return Some(TargetRef::Entitlement { application: application?.into(), name: name?.into() });
            }
            (TargetKind::Entitlement, entitlement.id, "target.entitlement.id")
        }
    };
    Some(TargetRef::Named(kind, fields.name(field, &name)?.into()))
}

/// The target that a message names, if it names one.
pub(super) fn target_name(message: v1::TargetRef) -> Option<TargetRef> {
    target_ref(&mut Fields::default(), message)
}

fn user_ref(fields: &mut Fields, field: &'static str, message: v1::UserRef) -> Checked<UserRef> {
    match (message.id.as_str(), message.username.as_str()) {
        ("", "") => fields.wrong(field, "names nobody; set its id or its username"),
        (id, "") => fields.name(field, id).map(UserRef::Id),
        ("", name) => fields.name(field, name).map(UserRef::Username),
        _ => fields.wrong(field, "has an id and a username; set only one"),
    }
}

fn group_ref(fields: &mut Fields, field: &'static str, message: v1::GroupRef) -> Checked<GroupRef> {
    match (message.id.as_str(), message.name.as_str()) {
        ("", "") => fields.wrong(field, "names no group; set its id or its name"),
        (id, "") => fields.name(field, id).map(GroupRef::Id),
        ("", name) => fields.name(field, name).map(GroupRef::Name),
        _ => fields.wrong(field, "has an id and a name; set only one"),
    }
}

fn group_refs(
    fields: &mut Fields,
    field: &'static str,
    messages: Vec<v1::GroupRef>,
) -> Checked<Vec<GroupRef>> {
    fields.at_most(field, messages.len(), MAX_GROUPS)?;
    messages.into_iter().map(|message| group_ref(fields, field, message)).collect()
}

fn stage(fields: &mut Fields, message: v1::Stage) -> Checked<Stage> {
    let name = fields.name("name", &message.name);
    let id = fields.id(&or(&message.id, &message.name), fields::MAX_NAME);
    let kind = fields.label("kind", message.kind);
    Some(Stage { id: id?, name: name?, kind: kind? })
}

fn user(fields: &mut Fields, message: v1::User) -> Checked<User> {
    let username = fields.name("username", &message.username);
    let id = fields.id(&or(&message.id, &message.username), fields::MAX_NAME);
    let name = fields.label("name", message.name);
    let email = fields.label("email", message.email);
    let groups = group_refs(fields, "groups", message.groups);
    let attributes = fields.data("attributes", message.attributes);
    let kind = fields.label("type", or(&message.r#type, "internal"));
    let path = fields.label("path", message.path);
    let changed = fields.moment("password_change_date", message.password_change_date);
    let joined = fields.moment("date_joined", message.date_joined);
    let login = fields.moment("last_login", message.last_login);
    fields.at_most("authenticators", message.authenticators.len(), MAX_HISTORY);
    fields.at_most("logins", message.logins.len(), MAX_HISTORY);
    fields.at_most("password_history", message.password_history.len(), MAX_HISTORY);
    let authenticator = |a: v1::Authenticator| Authenticator {
        kind: a.r#type.into(),
        confirmed: a.confirmed.unwrap_or(true),
    };
    let logins: Checked<Vec<Login>> =
        message.logins.into_iter().map(|login| self::login(fields, login)).collect();
    Some(User {
        id: id?,
        username: username?,
        name: name?,
        email: email?,
        is_active: message.is_active.unwrap_or(true),
        groups: groups?,
        attributes: attributes?,
        kind: kind?,
        path: path?,
        password_change_date: changed?,
        date_joined: joined?,
        last_login: login?,
        has_usable_password: message.has_usable_password,
        authenticators: message.authenticators.into_iter().map(authenticator).collect(),
        logins: logins?,
        password_history: message.password_history.into_iter().map(Into::into).collect(),
    })
}

fn login(fields: &mut Fields, message: v1::Login) -> Checked<Login> {
    let place = message.latitude.zip(message.longitude);
    let on_earth = |(latitude, longitude): (f64, f64)| latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    if !place.is_none_or(on_earth) {
        return fields
            .wrong("logins", "a place is not on Earth; latitude is -90 to 90, longitude -180 to 180");
    }
    match fields.moment("logins.time", message.time)? {
        Some(time) => Some(Login { time, place }),
        None => fields.wrong("logins.time", "missing; say when it was"),
    }
}

fn group(fields: &mut Fields, message: v1::Group) -> Checked<Group> {
    let name = fields.name("name", &message.name);
    let id = fields.id(&or(&message.id, &message.name), fields::MAX_NAME);
    let parents = group_refs(fields, "parents", message.parents);
    let attributes = fields.data("attributes", message.attributes);
    let is_superuser = message.is_superuser;
    Some(Group { id: id?, name: name?, parents: parents?, is_superuser, attributes: attributes? })
}

fn score_id(message: &v1::ReputationScore) -> String {
    if message.id.is_empty() { format!("{}/{}", message.ip, message.identifier) } else { message.id.clone() }
}

fn reputation(fields: &mut Fields, message: v1::ReputationScore) -> Checked<ReputationScore> {
    let id = fields.id(&score_id(&message), 3 * fields::MAX_NAME);
    let ip = fields.label("ip", message.ip);
    let identifier = fields.label("identifier", message.identifier);
    let expires = fields.moment("expires", message.expires);
    Some(ReputationScore {
        id: id?,
        ip: ip?,
        identifier: identifier?,
        score: message.score,
        expires: expires?,
    })
}
