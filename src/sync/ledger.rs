//! The only way into the store: every change goes through here, one at a time, whoever brings it. It is put into force,
//! remembered for those who follow, and handed to the disk.
//!
//! Must not know: streams.

use super::apply::{Sent, Update, apply_recorded, apply_sent, take_away};
use crate::model::{Id, Problem, ResourceName, Version};
use crate::store::{Changed, Difference, Snapshot, Store};
use crate::telemetry::Metrics;
use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// How many bytes of changes are remembered.
const MAX_BYTES: usize = 64 << 20;
/// How many changes are remembered.
const MAX_CHANGES: usize = 10_000;
/// How many epochs are remembered that were left.
const MAX_LEFT: usize = 64;

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
    /// What came and went; of a first configuration, nothing is told.
    pub difference: Arc<Difference>,
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

/// Why a change is not in force.
#[derive(Debug)]
pub enum NotCommitted {
    /// What it stands on is not in force any more; this is.
    Moved(Version),
    /// Its epoch was left at a newer revision.
    Left(Version),
    /// Everything that is wrong with it.
    Wrong(Vec<Problem>),
}

/// Puts changes into force, and remembers the last ones.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<Store>,
    /// One change at a time, from the store to the history, so that both have the same order.
    turn: Mutex<Turn>,
    /// Held for moments only: followers read it.
    history: Mutex<History>,
    newest: watch::Sender<Version>,
    disk: Option<Box<dyn Disk>>,
    publisher: Mutex<Option<Publisher>>,
    /// How often somebody took the right to publish.
    publishers: AtomicU64,
    metrics: Arc<Metrics>,
}

/// What only the one needs whose turn it is.
#[derive(Debug, Default)]
struct Turn {
    /// What was taken away ahead of its change: there, store and history differ, and it has to be told with the next
    /// change.
    taken: HashSet<ResourceName>,
    /// Where this left other epochs. A hub that does not know of the newer epoch yet must not lead further back.
    left: VecDeque<Version>,
}

#[derive(Debug)]
struct History {
    /// How many bytes of changes are remembered.
    most: usize,
    changes: VecDeque<Recorded>,
    bytes: usize,
    /// What everything sums up to that the first of the changes stands on.
    first_total: u128,
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

impl Turn {
    fn leave(&mut self, version: Version) {
        self.left.retain(|left| left.epoch != version.epoch);
        self.left.push_back(version);
        if self.left.len() > MAX_LEFT {
            self.left.pop_front();
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
        let first_total = snapshot.digest().total();
        let (most, changes) = (MAX_BYTES, VecDeque::new());
        let history = Mutex::new(History { most, changes, bytes: 0, first_total, snapshot });
        let (turn, publisher, publishers) = (Mutex::default(), Mutex::new(None), AtomicU64::new(0));
        let metrics = Arc::default();
        Self { store, turn, history, newest, disk: None, publisher, publishers, metrics }
    }

    /// Counts here.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Where it counts.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Remembers no change for followers, since there can be none: each would hold memory for nobody.
    #[must_use]
    pub fn without_history(self) -> Self {
        lock(&self.history).most = 0;
        self
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
        let mut turn = lock(&self.turn);
        let applied = apply_recorded(&self.store, update)?;
        Ok(self.record(&mut turn, applied, false))
    }

    /// Puts into force what was sent; `revokes` when the sender says that it takes access away.
    ///
    /// # Errors
    /// As [`Ledger::update`].
    pub fn commit(&self, sent: Sent, revokes: bool) -> Result<Committed, Vec<Problem>> {
        let mut turn = lock(&self.turn);
        let applied = apply_sent(&self.store, sent)?;
        Ok(self.record(&mut turn, applied, revokes))
    }

    /// As [`Ledger::commit`], if what it stands on is in force still: somebody else may have brought something since it
    /// was looked at.
    ///
    /// # Errors
    /// What is in force instead, or everything that is wrong with it.
    pub fn commit_upon(&self, base: Version, sent: Sent, revokes: bool) -> Result<Committed, NotCommitted> {
        let mut turn = lock(&self.turn);
        let held = self.store.load().version();
        if held != base {
            return Err(NotCommitted::Moved(held));
        }
        let version = sent.version.filter(|version| version.epoch != held.epoch);
        let left = version.and_then(|version| turn.left.iter().find(|left| left.epoch == version.epoch));
        if let (Some(version), Some(left)) = (version, left)
            && version.revision < left.revision
        {
            return Err(NotCommitted::Left(*left));
        }
        let applied = apply_sent(&self.store, sent).map_err(NotCommitted::Wrong)?;
        Ok(self.record(&mut turn, applied, revokes))
    }

    /// Takes away at once what a change takes away whose turn has not come; see [`take_away`]. Followers hear of it with
    /// that change.
    ///
    /// # Errors
    /// What is wrong with it; then nothing was taken away.
    pub fn take_away(&self, sent: &Sent) -> Result<(), Vec<Problem>> {
        let mut turn = lock(&self.turn);
        turn.taken.extend(take_away(&self.store, sent)?);
        Ok(())
    }

    /// Only for tests: changes a resource in memory behind everybody's back.
    #[doc(hidden)]
    pub fn damage(&self, name: &ResourceName) -> bool {
        let _turn = lock(&self.turn);
        let hit = self.store.damage(name);
        lock(&self.history).snapshot = self.store.load();
        hit
    }

    fn record(
        &self,
        turn: &mut Turn,
        (changed, mut difference): (Changed, Difference),
        revokes: bool,
    ) -> Committed {
        let snapshot = self.store.load();
        // What followers hold, which is what the store held but for what was taken away.
        let base = self.snapshot();
        complete(&mut difference, &mut turn.taken, &base, &snapshot);
        if snapshot.version() == base.version() && snapshot.digest() == base.digest() {
            // It may be a repair of damaged memory, which must not be handed on.
            lock(&self.history).snapshot = Arc::clone(&snapshot);
            let difference = Arc::new(difference);
            return Committed { changed, snapshot, difference, saved: None };
        }
        if snapshot.version().epoch != base.version().epoch {
            turn.leave(base.version());
        }
        let revokes = revokes || takes_away(&base, &difference);
        let difference = Arc::new(difference);
        let change = Recorded {
            base: base.version(),
            version: snapshot.version(),
            difference: Arc::clone(&difference),
            total: snapshot.digest().total(),
            revokes,
        };
        let saved = self.disk.as_ref().map(|disk| disk.save(&change, &snapshot));
        {
            let mut history = lock(&self.history);
            history.snapshot = Arc::clone(&snapshot);
            // Without a beginning, or with as much changed as there is, everything is as short. Other content of the same
            // version is no change that could be told.
            let size = change.size();
            if base.is_unset() || size > history.most || change.base == change.version {
                history.changes.clear();
                history.bytes = 0;
                history.first_total = change.total;
            } else {
                history.bytes += size;
                history.changes.push_back(change);
                while history.bytes > history.most || history.changes.len() > MAX_CHANGES {
                    let Some(oldest) = history.changes.pop_front() else { break };
                    history.bytes = history.bytes.saturating_sub(oldest.size());
                    history.first_total = oldest.total;
                }
            }
        }
        self.newest.send_replace(snapshot.version());
        Committed { changed, snapshot, difference, saved }
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
        let Some(first) = history.changes.iter().rposition(|change| change.base == held) else {
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
        let before = first.checked_sub(1).and_then(|before| history.changes.get(before));
        let was = before.map_or(history.first_total, |change| change.total);
        // A change would not mend what is wrong with what it stands on.
        if total.is_some_and(|total| total != was) {
            return Since::Everything(Arc::clone(newest));
        }
        let changes: Vec<Recorded> = history.changes.iter().skip(first).cloned().collect();
        drop(history);
        Since::Change(merged(changes.iter()))
    }

    /// The changes that take access away and came after this version, with those in between.
    pub fn revocations_since(&self, held: Version) -> Option<Recorded> {
        let history = lock(&self.history);
        let first = history.changes.iter().rposition(|change| change.base == held)?;
        let last = history.changes.iter().skip(first).rposition(|change| change.revokes)?;
        let changes: Vec<Recorded> = history.changes.iter().skip(first).take(last + 1).cloned().collect();
        drop(history);
        Some(merged(changes.iter()))
    }

    /// Takes the right to publish; `take_over` takes it from whoever has it.
    ///
    /// # Errors
    /// Who has it.
    pub fn publish(&self, node: &str, take_over: bool) -> Result<Publishing<'_>, String> {
        let mut publisher = lock(&self.publisher);
        // Never the same twice: one who lost its place may let go of it long afterwards.
        let number = self.publishers.fetch_add(1, Ordering::Relaxed);
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

/// Tells of what was taken away ahead as part of the change that brings it.
fn complete(
    difference: &mut Difference,
    taken: &mut HashSet<ResourceName>,
    base: &Snapshot,
    snapshot: &Snapshot,
) {
    if taken.is_empty() {
        return;
    }
    difference.came.retain(|(name, _)| !taken.contains(name));
    difference.went.retain(|name| !taken.contains(name));
    for name in taken.drain() {
        let id = Id::new(&name.id);
        match (base.resource(name.kind, &id), snapshot.resource(name.kind, &id)) {
            (old, Some(new)) if old.as_ref() != Some(&new) => difference.came.push((name, new.into())),
            (Some(_), None) => difference.went.push(name),
            _ => {}
        }
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
    let is_new = |name: &ResourceName| base.resource(name.kind, &Id::new(&name.id)).is_none();
    !difference.went.is_empty()
        || difference.came.iter().any(|(name, _)| match name.kind {
            K::User | K::Group | K::Target(_) | K::Stage => !is_new(name),
            K::PolicyBinding | K::Policy | K::ReputationScore | K::Route => true,
        })
}

#[cfg(test)]
mod tests;
