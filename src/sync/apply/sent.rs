//! Changes as they were sent: put into force with the very bytes that are handed on, put together, and taken ahead of
//! their turn where they take access away.
//!
//! Must not know: streams.

use super::super::convert;
use super::{Applied, shorten, with_references};
use crate::model::{Group, Id, PolicyBinding, Problem, ResourceKind, ResourceName, Sum, User, Version};
use crate::proto::resource::hash;
use crate::proto::v1;
use crate::store::{Change, Difference, Part, Replace, Serialized, Store, Upsert};
use bytes::Bytes;
use prost::Message as _;
use std::collections::HashSet;

/// From so many resources on, another thread helps to read them.
const MANY: usize = 50_000;
/// The most threads that read.
const MAX_THREADS: usize = 4;

/// A change as it was sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Serialized resources to add or to replace.
    pub upserts: Vec<Bytes>,
    /// More of them, before those: as the messages had them that they came in, since one list of a million takes long to
    /// grow, and goes only as a whole.
    pub parts: Vec<Part>,
    /// Resources to remove. One that is not there is no error.
    pub removals: Vec<ResourceName>,
    /// What goes that is not named.
    pub replace: Replace,
    /// Where the configuration stands afterwards. Absent: one revision further, if anything changed.
    pub version: Option<Version>,
    /// What everything has to sum up to afterwards. Absent: it is not checked.
    pub expected: Option<u128>,
    /// Whether only a part of all targets is held, so that a route may lead to one that is not here.
    pub partial: bool,
}

impl Sent {
    /// Every serialized resource.
    fn all(&self) -> impl Iterator<Item = Bytes> {
        self.parts.iter().flat_map(Part::iter).chain(self.upserts.iter().cloned())
    }

    /// How many resources it has, and removals.
    pub fn count(&self) -> usize {
        self.parts.iter().map(Part::len).sum::<usize>() + self.upserts.len() + self.removals.len()
    }
}

/// Validates what was sent and puts it into force. The very bytes are what is handed on.
///
/// # Errors
/// As [`apply`](super::apply).
pub fn apply_sent(store: &Store, sent: Sent) -> Result<(Applied, Difference), Vec<Problem>> {
    let Sent { upserts, mut parts, removals, replace, version, expected, partial } = sent;
    if !upserts.is_empty() {
        parts.push(Part::new(&upserts));
        drop(upserts);
    }
    let is_binding_counted = replace.takes(ResourceKind::PolicyBinding);
    let mut all = Read::default();
    for found in read_all(&parts, is_binding_counted) {
        all.append(found);
    }
    let Read { mut upserts, ids, mut places, sum, problems } = all;
    if !problems.is_empty() {
        let bindings = (0_u32..).zip(parts.iter().flat_map(Part::iter));
        let bindings = bindings.filter(|(index, _)| places.binary_search(index).is_ok());
        upserts
            .extend(bindings.filter_map(|(index, bytes)| Some((index, read(index as usize, &bytes).ok()?))));
        upserts.sort_by_key(|(index, _)| *index);
        let change = Change { removals, replace, partial, ..Change::default() };
        return Err(shorten(with_references(store, upserts, change, problems)));
    }
    let (mut indices, upserts): (Vec<u32>, Vec<Upsert>) = upserts.into_iter().unzip();
    // Bindings are most of a large change, so each is read once more when it is its turn.
    let mut next = indices.iter().copied().peekable();
    let others = (0_u32..).zip(parts.iter().flat_map(Part::iter));
    let others =
        others.filter(|(index, _)| next.next_if_eq(index).is_some()).map(|(_, bytes)| bytes).collect();
    let not_bindings = indices.clone();
    indices.append(&mut places);
    let sum = is_binding_counted.then_some(sum);
    let bindings = Serialized { parts, not_bindings, ids, sum, read: Some(read_binding) };
    let change = Change { upserts, bindings, removals, replace, sent: others, version, expected, partial };
    store.update_recorded(change).map_err(|mut problems| {
        for problem in &mut problems {
            problem.index = problem.index.and_then(|index| indices.get(index).map(|index| *index as usize));
        }
        problems.sort_by_key(|problem| problem.index);
        shorten(problems)
    })
}

/// What was found in serialized resources.
#[derive(Default)]
struct Read {
    /// All but bindings, with their places.
    upserts: Vec<(u32, Upsert)>,
    /// The ids of bindings.
    ids: Vec<Id>,
    /// Their places.
    places: Vec<u32>,
    /// What bindings sum up to, if that is wanted.
    sum: Sum,
    problems: Vec<Problem>,
}

impl Read {
    fn append(&mut self, mut other: Self) {
        if self.upserts.is_empty() && self.ids.is_empty() && self.problems.is_empty() {
            *self = other;
            return;
        }
        self.upserts.append(&mut other.upserts);
        self.ids.append(&mut other.ids);
        self.places.append(&mut other.places);
        self.problems.append(&mut other.problems);
        self.sum.hashes = self.sum.hashes.wrapping_add(other.sum.hashes);
        self.sum.count += other.sum.count;
    }

    fn take(&mut self, index: u32, bytes: &Bytes, is_counted: bool) {
        match read(index as usize, bytes) {
            Ok(Upsert::Binding(binding)) => {
                self.ids.push(binding.id);
                self.places.push(index);
                if is_counted {
                    self.sum = self.sum.plus(hash(bytes));
                }
            }
            Ok(upsert) => self.upserts.push((index, upsert)),
            Err(wrong) => self.problems.extend(wrong),
        }
    }
}

/// Reads everything; what is found follows one another. Each resource is right or wrong by itself, so that many are read
/// at once.
fn read_all(all: &[Part], is_counted: bool) -> Vec<Read> {
    let count: usize = all.iter().map(Part::len).sum();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (count / MANY).clamp(1, processors.min(MAX_THREADS));
    // About as many for each.
    let mut groups: Vec<(u32, &[Part])> = Vec::new();
    let (mut first, mut rest) = (0_u32, all);
    for left in (1..=threads).rev() {
        let wanted = rest.iter().map(Part::len).sum::<usize>().div_ceil(left);
        let mut taken = 0;
        let parts = rest.iter().take_while(|part| {
            let more = taken < wanted;
            taken += if more { part.len() } else { 0 };
            more
        });
        let (group, others) = rest.split_at(parts.count());
        groups.push((first, group));
        first = first.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        rest = others;
    }
    let work = |(first, parts): (u32, &[Part])| {
        let mut found = Read::default();
        for (index, bytes) in (first..).zip(parts.iter().flat_map(Part::iter)) {
            found.take(index, &bytes, is_counted);
        }
        found
    };
    if threads == 1 {
        return vec![work((0, all))];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = groups.into_iter().map(|group| scope.spawn(move || work(group))).collect();
        let found = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| {
                let message = "could not be read; this is a defect of bindery".to_owned();
                let (index, resource, missing) = (Some(0), None, None);
                let problems = vec![Problem { index, resource, field: "".into(), message, missing }];
                Read { problems, ..Read::default() }
            })
        });
        found.collect()
    })
}

fn read(index: usize, bytes: &Bytes) -> Result<Upsert, Vec<Problem>> {
    let resource = v1::Resource::decode(&**bytes).map_err(|error| {
        let message = format!("is no serialized resource: {error}; send bindery.v1.Resource");
        vec![Problem { index: Some(index), resource: None, field: "".into(), message, missing: None }]
    })?;
    convert::upsert(index, resource)
}

fn read_binding(bytes: &Bytes) -> Option<PolicyBinding> {
    match read(0, bytes) {
        Ok(Upsert::Binding(binding)) => Some(*binding),
        _ => None,
    }
}

/// Several changes of one, each upon the one before, as one: what a later one names counts there only.
pub fn merge(first: Sent, upon: Vec<Sent>) -> Sent {
    if upon.is_empty() {
        return first;
    }
    let mut all = first;
    let parts = std::mem::take(&mut all.parts);
    all.upserts.splice(..0, parts.iter().flat_map(Part::iter));
    for later in upon {
        let mut named: HashSet<ResourceName> = later.removals.iter().cloned().collect();
        named.extend(later.all().filter_map(|bytes| convert::name_of(&bytes)));
        // What cannot be read has no name; it stays, and is refused as what it is.
        let stays = |bytes: &Bytes| convert::name_of(bytes).is_none_or(|name| !named.contains(&name));
        all.upserts.retain(stays);
        all.removals.retain(|name| !named.contains(name));
        all.upserts.extend(later.parts.iter().flat_map(Part::iter).chain(later.upserts));
        // A snapshot removes what it does not name by itself.
        if all.replace == Replace::Nothing {
            all.removals.extend(later.removals);
        } else if let Replace::Kinds(kinds) = &all.replace {
            all.removals.extend(later.removals.into_iter().filter(|name| !kinds.contains(&name.kind)));
        }
        (all.version, all.expected) = (later.version, later.expected);
    }
    all
}

/// Takes away at once what a change takes away from users and groups, while the rest of it has to wait for what it stands
/// on: groups that somebody is no longer in, superusers and active users who are none any more. Nothing is given, so
/// nobody sees a mixture of two revisions that allows what neither did. So a group stays, too, that leads to one with a
/// negated binding: whoever is not in it may pass. The version stays. Gives what was touched.
///
/// # Errors
/// What is wrong with it; then nothing was taken away.
pub fn take_away(store: &Store, sent: &Sent) -> Result<Vec<ResourceName>, Vec<Problem>> {
    let snapshot = store.load();
    let negated = snapshot.negated();
    let mut upserts = Vec::new();
    let resources = sent.all().filter_map(|bytes| v1::Resource::decode(bytes).ok());
    for upsert in resources.filter_map(|resource| convert::upsert(0, resource).ok()) {
        match upsert {
            Upsert::User(new) => {
                let Some(old) = snapshot.user_with_id(&new.id.to_string()) else { continue };
                let mut less = User::clone(old);
                less.groups.retain(|group| new.groups.contains(group) || negated.is_reached_by(group));
                less.is_active &= new.is_active;
                upserts.push(Upsert::User(Box::new(less)));
            }
            Upsert::Group(new) => {
                let Some(old) = snapshot.group_with_id(&new.id.to_string()) else { continue };
                let mut less = Group::clone(old);
                less.parents.retain(|parent| new.parents.contains(parent) || negated.is_reached_by(parent));
                less.is_superuser &= new.is_superuser;
                upserts.push(Upsert::Group(Box::new(less)));
            }
            _ => {}
        }
    }
    for name in &sent.removals {
        match name.kind {
            // One who is not known is taken at a token's word, so a user who goes stays until then, with nothing.
            ResourceKind::User => {
                let Some(old) = snapshot.user_with_id(&name.id) else { continue };
                let mut less = User { is_active: false, ..User::clone(old) };
                less.groups.retain(|group| negated.is_reached_by(group));
                upserts.push(Upsert::User(Box::new(less)));
            }
            ResourceKind::Group => {
                let Some(old) = snapshot.group_with_id(&name.id) else { continue };
                let mut less = Group { is_superuser: false, ..Group::clone(old) };
                less.parents.retain(|parent| negated.is_reached_by(parent));
                upserts.push(Upsert::Group(Box::new(less)));
            }
            _ => {}
        }
    }
    if upserts.is_empty() {
        return Ok(Vec::new());
    }
    let touched = upserts.iter().map(Upsert::name).collect();
    store.update(Change { upserts, version: Some(snapshot.version()), ..Change::default() })?;
    Ok(touched)
}
