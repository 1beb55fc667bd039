//! What is different between two configurations: resources with their fields, and which targets a change opens to everyone.
//!
//! Must not know: where the two came from, how a difference is shown.

use crate::model::{Id, ResourceKind, ResourceName};
use crate::proto::{self, v1};
use crate::store::{Difference, Snapshot};
use prost::Message as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Fields whose values nobody should read over a shoulder.
const SECRETS: [&str; 1] = ["password_history"];

/// A resource that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which one.
    pub name: ResourceName,
    /// As it was, serialized. Nothing: it is added.
    pub old: Option<Vec<u8>>,
    /// As it is. Nothing: it is removed.
    pub new: Option<Vec<u8>>,
}

/// A target that is open to everyone, and was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which one.
    pub target: ResourceName,
    /// What it is called, beside its id.
    pub called: Option<String>,
    /// Whether it arrives so; else the last of its enabled bindings goes.
    pub arrives: bool,
}

/// Everything that is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Resources in the order of the schema, then by id.
    pub entries: Vec<Entry>,
    /// Targets that are open to everyone now.
    pub opened: Vec<Opened>,
    /// How many resources there were.
    pub held: u64,
}

/// A field with another value.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The way to it, such as `detail.mode`.
    pub path: String,
    /// Its value before; nothing where it was at its default.
    pub old: Option<Value>,
    /// Its value now.
    pub new: Option<Value>,
}

/// What leads from one configuration to another. A resource that only is spelled differently, with a default written out,
/// is the same.
pub fn between(old: &Snapshot, new: &Snapshot) -> Diff {
    let mut entries = Vec::new();
    for kind in old.digest().differing(new.digest()) {
        let ids: BTreeSet<Id> = old.ids_of(kind).chain(new.ids_of(kind)).collect();
        entries.extend(ids.into_iter().filter_map(|id| {
            let name = ResourceName { kind, id: id.to_string().into() };
            let entry = Entry { name, old: old.plain(kind, &id), new: new.plain(kind, &id) };
            (entry.old != entry.new).then_some(entry)
        }));
    }
    finish(entries, old, new)
}

/// As [`between`], for what a change is known to have come down to.
pub fn told(old: &Snapshot, new: &Snapshot, difference: &Difference) -> Diff {
    let names: BTreeSet<_> = difference.came.iter().map(|(name, _)| name).chain(&difference.went).collect();
    let entries = names.into_iter().map(|name| {
        let id = Id::new(&name.id);
        let (old, new) = (old.plain(name.kind, &id), new.plain(name.kind, &id));
        Entry { name: name.clone(), old, new }
    });
    finish(entries.filter(|entry| entry.old != entry.new).collect(), old, new)
}

fn finish(entries: Vec<Entry>, old: &Snapshot, new: &Snapshot) -> Diff {
    let held = ResourceKind::ALL.into_iter().map(|kind| old.digest().of(kind).count).sum();
    let mut targets = BTreeSet::new();
    for Entry { name, .. } in &entries {
        match name.kind {
            ResourceKind::Target(_) => {
                targets.insert(name.clone());
            }
            ResourceKind::PolicyBinding => {
                let id = Id::new(&name.id);
                targets.extend([old, new].into_iter().filter_map(|snapshot| snapshot.bound_to(&id)));
            }
            _ => {}
        }
    }
    let opened = targets.into_iter().filter(|name| new.is_open(name) == Some(true));
    let opened = opened.filter(|name| old.is_open(name) != Some(true)).map(|target| Opened {
        arrives: old.is_open(&target).is_none(),
        called: new.called(&target),
        target,
    });
    Diff { opened: opened.collect(), entries, held }
}

impl Diff {
    /// Whether there is no difference.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many resources are added, changed and removed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let (mut added, mut changed, mut removed) = (0, 0, 0);
        for entry in &self.entries {
            match (&entry.old, &entry.new) {
                (None, _) => added += 1,
                (Some(_), Some(_)) => changed += 1,
                (Some(_), None) => removed += 1,
            }
        }
        (added, changed, removed)
    }

    /// Whether more than a tenth of what there was is removed.
    pub fn removes_much(&self) -> bool {
        let (_, _, removed) = self.counts();
        removed as u64 * 10 > self.held
    }

    /// Whether a target that was there is open to everyone now, or one arrives so.
    pub const fn opens(&self) -> bool {
        !self.opened.is_empty()
    }
}

impl Entry {
    /// The fields that are different, by their paths; of an added or removed resource all that it has.
    pub fn fields(&self) -> Vec<Field> {
        let (old, new) = (leaves(self.old.as_deref()), leaves(self.new.as_deref()));
        let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let field = |path: &String| {
            let (old, new) = (old.get(path), new.get(path));
            let is_secret = SECRETS.iter().any(|secret| path.starts_with(secret));
            let shown = |value: &Value| if is_secret { "(not shown)".into() } else { value.clone() };
            (old != new).then(|| Field { path: path.clone(), old: old.map(shown), new: new.map(shown) })
        };
        paths.into_iter().filter_map(field).collect()
    }
}

impl Entry {
    /// The text in the first of these fields that has one, as it is now, or as it was in what is removed.
    pub fn value(&self, paths: &[&str]) -> Option<String> {
        let leaves = leaves(self.new.as_deref().or(self.old.as_deref()));
        paths.iter().find_map(|path| leaves.get(*path)?.as_str().map(ToOwned::to_owned))
    }
}

/// The values of a serialized resource by their paths. Lists are values; what cannot be read has none.
fn leaves(resource: Option<&[u8]>) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let Some(Ok(resource)) = resource.map(v1::Resource::decode) else { return found };
    let Ok(Value::Object(json)) = proto::to_json("bindery.v1.Resource", &resource) else { return found };
    for (_, value) in json {
        walk(String::new(), value, &mut found);
    }
    found
}

fn walk(path: String, value: Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                walk(path, value, found);
            }
        }
        value => {
            found.insert(path, value);
        }
    }
}

/// The kinds that are in a list, in the order of the schema.
pub fn kinds<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<ResourceKind> {
    let there: HashSet<ResourceKind> = entries.map(|entry| entry.name.kind).collect();
    ResourceKind::ALL.into_iter().filter(|kind| there.contains(kind)).collect()
}

#[cfg(test)]
mod tests;
