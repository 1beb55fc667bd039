//! The thread that writes the decision log. What cannot be written is tried again, while the queue's own rule decides
//! what becomes of what comes meanwhile.
//!
//! Must not know: where it is written to.

use super::line::Form;
use super::queue::{Entry, Lost, Queue};
use crate::telemetry::labels::LostReason;
use crate::telemetry::metrics::Metrics;
use std::io::{self, Write as _};
use std::time::Duration;

/// How many entries are written at a time.
const BATCH: usize = 128;
/// The first pause after an error.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Where lines go.
pub trait Out: Send {
    /// Writes whole lines, beginning behind the bytes that are `done`, and says in `done` how far it came. May block; only
    /// the log's own thread waits.
    ///
    /// # Errors
    /// When it could not write all of them; it is called again with the same bytes after a pause.
    fn write(&mut self, lines: &[u8], done: &mut usize) -> io::Result<()>;
}

/// Standard output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdout;

impl Out for Stdout {
    fn write(&mut self, lines: &[u8], done: &mut usize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        put(&mut out, lines, done)?;
        out.flush()
    }
}

/// Writes, and notes how far it came.
pub(super) fn put(out: &mut impl io::Write, lines: &[u8], done: &mut usize) -> io::Result<()> {
    while let Some(left) = lines.get(*done..).filter(|left| !left.is_empty()) {
        match out.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes until the queue is closed and empty, or out of time.
pub(super) fn run(queue: &Queue, form: &Form, mut out: Box<dyn Out>, metrics: &Metrics) {
    let mut writing = Writing { queue, metrics, failed: false };
    let mut lines = Vec::new();
    form.start(&mut lines);
    let mut is_fine = writing.write(&mut *out, &lines);
    while is_fine && let Some(entries) = queue.take(BATCH) {
        lines.clear();
        entries.iter().for_each(|entry| form.entry(entry, &mut lines));
        let records = entries.iter().filter(|entry| matches!(entry, Entry::Record { .. })).count() as u64;
        if writing.write(&mut *out, &lines) {
            metrics.decision_log_written(records);
            is_fine = !queue.is_over();
        } else {
            metrics.decision_log_lost(LostReason::Shutdown, records);
            let lost = entries.iter().fold(None, |sum, entry| Some(entry.lose(sum)));
            farewell(queue, form, &mut *out, lost);
            return;
        }
    }
    farewell(queue, form, &mut *out, None);
}

/// What is left is lost, and that is the last line, if it can be written.
fn farewell(queue: &Queue, form: &Form, out: &mut dyn Out, lost: Option<Lost>) {
    let left = queue.abandon();
    let Some(lost) =
        [lost, left].into_iter().flatten().reduce(|lost, left| Entry::Lost(left).lose(Some(lost)))
    else {
        return;
    };
    let mut line = Vec::new();
    form.entry(&Entry::Lost(Lost { reason: LostReason::Shutdown, ..lost }), &mut line);
    let _if_it_can_be = out.write(&line, &mut 0);
}

struct Writing<'a> {
    queue: &'a Queue,
    metrics: &'a Metrics,
    failed: bool,
}

impl Writing<'_> {
    /// Whether everything was written; if not, there is no time left.
    fn write(&mut self, out: &mut dyn Out, lines: &[u8]) -> bool {
        let (mut done, mut pause) = (0, PAUSE_MIN);
        loop {
            match out.write(lines, &mut done) {
                Ok(()) => {
                    if std::mem::take(&mut self.failed) {
                        tracing::info!("the decision log is written again");
                    }
                    return true;
                }
                Err(error) => {
                    self.metrics.decision_log_failed();
                    if !std::mem::replace(&mut self.failed, true) {
                        tracing::error!(%error, "the decision log cannot be written; it is tried again");
                    }
                }
            }
            if !self.queue.pause(pause) {
                return false;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
