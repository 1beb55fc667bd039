//! Answers and their explanations.

use super::{FlowAuthentication, Id, Mode, TargetKind, Timestamp, Value};

/// The outcome of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The subject may not reach the target.
    Deny,
    /// The subject may.
    Allow,
}

impl Decision {
    /// Pass is allow.
    pub const fn from_pass(passing: bool) -> Self {
        if passing { Self::Allow } else { Self::Deny }
    }

    /// Whether it is allow.
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The outcome.
    pub decision: Decision,
    /// Messages of the policies.
    pub messages: Vec<Box<str>>,
    /// The earliest moment at which it could change without a change of the configuration.
    pub valid_until: Option<Timestamp>,
    /// Why, where the question asked for it.
    pub report: Option<Box<TargetReport>>,
    /// Whether the directory knew the subject.
    pub subject_known: bool,
    /// The context's free values as the target's policies left them; absent when they changed nothing.
    pub changed_context: Option<Value>,
    /// The binding that decided alone: the first that passes where one is enough, the first that fails where all must pass,
    /// or the only one there is. Absent: none did.
    pub deciding: Option<Deciding>,
    /// The kinds of policies that errored, each as often as it did.
    pub policy_errors: Vec<&'static str>,
}

/// Names a binding within one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deciding {
    /// The key of its target.
    pub target: u32,
    /// Its place among the target's bindings.
    pub row: u32,
}

/// Why a target passed or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The results of its bindings.
    Bindings,
    /// No enabled binding: its empty result.
    NoBindings,
    /// A target it leans on failed.
    ParentFailed,
    /// The device's access group passed.
    AccessGroupPassed,
    /// The device's access group failed, and the device has no binding of its own.
    AccessGroupFailed,
    /// The flow's authentication requirement is not met.
    Authentication(FlowAuthentication),
}

/// What became of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetReport {
    /// Its kind.
    pub kind: TargetKind,
    /// Its id.
    pub id: Id,
    /// What people call it.
    pub name: Box<str>,
    /// Its outcome.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// How its bindings combine.
    pub mode: Mode,
    /// Its bindings, in order.
    pub bindings: Vec<BindingReport>,
    /// What it leans on.
    pub parents: Vec<TargetReport>,
}

/// Why a binding did not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It is switched off.
    Disabled,
    /// It has expired.
    Expired,
    /// The outcome was known before its turn.
    Decided,
}

/// What became of one binding.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingReport {
    /// Its id.
    pub id: Id,
    /// Its position.
    pub order: i32,
    /// Its subject side, as text.
    pub subject: Box<str>,
    /// Set: it did not count.
    pub skipped: Option<SkipReason>,
    /// What the subject side said.
    pub raw_result: bool,
    /// Whether that was flipped.
    pub negated: bool,
    /// What counted.
    pub result: bool,
    /// Evaluated for the report only.
    pub dry_run: bool,
    /// The policy's messages.
    pub messages: Vec<Box<str>>,
    /// The policy's error.
    pub error: Option<Box<str>>,
    /// Time taken.
    pub nanoseconds: u64,
}
