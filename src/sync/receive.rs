//! What comes from a source, put together to changes: begin, chunks and commit, or one delta; in order, complete, within
//! bounds.
//!
//! Must not know: streams, the store.

use super::apply::Sent;
use super::protocol::{MAX_RESOURCES, MAX_UPDATE, name_of, total_of, version_of};
use crate::model::{ResourceKind, ResourceName, Version};
use crate::proto::resource::kind_of_number;
use crate::proto::v1;
use crate::store::{Part, Replace};
use bytes::Bytes;
use v1::source_message::Message;

/// What a message leads to.
#[derive(Debug)]
pub enum Step {
    /// Nothing yet.
    Nothing,
    /// A change is complete; apply it.
    Apply(Box<Incoming>),
    /// A change that takes access away came while another one is under way: what it takes away must go at once. It
    /// comes once more, with the other one.
    Early(Box<Sent>),
    /// A change is refused.
    Refuse(Refusal),
    /// What is held does not fit.
    Resync(String),
    /// The source says what it holds.
    Heartbeat {
        /// Its version.
        version: Version,
        /// What that sums up to.
        total: Option<u128>,
    },
    /// A subscription is complete.
    Loaded {
        /// Its number.
        subscription: u64,
        /// What the source held then.
        version: Version,
    },
}

/// A change that is complete.
#[derive(Debug)]
pub struct Incoming {
    /// The change; changes that came in between are in it.
    pub sent: Sent,
    /// Whether the source says that it takes access away.
    pub revokes: bool,
    /// Changes that came while it was under way, and count together with it.
    pub upon: Vec<Sent>,
}

/// A change that is refused before it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The change's version.
    pub version: Version,
    /// Why.
    pub reason: v1::NackReason,
    /// In words.
    pub message: String,
}

/// A message that may not come at this point. The stream has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfTurn(pub String);

/// Puts changes together. One for each stream: nothing outlives it.
#[derive(Debug, Default)]
pub struct Receiver {
    open: Option<Open>,
    /// What is left of a change that was refused on the way; it is read to its end and counts for nothing.
    skipping: bool,
    /// Only a part of what the source has is wanted, so that a change may bring more of the same version.
    partial: bool,
}

/// A change under way.
#[derive(Debug)]
struct Open {
    kind: v1::UpdateKind,
    version: Version,
    kinds: Vec<ResourceKind>,
    expected: u64,
    /// The resources of each chunk, and how many they are together.
    parts: Vec<Part>,
    count: u64,
    removals: Vec<ResourceName>,
    bytes: u64,
    upon: Vec<(Version, Sent)>,
    /// How many resources and removals the changes in between have.
    upon_count: u64,
}

impl Receiver {
    /// For a stream that carries only what is subscribed to.
    pub fn partial() -> Self {
        Self { partial: true, ..Self::default() }
    }

    /// Whether a change of several messages is under way.
    pub const fn is_busy(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a message, while `held` is in force.
    ///
    /// # Errors
    /// When it may not come now.
    pub fn take(&mut self, message: v1::SourceMessage, held: Version) -> Result<Step, OutOfTurn> {
        let Some(message) = message.message else {
            return Err(OutOfTurn("message: it is empty; set one of its fields".to_owned()));
        };
        match message {
            Message::Hello(_) => Err(OutOfTurn("hello: it was said already; say it once, first".to_owned())),
            Message::Begin(begin) => self.begin(begin, held),
            Message::Chunk(chunk) => self.chunk(chunk),
            Message::Commit(commit) => self.commit(&commit),
            Message::Delta(delta) => self.delta(delta, held),
            Message::Heartbeat(beat) => Ok(Step::Heartbeat {
                version: version_of(beat.version.as_ref()),
                total: total_of(beat.digest.as_ref()),
            }),
            Message::Loaded(loaded) => Ok(Step::Loaded {
                subscription: loaded.subscription,
                version: version_of(loaded.version.as_ref()),
            }),
        }
    }

    fn begin(&mut self, begin: v1::Begin, held: Version) -> Result<Step, OutOfTurn> {
        if self.open.is_some() || self.skipping {
            return Err(OutOfTurn("begin: another update is under way; commit that first".to_owned()));
        }
        let kind = begin.kind();
        let (base, version) = (version_of(begin.base.as_ref()), version_of(begin.version.as_ref()));
        let mut refuse = |reason, message: String| {
            self.skipping = true;
            Ok(Step::Refuse(Refusal { version, reason, message }))
        };
        let kinds: Option<Vec<_>> = begin.kinds.iter().map(|kind| kind_of_number(*kind)).collect();
        let Some(kinds) = kinds else {
            return refuse(
                v1::NackReason::Invalid,
                "kinds: names one that there is not; see the schema".to_owned(),
            );
        };
        if let Some(message) = wrong_version(version) {
            return refuse(v1::NackReason::Invalid, message);
        }
        let repeats = (self.partial || kind != v1::UpdateKind::Delta) && version == held;
        if is_old(version, held) && !repeats {
            return refuse(v1::NackReason::Old, old(version, held));
        }
        if begin.count > MAX_RESOURCES || begin.bytes > MAX_UPDATE {
            let message = format!(
                "{} resources of {} bytes; at most {MAX_RESOURCES} of {MAX_UPDATE} are taken at once",
                begin.count, begin.bytes
            );
            return refuse(v1::NackReason::TooLarge, message);
        }
        match kind {
            v1::UpdateKind::Unspecified => {
                return refuse(
                    v1::NackReason::Invalid,
                    "kind: missing; say how the update relates".to_owned(),
                );
            }
            v1::UpdateKind::Snapshot if begin.base.is_none() => {}
            v1::UpdateKind::Snapshot | v1::UpdateKind::Kinds | v1::UpdateKind::Delta if base != held => {
                self.skipping = true;
                return Ok(Step::Resync(format!("it stands on {base}, and {held} is held")));
            }
            v1::UpdateKind::Snapshot | v1::UpdateKind::Kinds | v1::UpdateKind::Delta => {}
        }
        let (parts, removals, upon) = (Vec::new(), Vec::new(), Vec::new());
        let (expected, count, bytes, upon_count) = (begin.count, 0, 0, 0);
        self.open =
            Some(Open { kind, version, kinds, expected, parts, count, removals, bytes, upon, upon_count });
        Ok(Step::Nothing)
    }

    fn chunk(&mut self, chunk: v1::Chunk) -> Result<Step, OutOfTurn> {
        if self.skipping {
            return Ok(Step::Nothing);
        }
        let Some(open) = &mut self.open else {
            return Err(OutOfTurn("chunk: no update is under way; begin one".to_owned()));
        };
        let mut removals = Vec::with_capacity(chunk.removals.len());
        for removal in &chunk.removals {
            match name_of(removal) {
                Ok(_) if open.kind != v1::UpdateKind::Delta => {
                    let message = "removals: only a delta has any; leave out what is not there".to_owned();
                    return Ok(self.abandon(v1::NackReason::Invalid, message));
                }
                Ok(name) => removals.push(name),
                Err(message) => return Ok(self.abandon(v1::NackReason::Invalid, message)),
            }
        }
        open.bytes += size_of(&chunk.upserts, &removals);
        open.count += (chunk.upserts.len() + removals.len()) as u64;
        if !chunk.upserts.is_empty() {
            open.parts.push(Part::new(&chunk.upserts));
        }
        open.removals.append(&mut removals);
        if open.count > open.expected {
            let message = format!("more than the {} resources came that were announced", open.expected);
            return Ok(self.abandon(v1::NackReason::Corrupt, message));
        }
        if open.is_too_large() {
            return Ok(self.abandon(v1::NackReason::TooLarge, too_large()));
        }
        Ok(Step::Nothing)
    }

    /// Refuses the change under way; the rest of it is skipped.
    fn abandon(&mut self, reason: v1::NackReason, message: String) -> Step {
        let version = self.open.take().map(|open| open.version).unwrap_or_default();
        self.skipping = true;
        Step::Refuse(Refusal { version, reason, message })
    }

    fn commit(&mut self, commit: &v1::Commit) -> Result<Step, OutOfTurn> {
        if std::mem::take(&mut self.skipping) {
            return Ok(Step::Nothing);
        }
        let Some(open) = self.open.take() else {
            return Err(OutOfTurn("commit: no update is under way; begin one".to_owned()));
        };
        let count = open.count;
        if count != open.expected || commit.count != count {
            let message = format!(
                "{count} resources came, {} were announced and {} committed; send all of it anew",
                open.expected, commit.count
            );
            let (version, reason) = (open.version, v1::NackReason::Corrupt);
            return Ok(Step::Refuse(Refusal { version, reason, message }));
        }
        let replace = match open.kind {
            v1::UpdateKind::Kinds => Replace::Kinds(open.kinds),
            v1::UpdateKind::Snapshot => Replace::All,
            v1::UpdateKind::Delta | v1::UpdateKind::Unspecified => Replace::Nothing,
        };
        let sent = Sent {
            upserts: Vec::new(),
            parts: open.parts,
            removals: open.removals,
            replace,
            version: Some(open.version),
            expected: total_of(commit.digest.as_ref()),
            partial: self.partial,
        };
        let upon = open.upon.into_iter().map(|(_, sent)| sent).collect();
        Ok(Step::Apply(Box::new(Incoming { sent, revokes: false, upon })))
    }

    fn delta(&mut self, delta: v1::Delta, held: Version) -> Result<Step, OutOfTurn> {
        let (base, version) = (version_of(delta.base.as_ref()), version_of(delta.version.as_ref()));
        let refuse =
            |message: String| Ok(Step::Refuse(Refusal { version, reason: v1::NackReason::Invalid, message }));
        if let Some(message) = wrong_version(version) {
            return refuse(message);
        }
        let removals: Result<Vec<_>, String> = delta.removals.iter().map(name_of).collect();
        let removals = match removals {
            Ok(removals) => removals,
            Err(message) => return refuse(message),
        };
        let sent = Sent {
            upserts: delta.upserts,
            removals,
            version: Some(version),
            expected: total_of(delta.digest.as_ref()),
            partial: self.partial,
            ..Sent::default()
        };
        if self.skipping {
            return Ok(Step::Nothing);
        }
        if let Some(open) = &mut self.open {
            let latest = open.upon.last().map_or(open.version, |(version, _)| *version);
            if base != latest {
                let message =
                    format!("a delta in between stands on {base}, and the update leads to {latest}");
                return Ok(self.abandon(v1::NackReason::Corrupt, message));
            }
            if is_old(version, latest) {
                return Ok(self.abandon(v1::NackReason::Old, old(version, latest)));
            }
            open.bytes += size_of(&sent.upserts, &sent.removals);
            open.upon_count += (sent.upserts.len() + sent.removals.len()) as u64 + 1;
            if open.is_too_large() {
                return Ok(self.abandon(v1::NackReason::TooLarge, too_large()));
            }
            open.upon.push((version, sent.clone()));
            return Ok(if delta.revokes { Step::Early(Box::new(sent)) } else { Step::Nothing });
        }
        if base != held {
            return Ok(Step::Resync(format!("it stands on {base}, and {held} is held")));
        }
        if is_old(version, held) && !(self.partial && version == held) {
            let (reason, message) = (v1::NackReason::Old, old(version, held));
            return Ok(Step::Refuse(Refusal { version, reason, message }));
        }
        Ok(Step::Apply(Box::new(Incoming { sent, revokes: delta.revokes, upon: Vec::new() })))
    }
}

impl Open {
    const fn is_too_large(&self) -> bool {
        self.bytes > MAX_UPDATE || self.upon_count > MAX_RESOURCES
    }
}

fn too_large() -> String {
    format!("more came than {MAX_RESOURCES} resources of {MAX_UPDATE} bytes, which is the most that is taken")
}

/// About how many bytes are kept of these.
fn size_of(upserts: &[Bytes], removals: &[ResourceName]) -> u64 {
    let names = removals.iter().map(|name| name.id.len() as u64).sum::<u64>();
    upserts.iter().map(|it| it.len() as u64).sum::<u64>() + names
}

/// Whether a version leads back, or nowhere. Those of another epoch cannot be compared.
const fn is_old(version: Version, held: Version) -> bool {
    version.epoch == held.epoch && version.revision <= held.revision
}

fn old(version: Version, held: Version) -> String {
    format!("it leads to {version}, and {held} is in force; revisions only grow")
}

fn wrong_version(version: Version) -> Option<String> {
    (version.epoch == 0 || version.revision == 0)
        .then(|| "version: missing; give the epoch and the revision that the update leads to".to_owned())
}

#[cfg(test)]
mod tests;
