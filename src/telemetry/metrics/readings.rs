//! What is kept elsewhere and only read when metrics are: nothing is counted twice.
//!
//! Must not know: where it is kept.

use super::family::{About, Family, Kind, Sample, Unit, Value};
use crate::telemetry::labels::{Entry, Label, WorkerState};
use std::borrow::Cow;
use std::time::Duration;

/// What was read. Absent: nobody said, and then there is no sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// The configuration in force.
    pub configuration: Option<Configuration>,
    /// Python workers: idle and busy.
    pub python_workers: Option<(u64, u64)>,
    /// Circuits to remote evaluators that are open.
    pub circuits_open: Option<u64>,
    /// The hot set: compiled binding sets that are kept, questions that found theirs, and those that did not.
    pub hot_sets: Option<(u64, u64, u64)>,
    /// Questions that are under way.
    pub requests_in_flight: Option<u64>,
    /// Records of the decision log that wait to be written.
    pub decision_log_queue: Option<u64>,
}

/// The configuration in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// Its revision.
    pub revision: u64,
    /// How long ago its source confirmed it. Absent: never, or there is no source but itself.
    pub age: Option<Duration>,
    /// Whether it is known to be behind.
    pub stale: bool,
    /// Whether questions are answered.
    pub ready: bool,
    /// How much it holds.
    pub entries: Vec<(Entry, u64)>,
}

const fn gauge(name: &'static str, help: &'static str) -> About {
    About { name, help, unit: Unit::None, kind: Kind::Gauge }
}

/// What was built.
pub(super) fn build_info() -> Family {
    let about = gauge("bindery_build_info", "Always 1; the version is in the label.");
    let labels = vec![("version", Cow::Borrowed(env!("CARGO_PKG_VERSION")))];
    Family { about, samples: vec![Sample { labels, value: Value::Number(1.0) }] }
}

impl Readings {
    /// As families; one of which nothing was read has no sample.
    pub(super) fn families(&self) -> Vec<Family> {
        let counter = |name, help| About { name, help, unit: Unit::None, kind: Kind::Counter };
        let optional = |about, value: Option<Value>| {
            let sample = |value| Sample { labels: Vec::new(), value };
            Family { about, samples: value.map(sample).into_iter().collect() }
        };
        let number = |value: u64| Value::Number(value as f64);
        let labelled = |name, word, value| Sample { labels: vec![(name, Cow::Borrowed(word))], value };
        let configuration = self.configuration.as_ref();
        let entries = configuration.map(|it| it.entries.as_slice()).unwrap_or_default();
        let entries =
            entries.iter().map(|(entry, count)| labelled(Entry::NAME, entry.word(), number(*count)));
        let workers = self.python_workers.into_iter().flat_map(|(idle, busy)| {
            [(WorkerState::Idle, idle), (WorkerState::Busy, busy)]
                .map(|(state, count)| labelled(WorkerState::NAME, state.word(), number(count)))
        });
        vec![
            Family {
                about: gauge("bindery_python_workers", "Python workers, by what they do."),
                samples: workers.collect(),
            },
            optional(
                gauge("bindery_remote_circuits_open", "Circuits to remote evaluators that are open."),
                self.circuits_open.map(number),
            ),
            optional(
                gauge("bindery_configuration_revision", "The revision in force."),
                configuration.map(|it| number(it.revision)),
            ),
            optional(
                About {
                    unit: Unit::Seconds,
                    ..gauge(
                        "bindery_configuration_age_seconds",
                        "How long ago the source confirmed the configuration; absent without a source.",
                    )
                },
                configuration.and_then(|it| it.age).map(|age| Value::Number(age.as_secs_f64())),
            ),
            optional(
                gauge("bindery_configuration_stale", "Whether the configuration is known to be behind."),
                configuration.map(|it| number(it.stale.into())),
            ),
            optional(
                gauge("bindery_configuration_ready", "Whether questions are answered."),
                configuration.map(|it| number(it.ready.into())),
            ),
            Family {
                about: gauge("bindery_configuration_entries", "What the configuration holds, by kind."),
                samples: entries.collect(),
            },
            optional(
                gauge("bindery_hot_sets", "Compiled binding sets that are kept."),
                self.hot_sets.map(|(sets, _, _)| number(sets)),
            ),
            optional(
                counter("bindery_hot_set_hits_total", "Questions that found their binding set compiled."),
                self.hot_sets.map(|(_, hits, _)| Value::Count(hits)),
            ),
            optional(
                counter("bindery_hot_set_misses_total", "Binding sets that had to be compiled."),
                self.hot_sets.map(|(_, _, misses)| Value::Count(misses)),
            ),
            optional(
                gauge("bindery_requests_in_flight", "Questions that are under way."),
                self.requests_in_flight.map(number),
            ),
            optional(
                gauge("bindery_decision_log_queue", "Records of the decision log that wait to be written."),
                self.decision_log_queue.map(number),
            ),
        ]
    }
}
