//! Where in its history a configuration stands, and what it sums up to.

use super::ResourceKind;
use std::fmt;

/// A place in the history of a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version {
    /// One life of a source of revisions; revisions of different epochs cannot be compared. 0: the history is this
    /// process's own.
    pub epoch: u64,
    /// Grows with every change. 0: there is no configuration yet.
    pub revision: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            0 => write!(f, "{}", self.revision),
            epoch => write!(f, "{}@{epoch:016x}", self.revision),
        }
    }
}

/// What the resources of one kind, or all of them, sum up to: an addition of hashes, so that their order has no meaning
/// and one change costs one addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The sum of the hashes, modulo 2^128.
    pub hashes: u128,
    /// How many there are.
    pub count: u64,
}

impl Sum {
    /// With one resource more.
    #[must_use]
    pub const fn plus(self, hash: u128) -> Self {
        Self { hashes: self.hashes.wrapping_add(hash), count: self.count.wrapping_add(1) }
    }

    /// With one resource less.
    #[must_use]
    pub const fn minus(self, hash: u128) -> Self {
        Self { hashes: self.hashes.wrapping_sub(hash), count: self.count.wrapping_sub(1) }
    }
}

/// What a configuration sums up to, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([Sum; ResourceKind::ALL.len()]);

impl Digest {
    /// What the resources of one kind sum up to.
    pub fn of(&self, kind: ResourceKind) -> Sum {
        self.0.get(kind.index()).copied().unwrap_or_default()
    }

    /// Sets what the resources of one kind sum up to.
    pub fn set(&mut self, kind: ResourceKind, sum: Sum) {
        if let Some(place) = self.0.get_mut(kind.index()) {
            *place = sum;
        }
    }

    /// Everything together.
    pub fn total(&self) -> u128 {
        self.0.iter().fold(0, |total, sum| total.wrapping_add(sum.hashes))
    }

    /// How many resources there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|sum| sum.count).sum()
    }

    /// The kinds in which two differ.
    pub fn differing(&self, other: &Self) -> impl Iterator<Item = ResourceKind> {
        let (this, other) = (*self, *other);
        ResourceKind::ALL.into_iter().filter(move |kind| this.of(*kind) != other.of(*kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_has_no_meaning_and_what_goes_leaves_no_trace() {
        let sum = Sum::default().plus(7).plus(u128::MAX);
        assert_eq!(sum, Sum::default().plus(u128::MAX).plus(7));
        assert_eq!(sum.minus(7), Sum::default().plus(u128::MAX));
        let mut digest = Digest::default();
        digest.set(ResourceKind::Stage, sum);
        assert_eq!((digest.total(), digest.count()), (6, 2));
        assert_eq!(digest.differing(&Digest::default()).collect::<Vec<_>>(), [ResourceKind::Stage]);
    }

    #[test]
    fn every_kind_has_its_place() {
        for (index, kind) in ResourceKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }
}
