//! What a program reads of a question, for people who have to give it.

use super::program::{Action, Node, Operand, Source};
use super::variable::Reference;
use std::collections::BTreeSet;

/// The variables that a program reads, and the policies that it refers to.
pub(super) fn reads(actions: &[Action], into: &mut BTreeSet<String>) {
    for action in actions {
        match action {
            Action::Condition(node) => condition(node, into),
            Action::If { condition: node, then, otherwise } => {
                condition(node, into);
                reads(then, into);
                reads(otherwise, into);
            }
            Action::Set { value: Source::Variable(variable), .. } => {
                into.insert(name(variable));
            }
            Action::Set { .. } | Action::Stop { .. } => {}
        }
    }
}

fn condition(node: &Node, into: &mut BTreeSet<String>) {
    match node {
        Node::Compare(comparison) => {
            into.insert(name(&comparison.variable));
            if let Operand::Variable(variable) = &comparison.operand {
                into.insert(name(variable));
            }
        }
        Node::Group(_, nodes) => nodes.iter().for_each(|node| condition(node, into)),
        Node::Policy(policy) => {
            into.insert(format!("policy `{policy}`"));
        }
    }
}

fn name(reference: &Reference) -> String {
    let parts = std::iter::once(reference.variable.key).chain(reference.path.iter().map(|step| &**step));
    parts.collect::<Vec<_>>().join(".")
}
