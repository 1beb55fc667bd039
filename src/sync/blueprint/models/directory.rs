//! Users, groups and reputation rows from authentik's models, and references to users and groups.
//!
//! Must not know: bindings, targets.

use super::fields::{Fields, Notes, Reference, no_key};
use super::kind::Kind;
use super::{OWN_KEYS, key_of};
use crate::proto::v1;
use crate::sync::blueprint::value::{ObjectId, Value};
use crate::sync::blueprint::world::World;
use std::collections::HashMap;

/// The groups that name a user among their members, by user.
pub(super) type Memberships = HashMap<ObjectId, Vec<v1::GroupRef>>;

/// Gathers what groups say of their members.
pub(super) fn memberships(world: &World, notes: &mut Notes) -> Memberships {
    let mut memberships = Memberships::new();
    for (id, object) in world.living().filter(|(_, object)| Kind::of(&object.model) == Some(Kind::Group)) {
        let mut fields = Fields { world, object, notes };
        let Some(group) = known_group(world, id) else { continue };
        for value in fields.list("users") {
            match fields.lead("users", value, |kind| kind == Kind::User) {
                Some(Reference::Object(user)) if fields.alive("users", user) => {
                    memberships.entry(user).or_default().push(group.clone());
                }
                None | Some(Reference::Object(_)) => {}
                Some(Reference::Key(key)) => {
                    fields.warn("users", format!("a member is left out: {}", no_key(&key)));
                }
                Some(Reference::Missing(missing)) => {
                    fields.warn("users", format!("a member is left out: {}", missing.describe()));
                }
            }
        }
    }
    memberships
}

/// The user of an object.
pub(super) fn user(fields: &mut Fields<'_, '_>, also_in: Vec<v1::GroupRef>) -> v1::User {
    let mut groups = groups(fields, "groups");
    for group in also_in {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    v1::User {
        id: fields.id(),
        username: fields.name("username"),
        name: fields.text("name"),
        email: fields.text("email"),
        is_active: fields.boolean("is_active"),
        groups,
        attributes: fields.data("attributes"),
        r#type: fields.text("type"),
        path: fields.text("path"),
        password_change_date: fields.moment("password_change_date"),
        date_joined: fields.moment("date_joined"),
        last_login: fields.moment("last_login"),
        ..Default::default()
    }
}

/// The group of an object.
pub(super) fn group(fields: &mut Fields<'_, '_>) -> v1::Group {
    let mut parents = groups(fields, "parents");
    // The field of older versions, of one parent.
    if let Some(parent) = fields.value("parent")
        && let Some(parent) = group_ref(fields, "parent", parent)
        && !parents.contains(&parent)
    {
        parents.push(parent);
    }
    v1::Group {
        id: fields.id(),
        name: fields.name("name"),
        parents,
        is_superuser: fields.boolean("is_superuser").unwrap_or_default(),
        attributes: fields.data("attributes"),
    }
}

/// The reputation row of an object.
pub(super) fn reputation(fields: &mut Fields<'_, '_>) -> v1::ReputationScore {
    v1::ReputationScore {
        id: fields.id(),
        ip: fields.text("ip"),
        identifier: fields.text("identifier"),
        score: fields.number("score").unwrap_or_default(),
        expires: fields.expires(),
    }
}

fn groups(fields: &mut Fields<'_, '_>, name: &str) -> Vec<v1::GroupRef> {
    let mut groups: Vec<v1::GroupRef> = Vec::new();
    for value in fields.list(name) {
        if let Some(group) = group_ref(fields, name, value)
            && !groups.contains(&group)
        {
            groups.push(group);
        }
    }
    groups
}

/// The id or the name of a user or group.
enum Known {
    Id(String),
    Name(String),
}

/// A reference to a group. Nothing: it leads to nothing, which is noted unless the value is null.
pub(super) fn group_ref<'w>(
    fields: &mut Fields<'w, '_>,
    name: &str,
    value: &'w Value,
) -> Option<v1::GroupRef> {
    Some(match person(fields, name, value, Kind::Group)? {
        Known::Id(id) => v1::GroupRef { id, ..Default::default() },
        Known::Name(name) => v1::GroupRef { name, ..Default::default() },
    })
}

/// A reference to a user. Nothing: it leads to nothing, which is noted unless the value is null.
pub(super) fn user_ref<'w>(fields: &mut Fields<'w, '_>, name: &str, value: &'w Value) -> Option<v1::UserRef> {
    Some(match person(fields, name, value, Kind::User)? {
        Known::Id(id) => v1::UserRef { id, ..Default::default() },
        Known::Name(username) => v1::UserRef { username, ..Default::default() },
    })
}

/// Users and groups may be unknown, since they often come from elsewhere.
fn person<'w>(fields: &mut Fields<'w, '_>, name: &str, value: &'w Value, kind: Kind) -> Option<Known> {
    match fields.lead(name, value, |found| found == kind)? {
        Reference::Object(id) => {
            let object = fields.world.object(id)?;
            if Kind::of(&object.model) != Some(kind) {
                fields.wrong_kind(name, id, kind.noun());
                return None;
            }
            if !fields.alive(name, id) {
                return None;
            }
            known(fields.world, id, kind)
        }
        Reference::Key(key) => {
            let message = format!("no entry has the {} of pk `{key}`; taken as an id", kind.noun());
            fields.warn(name, message);
            Some(Known::Id(key))
        }
        Reference::Missing(missing) => {
            let key = kind.keys().first().copied().unwrap_or_default();
            let (known, how, field) = match missing.sought() {
                Some((model, field, text)) if Kind::of(model) == Some(kind) && field == key => {
                    (Known::Name(text), "by its name", field)
                }
                Some((model, "pk", text)) if Kind::of(model) == Some(kind) => {
                    (Known::Id(text), "as an id", "pk")
                }
                _ => {
                    fields.wrong(name, missing.describe());
                    return None;
                }
            };
            let (Known::Id(text) | Known::Name(text)) = &known;
            let message = format!("no entry has the {} of {field} `{text}`; taken {how}", kind.noun());
            fields.warn(name, message);
            Some(known)
        }
    }
}

fn known(world: &World, id: ObjectId, kind: Kind) -> Option<Known> {
    if let Some(key) = key_of(world, id, OWN_KEYS) {
        return Some(Known::Id(key));
    }
    // Without a name it is wrong itself, which is noted there.
    key_of(world, id, kind.keys()).map(Known::Name)
}

fn known_group(world: &World, id: ObjectId) -> Option<v1::GroupRef> {
    Some(match known(world, id, Kind::Group)? {
        Known::Id(id) => v1::GroupRef { id, ..Default::default() },
        Known::Name(name) => v1::GroupRef { name, ..Default::default() },
    })
}
