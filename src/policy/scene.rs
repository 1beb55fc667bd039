//! What a policy sees, kept while something outside decides.
//!
//! Must not know: what is made of it there.

use super::{Groups, Input, Person};
use crate::model::{Context, Group, Target, User, Value};
use std::sync::Arc;

/// What a policy sees: of a program in Python, for the policies that it calls; of a remote policy, to be sent there.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The context.
    pub context: Context,
    /// Who it is about, if the directory does not know.
    pub anonymous: bool,
    /// The id, if the directory does not know; empty: none.
    pub id: Box<str>,
    /// The username; empty: none.
    pub username: Box<str>,
    /// The display name; empty: none.
    pub name: Box<str>,
    /// The e-mail address; empty: none.
    pub email: Box<str>,
    /// Free attributes.
    pub attributes: Value,
    /// The directory's entry.
    pub user: Option<User>,
    /// Whether it is a superuser.
    pub is_superuser: bool,
    /// All groups, and whether the user is in them directly.
    pub groups: Vec<(Arc<Group>, bool)>,
    /// What is asked about.
    pub target: Option<Target>,
}

impl Scene {
    pub(super) fn of(input: &Input<'_>) -> Self {
        let person = &input.person;
        Self {
            context: input.context.clone(),
            anonymous: person.anonymous,
            id: person.id.into(),
            username: person.username.into(),
            name: person.name.into(),
            email: person.email.into(),
            attributes: person.attributes.clone(),
            user: person.user.cloned(),
            is_superuser: person.is_superuser,
            groups: input.groups.all(),
            target: input.target.cloned(),
        }
    }

    /// Who it is about.
    pub fn person(&self) -> Person<'_> {
        Person {
            anonymous: self.anonymous,
            id: &self.id,
            username: &self.username,
            name: &self.name,
            email: &self.email,
            attributes: &self.attributes,
            user: self.user.as_ref(),
            is_superuser: self.is_superuser,
        }
    }
}

impl Groups for Scene {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        self.groups.clone()
    }
}
