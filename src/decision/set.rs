//! Targets with their bindings, and what is compiled of them for evaluation.
//!
//! Must not know: how and where they are kept.

use super::rows::{Packed, RowSubject, Rows};
use super::{Atom, Standing};
use crate::model::{FlowAuthentication, Mode, Target, TargetKind};
use crate::policy::Compiled;
use std::sync::Arc;

/// Names a target within one revision. A later revision may use it for another target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey(pub u32);

/// So many bindings at most are looked at one by one, as they are kept. Where there are more, or policies among them, what
/// is compiled of them is worth its memory. Fewer in debug builds, so that tests decide both ways.
pub(super) const FEW: usize = if cfg!(debug_assertions) { 2 } else { 16 };

/// A target with its bindings, as it is kept.
#[derive(Clone, Debug)]
pub struct BoundTarget {
    /// Its name within the revision.
    pub key: TargetKey,
    /// The target.
    pub target: Target,
    /// What it leans on.
    pub lean: Lean,
    /// For a flow-stage binding: its flow and its stage.
    pub placed: Option<(TargetKey, u32)>,
    rows: Rows,
    /// Whether all enabled bindings are pure membership checks.
    is_static: bool,
}

impl BoundTarget {
    /// A target to which nothing is bound yet and that leans on nothing.
    pub fn new(key: TargetKey, target: Target) -> Self {
        Self { key, target, lean: Lean::Nothing, placed: None, rows: Rows::default(), is_static: true }
    }

    /// Replaces its bindings.
    pub fn set_rows(&mut self, rows: Rows) {
        self.is_static = rows.is_static();
        self.rows = rows;
    }

    /// All its bindings.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Whether all enabled bindings are pure membership checks.
    pub const fn is_static(&self) -> bool {
        self.is_static
    }

    /// How the results of its bindings combine; always any for a notification rule.
    pub const fn mode(&self) -> Mode {
        if matches!(self.target.kind(), TargetKind::NotificationRule) { Mode::Any } else { self.target.mode }
    }

    /// Whether it is decided as it is kept, without anything that is compiled.
    pub fn is_plain(&self) -> bool {
        self.is_static && self.rows.len() <= FEW
    }
}

/// What is compiled of a target's bindings.
#[derive(Debug)]
pub struct BindingSet {
    /// The enabled bindings, in order, unless there is an index. Some may have expired.
    pub(super) active: Box<[Bound]>,
    /// Where all are membership checks, and many.
    pub(super) index: Option<Index>,
}

impl BindingSet {
    /// Compiles the bindings of a target. `policy` gives the policy of a key.
    pub fn new(target: &BoundTarget, policy: impl FnMut(u32) -> Option<Arc<Compiled>>) -> Self {
        if target.is_static && target.rows.len() > FEW {
            return Self { active: Box::default(), index: Some(Index::new(target)) };
        }
        Self::one_by_one(target, policy)
    }

    /// As [`BindingSet::new`], with each binding for itself, also where there are many.
    pub(super) fn one_by_one(
        target: &BoundTarget,
        mut policy: impl FnMut(u32) -> Option<Arc<Compiled>>,
    ) -> Self {
        let bound = |(row, packed): (u32, &Packed)| {
            let subject = match packed.subject() {
                RowSubject::User(user) => BoundSubject::User(user),
                RowSubject::Group(group) => BoundSubject::Group(group),
                RowSubject::Policy(key) => match policy(key) {
                    Some(policy) => BoundSubject::Policy(policy),
                    None => BoundSubject::Missing("the policy of this binding is missing".into()),
                },
            };
            let switches = packed.switches();
            let (negate, dry_run) = (switches.negate(), switches.dry_run());
            Bound { subject, row, negate, dry_run, expires: packed.expires() }
        };
        let enabled = target.rows.packed().filter(|(_, packed)| packed.switches().enabled());
        Self { active: enabled.map(bound).collect(), index: None }
    }
}

/// Many membership checks, found by whom they are about: a question costs what its subject's groups are, not what is
/// bound.
#[derive(Debug)]
pub(super) struct Index {
    /// Bindings that decide alone once the subject is whom they are about, and never expire: whom, and the row. Sorted.
    deciders: Box<[(Atom, u32)]>,
    /// The first row among these.
    pub(super) first: Option<u32>,
    /// The rows of all others that count, ascending.
    pub(super) others: Box<[u32]>,
}

impl Index {
    fn new(target: &BoundTarget) -> Self {
        let (mut deciders, mut others) = (Vec::new(), Vec::new());
        // What decides alone: a pass under any, a fail under all.
        let deciding = target.mode() == Mode::Any;
        for (row, packed) in target.rows.packed().filter(|(_, packed)| packed.counts()) {
            match packed.subject() {
                RowSubject::User(atom) | RowSubject::Group(atom)
                    if !packed.expires() && packed.switches().negate() != deciding =>
                {
                    deciders.push((atom, row));
                }
                _ => others.push(row),
            }
        }
        let first = deciders.first().map(|(_, row)| *row);
        deciders.sort_unstable();
        Self { deciders: deciders.into(), first, others: others.into() }
    }

    /// How many bindings are found by their subjects.
    pub(super) const fn len(&self) -> usize {
        self.deciders.len()
    }

    /// The first binding that is about somebody.
    pub(super) fn first_about(&self, standing: &Standing) -> Option<u32> {
        let mut first: Option<u32> = None;
        let mut note = |row: u32| first = Some(first.map_or(row, |first| first.min(row)));
        let user = standing.id.iter().chain(&standing.username);
        user.filter_map(|atom| about(&self.deciders, *atom)).for_each(&mut note);
        if standing.groups.len() > self.deciders.len() {
            let found = self.deciders.iter().filter(|(atom, _)| standing.is_in(*atom));
            found.for_each(|(_, row)| note(*row));
            return first;
        }
        // Both are sorted, so what comes before one group is behind for the next.
        let mut left = &*self.deciders;
        for atom in &standing.groups {
            let skip = left.partition_point(|(other, _)| other < atom);
            left = left.get(skip..).unwrap_or_default();
            match left.first() {
                Some((other, row)) if other == atom => note(*row),
                Some(_) => {}
                None => break,
            }
        }
        first
    }
}

/// The first row about somebody.
fn about(deciders: &[(Atom, u32)], atom: Atom) -> Option<u32> {
    let place = deciders.partition_point(|(other, _)| *other < atom);
    deciders.get(place).filter(|(other, _)| *other == atom).map(|(_, row)| *row)
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
    fn targets_and_bound_bindings_stay_small() {
        assert!(size_of::<BoundTarget>() <= 144, "{}", size_of::<BoundTarget>());
        assert!(size_of::<Bound>() <= 32, "{}", size_of::<Bound>());
    }
}
