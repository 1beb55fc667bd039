//! Changes to targets, policies and stages: their names, and what they refer to.
//!
//! Must not know: bindings, except that a target cannot go while some are bound to it.

use super::{Draft, Gone, claim};
use crate::decision::{Lean, TargetKey};
use crate::model::{Id, Policy, ResourceKind, ResourceName, Stage, Target, TargetDetail, TargetKind};
use crate::policy::Compiled;
use crate::store::snapshot::Node;
use crate::store::{PolicyEntry, TargetEntry};
use std::sync::Arc;

/// The names that a target is found by: its id, and its unique name where there is one.
fn texts_of(target: &Target) -> Vec<String> {
    let id = target.id.to_string();
    target.key.iter().map(|key| key.to_string()).filter(|key| *key != id).chain([id.clone()]).collect()
}

fn texts_of_named(id: &Id, name: &str) -> Vec<String> {
    let id = id.to_string();
    if id == name { vec![id] } else { vec![name.to_owned(), id] }
}

impl Draft {
    pub(super) fn upsert_targets(&mut self, targets: Vec<(usize, Target)>) {
        // All old names go before any new one comes, so that targets may swap names.
        let mut keyed = Vec::with_capacity(targets.len());
        for (index, target) in targets {
            let kind = target.kind();
            let old = self.next.target_named(kind, &target.id.to_string());
            let old = old
                .and_then(|key| self.next.targets.get(&key))
                .filter(|old| old.target.id == target.id)
                .cloned();
            if let Some(old) = &old {
                self.drop_target_names(old);
            }
            keyed.push((index, target, old));
        }
        let mut placed = Vec::with_capacity(keyed.len());
        for (index, target, old) in keyed {
            let kind = target.kind();
            let key = old.as_ref().map_or_else(|| TargetKey(self.new_key()), |old| old.key);
            let Some(names) = self.next.target_names.get_mut(kind as usize) else { continue };
            let name = ResourceName { kind: ResourceKind::Target(kind), id: target.id.to_string().into() };
            match claim(names, key, &texts_of(&target)) {
                Ok(()) => {}
                Err((text, holder)) => {
                    let holder = self.next.describe(holder);
                    let message = format!(
                        "`{text}` is the name or id of {holder} already; names are unique within a kind"
                    );
                    self.problem(index, &name, name_field(kind), message);
                    continue;
                }
            }
            // Targets that others refer to must be there before the references are resolved.
            if old.is_none() {
                let rows = Arc::from([]);
                let entry =
                    TargetEntry { key, target: target.clone(), lean: Lean::Nothing, placed: None, rows };
                self.next.targets.insert(key, Arc::new(entry));
            }
            placed.push((index, name, key, target, old));
        }
        for (index, name, key, target, old) in placed {
            self.place_target(index, &name, key, target, old);
        }
    }

    fn place_target(
        &mut self,
        index: usize,
        name: &ResourceName,
        key: TargetKey,
        target: Target,
        old: Option<Arc<TargetEntry>>,
    ) {
        let Ok((lean, placed)) = self.resolve(index, name, &target) else { return };
        if let (TargetDetail::Entitlement { name: title, .. }, Lean::Needs(application)) =
            (&target.detail, lean)
        {
            let holder = self.next.entitlements.insert((application, title.clone()), key);
            if let Some(holder) = holder.filter(|holder| *holder != key) {
                let holder = self.next.describe(holder);
                let message =
                    format!("the application has {holder} already; names are unique within an application");
                self.problem(index, name, "name", message);
                return;
            }
        }
        if let Some(old) = old {
            if old.target == target && old.lean == lean && old.placed == placed {
                return;
            }
            self.drop_references(&old);
            self.next.targets.insert(
                key,
                Arc::new(TargetEntry { key, target, lean, placed, rows: Arc::clone(&old.rows) }),
            );
        } else {
            let rows = Arc::from([]);
            self.next.targets.insert(key, Arc::new(TargetEntry { key, target, lean, placed, rows }));
        }
        for node in nodes(lean, placed) {
            self.next.references.insert((node, Node::Target(key)));
        }
        self.touched.insert(key);
        self.upserted += 1;
    }

    /// What a target's references stand for.
    fn resolve(
        &mut self,
        index: usize,
        name: &ResourceName,
        target: &Target,
    ) -> Result<(Lean, Option<(TargetKey, u32)>), ()> {
        let mut find = |kind: TargetKind, text: &str, field: &'static str| {
            self.next.target_named(kind, text).ok_or_else(|| {
                let message =
                    format!("there is no {} `{text}`; add it, or correct the reference", kind.noun());
                self.problem(index, name, field, message);
            })
        };
        Ok(match &target.detail {
            TargetDetail::Entitlement { application, .. } => {
                (Lean::Needs(find(TargetKind::Application, application, "application")?), None)
            }
            TargetDetail::RacEndpoint { application: Some(application), .. } => {
                (Lean::Needs(find(TargetKind::Application, application, "application")?), None)
            }
            TargetDetail::Device { access_group: Some(group), .. } => {
                (Lean::Behind(find(TargetKind::DeviceAccessGroup, group, "access_group")?), None)
            }
            TargetDetail::Flow { authentication, .. } => (Lean::Authentication(*authentication), None),
            TargetDetail::FlowStageBinding { flow, stage, .. } => {
                let flow = find(TargetKind::Flow, flow, "flow");
                let Some(stage) = self.next.stage_names.get(&**stage).copied() else {
                    self.dangling(index, name, "stage", "stage", stage);
                    return Err(());
                };
                (Lean::Nothing, Some((flow?, stage)))
            }
            _ => (Lean::Nothing, None),
        })
    }

    fn drop_target_names(&mut self, entry: &TargetEntry) {
        if let Some(names) = self.next.target_names.get_mut(entry.target.kind() as usize) {
            for text in texts_of(&entry.target) {
                names.remove(text.as_str());
            }
        }
        if let (TargetDetail::Entitlement { name, .. }, Lean::Needs(application)) =
            (&entry.target.detail, entry.lean)
        {
            self.next.entitlements.remove(&(application, name.clone()));
        }
    }

    fn drop_references(&mut self, entry: &TargetEntry) {
        for node in nodes(entry.lean, entry.placed) {
            self.next.references.remove(&(node, Node::Target(entry.key)));
        }
    }

    pub(super) fn remove_target(&mut self, kind: TargetKind, name: &ResourceName) -> bool {
        let id = Id::new(&name.id);
        let key = self.next.target_named(kind, &name.id);
        let entry = key.and_then(|key| self.next.targets.get(&key)).filter(|entry| entry.target.id == id);
        let Some(entry) = entry.cloned() else { return false };
        self.drop_target_names(&entry);
        self.drop_references(&entry);
        self.forget_rows(entry.key, &entry.rows);
        self.next.targets.remove(&entry.key);
        self.gone.push(Gone {
            node: Node::Target(entry.key),
            name: name.clone(),
            rows: Arc::clone(&entry.rows),
        });
        self.touched.insert(entry.key);
        true
    }

    pub(super) fn upsert_policies(&mut self, policies: Vec<(usize, Policy)>) {
        let mut keyed = Vec::with_capacity(policies.len());
        for (index, policy) in policies {
            let old = self.next.policy_names.get(policy.id.to_string().as_str()).copied();
            let old = old
                .and_then(|key| self.next.policies.get(&key))
                .filter(|old| old.policy.id == policy.id)
                .cloned();
            if let Some(old) = &old {
                for text in texts_of_named(&old.policy.id, &old.policy.name) {
                    self.next.policy_names.remove(text.as_str());
                }
            }
            keyed.push((index, policy, old));
        }
        for (index, policy, old) in keyed {
            let key = old.as_ref().map_or_else(|| self.new_key(), |old| old.key);
            let name = ResourceName { kind: ResourceKind::Policy, id: policy.id.to_string().into() };
            if let Err((text, _)) =
                claim(&mut self.next.policy_names, key, &texts_of_named(&policy.id, &policy.name))
            {
                let message =
                    format!("`{text}` is the name or id of another policy already; policy names are unique");
                self.problem(index, &name, "name", message);
                continue;
            }
            if old.is_some_and(|old| old.policy == policy) {
                continue;
            }
            match Compiled::new(&policy) {
                Ok(compiled) => {
                    let entry = PolicyEntry { key, policy, compiled: Arc::new(compiled) };
                    self.next.policies.insert(key, Arc::new(entry));
                    self.touched.extend(self.next.referrers(Node::Policy(key)).filter_map(
                        |node| match node {
                            Node::Target(target) => Some(target),
                            Node::Policy(_) | Node::Stage(_) => None,
                        },
                    ));
                    self.upserted += 1;
                }
                Err(error) => self.problem(index, &name, error.field, error.message),
            }
        }
    }

    pub(super) fn remove_policy(&mut self, name: &ResourceName) -> bool {
        let id = Id::new(&name.id);
        let key = self.next.policy_names.get(&*name.id).copied();
        let entry = key.and_then(|key| self.next.policies.get(&key)).filter(|entry| entry.policy.id == id);
        let Some(entry) = entry.cloned() else { return false };
        for text in texts_of_named(&entry.policy.id, &entry.policy.name) {
            self.next.policy_names.remove(text.as_str());
        }
        self.next.policies.remove(&entry.key);
        self.gone.push(Gone { node: Node::Policy(entry.key), name: name.clone(), rows: Arc::from([]) });
        true
    }

    pub(super) fn upsert_stages(&mut self, stages: Vec<(usize, Stage)>) {
        let mut keyed = Vec::with_capacity(stages.len());
        for (index, stage) in stages {
            let old = self.next.stage_names.get(stage.id.to_string().as_str()).copied();
            let old = old.filter(|key| self.next.stages.get(key).is_some_and(|old| old.id == stage.id));
            if let Some(old) = old.and_then(|key| self.next.stages.get(&key)) {
                for text in texts_of_named(&old.id, &old.name) {
                    self.next.stage_names.remove(text.as_str());
                }
            }
            keyed.push((index, stage, old));
        }
        for (index, stage, old) in keyed {
            let key = old.unwrap_or_else(|| self.new_key());
            let name = ResourceName { kind: ResourceKind::Stage, id: stage.id.to_string().into() };
            if let Err((text, _)) =
                claim(&mut self.next.stage_names, key, &texts_of_named(&stage.id, &stage.name))
            {
                let message =
                    format!("`{text}` is the name or id of another stage already; stage names are unique");
                self.problem(index, &name, "name", message);
                continue;
            }
            if self.next.stages.get(&key).is_some_and(|old| **old == stage) {
                continue;
            }
            self.next.stages.insert(key, Arc::new(stage));
            self.upserted += 1;
        }
    }

    pub(super) fn remove_stage(&mut self, name: &ResourceName) -> bool {
        let id = Id::new(&name.id);
        let key = self.next.stage_names.get(&*name.id).copied();
        let Some((key, stage)) = key.and_then(|key| Some((key, Arc::clone(self.next.stages.get(&key)?))))
        else {
            return false;
        };
        if stage.id != id {
            return false;
        }
        for text in texts_of_named(&stage.id, &stage.name) {
            self.next.stage_names.remove(text.as_str());
        }
        self.next.stages.remove(&key);
        self.gone.push(Gone { node: Node::Stage(key), name: name.clone(), rows: Arc::from([]) });
        true
    }
}

fn nodes(lean: Lean, placed: Option<(TargetKey, u32)>) -> impl Iterator<Item = Node> {
    let leant = match lean {
        Lean::Needs(key) | Lean::Behind(key) => Some(Node::Target(key)),
        Lean::Nothing | Lean::Authentication(_) => None,
    };
    let placed = placed.map(|(flow, stage)| [Node::Target(flow), Node::Stage(stage)]);
    leant.into_iter().chain(placed.into_iter().flatten())
}

/// The field that holds the unique name of a kind.
fn name_field(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Application | TargetKind::Source | TargetKind::Flow => "slug",
        TargetKind::Device => "identifier",
        TargetKind::DeviceAccessGroup | TargetKind::NotificationRule => "name",
        TargetKind::Entitlement | TargetKind::FlowStageBinding | TargetKind::RacEndpoint => "id",
    }
}
