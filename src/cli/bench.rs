//! `bindery bench`: puts load on a server and measures what it answers, how long that takes, and what it costs; or does
//! so with several servers in turns.
//!
//! Must not know: how a server decides.

mod calls;
mod codec;
mod generator;
mod messages;
mod nothing;
mod process;
mod questions;
mod report;
mod rounds;
mod schedule;
mod tally;
mod timer;

use super::address::ReachArgs;
use super::check::question::QuestionArgs;
use super::diff::Format;
use super::output::{Screen, one_line};
use super::{Exit, address, push};
use crate::evaluators::code_name;
use crate::tls::client::Credentials;
use clap::Args;
use generator::Plan;
use nothing::{Answers, Nothing};
use process::Whose;
use questions::{AskArgs, First, Mode, Prepared};
use rounds::{Measured, Target};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

/// The server in this process that answers everybody alike.
const DO_NOTHING: &str = "do-nothing";
/// Connections, where nothing else is said.
const CONNECTIONS: usize = 4;
/// Rounds, where servers are compared and nothing else is said.
const ROUNDS: usize = 3;
/// The most calls under way.
const MOST_IN_FLIGHT: usize = 100_000;
/// How long the first question may take.
const FIRST: Duration = Duration::from_secs(10);

/// What `bindery bench` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Without --rate the loop is closed: a place asks again when it was answered, which shows how much a server can do. With
--rate it is open: questions come when they are due, whether or not the server keeps up, and latency counts from that
moment, which shows how long callers would wait.

Examples:
  bindery bench unix:/run/bindery/bindery.sock application/wiki --user ada
  bindery bench 127.0.0.1:9191 --questions questions.jsonl --rate 20000 --in-flight 512 --duration 30
  bindery bench 127.0.0.1:9191 application/wiki --user ada --mode batch --output json
  bindery bench unix:/run/a.sock application/wiki --user ada --compare unix:/run/b.sock --compare do-nothing
  bindery bench unix:/run/a.sock application/wiki --mode ext-authz --header 'X-Authentik-Username: ada'
  bindery bench 127.0.0.1:9000 --mode raw --rpc /example.v1.Service/Method --messages requests.bin

Exit code: 0 measured, 1 measured but some calls ended in errors, 2 nothing measured.")]
pub(super) struct BenchArgs {
    /// Server to put load on: http(s)://ADDRESS:PORT, or unix:PATH
    #[arg(value_name = "ADDRESS")]
    address: String,

    #[command(flatten)]
    question: QuestionArgs,

    #[command(flatten)]
    ask: AskArgs,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    servers: ServerArgs,

    #[command(flatten)]
    reach: ReachArgs,

    /// How to show the result
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

/// How load is put.
#[derive(Args, Debug)]
#[command(next_help_heading = "Load")]
struct LoadArgs {
    /// Connections [default: 4, or as many as --in-flight if that is fewer]
    #[arg(long, value_name = "COUNT")]
    connections: Option<usize>,

    /// The most calls under way at a time, over all connections; with --mode stream, questions
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    in_flight: usize,

    /// Calls a second, when they are due rather than when there is a place; a batch is one call
    #[arg(long, value_name = "COUNT")]
    rate: Option<f64>,

    /// With --rate: calls at random moments that know nothing of each other, instead of even ones
    #[arg(long, requires = "rate")]
    poisson: bool,

    /// With --rate: give up a call that finds no place for this long
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, requires = "rate")]
    max_wait: f64,

    /// How long a call may take; the server is told [default: no end]
    #[arg(long, value_name = "MILLISECONDS")]
    deadline_ms: Option<u64>,

    /// Seconds to measure each server, in each round
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    duration: f64,

    /// Seconds of load before anything is measured, in each round
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,

    /// Threads of the generator, at most as many as connections
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    threads: usize,
}

/// Which servers, and what of them is measured.
#[derive(Args, Debug)]
#[command(next_help_heading = "Servers")]
struct ServerArgs {
    /// Another server to measure in turns with the first, or `do-nothing`, which is within this process and answers
    /// everybody alike; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    compare: Vec<String>,

    /// Rounds, in each of which every server has its turn [default: 1, or 3 with --compare]
    #[arg(long, value_name = "COUNT")]
    rounds: Option<usize>,

    /// Process of a server, for its CPU time and memory; may be given several times, in the order of the servers
    /// [default: who listens at a unix socket]
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,

    /// Put load on servers of other machines
    #[arg(long)]
    allow_remote: bool,
}

/// Runs the command.
pub(super) fn run(args: BenchArgs, screen: &mut Screen<'_>) -> Exit {
    let format = args.output;
    match bench(args, screen) {
        Ok((plan, targets, measured)) => {
            report::show(&plan, &targets, &measured, format, screen);
            let failed = measured.rounds.iter().flatten().any(|round| round.tally.failed() > 0);
            if failed { Exit::Bad } else { Exit::Good }
        }
        Err(error) => {
            screen.show_progress("");
            screen.note(format_args!("nothing measured: {}", one_line(&error)));
            Exit::Undecided
        }
    }
}

fn bench(args: BenchArgs, screen: &mut Screen<'_>) -> Result<(Arc<Plan>, Vec<Target>, Measured), String> {
    let BenchArgs { address, question, ask, load, servers, reach, .. } = args;
    let plan = Arc::new(plan(load, questions::prepare(ask, question)?, reach.credentials())?);
    let mut targets = Vec::new();
    for name in std::iter::once(address).chain(servers.compare) {
        let url = if name == DO_NOTHING { String::new() } else { address::url(&name)? };
        if !url.is_empty() && !servers.allow_remote && !is_local(&url) {
            return Err(format!(
                "`{name}` is not on this machine; give --allow-remote if its owner knows of the load"
            ));
        }
        targets.push(Target { name, url, whose: None });
    }
    if targets.first().is_some_and(|first| first.url.is_empty()) && targets.len() > 1 {
        return Err(format!("`{DO_NOTHING}` cannot come first; name it with --compare"));
    }
    if plan.prepared.mode == Mode::Raw && targets.iter().any(|target| target.url.is_empty()) {
        return Err(format!("`{DO_NOTHING}` knows no ready-made messages; leave it out with --mode raw"));
    }
    let rounds = servers.rounds.unwrap_or(if targets.len() > 1 { ROUNDS } else { 1 });
    if rounds == 0 {
        return Err("rounds: 0 measures nothing; give 1 or more".to_owned());
    }
    let runtime = push::runtime()?;
    // Kept until everything is measured; it has a runtime of its own, which may not end within another one.
    let mut nothing = None;
    runtime.block_on(async {
        let mut pids = servers.pid.into_iter();
        let mut answers = None;
        let unix = targets.first().is_none_or(|first| first.url.starts_with("unix:"));
        for target in &mut targets {
            if target.name == DO_NOTHING {
                let server = match &nothing {
                    Some(server) => server,
                    None => nothing.insert(Nothing::start(answers.take().unwrap_or_default(), unix)?),
                };
                target.url.clone_from(&server.url);
                target.whose = Some(Whose::Threads(nothing::THREADS));
                continue;
            }
            let answer = ask_once(&target.url, &plan).await?;
            answers = answers.or(answer);
            target.whose = match pids.next() {
                Some(pid) => Some(known(pid)?),
                None => listener(&target.url).await,
            };
        }
        let measured = rounds::measure(&plan, &targets, rounds, screen).await?;
        if measured.rounds.first().is_none_or(Vec::is_empty) {
            return Err("it was ended in the warm-up".to_owned());
        }
        Ok((Arc::clone(&plan), targets, measured))
    })
}

/// The plan of the arguments.
fn plan(load: LoadArgs, prepared: Prepared, credentials: Credentials) -> Result<Plan, String> {
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value)
            .map_err(|_| format!("{name}: {value} is no number of seconds; write one such as 10 or 0.5"))
    };
    let connections = load.connections.unwrap_or_else(|| CONNECTIONS.min(load.in_flight));
    let (warm_up, duration) = (seconds("warm-up", load.warm_up)?, seconds("duration", load.duration)?);
    let wrong = if connections == 0 {
        "connections, in-flight: give 1 or more of each".to_owned()
    } else if load.in_flight < connections {
        format!("in-flight: {} is fewer than the {connections} connections", load.in_flight)
    } else if load.in_flight > MOST_IN_FLIGHT {
        format!("in-flight: {} is more than {MOST_IN_FLIGHT}", load.in_flight)
    } else if load.threads == 0 || load.threads > connections {
        format!("threads: {} is not from 1 to the {connections} connections", load.threads)
    } else if duration.is_zero() {
        "duration: 0 seconds measure nothing".to_owned()
    } else if load.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        "rate: write a number of calls a second above 0".to_owned()
    } else if load.deadline_ms == Some(0) {
        "deadline-ms: no call ends within 0 ms".to_owned()
    } else {
        String::new()
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Plan {
        prepared,
        connections,
        in_flight: load.in_flight,
        threads: load.threads,
        rate: load.rate,
        random: load.poisson,
        max_wait: seconds("max-wait", load.max_wait)?,
        deadline: load.deadline_ms.map(Duration::from_millis),
        credentials,
        warm_up,
        duration,
    })
}

/// Whether a server is on this machine.
fn is_local(url: &str) -> bool {
    if url.starts_with("unix:") {
        return true;
    }
    let host =
        url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned)).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn known(pid: u32) -> Result<Whose, String> {
    let whose = Whose::Process(pid);
    process::usage(&whose)
        .map(|_| whose)
        .ok_or_else(|| format!("pid: there is no process {pid} that can be measured"))
}

/// The process that listens at a unix socket, where that can be told.
async fn listener(url: &str) -> Option<Whose> {
    let path = url.strip_prefix("unix:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let stream = tokio::net::UnixStream::connect(Path::new(path)).await.ok()?;
    let pid = u32::try_from(stream.peer_cred().ok()?.pid()?).ok()?;
    known(pid).ok()
}

/// Asks the first question alone, so that a wrong address or question is noticed before load is put. Gives the answer,
/// if there is one.
async fn ask_once(url: &str, plan: &Plan) -> Result<Option<Answers>, String> {
    use crate::proto::v1::decision_service_client::DecisionServiceClient;
    use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
    let prepared = &plan.prepared;
    let channel = calls::connect(url, &plan.credentials).await?;
    let asked = async {
        match &prepared.first {
            First::Check(question) => {
                let answer = DecisionServiceClient::new(channel).check(question.as_ref().clone()).await;
                answer.map(|answer| Answers { check: answer.into_inner(), ..Answers::default() })
            }
            First::Envoy(question) => {
                let answer = AuthorizationClient::new(channel).check(question.as_ref().clone()).await;
                answer.map(|answer| Answers { envoy: answer.into_inner(), ..Answers::default() })
            }
            First::Raw(body) => {
                let answered = calls::ask(channel, prepared.path.clone(), body.clone()).await;
                answered.map(|()| Answers::default())
            }
        }
    };
    match tokio::time::timeout(FIRST, asked).await {
        Ok(Ok(answers)) => Ok(Some(answers)),
        Ok(Err(status)) if is_hopeless(status.code(), prepared.questions) => {
            let code = code_name(status.code());
            Err(format!("`{url}` answers {code}: {}", status.message()))
        }
        // Such a server may have too much to do, which is what is measured.
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}

/// Whether nothing is to be expected of more such questions.
fn is_hopeless(code: Code, questions: usize) -> bool {
    match code {
        Code::Unimplemented | Code::Unauthenticated => true,
        Code::InvalidArgument | Code::NotFound => questions == 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::run_captured;
    use super::*;

    fn refused(more: &[&str]) -> String {
        let all = [&["bench", "unix:/no/such/socket", "application/wiki", "--user", "ada"], more].concat();
        let (exit, out, err) = run_captured(&all);
        assert_eq!((exit, out.as_str()), (Exit::Undecided, ""));
        err
    }

    #[test]
    fn what_cannot_be_measured_is_refused_at_once() {
        for (more, part) in [
            (&["--connections", "8", "--in-flight", "4"][..], "fewer than the 8 connections"),
            (&["--in-flight", "0"], "give 1 or more"),
            (&["--in-flight", "100001"], "more than 100000"),
            (&["--threads", "5"], "from 1 to the 4 connections"),
            (&["--duration", "0"], "measure nothing"),
            (&["--duration", "nan"], "no number of seconds"),
            (&["--rate", "0"], "above 0"),
            (&["--rounds", "0"], "give 1 or more"),
            (&["--deadline-ms", "0"], "within 0 ms"),
            (&["--compare", "http://192.0.2.1:9191"], "give --allow-remote"),
            (&[], "nobody answers at `unix:/no/such/socket`"),
        ] {
            let error = refused(more);
            assert!(error.starts_with("nothing measured: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        for url in
            ["unix:/a", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://127.9.9.9:1"]
        {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://192.0.2.1:1",
            "http://localhost.example:1",
            "http://[2001:db8::1]:1",
            "http://0.0.0.0:1",
            "x",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }
}
