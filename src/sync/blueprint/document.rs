//! A blueprint document: its context and its entries.
//!
//! Must not know: what tags or models mean.

use super::super::yaml::{Content, Node};
use super::world::{Entry, World};
use std::sync::Arc;

const TOP: [&str; 4] = ["version", "metadata", "context", "entries"];
const ENTRY: [&str; 7] = ["model", "state", "conditions", "identifiers", "attrs", "id", "permissions"];

/// Takes the entries of a document: a list, or lists under section names.
pub(super) fn read(world: &mut World<'_>, document: &Node, file: &Arc<str>) {
    let Content::Mapping(top) = &document.content else {
        return world.problem(
            file,
            document.line,
            "expected a mapping with `version` and `entries`".to_owned(),
        );
    };
    for (key, _) in top {
        if !key.text().is_some_and(|name| TOP.contains(&name)) {
            let name = key.text().unwrap_or_default();
            let text = format!("`{name}`: there is no such field; the fields are {}", TOP.join(", "));
            world.problem(file, key.line, text);
        }
    }
    if let Some(version) = document.get("version").filter(|version| version.text() != Some("1")) {
        let text = format!("version `{}` is not supported; write 1", version.text().unwrap_or_default());
        world.problem(file, version.line, text);
    }
    let index = world.add_file(file, document.get("context").cloned());
    match document.get("entries").map(|node| (&node.content, node.line)) {
        Some((Content::Sequence(items), _)) => items.iter().for_each(|item| entry(world, item, file, index)),
        Some((Content::Mapping(sections), _)) => {
            for (_, section) in sections {
                match &section.content {
                    Content::Sequence(items) => items.iter().for_each(|item| entry(world, item, file, index)),
                    _ => world.problem(
                        file,
                        section.line,
                        "a section of entries is not a list; write a list".to_owned(),
                    ),
                }
            }
        }
        Some((_, line)) => {
            world.problem(file, line, "`entries` is not a list; write a list of entries".to_owned())
        }
        None => {
            world.problem(file, document.line, "`entries` is missing; write a list of entries".to_owned())
        }
    }
}

fn entry(world: &mut World<'_>, node: &Node, file: &Arc<str>, index: usize) {
    let Content::Mapping(fields) = &node.content else {
        return world.problem(
            file,
            node.line,
            "an entry is not a mapping; write model, identifiers and attrs".to_owned(),
        );
    };
    for (key, _) in fields {
        if !key.text().is_some_and(|name| ENTRY.contains(&name)) {
            let name = key.text().unwrap_or_default();
            let text = format!("`{name}`: an entry has no such field; the fields are {}", ENTRY.join(", "));
            world.problem(file, key.line, text);
        }
    }
    let Some(model) = node.get("model") else {
        return world.problem(file, node.line, "the entry has no `model`; say what it describes".to_owned());
    };
    for part in ["identifiers", "attrs"] {
        if let Some(wrong) = node.get(part).filter(|it| it.tag.is_none() && !is_mapping_or_null(it)) {
            world.problem(file, wrong.line, format!("`{part}` is not a mapping; write names and values"));
        }
    }
    world.add_entry(Entry {
        file: index,
        line: node.line,
        model: model.clone(),
        id: node.get("id").and_then(Node::text).map(str::to_owned),
        state: node.get("state").cloned(),
        conditions: match node.get("conditions").map(|it| &it.content) {
            Some(Content::Sequence(items)) => items.clone(),
            _ => Vec::new(),
        },
        identifiers: node.get("identifiers").cloned(),
        attrs: node.get("attrs").cloned(),
    });
}

fn is_mapping_or_null(node: &Node) -> bool {
    matches!(node.content, Content::Mapping(_)) || node.scalar() == Some(super::super::yaml::Scalar::Null)
}
