//! Policy bindings from authentik's models.
//!
//! Must not know: what a target or a policy holds.

use super::directory::{group_ref, user_ref};
use super::fields::Fields;
use super::kind::Kind;
use super::{OWN_KEYS, key_of, reference_to};
use crate::proto::v1::{self, target_ref::Target};
use crate::sync::blueprint::value::{ObjectId, Value};
use crate::sync::blueprint::world::World;

/// Nothing: it is bound to something else, or a part of it is not there. This is noted.
pub(super) fn binding(fields: &mut Fields<'_, '_>) -> Option<v1::PolicyBinding> {
    let target = fields.needed("target", Kind::is_target);
    let target = target.and_then(|id| target_of(fields, id));
    let sides = ["policy", "user", "group"];
    // A lookup without a match counts as set: what it means to say is known.
    let set = sides.iter().filter(|side| fields.value(side).is_some()).count();
    if set != 1 {
        let found = if set == 0 { "none" } else { "more than one" };
        fields.wrong("target", format!("{found} of policy, user and group is set; set exactly one"));
    }
    let (mut policy, mut user, mut group) = (String::new(), None, None);
    let mut complete = set == 1;
    if fields.value("policy").is_some() {
        let id = fields.needed("policy", |kind| kind == Kind::Policy);
        match id.and_then(|id| policy_of(fields, id)) {
            Some(name) => policy = name,
            None => complete = false,
        }
    }
    if let Some(value) = fields.value("user") {
        user = user_ref(fields, "user", value);
        complete &= user.is_some();
    }
    if let Some(value) = fields.value("group") {
        group = group_ref(fields, "group", value);
        complete &= group.is_some();
    }
    let binding = v1::PolicyBinding {
        id: fields.id(),
        target: None,
        policy,
        user,
        group,
        order: order(fields),
        enabled: fields.boolean("enabled"),
        negate: fields.boolean("negate").unwrap_or_default(),
        timeout: fields.seconds("timeout"),
        failure_result: fields.boolean("failure_result").unwrap_or_default(),
        expires: fields.expires(),
        dry_run: fields.boolean("dry_run").unwrap_or_default(),
    };
    let target = target?;
    complete.then_some(v1::PolicyBinding { target: Some(v1::TargetRef { target: Some(target) }), ..binding })
}

/// authentik has no default for it.
fn order(fields: &mut Fields<'_, '_>) -> i32 {
    if fields.value("order").is_none_or(Value::is_null) {
        fields.wrong("order", "missing; it is required");
        return 0;
    }
    fields.number("order").unwrap_or_default()
}

fn policy_of(fields: &mut Fields<'_, '_>, id: ObjectId) -> Option<String> {
    if fields.world.object(id).and_then(|object| Kind::of(&object.model)) != Some(Kind::Policy) {
        fields.wrong_kind("policy", id, Kind::Policy.noun());
        return None;
    }
    reference_to(fields.world, id)
}

/// The target that an object is. Nothing: it is none of ours, which is noted.
fn target_of(fields: &mut Fields<'_, '_>, id: ObjectId) -> Option<Target> {
    let object = fields.world.object(id)?;
    let Some(kind) = Kind::of(&object.model).filter(|kind| kind.is_target()) else {
        let message = format!("it is bound to a {}, which no decision is about; left out", object.model);
        fields.warn("target", message);
        return None;
    };
    if kind == Kind::Entitlement {
        return entitlement(fields.world, id).map(Target::Entitlement);
    }
    let name = reference_to(fields.world, id)?;
    Some(match kind {
        Kind::Application => Target::Application(name),
        Kind::Source => Target::Source(name),
        Kind::Flow => Target::Flow(name),
        Kind::FlowStageBinding => Target::FlowStageBinding(name),
        Kind::Device => Target::Device(name),
        Kind::DeviceAccessGroup => Target::DeviceAccessGroup(name),
        Kind::NotificationRule => Target::NotificationRule(name),
        Kind::RacEndpoint => Target::RacEndpoint(v1::RacEndpointRef { id: name, ..Default::default() }),
        Kind::Entitlement
        | Kind::Binding
        | Kind::Policy
        | Kind::Stage
        | Kind::User
        | Kind::Group
        | Kind::Reputation => return None,
    })
}

fn entitlement(world: &World, id: ObjectId) -> Option<v1::EntitlementRef> {
    if let Some(id) = key_of(world, id, OWN_KEYS) {
        return Some(v1::EntitlementRef { id, ..Default::default() });
    }
    let Value::Object(application) = world.object(id)?.fields.get("app")?.value else {
        // By a key of its own, which `reference_to` follows.
        let (application, name) =
            reference_to(world, id)?.split_once('/').map(|(a, n)| (a.to_owned(), n.to_owned()))?;
        return Some(v1::EntitlementRef { application, name, ..Default::default() });
    };
    let (application, name) = (reference_to(world, application)?, key_of(world, id, &["name"])?);
    Some(v1::EntitlementRef { application, name, ..Default::default() })
}
