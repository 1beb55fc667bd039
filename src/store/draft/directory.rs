//! Changes to users and groups.
//!
//! Must not know: bindings.

use super::{Draft, Upsert};
use crate::model::{Group, Id, ResourceKind, ResourceName, User};
use crate::store::atoms::Space;
use crate::store::directory::{Directory, UserEntry};
use std::sync::Arc;

impl Draft<'_> {
    /// All old names go before any new one comes, so that users and groups may swap names.
    pub(super) fn drop_directory_names(&mut self, upserts: &[Upsert]) {
        for upsert in upserts {
            let directory = &mut self.next.directory;
            match upsert {
                Upsert::User(user) => {
                    let old = directory.users.get(&user.id).map(|old| Arc::clone(&old.user));
                    if let Some(old) = old.filter(|old| old.username != user.username) {
                        directory.usernames.remove(&*old.username);
                    }
                }
                Upsert::Group(group) => {
                    let atom = self.next.atoms.find((Space::GroupId, &group.id.to_string()));
                    let old = atom.and_then(|atom| directory.groups.get(&atom)).cloned();
                    if let Some(old) = old.filter(|old| old.group.name != group.name) {
                        directory.group_names.remove(&old.name);
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn upsert_user(&mut self, index: usize, user: User) {
        let directory = &mut self.next.directory;
        let old = directory.users.get(&user.id).cloned();
        if old.as_ref().is_some_and(|old| *old.user == user) {
            return;
        }
        if let Some(holder) = directory.usernames.get(&*user.username)
            && holder.user.id != user.id
        {
            let message = format!(
                "`{}` is the username of user `{}` already; usernames are unique",
                user.username, holder.user.id
            );
            let name = ResourceName { kind: ResourceKind::User, id: user.id.to_string().into() };
            self.problem(index, &name, "username", message);
            return;
        }
        // A name that was given up above may be somebody else's by now.
        if let Some(old) = old.filter(|old| old.user.username == user.username) {
            directory.usernames.remove(&*old.user.username);
        }
        let entry = Arc::new(UserEntry::new(user));
        directory.usernames.insert(Arc::from(&*entry.user.username), Arc::clone(&entry));
        directory.users.insert(entry.user.id.clone(), entry);
        self.upserted += 1;
    }

    pub(super) fn remove_user(&mut self, id: &Id) -> bool {
        let directory = &mut self.next.directory;
        let Some(old) = directory.users.remove(id) else { return false };
        directory.usernames.remove(&*old.user.username);
        true
    }

    pub(super) fn upsert_group(&mut self, index: usize, group: Group) {
        let id = self.next.atoms.find((Space::GroupId, &group.id.to_string()));
        let old = id.and_then(|id| self.next.directory.groups.get(&id)).cloned();
        if old.as_ref().is_some_and(|old| *old.group == group) {
            return;
        }
        let holder = self
            .next
            .atoms
            .find((Space::GroupName, &group.name))
            .and_then(|name| self.next.directory.group_names.get(&name))
            .filter(|holder| Some(**holder) != id)
            .and_then(|holder| self.next.directory.groups.get(holder));
        if let Some(holder) = holder {
            let message = format!(
                "`{}` is the name of group `{}` already; group names are unique",
                group.name, holder.group.id
            );
            let name = ResourceName { kind: ResourceKind::Group, id: group.id.to_string().into() };
            self.problem(index, &name, "name", message);
            return;
        }
        // The new names are mentioned before the old ones are forgotten, so that what stays keeps its atom.
        let (entry, _) = Directory::intern(&mut self.next.atoms, group);
        if let Some(old) = old {
            if self.next.directory.group_names.get(&old.name) == Some(&old.id) {
                self.next.directory.group_names.remove(&old.name);
            }
            [old.id, old.name].into_iter().chain(old.parents.iter().copied()).for_each(|atom| {
                self.next.atoms.forget(atom);
            });
        }
        self.next.directory.group_names.insert(entry.name, entry.id);
        self.next.directory.groups.insert(entry.id, Arc::new(entry));
        self.standings_changed = true;
        self.upserted += 1;
    }

    pub(super) fn remove_group(&mut self, id: &Id) -> bool {
        let Some(atom) = self.next.atoms.find((Space::GroupId, &id.to_string())) else { return false };
        let Some(old) = self.next.directory.groups.remove(&atom) else { return false };
        self.next.directory.group_names.remove(&old.name);
        [old.id, old.name].into_iter().chain(old.parents.iter().copied()).for_each(|atom| {
            self.next.atoms.forget(atom);
        });
        self.standings_changed = true;
        true
    }
}
