//! Applies an update to the store: validated as a whole, then whole or not at all.
//!
//! Must not know: where the update came from.

use crate::model::{Problem, ResourceName};
use crate::proto::v1;
use crate::store::Store;

/// A change of the configuration.
#[derive(Clone, Debug)]
pub enum Update {
    /// These resources and no others. What is the same as before keeps its compiled form.
    Replace(Vec<v1::Resource>),
    /// Changes to what is there.
    Delta {
        /// Resources to add or to replace.
        upserts: Vec<v1::Resource>,
        /// Resources to remove.
        removals: Vec<ResourceName>,
    },
}

/// What an update did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The revision now in force.
    pub revision: u64,
    /// Resources that were added or changed.
    pub upserted: usize,
    /// Resources that were removed.
    pub removed: usize,
}

/// Validates an update and puts it into force as the next revision. An update that changes nothing keeps the
/// revision, except for the first one, which makes revision 1.
///
/// # Errors
/// Everything that is wrong with it; then nothing has changed. [`Problem::index`] counts upserts.
pub fn apply(_store: &Store, _update: Update) -> Result<Applied, Vec<Problem>> {
    Err(Vec::new())
}
