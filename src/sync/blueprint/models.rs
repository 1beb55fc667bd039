//! Turns the objects of blueprints into resources.
//!
//! Must not know: files, tags.

mod binding;
mod directory;
mod fields;
mod kind;
mod policy;
mod target;

use super::Options;
use super::value::{ObjectId, Value};
use super::world::{Object, World};
use crate::proto::v1::{self, resource::Resource};
use crate::sync::origin::{FileProblem, Origin};
use fields::{Fields, Notes};
use kind::Kind;
use std::collections::HashSet;

/// Where a file may give an object's key: `pk`, or the column behind it. `pk` is first: a user has a number there,
/// which bindings go by, and a uuid besides.
const OWN_KEYS: &[&str] = &[
    "pk",
    "flow_uuid",
    "fsb_uuid",
    "stage_uuid",
    "policy_uuid",
    "policy_binding_uuid",
    "group_uuid",
    "device_uuid",
    "pbm_uuid",
    "uuid",
];

type Resources = Vec<(v1::Resource, Origin)>;

/// Removes what stands only with something that was removed, as authentik does.
pub(super) fn cascade(world: &mut World, warnings: &mut Vec<FileProblem>) {
    // Something may stand with something that stands with something: as often as one is found.
    loop {
        let fallen: Vec<(ObjectId, Origin, String)> = world
            .living()
            .filter_map(|(id, object)| {
                let names = Kind::of(&object.model)?.stands_with();
                names.iter().find_map(|name| {
                    let field = object.fields.get(*name)?;
                    let Value::Object(other) = field.value else { return None };
                    let removed = world.object(other).is_some_and(|other| !other.alive);
                    removed.then(|| (id, field.origin.clone(), (*name).to_owned()))
                })
            })
            .collect();
        if fallen.is_empty() {
            return;
        }
        for (id, origin, name) in fallen {
            let message = format!("`{name}`: what it refers to is removed by state absent; left out with it");
            warnings.push(FileProblem { origin, message });
            world.remove(id);
        }
    }
}

/// The resources of all objects that are there, and which objects went into one.
pub(super) fn resources(
    world: &World,
    options: &Options<'_>,
    problems: &mut Vec<FileProblem>,
    warnings: &mut Vec<FileProblem>,
) -> (Resources, HashSet<ObjectId>) {
    let mut notes = Notes::default();
    let mut memberships = directory::memberships(world, &mut notes);
    let mut taken = HashSet::new();
    let mut resources = Vec::new();
    for (id, object) in world.living() {
        let Some(kind) = Kind::of(&object.model) else { continue };
        let mut fields = Fields { world, object, notes: &mut notes };
        let resource = match kind {
            Kind::Application => Some(Resource::Application(target::application(&mut fields, options))),
            Kind::Entitlement => target::entitlement(&mut fields).map(Resource::Entitlement),
            Kind::Source => Some(Resource::Source(target::source(&mut fields))),
            Kind::Flow => Some(Resource::Flow(target::flow(&mut fields))),
            Kind::FlowStageBinding => target::flow_stage_binding(&mut fields).map(Resource::FlowStageBinding),
            Kind::Device => target::device(&mut fields).map(Resource::Device),
            Kind::DeviceAccessGroup => {
                Some(Resource::DeviceAccessGroup(target::device_access_group(&mut fields)))
            }
            Kind::NotificationRule => {
                Some(Resource::NotificationRule(target::notification_rule(&mut fields)))
            }
            Kind::RacEndpoint => target::rac_endpoint(&mut fields).map(Resource::RacEndpoint),
            Kind::Binding => binding::binding(&mut fields).map(Resource::PolicyBinding),
            Kind::Policy => Some(Resource::Policy(policy::policy(&mut fields))),
            Kind::Stage => Some(Resource::Stage(target::stage(&mut fields))),
            Kind::User => {
                let also_in = memberships.remove(&id).unwrap_or_default();
                Some(Resource::User(directory::user(&mut fields, also_in)))
            }
            Kind::Group => Some(Resource::Group(directory::group(&mut fields))),
            Kind::Reputation => Some(Resource::ReputationScore(directory::reputation(&mut fields))),
        };
        if let Some(resource) = resource {
            taken.insert(id);
            resources.push((v1::Resource { resource: Some(resource) }, object.origin.clone()));
        }
    }
    problems.append(&mut notes.problems);
    warnings.append(&mut notes.warnings);
    (resources, taken)
}

/// The text of the first of these fields that an object has.
fn key_of(world: &World, id: ObjectId, names: &[&str]) -> Option<String> {
    let object = world.object(id)?;
    names.iter().find_map(|name| text_of(object, name))
}

fn text_of(object: &Object, name: &str) -> Option<String> {
    match &object.fields.get(name)?.value {
        value @ (Value::Text(_) | Value::Int(_) | Value::Float(_)) => {
            value.plain().filter(|text| !text.is_empty())
        }
        _ => None,
    }
}

/// How an object is referred to: by its pk where the file gives one, else by what names it.
fn reference_to(world: &World, id: ObjectId) -> Option<String> {
    if let Some(key) = key_of(world, id, OWN_KEYS) {
        return Some(key);
    }
    let object = world.object(id)?;
    match Kind::of(&object.model)? {
        Kind::RacEndpoint => target::endpoint_key(world, object),
        // The ids that a resource without one gets.
        Kind::FlowStageBinding => {
            let flow = related(world, object, "target", Kind::Flow)?;
            let stage = related(world, object, "stage", Kind::Stage)?;
            let order = text_of(object, "order").unwrap_or_else(|| "0".to_owned());
            Some(format!("{flow}/{order}/{stage}"))
        }
        Kind::Entitlement => {
            let application = related(world, object, "app", Kind::Application)?;
            Some(format!("{application}/{}", text_of(object, "name")?))
        }
        kind => key_of(world, id, kind.keys()),
    }
}

/// How the object of a kind that a field leads to is referred to.
fn related(world: &World, object: &Object, name: &str, kind: Kind) -> Option<String> {
    let found = match &object.fields.get(name)?.value {
        Value::Object(id) => *id,
        key => {
            let is_meant = |other: &Object| other.alive && Kind::of(&other.model) == Some(kind);
            OWN_KEYS.iter().find_map(|name| world.holding(name, key, is_meant))?
        }
    };
    // Of the kind that is meant, so that this cannot go round.
    let is_meant = world.object(found).and_then(|object| Kind::of(&object.model)) == Some(kind);
    if is_meant { reference_to(world, found) } else { None }
}
