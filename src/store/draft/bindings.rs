//! Changes to policy bindings: rows are gathered for each target and written once.
//!
//! Must not know: how a target is compiled.

use super::Draft;
use crate::decision::{Row, RowSubject, Switches, TargetKey, Unresolved, View};
use crate::model::{BindingSubject, Id, PolicyBinding, ResourceKind, ResourceName};
use crate::store::TargetEntry;
use crate::store::atoms::{group_name, user_name};
use crate::store::content::{is_policy_by_id, is_target_by_id};
use crate::store::snapshot::Node;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// For each target, the rows that are new, changed or (nothing) removed.
#[derive(Default)]
pub(super) struct RowChanges {
    pub(super) rows: HashMap<TargetKey, HashMap<Id, Option<Row>>>,
    /// The bindings of targets with many, so that finding one of them does not go through all each time.
    ids: HashMap<TargetKey, HashSet<Id>>,
}

/// From this many bindings on, those of a target are looked up in a set.
const MANY: usize = 32;

impl RowChanges {
    fn set(&mut self, target: TargetKey, id: Id, row: Option<Row>) {
        self.rows.entry(target).or_default().insert(id, row);
    }

    fn has(&mut self, target: &TargetEntry, id: &Id) -> bool {
        if target.rows.len() < MANY {
            return target.rows.iter().any(|row| row.id == *id);
        }
        let collect = || target.rows.iter().map(|row| row.id.clone()).collect();
        self.ids.entry(target.key).or_insert_with(collect).contains(id)
    }
}

impl Draft<'_> {
    /// The target that a binding was bound to before this update.
    fn bound_to(&self, rows: &mut RowChanges, id: &Id) -> Option<TargetKey> {
        let candidates = self.next.bindings.candidates(id).filter_map(|key| self.next.targets.get(key));
        let mut candidates = candidates.filter(|target| rows.has(target, id)).map(|target| target.key);
        candidates.next()
    }

    pub(super) fn remove_binding(&mut self, rows: &mut RowChanges, id: &Id) {
        if let Some(target) = self.bound_to(rows, id) {
            self.next.bindings.remove(id, target.0);
            rows.set(target, id.clone(), None);
            self.removed += 1;
        }
    }

    pub(super) fn upsert_binding(
        &mut self,
        rows: &mut RowChanges,
        index: Option<usize>,
        binding: PolicyBinding,
    ) {
        // Only for what is wrong: most of a million are not.
        let name = || ResourceName { kind: ResourceKind::PolicyBinding, id: binding.id.to_string().into() };
        let target = self.next.find(&binding.target);
        match &target {
            Ok(_) => {}
            Err(Unresolved::NotFound(missing)) => {
                self.dangling(
                    index,
                    &name(),
                    "target",
                    ResourceKind::Target(missing.kind()),
                    &missing.name(),
                );
            }
            Err(error) => self.problem(index, &name(), "target", format!("{error}; correct one of the two")),
        }
        let mut policy_by_id = false;
        let subject = match &binding.subject {
            BindingSubject::Policy(policy) => match self.next.policy_named(policy) {
                Some(entry) => {
                    policy_by_id = is_policy_by_id(policy, entry);
                    Some(RowSubject::Policy(entry.key))
                }
                None => {
                    self.dangling(index, &name(), "policy", ResourceKind::Policy, policy);
                    None
                }
            },
            // Users and groups may be unknown to the directory.
            BindingSubject::User(user) => Some(RowSubject::User(self.mention(user_name(user)))),
            BindingSubject::Group(group) => Some(RowSubject::Group(self.mention(group_name(group)))),
        };
        let (Ok(target), Some(subject)) = (target, subject) else { return };
        let switches = Switches::new(
            binding.enabled,
            binding.negate,
            binding.failure_result,
            binding.dry_run,
            binding.timeout,
        );
        let target_by_id =
            self.next.target(target).is_some_and(|entry| is_target_by_id(&binding.target, entry));
        let switches = switches.referring(target_by_id, policy_by_id);
        let row = Row::new(binding.id.clone(), subject, binding.order, switches, binding.expires);
        match self.bound_to(rows, &binding.id) {
            Some(before) if before == target => {}
            Some(before) => {
                self.next.bindings.remove(&binding.id, before.0);
                rows.set(before, binding.id.clone(), None);
                self.next.bindings.insert(&binding.id, target.0);
            }
            None => self.next.bindings.insert(&binding.id, target.0),
        }
        rows.set(target, binding.id, Some(row));
    }

    fn mention(&mut self, name: crate::store::atoms::Name<'_>) -> crate::decision::Atom {
        let (atom, new) = self.next.atoms.mention(name);
        self.standings_changed |= new;
        atom
    }

    fn forget(&mut self, subject: RowSubject) {
        if let RowSubject::User(atom) | RowSubject::Group(atom) = subject {
            self.next.atoms.forget(atom);
        }
    }

    /// Looks up anew what refers to something whose names changed, so that what refers to what follows from the names
    /// alone, and not from what was called so before.
    pub(super) fn resolve_anew(&mut self, rows: &mut RowChanges, named: &HashSet<Id>) {
        let base = self.base;
        let mut seen = HashSet::new();
        let renamed: Vec<TargetKey> = self.renamed.iter().copied().collect();
        let policies: Vec<u32> = self.renamed_policies.iter().copied().collect();
        let of_policies = policies.iter().flat_map(|key| base.referrers(Node::Policy(*key)));
        let of_policies = of_policies.filter_map(|node| match node {
            Node::Target(key) => Some(key),
            Node::Policy(_) | Node::Stage(_) => None,
        });
        for key in renamed.iter().copied().chain(of_policies) {
            if !seen.insert(key) {
                continue;
            }
            let Some(entry) = base.target(key) else { continue };
            for row in entry.rows.iter() {
                let by_policy = matches!(row.subject, RowSubject::Policy(policy) if self.renamed_policies.contains(&policy));
                let is_removed = rows.rows.get(&key).is_some_and(|rows| rows.contains_key(&row.id));
                if (by_policy || self.renamed.contains(&key)) && !is_removed && !named.contains(&row.id) {
                    self.account.keep_as_sent(base, &row.id);
                    self.upsert_binding(rows, None, base.binding_of(entry, row));
                }
            }
        }
    }

    /// Writes the gathered rows of each target, in the order of evaluation.
    pub(super) fn rewrite_rows(&mut self, changes: RowChanges) {
        for (key, mut changed) in changes.rows {
            let Some(old) = self.next.target(key).cloned() else {
                // The target is removed together with these bindings.
                continue;
            };
            let mut rows = Vec::with_capacity(old.rows.len() + changed.len());
            let (mut upserted, mut removed) = (0, false);
            for row in old.rows.iter() {
                match changed.remove(&row.id) {
                    None => rows.push(row.clone()),
                    Some(replacement) => {
                        self.forget(row.subject);
                        upserted += usize::from(replacement.as_ref().is_some_and(|new| new != row));
                        removed |= replacement.is_none();
                        rows.extend(replacement);
                    }
                }
            }
            let before = rows.len();
            rows.extend(changed.into_values().flatten());
            upserted += rows.len() - before;
            if upserted == 0 && !removed {
                continue;
            }
            self.upserted += upserted;
            rows.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
            self.refer_to_policies(key, &old.rows, &rows);
            self.next.targets.set(key.0, Arc::new(TargetEntry { rows: rows.into(), ..(*old).clone() }));
            self.touched.insert(key);
        }
    }

    /// Forgets what the rows of a target that is removed mention.
    pub(super) fn forget_rows(&mut self, key: TargetKey, rows: &[Row]) {
        for row in rows {
            self.forget(row.subject);
        }
        self.refer_to_policies(key, rows, &[]);
    }

    fn refer_to_policies(&mut self, key: TargetKey, old: &[Row], new: &[Row]) {
        let policies = |rows: &[Row]| -> HashSet<u32> {
            let policy =
                |row: &Row| if let RowSubject::Policy(policy) = row.subject { Some(policy) } else { None };
            rows.iter().filter_map(policy).collect()
        };
        let (old, new) = (policies(old), policies(new));
        for gone in old.difference(&new) {
            self.next.references.remove(&(Node::Policy(*gone), Node::Target(key)));
        }
        for come in new.difference(&old) {
            self.next.references.insert((Node::Policy(*come), Node::Target(key)));
        }
    }
}
