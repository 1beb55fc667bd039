//! What an evaluation may spend. Whatever takes longer the more data there is pays before it is done, so that an
//! evaluation never goes further beyond its limits than one operation of fixed size.
//!
//! Must not know: what is paid for.

use std::cell::Cell;

/// Steps of one evaluation. One is an operation, an element of a list or so many bytes that are looked at; together
/// they take a few milliseconds at the most.
pub(super) const MAX_STEPS: u64 = 100_000;
/// Bytes of texts and lists that one evaluation may make, whether it keeps them or not.
pub(super) const MAX_BYTES: u64 = 1 << 20;
/// Bytes of text that are looked at in one step.
const STRIDE: usize = 32;

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// More than [`MAX_STEPS`].
    Steps,
    /// More than [`MAX_BYTES`].
    Bytes,
}

/// What was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) steps: u64,
    pub(super) bytes: u64,
    /// How often a payment was refused, so that what it was for was not done.
    pub(super) refusals: u32,
}

/// What an evaluation has spent.
#[derive(Debug, Default)]
pub(super) struct Meter {
    steps: Cell<u64>,
    bytes: Cell<u64>,
    refusals: Cell<u32>,
}

impl Meter {
    /// Pays for so many steps.
    pub(super) fn steps(&self, count: usize) -> Result<(), Spent> {
        let sum = self.steps.get().saturating_add(count as u64);
        if sum > MAX_STEPS {
            self.refusals.set(self.refusals.get() + 1);
            return Err(Spent::Steps);
        }
        self.steps.set(sum);
        Ok(())
    }

    /// Pays for looking at so many bytes.
    pub(super) fn look(&self, bytes: usize) -> Result<(), Spent> {
        self.steps(bytes / STRIDE)
    }

    /// Pays for making so many bytes.
    pub(super) fn make(&self, bytes: usize) -> Result<(), Spent> {
        let sum = self.bytes.get().saturating_add(bytes as u64);
        if sum > MAX_BYTES {
            self.refusals.set(self.refusals.get() + 1);
            return Err(Spent::Bytes);
        }
        self.bytes.set(sum);
        self.look(bytes)
    }

    /// What was paid so far.
    pub(super) fn spent(&self) -> Bill {
        Bill { steps: self.steps.get(), bytes: self.bytes.get(), refusals: self.refusals.get() }
    }
}
