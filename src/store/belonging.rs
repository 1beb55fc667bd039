//! The groups of somebody, as policies see them.
//!
//! Must not know: what policies do with them.

use super::GroupAuthority;
use super::atoms::{Name, Space, group_name};
use super::directory::GroupEntry;
use super::snapshot::Snapshot;
use crate::decision::{Atom, Member};
use crate::model::{Group, Id, Value};
use crate::policy::HeldGroup;
use std::sync::Arc;

impl Snapshot {
    /// What the groups are called that somebody is in directly.
    fn direct<'a>(&self, member: &'a Member<'_>) -> impl Iterator<Item = Name<'a>> {
        let claimed = member.claimed;
        let ids = claimed.group_ids.iter().map(|id| (Space::GroupId, id.as_str()));
        let names = claimed.group_names.iter().map(|name| (Space::GroupName, name.as_str()));
        let (known, claims) = match (member.user, self.settings.group_authority) {
            (Some(user), GroupAuthority::Directory) => (Some(user), false),
            (Some(user), GroupAuthority::Union) => (Some(user), true),
            (Some(_), GroupAuthority::Caller) | (None, _) => (None, true),
        };
        let known = known.into_iter().flat_map(|user| user.groups.iter().map(group_name));
        known.chain(ids.chain(names).filter(move |_| claims))
    }

    fn group_called(&self, name: Name<'_>) -> Option<&GroupEntry> {
        self.atoms.find(name).and_then(|atom| self.directory.group(atom)).map(|entry| &**entry)
    }

    /// Whether a group that the directory knows by this name is one of somebody's.
    fn is_among(&self, member: &Member<'_>, name: &str) -> bool {
        let entry = self.group_called((Space::GroupName, name));
        entry.is_some_and(|entry| member.standing.is_in(entry.name))
    }

    /// Whether a group of somebody, or of the direct ones only, is such a one.
    pub(super) fn any_group(
        &self,
        member: &Member<'_>,
        direct: bool,
        is: &mut dyn FnMut(HeldGroup<'_>) -> bool,
    ) -> bool {
        if member.anonymous {
            return false;
        }
        let mut of = |name: Name<'_>| match self.group_called(name) {
            Some(entry) => is(HeldGroup::from(&*entry.group)),
            // A group that the directory does not know has just the one name it was called by, if no other one has that.
            None if self.is_among(member, name.1) => false,
            None => is(HeldGroup { name: name.1, is_superuser: false, known: None }),
        };
        if self.direct(member).any(&mut of) {
            return true;
        }
        // Each stands there by its id and by its name.
        let entry = |atom: &Atom| self.directory.group(*atom).filter(|entry| entry.name == *atom);
        !direct
            && member.standing.groups.iter().filter_map(entry).any(|entry| is(HeldGroup::from(&*entry.group)))
    }

    /// All groups of somebody, by name, and whether they are direct.
    pub(super) fn groups(&self, member: &Member<'_>) -> Vec<(Arc<Group>, bool)> {
        if member.anonymous {
            return Vec::new();
        }
        let entry = |atom: &Atom| self.directory.group(*atom).filter(|entry| entry.name == *atom);
        let known = member.standing.groups.iter().filter_map(entry);
        let mut found: Vec<(Arc<Group>, bool)> =
            known.map(|entry| (Arc::clone(&entry.group), false)).collect();
        found.sort_unstable_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let place = |found: &[(Arc<Group>, bool)], name: &str| {
            found.binary_search_by(|(group, _)| (*group.name).cmp(name))
        };
        for name in self.direct(member) {
            let (group, is_known) = match self.group_called(name) {
                Some(entry) => (Arc::clone(&entry.group), true),
                // As above.
                None => (Arc::new(unknown(name.1)), false),
            };
            match place(&found, &group.name) {
                Ok(at) => {
                    if let (Some((_, direct)), true) = (found.get_mut(at), is_known) {
                        *direct = true;
                    }
                }
                Err(at) => found.insert(at, (group, true)),
            }
        }
        found
    }
}

fn unknown(name: &str) -> Group {
    Group {
        id: Id::new(name),
        name: name.into(),
        parents: Vec::new(),
        is_superuser: false,
        attributes: Value::Null,
    }
}
