//! Targets and users in the order of their names, for whoever goes through all of them.
//!
//! Must not know: what they are looked for.

use super::snapshot::Snapshot;
use crate::decision::{TargetKey, View as _};
use crate::model::{TargetDetail, TargetKind, TargetRef, User};
use std::sync::Arc;

impl Snapshot {
    /// Which snapshot of its store it is. What was learned of one with the same number holds of this one.
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// What a target is called in questions: by its unique name where that leads to it, else by its id.
    pub fn name_of(&self, key: TargetKey) -> Option<TargetRef> {
        let target = &self.target(key)?.target;
        let kind = target.kind();
        let name = match &target.detail {
            TargetDetail::Entitlement(detail) => Some(format!("{}/{}", detail.application, detail.name)),
            _ => target.key.as_deref().map(str::to_owned),
        };
        let named = name.map(|name| TargetRef::of(kind, &name));
        let leads_here = |named: &TargetRef| self.find(named) == Ok(key);
        Some(named.filter(leads_here).unwrap_or_else(|| TargetRef::Named(kind, target.id.to_string())))
    }

    /// Every target of a kind, in the order of its name in questions.
    pub fn targets_by_name(&self, kind: TargetKind) -> Vec<TargetKey> {
        let targets = self.targets.values().filter(|entry| entry.target.kind() == kind);
        let mut keys: Vec<TargetKey> = targets.map(|entry| entry.key).collect();
        keys.sort_by_cached_key(|key| self.name_of(*key).map(|name| name.name().into_owned()));
        keys
    }

    /// Every user, in the order of the username.
    pub fn users_by_name(&self) -> Vec<Arc<User>> {
        let mut users: Vec<Arc<User>> = self.users().cloned().collect();
        users.sort_unstable_by(|a, b| a.username.cmp(&b.username));
        users
    }
}
