//! What a snapshot holds, as the messages that it came from: for handing it on, and for what it sums up to.
//!
//! Messages are made from the model when they are asked for. Only a resource that was sent in another form than the
//! plain one, with a default spelled out or a field of a newer schema, keeps the bytes that it was sent as. So a
//! configuration is not held twice, and is handed on exactly as it came. Must not know: who asks.

use super::PolicyEntry;
use super::directory::UserEntry;
use super::snapshot::{Node, Snapshot};
use crate::decision::{BoundTarget, Lean, Row, RowSubject, View as _};
use crate::model::{
    BindingSubject, Digest, Id, PolicyBinding, ResourceKind, ResourceName, TargetDetail, TargetKind,
    TargetRef, User, UserRef,
};
use crate::proto::resource::{self as message, hash};
use prost::Message as _;
use std::sync::Arc;

/// Kinds in an order in which whatever is referred to comes before what refers to it.
pub(super) const ORDER: [ResourceKind; 16] = [
    ResourceKind::Group,
    ResourceKind::User,
    ResourceKind::Stage,
    ResourceKind::Policy,
    ResourceKind::Target(TargetKind::Application),
    ResourceKind::Target(TargetKind::Source),
    ResourceKind::Target(TargetKind::Flow),
    ResourceKind::Target(TargetKind::DeviceAccessGroup),
    ResourceKind::Target(TargetKind::NotificationRule),
    ResourceKind::Target(TargetKind::Entitlement),
    ResourceKind::Target(TargetKind::FlowStageBinding),
    ResourceKind::Target(TargetKind::Device),
    ResourceKind::Target(TargetKind::RacEndpoint),
    ResourceKind::PolicyBinding,
    ResourceKind::ReputationScore,
    ResourceKind::Route,
];

impl Snapshot {
    /// A resource as it was sent, serialized.
    pub fn resource(&self, kind: ResourceKind, id: &Id) -> Option<Vec<u8>> {
        if let Some(odd) = self.odd.get(&(kind, id.clone())) {
            return Some(odd.to_vec());
        }
        self.plain(kind, id)
    }

    /// A resource in its plain form: what follows from the rest and what is at its default is left out.
    pub fn plain(&self, kind: ResourceKind, id: &Id) -> Option<Vec<u8>> {
        let text = id.to_string();
        let resource = match kind {
            ResourceKind::Target(kind) => {
                let entry = self.target(self.target_named(kind, &text)?)?;
                message::target(&entry.target.id.eq(id).then_some(entry)?.target)
            }
            ResourceKind::PolicyBinding => {
                let (entry, row) = self.row(id)?;
                return Some(self.plain_row(entry, &row));
            }
            ResourceKind::Policy => {
                let entry = self.policy_named(&text).filter(|entry| entry.policy.id == *id)?;
                message::policy(&entry.policy)
            }
            ResourceKind::Stage => {
                message::stage(self.stage_named(&text).filter(|(_, stage)| stage.id == *id)?.1)
            }
            ResourceKind::User => message::user(&self.directory.users.get(id)?.user),
            ResourceKind::Group => {
                let atom = self.atoms.find((super::atoms::Space::GroupId, &text))?;
                message::group(&self.directory.groups.get(&atom)?.group)
            }
            ResourceKind::ReputationScore => message::reputation_score(self.reputation.rows.get(id)?),
            ResourceKind::Route => message::route(&self.routes.get(id)?.route),
        };
        Some(resource.encode_to_vec())
    }

    /// A binding, and the target that it is bound to.
    pub(super) fn row(&self, id: &Id) -> Option<(&Arc<BoundTarget>, Row)> {
        let targets = self.bindings.candidates(id).filter_map(|key| self.targets.get(key));
        let mut rows = targets.filter_map(|entry| Some((entry, entry.rows().find(id)?)));
        rows.next()
    }

    /// A binding in its plain form.
    pub(super) fn plain_row(&self, entry: &BoundTarget, row: &Row) -> Vec<u8> {
        message::binding(&self.binding_of(entry, row)).encode_to_vec()
    }

    /// A binding as it was sent.
    pub(super) fn held_row(&self, entry: &BoundTarget, row: &Row) -> Vec<u8> {
        match self.odd.get(&(ResourceKind::PolicyBinding, row.id.clone())) {
            Some(odd) => odd.to_vec(),
            None => self.plain_row(entry, row),
        }
    }

    /// The binding that a row was made from.
    pub(super) fn binding_of(&self, entry: &BoundTarget, row: &Row) -> PolicyBinding {
        let switches = row.switches;
        let subject = match row.subject {
            RowSubject::Policy(key) => {
                let name = self.policies.get(key).map(|entry| policy_name(entry, switches.policy_by_id()));
                BindingSubject::Policy(name.unwrap_or_default())
            }
            RowSubject::User(user) => BindingSubject::User(self.atoms.user(user)),
            RowSubject::Group(group) => BindingSubject::Group(self.atoms.group(group)),
        };
        PolicyBinding {
            id: row.id.clone(),
            target: target_name(entry, switches.target_by_id()),
            subject,
            order: row.order,
            enabled: switches.enabled(),
            negate: switches.negate(),
            timeout: switches.timeout(),
            failure_result: switches.failure_result(),
            expires: row.expires,
            dry_run: switches.dry_run(),
        }
    }

    /// Every resource as it was sent, serialized; what is referred to comes before what refers to it.
    pub fn resources(&self) -> impl Iterator<Item = (ResourceKind, Vec<u8>)> + '_ {
        ORDER.into_iter().flat_map(|kind| self.resources_of(kind).map(move |bytes| (kind, bytes)))
    }

    /// The ids of every resource of a kind, in no order.
    pub fn ids_of(&self, kind: ResourceKind) -> Box<dyn Iterator<Item = Id> + '_> {
        match kind {
            ResourceKind::Target(kind) => {
                let targets = self.targets.values().filter(move |entry| entry.target.kind() == kind);
                Box::new(targets.map(|entry| entry.target.id.clone()))
            }
            ResourceKind::PolicyBinding => {
                Box::new(self.targets.values().flat_map(|entry| entry.rows().iter().map(|row| row.id)))
            }
            ResourceKind::Policy => Box::new(self.policies.values().map(|entry| entry.policy.id.clone())),
            ResourceKind::Stage => Box::new(self.stages.values().map(|stage| stage.id.clone())),
            ResourceKind::User => Box::new(self.directory.users.keys().cloned()),
            ResourceKind::Group => {
                Box::new(self.directory.groups.values().map(|entry| entry.group.id.clone()))
            }
            ResourceKind::ReputationScore => Box::new(self.reputation.rows.keys().cloned()),
            ResourceKind::Route => Box::new(self.routes.values().map(|entry| entry.route.id.clone())),
        }
    }

    /// Every resource of a kind as it was sent, serialized, in no order.
    pub fn resources_of(&self, kind: ResourceKind) -> Box<dyn Iterator<Item = Vec<u8>> + Send + '_> {
        let held = move |id: &Id, plain: &dyn Fn() -> Vec<u8>| match self.odd.get(&(kind, id.clone())) {
            Some(odd) => odd.to_vec(),
            None => plain(),
        };
        match kind {
            ResourceKind::Target(kind) => {
                let targets = self.targets.values().filter(move |entry| entry.target.kind() == kind);
                Box::new(targets.map(move |entry| {
                    held(&entry.target.id, &|| message::target(&entry.target).encode_to_vec())
                }))
            }
            ResourceKind::PolicyBinding => {
                let rows =
                    self.targets.values().flat_map(|entry| entry.rows().iter().map(move |row| (entry, row)));
                Box::new(rows.map(|(entry, row)| self.held_row(entry, &row)))
            }
            ResourceKind::Policy => Box::new(self.policies.values().map(move |entry| {
                held(&entry.policy.id, &|| message::policy(&entry.policy).encode_to_vec())
            })),
            ResourceKind::Stage => Box::new(
                self.stages
                    .values()
                    .map(move |stage| held(&stage.id, &|| message::stage(stage).encode_to_vec())),
            ),
            ResourceKind::User => Box::new(
                self.directory
                    .users
                    .values()
                    .map(move |entry| held(&entry.user.id, &|| message::user(&entry.user).encode_to_vec())),
            ),
            ResourceKind::Group => {
                Box::new(self.directory.groups.values().map(move |entry| {
                    held(&entry.group.id, &|| message::group(&entry.group).encode_to_vec())
                }))
            }
            ResourceKind::ReputationScore => Box::new(
                self.reputation
                    .rows
                    .values()
                    .map(move |score| held(&score.id, &|| message::reputation_score(score).encode_to_vec())),
            ),
            ResourceKind::Route => Box::new(
                self.routes
                    .values()
                    .map(move |it| held(&it.route.id, &|| message::route(&it.route).encode_to_vec())),
            ),
        }
    }

    /// Only for tests: flips a bit of a resource that is kept as it was sent, or of a user.
    pub(super) fn damage(&mut self, name: &ResourceName) -> bool {
        let id = Id::new(&name.id);
        if let Some(odd) = self.odd.get_mut(&(name.kind, id.clone())) {
            let mut bytes = odd.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            *odd = bytes.into();
            return true;
        }
        let Some(entry) = self.directory.users.get_mut(&id) else { return false };
        let mut user = User::clone(&entry.user);
        user.is_active = !user.is_active;
        *entry = Arc::new(UserEntry::new(user));
        true
    }

    /// What everything that is held really sums up to, computed anew from all of it. Another one than
    /// [`Snapshot::digest`] means that memory is damaged, or that this program is wrong.
    pub fn recount(&self) -> Digest {
        let mut digest = Digest::default();
        for kind in ResourceKind::ALL {
            let sum = self
                .resources_of(kind)
                .fold(crate::model::Sum::default(), |sum, resource| sum.plus(hash(&resource)));
            digest.set(kind, sum);
        }
        digest
    }
}

/// How a binding names its target.
fn target_name(entry: &BoundTarget, by_id: bool) -> TargetRef {
    let target = &entry.target;
    match &target.detail {
        TargetDetail::Entitlement(detail) if !by_id => {
            let (application, name) = (detail.application.as_ref().into(), detail.name.as_ref().into());
            TargetRef::Entitlement { application, name }
        }
        _ => {
            let name = target.key.as_deref().filter(|_| !by_id);
            TargetRef::Named(target.kind(), name.map_or_else(|| target.id.to_string(), str::to_owned))
        }
    }
}

fn policy_name(entry: &PolicyEntry, by_id: bool) -> Box<str> {
    if by_id { entry.policy.id.to_string().into() } else { entry.policy.name.clone() }
}

/// Whether a binding that says this names its target by the id, where it could have used a name.
pub(super) fn is_target_by_id(reference: &TargetRef, entry: &BoundTarget) -> bool {
    let TargetRef::Named(_, name) = reference else { return false };
    let target = &entry.target;
    let has_name = target.key.is_some() || matches!(target.detail, TargetDetail::Entitlement(_));
    has_name && target.key.as_deref() != Some(&**name) && target.id.is(name)
}

/// Whether a binding that says this names its policy by the id, where it could have used the name.
pub(super) fn is_policy_by_id(reference: &str, entry: &PolicyEntry) -> bool {
    *reference != *entry.policy.name && entry.policy.id.is(reference)
}

/// Whether bindings name a target differently than before.
pub(super) fn is_renamed(old: &BoundTarget, new: &BoundTarget) -> bool {
    [false, true].iter().any(|by_id| target_name(old, *by_id) != target_name(new, *by_id))
}

impl Snapshot {
    /// A target with everything that a question about it reads apart from policies and the directory: its bindings, what
    /// it leans on and where it stands, with their bindings; for a flow its stages' bindings, too. Each as it was sent.
    pub fn with_surroundings(&self, target: &TargetRef) -> Vec<(ResourceName, Vec<u8>)> {
        let Ok(key) = self.find(target) else { return Vec::new() };
        let mut keys = vec![key];
        if let Some(entry) = self.target(key) {
            keys.extend(match entry.lean {
                Lean::Needs(other) | Lean::Behind(other) => Some(other),
                Lean::Nothing | Lean::Authentication(_) => None,
            });
            keys.extend(entry.placed.map(|(flow, _)| flow));
            let stages = self.referrers(Node::Target(key)).filter_map(|node| match node {
                Node::Target(key) => self.target(key).filter(|it| it.placed.is_some()).map(|it| it.key),
                Node::Policy(_) | Node::Stage(_) | Node::Route(_) => None,
            });
            keys.extend(stages);
        }
        let mut found = Vec::new();
        for entry in keys.iter().filter_map(|key| self.target(*key)) {
            let kind = ResourceKind::Target(entry.target.kind());
            let name = ResourceName { kind, id: entry.target.id.to_string().into() };
            if let Some(bytes) = self.resource(kind, &entry.target.id) {
                found.push((name, bytes));
            }
            for row in entry.rows().iter() {
                let name = ResourceName { kind: ResourceKind::PolicyBinding, id: row.id.to_string().into() };
                found.push((name, self.held_row(entry, &row)));
            }
        }
        found
    }

    /// The user that is called so, as it was sent.
    pub fn user_resource(&self, user: &UserRef) -> Option<(ResourceName, Vec<u8>)> {
        let user = match user {
            UserRef::Id(id) => self.user_with_id(id),
            UserRef::Username(name) => self.user_named(name),
        }?;
        let name = ResourceName { kind: ResourceKind::User, id: user.id.to_string().into() };
        Some((name, self.resource(ResourceKind::User, &user.id)?))
    }
}
