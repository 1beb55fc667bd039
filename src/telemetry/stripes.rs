//! Counters that many threads raise at once: each thread has its own stripe, so that no two cores pass a cache line back
//! and forth; who reads adds the stripes up.
//!
//! Must not know: what is counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many stripes there are. Threads beyond it share one.
const STRIPES: usize = 8;
/// How many counters lie in what a core holds at a time: two cache lines, since they are fetched in pairs.
const LINE: usize = 16;

thread_local! {
    static STRIPE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
    };
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

/// A row of counters.
#[derive(Debug)]
pub struct Stripes {
    stripes: [Box<[Line]>; STRIPES],
    len: usize,
}

impl Stripes {
    /// So many counters, all at zero.
    pub fn new(len: usize) -> Self {
        let stripe = |_| (0..len.div_ceil(LINE)).map(|_| Line::default()).collect();
        Self { stripes: std::array::from_fn(stripe), len }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Raises one of them; one that is not there is left alone.
    pub fn add(&self, index: usize, count: u64) {
        // While a thread ends its stripe may be gone already.
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or_default();
        if let Some(cell) = self.cell(stripe, index) {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn cell(&self, stripe: usize, index: usize) -> Option<&AtomicU64> {
        self.stripes.get(stripe)?.get(index / LINE)?.0.get(index % LINE)
    }

    /// What one of them stands at; zero for one that is not there.
    pub fn get(&self, index: usize) -> u64 {
        let cells = (0..STRIPES).filter_map(|stripe| self.cell(stripe, index));
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }
}

/// One counter.
#[derive(Debug)]
pub struct Count(Stripes);

impl Default for Count {
    fn default() -> Self {
        Self(Stripes::new(1))
    }
}

impl Count {
    /// One more.
    pub fn raise(&self) {
        self.0.add(0, 1);
    }

    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.get(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let stripes = Stripes::new(LINE + 3);
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| {
                    for index in 0..1_000 {
                        stripes.add(index % stripes.len(), 2);
                    }
                });
            }
        });
        let sum: u64 = (0..stripes.len()).map(|index| stripes.get(index)).sum();
        assert_eq!(sum, 2 * 1_000 * 2 * STRIPES as u64);
        stripes.add(stripes.len() + 100, 1);
        assert_eq!(stripes.get(stripes.len() + 100), 0);
    }

    #[test]
    fn stripes_lie_in_lines_of_their_own() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (128, 128));
    }
}
