//! When requests arrive in an open loop: moments that do not depend on how fast the server is.
//!
//! Must not know: what is sent.

use fastrand::Rng;
use std::time::Duration;

/// Arrivals without an end, each as the time since the start.
pub(super) struct Schedule {
    /// Arrivals a second.
    rate: f64,
    /// Number of the next one, for even gaps.
    number: u64,
    /// How far the numbers of one generator are apart.
    step: u64,
    /// Random gaps, if they are wanted.
    random: Option<Rng>,
    next: Duration,
}

impl Schedule {
    /// One of `shares` schedules that are `rate` arrivals a second together. The numbers behind random arrivals are the
    /// same in every run, so that each server and round meets the same.
    pub(super) fn new(rate: f64, share: u64, shares: u64, random: bool) -> Self {
        let shares = shares.max(1);
        let mut schedule = Self {
            rate,
            number: share,
            step: shares,
            random: random.then(|| Rng::with_seed(share)),
            next: Duration::ZERO,
        };
        schedule.next = match random {
            true => schedule.gap(),
            false => schedule.even(),
        };
        schedule
    }

    /// The next arrival.
    pub(super) const fn next(&self) -> Duration {
        self.next
    }

    /// Goes on to the arrival after it.
    pub(super) fn advance(&mut self) {
        self.number = self.number.saturating_add(self.step);
        self.next = match self.random {
            Some(_) => self.next.saturating_add(self.gap()),
            None => self.even(),
        };
    }

    /// Counted from the start each time, so that errors do not add up.
    fn even(&self) -> Duration {
        seconds(self.number as f64 / self.rate)
    }

    /// Time between two arrivals that know nothing of each other.
    fn gap(&mut self) -> Duration {
        let uniform = self.random.as_mut().map_or(0.5, Rng::f64);
        // 1 - x is never zero, whose logarithm there is none of.
        seconds(-(1.0 - uniform).ln() * self.step as f64 / self.rate)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(mut schedule: Schedule, count: usize) -> Vec<Duration> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(schedule.next());
            schedule.advance();
        }
        all
    }

    #[test]
    fn even_arrivals_do_not_drift() {
        let all = arrivals(Schedule::new(3.0, 0, 1, false), 3_000_001);
        assert_eq!(all[0], Duration::ZERO);
        assert_eq!(all[3_000_000], Duration::from_secs(1_000_000));
        assert_eq!(all[1], Duration::from_secs_f64(1.0 / 3.0));
    }

    #[test]
    fn shares_together_are_the_whole() {
        let whole = arrivals(Schedule::new(1_000.0, 0, 1, false), 300);
        let mut shares: Vec<_> =
            (0..3).flat_map(|share| arrivals(Schedule::new(1_000.0, share, 3, false), 100)).collect();
        shares.sort_unstable();
        assert_eq!(shares, whole);
    }

    #[test]
    fn random_arrivals_keep_the_rate_and_come_again() {
        let count = 100_000;
        for share in 0..2 {
            let all = arrivals(Schedule::new(10_000.0, share, 2, true), count);
            assert!(all.is_sorted());
            // 100,000 gaps of 200 us on average: 20 s, with a deviation of 0.3 %.
            let last = all[count - 1].as_secs_f64();
            assert!((19.5..20.5).contains(&last), "{last}");
            assert_eq!(all, arrivals(Schedule::new(10_000.0, share, 2, true), count));
            // Half of the gaps are below 0.69 of the average, which no even schedule has.
            let short = all.windows(2).filter(|pair| pair[1] - pair[0] < Duration::from_micros(139)).count();
            assert!((48_000..52_000).contains(&short), "{short}");
        }
    }
}
