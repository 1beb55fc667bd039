//! Policy bindings: one row that binds a policy, a user or a group to a target.

use super::{GroupRef, Id, TargetRef, Timestamp, UserRef};
use std::fmt;
use std::time::Duration;

/// How the results of a target's bindings combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Passes when at least one passes.
    #[default]
    Any,
    /// Passes when every one passes.
    All,
}

impl Mode {
    /// any or all.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
        }
    }
}

/// The subject side of a binding: exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindingSubject {
    /// What the policy says, by its id or name.
    Policy(Box<str>),
    /// Whether the subject is that user.
    User(UserRef),
    /// Whether the subject is a member of that group, directly or through ancestors.
    Group(GroupRef),
}

impl fmt::Display for BindingSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => write!(f, "policy/{name}"),
            Self::User(user) => write!(f, "user/{user}"),
            Self::Group(group) => write!(f, "group/{group}"),
        }
    }
}

/// One binding.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyBinding {
    /// Identifies the binding; breaks ties of `order`.
    pub id: Id,
    /// What it is bound to.
    pub target: TargetRef,
    /// What is bound.
    pub subject: BindingSubject,
    /// Position, ascending.
    pub order: i32,
    /// Off: does not exist for a decision.
    pub enabled: bool,
    /// Flips pass and fail, but never a failure result.
    pub negate: bool,
    /// Bounds one execution of the policy.
    pub timeout: Duration,
    /// The result when the policy errors.
    pub failure_result: bool,
    /// From then on the binding counts as disabled.
    pub expires: Option<Timestamp>,
    /// Evaluated and reported, never counted.
    pub dry_run: bool,
}

impl PolicyBinding {
    /// authentik's default timeout.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// The longest timeout that is accepted.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
}
