//! Measures servers in turns.
//!
//! Must not know: how a call is made, how results are shown.

use super::generator::{Clock, Generated, Live, Plan, generate};
use super::process::{Usage, Whose, usage};
use super::tally::Tally;
use crate::cli::output::Screen;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How often progress is shown, and memory is looked at.
const TICK: Duration = Duration::from_millis(250);

/// A server that is measured.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As it was named.
    pub(super) name: String,
    /// Where it is.
    pub(super) url: String,
    /// Whose CPU time and memory its are.
    pub(super) whose: Option<Whose>,
}

/// What a server used in a round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// CPU time.
    pub(super) cpu: Duration,
    /// Bytes in memory at the end.
    pub(super) resident: u64,
    /// The most bytes in memory that were seen.
    pub(super) most_resident: u64,
}

/// What was measured of one server in one round.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// What came of the calls.
    pub(super) tally: Tally,
    /// How long was measured.
    pub(super) measured: Duration,
    /// What the server used.
    pub(super) used: Option<Used>,
    /// How busy the busiest thread of the generator was, from 0 to 1.
    pub(super) busy: f64,
}

impl Round {
    /// Questions answered a second.
    pub(super) fn rate(&self) -> f64 {
        self.tally.answered_in_time() as f64 / self.measured.as_secs_f64().max(f64::EPSILON)
    }
}

/// Everything that was measured.
pub(super) struct Measured {
    /// For each server, in order, what was measured in each round.
    pub(super) rounds: Vec<Vec<Round>>,
    /// Whether somebody ended it early.
    pub(super) interrupted: bool,
}

/// Measures servers in turns, each once a round.
///
/// # Errors
/// When a server cannot be reached, or nothing was measured before somebody ended it.
pub(super) async fn measure(
    plan: &Arc<Plan>,
    targets: &[Target],
    rounds: usize,
    screen: &mut Screen<'_>,
) -> Result<Measured, String> {
    // One for all rounds, so that a signal between two of them is not missed.
    let mut interrupts =
        signal(SignalKind::interrupt()).map_err(|error| format!("there are no signals: {error}"))?;
    let mut measured = Measured { rounds: vec![Vec::new(); targets.len()], interrupted: false };
    for number in 1..=rounds {
        for (target, done) in targets.iter().zip(&mut measured.rounds) {
            let title = if targets.len() > 1 || rounds > 1 {
                format!("round {number} of {rounds}, {}", target.name)
            } else {
                target.name.clone()
            };
            let (round, interrupted) = one(plan, target, &title, screen, &mut interrupts).await?;
            // What is cut short in the warm-up has measured nothing.
            if !round.measured.is_zero() {
                done.push(round);
            }
            if interrupted {
                measured.interrupted = true;
                return Ok(measured);
            }
        }
    }
    Ok(measured)
}

async fn one(
    plan: &Arc<Plan>,
    target: &Target,
    title: &str,
    screen: &mut Screen<'_>,
    interrupts: &mut Signal,
) -> Result<(Round, bool), String> {
    let live = Arc::new(Live::default());
    let (start, started) = watch::channel(None);
    let (connected, mut connections) = mpsc::unbounded_channel();
    let (finished, mut results) = mpsc::unbounded_channel();
    for number in 0..plan.threads {
        let (finished, url, plan) = (finished.clone(), target.url.clone(), Arc::clone(plan));
        let (live, connected, started) = (Arc::clone(&live), connected.clone(), started.clone());
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = runtime
                .map_err(|error| format!("the runtime cannot be started: {error}"))
                .and_then(|runtime| runtime.block_on(generate(plan, url, number, live, connected, started)));
            let _heard = finished.send(result);
        };
        let spawned = thread::Builder::new().name("bench".to_owned()).spawn(run);
        spawned.map_err(|error| format!("a thread cannot be started: {error}"))?;
    }
    drop((finished, connected, started));
    while let Some(connection) = connections.recv().await {
        connection?;
    }
    let clock = Arc::new(Clock::new(plan));
    start.send_replace(Some(Arc::clone(&clock)));
    let mut watched = Watched { target, used: Used::default(), before: None, after: None };
    let interrupted = tokio::select! {
        () = watched.watch(&clock, &live, title, screen) => false,
        Some(()) = interrupts.recv() => {
            clock.cut();
            true
        }
    };
    watched.finish();
    screen.show_progress(format_args!("{title}: waiting for the last answers"));
    let (mut tally, mut busiest) = (Tally::new()?, Duration::ZERO);
    while let Some(result) = results.recv().await {
        let Generated { tally: more, cpu } = result?;
        tally.beside(&more);
        busiest = busiest.max(cpu);
    }
    screen.show_progress("");
    let measured = clock.measured();
    let busy = busiest.as_secs_f64() / measured.as_secs_f64().max(f64::EPSILON);
    Ok((Round { tally, measured, used: watched.used(), busy: busy.min(1.0) }, interrupted))
}

/// A server while it is measured.
struct Watched<'a> {
    target: &'a Target,
    used: Used,
    before: Option<Usage>,
    after: Option<Usage>,
}

impl Watched<'_> {
    fn usage(&self) -> Option<Usage> {
        self.target.whose.as_ref().and_then(usage)
    }

    /// Shows how far it is, and looks at the server, until the end.
    async fn watch(&mut self, clock: &Clock, live: &Live, title: &str, screen: &mut Screen<'_>) {
        let mut last = (Duration::ZERO, 0);
        while clock.now() < clock.until() {
            let now = clock.now();
            if now >= clock.from() && self.before.is_none() {
                self.before = self.usage();
            }
            let resident = self.usage().unwrap_or_default().resident;
            self.used.most_resident = self.used.most_resident.max(resident);
            let answered = live.answered.load(Relaxed);
            let rate =
                answered.saturating_sub(last.1) as f64 / now.saturating_sub(last.0).as_secs_f64().max(1e-3);
            let failed = live.failed.load(Relaxed);
            let what = if now < clock.from() { "warming up" } else { "measuring" };
            screen.show_progress(format_args!(
                "{title}: {what}, {:.0} of {:.0} s, {rate:.0} answers/s, {failed} not answered",
                now.as_secs_f64(),
                clock.until().as_secs_f64(),
            ));
            last = (now, answered);
            let next = now.saturating_add(TICK);
            // Not past the moment from which CPU time counts.
            let next = if now < clock.from() { next.min(clock.from()) } else { next };
            clock.reach(next).await;
        }
    }

    /// The end has come.
    fn finish(&mut self) {
        self.after = self.usage();
    }

    fn used(self) -> Option<Used> {
        let (before, after) = (self.before?, self.after?);
        let most_resident = self.used.most_resident.max(after.resident);
        Some(Used { cpu: after.cpu.saturating_sub(before.cpu), resident: after.resident, most_resident })
    }
}
