//! `bindery push`: brings a server to what files say, and shows what that changes first.
//!
//! Must not know: how a change travels.

mod files;

use super::address::ReachArgs;
use super::diff::Format;
use super::output::{Align, Screen, change, columns, count, one_line};
use super::sources::{self, BlueprintArgs};
use super::{Exit, address, validate};
use crate::model::Version;
use crate::proto::resource::kind_of_number;
use crate::proto::v1;
use crate::store::{Settings, Snapshot};
use crate::sync::apply::Sent;
use crate::sync::diff::{Diff, between};
use crate::sync::ledger::Ledger;
use crate::sync::publish::{self, Event, PushOptions, Pushed, Trouble};
use crate::sync::source::SourceSpec;
use crate::tls::client::Server;
use clap::Args;
use serde_json::{Value, json};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often a change is compared anew when somebody else was faster.
const ATTEMPTS: usize = 5;

/// What `bindery push` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
All files together are one configuration; what the server holds beyond that is removed. The change is shown first. Before
it opens a target to everyone, or removes more than a tenth of what there is, somebody has to say that it is meant: at the
terminal, or with --yes.

Examples:
  bindery push config/ --to 127.0.0.1:9192
  bindery push config/ --to unix:/run/bindery/sync.sock --dry-run
  bindery push config/ --to 127.0.0.1:9192 --watch --yes

Exit code: 0 in force, or nothing to do; 1 the server refused it; 2 not pushed.")]
pub(super) struct PushArgs {
    /// Bundle or blueprint, told by its content: a file or a directory
    #[arg(value_name = "FILE", required_unless_present = "blueprint")]
    paths: Vec<PathBuf>,

    /// Blueprint: a file or a directory; may be given several times
    #[arg(long, value_name = "PATH")]
    blueprint: Vec<PathBuf>,

    /// Server to push to: its sync listener, http(s)://ADDRESS:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    to: String,

    #[command(flatten)]
    reach: ReachArgs,

    /// Stay, and push every change of the files
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,

    /// Push also what opens targets to everyone or removes much
    #[arg(long)]
    yes: bool,

    /// Take the place of another publisher
    #[arg(long)]
    take_over: bool,

    /// Only show what would change
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    blueprints: BlueprintArgs,

    /// Leave nothing out of what is shown
    #[arg(long, help_heading = "Output")]
    full: bool,

    /// How to show the result
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

/// A runtime for a command that asks a server.
///
/// # Errors
/// When there cannot be one.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(|error| format!("the runtime cannot be started: {error}"))
}

/// What this process is called.
pub(super) fn node(command: &str) -> String {
    format!("{command}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// Runs the command.
pub(super) fn run(args: &PushArgs, screen: &mut Screen<'_>) -> Exit {
    let ready = address::server(&args.to, &args.reach).and_then(|server| Ok((server, runtime()?)));
    let (server, runtime) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            screen.note(format_args!("not pushed: {}", one_line(&error)));
            return Exit::Undecided;
        }
    };
    let spec = args.blueprints.spec(&args.paths, &args.blueprint);
    let mut push = Push { args, server, meant: None };
    if args.watch {
        return runtime.block_on(files::follow(&mut push, &spec, screen));
    }
    let files = match load(&spec) {
        Ok(files) => files,
        Err(problems) => {
            if args.output == Format::Json {
                screen.line(format_args!("{:#}", json!({"result": "not_valid", "problems": problems})));
            }
            validate::tell(&problems, screen);
            return Exit::Undecided;
        }
    };
    let result = runtime.block_on(push.bring(&files, screen, None));
    push.tell(&result, screen)
}

/// Reads the files as one configuration; what is wrong, each with its place.
fn load(spec: &SourceSpec) -> Result<Arc<Snapshot>, Vec<String>> {
    Ok(sources::store(sources::load(spec)?, Settings::default())?.load())
}

/// A push under way.
struct Push<'a> {
    args: &'a PushArgs,
    server: Server,
    /// What everything sums up to that somebody said is meant.
    meant: Option<u128>,
}

/// What became of it.
struct Ended {
    diff: Diff,
    outcome: Outcome,
}

enum Outcome {
    /// The server holds just that.
    Same(Version),
    /// It is in force, after so long.
    InForce(Version, Duration),
    /// It was only shown.
    Shown,
    /// Nobody said that this is meant.
    NotMeant(Vec<String>),
    /// The server refused it.
    Refused(v1::Nack),
    /// The server could not be reached, or others were faster again and again.
    Broke(Trouble),
}

/// What somebody who stays waits for.
struct Stay<'a> {
    changes: &'a mut mpsc::Receiver<()>,
}

impl Push<'_> {
    /// Compares, shows, asks, pushes. With `stay`, goes on after that until the files change or the stream breaks.
    async fn bring(
        &mut self,
        files: &Snapshot,
        screen: &mut Screen<'_>,
        mut stay: Option<Stay<'_>>,
    ) -> Ended {
        let (text, name) = (self.args.output == Format::Text, node("push"));
        let mut shown = Diff::default();
        for _ in 0..ATTEMPTS {
            let epoch = RandomState::new().hash_one(&name).max(1);
            let held = match publish::fetch(&self.server, &name, Settings::default(), epoch).await {
                Ok(held) => held,
                Err(trouble) => return Ended { diff: shown, outcome: Outcome::Broke(trouble) },
            };
            let there = held.ledger.store().load();
            let diff = between(&there, files);
            if text && diff != shown && (!diff.is_empty() || there.is_unset()) {
                change::show(&diff, self.args.full, screen);
            }
            shown = diff;
            if self.args.dry_run {
                return Ended { diff: shown, outcome: Outcome::Shown };
            }
            let is_same = shown.is_empty() && !there.is_unset();
            if is_same && stay.is_none() {
                return Ended { diff: shown, outcome: Outcome::Same(there.version()) };
            }
            let reasons = self.reasons(&shown, files);
            if !reasons.is_empty() && !self.ask(&reasons, screen) {
                return Ended { diff: shown, outcome: Outcome::NotMeant(reasons) };
            }
            self.meant = Some(files.digest().total());
            let base = if there.is_unset() { Version::default() } else { there.version() };
            if !is_same && let Err(problem) = commit(&held.ledger, &shown, there.version()) {
                return Ended { diff: shown, outcome: Outcome::Broke(Trouble::Refused(problem)) };
            }
            match self.send(&held.ledger, base, is_same, screen, stay.as_mut()).await {
                Ok(Some(outcome)) => return Ended { diff: shown, outcome },
                Ok(None) => screen.note("the server holds something else by now; comparing anew"),
                Err(trouble) => return Ended { diff: shown, outcome: Outcome::Broke(trouble) },
            }
        }
        let text = format!("others were faster {ATTEMPTS} times; agree on one publisher");
        Ended { diff: shown, outcome: Outcome::Broke(Trouble::Refused(text)) }
    }

    /// What somebody has to say is meant.
    fn reasons(&self, diff: &Diff, files: &Snapshot) -> Vec<String> {
        if self.args.yes || self.meant == Some(files.digest().total()) {
            return Vec::new();
        }
        let mut reasons = Vec::new();
        if diff.opens() {
            reasons.push(format!("it opens {} to everyone", count(diff.opened.len(), "target")));
        }
        if diff.removes_much() {
            let (_, _, removed) = diff.counts();
            reasons.push(format!("it removes {removed} of {} resources", diff.held));
        }
        reasons
    }

    fn ask(&self, reasons: &[String], screen: &mut Screen<'_>) -> bool {
        let somebody = !self.args.watch && io::stdin().is_terminal() && io::stderr().is_terminal();
        somebody && screen.ask(format_args!("{}. Push it all the same? [y/N] ", reasons.join(", and ")))
    }

    /// Sends what the ledger holds; nothing when the server holds something else than `base` by now.
    async fn send(
        &self,
        ledger: &Ledger,
        base: Version,
        is_same: bool,
        screen: &mut Screen<'_>,
        stay: Option<&mut Stay<'_>>,
    ) -> Result<Option<Outcome>, Trouble> {
        let options =
            PushOptions { node: node("push"), take_over: self.args.take_over, stay: stay.is_some() };
        let start = Instant::now();
        let (events, mut heard) = mpsc::unbounded_channel();
        let tell = |event| {
            // Heard for as long as this function runs.
            let _heard = events.send(event);
        };
        let mut pushing = Box::pin(publish::push(ledger, base, &self.server, &options, tell));
        let mut stay = stay;
        let mut in_force = None;
        if is_same {
            in_force = Some(Outcome::Same(base));
        }
        let pushed = loop {
            let changed = async {
                match &mut stay {
                    Some(stay) => stay.changes.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(event) = heard.recv() => match event {
                    Event::Progress(sent, all) => {
                        screen.show_progress(format_args!("pushing: {} %", sent * 100 / all.max(1)));
                    }
                    Event::InForce(version) => {
                        screen.show_progress("");
                        let outcome = Outcome::InForce(version, start.elapsed());
                        if options.stay {
                            self.tell(&Ended { diff: Diff::default(), outcome }, screen);
                            screen.flush();
                        }
                        in_force = Some(Outcome::InForce(version, start.elapsed()));
                    }
                },
                pushed = &mut pushing => break pushed?,
                // What is under way is brought to its end first.
                _changed = changed, if in_force.is_some() => return Ok(in_force),
            }
        };
        screen.show_progress("");
        Ok(match pushed {
            Pushed::InForce(version) => Some(Outcome::InForce(version, start.elapsed())),
            Pushed::Refused(nack) => Some(Outcome::Refused(nack)),
            Pushed::Moved => None,
        })
    }

    /// Says what became of it.
    fn tell(&self, ended: &Ended, screen: &mut Screen<'_>) -> Exit {
        let json = self.args.output == Format::Json;
        let mut object = json!({});
        let mut put = |name: &str, value: Value| {
            if let Some(fields) = object.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        };
        let paint = screen.paint();
        let mut notes = Vec::new();
        let (exit, result, line) = match &ended.outcome {
            Outcome::Same(version) => {
                put("revision", json!(version.revision));
                (Exit::Good, "same", Some(format!("the server holds just that, at {version}")))
            }
            Outcome::InForce(version, took) => {
                put("revision", json!(version.revision));
                put("epoch", json!(version.epoch.to_string()));
                put("milliseconds", json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
                let line = format!("{}: {version}, after {} ms", paint.good("in force"), took.as_millis());
                (Exit::Good, "in_force", Some(line))
            }
            Outcome::Shown => (Exit::Good, "dry_run", None),
            Outcome::NotMeant(reasons) => {
                put("reasons", json!(reasons));
                let reasons = reasons.join(", and ");
                notes.push(format!("not pushed: {reasons}; say --yes if that is meant"));
                (Exit::Undecided, "not_meant", None)
            }
            Outcome::Refused(nack) => {
                put("reason", json!(nack.reason().as_str_name()));
                put("message", json!(nack.message));
                put("errors", errors_json(nack));
                if !json {
                    error_lines(nack).iter().for_each(|line| screen.line(line));
                }
                notes.push(match nack.reason() {
                    v1::NackReason::Storage => {
                        format!("in force, but a restart would lose it: {}", one_line(&nack.message))
                    }
                    _ => format!("refused: {}; what was in force stays in force", one_line(&nack.message)),
                });
                (Exit::Bad, "refused", None)
            }
            Outcome::Broke(trouble) => {
                let mut text = one_line(&trouble.to_string());
                if text.contains("take_over") {
                    text.push_str(" (--take-over does that)");
                }
                put("error", json!(trouble.to_string()));
                notes.push(format!("not pushed: {text}"));
                (Exit::Undecided, "not_pushed", None)
            }
        };
        if json {
            put("result", json!(result));
            put("diff", change::as_json(&ended.diff));
            screen.line(format_args!("{object:#}"));
        } else if let Some(line) = line {
            screen.line(line);
        }
        notes.iter().for_each(|note| screen.note(note));
        exit
    }
}

/// Puts the change upon what was fetched, as the next revision.
fn commit(ledger: &Ledger, diff: &Diff, base: Version) -> Result<(), String> {
    let upserts = diff.entries.iter().filter_map(|entry| Some(entry.new.clone()?.into())).collect();
    let gone = diff.entries.iter().filter(|entry| entry.new.is_none());
    let removals = gone.map(|entry| entry.name.clone()).collect();
    let version = Some(Version { revision: base.revision + 1, ..base });
    let sent = Sent { upserts, removals, version, ..Sent::default() };
    let committed = ledger.commit(sent, false);
    committed.map(drop).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        format!("the change does not fit what the server holds: {first}")
    })
}

fn resource(error: &v1::ResourceError) -> String {
    let Some(resource) = &error.resource else { return "-".to_owned() };
    let kind = kind_of_number(resource.kind).map_or("resource", |kind| kind.noun());
    format!("{kind} `{}`", one_line(&resource.id))
}

/// What is wrong with an update, as a table.
fn error_lines(nack: &v1::Nack) -> Vec<String> {
    if nack.errors.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![["resource", "field", "what is wrong"].map(str::to_owned).to_vec()];
    rows.extend(nack.errors.iter().map(|error| {
        let field = if error.field.is_empty() { "-".to_owned() } else { one_line(&error.field) };
        vec![resource(error), field, one_line(&error.message)]
    }));
    columns(&[Align::Left, Align::Left, Align::Left], &rows)
}

fn errors_json(nack: &v1::Nack) -> Value {
    let error = |error: &v1::ResourceError| {
        let named = error.resource.as_ref();
        let kind = named.and_then(|it| kind_of_number(it.kind)).map(|kind| kind.noun());
        json!({
            "kind": kind, "id": named.map(|it| &it.id), "field": error.field, "message": error.message,
        })
    };
    nack.errors.iter().map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::resource::kind_number;

    #[test]
    fn a_refusal_is_a_table() {
        let resource = |kind, id: &str| Some(v1::ResourceRef { kind: kind_number(kind), id: id.into() });
        let error = |resource, field: &str, message: &str| v1::ResourceError {
            resource,
            field: field.into(),
            message: message.into(),
        };
        let errors = vec![
            error(resource(crate::model::ResourceKind::User, "ada"), "username", "missing"),
            error(None, "", "no serialized resource\u{7}"),
        ];
        let nack = v1::Nack { errors, ..Default::default() };
        assert_eq!(
            error_lines(&nack),
            [
                "resource    field     what is wrong",
                "user `ada`  username  missing",
                "-           -         no serialized resource\\u{7}",
            ]
        );
        assert_eq!(errors_json(&nack)[0]["kind"], "user");
        assert_eq!(error_lines(&v1::Nack::default()), [""; 0]);
    }
}
