//! Binding sets: the rows of a target, and what is compiled of them for evaluation.
//!
//! Must not know: how and where they are kept.

use super::Atom;
use crate::model::{FlowAuthentication, Id, Mode, TargetKind, Timestamp};
use crate::policy::Compiled;
use std::sync::Arc;
use std::time::Duration;

/// Names a target within a store. Never used again for another target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey(pub u32);

/// One policy binding as it is kept: 64 bytes, names interned.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The binding's id.
    pub id: Id,
    /// Its subject side.
    pub subject: RowSubject,
    /// From then on it counts as disabled.
    pub expires: Option<Timestamp>,
    /// Position, ascending; ties are ordered by id.
    pub order: i32,
    /// Bound of one policy execution, in milliseconds.
    pub timeout_ms: u32,
    /// The switches.
    pub flags: RowFlags,
}

impl Row {
    /// Bound of one policy execution.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.timeout_ms))
    }
}

/// The switches of a binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowFlags(u8);

impl RowFlags {
    const ENABLED: u8 = 1;
    const NEGATE: u8 = 2;
    const FAILURE_RESULT: u8 = 4;
    const DRY_RUN: u8 = 8;

    /// The switches of a binding with these settings.
    pub const fn new(enabled: bool, negate: bool, failure_result: bool, dry_run: bool) -> Self {
        let mut bits = 0;
        if enabled {
            bits |= Self::ENABLED;
        }
        if negate {
            bits |= Self::NEGATE;
        }
        if failure_result {
            bits |= Self::FAILURE_RESULT;
        }
        if dry_run {
            bits |= Self::DRY_RUN;
        }
        Self(bits)
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
        assert!(size_of::<Row>() <= 64, "{}", size_of::<Row>());
        assert!(size_of::<Bound>() <= 32, "{}", size_of::<Bound>());
    }

    #[test]
    fn flags_keep_each_switch() {
        for bits in 0..16_u8 {
            let on = |bit: u8| bits & bit != 0;
            let flags = RowFlags::new(on(1), on(2), on(4), on(8));
            assert_eq!((flags.enabled(), flags.negate()), (on(1), on(2)));
            assert_eq!((flags.failure_result(), flags.dry_run()), (on(4), on(8)));
        }
    }
}
