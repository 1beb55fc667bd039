//! What goes wrong while a program runs. A loop may meet thousands of faults that do not count in the end, so the
//! sentence is only made for the one that does.
//!
//! Must not know: how an error is used.

use super::meter::{MAX_BYTES, MAX_STEPS, Spent};
use super::names::Kind;

/// A fault, and where.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where in the source, in characters.
    pub(super) at: u32,
    pub(super) what: What,
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum What {
    Spent(Spent),
    /// The map has no such key.
    NoKey(Box<str>),
    /// The list has no such place.
    NoElement(i64),
    /// A field of something that has none.
    NoFields(Kind, Box<str>),
    /// Something else where true or false is needed.
    NotBool(Kind),
    /// Two operands that do not go together.
    Operands(&'static str, Kind, Kind),
    /// An operand or argument of the wrong kind: of what, what is needed, what it is.
    Argument(&'static str, &'static str, Kind),
    /// The result does not fit.
    Overflow(&'static str),
    DivisionByZero,
    /// A key that no map can have.
    Key(Kind),
    /// A literal map with the same key twice.
    KeyTwice,
    /// A text that cannot be read: the text, and what it should be.
    Unreadable(Box<str>, &'static str),
}

impl Fault {
    /// Whether `false && ...` and the like may pass over it. The end of the means is the end.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self.what, What::Spent(_))
    }

    /// The sentence, without the place.
    pub(super) fn text(&self) -> String {
        match &self.what {
            What::Spent(Spent::Steps) => format!(
                "this needs more than {MAX_STEPS} steps for this question; look at less data, or put fewer loops into each other"
            ),
            What::Spent(Spent::Bytes) => format!(
                "this makes more than {MAX_BYTES} bytes of text and lists for this question; compare parts instead of joining them"
            ),
            What::NoKey(key) => format!("there is no key `{key}`; ask for it with `has(...)` or `in` first"),
            What::NoElement(index) => {
                format!("the list has no element {index}; compare with `size(...)` first")
            }
            What::NoFields(kind, field) => {
                format!("a value of type {kind} has no field `{field}`; ask with `has(...)` what is there")
            }
            What::NotBool(kind) => {
                format!("true or false is needed here, and this is {kind}; compare it with something")
            }
            What::Operands(sign, a, b) if *a == Kind::Null || *b == Kind::Null => format!(
                "`{sign}` does not go with {a} and {b}; what is absent is null, so ask for it with `has(...)` first"
            ),
            What::Operands(sign, a, b) => {
                format!("`{sign}` does not go with {a} and {b}; convert one of them, as in `double(...)`")
            }
            What::Argument(name, wanted, Kind::Null) => format!(
                "`{name}` needs {wanted}, and this is null; what is absent is null, so ask for it with `has(...)` first"
            ),
            What::Argument(name, wanted, kind) => {
                format!("`{name}` needs {wanted}, and this is {kind}; convert it or leave it out")
            }
            What::Overflow(name) => format!("the result of `{name}` does not fit; use smaller values"),
            What::DivisionByZero => "this divides by zero; compare with zero first".to_owned(),
            What::Key(kind) => format!("a key cannot be {kind}; use text, whole numbers, true or false"),
            What::KeyTwice => "the map has this key twice; leave one out".to_owned(),
            What::Unreadable(text, wanted) => format!("`{text}` is not {wanted}"),
        }
    }
}
