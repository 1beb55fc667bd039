//! Tags that make one value of what surrounds the file: context, environment, files, formatting, JSON.
//!
//! Must not know: objects.

use super::{Evaluated, Evaluation, Surroundings, Value, list, wrong};
use crate::sync::yaml::Node;

/// The widest a number of a format may be padded.
const MAX_WIDTH: usize = 100;

impl<S: Surroundings> Evaluation<'_, S> {
    /// A name alone, or with the value that stands in when there is nothing.
    fn name_and_default<'n>(&mut self, node: &'n Node) -> Result<(String, Option<&'n Node>), super::Wrong> {
        match list(node) {
            None => match node.text() {
                Some(text) => Ok((text.to_owned(), None)),
                None => Err(wrong(node, usage(node))),
            },
            Some([name]) => Ok((self.key(name)?, None)),
            Some([name, default]) => Ok((self.key(name)?, Some(default))),
            Some(_) => Err(wrong(node, usage(node))),
        }
    }

    pub(super) fn context(&mut self, node: &Node) -> Evaluated {
        let (key, default) = self.name_and_default(node)?;
        match (self.around.context(&key), default) {
            (Some(value), _) => self.produced(node, value),
            (None, Some(default)) => self.value(default),
            (None, None) => Ok(Value::Null),
        }
    }

    pub(super) fn outside(&mut self, node: &Node, get: impl Fn(&S, &str) -> Option<String>) -> Evaluated {
        let (name, default) = self.name_and_default(node)?;
        match (get(self.around, &name), default) {
            (Some(text), _) => self.produced(node, Value::text(text)),
            (None, Some(default)) => self.value(default),
            (None, None) => Ok(Value::Null),
        }
    }

    pub(super) fn parse_json(&mut self, node: &Node) -> Evaluated {
        let text = match (node.text(), list(node)) {
            (Some(text), _) => Value::text(text),
            (_, Some([item])) => self.value(item)?,
            _ => return Err(wrong(node, "`!ParseJSON` takes one text")),
        };
        let Value::Text(text) = text else {
            return Err(wrong(node, format!("`!ParseJSON` takes text, not {}", text.describe())));
        };
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(json) => self.produced(node, json.into()),
            Err(error) => Err(wrong(node, format!("the text is not JSON: {error}; correct it"))),
        }
    }

    pub(super) fn format(&mut self, node: &Node) -> Evaluated {
        let Some((format, arguments)) = list(node).and_then(<[Node]>::split_first) else {
            return Err(wrong(
                node,
                "`!Format` takes a format and values, such as `!Format [\"%s-%s\", a, b]`",
            ));
        };
        let Value::Text(format) = self.value(format)? else {
            return Err(wrong(node, "the first item of `!Format` is not text; write a format such as `%s`"));
        };
        let arguments: Vec<Value> =
            arguments.iter().map(|argument| self.value(argument)).collect::<Result<_, _>>()?;
        let mut given = arguments.iter();
        let mut text = String::new();
        let mut pieces = format.split('%');
        text.push_str(pieces.next().unwrap_or_default());
        while let Some(piece) = pieces.next() {
            if piece.is_empty() {
                // `%%` is one sign, and what follows is text.
                text.push('%');
                match pieces.next() {
                    Some(rest) => text.push_str(rest),
                    None => return Err(wrong(node, "the format ends in `%`; write `%%` for the sign")),
                }
                continue;
            }
            let directive = piece.trim_start_matches(|c: char| c.is_ascii_digit());
            let width = piece.get(..piece.len() - directive.len()).unwrap_or_default();
            let letter = directive.chars().next();
            if !matches!(letter, Some('s' | 'd' | 'i')) {
                let shown: String = piece.chars().take(3).collect();
                return Err(wrong(node, format!("`%{shown}` is not known in a format; use %s, %d or %%")));
            }
            let Some(value) = given.next() else {
                return Err(wrong(node, "the format has more places than values; give one for each"));
            };
            let shown = match (letter, value) {
                (Some('s'), value) => value.plain(),
                (_, Value::Int(number)) => Some(number.to_string()),
                (_, Value::Float(number)) => Some((number.trunc() as i64).to_string()),
                (_, Value::Bool(truth)) => Some(u8::from(*truth).to_string()),
                _ => None,
            };
            let Some(shown) = shown else {
                let letter = letter.unwrap_or('s');
                return Err(wrong(node, format!("`%{letter}` cannot show {}", value.describe())));
            };
            pad(&mut text, &shown, width).map_err(|message| wrong(node, message))?;
            text.push_str(directive.get(1..).unwrap_or_default());
        }
        if given.next().is_some() {
            return Err(wrong(node, "the format has fewer places than values; remove some values"));
        }
        self.produced(node, Value::text(text))
    }
}

/// Writes a value, filled up to the width, with zeros where the width begins with one.
fn pad(text: &mut String, shown: &str, width: &str) -> Result<(), String> {
    let wide: usize = if width.is_empty() { 0 } else { width.parse().unwrap_or(usize::MAX) };
    if wide > MAX_WIDTH {
        return Err(format!("a place of the format is {width} wide; at most {MAX_WIDTH} are allowed"));
    }
    let missing = wide.saturating_sub(shown.chars().count());
    text.push_str(&if width.starts_with('0') { "0" } else { " " }.repeat(missing));
    text.push_str(shown);
    Ok(())
}

fn usage(node: &Node) -> String {
    let tag = node.tag.as_deref().unwrap_or_default();
    format!("`{tag}` takes a name, or a list of a name and what stands in for nothing")
}
