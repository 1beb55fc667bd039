//! The groups of somebody, as policies see them.
//!
//! Must not know: what policies do with them.

use super::GroupAuthority;
use super::atoms::{Name, Space, group_name};
use super::directory::GroupEntry;
use super::snapshot::Snapshot;
use crate::decision::Member;
use crate::model::{Group, Id, Value};
use imbl::OrdMap;
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

    /// Whether a group of somebody, or one of the direct ones only, has such a name.
    pub(super) fn has_group_name(
        &self,
        member: &Member<'_>,
        direct: bool,
        is: &mut dyn FnMut(&str) -> bool,
    ) -> bool {
        if member.anonymous {
            return false;
        }
        // A group that the directory does not know has just the one name it was called by.
        let mut of = |name: Name<'_>| match self.group_called(name) {
            Some(entry) => is(&entry.group.name),
            None => is(name.1),
        };
        if self.direct(member).any(&mut of) {
            return true;
        }
        let mut entries = member.standing.groups.iter().filter_map(|atom| self.directory.group(*atom));
        !direct && entries.any(|entry| is(&entry.group.name))
    }

    /// All groups of somebody, by name, and whether they are direct.
    pub(super) fn groups(&self, member: &Member<'_>) -> Vec<(Arc<Group>, bool)> {
        if member.anonymous {
            return Vec::new();
        }
        let mut found: OrdMap<Box<str>, (Arc<Group>, bool)> = OrdMap::new();
        for atom in &member.standing.groups {
            if let Some(entry) = self.directory.group(*atom) {
                found.insert(entry.group.name.clone(), (Arc::clone(&entry.group), false));
            }
        }
        for name in self.direct(member) {
            match self.group_called(name) {
                Some(entry) => {
                    found.insert(entry.group.name.clone(), (Arc::clone(&entry.group), true));
                }
                // As above.
                None => {
                    let name: Box<str> = name.1.into();
                    let unknown = Group {
                        id: Id::new(&name),
                        name: name.clone(),
                        parents: Vec::new(),
                        is_superuser: false,
                        attributes: Value::Null,
                    };
                    found.entry(name).or_insert_with(|| (Arc::new(unknown), true));
                }
            }
        }
        found.into_iter().map(|(_, group)| group).collect()
    }
}
