//! Runs a program: walks its tree, and pays for each operation before it is done.
//!
//! The crate that parses can evaluate as well, but neither bounds what that takes nor lets it be stopped, and its loops
//! copy what they look at. So the walk is ours; a test holds it against the crate's.
//! Must not know: what the values mean.

use super::fault::{Fault, What};
use super::functions;
use super::meter::{Meter, Spent};
use super::names::Kind;
use super::node::{Binary, Loop, LoopKind, Node, Op};
use super::scene::Scene;
use super::value::{Key, List, Map, Val, whole};
use chrono::DateTime;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A run of a program.
pub(super) struct Run<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) meter: &'a Meter,
    /// The elements of the loops that are under way.
    locals: Vec<Val<'a>>,
}

type Result<T> = std::result::Result<T, Box<Fault>>;

/// Puts a place to what is wrong there.
pub(super) fn fault(node: &Node, what: What) -> Box<Fault> {
    Box::new(Fault { at: node.at, what })
}

impl<'a> Run<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>, meter: &'a Meter) -> Self {
        Self { scene, meter, locals: Vec::new() }
    }

    /// The program's result.
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool> {
        match self.value(node)? {
            Val::Bool(value) => Ok(value),
            other => Err(fault(node, What::NotBool(other.kind()))),
        }
    }

    /// The value of an operation.
    pub(super) fn value(&mut self, node: &'a Node) -> Result<Val<'a>> {
        let spent = |spent: Spent| fault(node, What::Spent(spent));
        self.meter.steps(1).map_err(spent)?;
        Ok(match &node.op {
            Op::Literal(literal) => Val::literal(literal),
            Op::Field(field) => self.scene.field(*field, self.meter).map_err(spent)?,
            Op::HasField(field) => {
                Val::Bool(!matches!(self.scene.field(*field, self.meter).map_err(spent)?, Val::Null))
            }
            Op::Local(depth) => self.locals.get(*depth).cloned().unwrap_or(Val::Null),
            Op::Select(operand, field) => {
                let operand = self.value(operand)?;
                let found = self.select(node, &operand, field)?;
                found.ok_or_else(|| fault(node, What::NoKey(cut(field))))?
            }
            Op::Has(operand, field) => {
                let operand = self.value(operand)?;
                Val::Bool(self.select(node, &operand, field)?.is_some())
            }
            Op::Index(operand, index) => {
                let operand = self.value(operand)?;
                let index = self.value(index)?;
                self.index(node, &operand, &index)?
            }
            Op::Not(operand) => Val::Bool(!self.truth(operand)?),
            Op::Negate(operand) => match self.value(operand)? {
                Val::Int(number) => {
                    Val::Int(number.checked_neg().ok_or_else(|| fault(node, What::Overflow("-")))?)
                }
                Val::Double(number) => Val::Double(-number),
                other => return Err(fault(node, What::Argument("-", "a number", other.kind()))),
            },
            Op::And(left, right) => Val::Bool(self.both(left, right, false)?),
            Op::Or(left, right) => Val::Bool(self.both(left, right, true)?),
            Op::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = if self.truth(condition)? { then } else { otherwise };
                self.value(chosen)?
            }
            Op::Binary(binary, left, right) => {
                let left = self.value(left)?;
                let right = self.value(right)?;
                self.binary(node, *binary, left, right)?
            }
            Op::InConstants(operand, constants) => {
                let operand = self.value(operand)?;
                let mut found = false;
                for constant in constants {
                    found = found || operand.equals(&Val::literal(constant), self.meter).map_err(spent)?;
                }
                Val::Bool(found)
            }
            Op::HasGroup(name) => match self.value(name)? {
                Val::String(name) => {
                    Val::Bool(self.scene.has_group(name.as_str(), self.meter).map_err(spent)?)
                }
                // Whatever else it is, no group is called so.
                _ => Val::Bool(false),
            },
            Op::List(elements) => {
                self.meter.make(size_of_val(&**elements)).map_err(spent)?;
                let elements: Result<Vec<_>> = elements.iter().map(|element| self.value(element)).collect();
                Val::List(List::Made(elements?.into()))
            }
            Op::Map(entries) => self.map(node, entries)?,
            Op::Loop(looping) => self.run_loop(node, looping)?,
            Op::Call(..) | Op::Matches(..) | Op::InNetwork(..) | Op::Calendar(..) => {
                functions::call(self, node)?
            }
        })
    }

    /// `&&` and `||`: either side may decide alone, also when the other one cannot be evaluated.
    fn both(&mut self, left: &'a Node, right: &'a Node, deciding: bool) -> Result<bool> {
        let first = self.truth(left);
        match first {
            Ok(value) if value == deciding => return Ok(deciding),
            Err(fault) if fault.is_final() => return Err(fault),
            _ => {}
        }
        match (first, self.truth(right)) {
            (_, Err(fault)) if fault.is_final() => Err(fault),
            (_, Ok(value)) if value == deciding => Ok(deciding),
            (Err(fault), _) | (Ok(_), Err(fault)) => Err(fault),
            (Ok(_), Ok(value)) => Ok(value),
        }
    }

    fn select(&self, node: &Node, operand: &Val<'a>, field: &'a str) -> Result<Option<Val<'a>>> {
        let Val::Map(map) = operand else {
            return Err(fault(node, What::NoFields(operand.kind(), cut(field))));
        };
        let Val::String(text) = Val::given(field) else { return Ok(None) };
        map.get(&Key::String(text), self.meter).map_err(|spent| fault(node, What::Spent(spent)))
    }

    fn index(&self, node: &Node, operand: &Val<'a>, index: &Val<'a>) -> Result<Val<'a>> {
        match operand {
            Val::List(list) => {
                let place = match index {
                    Val::Int(number) => *number,
                    Val::Double(number) => whole(*number).ok_or_else(|| {
                        fault(node, What::Argument("[...]", "a whole number", Kind::Double))
                    })?,
                    other => {
                        return Err(fault(node, What::Argument("[...]", "a whole number", other.kind())));
                    }
                };
                let found = usize::try_from(place).ok().and_then(|place| list.get(place));
                found.ok_or_else(|| fault(node, What::NoElement(place)))
            }
            Val::Map(map) => {
                let key = key_for(node, index)?;
                let found = match &key {
                    Some(key) => map.get(key, self.meter).map_err(|spent| fault(node, What::Spent(spent)))?,
                    None => None,
                };
                found.ok_or_else(|| {
                    fault(
                        node,
                        What::NoKey(match key {
                            Some(Key::String(text)) => cut(text.as_str()),
                            Some(Key::Int(number)) => number.to_string().into(),
                            Some(Key::Bool(value)) => value.to_string().into(),
                            None => "a number with a fraction".into(),
                        }),
                    )
                })
            }
            other => Err(fault(node, What::Operands("[...]", other.kind(), index.kind()))),
        }
    }

    fn map(&mut self, node: &'a Node, entries: &'a [(Node, Node)]) -> Result<Val<'a>> {
        let spent = |spent: Spent| fault(node, What::Spent(spent));
        self.meter.make(size_of_val(entries)).map_err(spent)?;
        let mut map = BTreeMap::new();
        for (key_node, value) in entries {
            let key = self.value(key_node)?;
            let key = Key::new(&key).ok_or_else(|| fault(key_node, What::Key(key.kind())))?;
            if let Key::String(text) = &key {
                self.meter.look(text.as_str().len().saturating_mul(16)).map_err(spent)?;
            }
            let value = self.value(value)?;
            if map.insert(key, value).is_some() {
                return Err(fault(key_node, What::KeyTwice));
            }
        }
        Ok(Val::Map(Map::Made(Rc::new(map))))
    }

    fn run_loop(&mut self, node: &'a Node, looping: &'a Loop) -> Result<Val<'a>> {
        let range = self.value(&looping.range)?;
        let depth = self.locals.len();
        self.locals.push(Val::Null);
        let result = match range {
            Val::List(list) => {
                self.each(node, looping, depth, (0..list.len()).map_while(|index| list.get(index)))
            }
            Val::Map(map) => {
                let spent = match &map {
                    // Its keys are copied for the loop.
                    Map::Made(keys) => self.meter.make(keys.len() * size_of::<Val<'_>>()),
                    _ => Ok(()),
                };
                match spent {
                    Ok(()) => self.each(node, looping, depth, map.keys().map(Key::value)),
                    Err(spent) => Err(fault(node, What::Spent(spent))),
                }
            }
            other => Err(fault(&looping.range, What::Argument("a loop", "a list or a map", other.kind()))),
        };
        self.locals.truncate(depth);
        result
    }

    fn each(
        &mut self,
        node: &'a Node,
        looping: &'a Loop,
        depth: usize,
        elements: impl Iterator<Item = Val<'a>>,
    ) -> Result<Val<'a>> {
        // A fault in one element of `all` and `exists` does not count when another element decides.
        let mut pending = None;
        let mut matching = 0_u32;
        let mut made = Vec::new();
        for element in elements {
            let spent = |spent: Spent| fault(node, What::Spent(spent));
            self.meter.steps(1).map_err(spent)?;
            if let Some(local) = self.locals.get_mut(depth) {
                local.clone_from(&element);
            }
            match looping.kind {
                LoopKind::All | LoopKind::Exists => {
                    let deciding = looping.kind == LoopKind::Exists;
                    match self.truth(&looping.body) {
                        Ok(value) if value == deciding => return Ok(Val::Bool(deciding)),
                        Ok(_) => {}
                        Err(fault) if fault.is_final() => return Err(fault),
                        Err(fault) => pending = Some(fault),
                    }
                }
                LoopKind::ExistsOne => matching += u32::from(self.truth(&looping.body)?),
                LoopKind::Map | LoopKind::Filter => {
                    let taken = match (&looping.guard, looping.kind) {
                        (Some(guard), _) => self.truth(guard)?,
                        (None, LoopKind::Filter) => self.truth(&looping.body)?,
                        (None, _) => true,
                    };
                    if taken {
                        self.meter.make(size_of::<Val<'_>>()).map_err(spent)?;
                        let filters = looping.kind == LoopKind::Filter;
                        made.push(if filters { element } else { self.value(&looping.body)? });
                    }
                }
            }
        }
        match (looping.kind, pending) {
            (LoopKind::All | LoopKind::Exists, Some(fault)) => Err(fault),
            (LoopKind::All, None) => Ok(Val::Bool(true)),
            (LoopKind::Exists, None) => Ok(Val::Bool(false)),
            (LoopKind::ExistsOne, _) => Ok(Val::Bool(matching == 1)),
            (LoopKind::Map | LoopKind::Filter, _) => Ok(Val::List(List::Made(made.into()))),
        }
    }

    fn binary(&self, node: &Node, binary: Binary, left: Val<'a>, right: Val<'a>) -> Result<Val<'a>> {
        let spent = |spent: Spent| fault(node, What::Spent(spent));
        let meter = self.meter;
        let ordered = |wanted: fn(Ordering) -> bool| match left.compare(&right, meter) {
            Ok(Some(order)) => Ok(Val::Bool(order.is_some_and(wanted))),
            Ok(None) => Err(fault(node, What::Operands(binary.sign(), left.kind(), right.kind()))),
            Err(limit) => Err(spent(limit)),
        };
        match binary {
            Binary::Equal => left.equals(&right, meter).map(Val::Bool).map_err(spent),
            Binary::NotEqual => left.equals(&right, meter).map(|same| Val::Bool(!same)).map_err(spent),
            Binary::Less => ordered(Ordering::is_lt),
            Binary::LessEqual => ordered(Ordering::is_le),
            Binary::Greater => ordered(Ordering::is_gt),
            Binary::GreaterEqual => ordered(Ordering::is_ge),
            Binary::In => match &right {
                Val::List(list) => list.contains(&left, meter).map(Val::Bool).map_err(spent),
                Val::Map(map) => Ok(Val::Bool(match key_for(node, &left)? {
                    Some(key) => map.get(&key, meter).map_err(spent)?.is_some(),
                    None => false,
                })),
                other => Err(fault(node, What::Argument("in", "a list or a map on its right", other.kind()))),
            },
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo => {
                self.calculate(node, binary, left, right)
            }
        }
    }

    fn calculate(&self, node: &Node, binary: Binary, left: Val<'a>, right: Val<'a>) -> Result<Val<'a>> {
        use Binary::{Add, Divide, Modulo, Multiply, Subtract};
        use Val::{Double, Duration, Int, Timestamp};
        let kinds = (left.kind(), right.kind());
        let overflow = || fault(node, What::Overflow(binary.sign()));
        let spent = |spent: Spent| fault(node, What::Spent(spent));
        let moment = |moment: Option<DateTime<chrono::Utc>>| {
            moment.and_then(super::calendar::in_range).map(Timestamp).ok_or_else(overflow)
        };
        match (binary, left, right) {
            (Divide | Modulo, Int(_), Int(0)) => Err(fault(node, What::DivisionByZero)),
            (Add, Int(a), Int(b)) => a.checked_add(b).map(Int).ok_or_else(overflow),
            (Subtract, Int(a), Int(b)) => a.checked_sub(b).map(Int).ok_or_else(overflow),
            (Multiply, Int(a), Int(b)) => a.checked_mul(b).map(Int).ok_or_else(overflow),
            (Divide, Int(a), Int(b)) => a.checked_div(b).map(Int).ok_or_else(overflow),
            (Modulo, Int(a), Int(b)) => a.checked_rem(b).map(Int).ok_or_else(overflow),
            (Add, Double(a), Double(b)) => Ok(Double(a + b)),
            (Subtract, Double(a), Double(b)) => Ok(Double(a - b)),
            (Multiply, Double(a), Double(b)) => Ok(Double(a * b)),
            (Divide, Double(a), Double(b)) => Ok(Double(a / b)),
            (Add, Val::String(a), Val::String(b)) => {
                let (a, b) = (a.as_str(), b.as_str());
                self.meter.make(a.len() + b.len()).map_err(spent)?;
                Ok(Val::String(super::value::Text::Made([a, b].concat().into())))
            }
            (Add, Val::List(a), Val::List(b)) => {
                let length = a.len() + b.len();
                self.meter.make(length * size_of::<Val<'_>>()).map_err(spent)?;
                let elements = (0..a.len()).map_while(|index| a.get(index));
                Ok(Val::List(List::Made(
                    elements.chain((0..b.len()).map_while(|index| b.get(index))).collect(),
                )))
            }
            (Add, Timestamp(a), Duration(b)) | (Add, Duration(b), Timestamp(a)) => {
                moment(a.checked_add_signed(b))
            }
            (Subtract, Timestamp(a), Duration(b)) => moment(a.checked_sub_signed(b)),
            (Subtract, Timestamp(a), Timestamp(b)) => Ok(Duration(a.signed_duration_since(b))),
            (Add, Duration(a), Duration(b)) => a.checked_add(&b).map(Duration).ok_or_else(overflow),
            (Subtract, Duration(a), Duration(b)) => a.checked_sub(&b).map(Duration).ok_or_else(overflow),
            _ => Err(fault(node, What::Operands(binary.sign(), kinds.0, kinds.1))),
        }
    }
}

/// What to look for in a map; nothing for a number with a fraction, which no map has.
fn key_for<'a>(node: &Node, value: &Val<'a>) -> Result<Option<Key<'a>>> {
    match (Key::new(value), value) {
        (Some(key), _) => Ok(Some(key)),
        (None, Val::Double(_)) => Ok(None),
        (None, other) => Err(fault(node, What::Key(other.kind()))),
    }
}

/// As much of a text as an error shows.
pub(super) fn cut(text: &str) -> Box<str> {
    const MOST: usize = 64;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}
