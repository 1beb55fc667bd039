//! The only way into the store: every change goes through here, one at a time, whoever brings it. It is put into force,
//! remembered for those who follow, and handed to the disk.
//!
//! Must not know: streams.

use super::apply::{Sent, Update, apply_recorded, apply_sent};
use crate::model::{Problem, ResourceName, Version};
use crate::store::{Changed, Difference, Snapshot, Store};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// How many bytes of changes are remembered.
const MAX_BYTES: usize = 64 << 20;
/// How many changes are remembered.
const MAX_CHANGES: usize = 10_000;

/// One change, from one version to the next.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What it stands on.
    pub base: Version,
    /// What it leads to.
    pub version: Version,
    /// What came and went.
    pub difference: Arc<Difference>,
    /// What everything sums up to afterwards.
    pub total: u128,
    /// Whether it takes access away.
    pub revokes: bool,
}

impl Recorded {
    /// About how many bytes it has.
    pub fn size(&self) -> usize {
        let names = self.difference.went.iter().map(|name| name.id.len() + 16).sum::<usize>();
        self.difference.came.iter().map(|(_, bytes)| bytes.len() + 16).sum::<usize>() + names
    }
}

/// What a follower needs.
#[derive(Clone, Debug)]
pub enum Since {
    /// Nothing.
    Nothing,
    /// This change, several in one perhaps.
    Change(Recorded),
    /// Everything.
    Everything(Arc<Snapshot>),
}

/// Keeps changes on disk.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Writes a change that is in force; `snapshot` is what it led to. The answer comes when it is safe. Must not block.
    fn save(&self, change: &Recorded, snapshot: &Arc<Snapshot>) -> oneshot::Receiver<Result<(), String>>;
}

/// A change that is in force.
#[derive(Debug)]
pub struct Committed {
    /// What it did.
    pub changed: Changed,
    /// What is in force.
    pub snapshot: Arc<Snapshot>,
    /// Comes when the change is safe on disk, where one is kept.
    pub saved: Option<oneshot::Receiver<Result<(), String>>>,
}

impl Committed {
    /// Waits until the change is safe on disk.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn safe(&mut self) -> Result<(), String> {
        match self.saved.take() {
            Some(saved) => {
                saved.await.unwrap_or_else(|_| Err("the disk is not written to any more".to_owned()))
            }
            None => Ok(()),
        }
    }
}

/// Puts changes into force, and remembers the last ones.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<Store>,
    /// One change at a time, from the store to the history, so that both have the same order.
    turn: Mutex<()>,
    /// Held for moments only: followers read it.
    history: Mutex<History>,
    newest: watch::Sender<Version>,
    disk: Option<Box<dyn Disk>>,
    publisher: Mutex<Option<Publisher>>,
}

#[derive(Debug)]
struct History {
    changes: VecDeque<Recorded>,
    bytes: usize,
    /// What the changes lead to.
    snapshot: Arc<Snapshot>,
}

/// Who publishes.
#[derive(Debug)]
struct Publisher {
    node: String,
    /// Tells it that somebody took its place.
    displaced: oneshot::Sender<String>,
    number: u64,
}

/// The right to publish; gone when this is.
#[derive(Debug)]
pub struct Publishing<'a> {
    ledger: &'a Ledger,
    number: u64,
    /// Comes when somebody else took this place, with the name.
    pub displaced: oneshot::Receiver<String>,
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        let mut publisher = lock(&self.ledger.publisher);
        if publisher.as_ref().is_some_and(|publisher| publisher.number == self.number) {
            *publisher = None;
        }
    }
}

/// A writer that panicked has changed nothing by halves: what is locked here is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// A ledger over a store, with nothing on disk.
    pub fn new(store: Arc<Store>) -> Self {
        let snapshot = store.load();
        let newest = watch::Sender::new(snapshot.version());
        let history = Mutex::new(History { changes: VecDeque::new(), bytes: 0, snapshot });
        Self { store, turn: Mutex::new(()), history, newest, disk: None, publisher: Mutex::new(None) }
    }

    /// Keeps changes on disk, too.
    #[must_use]
    pub fn with_disk(mut self, disk: Box<dyn Disk>) -> Self {
        self.disk = Some(disk);
        self
    }

    /// The store.
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Tells when there is something newer. What is seen here is in the history.
    pub fn newest(&self) -> watch::Receiver<Version> {
        self.newest.subscribe()
    }

    /// What is newest in the history.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.history).snapshot)
    }

    /// Puts a change of this process's own into force.
    ///
    /// # Errors
    /// Everything that is wrong with it; then nothing has changed.
    pub fn update(&self, update: Update) -> Result<Committed, Vec<Problem>> {
        let _turn = lock(&self.turn);
        let base = self.store.load();
        let applied = apply_recorded(&self.store, update)?;
        Ok(self.record(&base, applied, false))
    }

    /// Puts into force what was sent; `revokes` when the sender says that it takes access away.
    ///
    /// # Errors
    /// As [`Ledger::update`].
    pub fn commit(&self, sent: Sent, revokes: bool) -> Result<Committed, Vec<Problem>> {
        let _turn = lock(&self.turn);
        let base = self.store.load();
        let applied = apply_sent(&self.store, sent)?;
        Ok(self.record(&base, applied, revokes))
    }

    fn record(
        &self,
        base: &Arc<Snapshot>,
        (changed, difference): (Changed, Difference),
        revokes: bool,
    ) -> Committed {
        let snapshot = self.store.load();
        if snapshot.version() == base.version() && snapshot.digest() == base.digest() {
            return Committed { changed, snapshot, saved: None };
        }
        let revokes = revokes || takes_away(base, &difference);
        let change = Recorded {
            base: base.version(),
            version: snapshot.version(),
            difference: Arc::new(difference),
            total: snapshot.digest().total(),
            revokes,
        };
        let saved = self.disk.as_ref().map(|disk| disk.save(&change, &snapshot));
        {
            let mut history = lock(&self.history);
            history.snapshot = Arc::clone(&snapshot);
            // Without a beginning, or with as much changed as there is, everything is as short.
            let size = change.size();
            if base.is_unset() || size > MAX_BYTES {
                history.changes.clear();
                history.bytes = 0;
            } else {
                history.bytes += size;
                history.changes.push_back(change);
                while history.bytes > MAX_BYTES || history.changes.len() > MAX_CHANGES {
                    let Some(oldest) = history.changes.pop_front() else { break };
                    history.bytes = history.bytes.saturating_sub(oldest.size());
                }
            }
        }
        self.newest.send_replace(snapshot.version());
        Committed { changed, snapshot, saved }
    }

    /// What somebody needs who holds this version. `total` is what that sums up to there, where it is told.
    pub fn since(&self, held: Version, total: Option<u128>) -> Since {
        let history = lock(&self.history);
        let newest = &history.snapshot;
        if newest.is_unset() {
            return Since::Nothing;
        }
        if held == newest.version() {
            let same = total.is_none_or(|total| total == newest.digest().total());
            return if same { Since::Nothing } else { Since::Everything(Arc::clone(newest)) };
        }
        // Whoever is ahead has it from somewhere else; this one catches up.
        if held.epoch == newest.version().epoch && held.revision > newest.version().revision {
            return Since::Nothing;
        }
        let Some(first) = history.changes.iter().position(|change| change.base == held) else {
            // The same content under another version, such as after a restart of its source.
            if held != Version::default() && total == Some(newest.digest().total()) {
                let (base, version) = (held, newest.version());
                let difference = Arc::default();
                let change =
                    Recorded { base, version, difference, total: newest.digest().total(), revokes: false };
                return Since::Change(change);
            }
            return Since::Everything(Arc::clone(newest));
        };
        Since::Change(merged(history.changes.iter().skip(first)))
    }

    /// The changes that take access away and came after this version, with those in between.
    pub fn revocations_since(&self, held: Version) -> Option<Recorded> {
        let history = lock(&self.history);
        let first = history.changes.iter().position(|change| change.base == held)?;
        let last = history.changes.iter().skip(first).rposition(|change| change.revokes)?;
        Some(merged(history.changes.iter().skip(first).take(last + 1)))
    }

    /// Takes the right to publish; `take_over` takes it from whoever has it.
    ///
    /// # Errors
    /// Who has it.
    pub fn publish(&self, node: &str, take_over: bool) -> Result<Publishing<'_>, String> {
        let mut publisher = lock(&self.publisher);
        let number = publisher.as_ref().map_or(0, |publisher| publisher.number + 1);
        if let Some(holder) = publisher.take() {
            if !take_over && !holder.displaced.is_closed() {
                let name = holder.node.clone();
                *publisher = Some(holder);
                return Err(name);
            }
            // One that is gone hears nothing, and need not.
            let _gone = holder.displaced.send(node.to_owned());
        }
        let (displaced, told) = oneshot::channel();
        *publisher = Some(Publisher { node: node.to_owned(), displaced, number });
        Ok(Publishing { ledger: self, number, displaced: told })
    }

    /// Who publishes.
    pub fn publisher(&self) -> Option<String> {
        lock(&self.publisher).as_ref().map(|publisher| publisher.node.clone())
    }
}

/// Several changes as one.
fn merged<'a>(changes: impl Iterator<Item = &'a Recorded>) -> Recorded {
    let mut changes = changes.peekable();
    let mut all = match changes.next() {
        Some(first) => first.clone(),
        None => Recorded {
            base: Version::default(),
            version: Version::default(),
            difference: Arc::default(),
            total: 0,
            revokes: false,
        },
    };
    if changes.peek().is_none() {
        return all;
    }
    let mut came: HashMap<ResourceName, Option<Bytes>> = HashMap::new();
    let mut take = |difference: &Difference| {
        came.extend(difference.went.iter().map(|name| (name.clone(), None)));
        came.extend(difference.came.iter().map(|(name, bytes)| (name.clone(), Some(bytes.clone()))));
    };
    take(&all.difference);
    for change in changes {
        take(&change.difference);
        (all.version, all.total) = (change.version, change.total);
        all.revokes |= change.revokes;
    }
    let mut difference = Difference::default();
    for (name, bytes) in came {
        match bytes {
            Some(bytes) => difference.came.push((name, bytes)),
            None => difference.went.push(name),
        }
    }
    all.difference = Arc::new(difference);
    all
}

/// Whether a change takes access away from somebody, as far as it can be told: anything but new users, groups and
/// targets may.
fn takes_away(base: &Snapshot, difference: &Difference) -> bool {
    use crate::model::ResourceKind as K;
    let is_new = |name: &ResourceName| base.resource(name.kind, &crate::model::Id::new(&name.id)).is_none();
    !difference.went.is_empty()
        || difference.came.iter().any(|(name, _)| match name.kind {
            K::User | K::Group | K::Target(_) | K::Stage => !is_new(name),
            K::PolicyBinding | K::Policy | K::ReputationScore => true,
        })
}
