//! How current a configuration is: whether its source was heard lately, and whether it is known to be behind.
//!
//! Must not know: what the source is.

use super::snapshot::Snapshot;
use crate::decision::View as _;
use crate::model::TargetRef;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by all snapshots of a store, written by whatever feeds it.
#[derive(Debug)]
pub struct Freshness {
    /// What moments below are counted from.
    start: Instant,
    /// Whether somebody else's configuration is followed; otherwise it is this process's own, and current by definition.
    follows: AtomicBool,
    /// Whether it is known that there is something newer, or that nobody is there to tell.
    behind: AtomicBool,
    /// When the source last confirmed that this is the newest, in microseconds after `start`, plus one; 0: never.
    confirmed: AtomicU64,
    /// Set once; questions only read it.
    pub(super) limits: OnceLock<Staleness>,
}

impl Default for Freshness {
    fn default() -> Self {
        let (follows, behind) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { start: Instant::now(), follows, behind, confirmed: AtomicU64::new(0), limits: OnceLock::new() }
    }
}

/// How old a configuration may be for questions to be answered from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// For any target. Absent: any age.
    pub most: Option<Duration>,
    /// For single targets; counts more than the other.
    pub by_target: Vec<(TargetRef, Duration)>,
}

/// How current it is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Whether it is known to be behind, or not known not to be.
    pub stale: bool,
    /// How long ago the source confirmed it. Nothing: never in this process's life, or there is no source but itself.
    pub age: Option<Duration>,
}

impl Freshness {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Somebody else's configuration is followed from now on, and was not confirmed yet.
    pub fn follow(&self) {
        self.follows.store(true, Ordering::Release);
        self.behind.store(true, Ordering::Release);
    }

    /// Sets how old the configuration may be. Only the first call counts.
    pub fn limit(&self, limits: Staleness) {
        let _first = self.limits.set(limits);
    }

    /// The source says that what is in force is the newest.
    pub fn confirm(&self) {
        self.confirmed.store(self.now(), Ordering::Release);
        self.behind.store(false, Ordering::Release);
    }

    /// There is something newer, or the source is gone.
    pub fn fall_behind(&self) {
        self.behind.store(true, Ordering::Release);
    }

    /// The source has left, as it said that it would. If what is in force was the newest then, it is this process's own from
    /// now on; else nobody is left to tell.
    pub fn settle(&self) {
        if !self.behind.load(Ordering::Acquire) {
            self.follows.store(false, Ordering::Release);
        }
    }

    /// How current it is.
    pub fn age(&self) -> Age {
        let stale = self.behind.load(Ordering::Acquire);
        if !self.follows.load(Ordering::Acquire) {
            return Age { stale, age: if stale { self.since_confirmed() } else { None } };
        }
        Age { stale, age: self.since_confirmed() }
    }

    fn since_confirmed(&self) -> Option<Duration> {
        match self.confirmed.load(Ordering::Acquire) {
            0 => None,
            confirmed => Some(Duration::from_micros(self.now().saturating_sub(confirmed))),
        }
    }
}

impl Snapshot {
    /// Whether the configuration is older than it may be for questions about this target, and then what that limit is.
    pub fn too_old_for(&self, target: &TargetRef) -> Option<Duration> {
        let limits = self.freshness.limits.get()?;
        let age = self.freshness.age();
        let own = |(named, limit): &(TargetRef, Duration)| {
            (named == target || self.find(named).is_ok_and(|key| self.find(target) == Ok(key)))
                .then_some(*limit)
        };
        let limit = limits.by_target.iter().find_map(own).or(limits.most)?;
        // What was never confirmed is as old as can be.
        (age.stale || age.age.is_some()).then_some(())?;
        age.age.is_none_or(|age| age > limit).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_is_stale_until_it_is_confirmed() {
        let fresh = Freshness::default();
        assert_eq!(fresh.age(), Age { stale: false, age: None });
        fresh.follow();
        assert_eq!(fresh.age(), Age { stale: true, age: None });
        fresh.confirm();
        assert!(!fresh.age().stale && fresh.age().age.is_some());
        fresh.fall_behind();
        assert!(fresh.age().stale && fresh.age().age.is_some());
    }

    #[test]
    fn a_source_that_leaves_leaves_what_it_brought() {
        let fresh = Freshness::default();
        fresh.follow();
        fresh.settle();
        assert!(fresh.age().stale);
        fresh.confirm();
        fresh.settle();
        assert_eq!(fresh.age(), Age { stale: false, age: None });
        fresh.follow();
        assert!(fresh.age().stale);
    }

    #[test]
    fn ones_own_is_current_until_it_is_known_to_be_behind() {
        let fresh = Freshness::default();
        fresh.fall_behind();
        assert_eq!(fresh.age(), Age { stale: true, age: None });
        fresh.confirm();
        fresh.fall_behind();
        assert!(fresh.age().age.is_some());
    }
}
