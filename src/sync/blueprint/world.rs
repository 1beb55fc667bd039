//! The objects that several files describe together, and how they are found.
//!
//! Must not know: what a model's fields mean.

mod gather;

use super::tags::{Lookup, Pair};
use super::value::{ObjectId, Value};
use crate::sync::origin::Origin;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(super) use gather::gather;

/// A field of an object.
#[derive(Debug)]
pub(super) struct Field {
    /// The value.
    pub(super) value: Value,
    /// Where it was written.
    pub(super) origin: Origin,
    /// The value as a text that is equal exactly when the value is.
    key: Box<str>,
    /// The entry that set it, counted over all files; a later one wins.
    entry: usize,
}

/// An object.
#[derive(Debug)]
pub(super) struct Object {
    /// The model, in lower case.
    pub(super) model: Arc<str>,
    /// The first entry that describes it.
    pub(super) origin: Origin,
    /// Whether it is there when all files are applied.
    pub(super) alive: bool,
    /// What it holds.
    pub(super) fields: BTreeMap<String, Field>,
    /// Entries that may have made it.
    makers: Vec<Maker>,
}

#[derive(Clone, Copy, Debug)]
struct Maker {
    file: usize,
    entry: usize,
}

/// An entry, when everything is gathered.
#[derive(Debug)]
pub(super) struct Taken {
    /// The model, in lower case.
    pub(super) model: Arc<str>,
    /// The object it described, when it made or changed one that is there.
    pub(super) object: Option<ObjectId>,
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct World {
    /// In the order of their first entries.
    pub(super) objects: Vec<Object>,
    /// All entries, in order.
    pub(super) entries: Vec<Taken>,
    /// By field and value in lower case. May name objects whose field has changed since.
    index: HashMap<(Box<str>, Box<str>), Vec<usize>>,
}

impl World {
    /// An object.
    pub(super) fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.0)
    }

    /// Takes an object away.
    pub(super) fn remove(&mut self, id: ObjectId) {
        if let Some(object) = self.objects.get_mut(id.0) {
            object.alive = false;
        }
    }

    /// The objects that are there, with their ids.
    pub(super) fn living(&self) -> impl Iterator<Item = (ObjectId, &Object)> {
        let objects = self.objects.iter().enumerate();
        objects.filter(|(_, object)| object.alive).map(|(id, object)| (ObjectId(id), object))
    }

    /// The first object with a field of a value, among those of models that are wanted.
    pub(super) fn holding(
        &self,
        field: &str,
        value: &Value,
        wanted: impl Fn(&Object) -> bool,
    ) -> Option<ObjectId> {
        let key = canonical(value);
        let holds = |object: &Object| object.fields.get(field).is_some_and(|found| *found.key == *key);
        let candidates = self.candidates(field, &key);
        let mut found = candidates.iter().filter_map(|id| self.objects.get(*id).map(|object| (*id, object)));
        found.find(|(_, object)| wanted(object) && holds(object)).map(|(id, _)| ObjectId(id))
    }

    fn candidates(&self, field: &str, key: &str) -> &[usize] {
        self.index.get(&(field.into(), key.to_lowercase().into())).map_or(&[], Vec::as_slice)
    }

    /// The first object that matches all pairs, among those that may be seen.
    fn find(&self, model: &str, pairs: &[Pair], seen: impl Fn(&Object) -> bool) -> Option<ObjectId> {
        let keyed: Vec<(&Pair, Vec<String>)> = pairs
            .iter()
            .map(|pair| {
                let keys = match &pair.value {
                    Value::List(items) if pair.lookup == Lookup::In => items.iter().map(canonical).collect(),
                    value => vec![canonical(value)],
                };
                (pair, keys)
            })
            .collect();
        let candidates = |(pair, keys): &(&Pair, Vec<String>)| -> Vec<&[usize]> {
            keys.iter().map(|key| self.candidates(&pair.field, key)).collect()
        };
        let fewest = keyed
            .iter()
            .map(candidates)
            .min_by_key(|lists| lists.iter().map(|list| list.len()).sum::<usize>())?;
        let matches = |object: &Object| {
            keyed.iter().all(|(pair, keys)| {
                let Some(field) = object.fields.get(&pair.field) else { return false };
                match pair.lookup {
                    Lookup::IgnoreCase => {
                        keys.iter().any(|key| key.to_lowercase() == field.key.to_lowercase())
                    }
                    Lookup::Exact | Lookup::In => keys.iter().any(|key| **key == *field.key),
                }
            })
        };
        let mut found: Option<usize> = None;
        for &id in fewest.into_iter().flatten() {
            let Some(object) = self.objects.get(id) else { continue };
            if found.is_none_or(|first| id < first)
                && covers(model, &object.model)
                && seen(object)
                && matches(object)
            {
                found = Some(id);
            }
        }
        found.map(ObjectId)
    }

    /// The object that an entry's identifiers mean: the one of its `pk`, else the one that has all the others and no
    /// other `pk`.
    fn identified(&self, model: &str, identifiers: &BTreeMap<String, (Value, usize)>) -> Option<ObjectId> {
        let keys: Vec<(&str, String)> =
            identifiers.iter().map(|(name, (value, _))| (name.as_str(), canonical(value))).collect();
        let pk = keys.iter().find(|(name, _)| *name == "pk").map(|(_, key)| key);
        let others = || keys.iter().filter(|(name, _)| *name != "pk");
        let same_model = |id: &&usize| self.objects.get(**id).is_some_and(|object| *object.model == *model);
        let has = |id: usize, name: &str, key: &str| {
            let field = self.objects.get(id).and_then(|object| object.fields.get(name));
            field.map(|field| *field.key == *key)
        };
        if let Some(pk) = pk
            && let Some(id) = self
                .candidates("pk", pk)
                .iter()
                .filter(same_model)
                .find(|id| has(**id, "pk", pk) == Some(true))
        {
            return Some(ObjectId(*id));
        }
        let fewest = others().map(|(name, key)| self.candidates(name, key)).min_by_key(|list| list.len())?;
        let mut matching = fewest.iter().filter(same_model).filter(|id| {
            let another_pk = pk.is_some_and(|pk| has(**id, "pk", pk) == Some(false));
            !another_pk && others().all(|(name, key)| has(**id, name, key) == Some(true))
        });
        matching.next().map(|id| ObjectId(*id))
    }

    /// Sets a field, unless a later entry did.
    fn set(&mut self, id: ObjectId, name: &str, value: Value, origin: Origin, entry: usize) {
        let Some(object) = self.objects.get_mut(id.0) else { return };
        if object.fields.get(name).is_some_and(|field| field.entry > entry) {
            return;
        }
        let key: Box<str> = canonical(&value).into();
        let listed = self.index.entry((name.into(), key.to_lowercase().into())).or_default();
        if listed.last() != Some(&id.0) {
            listed.push(id.0);
        }
        object.fields.insert(name.to_owned(), Field { value, origin, key, entry });
    }

    fn forget_fields(&mut self) {
        self.index.clear();
        self.objects.iter_mut().for_each(|object| object.fields.clear());
    }

    /// What `!FindObject` gives.
    fn serialize(&self, id: ObjectId) -> Value {
        let Some(object) = self.object(id) else { return Value::Null };
        let fields = object.fields.iter().map(|(name, field)| (name.clone(), field.value.clone()));
        let mut map: BTreeMap<String, Value> = fields.collect();
        // An object without a known key is still one that a reference can lead to.
        map.entry("pk".to_owned()).or_insert(Value::Object(id));
        Value::Map(map)
    }
}

/// Whether a model is the one that is looked for, or derives from it.
pub(super) fn covers(sought: &str, model: &str) -> bool {
    let derives =
        |prefix: &str, suffix: &str| model.starts_with(prefix) && model.ends_with(suffix) && model != sought;
    sought == model
        || match sought {
            "authentik_core.source" => derives("authentik_sources_", "source"),
            "authentik_core.provider" => derives("authentik_providers_", "provider"),
            "authentik_flows.stage" => derives("authentik_stages_", "stage"),
            "authentik_policies.policy" => derives("authentik_policies_", "policy"),
            _ => false,
        }
}

/// A text that is equal for equal values. A scalar's is its text, so that `1` and `"1"` are the same.
fn canonical(value: &Value) -> String {
    match value {
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| format!("{:?}", canonical(item))).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) => {
            let entry = |(key, value): (&String, &Value)| format!("{key:?}:{:?}", canonical(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        // No text begins with a control character.
        Value::Null => "\u{1}null".to_owned(),
        // Two references that lead nowhere are the same only when they look for the same.
        Value::Missing(missing) => format!("\u{1}{}", missing.describe()),
        Value::Object(id) => format!("\u{1}{}", id.0),
        scalar => scalar.plain().unwrap_or_default(),
    }
}
