//! `bindery push --watch`: stays, and pushes every change of the files.
//!
//! Must not know: how a change is compared or sent.

use super::{Outcome, Push, Stay, load};
use crate::cli::Exit;
use crate::cli::output::{Screen, one_line};
use crate::cli::validate;
use crate::sync::publish::Trouble;
use crate::sync::source::SourceSpec;
use crate::sync::watch;
use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest pause between attempts to reach the server.
const PAUSE: Duration = Duration::from_secs(15);

/// Goes on until the command is ended, or cannot go on.
pub(super) async fn follow(push: &mut Push<'_>, spec: &SourceSpec, screen: &mut Screen<'_>) -> Exit {
    let paths: Vec<_> = spec.paths().into_iter().collect();
    // Before they are read, so that no change is missed.
    let seen = watch::look(&paths);
    // Room for one: it only matters that something changed.
    let (tell, mut changes) = mpsc::channel(1);
    let changed = move || {
        // Full: it is told already.
        let _told = tell.try_send(());
    };
    let watching = watch::watch(paths, seen, changed);
    let _watch = match watching {
        Ok(watch) => watch,
        Err(error) => {
            screen.note(format_args!("not pushed: {}", one_line(&error)));
            return Exit::Undecided;
        }
    };
    let pauses = || {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(PAUSE)
            .with_jitter()
            .without_max_times()
            .build()
    };
    let mut pause = pauses();
    loop {
        let files = match load(spec) {
            Ok(files) => files,
            Err(problems) => {
                validate::tell(&problems, screen);
                screen.note("what was pushed last goes on; waiting for the files to change");
                if changes.recv().await.is_none() {
                    return Exit::Undecided;
                }
                continue;
            }
        };
        let ended = push.bring(&files, screen, Some(Stay { changes: &mut changes })).await;
        match &ended.outcome {
            // The files changed.
            Outcome::Same(_) | Outcome::InForce(..) => pause = pauses(),
            Outcome::NotMeant(_) | Outcome::Refused(_) => {
                push.tell(&ended, screen);
                screen.note("waiting for the files to change");
                if changes.recv().await.is_none() {
                    return Exit::Undecided;
                }
            }
            Outcome::Broke(Trouble::Away(text)) => {
                screen.note(format_args!("{}; trying again", one_line(text)));
                let pause = tokio::time::sleep(pause.next().unwrap_or(PAUSE));
                tokio::select! {
                    () = pause => {}
                    _changed = changes.recv() => {}
                }
            }
            Outcome::Broke(Trouble::Refused(_)) | Outcome::Shown => return push.tell(&ended, screen),
        }
    }
}
