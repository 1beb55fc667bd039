//! Resources from the model to messages: the plain form of each, in which everything that is at its default, or follows
//! from the rest, is left out.
//!
//! What a message says beyond that is not in the model and does not come back. Must not know: the way from messages to
//! the model, except that it leads from these back to the same.

mod policy;
mod target;

pub use policy::policy;
pub use target::target;

use super::v1;
use super::value::{to_struct, to_timestamp};
use crate::model::{
    BindingSubject, Group, GroupRef, Id, PolicyBinding, ReputationScore, ResourceKind, Route, RouteHost,
    Stage, TargetKind, TargetRef, User, UserRef, Value,
};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use v1::resource::Resource as R;

/// An id; empty where it is the same as what stands in for it.
fn id(id: &Id, stand_in: &str) -> String {
    if id.is(stand_in) { String::new() } else { id.to_string() }
}

/// As [`id`], for what stands in and is put together from several names: then it is no UUID.
fn id_or(id: &Id, stand_in: impl FnOnce() -> String) -> String {
    if id.is_uuid() { id.to_string() } else { self::id(id, &stand_in()) }
}

/// Free data; a map without entries is not the same as none.
fn data(value: &Value) -> Option<prost_types::Struct> {
    matches!(value, Value::Map(_)).then(|| to_struct(value.clone()))
}

/// A setting; absent at its default.
fn unless<T: PartialEq>(value: T, default: &T) -> Option<T> {
    (value != *default).then_some(value)
}

fn duration(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default() }
}

/// A reference to a target.
pub fn target_ref(target: &TargetRef) -> v1::TargetRef {
    use v1::target_ref::Target;
    let target = match target {
        TargetRef::Named(kind, name) => {
            let name = name.to_string();
            match kind {
                TargetKind::Application => Target::Application(name),
                TargetKind::Entitlement => {
                    Target::Entitlement(v1::EntitlementRef { id: name, ..Default::default() })
                }
                TargetKind::Source => Target::Source(name),
                TargetKind::Flow => Target::Flow(name),
                TargetKind::FlowStageBinding => Target::FlowStageBinding(name),
                TargetKind::Device => Target::Device(name),
                TargetKind::DeviceAccessGroup => Target::DeviceAccessGroup(name),
                TargetKind::NotificationRule => Target::NotificationRule(name),
                TargetKind::RacEndpoint => {
                    Target::RacEndpoint(v1::RacEndpointRef { id: name, ..Default::default() })
                }
            }
        }
        TargetRef::Entitlement { application, name } => Target::Entitlement(v1::EntitlementRef {
            application: application.to_string(),
            name: name.to_string(),
            ..Default::default()
        }),
        TargetRef::RacEndpointOf { id, application } => Target::RacEndpoint(v1::RacEndpointRef {
            id: id.to_string(),
            application: application.to_string(),
        }),
    };
    v1::TargetRef { target: Some(target) }
}

/// A reference to a user.
pub fn user_ref(user: &UserRef) -> v1::UserRef {
    match user {
        UserRef::Id(id) => v1::UserRef { id: id.to_string(), ..Default::default() },
        UserRef::Username(name) => v1::UserRef { username: name.to_string(), ..Default::default() },
    }
}

fn group_ref(group: &GroupRef) -> v1::GroupRef {
    match group {
        GroupRef::Id(id) => v1::GroupRef { id: id.to_string(), ..Default::default() },
        GroupRef::Name(name) => v1::GroupRef { name: name.to_string(), ..Default::default() },
    }
}

/// A policy binding.
pub fn binding(binding: &PolicyBinding) -> v1::Resource {
    let (mut policy, mut user, mut group) = (String::new(), None, None);
    match &binding.subject {
        BindingSubject::Policy(name) => policy = name.to_string(),
        BindingSubject::User(subject) => user = Some(user_ref(subject)),
        BindingSubject::Group(subject) => group = Some(group_ref(subject)),
    }
    resource(R::PolicyBinding(v1::PolicyBinding {
        id: id_or(&binding.id, || format!("{}#{}:{}", binding.target, binding.order, binding.subject)),
        target: Some(target_ref(&binding.target)),
        policy,
        user,
        group,
        order: binding.order,
        enabled: unless(binding.enabled, &true),
        negate: binding.negate,
        timeout: unless(binding.timeout, &PolicyBinding::DEFAULT_TIMEOUT).map(duration),
        failure_result: binding.failure_result,
        expires: binding.expires.map(to_timestamp),
        dry_run: binding.dry_run,
    }))
}

/// A stage.
pub fn stage(stage: &Stage) -> v1::Resource {
    resource(R::Stage(v1::Stage {
        id: id(&stage.id, &stage.name),
        name: stage.name.to_string(),
        kind: stage.kind.to_string(),
    }))
}

/// A user.
pub fn user(user: &User) -> v1::Resource {
    let authenticator = |it: &crate::model::Authenticator| v1::Authenticator {
        r#type: it.kind.to_string(),
        confirmed: unless(it.confirmed, &true),
    };
    let login = |it: &crate::model::Login| v1::Login {
        time: Some(to_timestamp(it.time)),
        latitude: it.place.map(|(latitude, _)| latitude),
        longitude: it.place.map(|(_, longitude)| longitude),
    };
    resource(R::User(v1::User {
        id: id(&user.id, &user.username),
        username: user.username.to_string(),
        name: user.name.to_string(),
        email: user.email.to_string(),
        is_active: unless(user.is_active, &true),
        groups: user.groups.iter().map(group_ref).collect(),
        attributes: data(&user.attributes),
        r#type: if &*user.kind == "internal" { String::new() } else { user.kind.to_string() },
        path: user.path.to_string(),
        password_change_date: user.password_change_date.map(to_timestamp),
        date_joined: user.date_joined.map(to_timestamp),
        last_login: user.last_login.map(to_timestamp),
        has_usable_password: user.has_usable_password,
        authenticators: user.authenticators.iter().map(authenticator).collect(),
        logins: user.logins.iter().map(login).collect(),
        password_history: user.password_history.iter().map(ToString::to_string).collect(),
    }))
}

/// A group.
pub fn group(group: &Group) -> v1::Resource {
    resource(R::Group(v1::Group {
        id: id(&group.id, &group.name),
        name: group.name.to_string(),
        parents: group.parents.iter().map(group_ref).collect(),
        is_superuser: group.is_superuser,
        attributes: data(&group.attributes),
    }))
}

/// A reputation row.
pub fn reputation_score(score: &ReputationScore) -> v1::Resource {
    resource(R::ReputationScore(v1::ReputationScore {
        id: id(&score.id, &format!("{}/{}", score.ip, score.identifier)),
        ip: score.ip.to_string(),
        identifier: score.identifier.to_string(),
        score: score.score,
        expires: score.expires.map(to_timestamp),
    }))
}

/// A route.
pub fn route(route: &Route) -> v1::Resource {
    let Route { host, path_prefix, methods, .. } = route;
    resource(R::Route(v1::Route {
        id: id_or(&route.id, || Route::natural_id(host, path_prefix, methods)),
        host: if *host == RouteHost::Any { String::new() } else { host.to_string() },
        path_prefix: if path_prefix.as_str() == "/" {
            String::new()
        } else {
            path_prefix.as_str().to_owned()
        },
        methods: methods.iter().map(str::to_owned).collect(),
        target: Some(target_ref(&route.target)),
        anonymous: route.anonymous,
    }))
}

const fn resource(resource: R) -> v1::Resource {
    v1::Resource { resource: Some(resource) }
}

/// The number of a kind in the schema.
pub fn kind_number(kind: ResourceKind) -> i32 {
    i32::try_from(kind.index() + 1).unwrap_or_default()
}

/// The kind of a number of the schema; nothing for one that has no meaning.
pub fn kind_of_number(number: i32) -> Option<ResourceKind> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    ResourceKind::ALL.get(index).copied()
}

/// What a serialized resource adds to the sum of its kind: the first 16 bytes of its SHA-256, little-endian.
pub fn hash(serialized: &[u8]) -> u128 {
    let hash: [u8; 32] = Sha256::digest(serialized).into();
    let (first, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
    u128::from_le_bytes(*first)
}
