//! The core: what a question's answer is, given one revision of the configuration. Pure and synchronous.
//!
//! Must not know: protobuf, gRPC, async, clocks (time is an argument), where the configuration is kept.

mod engine;
pub mod flow;
mod lean;
mod member;
mod memberships;
mod rows;
mod set;
mod summary;

pub use engine::{Answered, SetResult, Waiting};
pub use lean::{Outcome, Unresolved, decide, decide_watched};
pub use member::{Atom, Held, Member, Standing};
pub use rows::{Row, RowSubject, Rows, Switches};
pub use set::{BindingSet, Bound, BoundSubject, BoundTarget, Lean, TargetKey};
pub use summary::summarize;

use crate::model::{Group, TargetRef};
use crate::policy::{HeldGroup, World};
use std::sync::Arc;

/// What a decision reads of the configuration: one revision, which does not change meanwhile.
pub trait View: World {
    /// The target of this name.
    ///
    /// # Errors
    /// When there is none, or the name contradicts itself.
    fn find(&self, target: &TargetRef) -> Result<TargetKey, Unresolved>;

    /// A target with its bindings; nothing for a key of another revision.
    fn target(&self, key: TargetKey) -> Option<&Arc<BoundTarget>>;

    /// What is compiled of the bindings of a target of this revision that is not plain.
    fn binding_set(&self, target: &Arc<BoundTarget>) -> Arc<BindingSet>;

    /// The result of a target without an enabled binding that does not say itself.
    fn default_empty_result(&self) -> bool;

    /// All groups of somebody, and whether they are direct.
    fn groups_of(&self, member: &Member<'_>) -> Vec<(Arc<Group>, bool)>;

    /// Whether one of these groups, or of the direct ones only, is such a one.
    fn any_group_of(
        &self,
        member: &Member<'_>,
        direct: bool,
        is: &mut dyn FnMut(HeldGroup<'_>) -> bool,
    ) -> bool;

    /// A row's subject side as people read it.
    fn subject_text(&self, subject: RowSubject) -> String;
}

/// Measures how long a binding took, for explanations: nanoseconds since some fixed moment.
pub type Ticks<'a> = &'a dyn Fn() -> u64;
