//! Two small persistent structures on top of `imbl`'s, chosen by measurement for what a resource costs in memory:
//! numbered slots, and an index from names to slots that keeps hashes instead of the names.
//!
//! Must not know: what is kept in the slots.

use foldhash::fast::FixedState;
use imbl::Vector;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

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

/// So many names share a bucket on average at most. Few in debug builds, so that tests grow and shrink.
const MOST: usize = if cfg!(debug_assertions) { 4 } else { 48 };
/// With fewer than one in so many of that, there are too many buckets.
const SPARSE: usize = 8;

/// From names to slots. Only half a hash of each name is kept, 8 bytes with its slot; what is found must be compared with
/// the name that was looked for, and names with one hash do not disturb one another. Of a million names, hardly one in
/// four thousand shares its half with another.
///
/// The entries lie in buckets by their first bits, each a sorted list of its own: a change copies one bucket, a copy of the
/// index shares all. That takes about 9 bytes for each name, where `imbl`'s ordered set takes 18.
#[derive(Clone, Debug)]
pub(super) struct NameIndex {
    /// Two to the power of `bits`. Each entry has half of the hash above, the slot below.
    buckets: Vector<Arc<[u64]>>,
    bits: u32,
    len: usize,
    hasher: FixedState,
}

impl Default for NameIndex {
    fn default() -> Self {
        Self { buckets: Vector::unit(Arc::from([])), bits: 0, len: 0, hasher: FixedState::default() }
    }
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
        let (first, last) = (entry(self.hash(name), 0), entry(self.hash(name), u32::MAX));
        let bucket = self.buckets.get(place(self.bits, first)).map(|bucket| &**bucket).unwrap_or_default();
        let start = bucket.partition_point(|entry| *entry < first);
        let slot = |found: &u64| {
            let [a, b, c, d, ..] = found.to_le_bytes();
            u32::from_le_bytes([a, b, c, d])
        };
        bucket.get(start..).unwrap_or_default().iter().take_while(move |entry| **entry <= last).map(slot)
    }

    pub(super) fn insert(&mut self, name: &(impl Hash + ?Sized), key: u32) {
        let hash = self.hash(name);
        self.insert_all(vec![(hash, key)]);
    }

    /// Adds many at once: names by their hashes.
    pub(super) fn insert_all(&mut self, hashes: Vec<(u32, u32)>) {
        let mut entries: Vec<u64> = hashes.into_iter().map(|(hash, key)| entry(hash, key)).collect();
        entries.sort_unstable();
        entries.dedup();
        self.fit(self.len + entries.len());
        let bits = self.bits;
        for new in entries.chunk_by(|a, b| place(bits, *a) == place(bits, *b)) {
            let at = new.first().map_or(0, |entry| place(bits, *entry));
            let Some(bucket) = self.buckets.get_mut(at) else { continue };
            let mut all = Vec::with_capacity(bucket.len() + new.len());
            all.extend_from_slice(bucket);
            all.extend_from_slice(new);
            all.sort_unstable();
            all.dedup();
            self.len += all.len() - bucket.len();
            *bucket = all.into();
        }
    }

    pub(super) fn remove(&mut self, name: &(impl Hash + ?Sized), key: u32) {
        let gone = entry(self.hash(name), key);
        let Some(bucket) = self.buckets.get_mut(place(self.bits, gone)) else { return };
        let Ok(found) = bucket.binary_search(&gone) else { return };
        *bucket = bucket.iter().enumerate().filter(|(at, _)| *at != found).map(|(_, entry)| *entry).collect();
        self.len -= 1;
        if self.bits > 0 && self.len * SPARSE < MOST << self.bits {
            self.fit(self.len);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Has as many buckets as so many entries want.
    fn fit(&mut self, len: usize) {
        let sparse = self.bits > 0 && len * SPARSE < MOST << self.bits;
        if len <= MOST << self.bits && !sparse {
            return;
        }
        let bits = len.div_ceil(MOST).next_power_of_two().trailing_zeros();
        let entries = self.buckets.iter().flat_map(|bucket| bucket.iter().copied());
        let mut buckets: Vector<Arc<[u64]>> = Vector::new();
        let (mut bucket, empty): (Vec<u64>, Arc<[u64]>) = (Vec::new(), Arc::from([]));
        let close = |bucket: &mut Vec<u64>| {
            let full = if bucket.is_empty() { Arc::clone(&empty) } else { Arc::from(&**bucket) };
            bucket.clear();
            full
        };
        for entry in entries {
            while buckets.len() < place(bits, entry) {
                buckets.push_back(close(&mut bucket));
            }
            bucket.push(entry);
        }
        while buckets.len() < 1 << bits {
            buckets.push_back(close(&mut bucket));
        }
        (self.buckets, self.bits) = (buckets, bits);
    }
}

/// The bucket of an entry, of two to the power of `bits`.
fn place(bits: u32, entry: u64) -> usize {
    usize::try_from(entry.checked_shr(u64::BITS - bits).unwrap_or(0)).unwrap_or(0)
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

    /// What was put in and not taken out is found, however many there are, and older copies stay what they were.
    #[test]
    fn grows_and_shrinks_with_its_names() {
        let mut index = NameIndex::default();
        let mut older = Vec::new();
        for number in 0..1_000_u32 {
            index.insert(&(number / 2), number);
            index.insert(&(number / 2), number);
            older.push(index.clone());
        }
        let most = index.bits;
        assert!(index.len() == 1_000 && most >= 6, "{most} bits");
        let found = |index: &NameIndex, number: u32| index.candidates(&(number / 2)).any(|key| key == number);
        for (count, index) in older.iter().enumerate() {
            let count = u32::try_from(count).unwrap();
            assert!(found(index, count) && !found(index, count + 1), "{count}");
        }
        for number in (0..1_000).filter(|number| number % 100 != 0) {
            index.remove(&(number / 2), number);
            index.remove(&(number / 2), number);
        }
        assert!(index.len() == 10 && index.bits < most);
        assert!((0..1_000).all(|number| found(&index, number) == (number % 100 == 0)));
        let mut at_once = NameIndex::default();
        let hashes: Vec<(u32, u32)> = (0..1_000).map(|number| (index.hash(&(number / 2)), number)).collect();
        at_once.insert_all(hashes.clone());
        at_once.insert_all(hashes);
        assert!(at_once.len() == 1_000 && (0..1_000).all(|number| found(&at_once, number)));
    }
}
