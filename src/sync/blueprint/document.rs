//! A blueprint file as a list of entries, with every mistake in its outline.
//!
//! Must not know: what a tag evaluates to, what a model means.

use super::tags;
use crate::sync::origin::{FileProblem, Origin};
use crate::sync::yaml::{Content, Node, Scalar};
use std::sync::Arc;

/// What is to become of an entry's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Created, or updated where it exists.
    Present,
    /// Created, and left alone where it exists.
    Created,
    /// Created; an error where it exists.
    MustCreated,
    /// Removed.
    Absent,
}

impl State {
    /// The state of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "present" => Self::Present,
            "created" => Self::Created,
            "must_created" => Self::MustCreated,
            "absent" => Self::Absent,
            _ => return None,
        })
    }

    /// What to say of any other name.
    pub(super) fn unknown(name: &str) -> String {
        format!("state `{name}` is not known; write present, created, must_created or absent")
    }
}

/// One entry of a file.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// Line, counted from 1.
    pub(super) line: usize,
    /// The model; may be a tag.
    pub(super) model: &'a Node,
    /// What is to become of the object; may be a tag. Absent: present.
    pub(super) state: Option<&'a Node>,
    /// The name for `!KeyOf`.
    pub(super) id: Option<&'a str>,
    /// All must be truthy, else the entry does not count.
    pub(super) conditions: &'a [Node],
    /// What finds an object that exists.
    pub(super) identifiers: &'a [(Node, Node)],
    /// What the object is to hold.
    pub(super) attrs: &'a [(Node, Node)],
}

/// One file.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// The file as it was named.
    pub(super) name: Arc<str>,
    /// Values for `!Context`.
    pub(super) context: Option<&'a Node>,
    /// In order.
    pub(super) entries: Vec<Entry<'a>>,
}

const TOP_KEYS: &str = "version, metadata, context and entries";
const ENTRY_KEYS: &str = "model, state, conditions, identifiers, attrs, permissions and id";

/// Reads the outline of a file; everything that is wrong goes to `problems`.
pub(super) fn read<'a>(name: &Arc<str>, node: &'a Node, problems: &mut Vec<FileProblem>) -> Document<'a> {
    let mut outline = Outline { name, problems };
    outline.tags(node);
    let mut document = Document { name: Arc::clone(name), context: None, entries: Vec::new() };
    let Content::Mapping(top) = &node.content else {
        outline.wrong(node, format!("a blueprint is a mapping with `entries`, not {}", node.describe()));
        return document;
    };
    let mut has_entries = false;
    for (key, value) in top {
        match key.text() {
            Some("version") => outline.version(value),
            Some("metadata") => {
                outline.mapping("metadata", value);
            }
            Some("context") => {
                outline.mapping("context", value);
                document.context = Some(value);
            }
            Some("entries") => {
                has_entries = true;
                document.entries = outline.entries(value);
            }
            _ => outline.unknown(key, "a blueprint", TOP_KEYS),
        }
    }
    if !has_entries {
        outline.wrong(node, "`entries` is missing; a blueprint lists its objects there");
    }
    document
}

struct Outline<'p> {
    name: &'p Arc<str>,
    problems: &'p mut Vec<FileProblem>,
}

impl Outline<'_> {
    fn wrong(&mut self, node: &Node, message: impl Into<String>) {
        let origin = Origin { file: Arc::clone(self.name), line: node.line };
        self.problems.push(FileProblem { origin, message: message.into() });
    }

    fn unknown(&mut self, key: &Node, of: &str, known: &str) {
        let key_text = key.text().unwrap_or("(not text)");
        self.wrong(key, format!("`{key_text}` is no key of {of}; known are {known}"));
    }

    /// Notes every tag that nobody knows.
    fn tags(&mut self, node: &Node) {
        if let Some(tag) = node.tag.as_deref()
            && !tags::is_known(tag)
        {
            self.wrong(node, format!("the tag `{tag}` is not known; known are {}", tags::KNOWN.join(", ")));
        }
        match &node.content {
            Content::Sequence(items) => items.iter().for_each(|item| self.tags(item)),
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    self.tags(key);
                    self.tags(value);
                }
            }
            Content::Scalar { .. } => {}
        }
    }

    fn version(&mut self, node: &Node) {
        if node.scalar() != Some(Scalar::Int(1)) {
            let found = node.text().unwrap_or_else(|| node.describe());
            self.wrong(node, format!("version `{found}` cannot be read; only version 1 is known"));
        }
    }

    fn mapping<'a>(&mut self, field: &str, node: &'a Node) -> &'a [(Node, Node)] {
        match (&node.content, node.scalar()) {
            (Content::Mapping(entries), _) if node.tag.is_none() => {
                for (key, _) in entries.iter().filter(|(key, _)| key.text().is_none()) {
                    self.wrong(key, format!("a key in `{field}` is {}; write text", key.describe()));
                }
                entries
            }
            (_, Some(Scalar::Null)) => &[],
            _ => {
                let found = node.tag.as_deref().map_or(node.describe(), |_| "a tag");
                self.wrong(node, format!("`{field}` is {found}; write a mapping"));
                &[]
            }
        }
    }

    fn list<'a>(&mut self, field: &str, node: &'a Node) -> &'a [Node] {
        match (&node.content, node.scalar()) {
            (Content::Sequence(items), _) if node.tag.is_none() => items,
            (_, Some(Scalar::Null)) => &[],
            _ => {
                let found = node.tag.as_deref().map_or(node.describe(), |_| "a tag");
                self.wrong(node, format!("`{field}` is {found}; write a list"));
                &[]
            }
        }
    }

    fn entries<'a>(&mut self, node: &'a Node) -> Vec<Entry<'a>> {
        let items: Vec<&Node> = match &node.content {
            // Grouped: sections of lists, which together are one list.
            Content::Mapping(sections) if node.tag.is_none() => sections
                .iter()
                .flat_map(|(key, section)| self.list(key.text().unwrap_or("entries"), section))
                .collect(),
            _ => self.list("entries", node).iter().collect(),
        };
        items.into_iter().filter_map(|item| self.entry(item)).collect()
    }

    fn entry<'a>(&mut self, node: &'a Node) -> Option<Entry<'a>> {
        let Content::Mapping(fields) = &node.content else {
            self.wrong(node, format!("an entry is a mapping with `model`, not {}", node.describe()));
            return None;
        };
        let (mut model, mut id, mut state) = (None, None, None);
        let (mut conditions, mut identifiers, mut attrs): (&[Node], _, _) = (&[], &[][..], &[][..]);
        for (key, value) in fields {
            match key.text() {
                Some("model") => model = Some(value),
                Some("state") => {
                    self.state(value);
                    state = Some(value);
                }
                Some("id") => id = self.id(value),
                Some("conditions") => conditions = self.list("conditions", value),
                Some("identifiers") => identifiers = self.mapping("identifiers", value),
                Some("attrs") => attrs = self.mapping("attrs", value),
                // Rights within authentik itself, which no decision looks at.
                Some("permissions") => {}
                _ => self.unknown(key, "an entry", ENTRY_KEYS),
            }
        }
        let Some(model) = model else {
            self.wrong(node, "`model` is missing; say what the entry is, such as authentik_core.application");
            return None;
        };
        Some(Entry { line: node.line, model, state, id, conditions, identifiers, attrs })
    }

    /// Checks a state that is written out. A tag's text is not the state: it is known when the tag is evaluated.
    fn state(&mut self, node: &Node) {
        let text = node.text().unwrap_or_else(|| node.describe());
        if node.tag.is_none() && State::named(text).is_none() {
            self.wrong(node, State::unknown(text));
        }
    }

    fn id<'a>(&mut self, node: &'a Node) -> Option<&'a str> {
        if node.scalar() == Some(Scalar::Null) {
            return None;
        }
        let text = node.text().filter(|_| node.tag.is_none());
        if text.is_none() {
            self.wrong(node, "`id` is not text; write a name for `!KeyOf`");
        }
        text
    }
}
