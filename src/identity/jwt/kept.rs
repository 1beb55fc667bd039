//! Tokens that were verified, so that the next request with one of them is answered sooner. Kept by a hash of the
//! whole token, with the keys that it was verified by; whether it still counts is asked each time.
//!
//! Must not know: what a token says.

use super::Verified;
use super::keys::KeySet;
use crate::model::Value;
use quick_cache::{Weighter, sync::Cache};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is kept, in bytes, about.
const MAX_KEPT: u64 = 32 << 20;
/// About how many tokens that is.
const KEPT_TOKENS: usize = 10_000;

/// What stands for a token.
pub(super) type Fingerprint = [u8; 32];

/// Two tokens that are not the same have different ones.
pub(super) fn fingerprint(token: &str) -> Fingerprint {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let mut all = Fingerprint::default();
    all.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    all
}

#[derive(Clone)]
struct Entry {
    /// The keys it was verified by.
    generation: u64,
    weight: u64,
    verified: Verified,
}

#[derive(Clone)]
struct Size;

impl Weighter<Fingerprint, Entry> for Size {
    fn weight(&self, _: &Fingerprint, entry: &Entry) -> u64 {
        entry.weight
    }
}

pub(super) struct Kept {
    entries: Cache<Fingerprint, Entry, Size>,
    /// The keys that the entries are of, or were a moment ago.
    generation: AtomicU64,
}

impl Kept {
    pub(super) fn new() -> Self {
        let entries = Cache::with_weighter(KEPT_TOKENS, MAX_KEPT, Size);
        Self { entries, generation: AtomicU64::new(0) }
    }

    /// A token that was verified by these keys.
    pub(super) fn get(&self, token: &Fingerprint, keys: &KeySet) -> Option<Verified> {
        // An entry of other keys never counts; that they go at once only saves memory.
        if self.generation.swap(keys.generation, Ordering::Relaxed) != keys.generation {
            self.entries.clear();
        }
        self.entries
            .get(token)
            .filter(|entry| entry.generation == keys.generation)
            .map(|entry| entry.verified)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps a token of this length.
    pub(super) fn put(&self, token: Fingerprint, keys: &KeySet, length: usize, verified: Verified) {
        let subject = &verified.identity.subject;
        // Names are what a token mostly consists of; each costs an allocation beside.
        let names = subject.group_names.len() + subject.group_ids.len();
        let weight = 512 + length + 48 * names + 64 * values(&subject.attributes);
        let weight = u64::try_from(weight).unwrap_or(u64::MAX);
        self.entries.insert(token, Entry { generation: keys.generation, weight, verified });
    }
}

fn values(value: &Value) -> usize {
    1 + match value {
        Value::List(list) => list.iter().map(values).sum(),
        Value::Map(map) => map.values().map(values).sum(),
        _ => 0,
    }
}
