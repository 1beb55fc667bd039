//! What is wrong with a piece of configuration, and where.

use super::TargetKind;
use std::fmt;

/// The kinds of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// One of the nine kinds of target.
    Target(TargetKind),
    /// A policy binding.
    PolicyBinding,
    /// A policy.
    Policy,
    /// A stage.
    Stage,
    /// A user.
    User,
    /// A group.
    Group,
    /// A reputation row.
    ReputationScore,
    /// A route.
    Route,
}

impl ResourceKind {
    /// All kinds, in the order of the schema, which is not the order in which they are put together.
    pub const ALL: [Self; 16] = [
        Self::Target(TargetKind::Application),
        Self::Target(TargetKind::Entitlement),
        Self::Target(TargetKind::Source),
        Self::Target(TargetKind::Flow),
        Self::Target(TargetKind::FlowStageBinding),
        Self::Target(TargetKind::Device),
        Self::Target(TargetKind::DeviceAccessGroup),
        Self::Target(TargetKind::NotificationRule),
        Self::Target(TargetKind::RacEndpoint),
        Self::PolicyBinding,
        Self::Policy,
        Self::Stage,
        Self::User,
        Self::Group,
        Self::ReputationScore,
        Self::Route,
    ];

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Target(kind) => kind as usize,
            Self::PolicyBinding => 9,
            Self::Policy => 10,
            Self::Stage => 11,
            Self::User => 12,
            Self::Group => 13,
            Self::ReputationScore => 14,
            Self::Route => 15,
        }
    }

    /// The kind in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Target(kind) => kind.noun(),
            Self::PolicyBinding => "policy binding",
            Self::Policy => "policy",
            Self::Stage => "stage",
            Self::User => "user",
            Self::Group => "group",
            Self::ReputationScore => "reputation score",
            Self::Route => "route",
        }
    }
}

/// Names a resource in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its id; empty when it has none.
    pub id: Box<str>,
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.id {
            "" => f.write_str(self.kind.noun()),
            id => write!(f, "{} `{id}`", self.kind.noun()),
        }
    }
}

/// A field by its path, such as `target.entitlement.name`; empty for the resource as a whole.
pub type Field = std::borrow::Cow<'static, str>;

/// One thing that is wrong with an update, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which resource of the update, counted from 0; absent when it is about a removal or the whole.
    pub index: Option<usize>,
    /// The resource, as far as it has a name.
    pub resource: Option<ResourceName>,
    /// The field at fault.
    pub field: Field,
    /// What is wrong and what to do: lower case, no full stop, user input in backticks.
    pub message: String,
    /// For a dangling reference: what is not there, by the name that the reference has.
    pub missing: Option<ResourceName>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(resource) = &self.resource {
            write!(f, "{resource}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}
