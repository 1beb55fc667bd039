//! Keeps the books of a draft: what the next snapshot sums up to, and which resources have to be kept as they were sent.
//!
//! Must not know: how a resource is put into the snapshot.

use super::bindings::{RowChange, Sorted};
use super::{Draft, Replace, Upsert};
use crate::decision::{BoundTarget, Row, TargetKey, View as _};
use crate::model::{Id, ResourceKind, ResourceName, Sum};
use crate::proto::resource::hash;

use crate::store::snapshot::{Node, Snapshot};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};

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
    /// What a change says: `sent` has what the upserts were made from; empty where they are at home here.
    /// `bindings` is what bindings sum up to that follow.
    pub(super) fn take(
        &mut self,
        upserts: &[Upsert],
        sent: Vec<Bytes>,
        replace: &Replace,
        bindings: Option<Sum>,
    ) {
        // Nothing at all was sent as it is, too.
        if sent.len() == upserts.len() {
            let replaced = ResourceKind::ALL.into_iter().filter(|kind| replace.takes(*kind));
            self.counted = replaced.map(|kind| (kind, Sum::default())).collect();
            let counted = self.counted.iter_mut().find(|(kind, _)| *kind == ResourceKind::PolicyBinding);
            if let (Some((_, sum)), Some(bindings)) = (counted, bindings) {
                *sum = bindings;
            }
            for (upsert, sent) in upserts.iter().zip(&sent) {
                self.count(upsert.kind(), sent);
            }
        }
        for upsert in upserts.iter().filter(|upsert| upsert.kind() != ResourceKind::PolicyBinding) {
            self.touched.insert((upsert.kind(), upsert.id().clone()));
        }
        self.sent = upserts.iter().zip(sent).map(|(it, sent)| ((it.kind(), it.id().clone()), sent)).collect();
    }

    /// Counts what was sent, where its kind is replaced as a whole.
    pub(super) fn count(&mut self, kind: ResourceKind, sent: &[u8]) {
        if let Some((_, sum)) = self.counted.iter_mut().find(|(counted, _)| *counted == kind) {
            *sum = sum.plus(hash(sent));
        }
    }

    /// A binding has to be kept as it was sent.
    pub(super) fn is_odd(&mut self, id: &Id, sent: &[u8]) {
        // A copy, since what came is a part of something larger.
        self.sent.insert((ResourceKind::PolicyBinding, id.clone()), Bytes::copy_from_slice(sent));
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
        self.account.differs = true;
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
    pub(super) fn account_rows(&mut self, changes: &Sorted) {
        const KIND: ResourceKind = ResourceKind::PolicyBinding;
        // First what went, since one that moved to another target is among both.
        for (key, group) in changes.groups() {
            let Some(entry) = self.base.target(key) else { continue };
            let removed = group.iter().filter(|(_, change)| matches!(change, RowChange::Removed(_)));
            for row in rows_of(entry, removed.map(|(_, change)| change.id())).into_iter().flatten() {
                let old = self.base.held_row(entry, &row);
                self.enter(KIND, &row.id, Some(&old), None);
                self.next.odd.remove(&(KIND, row.id.clone()));
            }
        }
        let counted = self.account.counted.iter().any(|(kind, _)| *kind == KIND);
        for (key, group) in changes.groups() {
            let Some(entry) = self.next.target(key).cloned() else { continue };
            let base = self.base.target(key);
            let puts = || group.iter().filter_map(|(_, change)| change.row());
            let before = base.map(|base| rows_of(base, puts().map(|row| &row.id))).unwrap_or_default();
            for (row, before) in puts().zip(before.into_iter().chain(std::iter::repeat(None))) {
                let is_odd = self.is_odd(&row.id);
                if !is_odd && before.as_ref() == Some(row) && !self.is_called_differently(key) {
                    continue;
                }
                if !is_odd && before.is_none() && counted && !self.account.recorded {
                    // New, plain, and summed up already.
                    self.account.differs = true;
                    continue;
                }
                let old = base.zip(before).map(|(base, old)| self.base.held_row(base, &old));
                let plain = self.next.plain_row(&entry, row);
                let new = self.keep(KIND, &row.id, plain);
                self.enter(KIND, &row.id, old.as_deref(), Some(&new));
            }
        }
    }

    /// Enters the bindings of targets that are gone: they have to be bound to another one now, or the change is refused.
    pub(super) fn account_homeless(&mut self) {
        const KIND: ResourceKind = ResourceKind::PolicyBinding;
        let homeless: Vec<_> =
            self.gone
                .iter()
                .filter_map(|gone| {
                    if let Node::Target(key) = gone.node { Some((key, gone.rows.clone())) } else { None }
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
    }

    /// Whether a binding is, or was, kept as it was sent.
    fn is_odd(&self, id: &Id) -> bool {
        if self.account.sent.is_empty() && self.base.odd.is_empty() {
            return false;
        }
        let name = (ResourceKind::PolicyBinding, id.clone());
        self.account.sent.contains_key(&name) || self.base.odd.contains_key(&name)
    }

    /// Whether what the bindings of a target refer to may have another name than before.
    fn is_called_differently(&self, key: TargetKey) -> bool {
        self.renamed.contains(&key) || !self.renamed_policies.is_empty()
    }
}

/// The rows of a target that have these ids, in their order.
fn rows_of<'a>(entry: &BoundTarget, ids: impl Iterator<Item = &'a Id> + Clone) -> Vec<Option<Row>> {
    // Many of many are looked up, a few are looked for.
    if entry.rows().len() * ids.clone().count() < 1_024 {
        return ids.map(|id| entry.rows().find(id)).collect();
    }
    let rows: HashMap<Id, Row> = entry.rows().iter().map(|row| (row.id.clone(), row)).collect();
    ids.map(|id| rows.get(id).cloned()).collect()
}
