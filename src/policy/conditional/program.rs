//! A compiled program.
//!
//! Must not know: how it was written, what it is evaluated on.

use super::kind::Constant;
use super::operator::Operator;
use super::variable::Reference;
use ipnet::IpNet;
use regex::Regex;

/// One step; those that are not enabled are left out.
#[derive(Debug)]
pub(super) enum Action {
    /// Fails the program when it does not hold.
    Condition(Node),
    If {
        condition: Node,
        then: Box<[Action]>,
        otherwise: Box<[Action]>,
    },
    Set {
        target: Setter,
        value: Source,
    },
    Stop {
        passing: bool,
        message: Option<Box<str>>,
    },
}

/// A condition.
#[derive(Debug)]
pub(super) enum Node {
    Compare(Box<Comparison>),
    Group(Combine, Box<[Node]>),
    /// The policy of this name or id.
    Policy(Box<str>),
}

/// How the conditions of a group combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    All,
    Any,
    None,
}

/// A comparison.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) variable: Reference,
    pub(super) operator: Operator,
    pub(super) operand: Operand,
    pub(super) case_sensitive: bool,
    pub(super) negate: bool,
}

/// What a variable is compared with.
#[derive(Debug)]
pub(super) enum Operand {
    Nothing,
    One(Constant),
    Many(Box<[Constant]>),
    Pattern(Box<Regex>),
    Networks(Box<[IpNet]>),
    Span(i64),
    Variable(Reference),
}

/// What is changed.
#[derive(Debug)]
pub(super) enum Setter {
    /// A key of the context.
    Context(Box<str>),
    /// A key of the context's prompt data.
    PromptData(Box<str>),
}

/// Where a new value comes from.
#[derive(Debug)]
pub(super) enum Source {
    Literal(crate::model::Value),
    Variable(Reference),
}
