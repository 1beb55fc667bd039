//! Two small persistent structures on top of `imbl`'s, chosen by measurement for what a resource costs in memory:
//! numbered slots, and an index from names to slots that keeps hashes instead of the names.
//!
//! Must not know: what is kept in the slots.

use foldhash::fast::FixedState;
use imbl::{OrdSet, Vector};
use std::hash::{BuildHasher, Hash};

/// Numbered slots. A number is used again once its slot is empty, so that a configuration that changes for years
/// does not grow.
#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    items: Vector<Option<T>>,
    free: Vector<u32>,
}

impl<T: Clone> Default for Slots<T> {
    fn default() -> Self {
        Self { items: Vector::new(), free: Vector::new() }
    }
}

impl<T: Clone> Slots<T> {
    pub(super) fn get(&self, key: u32) -> Option<&T> {
        self.items.get(key as usize)?.as_ref()
    }

    /// Takes a free number; the slot is empty until [`Slots::set`].
    pub(super) fn reserve(&mut self) -> u32 {
        self.free.pop_back().unwrap_or_else(|| {
            self.items.push_back(None);
            u32::try_from(self.items.len() - 1).unwrap_or(u32::MAX)
        })
    }

    pub(super) fn set(&mut self, key: u32, item: T) {
        if let Some(slot) = self.items.get_mut(key as usize) {
            *slot = Some(item);
        }
    }

    /// What is in a slot, to be changed.
    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        self.items.get_mut(key as usize)?.as_mut()
    }

    /// Empties a slot. Its number is not given out again before [`Slots::release`].
    pub(super) fn remove(&mut self, key: u32) -> Option<T> {
        self.items.get_mut(key as usize)?.take()
    }

    /// Gives the number of an emptied slot back, once nothing refers to it.
    pub(super) fn release(&mut self, key: u32) {
        self.free.push_back(key);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.items.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }
}

/// From names to slots. Only half a hash of each name is kept, 8 bytes with its slot; what is found must be compared with
/// the name that was looked for, and names with one hash do not disturb one another. Of a million names, hardly one in
/// four thousand shares its half with another.
#[derive(Clone, Debug, Default)]
pub(super) struct NameIndex {
    /// The half of the hash above, the slot below.
    entries: OrdSet<u64>,
    hasher: FixedState,
}

const fn entry(hash: u32, key: u32) -> u64 {
    ((hash as u64) << 32) | key as u64
}

impl NameIndex {
    /// What is kept of a name.
    pub(super) fn hash(&self, name: &(impl Hash + ?Sized)) -> u32 {
        let [.., a, b, c, d] = self.hasher.hash_one(name).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The slots that may have this name.
    pub(super) fn candidates<N: Hash + ?Sized>(&self, name: &N) -> impl Iterator<Item = u32> + use<'_, N> {
        let hash = self.hash(name);
        let slot = |found: &u64| {
            let [a, b, c, d, ..] = found.to_le_bytes();
            u32::from_le_bytes([a, b, c, d])
        };
        self.entries.range(entry(hash, 0)..=entry(hash, u32::MAX)).map(slot)
    }

    pub(super) fn insert(&mut self, name: &(impl Hash + ?Sized), key: u32) {
        let hash = self.hash(name);
        self.entries.insert(entry(hash, key));
    }

    /// Adds many at once: names by their hashes.
    pub(super) fn insert_all(&mut self, mut hashes: Vec<(u32, u32)>) {
        // Neighbours find their places in the processor's cache.
        hashes.sort_unstable();
        for (hash, key) in hashes {
            self.entries.insert(entry(hash, key));
        }
    }

    pub(super) fn remove(&mut self, name: &(impl Hash + ?Sized), key: u32) {
        let hash = self.hash(name);
        self.entries.remove(&entry(hash, key));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again() {
        let mut slots = Slots::default();
        let a = slots.reserve();
        slots.set(a, "a");
        let b = slots.reserve();
        slots.set(b, "b");
        let before = slots.clone();
        assert_eq!(slots.remove(a), Some("a"));
        assert_eq!(slots.remove(a), None);
        slots.release(a);
        assert_eq!(slots.len(), 1);
        let c = slots.reserve();
        slots.set(c, "c");
        assert_eq!((c, slots.get(a), before.get(a)), (a, Some(&"c"), Some(&"a")));
        assert_eq!(slots.values().copied().collect::<Vec<_>>(), ["c", "b"]);
    }

    #[test]
    fn names_lead_to_all_their_slots() {
        let mut index = NameIndex::default();
        for key in [7, 3] {
            index.insert("x", key);
        }
        index.insert("y", 5);
        assert_eq!(index.candidates("x").collect::<Vec<_>>(), [3, 7]);
        index.remove("x", 3);
        index.remove("y", 3);
        assert_eq!(index.candidates("x").chain(index.candidates("y")).collect::<Vec<_>>(), [7, 5]);
    }
}
