//! Which targets are open to everyone: nothing that is bound to them is enabled, and their empty result is pass.
//!
//! Must not know: who asks, or what happens to others that lean on such a target.

use super::snapshot::Snapshot;
use crate::decision::View as _;
use crate::model::{Id, ResourceKind, ResourceName};

impl Snapshot {
    /// The target that a binding is bound to.
    pub fn bound_to(&self, binding: &Id) -> Option<ResourceName> {
        let (entry, _) = self.row(binding)?;
        let kind = ResourceKind::Target(entry.target.kind());
        Some(ResourceName { kind, id: entry.target.id.to_string().into() })
    }

    /// Whether a target lets everyone pass, since nothing is bound to it that is enabled. Nothing: there is no such target.
    pub fn is_open(&self, target: &ResourceName) -> Option<bool> {
        let ResourceKind::Target(kind) = target.kind else { return None };
        let entry = self.target(self.target_named(kind, &target.id)?)?;
        let passes = entry.target.empty_result.unwrap_or(self.settings.default_empty_result);
        Some(passes && !entry.rows().iter().any(|row| row.switches.enabled()))
    }

    /// What people call a target, beside its id.
    pub fn called(&self, target: &ResourceName) -> Option<String> {
        let ResourceKind::Target(kind) = target.kind else { return None };
        let entry = self.target(self.target_named(kind, &target.id)?)?;
        entry.target.key.as_ref().map(ToString::to_string)
    }
}
