//! Numbers for decisions.
//!
//! Must not know: what was decided.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers the decisions of a door, so that a caller's log and ours can speak of the same one.
#[derive(Debug)]
pub(super) struct Ids {
    /// Tells doors and processes apart.
    door: u64,
    count: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { door: RandomState::new().hash_one(std::process::id()), count: AtomicU64::new(0) }
    }
}

impl Ids {
    /// The next one; unlike those of other doors and processes.
    pub(super) fn next(&self) -> String {
        format!("{:016x}{:016x}", self.door, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let (here, there) = (Ids::default(), Ids::default());
        let all: std::collections::HashSet<String> =
            [here.next(), here.next(), there.next(), there.next()].into();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|id| id.len() == 32));
    }
}
