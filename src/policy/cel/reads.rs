//! What a program reads of a question, for people who have to give it.

use super::names::{Field, Name, Record, TOP};
use super::node::{Node, Op};
use std::collections::BTreeSet;

/// The names that a program reads, as it writes them; of the context with the key where it is written.
pub(super) fn reads(node: &Node, into: &mut BTreeSet<String>) {
    let mut all = |nodes: &[&Node]| nodes.iter().for_each(|node| reads(node, into));
    match &node.op {
        Op::Literal(_) | Op::Local(_) => {}
        Op::Field(field) | Op::HasField(field) => {
            into.insert(path(*field));
        }
        Op::Select(of, key) | Op::Has(of, key) => match &of.op {
            Op::Field(field @ (Field::Context | Field::SubjectAttributes)) => {
                into.insert(format!("{}.{key}", path(*field)));
            }
            _ => all(&[of]),
        },
        Op::Not(of)
        | Op::Negate(of)
        | Op::InConstants(of, _)
        | Op::Matches(of, _)
        | Op::InNetwork(of, _)
        | Op::Calendar(_, of, _) => all(&[of]),
        Op::HasGroup(of) => {
            all(&[of]);
            into.insert(path(Field::SubjectGroups));
        }
        Op::Index(a, b) | Op::And(a, b) | Op::Or(a, b) | Op::Binary(_, a, b) => all(&[a, b]),
        Op::Conditional(parts) => parts.iter().for_each(|part| reads(part, into)),
        Op::List(items) | Op::Call(_, items) => items.iter().for_each(|item| reads(item, into)),
        Op::Map(entries) => entries.iter().for_each(|(key, value)| {
            reads(key, into);
            reads(value, into);
        }),
        Op::Loop(one) => {
            all(&[&one.range, &one.body]);
            if let Some(guard) = &one.guard {
                reads(guard, into);
            }
        }
    }
}

fn path(wanted: Field) -> String {
    let is = |name: &Name| matches!(name, Name::Field(field) if *field == wanted);
    if let Some((name, _)) = TOP.iter().find(|(_, name)| is(name)) {
        return (*name).to_owned();
    }
    let records = [Record::Subject, Record::Request, Record::Target, Record::Event, Record::EventUser];
    let in_record = |record: &Record| {
        let (name, _) = record.fields().iter().find(|(_, name)| is(name))?;
        Some(format!("{}.{name}", record.path()))
    };
    records.iter().find_map(in_record).unwrap_or_default()
}
