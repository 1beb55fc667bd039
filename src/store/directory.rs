//! The directory: users and groups, and which groups somebody is in, through every chain of ancestors.
//!
//! Must not know: bindings.

use super::Map;
use super::atoms::{Atoms, Name, Space, group_name};
use crate::decision::{Atom, Standing};
use crate::model::{Group, GroupRef, Id, User};
use arc_swap::ArcSwapOption;
use imbl::OrdMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// So many groups of somebody are looked through for one.
const LOOKED_THROUGH: usize = 32;

/// A group with its names interned.
#[derive(Debug)]
pub(super) struct GroupEntry {
    pub(super) group: Arc<Group>,
    pub(super) id: Atom,
    pub(super) name: Atom,
    pub(super) parents: Box<[Atom]>,
}

/// A user with the standing that was computed last.
#[derive(Debug)]
pub(super) struct UserEntry {
    pub(super) user: Arc<User>,
    /// A cache, filled by readers; the pointer is swapped since readers of several revisions may race to fill it.
    standing: ArcSwapOption<CachedStanding>,
}

#[derive(Debug)]
struct CachedStanding {
    /// The directory's serial number that it was computed for.
    serial: u64,
    standing: Arc<Standing>,
}

impl UserEntry {
    pub(super) fn new(user: User) -> Self {
        Self { user: Arc::new(user), standing: ArcSwapOption::empty() }
    }
}

/// Users and groups of one revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) users: Map<Id, Arc<UserEntry>>,
    pub(super) usernames: Map<Arc<str>, Arc<UserEntry>>,
    /// By the atom of the group's id.
    pub(super) groups: OrdMap<Atom, Arc<GroupEntry>>,
    /// From the atom of the group's name to that of its id.
    pub(super) group_names: OrdMap<Atom, Atom>,
    /// The serial number of the snapshot that last changed a group or an atom: standings computed for an older one are
    /// computed anew.
    pub(super) serial: u64,
}

impl Directory {
    /// The group of this atom, be it the id's or the name's.
    pub(super) fn group(&self, atom: Atom) -> Option<&Arc<GroupEntry>> {
        self.groups.get(&atom).or_else(|| self.groups.get(self.group_names.get(&atom)?))
    }

    /// The standing of a user that the directory knows.
    pub(super) fn standing(&self, atoms: &Atoms, entry: &UserEntry) -> Arc<Standing> {
        let cached = entry.standing.load();
        if let Some(cached) = cached.as_ref()
            && cached.serial == self.serial
        {
            return Arc::clone(&cached.standing);
        }
        let user = &entry.user;
        let id = user.id.to_string();
        let standing =
            self.compute(atoms, Some(&id), Some(&user.username), user.groups.iter().map(group_name));
        let standing = Arc::new(standing);
        let cached = CachedStanding { serial: self.serial, standing: Arc::clone(&standing) };
        entry.standing.store(Some(Arc::new(cached)));
        standing
    }

    /// The standing of somebody with these names and direct groups. What no binding or group mentions is left out.
    pub(super) fn compute<'a>(
        &self,
        atoms: &Atoms,
        id: Option<&str>,
        username: Option<&str>,
        groups: impl Iterator<Item = Name<'a>>,
    ) -> Standing {
        let mut found: SmallVec<[Atom; 8]> = groups.filter_map(|name| atoms.find(name)).collect();
        // A few are looked through faster than looked up.
        let mut seen: Option<foldhash::HashSet<Atom>> = None;
        let mut is_superuser = false;
        let mut next = 0;
        while let Some(atom) = found.get(next).copied() {
            next += 1;
            let Some(entry) = self.group(atom) else { continue };
            is_superuser |= entry.group.is_superuser;
            for atom in [entry.id, entry.name].into_iter().chain(entry.parents.iter().copied()) {
                if found.len() > LOOKED_THROUGH && seen.is_none() {
                    seen = Some(found.iter().copied().collect());
                }
                let is_new = match &mut seen {
                    Some(seen) => seen.insert(atom),
                    None => !found.contains(&atom),
                };
                if is_new {
                    found.push(atom);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Standing {
            id: id.and_then(|id| atoms.find((Space::UserId, id))),
            username: username.and_then(|name| atoms.find((Space::Username, name))),
            groups: found,
            is_superuser,
        }
    }

    /// Mentions the names of a group.
    pub(super) fn intern(atoms: &mut Atoms, group: Group) -> (GroupEntry, bool) {
        let (id, new_id) = atoms.mention((Space::GroupId, &group.id.to_string()));
        let (name, new_name) = atoms.mention((Space::GroupName, &group.name));
        let mut new = new_id || new_name;
        let mut mention = |parent: &GroupRef| {
            let (atom, new_parent) = atoms.mention(group_name(parent));
            new |= new_parent;
            atom
        };
        let parents = group.parents.iter().map(&mut mention).collect();
        (GroupEntry { group: Arc::new(group), id, name, parents }, new)
    }
}
