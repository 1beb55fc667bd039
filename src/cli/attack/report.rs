//! What came of an attack, for people and machines.
//!
//! Must not know: how requests were sent.

use super::super::diff::Format;
use super::super::output::{Screen, one_line};
use super::Outcome;
use serde_json::json;

pub(super) fn show(outcomes: &[Outcome], format: Format, screen: &mut Screen<'_>) {
    let failed = || outcomes.iter().filter(|outcome| outcome.wrong.is_some());
    if format == Format::Json {
        let entry = |outcome: &Outcome| {
            json!({
                "name": outcome.name,
                "allowed": outcome.seen.allowed,
                "answer": outcome.seen.what,
                "reason": outcome.seen.reason,
                "wrong": outcome.wrong,
            })
        };
        let all: Vec<_> = outcomes.iter().map(entry).collect();
        screen.line(format_args!("{:#}", json!({ "requests": all, "failed": failed().count() })));
        return;
    }
    let paint = screen.paint();
    for outcome in failed() {
        let reason = outcome.seen.reason.as_deref().map(|it| format!(", {it}")).unwrap_or_default();
        let wrong = outcome.wrong.as_deref().unwrap_or_default();
        screen.line(format_args!("{}  {}", paint.bad("FAILED"), one_line(&outcome.name)));
        screen.line(format_args!("        {wrong}; it got {}{reason}", one_line(&outcome.seen.what)));
    }
    let allowed = outcomes.iter().filter(|outcome| outcome.seen.allowed).count();
    let (count, failed) = (outcomes.len(), failed().count());
    screen.line(format_args!(
        "{count} requests: {} denied, {allowed} let through; {failed} met another end than they must",
        count - allowed
    ));
}
