//! The decision log: one line of JSON for each decision, written by a thread of its own, with every gap accounted for.
//!
//! On the path of a question there is only a push of what is known into a bounded queue. Must not know: how something was
//! decided, who asks at which door.

mod file;
mod line;
mod otlp;
mod queue;
mod writer;

pub use file::File;
pub use line::{Include, Line, Masks};
pub use otlp::Collector;
pub use queue::{Blocked, WhenFull};
pub use writer::{Out, Stdout};

use super::labels::{Answer, Door};
use super::metrics::Metrics;
use crate::model::{Id, Question, TargetRef};
use queue::Queue;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// What is logged, and what happens when that is more than can be written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The part of the allowed questions that is logged, 0 to 1. Denials and errors always are.
    pub sample_allows: f64,
    /// What else a line holds.
    pub include: Include,
    /// What of it is not shown.
    pub masks: Masks,
    /// How many records may wait to be written.
    pub queue: usize,
    /// What happens with more.
    pub when_full: WhenFull,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sample_allows: 1.0,
            include: Include::default(),
            masks: Masks::default(),
            queue: 16_384,
            when_full: WhenFull::DropOldest,
        }
    }
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered(Answer),
    /// It could not be.
    Error,
}

/// What is known of one decision.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was made.
    pub time: SystemTime,
    /// Identifies it. Empty: it has none of its door's, and gets one here.
    pub decision_id: String,
    /// The trace that it is part of, in hexadecimal.
    pub trace_id: Option<String>,
    /// Where it was asked.
    pub door: Door,
    /// The revision that it stands on.
    pub revision: u64,
    /// The epoch of that.
    pub epoch: u64,
    /// Whether that is known to be behind.
    pub stale: bool,
    /// What was asked about, as far as it was understood.
    pub target: Option<TargetRef>,
    /// The directory's id of whoever it is about, or the caller's.
    pub subject_id: Option<String>,
    /// Whether the directory knows them.
    pub known: bool,
    /// Whether nobody is signed in.
    pub anonymous: bool,
    /// The username.
    pub username: Option<Box<str>>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why: a gateway's reason, or an error's.
    pub reason: Option<&'static str>,
    /// The binding that decided alone.
    pub deciding_binding: Option<Id>,
    /// What policies said, or the error's text.
    pub messages: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// The question itself, for what else a line may hold.
    pub question: Option<Box<Question>>,
}

/// Takes records.
#[derive(Debug)]
pub struct DecisionLog {
    queue: Arc<Queue>,
    options: Options,
    sampler: RandomState,
    count: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl DecisionLog {
    /// Writes to `out` from now on.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(options: Options, out: Box<dyn Out>, metrics: Arc<Metrics>) -> Result<Arc<Self>, String> {
        let queue = Arc::new(Queue::new(options.queue, options.when_full, Arc::clone(&metrics)));
        let sampler = RandomState::new();
        let log = format!("{:016x}", sampler.hash_one(std::process::id()));
        let form = line::Form { log, include: options.include, masks: options.masks.clone() };
        let (taken, counted) = (Arc::clone(&queue), Arc::clone(&metrics));
        let writer = std::thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || writer::run(&taken, &form, out, &counted))
            .map_err(|error| format!("decision_log: no thread can be started: {error}"))?;
        let reads = Arc::clone(&queue);
        metrics.probe(move |readings| readings.decision_log_queue = Some(reads.len() as u64));
        let writer = Mutex::new(Some(writer));
        Ok(Arc::new(Self { queue, options, sampler, count: AtomicU64::new(0), writer }))
    }

    /// Whether this one is to be logged; one that is not is counted as left out.
    pub fn wants(&self, outcome: Outcome) -> bool {
        let part = self.options.sample_allows;
        if outcome != Outcome::Answered(Answer::Allow) || part >= 1.0 {
            return true;
        }
        let chance = self.sampler.hash_one(self.count.fetch_add(1, Ordering::Relaxed)) as f64;
        let wanted = chance < part * u64::MAX as f64;
        if !wanted {
            self.queue.leave_out();
        }
        wanted
    }

    /// Whether lines hold more of a question than who asked for what.
    pub fn holds_questions(&self) -> bool {
        self.options.include.http || self.options.include.context || self.options.include.client_ip
    }

    /// Takes a record. What comes back has to wait for room; see [`Blocked::wait`].
    pub fn push(&self, record: Record) -> Option<Blocked> {
        self.queue.push(Box::new(record))
    }

    /// Writes what is waiting, for so long at most; what is left then is lost. Blocks.
    pub fn close(&self, patience: Duration) {
        self.queue.close(Instant::now() + patience);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        // A write that hangs is not waited for.
        let end = Instant::now() + patience + Duration::from_millis(200);
        while !writer.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        if writer.is_finished() {
            let _ended = writer.join();
        } else {
            self.queue.abandon();
        }
    }
}

#[cfg(test)]
mod tests;
