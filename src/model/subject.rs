//! The directory: users, groups and what is known of them.

use super::{Id, Timestamp, Value};
use std::fmt;

/// Names a user. Ids are never compared with usernames.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserRef {
    /// By id.
    Id(Box<str>),
    /// By username.
    Username(Box<str>),
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "id/{id}"),
            Self::Username(name) => write!(f, "username/{name}"),
        }
    }
}

/// Names a group. Ids are never compared with names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupRef {
    /// By id.
    Id(Box<str>),
    /// By name.
    Name(Box<str>),
}

impl fmt::Display for GroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "id/{id}"),
            Self::Name(name) => write!(f, "name/{name}"),
        }
    }
}

/// A user that the directory knows.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Identifies the user.
    pub id: Id,
    /// Unique username.
    pub username: Box<str>,
    /// Display name.
    pub name: Box<str>,
    /// E-mail address; never identifies the user.
    pub email: Box<str>,
    /// Not part of a decision; gateways deny inactive users before asking.
    pub is_active: bool,
    /// Direct groups.
    pub groups: Vec<GroupRef>,
    /// Free attributes.
    pub attributes: Value,
    /// internal, external, service_account or internal_service_account.
    pub kind: Box<str>,
    /// Path in the directory tree.
    pub path: Box<str>,
    /// When the password was last changed.
    pub password_change_date: Option<Timestamp>,
    /// When the user was created.
    pub date_joined: Option<Timestamp>,
    /// When the user last signed in.
    pub last_login: Option<Timestamp>,
    /// Whether a password is set.
    pub has_usable_password: Option<bool>,
    /// Authenticators.
    pub authenticators: Vec<Authenticator>,
    /// Sign-ins, latest first.
    pub logins: Vec<Login>,
    /// Hashes of former passwords, latest first.
    pub password_history: Vec<Box<str>>,
}

/// An authenticator of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticator {
    /// totp, static, webauthn, duo, sms or email.
    pub kind: Box<str>,
    /// Whether its set-up was completed.
    pub confirmed: bool,
}

/// A former sign-in.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// When.
    pub time: Timestamp,
    /// Latitude and longitude in degrees, when known.
    pub place: Option<(f64, f64)>,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Identifies the group.
    pub id: Id,
    /// Unique name.
    pub name: Box<str>,
    /// Groups whose members this group's members are, too. May form cycles.
    pub parents: Vec<GroupRef>,
    /// Whether members are superusers.
    pub is_superuser: bool,
    /// Free attributes.
    pub attributes: Value,
}

/// What an address did under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReputationScore {
    /// Identifies the row.
    pub id: Id,
    /// Client address.
    pub ip: Box<str>,
    /// Username that was tried.
    pub identifier: Box<str>,
    /// Negative is bad.
    pub score: i64,
    /// From then on the row does not count.
    pub expires: Option<Timestamp>,
}
