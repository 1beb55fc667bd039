//! The command line: what can be called, with which arguments, and what the exit codes mean.
//!
//! Must not know: how a command does its work.

mod address;
mod attack;
mod bench;
mod check;
mod convert;
mod diff;
mod evaluators;
pub(crate) mod output;
mod plan;
mod policies;
mod policy;
mod push;
pub mod serve;
mod sources;
mod status;
mod telemetry;
mod test;
mod validate;
mod watch;

use crate::config::{self, ServeArgs};
use crate::evaluators::python::worker_main;
use clap::{Parser, Subcommand};
use output::Screen;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Exit code 0: the answer is allow, the files are valid, all cases passed.
    Good,
    /// Exit code 1: the answer is deny, or a case failed.
    Bad,
    /// Exit code 2: there is no result; the arguments, a file or the server are at fault.
    Undecided,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Undecided => 2,
        })
    }
}

/// A policy decision point for authentik's bindings: who may reach what, and why
#[derive(Debug, Parser)]
#[command(name = "bindery", version, max_term_width = 110, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  bindery validate config/
  bindery serve --bundle config/
  bindery check application/grafana --user ada
  bindery plan default-authentication-flow --user ada
  bindery test tests/*.yaml
  bindery convert blueprints/ > bundle.yaml
  bindery push config/ --to 127.0.0.1:9192

`bindery COMMAND --help` says more about a command.")]
pub struct Cli {
    /// Never use colour; without this there is colour on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, display_order = 1000)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer questions over gRPC
    Serve(Box<ServeArgs>),
    /// Hand configuration on to many servers, and answer no questions
    Hub(Box<ServeArgs>),
    /// Ask whether a subject may reach a target, and why
    Check(Box<check::CheckArgs>),
    /// Plan a flow for somebody, and walk through it
    Plan(Box<plan::PlanArgs>),
    /// Read configuration as a whole and say what is wrong with it
    Validate(validate::ValidateArgs),
    /// Run decision cases and compare what comes out with what is expected
    Test(test::TestArgs),
    /// Turn authentik blueprints into one bundle
    Convert(convert::ConvertArgs),
    /// Bring a server to what files say, and show what that changes
    Push(Box<push::PushArgs>),
    /// Say what a server holds, and how it is
    Status(status::StatusArgs),
    /// Show every change of a server's configuration as it comes
    Watch(watch::WatchArgs),
    /// Compare two configurations: files, directories or servers
    Diff(Box<diff::DiffArgs>),
    /// Send requests as attackers do, and see whether a server of Envoy's external authorization stands
    Attack(attack::AttackArgs),
    /// Put load on a server, and measure what it answers and how long that takes
    Bench(Box<bench::BenchArgs>),
    /// Try policies by themselves
    Policy(Box<policy::PolicyCommand>),
    /// Run programs in Python for a server, over standard input and output
    #[command(hide = true)]
    PythonWorker {
        /// Memory for programs, in bytes
        memory: u64,
    },
}

/// Runs the command.
pub fn run(cli: Cli) -> Exit {
    let mut err = io::stderr();
    let served = |result: Result<(), String>| match result {
        Ok(()) => Exit::Good,
        Err(error) => {
            Screen::new(&mut io::sink(), &mut io::stderr()).note(format_args!("error: {error}"));
            Exit::Undecided
        }
    };
    // A server must not hold the lock of standard output or error: its threads log.
    let command = match cli.command {
        Command::Serve(args) => return served(serve::serve(*args)),
        Command::Hub(args) => return served(serve::hub(*args)),
        Command::PythonWorker { memory } => {
            return match worker_main(memory) {
                Ok(()) => Exit::Good,
                Err(_) => Exit::Undecided,
            };
        }
        other => other,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut screen = Screen::new(&mut out, &mut err);
    screen.color = !cli.no_color && !config::no_color() && io::stdout().is_terminal();
    screen.progress = io::stderr().is_terminal();
    let exit = run_on(command, &mut screen);
    if screen.finish() { exit } else { Exit::Undecided }
}

fn run_on(command: Command, screen: &mut Screen<'_>) -> Exit {
    match command {
        Command::Check(args) => check::run(*args, screen),
        Command::Plan(args) => plan::run(*args, &mut io::stdin().lock(), screen),
        Command::Validate(args) => validate::run(&args, screen),
        Command::Test(args) => test::run(&args, screen),
        Command::Convert(args) => convert::run(&args, screen),
        Command::Policy(command) => policy::run(*command, screen),
        Command::Push(args) => push::run(&args, screen),
        Command::Status(args) => status::run(&args, screen),
        Command::Watch(args) => watch::run(&args, screen),
        Command::Diff(args) => diff::run(&args, screen),
        Command::Attack(args) => attack::run(&args, screen),
        Command::Bench(args) => bench::run(*args, screen),
        // These have their own way above, since they write to no screen.
        Command::Serve(_) | Command::Hub(_) | Command::PythonWorker { .. } => Exit::Undecided,
    }
}

/// Runs arguments as from a shell and gives what came of it: exit, standard output, standard error.
#[cfg(test)]
fn run_captured(arguments: &[&str]) -> (Exit, String, String) {
    let cli = Cli::try_parse_from([&["bindery"], arguments].concat()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen::new(&mut out, &mut err);
    let exit = run_on(cli.command, &mut screen);
    assert!(screen.finish());
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn error(arguments: &[&str]) -> String {
        Cli::try_parse_from([&["bindery"], arguments].concat()).unwrap_err().to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_has_help() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let examples = command.is_hide_set()
                || ["serve", "hub"].contains(&command.get_name())
                || command.get_after_help().is_some();
            assert!(examples, "{} has no examples", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn wrong_arguments_say_what_to_do() {
        for (arguments, part) in [
            (&["check", "grafana", "--user", "ada"][..], "write kind/name, such as application/grafana"),
            (&["check", "application/a", "--user", "ada", "--anonymous"], "cannot be used with"),
            (&["check", "application/a", "--user", "ada", "--context", "x"], "write KEY=VALUE"),
            (&["check", "application/a", "--user", "ada", "--time", "noon"], "2026-06-15T09:00:00Z"),
            (
                &["check", "application/a", "--user", "a", "--server", "x", "--bundle", "y"],
                "cannot be used with",
            ),
            (&["check", "application/a", "--request", "r.json"], "cannot be used with"),
            (&["check", "application/a", "--user", "a", "--client-ip", "here"], "is no IP address"),
            (&["check"], "TARGET"),
            (&["validate"], "required"),
            (&["test"], "required"),
            (&["frobnicate"], "unrecognized subcommand"),
        ] {
            let error = error(arguments);
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}
