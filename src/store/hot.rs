//! The hot set: compiled binding sets, filled on first use.
//!
//! Only what is worth it is here: sets with policies, which are looked up once for all questions, and large ones, which are
//! indexed by whom they are about. Each entry is stamped with what it was compiled from, so that a change to one target or
//! policy makes just what depends on it cold. Must not know: how to compile.

use super::PolicyEntry;
use crate::decision::{BindingSet, BoundTarget, TargetKey};
use crate::telemetry::stripes::Count;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the hot set is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotStats {
    /// Binding sets that are kept compiled.
    pub len: usize,
    /// How often a binding set was compiled, ever.
    pub compiled: u64,
    /// How often one was found compiled, ever.
    pub hits: u64,
}

/// A compiled binding set and what it stands on.
#[derive(Debug)]
pub(super) struct HotEntry {
    pub(super) set: Arc<BindingSet>,
    /// The target as it was; the same pointer means the same bindings.
    pub(super) target: Arc<BoundTarget>,
    /// The policies as they were.
    pub(super) policies: Box<[Arc<PolicyEntry>]>,
    /// A revision for which this was found to be valid, so that the next question spares the look.
    checked: AtomicU64,
}

impl HotEntry {
    pub(super) const fn new(
        set: Arc<BindingSet>,
        target: Arc<BoundTarget>,
        policies: Box<[Arc<PolicyEntry>]>,
        serial: u64,
    ) -> Self {
        Self { set, target, policies, checked: AtomicU64::new(serial) }
    }
}

/// Compiled binding sets of the targets that were asked about. A sharded map, since many readers fill it at once; no
/// reader holds a shard while it compiles or evaluates.
#[derive(Debug, Default)]
pub(super) struct Hot {
    entries: DashMap<TargetKey, Arc<HotEntry>, foldhash::fast::RandomState>,
    compiled: AtomicU64,
    hits: Count,
}

impl Hot {
    /// The set of this target for this revision: as kept, if it is still valid, else compiled and kept.
    pub(super) fn get(
        &self,
        key: TargetKey,
        serial: u64,
        still_valid: impl FnOnce(&HotEntry) -> bool,
        compile: impl FnOnce() -> HotEntry,
    ) -> Arc<BindingSet> {
        if let Some(entry) = self.entries.get(&key).map(|entry| Arc::clone(entry.value())) {
            if entry.checked.load(Ordering::Relaxed) == serial {
                self.hits.raise();
                return Arc::clone(&entry.set);
            }
            if still_valid(&entry) {
                entry.checked.store(serial, Ordering::Relaxed);
                self.hits.raise();
                return Arc::clone(&entry.set);
            }
        }
        let entry = compile();
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let set = Arc::clone(&entry.set);
        self.entries.insert(key, Arc::new(entry));
        set
    }

    /// Drops what was compiled for these targets, to free its memory; validity does not depend on it.
    pub(super) fn drop_all(&self, keys: impl Iterator<Item = TargetKey>) {
        for key in keys {
            self.entries.remove(&key);
        }
    }

    pub(super) fn stats(&self) -> HotStats {
        let (len, compiled) = (self.entries.len(), self.compiled.load(Ordering::Relaxed));
        HotStats { len, compiled, hits: self.hits.get() }
    }
}
