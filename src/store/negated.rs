//! Groups that it is good not to be in: a negated binding passes for whoever is not in its group. To take such a group
//! away from somebody gives access.
//!
//! Must not know: who takes what away.

use super::atoms::group_name;
use super::snapshot::Snapshot;
use crate::decision::{Atom, RowSubject};
use crate::model::GroupRef;
use std::collections::HashSet;

/// The groups of negated bindings of one revision.
#[derive(Debug)]
pub struct Negated<'a> {
    snapshot: &'a Snapshot,
    groups: HashSet<Atom>,
}

impl Snapshot {
    /// The groups of negated bindings. Looks at every binding.
    pub fn negated(&self) -> Negated<'_> {
        let rows = self.targets.values().flat_map(|entry| entry.rows().iter());
        let groups = rows.filter(|row| row.switches.negate()).filter_map(|row| match row.subject {
            RowSubject::Group(group) => Some(group),
            RowSubject::User(_) | RowSubject::Policy(_) => None,
        });
        Negated { snapshot: self, groups: groups.collect() }
    }
}

impl Negated<'_> {
    /// Whether somebody in this group is in one of them, through whichever ancestors.
    pub fn is_reached_by(&self, group: &GroupRef) -> bool {
        let snapshot = self.snapshot;
        let standing =
            snapshot.directory.compute(&snapshot.atoms, None, None, std::iter::once(group_name(group)));
        !self.groups.is_empty() && standing.groups.iter().any(|group| self.groups.contains(group))
    }
}
