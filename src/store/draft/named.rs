//! What a change names: by hash, since a change may name a million resources and is over soon.
//!
//! Must not know: what the resources say.

use crate::model::{Id, ResourceKind};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// A resource's name as a draft has it at hand.
pub(super) type Name<'a> = (ResourceKind, &'a Id);

/// Where the resources of a change stand in it, by name.
pub(super) struct Named {
    /// Hashes and positions, in order.
    entries: Vec<(u64, u32)>,
    hasher: RandomState,
}

impl Named {
    /// Of these names, in the order of the change.
    pub(super) fn new<'a>(names: impl Iterator<Item = Name<'a>>) -> Self {
        let hasher = RandomState::default();
        let mut entries: Vec<(u64, u32)> =
            names.zip(0_u32..).map(|(name, position)| (hasher.hash_one(name), position)).collect();
        entries.sort_unstable();
        Self { entries, hasher }
    }

    /// Whether the change names this; `at` tells which name stands at a position.
    pub(super) fn has<'a>(&self, name: Name<'_>, at: impl Fn(u32) -> Option<Name<'a>>) -> bool {
        let hash = self.hasher.hash_one(name);
        let first = self.entries.partition_point(|(other, _)| *other < hash);
        let same = self.entries.iter().skip(first).take_while(|(other, _)| *other == hash);
        same.into_iter().any(|(_, position)| at(*position) == Some(name))
    }

    /// The positions of all that were named before, in order.
    pub(super) fn doubles<'a>(&self, at: impl Fn(u32) -> Option<Name<'a>>) -> Vec<u32> {
        let mut doubles: Vec<u32> = self
            .entries
            .chunk_by(|(a, _), (b, _)| a == b)
            .filter(|same| same.len() > 1)
            .flat_map(|same| {
                let at = &at;
                same.iter().enumerate().filter_map(move |(index, (_, position))| {
                    let mut before = same.iter().take(index);
                    before.any(|(_, other)| at(*other) == at(*position)).then_some(*position)
                })
            })
            .collect();
        doubles.sort_unstable();
        doubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_named_and_what_is_named_again() {
        let ids: Vec<Id> = ["a", "b", "a", "c", "b", "a"].into_iter().map(Id::new).collect();
        let at = |position: u32| ids.get(position as usize).map(|id| (ResourceKind::Policy, id));
        let named = Named::new(ids.iter().map(|id| (ResourceKind::Policy, id)));
        assert_eq!(named.doubles(at), [2, 4, 5]);
        assert!(named.has((ResourceKind::Policy, &Id::new("c")), at));
        assert!(!named.has((ResourceKind::Policy, &Id::new("d")), at));
        assert!(!named.has((ResourceKind::Stage, &Id::new("c")), at));
    }
}
