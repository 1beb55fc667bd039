//! Walks through a plan, stage by stage, with changes of the context between them.
//!
//! Must not know: where a plan comes from.

use super::desk::Desk;
use super::show;
use crate::cli::check::Trouble;
use crate::cli::check::question::entry;
use crate::cli::output::{Screen, one_line};
use crate::proto::v1;
use prost_types::Struct;
use std::io::{self, BufRead, IsTerminal as _};

/// How a walk is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Not at all; the steps are handed back.
    pub(super) quiet: bool,
    /// With every binding of each stage.
    pub(super) bindings: bool,
}

/// Walks through the plan of this answer until it is finished or somebody wants no more; gives all steps.
pub(super) fn walk(
    desk: &Desk,
    request: v1::PlanFlowRequest,
    planned: &v1::PlanFlowResponse,
    lines: &mut dyn BufRead,
    manner: Manner,
    screen: &mut Screen<'_>,
) -> Result<Vec<v1::NextStageResponse>, Trouble> {
    let v1::PlanFlowRequest { subject, context, explain, .. } = request;
    let mut context = context.unwrap_or_default();
    if let Some(changed) = &planned.context {
        context.values = Some(changed.clone());
    }
    let mut steps: Vec<v1::NextStageResponse> = Vec::new();
    let mut token = planned.token.clone();
    loop {
        if !changes(context.values.get_or_insert_default(), lines, screen)? {
            return Ok(steps);
        }
        let step = desk.next(v1::NextStageRequest {
            form: Some(v1::next_stage_request::Form::Token(std::mem::take(&mut token))),
            subject: subject.clone(),
            context: Some(context.clone()),
            explain,
            min_revision: 0,
        })?;
        if !manner.quiet {
            screen.put(show::step(&step, manner.bindings, screen.paint()));
        }
        if let Some(changed) = &step.context {
            context.values = Some(changed.clone());
        }
        token.clone_from(&step.token);
        let finished = step.finished;
        steps.push(step);
        if finished {
            return Ok(steps);
        }
    }
}

/// Reads changes until an empty line or the end; false: no more is wanted.
fn changes(values: &mut Struct, lines: &mut dyn BufRead, screen: &mut Screen<'_>) -> Result<bool, Trouble> {
    let somebody = io::stdin().is_terminal() && io::stderr().is_terminal();
    loop {
        if somebody {
            screen.prompt("context (KEY=VALUE, KEY=@JSON, -KEY; empty: go on; q: end) > ");
        }
        let mut line = String::new();
        let read = lines
            .read_line(&mut line)
            .map_err(|error| Trouble::question(format!("standard input cannot be read: {error}")))?;
        match line.trim() {
            "" => return Ok(true),
            _ if read == 0 => return Ok(true),
            "q" => return Ok(false),
            text => match text.strip_prefix('-') {
                Some(key) => {
                    if values.fields.remove(key).is_none() {
                        screen.note(format_args!("there is no `{}` in the context", one_line(key)));
                    }
                }
                None => match entry(text) {
                    Ok(entry) => {
                        values.fields.insert(entry.key, entry.value);
                    }
                    // Somebody who types is asked again; a script is wrong.
                    Err(wrong) if somebody => screen.note(wrong),
                    Err(wrong) => return Err(Trouble::question(wrong)),
                },
            },
        }
    }
}
