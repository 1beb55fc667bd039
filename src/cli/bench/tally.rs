//! What came of requests: counts, latencies, and both by the second.
//!
//! Must not know: how requests are sent, how results are shown.

use crate::evaluators::code_name;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Code;

/// Shortest time told apart, in nanoseconds.
const SHORTEST: u64 = 100;
/// Longest time told apart, in nanoseconds: ten minutes. Longer ones count as this.
const LONGEST: u64 = 600_000_000_000;
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code that the server gave, or that stands for what happened here.
    pub(super) code: Code,
    /// Whether the failure was found on this side: the connection broke, or the answer makes no sense.
    pub(super) local: bool,
}

impl Failure {
    /// Whether the server said that it has too much to do.
    pub(super) fn is_shed(self) -> bool {
        self.code == Code::ResourceExhausted && !self.local
    }

    fn name(self) -> String {
        let code = code_name(self.code);
        if self.local { format!("connection: {code}") } else { code.to_owned() }
    }
}

/// What came of one call, which is one question or a batch of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Questions that were allowed.
    pub(super) allowed: u64,
    /// Questions that were denied.
    pub(super) denied: u64,
    /// Questions that were answered, and nobody read how.
    pub(super) unread: u64,
    /// Questions without an answer.
    pub(super) failed: Vec<(Failure, u64)>,
}

impl Outcome {
    /// None of the questions was answered.
    pub(super) fn failure(failure: Failure, questions: u64) -> Self {
        Self { failed: vec![(failure, questions)], ..Self::default() }
    }

    /// Counts one question.
    pub(super) fn add(&mut self, decision: Result<bool, Failure>) {
        match decision {
            Ok(true) => self.allowed += 1,
            Ok(false) => self.denied += 1,
            Err(failure) => match self.failed.iter_mut().find(|(known, _)| *known == failure) {
                Some((_, count)) => *count += 1,
                None => self.failed.push((failure, 1)),
            },
        }
    }

    /// Questions that were answered.
    pub(super) const fn answered(&self) -> u64 {
        self.allowed + self.denied + self.unread
    }

    /// Questions that the server had no time for.
    pub(super) fn shed(&self) -> u64 {
        self.failed.iter().filter(|(failure, _)| failure.is_shed()).map(|(_, count)| count).sum()
    }

    /// Questions that failed otherwise.
    pub(super) fn errors(&self) -> u64 {
        self.failed.iter().filter(|(failure, _)| !failure.is_shed()).map(|(_, count)| count).sum()
    }

    /// Whether the connection is at fault.
    pub(super) fn is_broken(&self) -> bool {
        self.failed.iter().any(|(failure, _)| failure.local)
    }
}

/// When a call was due, was sent, and ended, since the start of the measurement; a call that was due in the warm-up is
/// not measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// When it should have been sent; absent: in the warm-up.
    pub(super) due: Option<Duration>,
    /// How long it waited in the generator.
    pub(super) waited: Duration,
    /// How long it took from sending on.
    pub(super) took: Duration,
    /// When it ended; absent: in the warm-up, or after the end.
    pub(super) ended: Option<Duration>,
}

/// What ended within one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Second {
    /// Questions that were answered.
    pub(super) answered: u64,
    /// Questions that the server had no time for.
    pub(super) shed: u64,
    /// Questions that failed otherwise.
    pub(super) errors: u64,
    /// The longest latency of an answer, in nanoseconds.
    pub(super) longest: u64,
}

/// What came of all calls.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Calls that were due in the window and were sent.
    pub(super) calls: u64,
    /// Questions in them.
    pub(super) sent: u64,
    /// Questions that were due in the window and were never sent, since no place was free in time.
    pub(super) not_sent: u64,
    /// Of the questions sent: allowed.
    pub(super) allowed: u64,
    /// Of the questions sent: denied.
    pub(super) denied: u64,
    /// Of the questions sent: answered, and nobody read how.
    pub(super) unread: u64,
    /// Of the questions sent: the server had no time.
    pub(super) shed: u64,
    /// Of the questions sent: failed otherwise, by the name of the failure.
    pub(super) errors: BTreeMap<String, u64>,
    /// From the moment that a call was due to its answer, in nanoseconds.
    pub(super) latency: Histogram<u64>,
    /// From sending to the answer.
    pub(super) from_sending: Histogram<u64>,
    /// From the moment that a call was due to its being refused for want of time.
    pub(super) shed_latency: Histogram<u64>,
    /// From the moment that a call was due to its failing.
    pub(super) error_latency: Histogram<u64>,
    /// From the moment that a call was due to its sending.
    pub(super) waited: Histogram<u64>,
    /// What ended in each second of the window.
    pub(super) seconds: Vec<Second>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new() -> Result<Self, String> {
        let empty = || {
            Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS)
                .map_err(|error| format!("latencies cannot be counted: {error}"))
        };
        Ok(Self {
            calls: 0,
            sent: 0,
            not_sent: 0,
            allowed: 0,
            denied: 0,
            unread: 0,
            shed: 0,
            errors: BTreeMap::new(),
            latency: empty()?,
            from_sending: empty()?,
            shed_latency: empty()?,
            error_latency: empty()?,
            waited: empty()?,
            seconds: Vec::new(),
        })
    }

    /// A call goes out that counts.
    pub(super) const fn send(&mut self, questions: u64) {
        self.calls += 1;
        self.sent += questions;
    }

    /// A call has ended.
    pub(super) fn record(&mut self, outcome: &Outcome, times: Times) {
        let latency = nanoseconds(times.waited.saturating_add(times.took));
        let (answered, shed, errors) = (outcome.answered(), outcome.shed(), outcome.errors());
        if times.due.is_some() {
            self.allowed += outcome.allowed;
            self.denied += outcome.denied;
            self.unread += outcome.unread;
            self.shed += shed;
            for (failure, count) in outcome.failed.iter().filter(|(failure, _)| !failure.is_shed()) {
                *self.errors.entry(failure.name()).or_default() += count;
            }
            self.waited.saturating_record(nanoseconds(times.waited));
            if answered > 0 {
                self.latency.saturating_record(latency);
                self.from_sending.saturating_record(nanoseconds(times.took));
            } else if shed > 0 {
                self.shed_latency.saturating_record(latency);
            } else {
                self.error_latency.saturating_record(latency);
            }
        }
        let second = times.ended.and_then(|ended| usize::try_from(ended.as_secs()).ok());
        if let Some(index) = second {
            if self.seconds.len() <= index {
                self.seconds.resize(index + 1, Second::default());
            }
            if let Some(second) = self.seconds.get_mut(index) {
                second.answered += answered;
                second.shed += shed;
                second.errors += errors;
                if answered > 0 {
                    second.longest = second.longest.max(latency);
                }
            }
        }
    }

    /// Adds what another generator counted at the same time.
    pub(super) fn beside(&mut self, other: &Self) {
        self.seconds.resize(self.seconds.len().max(other.seconds.len()), Second::default());
        for (own, more) in self.seconds.iter_mut().zip(&other.seconds) {
            own.answered += more.answered;
            own.shed += more.shed;
            own.errors += more.errors;
            own.longest = own.longest.max(more.longest);
        }
        self.merge(other);
    }

    /// Adds what was counted in a later round.
    pub(super) fn after(&mut self, later: &Self) {
        self.seconds.extend(&later.seconds);
        self.merge(later);
    }

    fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.sent += other.sent;
        self.not_sent += other.not_sent;
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.unread += other.unread;
        self.shed += other.shed;
        for (name, count) in &other.errors {
            *self.errors.entry(name.clone()).or_default() += count;
        }
        for (own, more) in [
            (&mut self.latency, &other.latency),
            (&mut self.from_sending, &other.from_sending),
            (&mut self.shed_latency, &other.shed_latency),
            (&mut self.error_latency, &other.error_latency),
            (&mut self.waited, &other.waited),
        ] {
            // All have the same bounds, so there is nothing that cannot be added.
            let _same = own.add(more);
        }
    }

    /// Of the questions sent: answered.
    pub(super) const fn answered(&self) -> u64 {
        self.allowed + self.denied + self.unread
    }

    /// Of the questions sent: failed other than for want of time.
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Of the questions sent: still under way when the measurement was over.
    pub(super) fn unanswered(&self) -> u64 {
        self.sent.saturating_sub(self.answered() + self.shed + self.failed())
    }

    /// Questions that were answered within the window, whenever they were sent.
    pub(super) fn answered_in_time(&self) -> u64 {
        self.seconds.iter().map(|second| second.answered).sum()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHED: Failure = Failure { code: Code::ResourceExhausted, local: false };
    const GONE: Failure = Failure { code: Code::Unavailable, local: true };

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn times(due: u64, waited: u64, took: u64) -> Times {
        Times { due: Some(ms(due)), waited: ms(waited), took: ms(took), ended: Some(ms(due + waited + took)) }
    }

    fn answer() -> Outcome {
        Outcome { allowed: 1, ..Outcome::default() }
    }

    fn tally() -> Tally {
        let mut tally = Tally::new().unwrap();
        for _ in 0..4 {
            tally.send(1);
        }
        tally.record(&answer(), times(100, 20, 5));
        tally.record(&Outcome::failure(SHED, 1), times(900, 0, 200));
        tally.record(&Outcome::failure(GONE, 1), times(2_000, 0, 1));
        tally
    }

    #[test]
    fn every_question_that_was_sent_is_somewhere() {
        let tally = tally();
        assert_eq!((tally.answered(), tally.shed, tally.failed(), tally.unanswered()), (1, 1, 1, 1));
        assert_eq!(tally.errors.keys().collect::<Vec<_>>(), ["connection: UNAVAILABLE"]);
    }

    #[test]
    fn latency_counts_from_the_moment_that_a_call_was_due() {
        let tally = tally();
        let about = |histogram: &Histogram<u64>| histogram.max() / 1_000_000;
        assert_eq!((about(&tally.latency), about(&tally.from_sending), about(&tally.waited)), (25, 5, 20));
        // What was refused is not in the latencies of answers.
        assert_eq!((tally.latency.len(), tally.shed_latency.len(), tally.error_latency.len()), (1, 1, 1));
        assert_eq!(about(&tally.shed_latency), 200);
    }

    #[test]
    fn seconds_are_those_in_which_calls_end() {
        let seconds = tally().seconds;
        let row = |index: usize| (seconds[index].answered, seconds[index].shed, seconds[index].errors);
        assert_eq!((seconds.len(), row(0), row(1), row(2)), (3, (1, 0, 0), (0, 1, 0), (0, 0, 1)));
        assert_eq!(seconds[0].longest, 25_000_000);
    }

    #[test]
    fn the_warm_up_counts_nowhere() {
        let mut tally = Tally::new().unwrap();
        tally.record(&answer(), Times { due: None, ended: None, ..times(0, 0, 1) });
        assert_eq!((tally.answered(), tally.latency.len(), tally.seconds.len()), (0, 0, 0));
        // Sent in the warm-up, answered in the window: it is part of the rate and of nothing else.
        tally.record(&answer(), Times { due: None, ..times(0, 0, 1) });
        assert_eq!((tally.answered(), tally.answered_in_time(), tally.latency.len()), (0, 1, 0));
    }

    #[test]
    fn generators_add_up_second_by_second_and_rounds_one_after_the_other() {
        let (mut beside, mut after) = (tally(), tally());
        beside.beside(&tally());
        after.after(&tally());
        for both in [&beside, &after] {
            assert_eq!((both.sent, both.answered(), both.shed, both.failed()), (8, 2, 2, 2));
            assert_eq!((both.latency.len(), both.waited.len()), (2, 6));
            assert_eq!(both.answered_in_time(), 2);
        }
        assert_eq!((beside.seconds.len(), after.seconds.len()), (3, 6));
        assert_eq!((beside.seconds[0].answered, after.seconds[0].answered), (2, 1));
    }

    #[test]
    fn merged_percentiles_are_those_of_all_together() {
        let (mut halves, mut whole) = ([Tally::new().unwrap(), Tally::new().unwrap()], Tally::new().unwrap());
        for number in 1..=1_000 {
            halves[usize::from(number > 900)].record(&answer(), times(0, 0, number));
            whole.record(&answer(), times(0, 0, number));
        }
        let [mut first, second] = halves;
        first.beside(&second);
        for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
            let value = first.latency.value_at_quantile(quantile);
            assert_eq!(value, whole.latency.value_at_quantile(quantile));
            let wanted = quantile * 1e9;
            assert!((value as f64 - wanted).abs() < wanted / 500.0, "{quantile}: {value}");
        }
    }

    #[test]
    fn batches_count_their_questions() {
        let mut outcome = Outcome::default();
        for decision in [Ok(true), Ok(false), Err(SHED), Err(GONE), Err(SHED)] {
            outcome.add(decision);
        }
        assert_eq!((outcome.answered(), outcome.shed(), outcome.errors()), (2, 2, 1));
        assert!(outcome.is_broken());
        let mut tally = Tally::new().unwrap();
        tally.send(5);
        tally.record(&outcome, times(0, 0, 1));
        // One call has one latency.
        assert_eq!((tally.calls, tally.sent, tally.unanswered(), tally.latency.len()), (1, 5, 0, 1));
    }
}
