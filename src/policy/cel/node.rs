//! A program in the form in which it is evaluated: names are resolved, constants prepared.
//!
//! Must not know: how it is evaluated.

use super::calendar::{Part, Zone};
use super::names::Field;
use super::pattern::Pattern;
use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;

/// An operation.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it stands in the source, in characters.
    pub(super) at: u32,
    pub(super) op: Op,
}

/// What an operation does.
#[derive(Debug)]
pub(super) enum Op {
    Literal(Literal),
    /// A value of the question.
    Field(Field),
    /// Whether there is such a value.
    HasField(Field),
    /// The element of the loop that is this many loops from the outside.
    Local(usize),
    Select(Box<Node>, Box<str>),
    Has(Box<Node>, Box<str>),
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Conditional(Box<[Node; 3]>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// Membership in a list of constants, which is not built for it.
    InConstants(Box<Node>, Box<[Literal]>),
    /// Membership of the subject in a group.
    HasGroup(Box<Node>),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
    Loop(Box<Loop>),
    Call(Function, Box<[Node]>),
    Matches(Box<Node>, Box<Pattern>),
    InNetwork(Box<Node>, IpNet),
    Calendar(Part, Box<Node>, Zone),
}

/// A loop over a list, or over the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    /// A condition, or the element that is made.
    pub(super) body: Node,
    /// For a `map` that leaves out elements: which it takes.
    pub(super) guard: Option<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// A constant.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(Box<str>),
    Timestamp(DateTime<Utc>),
    Duration(TimeDelta),
}

/// An operator with two operands that are always both evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

impl Binary {
    /// How it is written.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
        }
    }
}

/// A function of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    InNetwork,
    Int,
    Double,
    String,
    Timestamp,
    Duration,
    Dyn,
}
