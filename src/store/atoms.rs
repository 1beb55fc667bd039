//! Interning: every id and name of a user or group that a binding or a group mentions is one small number, so that
//! a membership check compares integers and a compiled binding set never depends on the directory.
//!
//! Ids and names, users and groups live in spaces of their own and never meet. A number is never given out twice,
//! so what was compiled under an older revision cannot mean somebody else under a newer one.

use super::Map;
use crate::decision::Atom;
use crate::model::{GroupRef, UserRef};
use imbl::OrdMap;
use std::sync::Arc;

/// Which kind of text an atom stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    UserId,
    Username,
    GroupId,
    GroupName,
}

impl Space {
    const fn label(self) -> &'static str {
        match self {
            Self::UserId => "user/id",
            Self::Username => "user/username",
            Self::GroupId => "group/id",
            Self::GroupName => "group/name",
        }
    }
}

/// A text with the space that it belongs to.
pub(super) type Name<'a> = (Space, &'a str);

pub(super) fn user_name(user: &UserRef) -> Name<'_> {
    match user {
        UserRef::Id(id) => (Space::UserId, id),
        UserRef::Username(name) => (Space::Username, name),
    }
}

pub(super) fn group_name(group: &GroupRef) -> Name<'_> {
    match group {
        GroupRef::Id(id) => (Space::GroupId, id),
        GroupRef::Name(name) => (Space::GroupName, name),
    }
}

/// The table of atoms of one revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Atoms {
    user_ids: Map<Arc<str>, Entry>,
    usernames: Map<Arc<str>, Entry>,
    group_ids: Map<Arc<str>, Entry>,
    group_names: Map<Arc<str>, Entry>,
    texts: OrdMap<Atom, (Space, Arc<str>)>,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    atom: Atom,
    /// How many bindings and groups mention it.
    mentions: u32,
}

impl Atoms {
    fn space(&self, space: Space) -> &Map<Arc<str>, Entry> {
        match space {
            Space::UserId => &self.user_ids,
            Space::Username => &self.usernames,
            Space::GroupId => &self.group_ids,
            Space::GroupName => &self.group_names,
        }
    }

    fn space_mut(&mut self, space: Space) -> &mut Map<Arc<str>, Entry> {
        match space {
            Space::UserId => &mut self.user_ids,
            Space::Username => &mut self.usernames,
            Space::GroupId => &mut self.group_ids,
            Space::GroupName => &mut self.group_names,
        }
    }

    /// The atom of a text, if anything mentions it.
    pub(super) fn find(&self, (space, text): Name<'_>) -> Option<Atom> {
        self.space(space).get(text).map(|entry| entry.atom)
    }

    /// The atom of a text, which one thing more mentions from now on. Tells whether it is new.
    pub(super) fn mention(&mut self, (space, text): Name<'_>) -> (Atom, bool) {
        if let Some(entry) = self.space_mut(space).get_mut(text) {
            entry.mentions += 1;
            return (entry.atom, false);
        }
        let atom = Atom(self.next);
        self.next += 1;
        let text: Arc<str> = text.into();
        self.space_mut(space).insert(Arc::clone(&text), Entry { atom, mentions: 1 });
        self.texts.insert(atom, (space, text));
        (atom, true)
    }

    /// One thing less mentions this atom; the last one forgets it.
    pub(super) fn forget(&mut self, atom: Atom) {
        let Some((space, text)) = self.texts.get(&atom).cloned() else { return };
        let map = self.space_mut(space);
        match map.get_mut(&text) {
            Some(entry) if entry.mentions > 1 => entry.mentions -= 1,
            _ => {
                map.remove(&text);
                self.texts.remove(&atom);
            }
        }
    }

    /// The user that an atom stands for.
    pub(super) fn user(&self, atom: Atom) -> UserRef {
        match self.texts.get(&atom) {
            Some((Space::UserId, id)) => UserRef::Id((**id).into()),
            Some((_, name)) => UserRef::Username((**name).into()),
            None => UserRef::Id("".into()),
        }
    }

    /// The group that an atom stands for.
    pub(super) fn group(&self, atom: Atom) -> GroupRef {
        match self.texts.get(&atom) {
            Some((Space::GroupId, id)) => GroupRef::Id((**id).into()),
            Some((_, name)) => GroupRef::Name((**name).into()),
            None => GroupRef::Id("".into()),
        }
    }

    /// The atom as people read it, such as `group/name/staff`.
    pub(super) fn text(&self, atom: Atom) -> String {
        self.texts.get(&atom).map_or_else(String::new, |(space, text)| format!("{}/{text}", space.label()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_apart_and_numbers_are_not_reused() {
        let mut atoms = Atoms::default();
        let (id, new) = atoms.mention((Space::GroupId, "staff"));
        assert!(new);
        let (name, _) = atoms.mention((Space::GroupName, "staff"));
        assert_ne!(id, name);
        assert_eq!(atoms.mention((Space::GroupId, "staff")), (id, false));
        atoms.forget(id);
        assert_eq!(atoms.find((Space::GroupId, "staff")), Some(id));
        atoms.forget(id);
        assert_eq!(atoms.find((Space::GroupId, "staff")), None);
        let (again, new) = atoms.mention((Space::GroupId, "staff"));
        assert!(new && again != id && again != name);
        assert_eq!(atoms.text(name), "group/name/staff");
    }
}
