//! What a body becomes: statements and conditions with everything resolved that can be before a question comes.
//!
//! Must not know: how they are made, how they are run.

use fancy_regex::Regex;

/// A value that stands in the source.
#[derive(Debug)]
pub(super) enum Const {
    /// `None`
    None,
    /// `True` and `False`
    Bool(bool),
    /// A whole number of at most 2^53.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Box<str>),
    /// A list, tuple or set of such values.
    Items(Box<[Const]>, Sort),
    /// A dictionary with texts for keys.
    Map(Box<[(Box<str>, Const)]>),
}

/// What kind of collection something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// `[...]`
    List,
    /// `(...)`
    Tuple,
    /// `{...}`
    Set,
}

/// Names of the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `request`
    Request,
    /// `context`
    Context,
    /// `http_request`
    Http,
    /// `ak_client_ip`
    Address,
    /// `ak_is_sso_flow`
    IsSso,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `is`
    Is,
    /// `is not`
    IsNot,
}

/// Where a pattern must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// `regex_match`: anywhere, and the answer is a truth value.
    Truth,
    /// A function of `re`, whose anchors stand in the pattern: the answer is a match or nothing.
    Match,
}

/// Which field of a group a look-up asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupField {
    /// `name`
    Name,
    /// `pk`
    Key,
    /// `is_superuser`
    IsSuperuser,
}

/// How a look-up compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// No suffix.
    Exact,
    /// `__in`
    In,
    /// `__contains`
    Contains,
    /// `__startswith`
    StartsWith,
    /// `__endswith`
    EndsWith,
}

/// One condition of a look-up among groups.
#[derive(Debug)]
pub(super) struct Filter {
    /// What of the group.
    pub(super) field: GroupField,
    /// Compared how.
    pub(super) lookup: Lookup,
    /// With what.
    pub(super) wanted: Node,
}

/// `condition for local in over if conditions`, of which any or all must hold.
#[derive(Debug)]
pub(super) struct Quantified {
    /// Whether all must hold.
    pub(super) all: bool,
    /// Whether it is a list, which is made whole before it is looked at.
    pub(super) eager: bool,
    /// Where the element is kept.
    pub(super) local: usize,
    /// The elements.
    pub(super) over: Node,
    /// Which elements count.
    pub(super) conditions: Box<[Node]>,
    /// What is asked of each.
    pub(super) condition: Node,
}

/// An expression.
#[derive(Debug)]
pub(super) enum Node {
    Const(Const),
    Global(Global),
    Local(usize),
    /// `(local := value)`
    Bind(usize, Box<Node>),
    /// `value.name`
    Attribute(Box<Node>, Box<str>),
    /// `value.get(key)` and `value.get(key, default)`
    Get(Box<(Node, Node, Option<Node>)>),
    /// `value[key]`
    Item(Box<(Node, Node)>),
    /// A list of values that are not all constant: only to look in, or to be asked for any or all of.
    Items(Box<[Node]>),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    /// `then if condition else otherwise`: the condition first.
    If(Box<(Node, Node, Node)>),
    Compare(Box<Node>, Box<[(Comparison, Node)]>),
    Add(Box<(Node, Node)>),
    /// The parts of an f-string.
    Format(Box<[Node]>),
    /// `str(value)`
    Text(Box<Node>),
    /// `len(value)`
    Length(Box<Node>),
    /// `bool(value)`
    Truth(Box<Node>),
    /// `text.startswith(affix)`, or `endswith` when true.
    Affix(Box<(Node, Node)>, bool),
    /// `text.lower()`, or `upper` when true.
    Case(Box<Node>, bool),
    /// `text.strip()`
    Strip(Box<Node>),
    /// `text.split(separator)[index]`
    Part(Box<Node>, Box<str>, i64),
    /// A search for a pattern in a text.
    Search(Box<Node>, Box<Regex>, Search),
    /// `ip_address(value)`
    Address(Box<Node>),
    /// `ip_network(value)`, and whether host bits may be set.
    Network(Box<Node>, bool),
    /// A look-up for any group of a user, in the direct ones only when true.
    HasGroup(Box<Node>, bool, Box<[Filter]>),
    /// `ak_is_group_member(user, ...)`
    IsMember(Box<Node>, Box<[Filter]>),
    /// All groups of a user, the direct ones only when true.
    Groups(Box<Node>, bool),
    /// `ak_user_has_authenticator(user, kind)`
    HasAuthenticator(Box<(Node, Option<Node>)>),
    Quantified(Box<Quantified>),
    /// `any(value)` and, when true, `all(value)`
    Every(Box<Node>, bool),
    /// `type(value).__name__`
    ClassName(Box<Node>),
}

/// A statement.
#[derive(Debug)]
pub(super) enum Step {
    /// An expression whose value nobody takes.
    Do(Node),
    /// `ak_message(value)`
    Say(Node),
    Assign(usize, Node),
    If(Node, Box<[Step]>, Box<[Step]>),
    For(usize, Node, Box<[Step]>, Box<[Step]>),
    /// `return`, with the value.
    Return(Node),
    /// `raise`, with the text of the error.
    Raise(Node),
    Break,
    Continue,
}
