//! Binding sets: the rows of a target, and what is compiled of them for evaluation.
//!
//! Must not know: how and where they are kept.

use super::Atom;
use crate::model::{FlowAuthentication, Id, Mode, TargetKind, Timestamp};
use crate::policy::Compiled;
use std::sync::Arc;
use std::time::Duration;

/// Names a target within one revision. A later revision may use it for another target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey(pub u32);

/// One policy binding as it is kept: 48 bytes, names interned.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The binding's id.
    pub id: Id,
    /// Its subject side.
    pub subject: RowSubject,
    /// Position, ascending; ties are ordered by id.
    pub order: i32,
    /// Its switches and timeout.
    pub switches: Switches,
    /// [`Timestamp::MAX`] when it never expires, which spares the room for saying so.
    expires: Timestamp,
}

impl Row {
    /// A row; `expires` absent: never.
    pub fn new(
        id: Id,
        subject: RowSubject,
        order: i32,
        switches: Switches,
        expires: Option<Timestamp>,
    ) -> Self {
        Self { id, subject, order, switches, expires: expires.unwrap_or(Timestamp::MAX) }
    }

    /// From then on it counts as disabled; absent: never.
    pub fn expires(&self) -> Option<Timestamp> {
        (self.expires != Timestamp::MAX).then_some(self.expires)
    }
}

/// The switches of a binding, and its timeout in milliseconds, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches(u32);

impl Switches {
    const ENABLED: u32 = 1;
    const NEGATE: u32 = 2;
    const FAILURE_RESULT: u32 = 4;
    const DRY_RUN: u32 = 8;
    const TARGET_BY_ID: u32 = 16;
    const POLICY_BY_ID: u32 = 32;
    /// Where the timeout begins.
    const SHIFT: u32 = 6;

    /// The settings of a binding. A timeout beyond 18 hours counts as these.
    pub fn new(enabled: bool, negate: bool, failure_result: bool, dry_run: bool, timeout: Duration) -> Self {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        let milliseconds =
            u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).min(u32::MAX >> Self::SHIFT);
        Self(
            bit(enabled, Self::ENABLED)
                | bit(negate, Self::NEGATE)
                | bit(failure_result, Self::FAILURE_RESULT)
                | bit(dry_run, Self::DRY_RUN)
                | (milliseconds << Self::SHIFT),
        )
    }

    /// Exists for a decision.
    pub const fn enabled(self) -> bool {
        self.0 & Self::ENABLED != 0
    }

    /// Flips pass and fail.
    pub const fn negate(self) -> bool {
        self.0 & Self::NEGATE != 0
    }

    /// The result when the policy errors.
    pub const fn failure_result(self) -> bool {
        self.0 & Self::FAILURE_RESULT != 0
    }

    /// Reported, never counted.
    pub const fn dry_run(self) -> bool {
        self.0 & Self::DRY_RUN != 0
    }

    /// As before, with how the binding names its target and its policy: by the id, where there is a name as well. It
    /// means nothing for a decision, only for what the binding is when it is handed on.
    #[must_use]
    pub const fn referring(self, target_by_id: bool, policy_by_id: bool) -> Self {
        let target = if target_by_id { Self::TARGET_BY_ID } else { 0 };
        let policy = if policy_by_id { Self::POLICY_BY_ID } else { 0 };
        Self(self.0 | target | policy)
    }

    /// Names its target by the id.
    pub const fn target_by_id(self) -> bool {
        self.0 & Self::TARGET_BY_ID != 0
    }

    /// Names its policy by the id.
    pub const fn policy_by_id(self) -> bool {
        self.0 & Self::POLICY_BY_ID != 0
    }

    /// Bounds one execution of the policy.
    pub const fn timeout(self) -> Duration {
        Duration::from_millis((self.0 >> Self::SHIFT) as u64)
    }
}

/// The subject side of a row. Users and groups are atoms: an id or a name that some binding or group mentions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSubject {
    /// A policy, by its key within the store.
    Policy(u32),
    /// A user.
    User(Atom),
    /// A group.
    Group(Atom),
}

/// A target's bindings, compiled: what is needed to evaluate, in order, and what is needed to explain.
#[derive(Debug)]
pub struct BindingSet {
    /// The target.
    pub key: TargetKey,
    /// Its kind.
    pub kind: TargetKind,
    /// Its id.
    pub id: Id,
    /// What people call it.
    pub name: Box<str>,
    /// How the results combine; always any for a notification rule.
    pub mode: Mode,
    /// The result without an enabled binding.
    pub empty_result: bool,
    /// What the target leans on.
    pub lean: Lean,
    /// Whether all enabled bindings are pure membership checks.
    pub is_static: bool,
    /// The enabled bindings, in order. Some may have expired.
    pub active: Box<[Bound]>,
    /// All bindings, in order.
    pub rows: Arc<[Row]>,
}

/// What a target leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lean {
    /// Nothing.
    Nothing,
    /// This target must pass first: the application of an entitlement or RAC endpoint.
    Needs(TargetKey),
    /// This target passes for it, if it can: the access group of a device.
    Behind(TargetKey),
    /// Who may enter a flow at all.
    Authentication(FlowAuthentication),
}

/// An enabled binding, ready to be evaluated.
#[derive(Debug)]
pub struct Bound {
    /// What is checked.
    pub subject: BoundSubject,
    /// Index of its row.
    pub row: u32,
    /// Flips pass and fail.
    pub negate: bool,
    /// Reported, never counted.
    pub dry_run: bool,
    /// Whether the row has an expiry, to spare a look at it.
    pub expires: bool,
}

/// The subject side of an enabled binding.
#[derive(Debug)]
pub enum BoundSubject {
    /// Whether the subject is this user.
    User(Atom),
    /// Whether the subject is in this group.
    Group(Atom),
    /// What this policy says.
    Policy(Arc<Compiled>),
    /// A policy that is not there: always an error, with this text.
    Missing(Box<str>),
}

impl BoundSubject {
    /// Whether it may change the context for the bindings after it.
    pub fn changes_context(&self) -> bool {
        matches!(self, Self::Policy(policy) if policy.changes_context())
    }

    /// What it is, from a closed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Policy(policy) => policy.kind(),
            Self::Missing(_) => "missing",
        }
    }

    /// Whether it is a pure membership check.
    pub const fn is_static(&self) -> bool {
        matches!(self, Self::User(_) | Self::Group(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_bound_bindings_stay_small() {
        assert!(size_of::<Row>() <= 48, "{}", size_of::<Row>());
        assert!(size_of::<Bound>() <= 32, "{}", size_of::<Bound>());
    }

    #[test]
    fn switches_keep_each_setting() {
        for bits in 0..16_u8 {
            let on = |bit: u8| bits & bit != 0;
            let timeout = Duration::from_millis(u64::from(bits) * 90_000);
            let flags = Switches::new(on(1), on(2), on(4), on(8), timeout);
            assert_eq!(flags.timeout(), timeout);
            assert_eq!((flags.enabled(), flags.negate()), (on(1), on(2)));
            assert_eq!((flags.failure_result(), flags.dry_run()), (on(4), on(8)));
        }
    }
}
