//! The hot store: one authoritative, versioned, immutable snapshot behind an atomic pointer, and the compiled binding
//! sets that questions made hot.
//!
//! Must not know: who writes, who asks.

mod atoms;
mod belonging;
mod content;
mod directory;
mod draft;
mod freshness;
mod hot;
mod index;
mod listing;
mod negated;
mod on_demand;
mod open;
mod part;
mod reputation;
mod routes;
mod snapshot;

pub use draft::{Change, Changed, DIGEST, Difference, Replace, Serialized, Upsert};
pub use freshness::{Age, Freshness, Staleness};
pub use hot::HotStats;
pub use negated::Negated;
pub use on_demand::{OnDemand, Wanted};
pub use part::Part;
pub use routes::RouteMatch;
pub use snapshot::{Counts, Snapshot};

use crate::model::{Policy, Problem, ResourceName, Version};
use crate::policy::{Compiled, Places};
use arc_swap::ArcSwap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A persistent map: a copy costs nothing, and a change costs what changed.
type Map<K, V> = imbl::GenericHashMap<K, V, foldhash::fast::RandomState, imbl::shared_ptr::DefaultSharedPtr>;

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

/// A policy with its compiled form.
#[derive(Debug)]
pub(crate) struct PolicyEntry {
    pub(crate) key: u32,
    pub(crate) policy: Policy,
    pub(crate) compiled: Arc<Compiled>,
}

/// Holds the configuration in force. Readers never wait for the writer: they take the pointer to the snapshot in
/// force and keep it for as long as their question lasts.
#[derive(Debug)]
pub struct Store {
    current: ArcSwap<Snapshot>,
    /// One writer at a time, so that none derives from a revision that is no longer in force.
    writer: Mutex<()>,
    /// Tells of every change, for those who wait for a revision.
    changed: watch::Sender<u64>,
}

impl Store {
    /// An empty store, at revision 0: no configuration yet.
    pub fn new(settings: Settings) -> Self {
        Self::with_history(settings, Version::default())
    }

    /// As [`Store::new`], for a history that others follow: it gets an epoch, and begins after this revision.
    pub fn with_history(settings: Settings, version: Version) -> Self {
        let mut snapshot = Snapshot::empty(settings);
        snapshot.version = version;
        let current = ArcSwap::from_pointee(snapshot);
        Self { current, writer: Mutex::new(()), changed: watch::Sender::new(0) }
    }

    /// The revision in force, for one question or one batch.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The revision in force, for one question that is answered where it stands. Cheaper than [`Store::load`], since it
    /// counts no reference that all cores would have to agree on; a thread has room for a few at a time.
    pub fn peek(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The revision in force, once it is this one or a newer one; what is in force then when that takes longer than
    /// `patience`.
    pub async fn reach(&self, revision: u64, patience: Duration) -> Arc<Snapshot> {
        let mut changed = self.changed.subscribe();
        let reached = changed.wait_for(|_| self.current.load().revision() >= revision);
        // In either case, what is in force now is what there is.
        let _either = tokio::time::timeout(patience, reached).await;
        self.load()
    }

    /// How the hot set is doing.
    pub fn hot_stats(&self) -> HotStats {
        self.current.load().hot_stats()
    }

    /// Puts a change into force as the next revision, or nothing of it. One that changes nothing keeps the revision,
    /// except for the first, which makes revision 1.
    ///
    /// # Errors
    /// Everything that is wrong with the change.
    pub fn update(&self, change: Change) -> Result<Changed, Vec<Problem>> {
        self.put(change, false).map(|(changed, _)| changed)
    }

    /// As [`Store::update`], with what the change came down to.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub fn update_recorded(&self, change: Change) -> Result<(Changed, Difference), Vec<Problem>> {
        self.put(change, true)
    }

    fn put(&self, change: Change, recorded: bool) -> Result<(Changed, Difference), Vec<Problem>> {
        // A writer that panicked has published nothing, so the lock protects nothing that could be half done.
        let _only_writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let base = self.load();
        // Of a first configuration, everything came; nobody needs that twice.
        let recorded = recorded && !base.is_unset();
        let (next, changed, difference) = draft::derive(&base, change, recorded)?;
        if let Some((next, touched)) = next {
            let serial = next.serial;
            self.current.store(Arc::new(next));
            self.changed.send_replace(serial);
            base.drop_hot(&touched);
        }
        Ok((changed, difference))
    }

    /// Only for tests: changes a resource in memory without entering it anywhere, as a flipped bit would.
    #[doc(hidden)]
    pub fn damage(&self, name: &ResourceName) -> bool {
        // As in `update`.
        let _only_writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.current.load());
        let hit = next.damage(name);
        self.current.store(Arc::new(next));
        hit
    }

    /// Where addresses are looked up from now on. The revision stays, since places are no configuration.
    pub fn set_places(&self, places: Arc<dyn Places>) {
        // As in `update`.
        let _only_writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.current.load());
        next.places = Some(places);
        self.current.store(Arc::new(next));
    }

    /// What would be wrong with a change, without putting it into force.
    pub fn examine(&self, change: Change) -> Vec<Problem> {
        draft::examine(&self.load(), change)
    }
}
