//! The most that a program takes as far as it can be told without the question: a loop over a list that stands in the
//! program goes through all of it, one over data counts as one element. What is too much already then is refused at
//! the door; the rest is metered while it runs.
//!
//! Must not know: how much is allowed.

use super::node::{Binary, LoopKind, Node, Op};

/// Steps, and how many elements the value has if it is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) steps: u64,
    elements: u64,
}

/// What a program may take.
pub(super) fn cost(node: &Node) -> Cost {
    let mut elements = 1;
    let inner = match &node.op {
        Op::Literal(_) | Op::Field(_) | Op::HasField(_) | Op::Local(_) => 0,
        Op::Select(one, _)
        | Op::Has(one, _)
        | Op::Not(one)
        | Op::Negate(one)
        | Op::HasGroup(one)
        | Op::Matches(one, _)
        | Op::InNetwork(one, _)
        | Op::Calendar(_, one, _) => cost(one).steps,
        Op::InConstants(one, constants) => cost(one).steps.saturating_add(constants.len() as u64),
        Op::Index(one, two) | Op::And(one, two) | Op::Or(one, two) => {
            cost(one).steps.saturating_add(cost(two).steps)
        }
        Op::Conditional(parts) => {
            let [condition, then, otherwise] = &**parts;
            let (then, otherwise) = (cost(then), cost(otherwise));
            elements = then.elements.max(otherwise.elements);
            cost(condition).steps.saturating_add(then.steps.max(otherwise.steps))
        }
        Op::Binary(binary, one, two) => {
            let (one, two) = (cost(one), cost(two));
            let touched = match binary {
                Binary::Add => {
                    elements = one.elements.saturating_add(two.elements);
                    elements
                }
                Binary::In => two.elements,
                _ => 1,
            };
            one.steps.saturating_add(two.steps).saturating_add(touched)
        }
        Op::List(list) => {
            elements = list.len() as u64;
            list.iter().fold(0, |sum, one| cost(one).steps.saturating_add(sum))
        }
        Op::Map(map) => {
            elements = map.len() as u64;
            let both = |(key, value)| cost(key).steps.saturating_add(cost(value).steps);
            map.iter().map(|(key, value)| both((key, value))).fold(0, u64::saturating_add)
        }
        Op::Loop(looping) => {
            let range = cost(&looping.range);
            if matches!(looping.kind, LoopKind::Map | LoopKind::Filter) {
                elements = range.elements;
            }
            let guard = looping.guard.as_ref().map_or(0, |guard| cost(guard).steps);
            let each = cost(&looping.body).steps.saturating_add(guard).saturating_add(1);
            range.steps.saturating_add(range.elements.saturating_mul(each))
        }
        Op::Call(_, arguments) => arguments.iter().fold(0, |sum, one| cost(one).steps.saturating_add(sum)),
    };
    Cost { steps: inner.saturating_add(1), elements }
}
