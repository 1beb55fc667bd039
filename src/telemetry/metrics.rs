//! Every metric of this process, known in advance: whoever counts has its handle, and nothing is looked up or locked on
//! the path of a question.
//!
//! Must not know: who counts, who reads, how they are written.

mod family;
mod process;
mod readings;
mod text;

pub use family::{About, BOUNDS, Counters, Family, Gauges, Histograms, Kind, Sample, Unit, Value};
pub use readings::{Configuration, Readings};
pub use text::Format;

use super::labels::{
    Access, Answer, CallerRefusal, ConnectResult, ConnectionRefusal, Door, ErrorReason, GatewayDoor,
    GatewayReason, Listener, LostReason, NackReason, Outside, PolicyLabel, PolicyResult, ReloadResult,
    Reloaded, SendResult, Service, ShedReason, Signal, UpdateResult, UpdateSource, WriteResult,
};
use crate::model::TargetKind;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Reads what is kept elsewhere.
type Probe = Box<dyn Fn(&mut Readings) + Send + Sync>;

/// All metrics. One for each process; servers in one process may share it or have their own.
pub struct Metrics {
    decisions: Counters<(Door, Option<TargetKind>, Answer)>,
    errors: Counters<(Door, ErrorReason)>,
    durations: Histograms<(Door,)>,
    gateway: Counters<(GatewayDoor, GatewayReason)>,
    evaluations: Counters<(Outside, PolicyResult)>,
    policy_errors: Counters<(PolicyLabel,)>,
    policy_durations: Histograms<(Outside,)>,
    updates: Counters<(UpdateSource, UpdateResult)>,
    nacks: Counters<(NackReason,)>,
    update_durations: Histograms<()>,
    publishers: Gauges<()>,
    followers: Gauges<()>,
    hub_connected: Gauges<()>,
    hub_connects: Counters<(ConnectResult,)>,
    last_good: Counters<(WriteResult,)>,
    shed: Counters<(Service, ShedReason)>,
    connections: Gauges<(Listener,)>,
    connections_opened: Counters<(Listener,)>,
    connections_refused: Counters<(Listener, ConnectionRefusal)>,
    callers_refused: Counters<(Access, CallerRefusal)>,
    certificate_expiry: Gauges<(Listener,)>,
    reloads: Counters<(Reloaded, ReloadResult)>,
    log_records: Counters<()>,
    log_lost: Counters<(LostReason,)>,
    log_errors: Counters<()>,
    exports: Counters<(Signal, SendResult)>,
    spans_dropped: Counters<()>,
    /// Held while metrics are read, never while something is counted.
    probes: Mutex<Vec<Probe>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        Self {
            decisions: Counters::new(
                "bindery_decisions_total",
                "Questions that were answered, by door, kind of target and outcome.",
            ),
            errors: Counters::new(
                "bindery_decision_errors_total",
                "Questions that could not be answered, by door and reason.",
            ),
            durations: Histograms::new(
                "bindery_decision_duration_seconds",
                "How long questions took, from the message to its answer.",
            ),
            gateway: Counters::new(
                "bindery_gateway_answers_total",
                "Answers to gateways, by door and reason.",
            ),
            evaluations: Counters::new(
                "bindery_policy_evaluations_total",
                "Policies that leave the process or wait, by what came of them.",
            ),
            policy_errors: Counters::new(
                "bindery_policy_errors_total",
                "Policies that errored, by kind; the failure result of their binding counted instead.",
            ),
            policy_durations: Histograms::new(
                "bindery_policy_duration_seconds",
                "How long policies took that leave the process or wait.",
            ),
            updates: Counters::new(
                "bindery_updates_total",
                "Changes of the configuration, by where they came from and what came of them.",
            ),
            nacks: Counters::new("bindery_nacks_total", "Changes from streams that were refused, by reason."),
            update_durations: Histograms::new(
                "bindery_update_duration_seconds",
                "How long it took to put a change of the configuration into force.",
            ),
            publishers: Gauges::new("bindery_publishers", "Publishers that are connected."),
            followers: Gauges::new("bindery_followers", "Followers that are connected."),
            hub_connected: Gauges::unset(
                "bindery_hub_connected",
                "Whether a hub is followed at the moment; absent where none is set.",
                Unit::None,
            ),
            hub_connects: Counters::new(
                "bindery_hub_connects_total",
                "Attempts to reach a hub, by what came of them.",
            ),
            last_good: Counters::new(
                "bindery_last_good_writes_total",
                "Writes of the last-good file, by what came of them.",
            ),
            shed: Counters::new(
                "bindery_requests_shed_total",
                "Requests that were not taken since there was too much to do.",
            ),
            connections: Gauges::new("bindery_connections", "Open connections, by listener."),
            connections_opened: Counters::new(
                "bindery_connections_total",
                "Connections that were taken, by listener.",
            ),
            connections_refused: Counters::new(
                "bindery_connections_refused_total",
                "Connections that were not taken, by listener and reason.",
            ),
            callers_refused: Counters::new(
                "bindery_callers_refused_total",
                "Callers that were refused, by service and reason.",
            ),
            certificate_expiry: Gauges::unset(
                "bindery_certificate_expiry_timestamp_seconds",
                "When the certificate of a listener ends, in seconds since 1970; absent without one.",
                Unit::Seconds,
            ),
            reloads: Counters::new(
                "bindery_reloads_total",
                "Files that were read anew, by what they hold and what came of it.",
            ),
            log_records: Counters::new(
                "bindery_decision_log_records_total",
                "Records that were written to the decision log.",
            ),
            log_lost: Counters::new(
                "bindery_decision_log_lost_total",
                "Records that the decision log lost, by reason; the log itself tells which.",
            ),
            log_errors: Counters::new(
                "bindery_decision_log_write_errors_total",
                "Failed attempts to write to the decision log; they are repeated.",
            ),
            exports: Counters::new(
                "bindery_otlp_exports_total",
                "Batches sent over OTLP, by signal and what came of them.",
            ),
            spans_dropped: Counters::new(
                "bindery_spans_dropped_total",
                "Spans that were dropped since the collector did not take them.",
            ),
            probes: Mutex::default(),
        }
    }

    /// Adds something that reads what is kept elsewhere, whenever metrics are read.
    pub fn probe(&self, probe: impl Fn(&mut Readings) + Send + Sync + 'static) {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(probe));
    }

    /// Everything, as it is now.
    pub fn collect(&self) -> Vec<Family> {
        let mut readings = Readings::default();
        for probe in self.probes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            probe(&mut readings);
        }
        let mut all = vec![readings::build_info()];
        all.extend([
            self.decisions.family(),
            self.errors.family(),
            self.durations.family(),
            self.gateway.family(),
            self.evaluations.family(),
            self.policy_errors.family(),
            self.policy_durations.family(),
            self.updates.family(),
            self.nacks.family(),
            self.update_durations.family(),
            self.publishers.family(),
            self.followers.family(),
            self.hub_connected.family(),
            self.hub_connects.family(),
            self.last_good.family(),
            self.shed.family(),
            self.connections.family(),
            self.connections_opened.family(),
            self.connections_refused.family(),
            self.callers_refused.family(),
            self.certificate_expiry.family(),
            self.reloads.family(),
            self.log_records.family(),
            self.log_lost.family(),
            self.log_errors.family(),
            self.exports.family(),
            self.spans_dropped.family(),
        ]);
        all.extend(readings.families());
        all.extend(process::families());
        all
    }

    /// Everything, as text for Prometheus.
    ///
    /// # Errors
    /// Never with metrics that are well formed.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        text::write(&self.collect(), format)
    }

    /// A question was answered.
    pub fn decided(&self, door: Door, kind: Option<TargetKind>, answer: Answer, took: Duration) {
        self.decisions.raise((door, kind, answer));
        self.durations.observe((door,), took);
    }

    /// A question could not be answered.
    pub fn undecided(&self, door: Door, reason: ErrorReason, took: Duration) {
        self.errors.raise((door, reason));
        self.durations.observe((door,), took);
    }

    /// A gateway has its answer.
    pub fn gateway_answered(&self, door: GatewayDoor, reason: GatewayReason) {
        self.gateway.raise((door, reason));
    }

    /// A policy that leaves the process, or waits, has come to its end.
    pub fn policy_evaluated(&self, kind: Outside, result: PolicyResult, took: Duration) {
        self.evaluations.raise((kind, result));
        self.policy_durations.observe((kind,), took);
    }

    /// A policy errored.
    pub fn policy_errored(&self, kind: PolicyLabel) {
        self.policy_errors.raise((kind,));
    }

    /// A change of the configuration came, and was put into force or refused after so long.
    pub fn updated(&self, source: UpdateSource, result: UpdateResult, took: Duration) {
        self.updates.raise((source, result));
        self.update_durations.observe((), took);
    }

    /// A change from a stream was refused.
    pub fn nacked(&self, reason: NackReason) {
        self.nacks.raise((reason,));
    }

    /// A publisher came (1) or went (-1).
    pub fn publishers(&self, change: i64) {
        self.publishers.add((), change);
    }

    /// A follower came (1) or went (-1).
    pub fn followers(&self, change: i64) {
        self.followers.add((), change);
    }

    /// A hub is followed now, or not any more.
    pub fn hub_connected(&self, connected: bool) {
        self.hub_connected.set((), connected.into());
    }

    /// A hub was tried.
    pub fn hub_tried(&self, result: ConnectResult) {
        self.hub_connects.raise((result,));
    }

    /// The last-good file was written, or could not be.
    pub fn last_good_written(&self, result: WriteResult) {
        self.last_good.raise((result,));
    }

    /// A request was not taken.
    pub fn shed(&self, service: Service, reason: ShedReason) {
        self.shed.raise((service, reason));
    }

    /// A connection was taken.
    pub fn connection_opened(&self, listener: Listener) {
        self.connections.add((listener,), 1);
        self.connections_opened.raise((listener,));
    }

    /// A connection that was taken is closed.
    pub fn connection_closed(&self, listener: Listener) {
        self.connections.add((listener,), -1);
    }

    /// A connection was not taken.
    pub fn connection_refused(&self, listener: Listener, reason: ConnectionRefusal) {
        self.connections_refused.raise((listener, reason));
    }

    /// A caller was refused.
    pub fn caller_refused(&self, service: Access, reason: CallerRefusal) {
        self.callers_refused.raise((service, reason));
    }

    /// When the certificate of a listener ends, in seconds since 1970.
    pub fn certificate_expires(&self, listener: Listener, seconds: i64) {
        self.certificate_expiry.set((listener,), seconds);
    }

    /// A file was read anew.
    pub fn reloaded(&self, what: Reloaded, result: ReloadResult) {
        self.reloads.raise((what, result));
    }

    /// So many records are in the decision log.
    pub fn decision_log_written(&self, records: u64) {
        self.log_records.add((), records);
    }

    /// So many records of the decision log are lost.
    pub fn decision_log_lost(&self, reason: LostReason, records: u64) {
        self.log_lost.add((reason,), records);
    }

    /// The decision log could not be written to.
    pub fn decision_log_failed(&self) {
        self.log_errors.raise(());
    }

    /// A batch was sent over OTLP, or could not be.
    pub fn exported(&self, signal: Signal, result: SendResult) {
        self.exports.raise((signal, result));
    }

    /// So many spans were dropped.
    pub fn spans_dropped(&self, spans: u64) {
        self.spans_dropped.add((), spans);
    }
}

#[cfg(test)]
mod tests;
