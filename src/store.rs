//! The hot store: one authoritative, versioned, immutable snapshot behind an atomic pointer, and the compiled binding
//! sets that questions made hot.
//!
//! Must not know: who writes, who asks.

use crate::decision::{BindingSet, Member, RowSubject, TargetKey, Unresolved, View};
use crate::model::{ReputationScore, Subject, TargetRef};
use crate::policy::ReputationRows;
use std::sync::Arc;

/// Whose word counts on the groups of a user that the directory knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupAuthority {
    /// The directory's: a token issued before a revocation does not keep the revoked group alive.
    #[default]
    Directory,
    /// The caller's.
    Caller,
    /// Both together.
    Union,
}

/// What a store decides differently from another with the same configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The result of a target without an enabled binding that does not say itself. Default: pass, as in authentik.
    pub default_empty_result: bool,
    /// Whose word counts on groups. Default: the directory's.
    pub group_authority: GroupAuthority,
}

impl Default for Settings {
    fn default() -> Self {
        Self { default_empty_result: true, group_authority: GroupAuthority::Directory }
    }
}

/// Holds the configuration in force. Readers never wait for the writer.
#[derive(Debug)]
pub struct Store {}

/// One revision of the configuration. Never changes.
#[derive(Debug)]
pub struct Snapshot {}

impl Store {
    /// An empty store, at revision 0: no configuration yet.
    pub fn new(_settings: Settings) -> Self {
        Self {}
    }

    /// The revision in force, for one question or one batch.
    pub fn load(&self) -> Arc<Snapshot> {
        Arc::new(Snapshot {})
    }
}

impl Snapshot {
    /// The revision; 0: no configuration yet.
    pub fn revision(&self) -> u64 {
        0
    }

    /// Resolves the subject of a question against the directory.
    pub fn member<'a>(&self, subject: &'a Subject) -> Member<'a> {
        Member {
            claimed: subject,
            user: None,
            standing: Arc::default(),
            anonymous: subject.anonymous,
            is_superuser: false,
        }
    }
}

impl ReputationRows for Snapshot {
    fn visit(&self, _: Option<&str>, _: Option<&str>, _: &mut dyn FnMut(&ReputationScore)) {}
}

impl View for Snapshot {
    fn find(&self, target: &TargetRef) -> Result<TargetKey, Unresolved> {
        Err(Unresolved::NotFound(target.clone()))
    }

    fn binding_set(&self, _: TargetKey) -> Option<Arc<BindingSet>> {
        None
    }

    fn subject_text(&self, _: RowSubject) -> String {
        String::new()
    }
}
