//! Python programs: run in worker processes, a few of them, so that a hostile one takes down no more than its worker and
//! holds up nobody.
//!
//! A program that takes longer than most do gives its place back and goes on beside the pool, where it stays from then
//! on, one call of each such program at a time; so others find a worker. One that does not end at its deadline has its
//! worker ended.

mod host;
mod memory;
mod meter;
mod plain;
mod wire;
mod worker;

pub use worker::main as worker_main;

use crate::model::Value;
use crate::policy::Verdict;
use crate::policy::python::{Call, Outcome, object_of};
use bytes::{Bytes, BytesMut};
use dashmap::DashMap;
use futures_util::{SinkExt as _, StreamExt as _};
use meter::{Meter, SHORT, stand_back};
use monty_types::MontyObject as Object;
use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use wire::{Ask, FromWorker, Run, ToWorker};

/// The text of the error of a program that ran too long by itself.
const TOO_SLOW: &str = "the policy ran longer than its timeout or the server's limit; make it faster";
/// The text of the error of a program that wanted too much memory.
const TOO_LARGE: &str = "the policy needs more memory than the server's limit; make it smaller";
/// The text of the error of a program whose input does not fit into a frame.
const NO_ROOM: &str = "the question with its context is larger than a policy in Python can take; send less";
/// The text of the error of a program whose worker died.
const DIED: &str = "the policy took the interpreter down, most likely by its use of memory or by deep recursion; make it smaller";
/// How long a program that took longer is kept from more than one worker.
const SUSPICION: Duration = Duration::from_secs(60);
/// How many programs are suspected before those are looked for that are not any more: of policies that are gone.
const MAX_SUSPECTS: usize = 1_000;
/// How long a program may take after its time is up before its worker is ended: some of what the interpreter does it
/// does in one piece, without a look at the clock.
const GRACE: Duration = Duration::from_millis(250);
/// A worker is replaced after this many programs, so that what leaks does not add up.
const MAX_RUNS: u32 = 100_000;
/// How deep programs may call each other.
const MAX_NESTING: usize = crate::policy::MAX_CALL_DEPTH;

/// Where programs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In processes of this program's, which take a first argument `python-worker` and then the memory in bytes.
    Process(PathBuf),
    /// On threads of this process. Faster, and for authors who are trusted: a hostile program can take the process down.
    Thread,
}

/// How programs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonOptions {
    /// Where.
    pub isolation: Isolation,
    /// How many at a time. As many again may run beside the pool because they take long.
    pub workers: usize,
    /// Memory for the programs of a worker, in bytes.
    pub memory: u64,
    /// How long a program may run at most, whatever its binding's timeout.
    pub limit: Duration,
}

impl PythonOptions {
    /// The defaults: two workers, 64 MiB, one second.
    pub const fn new(isolation: Isolation) -> Self {
        Self { isolation, workers: 2, memory: 64 << 20, limit: Duration::from_secs(1) }
    }
}

/// What a running program asks of the server.
pub(super) trait Answers: Sync {
    /// What the policy of this name says; nothing when there is none. `runner` runs the programs that it takes, and the
    /// error is the runner's.
    fn policy<'a>(
        &'a self,
        name: &'a str,
        values: Value,
        attributes: Value,
        runner: &'a mut Runner<'_>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Option<Outcome>>> + Send + 'a>>;

    /// Users with these values.
    fn users(&self, filters: &Value) -> Object;
}

/// Workers and their use.
#[derive(Debug)]
pub struct Python {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: PythonOptions,
    /// Workers with nothing to do. A lock, since it is held for a push or a pop.
    idle: Mutex<Vec<Worker>>,
    /// The same, of those that stand back: a process cannot undo that.
    idle_beside: Mutex<Vec<Worker>>,
    places: Arc<Semaphore>,
    /// For programs that take long.
    overtime: Arc<Semaphore>,
    /// Programs that took long, by the key of their script.
    suspects: DashMap<u64, Suspect>,
}

#[derive(Debug)]
struct Suspect {
    until: Instant,
    turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct Worker {
    frames: Framed<UnixStream, LengthDelimitedCodec>,
    /// Ends with this value.
    child: Option<Child>,
    known: HashSet<u64>,
    runs: u32,
    /// Whether it stands back behind what else the machine has to do.
    beside: bool,
    /// How many programs have begun on it and not come to their end.
    open: u32,
    /// For how long its programs may still keep it busy.
    left: Duration,
    /// It is not to be used again.
    spent: bool,
    /// The processor's time that it had used when its last program ended.
    used: Duration,
}

impl Python {
    /// A pool that starts workers when they are needed.
    pub fn new(options: PythonOptions) -> Self {
        let places = || Arc::new(Semaphore::new(options.workers.max(1)));
        let (idle, idle_beside, suspects) = (Mutex::default(), Mutex::default(), DashMap::new());
        let (places, overtime) = (places(), places());
        Self { shared: Arc::new(Shared { places, overtime, idle, idle_beside, suspects, options }) }
    }

    /// How many workers have nothing to do, and how many run a program.
    pub(super) fn workers(&self) -> (u64, u64) {
        let shared = &self.shared;
        let idle = shared.idle(false).len() + shared.idle(true).len();
        // As many places for programs that take long.
        let places = 2 * shared.options.workers.max(1);
        let free = shared.places.available_permits() + shared.overtime.available_permits();
        (idle as u64, places.saturating_sub(free) as u64)
    }

    /// Runs a program until its end, or `deadline`. Whoever drops this future early leaves the worker to come to its end
    /// alone.
    pub(super) async fn run(&self, call: &Call, deadline: Instant, answers: &dyn Answers) -> Outcome {
        loop {
            if let Some(outcome) = self.attempt(call, deadline, answers).await {
                return outcome;
            }
        }
    }

    /// Runs a program; nothing when it takes long and there is no room for that: then it has been ended, and may begin
    /// anew when its turn comes.
    async fn attempt(&self, call: &Call, deadline: Instant, answers: &dyn Answers) -> Option<Outcome> {
        let broken = |text: String| Some(Outcome { verdict: Verdict::error(text), raw: Value::Null });
        let shared = &self.shared;
        let key = call.script.key;
        // One that took long before waits for its turn, and not among the others: it never takes a place of theirs.
        let turn = match shared.turn(key) {
            Some(turn) => turn.acquire_owned().await.ok(),
            None => None,
        };
        let beside = turn.is_some();
        let places = if beside { &shared.overtime } else { &shared.places };
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return broken("the sidecar is shutting down".to_owned());
        };
        let worker = match shared.take(beside) {
            Ok(worker) => worker,
            Err(error) => return broken(format!("no Python worker could be started: {error}")),
        };
        let mut lease = Lease { shared, worker: Some(worker), place: Some(place), turn, done: false };
        let Some(worker) = lease.worker.as_mut() else { return broken(DIED.to_owned()) };
        worker.left = shared.options.limit;
        let mut runner = Runner { worker, deadline, depth: 0, answers };
        let meter = Meter::of(runner.worker);
        let mut stood_back = false;
        let outcome = {
            let work = runner.run(call);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    outcome = &mut work => break Some(outcome),
                    () = tokio::time::sleep(SHORT) => {}
                }
                if meter.is_long() {
                    shared.suspect(key);
                    meter.process.into_iter().for_each(stand_back);
                    stood_back = true;
                    // It goes on beside the pool, if there is room; its place is for others in any case.
                    if !beside {
                        match Arc::clone(&shared.overtime).try_acquire_owned() {
                            Ok(room) => lease.place = Some(room),
                            Err(_) => break None,
                        }
                    }
                    break Some(work.await);
                }
            }
        };
        let Some(outcome) = outcome else {
            lease.worker = None;
            return None;
        };
        match outcome {
            Ok(outcome) => {
                if let Some(worker) = lease.worker.as_mut() {
                    // It cannot have its priority back, and the next program there may be in a hurry.
                    worker.spent |= stood_back && !worker.beside;
                }
                lease.done = true;
                Some(outcome)
            }
            Err(error) => {
                lease.worker = None;
                let text = match error.kind() {
                    io::ErrorKind::TimedOut => TOO_SLOW,
                    io::ErrorKind::InvalidInput => NO_ROOM,
                    _ => DIED,
                };
                broken(text.to_owned())
            }
        }
    }
}

impl Shared {
    fn idle(&self, beside: bool) -> MutexGuard<'_, Vec<Worker>> {
        let idle = if beside { &self.idle_beside } else { &self.idle };
        idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker with nothing to do, or a new one.
    fn take(&self, beside: bool) -> io::Result<Worker> {
        loop {
            let Some(mut worker) = self.idle(beside).pop() else { break };
            if worker.lives() {
                return Ok(worker);
            }
        }
        Worker::start(&self.options, beside)
    }

    fn give_back(&self, mut worker: Worker) {
        worker.runs += 1;
        // One with a program that has begun and not ended would run the next one inside of that.
        if worker.spent || worker.open > 0 || worker.runs >= MAX_RUNS {
            return;
        }
        let mut idle = self.idle(worker.beside);
        if idle.len() < self.options.workers.max(1) {
            idle.push(worker);
        }
    }

    /// The turn that a program has to wait for that took long lately.
    fn turn(&self, key: u64) -> Option<Arc<Semaphore>> {
        if self.suspects.is_empty() {
            return None;
        }
        self.suspects.remove_if(&key, |_, suspect| suspect.until <= Instant::now());
        self.suspects.get(&key).map(|suspect| Arc::clone(&suspect.turn))
    }

    fn suspect(&self, key: u64) {
        let until = Instant::now() + SUSPICION;
        let new = || Suspect { until, turn: Arc::new(Semaphore::new(1)) };
        if self.suspects.len() >= MAX_SUSPECTS {
            self.suspects.retain(|_, suspect| suspect.until > Instant::now());
        }
        self.suspects.entry(key).or_insert_with(new).until = until;
    }
}

/// A worker in use, with the place that it takes.
struct Lease<'a> {
    shared: &'a Arc<Shared>,
    worker: Option<Worker>,
    place: Option<OwnedSemaphorePermit>,
    turn: Option<OwnedSemaphorePermit>,
    done: bool,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(mut worker) = self.worker.take() else { return };
        if self.done {
            self.shared.give_back(worker);
            return;
        }
        // Nobody waits any more. Its own limit ends the program about now; a worker that goes on is ended. Until then it
        // keeps its place. One that is inside of a called program comes to no end, since nobody answers it.
        if worker.open != 1 {
            return;
        }
        let (shared, place, turn) = (Arc::clone(self.shared), self.place.take(), self.turn.take());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            worker.left = Duration::ZERO;
            if let Ok(FromWorker::Done { .. }) = worker.read().await {
                shared.give_back(worker);
            }
            drop((place, turn));
        });
    }
}

/// Runs programs on one worker.
pub(super) struct Runner<'a> {
    worker: &'a mut Worker,
    deadline: Instant,
    depth: usize,
    answers: &'a dyn Answers,
}

impl Runner<'_> {
    /// Runs a program, and what it calls. The error says that the worker is of no use any more.
    pub(super) async fn run(&mut self, call: &Call) -> io::Result<Outcome> {
        // What a program calls runs on its time.
        let limit = self.deadline.saturating_duration_since(Instant::now()).min(self.worker.left);
        if self.depth > MAX_NESTING {
            let text = format!("policies call each other more than {MAX_NESTING} deep; break the loop");
            return Ok(Outcome { verdict: Verdict::error(text), raw: Value::Null });
        }
        let key = call.script.key;
        let (asks, beside) = (call.asks, self.worker.beside);
        let mut run = Run { key, script: None, input: call.input.clone(), limit, asks, beside };
        if self.worker.known.insert(key) {
            run.script = Some((call.script.name.to_string(), call.script.text.clone()));
        }
        self.worker.write(&ToWorker::Run(run)).await?;
        loop {
            match self.worker.read().await? {
                FromWorker::Done { said, .. } => {
                    let mut outcome = Outcome::from(said);
                    if !call.changes {
                        outcome.verdict.changes = None;
                    }
                    return Ok(outcome);
                }
                FromWorker::Unknown => {
                    let script = Some((call.script.name.to_string(), call.script.text.clone()));
                    let run = Run { key, script, input: call.input.clone(), limit, asks, beside };
                    self.worker.write(&ToWorker::Run(run)).await?;
                }
                FromWorker::Ask(Ask::Users(filters)) => {
                    let answer = self.answers.users(&filters.0);
                    self.worker.write(&ToWorker::Answer(answer)).await?;
                }
                FromWorker::Ask(Ask::Policy { name, values, attributes }) => {
                    let (answers, deadline, depth) = (self.answers, self.deadline, self.depth + 1);
                    let mut inner = Runner { worker: self.worker, deadline, depth, answers };
                    let found = answers.policy(&name, values.0, attributes.0, &mut inner).await?;
                    self.worker.write(&ToWorker::Answer(answer(found))).await?;
                }
            }
        }
    }
}

/// What a called policy said, as the calling program sees it. An error is a fail with the error's text.
fn answer(found: Option<Outcome>) -> Object {
    let Some(Outcome { verdict, raw }) = found else { return Object::None };
    let text = |text: &str| Object::String(text.to_owned());
    let (passing, messages) = match &verdict.result {
        Ok(passing) => (*passing, verdict.messages.iter().map(|message| text(message)).collect()),
        Err(error) => (false, vec![text(error)]),
    };
    let context = verdict.changes.and_then(|changes| changes.values);
    Object::dict(vec![
        (text("passing"), Object::Bool(passing)),
        (text("messages"), Object::List(messages)),
        (text("raw"), object_of(&raw)),
        (text("context"), context.as_ref().map_or(Object::None, object_of)),
    ])
}

/// What a worker tells its allocator, whose own ways would run into the limits: no thread, and nothing kept that is no longer used,
/// in memory or in addresses.
const ALLOCATOR: &str = "background_thread:false,narenas:1,retain:false,dirty_decay_ms:10,muzzy_decay_ms:0";

impl Worker {
    fn start(options: &PythonOptions, beside: bool) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let child = match &options.isolation {
            Isolation::Thread => {
                worker::on_thread(theirs, options.memory)?;
                None
            }
            Isolation::Process(program) => {
                let output = theirs.try_clone()?;
                let mut command = Command::new(program);
                command.arg("python-worker").arg(options.memory.to_string());
                // No variable of the server's is a program's business.
                command.env_clear().env("_RJEM_MALLOC_CONF", ALLOCATOR);
                command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
                command.stdout(Stdio::from(std::os::fd::OwnedFd::from(output))).stderr(Stdio::null());
                Some(command.kill_on_drop(true).spawn()?)
            }
        };
        ours.set_nonblocking(true)?;
        let codec = LengthDelimitedCodec::builder().max_frame_length(wire::MAX_FRAME).new_codec();
        let frames = Framed::new(UnixStream::from_std(ours)?, codec);
        let (known, none) = (HashSet::new(), Duration::ZERO);
        Ok(Self { frames, child, known, runs: 0, beside, open: 0, left: none, spent: false, used: none })
    }

    /// Whether its process, if it has one, is still there. Something else may have ended it.
    fn lives(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(None)))
    }

    async fn write(&mut self, message: &ToWorker) -> io::Result<()> {
        let frame = postcard::to_stdvec(message).map_err(io::Error::other)?;
        self.open += u32::from(matches!(message, ToWorker::Run(_)));
        self.frames.send(Bytes::from(frame)).await
    }

    /// Waits for what the worker says next, at most for what is left of its time and a little more.
    async fn read(&mut self) -> io::Result<FromWorker> {
        let start = Instant::now();
        let frame = tokio::time::timeout(self.left + GRACE, self.frames.next()).await;
        self.left = self.left.saturating_sub(start.elapsed());
        let frame: BytesMut = frame?.ok_or(io::ErrorKind::UnexpectedEof)??;
        let message = wire::decode(&frame)?;
        self.open = self.open.saturating_sub(u32::from(!matches!(message, FromWorker::Ask(_))));
        if let FromWorker::Done { spent, used, .. } = message {
            self.spent |= spent;
            self.used = used;
        }
        Ok(message)
    }
}

/// Reads what a worker could send, for the fuzzer. Whether it was a message.
#[cfg(fuzzing)]
pub fn read_frame(frame: &[u8]) -> bool {
    match wire::decode(frame) {
        Ok(FromWorker::Done { said, .. }) => drop(Outcome::from(said)),
        Ok(FromWorker::Ask(_) | FromWorker::Unknown) => {}
        Err(_) => return false,
    }
    true
}
