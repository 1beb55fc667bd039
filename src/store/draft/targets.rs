//! Changes to targets, policies and stages: their names, and what they refer to.
//!
//! Must not know: bindings, except that a target cannot go while some are bound to it.

use super::{Draft, Gone};
use crate::decision::{BoundTarget, Lean, Row, TargetKey, View as _};
use crate::model::{Id, Policy, ResourceKind, ResourceName, Stage, Target, TargetDetail, TargetKind};
use crate::policy::Compiled;
use crate::store::PolicyEntry;
use crate::store::content::is_renamed;
use crate::store::snapshot::Node;
use std::collections::HashSet;
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

/// Only for what is wrong: most of many targets are not.
fn name_of(target: &Target) -> ResourceName {
    ResourceName { kind: ResourceKind::Target(target.kind()), id: target.id.to_string().into() }
}

impl Draft<'_> {
    pub(super) fn upsert_targets(&mut self, targets: Vec<(usize, Box<Target>)>) {
        // All old names go before any new one comes, so that targets may swap names.
        let mut keyed = Vec::with_capacity(targets.len());
        for (index, target) in targets {
            let old = self.next.target_named(target.kind(), &target.id.to_string());
            let old =
                old.and_then(|key| self.next.target(key)).filter(|old| old.target.id == target.id).cloned();
            if let Some(old) = &old {
                self.drop_target_names(old);
            }
            keyed.push((index, target, old));
        }
        let mut placed = Vec::with_capacity(keyed.len());
        for (index, target, old) in keyed {
            let kind = target.kind();
            let texts = texts_of(&target);
            let holder = texts.iter().find_map(|text| Some((text, self.next.target_named(kind, text)?)));
            if let Some((text, holder)) = holder {
                let holder = self.next.describe(holder);
                let message =
                    format!("`{text}` is the name or id of {holder} already; names are unique within a kind");
                self.problem(index, &name_of(&target), name_field(kind), message);
                continue;
            }
            let key = old.as_ref().map_or_else(|| TargetKey(self.next.targets.reserve()), |old| old.key);
            if let Some(names) = self.next.target_names.get_mut(kind as usize) {
                texts.iter().for_each(|text| names.insert(text.as_str(), key.0));
            }
            // Its name must be known before references are resolved and other names are claimed.
            if old.as_ref().is_none_or(|old| old.target != *target) {
                let mut bound = BoundTarget::new(key, *target);
                if let Some(old) = &old {
                    (bound.lean, bound.placed) = (old.lean, old.placed);
                    bound.set_rows(old.rows().clone());
                }
                self.next.targets.set(key.0, Arc::new(bound));
            }
            let new = self.next.target(key);
            if old.as_ref().zip(new).is_some_and(|(old, new)| is_renamed(old, new)) {
                self.renamed.insert(key);
            }
            placed.push((Some(index), key, old));
        }
        // What refers to a name that moved is placed anew, too.
        let given: HashSet<TargetKey> = placed.iter().map(|(_, key, _)| *key).collect();
        let moved = self.renamed.iter().map(|key| Node::Target(*key));
        let moved = moved.chain(self.renamed_stages.iter().map(|key| Node::Stage(*key)));
        let mut anew: Vec<TargetKey> = moved
            .flat_map(|node| self.next.referrers(node))
            .filter_map(|node| if let Node::Target(key) = node { Some(key) } else { None })
            .filter(|key| !given.contains(key))
            .collect();
        anew.sort_unstable();
        anew.dedup();
        for key in anew {
            let Some(entry) = self.next.target(key).cloned() else { continue };
            if let (TargetDetail::Entitlement(detail), Lean::Needs(application)) =
                (&entry.target.detail, entry.lean)
            {
                self.next.entitlements.remove(&(application, detail.name.clone()));
            }
            placed.push((None, key, Some(entry)));
        }
        self.placed = placed.iter().map(|(_, key, _)| *key).collect();
        for (index, key, old) in placed {
            self.place_target(index, key, old);
        }
    }

    /// Resolves what a target refers to, once all targets of the update are known by name.
    fn place_target(&mut self, index: Option<usize>, key: TargetKey, old: Option<Arc<BoundTarget>>) {
        let Some(entry) = self.next.target(key).cloned() else { return };
        let Ok((lean, placed)) = self.resolve(index, &entry.target) else { return };
        if let (TargetDetail::Entitlement(entitlement), Lean::Needs(application)) =
            (&entry.target.detail, lean)
        {
            let holder = self.next.entitlements.insert((application, entitlement.name.clone()), key);
            if let Some(holder) = holder.filter(|holder| *holder != key) {
                let holder = self.next.describe(holder);
                let message =
                    format!("the application has {holder} already; names are unique within an application");
                self.problem(index, &name_of(&entry.target), "name", message);
                return;
            }
        }
        if let Some(old) = old {
            if old.target == entry.target && old.lean == lean && old.placed == placed {
                return;
            }
            self.drop_references(&old);
        }
        if let Some(entry) = self.next.targets.get_mut(key.0) {
            let entry = Arc::make_mut(entry);
            (entry.lean, entry.placed) = (lean, placed);
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
        index: Option<usize>,
        target: &Target,
    ) -> Result<(Lean, Option<(TargetKey, u32)>), ()> {
        let mut find = |kind: TargetKind, text: &str, field: &'static str| {
            self.next.target_named(kind, text).ok_or_else(|| {
                let message =
                    format!("there is no {} `{text}`; add it, or correct the reference", kind.noun());
                self.problem(index, &name_of(target), field, message);
            })
        };
        Ok(match &target.detail {
            TargetDetail::Entitlement(entitlement) => {
                (Lean::Needs(find(TargetKind::Application, &entitlement.application, "application")?), None)
            }
            TargetDetail::RacEndpoint(endpoint) => match &endpoint.application {
                Some(application) => {
                    (Lean::Needs(find(TargetKind::Application, application, "application")?), None)
                }
                None => (Lean::Nothing, None),
            },
            TargetDetail::Device(device) => match &device.access_group {
                Some(group) => {
                    (Lean::Behind(find(TargetKind::DeviceAccessGroup, group, "access_group")?), None)
                }
                None => (Lean::Nothing, None),
            },
            TargetDetail::Flow(flow) => (Lean::Authentication(flow.authentication), None),
            TargetDetail::FlowStageBinding(binding) => {
                let flow = find(TargetKind::Flow, &binding.flow, "flow");
                let Some((stage, _)) = self.next.stage_named(&binding.stage) else {
                    self.dangling(index, &name_of(target), "stage", ResourceKind::Stage, &binding.stage);
                    return Err(());
                };
                (Lean::Nothing, Some((flow?, stage)))
            }
            _ => (Lean::Nothing, None),
        })
    }

    fn drop_target_names(&mut self, entry: &BoundTarget) {
        if let Some(names) = self.next.target_names.get_mut(entry.target.kind() as usize) {
            texts_of(&entry.target).iter().for_each(|text| names.remove(text.as_str(), entry.key.0));
        }
        if let (TargetDetail::Entitlement(entitlement), Lean::Needs(application)) =
            (&entry.target.detail, entry.lean)
        {
            self.next.entitlements.remove(&(application, entitlement.name.clone()));
        }
    }

    fn drop_references(&mut self, entry: &BoundTarget) {
        for node in nodes(entry.lean, entry.placed) {
            self.next.references.remove(&(node, Node::Target(entry.key)));
        }
    }

    pub(super) fn remove_target(&mut self, kind: TargetKind, name: &ResourceName) -> bool {
        let key = self.next.target_named(kind, &name.id);
        let entry = key.and_then(|key| self.next.target(key)).filter(|entry| entry.target.id.is(&name.id));
        let Some(entry) = entry.cloned() else { return false };
        self.drop_target_names(&entry);
        self.drop_references(&entry);
        self.forget_rows(entry.key, entry.rows());
        self.next.targets.remove(entry.key.0);
        // Bindings that this update removes are no longer in the index. The others have to find another target.
        let key = entry.key.0;
        let left: Vec<Row> = entry
            .rows()
            .iter()
            .filter(|row| self.next.bindings.candidates(&row.id).any(|at| at == key))
            .collect();
        left.iter().for_each(|row| self.next.bindings.remove(&row.id, key));
        self.gone.push(Gone { node: Node::Target(entry.key), name: name.clone(), rows: left });
        self.touched.insert(entry.key);
        true
    }

    pub(super) fn upsert_policies(&mut self, policies: Vec<(usize, Policy)>) {
        let mut keyed = Vec::with_capacity(policies.len());
        for (index, policy) in policies {
            let old = self.next.policy_named(&policy.id.to_string());
            let old = old.filter(|old| old.policy.id == policy.id).cloned();
            if let Some(old) = &old {
                self.drop_policy_names(old);
            }
            keyed.push((index, policy, old));
        }
        for (index, policy, old) in keyed {
            let name = ResourceName { kind: ResourceKind::Policy, id: policy.id.to_string().into() };
            let texts = texts_of_named(&policy.id, &policy.name);
            if let Some(text) = texts.iter().find(|text| self.next.policy_named(text).is_some()) {
                let message =
                    format!("`{text}` is the name or id of another policy already; policy names are unique");
                self.problem(index, &name, "name", message);
                continue;
            }
            let key = old.as_ref().map_or_else(|| self.next.policies.reserve(), |old| old.key);
            texts.iter().for_each(|text| self.next.policy_names.insert(text.as_str(), key));
            if old.as_ref().is_some_and(|old| old.policy.name != policy.name) {
                self.renamed_policies.insert(key);
            }
            if old.is_some_and(|old| old.policy == policy) {
                continue;
            }
            let compiled = match Compiled::new(&policy) {
                Ok(compiled) => Arc::new(compiled),
                Err(error) => {
                    self.problem(index, &name, error.field, error.message);
                    continue;
                }
            };
            self.next.policies.set(key, Arc::new(PolicyEntry { key, policy, compiled }));
            self.touched.extend(self.next.referrers(Node::Policy(key)).filter_map(|node| match node {
                Node::Target(target) => Some(target),
                Node::Policy(_) | Node::Stage(_) | Node::Route(_) => None,
            }));
            self.upserted += 1;
        }
    }

    fn drop_policy_names(&mut self, entry: &PolicyEntry) {
        for text in texts_of_named(&entry.policy.id, &entry.policy.name) {
            self.next.policy_names.remove(text.as_str(), entry.key);
        }
    }

    pub(super) fn remove_policy(&mut self, name: &ResourceName) -> bool {
        let entry = self.next.policy_named(&name.id).filter(|entry| entry.policy.id.is(&name.id));
        let Some(entry) = entry.cloned() else { return false };
        self.drop_policy_names(&entry);
        self.next.policies.remove(entry.key);
        self.gone.push(Gone { node: Node::Policy(entry.key), name: name.clone(), rows: Vec::new() });
        true
    }

    pub(super) fn upsert_stages(&mut self, stages: Vec<(usize, Stage)>) {
        let mut keyed = Vec::with_capacity(stages.len());
        for (index, stage) in stages {
            let old = self.next.stage_named(&stage.id.to_string()).filter(|(_, old)| old.id == stage.id);
            let old = old.map(|(key, old)| (key, Arc::clone(old)));
            if let Some((key, old)) = &old {
                self.drop_stage_names(*key, old);
            }
            keyed.push((index, stage, old));
        }
        for (index, stage, old) in keyed {
            let name = ResourceName { kind: ResourceKind::Stage, id: stage.id.to_string().into() };
            let texts = texts_of_named(&stage.id, &stage.name);
            if let Some(text) = texts.iter().find(|text| self.next.stage_named(text).is_some()) {
                let message =
                    format!("`{text}` is the name or id of another stage already; stage names are unique");
                self.problem(index, &name, "name", message);
                continue;
            }
            let key = old.as_ref().map_or_else(|| self.next.stages.reserve(), |(key, _)| *key);
            texts.iter().for_each(|text| self.next.stage_names.insert(text.as_str(), key));
            if old.as_ref().is_some_and(|(_, old)| old.name != stage.name) {
                self.renamed_stages.insert(key);
            }
            if old.is_none_or(|(_, old)| *old != stage) {
                self.next.stages.set(key, Arc::new(stage));
                self.upserted += 1;
            }
        }
    }

    fn drop_stage_names(&mut self, key: u32, stage: &Stage) {
        for text in texts_of_named(&stage.id, &stage.name) {
            self.next.stage_names.remove(text.as_str(), key);
        }
    }

    pub(super) fn remove_stage(&mut self, name: &ResourceName) -> bool {
        let found = self.next.stage_named(&name.id).filter(|(_, stage)| stage.id.is(&name.id));
        let Some((key, stage)) = found.map(|(key, stage)| (key, Arc::clone(stage))) else { return false };
        self.drop_stage_names(key, &stage);
        self.next.stages.remove(key);
        self.gone.push(Gone { node: Node::Stage(key), name: name.clone(), rows: Vec::new() });
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
