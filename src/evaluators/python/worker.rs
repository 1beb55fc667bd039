//! A Python worker: compiles scripts, keeps them, runs them one at a time under limits.
//!
//! It is a process of its own, so that a program that exhausts stack or memory takes down no more than this. Must not
//! know: the configuration, other workers.

use super::host;
use super::memory::Memory;
use super::plain::Plain;
use super::wire::{self, Ask, FromWorker, MAX_FRAME, Run, ToWorker};
use crate::policy::Verdict;
use crate::policy::python::{Outcome, Script, refusal, value_of, verdict};
use monty::{MontyRun, RunProgress};
use monty_types::{
    CompileOptions, ExcType, MontyException, MontyObject as Object, PrintWriter, ResourceLimits,
    ResourceTracker,
};
use std::collections::HashMap;
use std::io::{self, Read, Write};

/// The most scripts that a worker keeps compiled; then it starts anew.
const MAX_SCRIPTS: usize = 512;
/// How often a program may ask.
const MAX_ASKS: usize = 10_000;
/// How deep functions may call each other.
const MAX_RECURSION: usize = 400;
/// The stack of the thread that runs programs. What the interpreter does natively for each level of
/// [`MAX_RECURSION`] fits well inside.
const STACK: usize = 64 << 20;

/// What the process itself may need beyond the programs' memory: between two looks at it, and to say what happened.
const HEADROOM: u64 = 16 << 20;
/// The longest name of a policy that is called.
const MAX_NAME: usize = 1_024;
const NO_NAME: &str =
    "the policy calls another one by a name that is longer than any; name one that there is";

/// Runs a worker over standard input and output until the input ends, with `memory` bytes for programs. For a process
/// of its own: it gives up what it does not need, for good.
///
/// # Errors
/// When the limits cannot be set, or the server speaks another language.
pub fn main(memory: u64) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let measured = Memory::start(memory)?;
        confine(memory)?;
        let (input, output) = (io::stdin().lock(), io::stdout().lock());
        Worker::new(input, output, memory, Some(measured)).serve()
    });
    thread.map_err(text)?.join().map_err(|_| "the interpreter failed".to_owned())?.map_err(text)
}

/// As [`main`], on a thread of this process and without its limits, over these ends.
pub(super) fn on_thread(stream: std::os::unix::net::UnixStream, memory: u64) -> io::Result<()> {
    let input = stream.try_clone()?;
    let work = move || {
        // The server's end is gone, or it speaks nonsense: nobody is left to tell.
        let _ended = Worker::new(input, stream, memory, None).serve();
    };
    std::thread::Builder::new().name("python".to_owned()).stack_size(STACK).spawn(work).map(drop)
}

/// Bounds memory, and takes away files, children and core dumps.
fn confine(memory: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = |value| Rlimit { current: Some(value), maximum: Some(value) };
    let ceiling = Memory::written()?.saturating_add(memory).saturating_add(HEADROOM);
    setrlimit(Resource::Data, most(ceiling))?;
    setrlimit(Resource::Core, most(0))?;
    setrlimit(Resource::Fsize, most(0))?;
    setrlimit(Resource::Nofile, most(3))?;
    setrlimit(Resource::Nproc, most(0))?;
    Ok(())
}

struct Worker<R, W> {
    input: R,
    output: W,
    memory: usize,
    /// What the process takes; nothing when it is not the worker's own.
    measured: Option<Memory>,
    scripts: HashMap<u64, Compiled>,
    stands_back: bool,
}

/// A compiled script. A run that may be interrupted uses its copy up, so that there is one in stock, made while nobody
/// waits.
struct Compiled {
    script: MontyRun,
    stock: Option<MontyRun>,
}

/// How a program ended that gave no result.
type Failed = Verdict;

impl<R: Read, W: Write> Worker<R, W> {
    fn new(input: R, output: W, memory: u64, measured: Option<Memory>) -> Self {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Self { input, output, memory, measured, scripts: HashMap::new(), stands_back: false }
    }

    fn serve(mut self) -> io::Result<()> {
        while let Some(message) = wire::read(&mut self.input)? {
            match message {
                ToWorker::Run(run) => self.run(run)?,
                ToWorker::Answer(_) => return Err(io::Error::other("an answer to nothing")),
            }
        }
        Ok(())
    }

    fn run(&mut self, run: Run) -> io::Result<()> {
        let Run { key, script, input, limit, asks, beside } = run;
        if beside && !self.stands_back {
            self.stands_back = true;
            // Others come first. It may not be allowed; then they share.
            let _refused = rustix::process::setpriority_process(None, super::meter::NICE);
        }
        if let Some((name, text)) = script {
            if self.scripts.len() >= MAX_SCRIPTS {
                self.scripts.clear();
            }
            let script = Script { key, name: name.into(), text };
            let compiled =
                MontyRun::new(script.text.clone(), "policy", Script::inputs(), CompileOptions::default());
            match compiled {
                Ok(compiled) => {
                    self.scripts.insert(key, Compiled { script: compiled, stock: None });
                }
                Err(error) => return self.done(failed(Verdict::error(script.describe(&error)))),
            }
        }
        let Some(program) = self.scripts.get_mut(&key) else {
            return wire::write(&mut self.output, &FromWorker::Unknown);
        };
        let limits = ResourceLimits {
            max_duration: Some(limit),
            max_memory: Some(self.memory),
            max_recursion_depth: MAX_RECURSION,
            max_suspensions: MAX_ASKS,
            gc_interval: None,
        };
        let tracker = ResourceTracker::new(limits);
        let measuring = self.measured.as_ref().map(Memory::measure);
        let result = if asks {
            let program = program.stock.take().unwrap_or_else(|| program.script.clone());
            self.drive(program, input, tracker)?
        } else {
            // A program that cannot ask runs without the means to go on later, which have to be made for each run.
            let run = program.script.run(vec![input, host_function()], tracker, PrintWriter::Disabled);
            run.map_err(|error| describe(&error))
        };
        drop(measuring);
        self.done(match result {
            Ok(result) => verdict(result),
            Err(verdict) => failed(verdict),
        })?;
        if let (true, Some(program)) = (asks, self.scripts.get_mut(&key)) {
            program.stock.get_or_insert_with(|| program.script.clone());
        }
        Ok(())
    }

    fn done(&mut self, outcome: Outcome) -> io::Result<()> {
        let spent = self.measured.as_ref().is_some_and(Memory::is_spent);
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let used = used.try_into().unwrap_or_default();
        wire::write(&mut self.output, &FromWorker::Done { said: outcome.into(), spent, used })
    }

    /// Runs a program to its end, and answers what it asks.
    fn drive(
        &mut self,
        program: MontyRun,
        input: Object,
        tracker: ResourceTracker,
    ) -> io::Result<Result<Object, Failed>> {
        let now = match &input {
            Object::Dict(pairs) => {
                pairs.into_iter().find(|(key, _)| is(key, "now")).map(|(_, now)| now.clone())
            }
            _ => None,
        };
        let mut progress = program.start(vec![input, host_function()], tracker, PrintWriter::Disabled);
        for _ in 0..MAX_ASKS {
            progress = match progress {
                Err(error) => return Ok(Err(describe(&error))),
                Ok(RunProgress::Complete(result)) => return Ok(Ok(result)),
                Ok(RunProgress::FunctionCall(call)) if call.function_name == "_host" => {
                    let mut args = call.args.iter();
                    let what = match args.next() {
                        Some(Object::String(what)) => what.as_str(),
                        _ => "",
                    };
                    match (what, args.as_slice()) {
                        ("refuse", [Object::String(name)]) => {
                            return Ok(Err(Verdict::error(refusal(name))));
                        }
                        ("policy", [Object::String(name), values, attributes]) => {
                            let (values, attributes) = match (value_of(values), value_of(attributes)) {
                                (Ok(values), Ok(attributes)) => (Plain(values), Plain(attributes)),
                                (Err(much), _) | (_, Err(much)) => {
                                    return Ok(Err(Verdict::error(much.to_string())));
                                }
                            };
                            if name.len() > MAX_NAME {
                                return Ok(Err(Verdict::error(NO_NAME)));
                            }
                            let answer = self.ask(Ask::Policy { name: name.clone(), values, attributes })?;
                            call.resume(answer, PrintWriter::Disabled)
                        }
                        ("users", [filters]) => match value_of(filters) {
                            Ok(filters) => {
                                let answer = self.ask(Ask::Users(Plain(filters)))?;
                                call.resume(answer, PrintWriter::Disabled)
                            }
                            Err(much) => return Ok(Err(Verdict::error(much.to_string()))),
                        },
                        (what, args) => match host::call(what, args) {
                            Ok(answer) => call.resume(answer, PrintWriter::Disabled),
                            Err(text) => {
                                let error = MontyException::new(ExcType::ValueError, Some(text));
                                call.resume(error, PrintWriter::Disabled)
                            }
                        },
                    }
                }
                Ok(RunProgress::FunctionCall(call)) => {
                    let text = format!("name '{}' is not defined", call.function_name);
                    call.resume(MontyException::new(ExcType::NameError, Some(text)), PrintWriter::Disabled)
                }
                Ok(RunProgress::NameLookup(lookup)) => {
                    lookup.resume(monty_types::NameLookupResult::Undefined, PrintWriter::Disabled)
                }
                Ok(RunProgress::OsCall(call)) => match host::moment(&call.function_call, now.as_ref()) {
                    Some(answer) => call.resume(answer, PrintWriter::Disabled),
                    None => {
                        let name = call.function_call.to_string();
                        return Ok(Err(Verdict::error(refusal(&name))));
                    }
                },
                Ok(RunProgress::ResolveFutures(_)) => {
                    return Ok(Err(Verdict::error("a policy cannot wait for something; return a value")));
                }
            };
        }
        Ok(Err(Verdict::error(format!("the policy asked the sidecar more than {MAX_ASKS} times; ask less"))))
    }

    /// Asks the server, and runs what it wants run before it answers.
    fn ask(&mut self, ask: Ask) -> io::Result<Object> {
        wire::write(&mut self.output, &FromWorker::Ask(ask))?;
        loop {
            match wire::read(&mut self.input)? {
                Some(ToWorker::Answer(answer)) => return Ok(answer),
                Some(ToWorker::Run(run)) => self.run(run)?,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

fn host_function() -> Object {
    Object::Function { name: "_host".to_owned(), docstring: None }
}

fn is(key: &Object, name: &str) -> bool {
    matches!(key, Object::String(key) if key == name)
}

const fn failed(verdict: Verdict) -> Outcome {
    Outcome { verdict, raw: crate::model::Value::Null }
}

/// An error that a program could not have caught, or that the script around it did not.
fn describe(error: &MontyException) -> Verdict {
    let text = error.message().unwrap_or_default();
    Verdict::error(if text.starts_with("time limit exceeded") {
        super::TOO_SLOW.to_owned()
    } else if text.starts_with("memory limit exceeded") {
        super::TOO_LARGE.to_owned()
    } else if text.trim().is_empty() {
        format!("the policy raised {} and said nothing", error.exc_type())
    } else {
        text.to_owned()
    })
}

const _: () = assert!(MAX_FRAME <= u32::MAX as usize, "a frame's length has four bytes");
