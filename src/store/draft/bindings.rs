//! Changes to policy bindings: rows are gathered for each target and written once.
//!
//! Must not know: how a target is compiled.

use super::Draft;
use crate::decision::{BoundTarget, Row, RowSubject, Rows, Switches, TargetKey, Unresolved, View};
use crate::model::{BindingSubject, Id, PolicyBinding, ResourceKind, ResourceName, TargetRef};
use crate::store::atoms::{group_name, user_name};
use crate::store::content::{is_policy_by_id, is_target_by_id};
use crate::store::index::NameIndex;
use crate::store::snapshot::Node;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Changes to the rows of targets, as they come.
#[derive(Default)]
pub(super) struct RowChanges {
    /// Each binding at most once for a target.
    log: Vec<(TargetKey, RowChange)>,
    /// What has to be added to the index of bindings, which is far faster in order.
    index: Vec<(u32, u32)>,
    /// What the last binding was bound to.
    last: Option<(TargetRef, TargetKey)>,
    /// The bindings of targets with many, so that finding one of them does not go through all each time.
    ids: HashMap<TargetKey, HashSet<Id>>,
}

/// What becomes of a row.
pub(super) enum RowChange {
    /// It goes.
    Removed(Id),
    /// It is new, or may be another one.
    Put(Row),
}

impl RowChange {
    pub(super) const fn id(&self) -> &Id {
        match self {
            Self::Removed(id) | Self::Put(Row { id, .. }) => id,
        }
    }

    pub(super) const fn row(&self) -> Option<&Row> {
        match self {
            Self::Removed(_) => None,
            Self::Put(row) => Some(row),
        }
    }
}

/// All changes to rows, by target and id.
pub(super) struct Sorted(Vec<(TargetKey, RowChange)>);

impl Sorted {
    /// The changes of each target.
    pub(super) fn groups(&self) -> impl Iterator<Item = (TargetKey, &[(TargetKey, RowChange)])> {
        let groups = self.0.chunk_by(|(a, _), (b, _)| a == b);
        groups.filter_map(|group| Some((group.first()?.0, group)))
    }
}

/// So many changes are gathered before they are written: a million at once would take more room than what they lead to. Few
/// in debug builds, so that tests write more than once.
const FULL: usize = if cfg!(debug_assertions) { 8 } else { 100_000 };
/// From this many bindings on, those of a target are looked up in a set.
const MANY: usize = 32;

impl RowChanges {
    /// Whether there are so many changes that they had better be written.
    pub(super) fn is_full(&self) -> bool {
        self.log.len() >= FULL
    }

    fn remove(&mut self, target: TargetKey, id: Id) {
        self.log.push((target, RowChange::Removed(id)));
    }

    /// All changes so far, in order; the index of bindings is complete then.
    pub(super) fn sorted(&mut self, bindings: &mut NameIndex) -> Sorted {
        bindings.insert_all(std::mem::take(&mut self.index));
        let mut log = std::mem::take(&mut self.log);
        log.sort_by(|(a, one), (b, other)| (a, one.id()).cmp(&(b, other.id())));
        Sorted(log)
    }

    fn has(&mut self, target: &BoundTarget, id: &Id) -> bool {
        if target.rows().len() < MANY {
            return target.rows().has(id);
        }
        let collect = || target.rows().iter().map(|row| row.id).collect();
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
            rows.remove(target, id.clone());
            self.removed += 1;
        }
    }

    pub(super) fn upsert_binding(
        &mut self,
        rows: &mut RowChanges,
        index: Option<usize>,
        binding: PolicyBinding,
        sent: Option<&[u8]>,
    ) {
        // Only for what is wrong: most of a million are not.
        let name = || ResourceName { kind: ResourceKind::PolicyBinding, id: binding.id.to_string().into() };
        // Those of a target mostly come one after the other.
        let target = match &rows.last {
            Some((last, key)) if *last == binding.target => Ok(*key),
            _ => self.next.find(&binding.target),
        };
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
        if rows.last.as_ref().is_none_or(|(_, key)| *key != target) {
            rows.last = Some((binding.target.clone(), target));
        }
        let Some(entry) = self.next.target(target) else { return };
        let switches = switches.referring(is_target_by_id(&binding.target, entry), policy_by_id);
        let row = Row { id: binding.id, subject, order: binding.order, switches, expires: binding.expires };
        if let Some(sent) = sent.filter(|sent| self.next.plain_row(entry, &row) != **sent) {
            self.account.is_odd(&row.id, sent);
        }
        let before = self.bound_to(rows, &row.id);
        if before != Some(target) {
            if let Some(before) = before {
                self.next.bindings.remove(&row.id, before.0);
                rows.remove(before, row.id.clone());
            }
            rows.index.push((self.next.bindings.hash(&row.id), target.0));
        }
        rows.log.push((target, RowChange::Put(row)));
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
    pub(super) fn resolve_anew(&mut self, rows: &mut RowChanges) {
        if self.renamed.is_empty() && self.renamed_policies.is_empty() {
            return;
        }
        let base = self.base;
        // What the change names itself, it has looked up already.
        let changed: HashSet<Id> = rows.log.iter().map(|(_, change)| change.id().clone()).collect();
        let mut seen = HashSet::new();
        let renamed: Vec<TargetKey> = self.renamed.iter().copied().collect();
        let policies: Vec<u32> = self.renamed_policies.iter().copied().collect();
        let of_policies = policies.iter().flat_map(|key| base.referrers(Node::Policy(*key)));
        let of_policies = of_policies.filter_map(|node| match node {
            Node::Target(key) => Some(key),
            Node::Policy(_) | Node::Stage(_) | Node::Route(_) => None,
        });
        for key in renamed.iter().copied().chain(of_policies) {
            if !seen.insert(key) {
                continue;
            }
            let Some(entry) = base.target(key) else { continue };
            for row in entry.rows().iter() {
                let by_policy = matches!(row.subject, RowSubject::Policy(policy) if self.renamed_policies.contains(&policy));
                if (by_policy || self.renamed.contains(&key)) && !changed.contains(&row.id) {
                    self.account.keep_as_sent(base, &row.id);
                    self.upsert_binding(rows, None, base.binding_of(entry, &row), None);
                }
            }
        }
    }

    /// Writes the gathered rows of each target, in the order of evaluation.
    pub(super) fn rewrite_rows(&mut self, changes: Sorted) {
        let mut changes = changes.0.into_iter().peekable();
        let mut changed: Vec<Option<RowChange>> = Vec::new();
        while let Some((key, first)) = changes.next() {
            changed.clear();
            changed.push(Some(first));
            while let Some((_, next)) = changes.next_if(|(other, _)| *other == key) {
                changed.push(Some(next));
            }
            // Where it is gone, the target is removed together with these bindings.
            let Some(old) = self.next.target(key).map(|entry| entry.rows().clone()) else { continue };
            let mut rows = Vec::with_capacity(old.len() + changed.len());
            let (mut upserted, mut removed) = (0, false);
            // In the order of ids, since emptied places keep no id, positions are found first.
            let ids: Vec<Id> = changed.iter().flatten().map(|change| change.id().clone()).collect();
            for row in old.iter() {
                let place = ids.binary_search(&row.id).ok().and_then(|place| changed.get_mut(place));
                match place.and_then(Option::take) {
                    None => rows.push(row),
                    Some(RowChange::Put(new)) => {
                        self.forget(row.subject);
                        upserted += usize::from(new != row);
                        rows.push(new);
                    }
                    Some(RowChange::Removed(_)) => {
                        self.forget(row.subject);
                        removed = true;
                    }
                }
            }
            let before = rows.len();
            rows.extend(changed.drain(..).flatten().filter_map(|change| match change {
                RowChange::Put(row) => Some(row),
                RowChange::Removed(_) => None,
            }));
            upserted += rows.len() - before;
            if upserted == 0 && !removed {
                continue;
            }
            self.upserted += upserted;
            rows.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
            self.refer_to_policies(key, old.iter(), rows.iter().cloned());
            if let Some(entry) = self.next.targets.get_mut(key.0) {
                Arc::make_mut(entry).set_rows(Rows::new(rows));
            }
            self.touched.insert(key);
        }
    }

    /// Forgets what the rows of a target that is removed mention.
    pub(super) fn forget_rows(&mut self, key: TargetKey, rows: &Rows) {
        rows.iter().for_each(|row| self.forget(row.subject));
        self.refer_to_policies(key, rows.iter(), std::iter::empty());
    }

    fn refer_to_policies(
        &mut self,
        key: TargetKey,
        old: impl Iterator<Item = Row>,
        new: impl Iterator<Item = Row>,
    ) {
        let policy =
            |row: Row| if let RowSubject::Policy(policy) = row.subject { Some(policy) } else { None };
        let old: HashSet<u32> = old.filter_map(policy).collect();
        let new: HashSet<u32> = new.filter_map(policy).collect();
        for gone in old.difference(&new) {
            self.next.references.remove(&(Node::Policy(*gone), Node::Target(key)));
        }
        for come in new.difference(&old) {
            self.next.references.insert((Node::Policy(*come), Node::Target(key)));
        }
    }
}
