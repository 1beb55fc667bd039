//! Keeps the books of a draft: what the next snapshot sums up to, and which resources have to be kept as they were sent.
//!
//! Must not know: how a resource is put into the snapshot.

use super::bindings::RowChanges;
use super::{Draft, Replace, Upsert};
use crate::decision::{Row, TargetKey};
use crate::model::{Digest, Id, ResourceKind, ResourceName, Sum};
use crate::proto::resource::hash;
use crate::store::snapshot::{Node, Snapshot};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a change came down to: the resources that are held differently now, as they were sent, and those that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Serialized resources that are new or different.
    pub came: Vec<(ResourceName, Bytes)>,
    /// Resources that are gone.
    pub went: Vec<ResourceName>,
}

/// What a change is about.
#[derive(Default)]
pub(super) struct Account {
    /// What was sent, by resource.
    sent: HashMap<(ResourceKind, Id), Bytes>,
    /// All that is not a binding and may have changed.
    touched: HashSet<(ResourceKind, Id)>,
    came: HashMap<(ResourceKind, Id), Bytes>,
    went: HashSet<(ResourceKind, Id)>,
    /// What the kinds sum up to that are replaced as a whole: counted from what was sent, so that not even damaged
    /// memory outlives it.
    counted: Vec<(ResourceKind, Sum)>,
    /// Whether anything is held differently, be it only that a resource was damaged.
    pub(super) differs: bool,
    /// Whether what came and went is wanted.
    pub(super) recorded: bool,
}

impl Account {
    pub(super) fn take(&mut self, upserts: &[Upsert], sent: Vec<Bytes>, replace: &Replace) {
        // Nothing at all was sent as it is, too.
        if !sent.is_empty() || upserts.is_empty() {
            let mut sums = Digest::default();
            for (upsert, sent) in upserts.iter().zip(&sent).filter(|(upsert, _)| replace.takes(upsert.kind()))
            {
                sums.set(upsert.kind(), sums.of(upsert.kind()).plus(hash(sent)));
            }
            let replaced = ResourceKind::ALL.into_iter().filter(|kind| replace.takes(*kind));
            self.counted = replaced.map(|kind| (kind, sums.of(kind))).collect();
        }
        for upsert in upserts.iter().filter(|upsert| upsert.kind() != ResourceKind::PolicyBinding) {
            self.touched.insert((upsert.kind(), upsert.id().clone()));
        }
        self.sent = upserts.iter().zip(sent).map(|(it, sent)| ((it.kind(), it.id().clone()), sent)).collect();
    }

    /// What came and went.
    pub(super) fn difference(&mut self) -> Difference {
        let name = |(kind, id): &(ResourceKind, Id)| ResourceName { kind: *kind, id: id.to_string().into() };
        Difference {
            came: self.came.drain().map(|(key, bytes)| (name(&key), bytes)).collect(),
            went: self.went.drain().map(|key| name(&key)).collect(),
        }
    }

    /// A binding that is looked up anew stays as it was sent.
    pub(super) fn keep_as_sent(&mut self, base: &Snapshot, id: &Id) {
        let key = (ResourceKind::PolicyBinding, id.clone());
        if let Some(odd) = base.odd.get(&key) {
            self.sent.insert(key, Bytes::copy_from_slice(odd));
        }
    }

    pub(super) fn touch(&mut self, kind: ResourceKind, id: &Id) {
        self.touched.insert((kind, id.clone()));
    }
}

impl Draft<'_> {
    /// Enters what went and what came.
    fn enter(&mut self, kind: ResourceKind, id: &Id, old: Option<&[u8]>, new: Option<&[u8]>) {
        if old == new {
            return;
        }
        // Bindings go and come again; whether one differs is known where both are.
        self.account.differs |= kind != ResourceKind::PolicyBinding;
        if self.account.recorded {
            let key = (kind, id.clone());
            match new {
                Some(new) => {
                    self.account.went.remove(&key);
                    self.account.came.insert(key, Bytes::copy_from_slice(new));
                }
                None => {
                    self.account.went.insert(key);
                }
            }
        }
        if self.account.counted.iter().any(|(counted, _)| *counted == kind) {
            return;
        }
        let mut sum = self.next.digest.of(kind);
        if let Some(old) = old {
            sum = sum.minus(hash(old));
        }
        if let Some(new) = new {
            sum = sum.plus(hash(new));
        }
        self.next.digest.set(kind, sum);
    }

    /// Keeps a resource as it was sent, if its plain form is another one. Gives what is held from now on.
    fn keep(&mut self, kind: ResourceKind, id: &Id, plain: Vec<u8>) -> Vec<u8> {
        let key = (kind, id.clone());
        match self.account.sent.remove(&key) {
            Some(sent) if *sent != *plain => {
                self.next.odd.insert(key, (*sent).into());
                sent.to_vec()
            }
            _ => {
                self.next.odd.remove(&key);
                plain
            }
        }
    }

    /// Enters everything but bindings, once it is all in place.
    pub(super) fn account_others(&mut self) {
        for (kind, id) in std::mem::take(&mut self.account.touched) {
            let old = self.base.resource(kind, &id);
            let new = match self.next.plain(kind, &id) {
                Some(plain) => Some(self.keep(kind, &id, plain)),
                None => {
                    self.next.odd.remove(&(kind, id.clone()));
                    None
                }
            };
            self.enter(kind, &id, old.as_deref(), new.as_deref());
        }
        for (kind, sum) in std::mem::take(&mut self.account.counted) {
            self.next.digest.set(kind, sum);
        }
    }

    /// Enters bindings, before their rows are written.
    pub(super) fn account_rows(&mut self, changes: &RowChanges) {
        const KIND: ResourceKind = ResourceKind::PolicyBinding;
        // First what went, since one that moved to another target is among both.
        for (key, changed) in &changes.rows {
            let Some(entry) = self.base.target(*key) else { continue };
            for row in entry.rows.iter().filter(|row| changed.contains_key(&row.id)) {
                if !self.is_same(*key, row, changed) {
                    let old = self.base.held_row(entry, row);
                    self.enter(KIND, &row.id, Some(&old), None);
                    self.next.odd.remove(&(KIND, row.id.clone()));
                }
            }
        }
        // Those of a target that is gone have to be bound to another one now, or the change is refused.
        let homeless: Vec<_> = self
            .gone
            .iter()
            .filter_map(|gone| {
                if let Node::Target(key) = gone.node { Some((key, Arc::clone(&gone.rows))) } else { None }
            })
            .collect();
        for (key, rows) in homeless {
            let Some(entry) = self.base.target(key) else { continue };
            for row in rows.iter() {
                let old = self.base.held_row(entry, row);
                self.enter(KIND, &row.id, Some(&old), None);
                self.next.odd.remove(&(KIND, row.id.clone()));
            }
        }
        for (key, changed) in &changes.rows {
            let Some(entry) = self.next.target(*key).cloned() else { continue };
            let old: HashMap<&Id, &Row> = match self.base.target(*key) {
                Some(base) => base.rows.iter().map(|row| (&row.id, row)).collect(),
                None => HashMap::new(),
            };
            for row in changed.values().flatten() {
                if old.get(&row.id).is_some_and(|old| self.is_same(*key, old, changed)) {
                    continue;
                }
                let plain = self.next.plain_row(&entry, row);
                let new = self.keep(KIND, &row.id, plain);
                self.enter(KIND, &row.id, None, Some(&new));
                let was = old.get(&row.id).zip(self.base.target(*key));
                if was.is_some_and(|(old, entry)| self.base.held_row(entry, old) == new) {
                    self.account.came.remove(&(KIND, row.id.clone()));
                } else {
                    self.account.differs = true;
                }
            }
        }
    }

    /// Whether a binding is surely held as before, so that it need not be looked at.
    fn is_same(&self, key: TargetKey, old: &Row, changed: &HashMap<Id, Option<Row>>) -> bool {
        let name = (ResourceKind::PolicyBinding, old.id.clone());
        changed.get(&old.id).is_some_and(|new| new.as_ref() == Some(old))
            && !self.renamed.contains(&key)
            && self.renamed_policies.is_empty()
            && !self.account.sent.contains_key(&name)
            && !self.base.odd.contains_key(&name)
    }
}
