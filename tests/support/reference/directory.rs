//! The reference's directory: who the subject is, and in which groups.

use super::{Reference, or};
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;

/// The subject of a question.
#[derive(Clone, Debug)]
pub(crate) struct Person<'a> {
    pub(crate) anonymous: bool,
    /// The directory's entry.
    pub(crate) user: Option<&'a v1::User>,
    pub(crate) id: String,
    pub(crate) username: String,
    /// Whether the username counts for user bindings.
    has_username: bool,
    /// Every group, direct or through ancestors: ids and names.
    groups: Vec<v1::GroupRef>,
    pub(crate) is_superuser: bool,
}

impl Person<'_> {
    /// Ids match ids and usernames match usernames.
    pub(crate) fn is_user(&self, user: &v1::UserRef) -> bool {
        if user.id.is_empty() {
            self.has_username && user.username == self.username
        } else {
            user.id == self.id
        }
    }

    /// Ids match ids and names match names.
    pub(crate) fn is_in(&self, group: &v1::GroupRef) -> bool {
        let mut groups = self.groups.iter();
        if group.id.is_empty() {
            groups.any(|mine| mine.name == group.name)
        } else {
            groups.any(|mine| mine.id == group.id)
        }
    }
}

impl Reference {
    fn users(&self) -> impl Iterator<Item = &v1::User> {
        self.each().filter_map(|resource| match resource {
            R::User(user) => Some(user),
            _ => None,
        })
    }

    fn group(&self, wanted: &v1::GroupRef) -> Option<&v1::Group> {
        self.each()
            .filter_map(|resource| match resource {
                R::Group(group) => Some(group),
                _ => None,
            })
            .find(|group| {
                if wanted.id.is_empty() {
                    group.name == wanted.name
                } else {
                    or(&group.id, &group.name) == wanted.id
                }
            })
    }

    /// Adds this group and its ancestors, each once.
    fn climb(&self, group: &v1::GroupRef, found: &mut Vec<v1::GroupRef>, is_superuser: &mut bool) {
        let Some(known) = self.group(group) else {
            // A group that the directory does not know has just the one name it was called by.
            if !found.contains(group) {
                found.push(group.clone());
            }
            return;
        };
        let full = v1::GroupRef { id: or(&known.id, &known.name).to_owned(), name: known.name.clone() };
        if found.contains(&full) {
            return;
        }
        found.push(full);
        *is_superuser |= known.is_superuser;
        for parent in &known.parents {
            self.climb(parent, found, is_superuser);
        }
    }

    /// Who this is about.
    pub(crate) fn person(&self, subject: &v1::Subject) -> Person<'_> {
        let user = if subject.anonymous {
            None
        } else if subject.user_id.is_empty() {
            self.users().find(|user| !subject.username.is_empty() && user.username == subject.username)
        } else {
            self.users().find(|user| or(&user.id, &user.username) == subject.user_id)
        };
        let claimed: Vec<v1::GroupRef> = match user {
            Some(user) => user.groups.clone(),
            None => {
                let ids = subject.group_ids.iter().map(|id| (id.clone(), String::new()));
                let names = subject.group_names.iter().map(|name| (String::new(), name.clone()));
                ids.chain(names).map(|(id, name)| v1::GroupRef { id, name }).collect()
            }
        };
        let mut groups = Vec::new();
        let mut is_superuser = user.is_none() && subject.is_superuser;
        for group in &claimed {
            self.climb(group, &mut groups, &mut is_superuser);
        }
        let (id, username) = match user {
            Some(user) => (or(&user.id, &user.username).to_owned(), user.username.clone()),
            None => (subject.user_id.clone(), subject.username.clone()),
        };
        // Somebody else's username is not the subject's, whatever the caller says.
        let has_username = user.is_some() || !self.users().any(|user| user.username == username);
        Person { anonymous: subject.anonymous, user, id, username, has_username, groups, is_superuser }
    }

    /// Who did what the event tells of; nothing when the directory does not know.
    pub(crate) fn actor(&self, context: &v1::Context) -> Option<Person<'_>> {
        let actor = context.event.as_ref()?.user.as_ref()?;
        let subject =
            v1::Subject { user_id: actor.id.clone(), username: actor.username.clone(), ..Default::default() };
        let person = self.person(&subject);
        person.user.is_some().then_some(person)
    }
}
