//! The subject of a question, resolved: which users and groups of the bindings it is, and what policies see of it.
//!
//! Must not know: how the directory is kept.

use crate::model::{Subject, User};
use crate::policy::Person;
use smallvec::SmallVec;
use std::ops::Deref;
use std::sync::Arc;

/// An interned id or name of a user or group. Ids and names, users and groups never share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Atom(pub u32);

/// Which users and groups somebody is, as atoms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The user's id, if a binding mentions it.
    pub id: Option<Atom>,
    /// The username, if a binding mentions it.
    pub username: Option<Atom>,
    /// Ids and names of all groups, direct and through ancestors; sorted.
    pub groups: SmallVec<[Atom; 8]>,
    /// Whether one of the groups makes superusers.
    pub is_superuser: bool,
}

impl Standing {
    /// Whether it is this user.
    pub fn is_user(&self, user: Atom) -> bool {
        self.id == Some(user) || self.username == Some(user)
    }

    /// Whether it is in this group.
    pub fn is_in(&self, group: Atom) -> bool {
        self.groups.binary_search(&group).is_ok()
    }
}

/// A standing that is kept for a user, or one of a single question.
#[derive(Clone, Debug)]
pub enum Held {
    /// It is kept.
    Kept(Arc<Standing>),
    /// It was computed from what the caller says.
    Own(Standing),
}

impl Deref for Held {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        match self {
            Self::Kept(standing) => standing,
            Self::Own(standing) => standing,
        }
    }
}

/// The subject of a question.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// What the caller said.
    pub claimed: &'a Subject,
    /// The directory's entry. When it is there, the caller's word on groups and attributes does not count.
    pub user: Option<&'a Arc<User>>,
    /// Users and groups.
    pub standing: Held,
    /// Whether somebody who must not pass static bindings is asked about.
    pub anonymous: bool,
    /// Whether the subject is a superuser.
    pub is_superuser: bool,
}

impl Member<'_> {
    /// What policies see.
    pub fn person(&self) -> Person<'_> {
        let claimed = self.claimed;
        match self.user {
            Some(user) => Person {
                anonymous: false,
                id: "",
                username: &user.username,
                name: &user.name,
                email: &user.email,
                attributes: &user.attributes,
                user: Some(user),
                is_superuser: self.is_superuser,
            },
            None => Person {
                anonymous: self.anonymous,
                id: claimed.user_id.as_deref().unwrap_or_default(),
                username: claimed.username.as_deref().unwrap_or_default(),
                name: claimed.name.as_deref().unwrap_or_default(),
                email: claimed.email.as_deref().unwrap_or_default(),
                attributes: &claimed.attributes,
                user: None,
                is_superuser: self.is_superuser,
            },
        }
    }

    /// What people call the subject.
    pub fn display_name(&self) -> String {
        let claimed = self.claimed;
        if let Some(user) = &self.user {
            return format!("`{}`", user.username);
        }
        let name = claimed.username.as_ref().or(claimed.user_id.as_ref()).or(claimed.email.as_ref());
        match (self.anonymous, name) {
            (true, Some(name)) => format!("the anonymous subject (`{name}`)"),
            (true, None) => "the anonymous subject".to_owned(),
            (false, Some(name)) => format!("`{name}`"),
            (false, None) => "the subject".to_owned(),
        }
    }
}
