//! The one sentence that says why, for a help desk to read out.
//!
//! Must not know: how the report came about.

use super::Member;
use crate::model::{BindingReport, Decision, Mode, Reason, SkipReason, TargetReport};

/// One sentence about an answer.
pub fn summarize(report: &TargetReport, member: &Member<'_>) -> String {
    let who = member.display_name();
    let verb = if report.decision.is_allow() { "may" } else { "may not" };
    let because = because(report);
    format!("{who} {verb} reach {} `{}`: {because}", report.kind.noun(), report.name)
}

pub(super) fn because(report: &TargetReport) -> String {
    let parent = report.parents.first();
    match report.reason {
        Reason::Bindings => bindings(report),
        Reason::NoBindings => {
            let result = if report.decision.is_allow() { "pass" } else { "fail" };
            format!("it has no enabled binding, and its result is then {result}")
        }
        Reason::ParentFailed | Reason::AccessGroupPassed | Reason::AccessGroupFailed => match parent {
            Some(parent) => {
                let verb = if parent.decision.is_allow() { "passes" } else { "fails" };
                format!("its {} `{}` {verb}, since {}", parent.kind.noun(), parent.name, because(parent))
            }
            None => "of what it leans on".to_owned(),
        },
        Reason::Authentication(demand) => format!("the flow {}", demand.demand()),
    }
}

fn bindings(report: &TargetReport) -> String {
    let counted: Vec<&BindingReport> =
        report.bindings.iter().filter(|binding| binding.skipped.is_none() && !binding.dry_run).collect();
    let allowed = report.decision.is_allow();
    let total = report
        .bindings
        .iter()
        .filter(|binding| !binding.dry_run && matches!(binding.skipped, None | Some(SkipReason::Decided)))
        .count();
    // Without the bindings (an explanation of reasons only) there is still something to say.
    if counted.is_empty() {
        return match (report.mode, report.decision) {
            (Mode::Any, Decision::Allow) => "one of its bindings passes",
            (Mode::Any, Decision::Deny) => "none of its bindings passes",
            (Mode::All, Decision::Allow) => "all of its bindings pass",
            (Mode::All, Decision::Deny) => "one of its bindings, which must all pass, fails",
        }
        .to_owned();
    }
    match (report.mode, allowed) {
        (Mode::Any, true) | (Mode::All, false) => {
            let deciding = counted.iter().find(|binding| binding.result == allowed);
            let rule = if report.mode == Mode::Any { "one pass is enough" } else { "all must pass" };
            match deciding {
                Some(binding) if total == 1 => describe(binding),
                Some(binding) => format!("{} ({rule})", describe(binding)),
                None => rule.to_owned(),
            }
        }
        (Mode::Any, false) => match counted.as_slice() {
            [only] => describe(only),
            [first, rest @ ..] => {
                format!("none of its {total} bindings passes; {}, and {} more", describe(first), rest.len())
            }
            [] => "none of its bindings passes".to_owned(),
        },
        (Mode::All, true) => match counted.as_slice() {
            [only] => describe(only),
            _ => format!("all of its {total} bindings pass"),
        },
    }
}

/// One binding's result and why, such as `group `staff` (order 10) passes`.
fn describe(binding: &BindingReport) -> String {
    let (kind, name) = binding.subject.split_once('/').unwrap_or(("binding", &binding.subject));
    let name = match name.split_once('/') {
        Some((_, name)) if kind != "policy" => name,
        _ => name,
    };
    let place = format!("(order {})", binding.order);
    if let Some(error) = &binding.error {
        let result = if binding.result { "pass" } else { "fail" };
        return format!("policy `{name}` {place} errors with `{error}`, which counts as {result}");
    }
    let text = match (kind, binding.raw_result) {
        ("group", true) => format!("the subject is in group `{name}` {place}"),
        ("group", false) => format!("the subject is not in group `{name}` {place}"),
        ("user", true) => format!("the subject is user `{name}` {place}"),
        ("user", false) => format!("the subject is not user `{name}` {place}"),
        (_, true) => format!("policy `{name}` {place} passes"),
        (_, false) => format!("policy `{name}` {place} fails"),
    };
    let text = if binding.negated { format!("{text}, negated") } else { text };
    match binding.messages.first() {
        Some(message) => format!("{text} with `{message}`"),
        None => text,
    }
}
