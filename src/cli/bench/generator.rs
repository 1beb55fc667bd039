//! One thread that puts load on a server: callers, and in an open loop the arrivals that they take.
//!
//! A closed loop asks again when it was answered, so a server that stalls is asked less, and the questions that would
//! have met the stall are missing from its latencies. An open loop asks when the schedule says so; what finds no place
//! waits here, and its latency counts from the moment that it was due.
//!
//! Must not know: which servers there are, how results are shown.

use super::calls::{Caller, Line, connect};
use super::questions::Prepared;
use super::schedule::Schedule;
use super::tally::{Outcome, Tally, Times};
use super::timer::Timer;
use crate::tls::client::Credentials;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// How long calls that are under way at the end may take.
const GRACE: Duration = Duration::from_secs(5);
/// The most that anything here sleeps without looking whether the end has come nearer.
const NAP: Duration = Duration::from_millis(50);
/// How long a caller of a closed loop waits when its connection is broken: asking at once would only measure how fast
/// that fails.
const BROKEN: Duration = Duration::from_millis(20);

/// How load is put on a server.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What is sent.
    pub(super) prepared: Prepared,
    /// Connections, over all threads.
    pub(super) connections: usize,
    /// The most calls under way, over all connections.
    pub(super) in_flight: usize,
    /// Threads, at most as many as connections.
    pub(super) threads: usize,
    /// Calls a second, over all threads; absent: a closed loop.
    pub(super) rate: Option<f64>,
    /// Whether arrivals are random rather than even.
    pub(super) random: bool,
    /// How long a call may wait for a place before it is given up.
    pub(super) max_wait: Duration,
    /// How long a call may take, which the server is told.
    pub(super) deadline: Option<Duration>,
    /// Whom to trust, and what shows who calls.
    pub(super) credentials: Credentials,
    /// Time before anything is measured.
    pub(super) warm_up: Duration,
    /// Time that is measured.
    pub(super) duration: Duration,
}

/// The time of a measurement, the same for all threads.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    from: Duration,
    /// Nanoseconds since the start.
    until: AtomicU64,
    /// Whether somebody ended it early.
    cut: AtomicBool,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn new(plan: &Plan) -> Self {
        let clock = Self {
            start: Instant::now(),
            from: plan.warm_up,
            until: AtomicU64::new(0),
            cut: AtomicBool::new(false),
        };
        clock.set_until(plan.warm_up.saturating_add(plan.duration));
        clock
    }

    fn set_until(&self, time: Duration) {
        self.until.store(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// When measuring begins.
    pub(super) const fn from(&self) -> Duration {
        self.from
    }

    /// When measuring ends.
    pub(super) fn until(&self) -> Duration {
        Duration::from_nanos(self.until.load(Relaxed))
    }

    /// Ends the measurement early, unless it is over.
    pub(super) fn cut(&self) {
        self.set_until(self.now().min(self.until()));
        self.cut.store(true, Relaxed);
    }

    /// How long was or will be measured.
    pub(super) fn measured(&self) -> Duration {
        self.until().saturating_sub(self.from)
    }

    /// Waits for a moment, or for the end where that comes before.
    pub(super) async fn reach(&self, moment: Duration) {
        loop {
            let left = moment.min(self.until()).saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(NAP)).await;
        }
    }
}

/// Counts for whoever watches.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Questions answered.
    pub(super) answered: AtomicU64,
    /// Questions not answered.
    pub(super) failed: AtomicU64,
}

/// What one thread has measured.
pub(super) struct Generated {
    /// What came of its calls.
    pub(super) tally: Tally,
    /// CPU time that it used while it measured.
    pub(super) cpu: Duration,
}

/// What the callers of a thread share.
struct Shared {
    plan: Arc<Plan>,
    clock: Arc<Clock>,
    live: Arc<Live>,
    /// The message that comes next, counted without an end.
    turn: AtomicUsize,
    // Locks that nobody else waits for: all callers are on one thread, and none holds them while it waits.
    tally: Mutex<Tally>,
    /// Arrivals that wait for a caller.
    queue: Mutex<VecDeque<Duration>>,
    arrived: Notify,
    closed: AtomicBool,
}

/// Connects, says so, waits for the start, and puts load on a server until the end.
///
/// # Errors
/// When there is no connection; the same is said over `connected`.
pub(super) async fn generate(
    plan: Arc<Plan>,
    url: String,
    thread: usize,
    live: Arc<Live>,
    connected: mpsc::UnboundedSender<Result<(), String>>,
    mut start: watch::Receiver<Option<Arc<Clock>>>,
) -> Result<Generated, String> {
    let lines = lines(&plan, &url, thread).await;
    let _heard = connected.send(lines.as_ref().map(|_| ()).map_err(Clone::clone));
    let (lines, timer) = (lines?, Timer::new()?);
    drop(connected);
    let clock = match start.wait_for(Option::is_some).await.map(|clock| clock.clone()) {
        Ok(Some(clock)) => clock,
        // Another thread has no connection.
        _ => return Err("the measurement was given up".to_owned()),
    };
    let shared = Arc::new(Shared {
        tally: Mutex::new(Tally::new()?),
        plan: Arc::clone(&plan),
        clock: Arc::clone(&clock),
        live,
        // Threads begin far from each other.
        turn: AtomicUsize::new(thread * (plan.prepared.bodies.len() / plan.threads.max(1))),
        queue: Mutex::default(),
        arrived: Notify::new(),
        closed: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for number in 0..plan.in_flight {
        let connection = number % plan.connections;
        if connection % plan.threads != thread {
            continue;
        }
        let Some(line) = lines.get(connection / plan.threads) else { continue };
        let name = u32::try_from(number).unwrap_or(u32::MAX);
        let caller = Caller::new(line, name, &plan.prepared, plan.deadline);
        tasks.spawn(work(Arc::clone(&shared), caller));
    }
    if let Some(rate) = plan.rate {
        let schedule = Schedule::new(rate, thread as u64, plan.threads as u64, plan.random);
        tasks.spawn(arrive(Arc::clone(&shared), schedule, timer));
    }
    clock.reach(clock.from()).await;
    let before = cpu();
    clock.reach(Duration::MAX).await;
    let used = cpu().saturating_sub(before);
    let finished = async { while tasks.join_next().await.is_some() {} };
    let draining = if plan.rate.is_some() { plan.max_wait } else { Duration::ZERO };
    // Whoever is still under way after that has no answer.
    let _in_time = tokio::time::timeout(GRACE.saturating_add(draining), finished).await;
    tasks.shutdown().await;
    let tally = lock(&shared.tally).clone();
    Ok(Generated { tally, cpu: used })
}

/// The connections of one thread.
async fn lines(plan: &Plan, url: &str, thread: usize) -> Result<Vec<Arc<Line>>, String> {
    let mut lines = Vec::new();
    for _ in (thread..plan.connections).step_by(plan.threads) {
        lines.push(Arc::new(Line::new(connect(url, &plan.credentials).await?)));
    }
    Ok(lines)
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Makes calls until the end.
async fn work(shared: Arc<Shared>, mut caller: Caller) {
    while let Some(due) = shared.next().await {
        let bodies = &shared.plan.prepared.bodies;
        let turn = shared.turn.fetch_add(1, Relaxed);
        let Some(body) = bodies.get(turn % bodies.len().max(1)) else { return };
        let sent = shared.send(due);
        let outcome = caller.call(body.clone()).await;
        shared.record(&outcome, due, sent);
        if shared.plan.rate.is_none() && outcome.is_broken() {
            tokio::time::sleep(BROKEN).await;
        }
    }
}

/// Lets arrivals in as they are due.
async fn arrive(shared: Arc<Shared>, mut schedule: Schedule, timer: Timer) {
    loop {
        let (now, until) = (shared.clock.now(), shared.clock.until());
        // Also those that this thread had no time for before the end.
        while schedule.next() <= now && schedule.next() < until {
            lock(&shared.queue).push_back(schedule.next());
            shared.arrived.notify_one();
            schedule.advance();
        }
        if now >= until {
            break;
        }
        shared.give_up(now);
        timer.sleep(schedule.next().saturating_sub(now).min(NAP)).await;
    }
    // What was due in time gets its place or is given up as before, so that its latency is not better than it was.
    while !lock(&shared.queue).is_empty() && !shared.clock.cut.load(Relaxed) {
        shared.give_up(shared.clock.now());
        timer.sleep(NAP / 10).await;
    }
    let waiting: Vec<Duration> = lock(&shared.queue).drain(..).collect();
    for due in waiting {
        shared.miss(due);
    }
    shared.closed.store(true, Relaxed);
    shared.arrived.notify_waiters();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// When the next call of a caller is due: now in a closed loop, with the next arrival in an open one. None after
    /// the end.
    async fn next(&self) -> Option<Duration> {
        if self.plan.rate.is_none() {
            let now = self.clock.now();
            return (now < self.clock.until()).then_some(now);
        }
        loop {
            self.give_up(self.clock.now());
            // Taken out of its lock before this waits.
            let due = lock(&self.queue).pop_front();
            match due {
                Some(due) => return Some(due),
                None if self.closed.load(Relaxed) => return None,
                None => self.arrived.notified().await,
            }
        }
    }

    /// Gives up what has waited for too long.
    fn give_up(&self, now: Duration) {
        let mut queue = lock(&self.queue);
        while let Some(due) = queue.front().copied()
            && now.saturating_sub(due) > self.plan.max_wait
        {
            queue.pop_front();
            self.miss(due);
        }
    }

    /// Counts what is never sent.
    fn miss(&self, due: Duration) {
        if due >= self.clock.from() {
            lock(&self.tally).not_sent += self.plan.prepared.each;
        }
    }

    /// Counts a call that goes out; says when that is.
    fn send(&self, due: Duration) -> Duration {
        if due >= self.clock.from() {
            lock(&self.tally).send(self.plan.prepared.each);
        }
        if self.plan.rate.is_none() { due } else { self.clock.now() }
    }

    fn record(&self, outcome: &Outcome, due: Duration, sent: Duration) {
        let (ended, from, until) = (self.clock.now(), self.clock.from(), self.clock.until());
        let times = Times {
            due: due.checked_sub(from),
            waited: sent.saturating_sub(due),
            took: ended.saturating_sub(sent),
            ended: ended.checked_sub(from).filter(|_| ended < until),
        };
        lock(&self.tally).record(outcome, times);
        self.live.answered.fetch_add(outcome.answered(), Relaxed);
        if !outcome.failed.is_empty() {
            self.live.failed.fetch_add(outcome.shed() + outcome.errors(), Relaxed);
        }
    }
}
