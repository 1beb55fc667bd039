//! The queue between questions and the writer: bounded, in order, and with every record numbered, so that what is lost
//! is known.
//!
//! Must not know: how records are written.

use super::Record;
use crate::telemetry::labels::LostReason;
use crate::telemetry::metrics::Metrics;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What happens with a record when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest one is lost.
    DropOldest,
    /// It is lost itself.
    DropNewest,
    /// Its question waits for room, for so long at most; then it is lost.
    Block(Duration),
}

/// What is written, in this order.
#[derive(Debug)]
pub(super) enum Entry {
    /// A record with its number and how many allowed questions before it were left out.
    Record { sequence: u64, left_out: u64, record: Box<Record> },
    /// Records that are lost.
    Lost(Lost),
}

/// Records that are lost, from one number to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) reason: LostReason,
    pub(super) left_out: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    filled: Condvar,
    /// Wakes a question that waits for room.
    room: Notify,
    most: usize,
    when_full: WhenFull,
    /// Allowed questions that were not to be logged since the last record.
    left_out: AtomicU64,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// How many of the entries are records.
    records: usize,
    /// What is lost before the first entry.
    lost: Option<Lost>,
    last: u64,
    /// Set: nothing more is taken, and the writer ends then at the latest.
    closing: Option<Instant>,
}

/// A record that waits for room.
#[must_use = "the record is in no queue until this was awaited"]
#[derive(Debug)]
pub struct Blocked {
    queue: Arc<Queue>,
    record: Box<Record>,
    pub(super) patience: Duration,
}

impl Blocked {
    /// Waits for room; when there is none in time, the record is lost.
    pub async fn wait(self) {
        let Self { queue, record, patience } = self;
        let end = tokio::time::Instant::now() + patience;
        let mut record = record;
        loop {
            let room = queue.room.notified();
            tokio::pin!(room);
            // From here on, room that comes free is not missed.
            room.as_mut().enable();
            record = match queue.try_push(record) {
                Ok(()) => return,
                Err(record) => record,
            };
            if tokio::time::timeout_at(end, room).await.is_err() {
                queue.lose(LostReason::Blocked);
                return;
            }
        }
    }
}

impl Queue {
    pub(super) fn new(most: usize, when_full: WhenFull, metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            room: Notify::new(),
            most: most.max(1),
            when_full,
            left_out: AtomicU64::new(0),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in it is ever half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.lock().records
    }

    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn push(self: &Arc<Self>, record: Box<Record>) -> Option<Blocked> {
        let record = self.try_push(record).err()?;
        match self.when_full {
            WhenFull::Block(patience) => Some(Blocked { queue: Arc::clone(self), record, patience }),
            WhenFull::DropOldest | WhenFull::DropNewest => {
                self.lose(LostReason::QueueFull);
                None
            }
        }
    }

    /// Takes a record, or hands it back when there is no room, and none is to be made.
    fn try_push(&self, record: Box<Record>) -> Result<(), Box<Record>> {
        let mut state = self.lock();
        if state.closing.is_some() {
            drop(state);
            self.lose(LostReason::Shutdown);
            return Ok(());
        }
        if state.records >= self.most {
            if self.when_full != WhenFull::DropOldest {
                return Err(record);
            }
            state.drop_oldest();
            self.metrics.decision_log_lost(LostReason::QueueFull, 1);
        }
        state.last += 1;
        let (sequence, left_out) = (state.last, self.left_out.swap(0, Ordering::Relaxed));
        state.entries.push_back(Entry::Record { sequence, left_out, record });
        state.records += 1;
        // A writer that has something to do already finds this by itself.
        if state.records == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Numbers a record that is lost, and notes it in its place.
    fn lose(&self, reason: LostReason) {
        self.metrics.decision_log_lost(reason, 1);
        let mut state = self.lock();
        state.last += 1;
        let (last, left_out) = (state.last, self.left_out.swap(0, Ordering::Relaxed));
        match state.entries.back_mut() {
            Some(Entry::Lost(lost)) if lost.reason == reason && lost.to + 1 == last => {
                (lost.to, lost.left_out) = (last, lost.left_out + left_out);
            }
            _ => state.entries.push_back(Entry::Lost(Lost { from: last, to: last, reason, left_out })),
        }
        self.filled.notify_one();
    }

    /// Waits for something to write, and takes up to so many entries of it. Nothing: the end has come.
    pub(super) fn take(&self, most: usize) -> Option<Vec<Entry>> {
        let mut state = self.lock();
        loop {
            let mut taken: Vec<Entry> = state.lost.take().map(Entry::Lost).into_iter().collect();
            let count = most.min(state.entries.len());
            taken.extend(state.entries.drain(..count));
            if !taken.is_empty() {
                let records = taken.iter().filter(|entry| matches!(entry, Entry::Record { .. })).count();
                state.records -= records;
                drop(state);
                (0..records).for_each(|_| self.room.notify_one());
                return Some(taken);
            }
            if state.closing.is_some() {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Pauses before the next attempt to write, less when the end comes nearer. Whether there is time for another.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            let end = state.closing.map_or(start + pause, |end| end.min(start + pause));
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state.closing.is_none_or(|end| Instant::now() < end);
            }
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes nothing more; the writer has until `end`.
    pub(super) fn close(&self, end: Instant) {
        self.lock().closing.get_or_insert(end);
        self.filled.notify_one();
    }

    /// Whether the end has come, and the time for it is over.
    pub(super) fn is_over(&self) -> bool {
        self.lock().closing.is_some_and(|end| Instant::now() >= end)
    }

    /// Everything that is left is lost. Gives the numbers, for a last line.
    pub(super) fn abandon(&self) -> Option<Lost> {
        let mut state = self.lock();
        let records = std::mem::take(&mut state.records);
        let lost = state.lost.take();
        let entries: Vec<Entry> = std::mem::take(&mut state.entries).into();
        drop(state);
        self.metrics.decision_log_lost(LostReason::Shutdown, records as u64);
        lost.map(Entry::Lost).into_iter().chain(entries).fold(None, |sum, entry| Some(entry.lose(sum)))
    }
}

impl State {
    fn drop_oldest(&mut self) {
        while let Some(entry) = self.entries.pop_front() {
            let is_record = matches!(entry, Entry::Record { .. });
            let mut lost = entry.lose(self.lost);
            lost.reason = LostReason::QueueFull;
            self.lost = Some(lost);
            if is_record {
                self.records -= 1;
                return;
            }
        }
    }
}

impl Entry {
    /// This one lost as well, after what was lost before it.
    pub(super) fn lose(&self, before: Option<Lost>) -> Lost {
        let own = match self {
            Self::Record { sequence, left_out, .. } => {
                let reason = LostReason::Shutdown;
                Lost { from: *sequence, to: *sequence, reason, left_out: *left_out }
            }
            Self::Lost(lost) => *lost,
        };
        match before {
            Some(before) => Lost { from: before.from, left_out: before.left_out + own.left_out, ..own },
            None => own,
        }
    }
}
