//! `bindery watch`: every change of a server's configuration as it comes.
//!
//! Must not know: how changes travel.

use super::address::ReachArgs;
use super::diff::Format;
use super::output::{Paint, Screen, change, one_line};
use super::{Exit, address, push};
use crate::store::{Difference, Settings, Snapshot, Store};
use crate::sync::diff::{Diff, Entry, told};
use crate::sync::ledger::{Committed, Ledger};
use crate::sync::publish::{self, Trouble};
use crate::sync::sink::Watcher;
use crate::tls::client::Server;
use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// How many changes may wait to be shown.
const WAITING: usize = 1_000;
/// How many names a line has.
const NAMES: usize = 5;

/// What `bindery watch` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
ADDRESS is a server's sync listener (--sync-listen, --sync-socket). A connection that breaks is made again, and nothing
in between is missed; only several changes may be told as one then.

Examples:
  bindery watch 127.0.0.1:9192
  bindery watch unix:/run/bindery/sync.sock --output json --count 1

Exit code: 0 after --count changes, 2 when the server cannot be watched.")]
pub(super) struct WatchArgs {
    /// Server to watch: http(s)://ADDRESS:PORT, or unix:PATH
    address: String,

    #[command(flatten)]
    reach: ReachArgs,

    /// End after so many changes
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,

    /// How to show changes; JSON is one line each
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = Format::Text)]
    output: Format,
}

/// Runs the command.
pub(super) fn run(args: &WatchArgs, screen: &mut Screen<'_>) -> Exit {
    let watched = address::server(&args.address, &args.reach)
        .and_then(|server| push::runtime()?.block_on(watch(args, &server, screen)));
    match watched {
        Ok(()) => Exit::Good,
        Err(error) => {
            screen.note(format_args!("cannot watch: {}", one_line(&error)));
            Exit::Undecided
        }
    }
}

async fn watch(args: &WatchArgs, server: &Server, screen: &mut Screen<'_>) -> Result<(), String> {
    let ledger = Arc::new(Ledger::new(Arc::new(Store::new(Settings::default()))));
    let (changes, mut coming) = mpsc::channel(WAITING);
    let seen = Seen { last: Mutex::new(ledger.store().load()), changes };
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build();
    let mut told = 0;
    let mut first = true;
    loop {
        let trouble = match publish::watch(server, &push::node("watch"), Some(ledger.store())).await {
            Ok(watching) => {
                let introduction = watching.introduction.clone();
                if first && introduction.version.revision == 0 {
                    screen
                        .note(format_args!("{} holds no configuration yet", one_line(&introduction.node.id)));
                }
                first = false;
                let mut run = Box::pin(watching.run(&ledger, &seen));
                loop {
                    tokio::select! {
                        biased;
                        Some(change) = coming.recv() => {
                            told += u64::from(show(&change, args.output == Format::Json, screen));
                            if args.count.is_some_and(|count| told >= count) {
                                return Ok(());
                            }
                        }
                        trouble = &mut run => break trouble,
                    }
                }
            }
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Refused(text) => return Err(text),
            // Who was never there may be called otherwise.
            Trouble::Away(text) if first => return Err(text),
            Trouble::Away(text) => screen.note(format_args!("{}; trying again", one_line(&text))),
        }
        tokio::time::sleep(pauses.next().unwrap_or(Duration::from_secs(5))).await;
    }
}

/// A change with what was in force before.
struct Change {
    at: SystemTime,
    before: Arc<Snapshot>,
    after: Arc<Snapshot>,
    difference: Arc<Difference>,
}

/// Hands changes on to whoever shows them.
struct Seen {
    last: Mutex<Arc<Snapshot>>,
    changes: mpsc::Sender<Change>,
}

impl Watcher for Seen {
    fn applied(&self, committed: &Committed) {
        let after = Arc::clone(&committed.snapshot);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, Arc::clone(&after));
        let (at, difference) = (SystemTime::now(), Arc::clone(&committed.difference));
        // Whoever reads so slowly misses some; the revisions tell.
        let _full = self.changes.try_send(Change { at, before, after, difference });
    }
}

/// Shows a change; false for the first configuration, which is where changes begin.
fn show(change: &Change, json: bool, screen: &mut Screen<'_>) -> bool {
    let Change { at, before, after, difference } = change;
    let at = DateTime::<Utc>::from(*at).to_rfc3339_opts(SecondsFormat::Millis, true);
    let version = after.version();
    let is_first = before.is_unset();
    let diff = if is_first { Diff::default() } else { told(before, after, difference) };
    let (added, changed, removed) = diff.counts();
    if json {
        let names = |pick: fn(&Entry) -> bool| -> Vec<_> {
            let entries = diff.entries.iter().filter(|entry| pick(entry));
            entries.map(|entry| json!({"kind": entry.name.kind.noun(), "id": entry.name.id})).collect()
        };
        let line = json!({
            "time": at,
            "epoch": version.epoch.to_string(),
            "revision": version.revision,
            "first": is_first,
            "added": names(|entry| entry.old.is_none()),
            "changed": names(|entry| entry.old.is_some() && entry.new.is_some()),
            "removed": names(|entry| entry.new.is_none()),
            "opens_to_everyone": change::opened_json(&diff),
        });
        screen.line(line);
    } else if is_first {
        let count: u64 =
            crate::model::ResourceKind::ALL.iter().map(|kind| after.digest().of(*kind).count).sum();
        screen.line(format_args!("{at}  {version}  {count} resources"));
    } else {
        let paint = screen.paint();
        let shown = diff.entries.iter().take(NAMES).map(|entry| named(entry, paint)).collect::<Vec<_>>();
        let more = match diff.entries.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(", {more} more"),
        };
        let shown = shown.join(", ");
        screen.line(format_args!("{at}  {version}  +{added} ~{changed} -{removed}  {shown}{more}"));
        for opened in &diff.opened {
            screen.line(format_args!("  {} {}", paint.notable("!"), one_line(&change::opened_text(opened))));
        }
    }
    screen.flush();
    !is_first
}

fn named(entry: &Entry, paint: Paint) -> String {
    let sign = match (&entry.old, &entry.new) {
        (None, _) => paint.good("+"),
        (_, None) => paint.bad("-"),
        _ => paint.notable("~"),
    };
    format!("{sign}{}", one_line(&entry.name.to_string()))
}
