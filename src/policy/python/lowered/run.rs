//! Runs what a body became: a walk over its nodes, under a bound on its steps.
//!
//! Must not know: how nodes are made.

mod belonging;

use super::node::{Comparison, Const, Global, Node, Quantified, Search, Sort, Step};
use super::scene::{Scene, Who};
use super::value::{V, push};
use super::{Stop, Unsure};
use crate::model::Value;
use crate::policy::python::address;
use crate::policy::python::outcome::{MAX_MESSAGES, message};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cell::Cell;

/// How many nodes are evaluated at most; what takes more is the interpreter's, which has a deadline.
const MAX_STEPS: u32 = 10_000;

/// A run of a body.
pub(super) struct Run<'a> {
    scene: &'a Scene<'a>,
    locals: SmallVec<[Option<V<'a>>; 4]>,
    left: Cell<u32>,
    /// What it says.
    pub(super) messages: Vec<Box<str>>,
}

/// Where a statement leads.
enum Flow<'a> {
    Next,
    Return(V<'a>),
    Break,
    Continue,
}

type Found<'a> = Result<V<'a>, Stop>;

fn unsure<T>() -> Result<T, Stop> {
    Err(Unsure.into())
}

impl<'a> Run<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, locals: usize) -> Self {
        Self {
            scene,
            locals: SmallVec::from_elem(None, locals),
            left: Cell::new(MAX_STEPS),
            messages: Vec::new(),
        }
    }

    /// Runs a body to its end: the value that it returns.
    pub(super) fn body(&mut self, steps: &'a [Step]) -> Found<'a> {
        match self.steps(steps)? {
            Flow::Return(value) => Ok(value),
            _ => Ok(V::None),
        }
    }

    fn pay(&self) -> Result<(), Stop> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => unsure(),
        }
    }

    fn steps(&mut self, steps: &'a [Step]) -> Result<Flow<'a>, Stop> {
        for step in steps {
            match self.step(step)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn step(&mut self, step: &'a Step) -> Result<Flow<'a>, Stop> {
        self.pay()?;
        match step {
            Step::Do(node) => {
                self.value(node)?;
            }
            Step::Say(node) => {
                let value = self.value(node)?;
                let text = self.shown(value)?;
                // What is beyond is not told, but made: it may fail.
                if self.messages.len() < MAX_MESSAGES {
                    self.messages.push(message(text));
                }
            }
            Step::Assign(local, node) => {
                let value = self.value(node)?;
                self.set(*local, value);
            }
            Step::If(condition, then, otherwise) => {
                return if self.truth(condition)? { self.steps(then) } else { self.steps(otherwise) };
            }
            Step::For(local, over, body, otherwise) => {
                let over = self.value(over)?;
                let mut flow = Flow::Next;
                self.each(&over, &mut |run, element| {
                    run.set(*local, element);
                    flow = run.steps(body)?;
                    Ok(matches!(flow, Flow::Next | Flow::Continue))
                })?;
                return match flow {
                    Flow::Return(value) => Ok(Flow::Return(value)),
                    Flow::Break => Ok(Flow::Next),
                    Flow::Next | Flow::Continue => self.steps(otherwise),
                };
            }
            Step::Return(node) => return self.value(node).map(Flow::Return),
            Step::Raise(node) => {
                let value = self.value(node)?;
                return Err(Stop::Raised(message(self.shown(value)?)));
            }
            Step::Break => return Ok(Flow::Break),
            Step::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn set(&mut self, local: usize, value: V<'a>) {
        if let Some(slot) = self.locals.get_mut(local) {
            *slot = Some(value);
        }
    }

    fn truth(&mut self, node: &'a Node) -> Result<bool, Stop> {
        self.value(node)?.is_truthy()
    }

    fn value(&mut self, node: &'a Node) -> Found<'a> {
        self.pay()?;
        Ok(match node {
            Node::Const(value) => V::from(value),
            Node::Global(global) => return self.global(*global),
            Node::Local(local) => {
                return self.locals.get(*local).cloned().flatten().ok_or_else(|| Unsure.into());
            }
            Node::Bind(local, node) => {
                let value = self.value(node)?;
                self.set(*local, value.clone());
                value
            }
            Node::Attribute(of, name) => {
                let of = self.value(of)?;
                return self.scene.attribute(&of, name);
            }
            Node::Get(parts) => return self.get(&parts.0, &parts.1, parts.2.as_ref()),
            Node::Item(parts) => return self.item(&parts.0, &parts.1),
            Node::Items(_) => return unsure(),
            Node::Not(node) => V::Bool(!self.truth(node)?),
            Node::And(nodes) | Node::Or(nodes) => {
                let until = matches!(node, Node::Or(_));
                let mut last = V::None;
                for node in nodes {
                    last = self.value(node)?;
                    if last.is_truthy()? == until {
                        break;
                    }
                }
                last
            }
            Node::If(parts) => {
                let (condition, then, otherwise) = &**parts;
                let chosen = if self.truth(condition)? { then } else { otherwise };
                return self.value(chosen);
            }
            Node::Compare(first, rest) => V::Bool(self.compare(first, rest)?),
            Node::Add(parts) => {
                let left = self.value(&parts.0)?;
                let right = self.value(&parts.1)?;
                return left.plus(&right);
            }
            Node::Format(parts) => {
                let mut text = String::new();
                for part in parts {
                    let value = self.value(part)?;
                    match value {
                        V::Text(_) | V::Int(_) | V::Bool(_) | V::None => {
                            push(&mut text, &self.shown(value)?)?
                        }
                        _ => return unsure(),
                    }
                }
                V::from(text)
            }
            Node::Text(node) => {
                let value = self.value(node)?;
                V::Text(self.shown(value)?)
            }
            Node::Length(node) => {
                let length = self.value(node)?.length()?;
                V::Int(i64::try_from(length).map_err(|_| Unsure)?)
            }
            Node::Truth(node) => V::Bool(self.truth(node)?),
            Node::Affix(parts, at_end) => V::Bool(self.affix(&parts.0, &parts.1, *at_end)?),
            Node::Case(node, upper) => {
                let value = self.value(node)?;
                let text = value.text()?;
                // Other letters have rules that depend on the version of Unicode.
                if !text.is_ascii() {
                    return unsure();
                }
                V::from(if *upper { text.to_ascii_uppercase() } else { text.to_ascii_lowercase() })
            }
            Node::Strip(node) => return strip(self.value(node)?),
            Node::Part(node, separator, index) => return part(self.value(node)?, separator, *index),
            Node::Search(node, pattern, search) => {
                let value = self.value(node)?;
                // A pattern that goes back and forth too often gives up.
                let found = pattern.is_match(value.text()?).map_err(|_| Unsure)?;
                match (search, found) {
                    (Search::Truth, found) => V::Bool(found),
                    (Search::Match, true) => V::Matched,
                    (Search::Match, false) => V::None,
                }
            }
            Node::Address(node) => match self.value(node)? {
                V::Address(address) => V::Address(address),
                V::Text(text) => V::Address(text.parse().map_err(|_| Unsure)?),
                _ => return unsure(),
            },
            Node::Network(node, strict) => {
                let value = self.value(node)?;
                let given = address::network(value.text()?).ok_or(Unsure)?;
                if *strict && given.addr() != given.network() {
                    return unsure();
                }
                V::Network(given.trunc())
            }
            Node::IsMember(of, filters) => {
                self.grouped(of, false)?;
                V::Bool(self.has_group(false, filters)?)
            }
            Node::HasGroup(of, direct, filters) => {
                self.grouped(of, *direct)?;
                V::Bool(self.has_group(*direct, filters)?)
            }
            Node::Groups(of, direct) => {
                self.grouped(of, *direct)?;
                V::Groups(*direct)
            }
            Node::HasAuthenticator(parts) => {
                self.user(&parts.0)?;
                let kind = parts.1.as_ref().map(|node| self.value(node)).transpose()?;
                V::Bool(self.has_authenticator(kind.unwrap_or(V::None))?)
            }
            Node::Quantified(quantified) => V::Bool(self.quantified(quantified)?),
            Node::Every(node, all) => V::Bool(self.every(node, *all)?),
            Node::ClassName(node) => {
                let value = self.value(node)?;
                V::from(self.scene.class_name(&value)?)
            }
        })
    }

    fn global(&self, global: Global) -> Found<'a> {
        Ok(match global {
            Global::Request => V::Request,
            Global::Context => V::Context,
            // Without a request there is no such name.
            Global::Http if self.scene.http().is_some() => V::Http,
            Global::Http => return unsure(),
            Global::Address => V::Address(self.scene.address()?),
            Global::IsSso => return Ok(self.scene.of_context("is_sso")?.unwrap_or(V::Bool(false))),
        })
    }

    /// The one user whom groups are known of.
    fn user(&mut self, node: &'a Node) -> Result<(), Stop> {
        match self.value(node)? {
            V::User => Ok(()),
            _ => unsure(),
        }
    }

    /// The same, whose groups are asked for: nobody has direct ones, of which there are none, and no way to inherit any.
    fn grouped(&mut self, node: &'a Node, direct: bool) -> Result<(), Stop> {
        self.user(node)?;
        match self.scene.who() {
            Who::Stored => Ok(()),
            Who::Nobody if direct => Ok(()),
            Who::Nobody | Who::Unsaved => unsure(),
        }
    }

    fn get(&mut self, of: &'a Node, key: &'a Node, default: Option<&'a Node>) -> Found<'a> {
        let of = self.value(of)?;
        let key = self.value(key)?;
        let default = default.map_or(Ok(V::None), |node| self.value(node))?;
        Ok(self.scene.look_up(&of, &key)?.unwrap_or(default))
    }

    fn item(&mut self, of: &'a Node, key: &'a Node) -> Found<'a> {
        let of = self.value(of)?;
        let key = self.value(key)?;
        if let V::Int(index) = key {
            return of.at(index);
        }
        let found = self.scene.look_up(&of, &key)?;
        found.ok_or_else(|| match (key, of) {
            // As Python shows a plain text; others are shown with escapes.
            (V::Text(key), V::Context | V::Data(_) | V::Map(_))
                if key.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\')) =>
            {
                Stop::Raised(message(format!("'{key}'").into()))
            }
            _ => Unsure.into(),
        })
    }

    fn compare(&mut self, first: &'a Node, rest: &'a [(Comparison, Node)]) -> Result<bool, Stop> {
        let mut left = self.value(first)?;
        for (comparison, node) in rest {
            let negated = *comparison == Comparison::NotIn;
            let holds = match (comparison, node) {
                (Comparison::In | Comparison::NotIn, Node::Items(nodes)) => {
                    let elements: SmallVec<[V<'a>; 4]> =
                        nodes.iter().map(|node| self.value(node)).collect::<Result<_, _>>()?;
                    let mut found = false;
                    for element in &elements {
                        found = found || left.equals(element)?;
                    }
                    // Nothing can be compared with it any more.
                    return if rest.len() == 1 { Ok(found != negated) } else { unsure() };
                }
                (Comparison::In | Comparison::NotIn, node) => {
                    let right = self.value(node)?;
                    let holds = self.is_in(&left, &right)? != negated;
                    left = right;
                    holds
                }
                (comparison, node) => {
                    let right = self.value(node)?;
                    let holds = left.compare(*comparison, &right)?;
                    left = right;
                    holds
                }
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_in(&self, needle: &V<'a>, hay: &V<'a>) -> Result<bool, Stop> {
        match hay {
            V::Context | V::Headers | V::Cookies | V::Fields(_) | V::EventUser(_) => {
                Ok(self.scene.holds(hay, needle.text()?)?)
            }
            V::Groups(_) => unsure(),
            hay => needle.is_in(hay),
        }
    }

    fn affix(&mut self, of: &'a Node, affix: &'a Node, at_end: bool) -> Result<bool, Stop> {
        let of = self.value(of)?;
        let affix = self.value(affix)?;
        let text = of.text()?;
        let fits = |affix: &str| if at_end { text.ends_with(affix) } else { text.starts_with(affix) };
        match &affix {
            V::Text(affix) => Ok(fits(affix)),
            V::Items(items, Sort::Tuple) => items.iter().try_fold(false, |found, item| match item {
                Const::Text(affix) => Ok(found || fits(affix)),
                _ => unsure(),
            }),
            _ => unsure(),
        }
    }

    /// Calls `look` for every element until it wants no more.
    fn each(
        &mut self,
        over: &V<'a>,
        look: &mut dyn FnMut(&mut Self, V<'a>) -> Result<bool, Stop>,
    ) -> Result<(), Stop> {
        let mut all = |run: &mut Self, elements: &mut dyn Iterator<Item = V<'a>>| {
            for element in elements {
                run.pay()?;
                if !look(run, element)? {
                    break;
                }
            }
            Ok(())
        };
        match over {
            // A set has an order of its own.
            V::Items(items, Sort::List | Sort::Tuple) => all(self, &mut items.iter().map(V::from)),
            V::Data(Value::List(list)) => all(self, &mut list.iter().map(V::from)),
            V::Data(Value::Map(map)) => all(self, &mut map.keys().map(|key| V::from(&**key))),
            V::Groups(direct) => {
                let groups = self.scene.groups()?.iter().filter(|(_, is)| *is || !direct);
                all(self, &mut groups.map(|(group, _)| V::Group(group)))
            }
            _ => unsure(),
        }
    }

    fn quantified(&mut self, quantified: &'a Quantified) -> Result<bool, Stop> {
        let Quantified { all, eager, local, over, conditions, condition } = quantified;
        let over = self.value(over)?;
        let mut result = *all;
        self.each(&over, &mut |run, element| {
            run.set(*local, element);
            for condition in conditions {
                if !run.truth(condition)? {
                    return Ok(true);
                }
            }
            if run.truth(condition)? != *all {
                result = !*all;
            }
            Ok(*eager || result == *all)
        })?;
        Ok(result)
    }

    fn every(&mut self, node: &'a Node, all: bool) -> Result<bool, Stop> {
        let mut result = all;
        if let Node::Items(nodes) = node {
            let values: SmallVec<[V<'a>; 4]> =
                nodes.iter().map(|node| self.value(node)).collect::<Result<_, _>>()?;
            for value in &values {
                if result == all && value.is_truthy()? != all {
                    result = !all;
                }
            }
            return Ok(result);
        }
        let over = self.value(node)?;
        self.each(&over, &mut |_, element| {
            if element.is_truthy()? != all {
                result = !all;
            }
            Ok(result == all)
        })?;
        Ok(result)
    }

    /// `str(value)`
    fn shown(&self, value: V<'a>) -> Result<Cow<'a, str>, Stop> {
        Ok(match value {
            V::Text(text) => text,
            V::None => "None".into(),
            V::Bool(true) => "True".into(),
            V::Bool(false) => "False".into(),
            V::Int(number) => number.to_string().into(),
            V::Address(address) => address.to_string().into(),
            V::User if self.scene.who() != Who::Nobody => match self.scene.attribute(&V::User, "username")? {
                V::Text(text) => text,
                _ => return unsure(),
            },
            _ => return unsure(),
        })
    }
}

fn strip(value: V<'_>) -> Found<'_> {
    let V::Text(text) = value else { return unsure() };
    // What else is blank in Unicode is left to the interpreter.
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')) {
        return unsure();
    }
    Ok(match text {
        Cow::Borrowed(text) => V::from(text.trim()),
        Cow::Owned(text) => V::from(text.trim().to_owned()),
    })
}

/// A part of a text between separators.
fn part<'a>(value: V<'a>, separator: &str, index: i64) -> Found<'a> {
    fn nth<'t>(text: &'t str, separator: &str, index: i64) -> Option<&'t str> {
        match usize::try_from(index) {
            Ok(index) => text.split(separator).nth(index),
            Err(_) => text.rsplit(separator).nth(usize::try_from(-1 - index).ok()?),
        }
    }
    let V::Text(text) = value else { return unsure() };
    let found = match &text {
        Cow::Borrowed(text) => nth(text, separator, index).map(V::from),
        Cow::Owned(text) => nth(text, separator, index).map(|part| V::from(part.to_owned())),
    };
    found.ok_or_else(|| Unsure.into())
}
