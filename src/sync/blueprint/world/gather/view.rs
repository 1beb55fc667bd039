//! What the evaluation of a field sees of everything else: entries by their ids, objects, context.
//!
//! Must not know: what a model's fields mean, when an evaluation takes place.

use super::{File, Gathering, Place, Status};
use crate::sync::blueprint::tags::{Pair, Surroundings};
use crate::sync::blueprint::value::{Missing, ObjectId, Value};
use crate::sync::blueprint::world::Object;
use std::sync::Arc;

/// Which objects an evaluation may find.
#[derive(Clone, Copy)]
pub(super) enum Seeing {
    /// All that are made out so far; more may come.
    SoFar,
    /// All that other files make, and what stands before in this one.
    Before(Place),
    /// What is there at the end.
    End,
}

/// The surroundings of one evaluation.
pub(super) struct View<'v, 'a> {
    pub(super) gathering: &'v Gathering<'a>,
    pub(super) file: usize,
    pub(super) seeing: Seeing,
    pub(super) waits: Waits,
}

/// What an evaluation did not find and may still come.
#[derive(Clone, Copy, Default)]
pub(super) struct Waits {
    /// An entry of the same file that is not made out.
    pub(super) entry: bool,
    /// A match.
    pub(super) matched: bool,
}

impl View<'_, '_> {
    fn opened(&self) -> Option<&File<'_>> {
        self.gathering.files.get(self.file)
    }

    fn sees(&self, object: &Object) -> bool {
        match self.seeing {
            Seeing::SoFar => true,
            Seeing::Before(place) => {
                object.makers.iter().any(|maker| maker.file != place.file || maker.entry < place.entry)
            }
            Seeing::End => object.alive,
        }
    }
}

impl Surroundings for View<'_, '_> {
    fn key_of(&mut self, id: &str) -> Result<Value, String> {
        let found: Option<Vec<Status>> = self.opened().and_then(|file| {
            let entries = file.ids.get(id)?.iter();
            Some(entries.filter_map(|at| self.gathering.statuses.get(file.first + at).cloned()).collect())
        });
        let Some(statuses) = found else {
            let known = self.opened().map(|file| file.ids.keys().copied().collect()).unwrap_or_default();
            return Err(unknown_id(id, known));
        };
        if let Some(object) = statuses.iter().find_map(|status| match status {
            Status::Made(_, object) => Some(*object),
            _ => None,
        }) {
            return Ok(Value::Object(object));
        }
        self.waits.entry |= statuses.iter().any(|status| matches!(status, Status::Waiting));
        let left_out = statuses.iter().any(|status| matches!(status, Status::LeftOut(_)));
        let missing = if left_out { Missing::LeftOut(id.to_owned()) } else { Missing::Broken };
        Ok(Value::Missing(Arc::new(missing)))
    }

    fn find(&mut self, model: &str, pairs: &[Pair]) -> Option<ObjectId> {
        let found = self.gathering.world.find(model, pairs, |object| self.sees(object));
        self.waits.matched |= found.is_none();
        found
    }

    fn serialize(&self, object: ObjectId) -> Value {
        self.gathering.world.serialize(object)
    }

    fn context(&self, key: &str) -> Option<Value> {
        self.opened().and_then(|file| file.context.get(key).cloned())
    }

    fn env(&self, name: &str) -> Option<String> {
        (self.gathering.options.env)(name)
    }

    fn file(&self, name: &str) -> Option<String> {
        (self.gathering.options.file)(name)
    }
}

fn unknown_id(id: &str, mut known: Vec<&str>) -> String {
    known.sort_unstable();
    let near = known.into_iter().min_by_key(|candidate| strsim::damerau_levenshtein(candidate, id));
    let near = near.filter(|candidate| strsim::jaro_winkler(candidate, id) > 0.8);
    let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    format!(
        "no entry of this file has the id `{id}`{hint}; give one this id, or use `!Find` for another file's"
    )
}
