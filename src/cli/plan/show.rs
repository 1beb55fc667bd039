//! Plans and steps for people: a list with a mark for every stage and why, or a Mermaid flowchart.
//!
//! Must not know: where a plan comes from.

use crate::cli::output::{Align, Paint, columns, one_line, tree};
use crate::proto::v1;
use std::fmt::Write as _;

/// A plan, or why there is none; every line with its end. `bindings`: with every binding of each stage.
pub(in crate::cli) fn plan(response: &v1::PlanFlowResponse, bindings: bool, paint: Paint) -> String {
    let mut lines = vec![match response.outcome() {
        v1::PlanOutcome::Planned => paint.good("PLANNED"),
        v1::PlanOutcome::Empty => paint.notable("EMPTY"),
        v1::PlanOutcome::NotApplicable => paint.bad("NOT APPLICABLE"),
        v1::PlanOutcome::Unspecified => "no outcome".to_owned(),
    }];
    lines.push(one_line(&response.summary));
    if response.outcome() == v1::PlanOutcome::NotApplicable {
        lines.push(format!("what they see: {}", denied(response.denied_action())));
    }
    let refused = response.outcome() == v1::PlanOutcome::NotApplicable;
    if let Some(flow) = response.flow.as_ref().filter(|_| bindings || refused) {
        lines.push(String::new());
        lines.extend(tree::explanation_lines(flow, paint));
    }
    if !response.stages.is_empty() {
        lines.push(String::new());
        lines.extend(stages(&response.stages, bindings, paint));
    }
    said(&response.messages, &mut lines);
    changed(response.context.as_ref(), &mut lines);
    lines.push(String::new());
    lines.push(paint.faint(&format!("revision {}{}", response.revision, behind(response.stale))));
    lines.join("\n") + "\n"
}

fn denied(action: v1::FlowDeniedAction) -> &'static str {
    match action {
        v1::FlowDeniedAction::Unspecified | v1::FlowDeniedAction::MessageContinue => {
            "the page that they wanted next, if there is one, else the message"
        }
        v1::FlowDeniedAction::Message => "the message",
        v1::FlowDeniedAction::Continue => "the page that they wanted next, or the start page",
    }
}

fn behind(stale: bool) -> &'static str {
    if stale { ", which is known to be behind" } else { "" }
}

const fn mark(outcome: v1::StageOutcome) -> &'static str {
    match outcome {
        v1::StageOutcome::In => "in",
        v1::StageOutcome::Out => "out",
        v1::StageOutcome::Later => "later",
        v1::StageOutcome::Unspecified => "?",
    }
}

fn stages(stages: &[v1::StageExplanation], bindings: bool, paint: Paint) -> Vec<String> {
    let mut rows = vec![["", "order", "stage", "kind", "why"].map(str::to_owned).to_vec()];
    let row = |explained: &v1::StageExplanation| {
        let stage = explained.stage.clone().unwrap_or_default();
        let mark = mark(explained.outcome()).to_owned();
        let (name, why) = (one_line(&stage.stage), one_line(&explained.summary));
        vec![mark, stage.order.to_string(), name, one_line(&stage.kind), why]
    };
    rows.extend(stages.iter().map(row));
    let align = [Align::Left, Align::Right, Align::Left, Align::Left, Align::Left];
    let mut set = columns(&align, &rows).into_iter();
    let mut lines: Vec<String> = set.next().map(|head| paint.faint(&head)).into_iter().collect();
    for (explained, line) in stages.iter().zip(set) {
        let mark = mark(explained.outcome());
        let rest = line.strip_prefix(mark).unwrap_or(&line);
        lines.push(match explained.outcome() {
            v1::StageOutcome::In => format!("{}{rest}", paint.good(mark)),
            v1::StageOutcome::Out => paint.faint(&line),
            _ => format!("{}{rest}", paint.notable(mark)),
        });
        if let Some(explanation) = explained.explanation.as_ref().filter(|_| bindings) {
            lines.extend(
                tree::explanation_lines(explanation, paint).iter().map(|line| format!("       {line}")),
            );
        }
    }
    lines
}

fn said(messages: &[String], lines: &mut Vec<String>) {
    if !messages.is_empty() {
        lines.push(String::new());
        lines.push("messages:".to_owned());
        lines.extend(messages.iter().map(|message| format!("  {}", one_line(message))));
    }
}

fn changed(context: Option<&prost_types::Struct>, lines: &mut Vec<String>) {
    let json = context.map(|values| crate::proto::to_json("google.protobuf.Struct", values));
    if let Some(Ok(json)) = json {
        lines.push(String::new());
        lines.push(format!("policies changed the context, which is now {}", one_line(&json.to_string())));
    }
}

/// A step; every line with its end.
pub(in crate::cli) fn step(response: &v1::NextStageResponse, bindings: bool, paint: Paint) -> String {
    let mut lines = Vec::new();
    let below = |explanation: Option<&v1::Explanation>, lines: &mut Vec<String>| {
        if let Some(explanation) = explanation.filter(|_| bindings) {
            lines.extend(tree::explanation_lines(explanation, paint).iter().map(|line| format!("  {line}")));
        }
    };
    for dropped in &response.dropped {
        let name = dropped.stage.as_ref().map(|stage| one_line(&stage.stage)).unwrap_or_default();
        lines.push(paint.faint(&format!("- {name}: {}", one_line(&dropped.summary))));
        below(dropped.explanation.as_ref(), &mut lines);
    }
    match &response.stage {
        Some(stage) => {
            let kind = if stage.kind.is_empty() { String::new() } else { format!(" ({})", stage.kind) };
            let head = format!("> {}{}", one_line(&stage.stage), one_line(&kind));
            let left = response.plan.as_ref().map_or(0, |plan| plan.stages.len());
            let known = format!("stage `{}` is next", stage.stage);
            let why = response.summary.strip_prefix(&known).unwrap_or(&response.summary);
            let why = why.trim_start_matches([',', ':', ' ']);
            let why = if why.is_empty() { "its bindings are not looked at" } else { why };
            lines.push(format!("{}  {}; {left} left after it", paint.good(&head), one_line(why)));
            below(response.explanation.as_ref(), &mut lines);
        }
        None => lines.push(format!("{}  {}", paint.good("finished"), one_line(&response.summary))),
    }
    lines.extend(response.messages.iter().map(|message| format!("  says: {}", one_line(message))));
    changed(response.context.as_ref(), &mut lines);
    lines.join("\n") + "\n"
}

/// A flowchart of the stages: those that are out hang beside the way, those that come later are dashed.
pub(super) fn mermaid(flow: &str, response: &v1::PlanFlowResponse) -> String {
    let mut out = String::from("flowchart TD\n");
    // Writing to a text cannot fail.
    let _ = writeln!(out, "  start([\"{}\"])", label(flow));
    let mut last = "start".to_owned();
    for (index, explained) in response.stages.iter().enumerate() {
        let stage = explained.stage.clone().unwrap_or_default();
        let node = format!("s{index}");
        let text = format!("{} {}<br/>{}", stage.order, label(&stage.stage), label(&stage.kind));
        let class = mark(explained.outcome());
        let _ = writeln!(out, "  {node}[\"{text}\"]:::{class}");
        if explained.outcome() == v1::StageOutcome::Out {
            let _ = writeln!(out, "  {last} -. out .-> {node}");
        } else {
            let _ = writeln!(out, "  {last} --> {node}");
            last = node;
        }
    }
    let end = match response.outcome() {
        v1::PlanOutcome::NotApplicable => "not applicable",
        v1::PlanOutcome::Empty => "empty",
        _ => "finished",
    };
    let _ = writeln!(out, "  {last} --> done([\"{end}\"])");
    out.push_str(
        "  classDef later stroke-dasharray: 4 4\n  classDef out stroke-dasharray: 2 2, color: gray\n",
    );
    out
}

/// A text inside the quotes of a label: whatever could end it, or be read as a tag, is written as an entity.
fn label(text: &str) -> String {
    let mut out = String::new();
    for character in one_line(text).chars() {
        match character {
            '"' | '<' | '>' | '#' | '&' | ';' | '`' => {
                let _ = write!(out, "#{};", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}
