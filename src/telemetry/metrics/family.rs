//! The forms that metrics have: counters, gauges and histograms by labels, and the plain samples that they are read as.
//!
//! Must not know: which metrics there are, how samples are written.

use crate::telemetry::labels::Labels;
use crate::telemetry::stripes::Stripes;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of histograms, in microseconds: 1 µs to 10 s, three to a power of ten.
pub const BOUNDS: [u64; 22] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];
/// The bounds, what is beyond them, and the sum.
const CELLS: usize = BOUNDS.len() + 2;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The unit of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of something.
    None,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// What a family says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Its whole name, as it is scraped.
    pub name: &'static str,
    /// What it tells, in one sentence.
    pub help: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What it is.
    pub kind: Kind,
}

/// A family as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// What it says of itself.
    pub about: About,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels, by name and value.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// What it stands at.
    pub value: Value,
}

/// What a sample stands at.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter.
    Count(u64),
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram: how many lay in each bucket, the last one without a bound, and their sum in seconds.
    Distribution {
        /// In the order of [`BOUNDS`], and one more.
        buckets: Vec<u64>,
        /// In seconds.
        sum: f64,
    },
}

impl Family {
    /// One sample without labels.
    pub fn single(about: About, value: Value) -> Self {
        Self { about, samples: vec![Sample { labels: Vec::new(), value }] }
    }
}

fn labelled<L: Labels>(value: impl Fn(usize) -> Option<Value>) -> Vec<Sample> {
    let sample = |(place, labels): (usize, Vec<(&'static str, &'static str)>)| {
        let labels = labels.into_iter().map(|(name, word)| (name, Cow::Borrowed(word))).collect();
        Some(Sample { labels, value: value(place)? })
    };
    L::every().into_iter().enumerate().filter_map(sample).collect()
}

/// Counters by labels.
#[derive(Debug)]
pub struct Counters<L> {
    about: About,
    cells: Stripes,
    labels: PhantomData<L>,
}

impl<L: Labels> Counters<L> {
    /// All at zero. Names of counters end in `_total`.
    pub fn new(name: &'static str, help: &'static str) -> Self {
        let about = About { name, help, unit: Unit::None, kind: Kind::Counter };
        Self { about, cells: Stripes::new(L::COUNT), labels: PhantomData }
    }

    /// One more.
    pub fn raise(&self, labels: L) {
        self.cells.add(labels.place(), 1);
    }

    /// So many more.
    pub fn add(&self, labels: L, count: u64) {
        self.cells.add(labels.place(), count);
    }

    /// What it stands at.
    pub fn get(&self, labels: L) -> u64 {
        self.cells.get(labels.place())
    }

    /// As it is read.
    pub fn family(&self) -> Family {
        let samples = labelled::<L>(|place| Some(Value::Count(self.cells.get(place))));
        Family { about: self.about, samples }
    }
}

/// Gauges by labels. One that was never set is not there.
#[derive(Debug)]
pub struct Gauges<L> {
    about: About,
    cells: Box<[AtomicI64]>,
    labels: PhantomData<L>,
}

/// What a gauge stands at that was never set.
const UNSET: i64 = i64::MIN;

impl<L: Labels> Gauges<L> {
    /// All at zero.
    pub fn new(name: &'static str, help: &'static str) -> Self {
        Self::at(name, help, Unit::None, 0)
    }

    /// None of them there until it is set.
    pub fn unset(name: &'static str, help: &'static str, unit: Unit) -> Self {
        Self::at(name, help, unit, UNSET)
    }

    fn at(name: &'static str, help: &'static str, unit: Unit, value: i64) -> Self {
        let about = About { name, help, unit, kind: Kind::Gauge };
        let cells = (0..L::COUNT).map(|_| AtomicI64::new(value)).collect();
        Self { about, cells, labels: PhantomData }
    }

    /// Sets it.
    pub fn set(&self, labels: L, value: i64) {
        if let Some(cell) = self.cells.get(labels.place()) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// So many more, or less.
    pub fn add(&self, labels: L, value: i64) {
        if let Some(cell) = self.cells.get(labels.place()) {
            cell.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// What it stands at; nothing when it was never set.
    pub fn get(&self, labels: L) -> Option<i64> {
        self.read(labels.place())
    }

    fn read(&self, place: usize) -> Option<i64> {
        let value = self.cells.get(place)?.load(Ordering::Relaxed);
        (value != UNSET).then_some(value)
    }

    /// As it is read.
    pub fn family(&self) -> Family {
        let samples = labelled::<L>(|place| self.read(place).map(|value| Value::Number(value as f64)));
        Family { about: self.about, samples }
    }
}

/// Histograms of spans of time by labels.
#[derive(Debug)]
pub struct Histograms<L> {
    about: About,
    cells: Stripes,
    labels: PhantomData<L>,
}

impl<L: Labels> Histograms<L> {
    /// All empty. Names end in `_seconds`.
    pub fn new(name: &'static str, help: &'static str) -> Self {
        let about = About { name, help, unit: Unit::Seconds, kind: Kind::Histogram };
        Self { about, cells: Stripes::new(L::COUNT * CELLS), labels: PhantomData }
    }

    /// One more. What lies between two microseconds belongs to the bucket of the larger one, so that nothing is told to be
    /// quicker than it was.
    pub fn observe(&self, labels: L, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let microseconds = nanoseconds.div_ceil(1_000);
        let start = labels.place() * CELLS;
        let bucket = BOUNDS.partition_point(|bound| *bound < microseconds);
        self.cells.add(start + bucket, 1);
        self.cells.add(start + CELLS - 1, nanoseconds);
    }

    /// How many were observed.
    pub fn count(&self, labels: L) -> u64 {
        let start = labels.place() * CELLS;
        (start..start + CELLS - 1).map(|cell| self.cells.get(cell)).sum()
    }

    /// As it is read.
    pub fn family(&self) -> Family {
        let samples = labelled::<L>(|place| {
            let start = place * CELLS;
            let buckets = (start..start + CELLS - 1).map(|cell| self.cells.get(cell)).collect();
            let sum = Duration::from_nanos(self.cells.get(start + CELLS - 1)).as_secs_f64();
            Some(Value::Distribution { buckets, sum })
        });
        Family { about: self.about, samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::{Listener, Outside};

    #[test]
    fn a_span_of_time_lies_in_the_bucket_that_holds_it() {
        let histograms = Histograms::<(Outside,)>::new("a_seconds", "A");
        let labels = (Outside::Remote,);
        for (nanoseconds, bucket) in [
            (0, 0),
            (999, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (9_999, 3),
            (10_000_000_000, 21),
            (10_000_000_001, 22),
        ] {
            let before = histograms.cells.get(labels.place() * CELLS + bucket);
            histograms.observe(labels, Duration::from_nanos(nanoseconds));
            assert_eq!(histograms.cells.get(labels.place() * CELLS + bucket), before + 1, "{nanoseconds}");
        }
        assert_eq!((histograms.count(labels), histograms.count((Outside::Waits,))), (8, 0));
        let family = histograms.family();
        let sample = family.samples.iter().find(|it| it.labels == [("kind", "remote".into())]).unwrap();
        let Value::Distribution { buckets, sum } = &sample.value else { panic!("{sample:?}") };
        assert_eq!(buckets.iter().sum::<u64>(), 8);
        assert!((*sum - 20.000_014_999).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn a_gauge_that_was_never_set_is_not_there() {
        let gauges = Gauges::<(Listener,)>::unset("a", "A", Unit::None);
        assert!(gauges.family().samples.is_empty());
        gauges.set((Listener::Http,), 7);
        assert_eq!(gauges.family().samples.len(), 1);
        assert_eq!((gauges.get((Listener::Http,)), gauges.get((Listener::Grpc,))), (Some(7), None));
    }
}
