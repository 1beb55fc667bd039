//! Tags that choose, repeat and pick.
//!
//! Must not know: objects, context.

use super::{Evaluated, Evaluation, Surroundings, Value, list, wrong};
use crate::sync::yaml::{Content, Node};
use std::collections::BTreeMap;

impl<S: Surroundings> Evaluation<'_, S> {
    pub(super) fn choose(&mut self, node: &Node) -> Evaluated {
        match list(node) {
            Some([condition]) => Ok(Value::Bool(self.value(condition)?.is_truthy())),
            Some([condition, then, otherwise]) => {
                let chosen = if self.value(condition)?.is_truthy() { then } else { otherwise };
                self.value(chosen)
            }
            _ => match node.text() {
                // `!If x` without a list: the truth of the text itself.
                Some(text) => Ok(Value::Bool(!text.is_empty())),
                None => Err(wrong(node, "`!If` takes a condition, or a condition and two values")),
            },
        }
    }

    pub(super) fn condition(&mut self, node: &Node) -> Evaluated {
        let Some((mode, operands)) = list(node).and_then(<[Node]>::split_first) else {
            return Err(wrong(
                node,
                "`!Condition` takes a mode and values, such as `!Condition [AND, a, b]`",
            ));
        };
        if operands.is_empty() {
            return Err(wrong(node, "`!Condition` has a mode and no values; add at least one"));
        }
        let mode = self.key(mode)?;
        let truths: Vec<bool> = operands
            .iter()
            .map(|operand| self.value(operand).map(|value| value.is_truthy()))
            .collect::<Result<_, _>>()?;
        let odd = truths.iter().filter(|truth| **truth).count() % 2 == 1;
        let all = truths.iter().all(|truth| *truth);
        let any = truths.iter().any(|truth| *truth);
        match mode.to_ascii_uppercase().as_str() {
            "AND" => Ok(Value::Bool(all)),
            "NAND" => Ok(Value::Bool(!all)),
            "OR" => Ok(Value::Bool(any)),
            "NOR" => Ok(Value::Bool(!any)),
            "XOR" => Ok(Value::Bool(odd)),
            "XNOR" => Ok(Value::Bool(!odd)),
            _ => Err(wrong(
                node,
                format!("the mode `{mode}` is not known; use AND, NAND, OR, NOR, XOR or XNOR"),
            )),
        }
    }

    pub(super) fn enumerate(&mut self, node: &Node) -> Evaluated {
        let Some([iterable, output, template]) = list(node) else {
            let usage = "`!Enumerate` takes what to go through, SEQ or MAP, and a template";
            return Err(wrong(node, usage));
        };
        let rounds: Vec<(Value, Value)> = match self.value(iterable)? {
            Value::List(items) => {
                let index = |index| Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                items.into_iter().enumerate().map(|(at, item)| (index(at), item)).collect()
            }
            Value::Map(entries) => {
                entries.into_iter().map(|(key, value)| (Value::text(key), value)).collect()
            }
            other => {
                let message =
                    format!("`!Enumerate` goes through a list or a mapping, not {}", other.describe());
                return Err(wrong(iterable, message));
            }
        };
        match self.key(output)?.to_ascii_uppercase().as_str() {
            "SEQ" => {
                let mut items = Vec::new();
                for round in rounds {
                    items.push(self.round(round, template)?);
                }
                Ok(Value::List(items))
            }
            "MAP" => {
                let pair = match &template.content {
                    Content::Sequence(pair) if template.tag.is_none() && pair.len() == 2 => pair,
                    _ => return Err(wrong(template, "the template of a MAP is a pair of key and value")),
                };
                let mut map = BTreeMap::new();
                for round in rounds {
                    self.loops.push(round);
                    let made: Result<Vec<_>, _> = pair.iter().map(|part| self.value(part)).collect();
                    self.loops.pop();
                    if let [key, value] = made?.as_slice() {
                        map.insert(self.as_key(template, key)?, value.clone());
                    }
                }
                Ok(Value::Map(map))
            }
            other => Err(wrong(output, format!("`{other}` is not known here; write SEQ or MAP"))),
        }
    }

    fn round(&mut self, round: (Value, Value), template: &Node) -> Evaluated {
        self.loops.push(round);
        let value = self.value(template);
        self.loops.pop();
        value
    }

    /// `!Index n` and `!Value n`: of the loop that many levels out, 0 being the innermost.
    pub(super) fn of_loop(&mut self, node: &Node, part: impl Fn(&(Value, Value)) -> &Value) -> Evaluated {
        let tag = node.tag.as_deref().unwrap_or_default();
        let Some(level) = node.text().and_then(|text| text.parse::<usize>().ok()) else {
            return Err(wrong(node, format!("`{tag}` takes how many loops outwards, such as `{tag} 0`")));
        };
        // Only what is asked for is copied: that is what the limit counts, and the rest may be large.
        let Some(value) = self.loops.iter().rev().nth(level).map(|round| part(round).clone()) else {
            let loops = self.loops.len();
            let message = format!("`{tag} {level}` stands within {loops} loops; 0 is the innermost");
            return Err(wrong(node, message));
        };
        self.produced(node, value)
    }

    pub(super) fn at_index(&mut self, node: &Node) -> Evaluated {
        let (collection, key, default) = match list(node) {
            Some([collection, key]) => (collection, key, None),
            Some([collection, key, default]) => (collection, key, Some(default)),
            _ => return Err(wrong(node, "`!AtIndex` takes a collection, a key, and perhaps a default")),
        };
        let from = self.value(collection)?;
        let at = self.value(key)?;
        let found = match (&from, &at) {
            (Value::List(items), Value::Int(index)) => {
                let from_end = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
                let index = if *index < 0 { items.len().checked_sub(from_end) } else { Some(from_end) };
                index.and_then(|index| items.get(index)).cloned()
            }
            (Value::Map(entries), at) => at.plain().and_then(|key| entries.get(&key).cloned()),
            (Value::List(_), at) => {
                let message = format!("a list is indexed by a number, not {}", at.describe());
                return Err(wrong(key, message));
            }
            (other, _) if other.is_null() && default.is_some() => None,
            (other, _) => {
                let message = format!("`!AtIndex` takes from a list or a mapping, not {}", other.describe());
                return Err(wrong(collection, message));
            }
        };
        match (found, default) {
            (Some(value), _) => self.produced(node, value),
            (None, Some(default)) => self.value(default),
            (None, None) => {
                let shown = at.plain().unwrap_or_default();
                Err(wrong(node, format!("there is nothing at `{shown}`; correct it or add a default")))
            }
        }
    }
}
