//! YAML (and so JSON) as a tree that remembers lines, tags and how a scalar was written.
//!
//! The parsing is `saphyr-parser`'s; this builds the tree under limits, since files come from outside.
//! Must not know: what a document means.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// How large a document may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text. Default: 64 MiB.
    pub bytes: usize,
    /// Lists and mappings inside one another. Default: 64.
    pub depth: usize,
    /// Nodes, aliases counted as often as they are used. Default: 8,000,000.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, depth: 64, nodes: 8_000_000 }
    }
}

/// Why a text is not YAML that is accepted here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Line, counted from 1.
    pub line: usize,
    /// The tag with its exclamation mark, such as `!Find`; absent without one.
    pub tag: Option<Box<str>>,
    /// The content.
    pub content: Content,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A scalar's text, and whether it was written plain (without quotes), so that it may be a number or the like.
    Scalar {
        /// The text.
        text: Box<str>,
        /// Written without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values, in order. Keys are unique.
    Mapping(Vec<(Node, Node)>),
}

/// What a scalar means by YAML's rules.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(&'a str),
}

impl Node {
    /// The meaning of a scalar node; nothing for lists and mappings.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.content {
            Content::Scalar { text, plain: true } if self.tag.is_none() => Some(resolve(text)),
            Content::Scalar { text, .. } => Some(Scalar::Text(text)),
            _ => None,
        }
    }

    /// The text of a scalar, however it was written.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Mapping(entries) => {
                entries.iter().find(|(candidate, _)| candidate.text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// What it is, for a message: `null`, `a number`, `a list`, ...
    pub fn describe(&self) -> &'static str {
        match (&self.content, self.scalar()) {
            (Content::Sequence(_), _) => "a list",
            (Content::Mapping(_), _) => "a mapping",
            (_, Some(Scalar::Null)) => "null",
            (_, Some(Scalar::Bool(_))) => "true or false",
            (_, Some(Scalar::Int(_) | Scalar::Float(_))) => "a number",
            _ => "text",
        }
    }
}

/// YAML 1.2's core schema, and from YAML 1.1 `yes`, `no`, `on` and `off`, which authentik's reader knows.
fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".inf" | "+.inf" => return Scalar::Float(f64::INFINITY),
        "-.inf" => return Scalar::Float(f64::NEG_INFINITY),
        ".nan" => return Scalar::Float(f64::NAN),
        _ => {}
    }
    let numeric =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
            && text.bytes().any(|byte| byte.is_ascii_digit());
    if !numeric {
        let based = text
            .strip_prefix("0x")
            .map(|digits| (digits, 16))
            .or_else(|| Some((text.strip_prefix("0o")?, 8)));
        return based
            .and_then(|(digits, base)| i64::from_str_radix(digits, base).ok())
            .map_or(Scalar::Text(text), Scalar::Int);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Scalar::Int(number);
    }
    text.parse::<f64>().map_or(Scalar::Text(text), Scalar::Float)
}

/// Reads every document of a text.
///
/// # Errors
/// When it is not YAML, a key stands twice in a mapping, or a limit is passed.
pub fn parse(text: &str, limits: &Limits) -> Result<Vec<Node>, YamlError> {
    if text.len() > limits.bytes {
        let message = format!(
            "the file has {} bytes and at most {} are read; split it into several files",
            text.len(),
            limits.bytes
        );
        return Err(YamlError { line: 1, message });
    }
    let mut builder =
        Builder { limits, nodes: 0, stack: Vec::new(), anchors: HashMap::new(), documents: Vec::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: error.marker().line(),
            // The parser has a limit of its own, which it may reach before ours.
            message: if error.info().contains("recursion limit") {
                too_deep(limits)
            } else {
                format!("not valid YAML: {}", error.info())
            },
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

fn too_deep(limits: &Limits) -> String {
    format!("nested deeper than {} levels; flatten it", limits.depth)
}

/// A list or mapping that is still open.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Node>,
    seen: HashSet<Box<str>>,
}

struct Builder<'a> {
    limits: &'a Limits,
    nodes: usize,
    stack: Vec<Open>,
    /// Finished nodes that can be referred to, with the number of nodes in them.
    anchors: HashMap<usize, (Node, usize)>,
    documents: Vec<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let node =
                    Node { line, tag: own_tag(tag), content: Content::Scalar { text: text.into(), plain } };
                self.finish(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.open(line, tag, anchor, Content::Sequence(Vec::new())),
            Event::MappingStart(anchor, tag) => self.open(line, tag, anchor, Content::Mapping(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(open) => self.finish(merge(open.node), open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(YamlError {
                        line,
                        message: "the alias refers to no anchor before it".to_owned(),
                    });
                };
                let (mut node, size) = (node.clone(), *size);
                node.line = line;
                self.count(size, line)?;
                self.place(node)
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        line: usize,
        tag: Option<Cow<'_, Tag>>,
        anchor: usize,
        content: Content,
    ) -> Result<(), YamlError> {
        if self.stack.len() >= self.limits.depth {
            return Err(YamlError { line, message: too_deep(self.limits) });
        }
        self.stack.push(Open {
            node: Node { line, tag: own_tag(tag), content },
            anchor,
            key: None,
            seen: HashSet::new(),
        });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.count(1, node.line)?;
        if anchor != 0 {
            let size = size_of_tree(&node);
            self.count(size, node.line)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.place(node)
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            let message = format!(
                "more than {} nodes, aliases counted as often as they are used; split the file",
                self.limits.nodes
            );
            return Err(YamlError { line, message });
        }
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), YamlError> {
        let Some(open) = self.stack.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.node.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping(entries) => match open.key.take() {
                None => {
                    if let Some(text) = node.text()
                        && !open.seen.insert(text.into())
                    {
                        let message = format!("the key `{text}` stands twice in this mapping; remove one");
                        return Err(YamlError { line: node.line, message });
                    }
                    open.key = Some(node);
                }
                Some(key) => entries.push((key, node)),
            },
            Content::Scalar { .. } => {}
        }
        Ok(())
    }
}

/// Resolves the merge key `<<`: entries of the mapping (or mappings) under it count where the key is not there yet.
fn merge(mut node: Node) -> Node {
    let Content::Mapping(entries) = &mut node.content else { return node };
    let is_merge =
        |key: &Node| matches!(&key.content, Content::Scalar { text, plain: true } if **text == *"<<");
    let Some(position) = entries.iter().position(|(key, _)| is_merge(key)) else { return node };
    let (_, source) = entries.remove(position);
    let sources = match source.content {
        Content::Sequence(items) => items,
        _ => vec![source],
    };
    for source in sources {
        let Content::Mapping(more) = source.content else { continue };
        for (key, value) in more {
            if !entries.iter().any(|(present, _)| present.text() == key.text()) {
                entries.push((key, value));
            }
        }
    }
    node
}

fn size_of_tree(node: &Node) -> usize {
    match &node.content {
        Content::Scalar { .. } => 1,
        Content::Sequence(items) => items.iter().map(size_of_tree).sum::<usize>() + 1,
        Content::Mapping(entries) => {
            entries.iter().map(|(key, value)| size_of_tree(key) + size_of_tree(value)).sum::<usize>() + 1
        }
    }
}

/// Tags of YAML's own schema (`!!str`, ...) are kept only where they force text.
fn own_tag(tag: Option<Cow<'_, Tag>>) -> Option<Box<str>> {
    let tag = tag?;
    if tag.is_yaml_core_schema() {
        return (tag.suffix == "str").then(|| "!!str".into());
    }
    Some(format!("{}{}", tag.handle, tag.suffix).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        let mut documents = parse(text, &Limits::default()).unwrap();
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    #[test]
    fn keeps_lines_tags_and_quotes() {
        let node = one("a: 1\nb: !Find [x, 'y']\nc: \"2\"\n");
        let find = node.get("b").unwrap();
        assert_eq!((find.line, find.tag.as_deref()), (2, Some("!Find")));
        assert_eq!(node.get("a").unwrap().scalar(), Some(Scalar::Int(1)));
        assert_eq!(node.get("c").unwrap().scalar(), Some(Scalar::Text("2")));
    }

    #[test]
    fn scalars_mean_what_authentik_reads() {
        for (text, scalar) in [
            ("yes", Scalar::Bool(true)),
            ("off", Scalar::Bool(false)),
            ("~", Scalar::Null),
            ("0x10", Scalar::Int(16)),
            ("1.5e3", Scalar::Float(1500.0)),
            ("1.2.3", Scalar::Text("1.2.3")),
            ("12-34", Scalar::Text("12-34")),
            ("-", Scalar::Text("-")),
            ("seconds=1", Scalar::Text("seconds=1")),
        ] {
            assert_eq!(resolve(text), scalar);
        }
    }

    #[test]
    fn limits_stop_what_grows() {
        let deep = "[".repeat(100);
        assert!(parse(&deep, &Limits::default()).unwrap_err().message.contains("nested deeper than 64"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(parse(&bomb, &Limits::default()).unwrap_err().message.contains("8000000 nodes"));
        let limits = Limits { bytes: 3, ..Limits::default() };
        assert!(parse("abcd", &limits).unwrap_err().message.contains("split it"));
    }

    #[test]
    fn merge_keys_give_what_is_missing() {
        let node = one("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\n");
        let more = node.get("more").unwrap();
        assert_eq!(more.get("x").unwrap().scalar(), Some(Scalar::Int(1)));
        assert_eq!(more.get("y").unwrap().scalar(), Some(Scalar::Int(3)));
    }

    #[test]
    fn a_key_twice_is_an_error() {
        let error = parse("a: 1\nb: 2\na: 3\n", &Limits::default()).unwrap_err();
        assert_eq!((error.line, error.message.contains("`a`")), (3, true), "{error:?}");
    }
}
