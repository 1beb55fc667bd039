//! The giving side of a stream that carries only what is subscribed to: targets with what a question about them reads,
//! and users. Policies, groups, stages, reputation rows and routes, of which there are few, go entirely.
//!
//! Must not know: who asks for what, and why.

use super::feed::Stop;
use super::ledger::{Ledger, Since};
use super::protocol::{chunk_for, digest, heartbeat_of, reference, version};
use crate::model::{Digest, ResourceKind, ResourceName, TargetRef, UserRef, Version};
use crate::proto::resource::hash;
use crate::proto::v1;
use crate::store::{Difference, Snapshot};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::Status;
use v1::sink_message::Message as Said;
use v1::source_message::Message;

/// The most targets and users that one follower may want.
pub const MAX_WANTED: usize = 200_000;
/// The most names in one subscription.
pub const MAX_NAMES: usize = 1_000;
/// As for any stream.
const SLOW: Duration = Duration::from_secs(30);

/// Whether a kind goes as subscribed to, rather than entirely.
const fn is_chosen(kind: ResourceKind) -> bool {
    matches!(kind, ResourceKind::Target(_) | ResourceKind::PolicyBinding | ResourceKind::User)
}

/// The giving side of one stream.
pub struct PartialFeed<'a> {
    ledger: &'a Ledger,
    to: mpsc::Sender<v1::SourceMessage>,
    targets: HashSet<TargetRef>,
    users: HashSet<UserRef>,
    /// What the other side has of the chosen kinds, with the hashes.
    held: HashMap<ResourceName, u128>,
    /// What the other side is at. Nothing before the first snapshot.
    version: Option<Version>,
    /// Whether anything was said about what is wanted.
    subscribed: bool,
    /// What was refused; it is not sent again.
    refused: Option<Version>,
    every: Duration,
    /// About how large the parts of an update are, in bytes.
    chunk: usize,
}

impl std::fmt::Debug for PartialFeed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartialFeed").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl<'a> PartialFeed<'a> {
    /// Gives from this ledger to whoever said this first. Nothing goes before the first subscription.
    pub fn new(
        ledger: &'a Ledger,
        hello: &v1::SinkHello,
        to: mpsc::Sender<v1::SourceMessage>,
        every: Duration,
    ) -> Self {
        let every = every.min(heartbeat_of(hello.heartbeat.as_ref()));
        let (targets, users, held) = (HashSet::new(), HashSet::new(), HashMap::new());
        let chunk = chunk_for(hello);
        Self {
            ledger,
            to,
            targets,
            users,
            held,
            version: None,
            subscribed: false,
            refused: None,
            every,
            chunk,
        }
    }

    /// Works until the stream ends.
    pub async fn run(
        mut self,
        mut from: impl Stream<Item = Result<v1::SinkMessage, Status>> + Unpin,
    ) -> Stop {
        let mut newest = self.ledger.newest();
        let mut beat = interval(self.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        loop {
            let result = tokio::select! {
                changed = newest.changed() => match changed {
                    Ok(()) => self.bring_up().await,
                    Err(_) => Err(Stop::Closed),
                },
                message = from.next() => match message {
                    None | Some(Err(_)) => Err(Stop::Closed),
                    Some(Ok(message)) => self.hear(message).await,
                },
                _ = beat.tick() => self.beat().await,
            };
            if let Err(stop) = result {
                return stop;
            }
        }
    }

    async fn say(&self, message: Message) -> Result<(), Stop> {
        let message = v1::SourceMessage { message: Some(message) };
        match timeout(SLOW, self.to.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Stop::Closed),
            Err(_) => Err(Stop::Slow),
        }
    }

    async fn beat(&self) -> Result<(), Stop> {
        // Before there is anything, the hub's own version is no news of this stream's.
        let snapshot = self.ledger.snapshot();
        let at = self.version.unwrap_or(snapshot.version());
        let sum = (at == snapshot.version() && self.version.is_some()).then(|| self.digest(&snapshot));
        self.say(Message::Heartbeat(v1::SourceHeartbeat {
            version: Some(version(at)),
            digest: sum.map(|sum| digest(&sum, false)),
            now: Some(SystemTime::now().into()),
        }))
        .await
    }

    /// What the other side holds sums up to.
    fn digest(&self, snapshot: &Snapshot) -> Digest {
        let mut sums = Digest::default();
        for kind in ResourceKind::ALL.into_iter().filter(|kind| !is_chosen(*kind)) {
            sums.set(kind, snapshot.digest().of(kind));
        }
        for (name, hash) in &self.held {
            sums.set(name.kind, sums.of(name.kind).plus(*hash));
        }
        sums
    }

    /// What is subscribed to.
    fn wanted(&self, snapshot: &Snapshot) -> HashMap<ResourceName, Bytes> {
        let targets = self.targets.iter().flat_map(|target| snapshot.with_surroundings(target));
        let users = self.users.iter().filter_map(|user| snapshot.user_resource(user));
        targets.chain(users).map(|(name, bytes)| (name, bytes.into())).collect()
    }

    /// Whether a change may alter what is subscribed to: anything of the chosen kinds that is held, or new.
    fn touches(&self, difference: &Difference) -> bool {
        let held = |name: &ResourceName| self.held.contains_key(name);
        difference.went.iter().any(held)
            || difference.came.iter().any(|(name, _)| match name.kind {
                // It may be bound to something that is held, or be what was not there before.
                ResourceKind::PolicyBinding | ResourceKind::Target(_) | ResourceKind::User => true,
                _ => false,
            })
    }

    async fn bring_up(&mut self) -> Result<(), Stop> {
        let Some(held) = self.version else {
            let newest = self.ledger.snapshot().version();
            let wanted = self.subscribed && self.refused != Some(newest);
            return if wanted { self.everything().await } else { Ok(()) };
        };
        match self.ledger.since(held, None) {
            Since::Nothing => Ok(()),
            Since::Change(change) if self.refused == Some(change.version) => Ok(()),
            Since::Everything(snapshot) if self.refused == Some(snapshot.version()) => Ok(()),
            Since::Everything(_) => self.everything().await,
            Since::Change(change) => {
                // What is newest may be newer than the change by now; then it comes with the next one.
                let snapshot = self.ledger.snapshot();
                if snapshot.version() != change.version {
                    return self.everything().await;
                }
                let mut upserts: Vec<Bytes> = Vec::new();
                let mut removals: Vec<v1::ResourceRef> = Vec::new();
                let whole = change.difference.came.iter().filter(|(name, _)| !is_chosen(name.kind));
                upserts.extend(whole.map(|(_, bytes)| bytes.clone()));
                let whole = change.difference.went.iter().filter(|name| !is_chosen(name.kind));
                removals.extend(whole.map(reference));
                if self.touches(&change.difference) {
                    self.adjust(&snapshot, &mut upserts, &mut removals);
                }
                self.change(&snapshot, upserts, removals, change.revokes).await
            }
        }
    }

    /// Notes what leads from what is held to what is wanted.
    fn adjust(&mut self, snapshot: &Snapshot, upserts: &mut Vec<Bytes>, removals: &mut Vec<v1::ResourceRef>) {
        let wanted = self.wanted(snapshot);
        self.held.retain(|name, _| {
            let stays = wanted.contains_key(name);
            if !stays {
                removals.push(reference(name));
            }
            stays
        });
        for (name, bytes) in wanted {
            let sum = hash(&bytes);
            if self.held.insert(name, sum) != Some(sum) {
                upserts.push(bytes);
            }
        }
    }

    /// Sends a change that leads to this snapshot: as one message, or as several when it is large.
    async fn change(
        &mut self,
        snapshot: &Arc<Snapshot>,
        upserts: Vec<Bytes>,
        removals: Vec<v1::ResourceRef>,
        revokes: bool,
    ) -> Result<(), Stop> {
        let base = self.version.map(version);
        let to = Some(version(snapshot.version()));
        let sum = Some(digest(&self.digest(snapshot), false));
        self.version = Some(snapshot.version());
        let size: usize = upserts.iter().map(|it| it.len() + 16).sum::<usize>() + removals.len() * 64;
        if size <= self.chunk {
            return self
                .say(Message::Delta(v1::Delta { base, version: to, upserts, removals, digest: sum, revokes }))
                .await;
        }
        self.parts(v1::UpdateKind::Delta, base, to, upserts, removals, sum).await
    }

    /// Sends everything that is wanted.
    async fn everything(&mut self) -> Result<(), Stop> {
        let snapshot = self.ledger.snapshot();
        if snapshot.is_unset() {
            return Ok(());
        }
        let mut upserts = Vec::new();
        let whole = ResourceKind::ALL.into_iter().filter(|kind| !is_chosen(*kind));
        for kind in whole {
            upserts.extend(snapshot.resources_of(kind).map(Bytes::from));
        }
        self.held.clear();
        self.adjust(&snapshot, &mut upserts, &mut Vec::new());
        let sum = Some(digest(&self.digest(&snapshot), false));
        self.version = Some(snapshot.version());
        let to = Some(version(snapshot.version()));
        self.parts(v1::UpdateKind::Snapshot, None, to, upserts, Vec::new(), sum).await
    }

    async fn parts(
        &self,
        kind: v1::UpdateKind,
        base: Option<v1::Version>,
        to: Option<v1::Version>,
        upserts: Vec<Bytes>,
        removals: Vec<v1::ResourceRef>,
        sum: Option<v1::Digest>,
    ) -> Result<(), Stop> {
        let count = (upserts.len() + removals.len()) as u64;
        let bytes = upserts.iter().map(|it| it.len() as u64).sum();
        let kind = kind.into();
        self.say(Message::Begin(v1::Begin { kind, base, version: to, count, bytes, kinds: Vec::new() }))
            .await?;
        let (mut chunk, mut size) = (v1::Chunk::default(), 0);
        for resource in upserts {
            size += resource.len();
            chunk.upserts.push(resource);
            if size >= self.chunk {
                self.say(Message::Chunk(std::mem::take(&mut chunk))).await?;
                size = 0;
            }
        }
        for removal in removals {
            size += removal.id.len() + 16;
            chunk.removals.push(removal);
            if size >= self.chunk {
                self.say(Message::Chunk(std::mem::take(&mut chunk))).await?;
                size = 0;
            }
        }
        if chunk != v1::Chunk::default() {
            self.say(Message::Chunk(chunk)).await?;
        }
        self.say(Message::Commit(v1::Commit { count, digest: sum })).await
    }

    async fn hear(&mut self, message: v1::SinkMessage) -> Result<(), Stop> {
        match message.message {
            Some(Said::Subscribe(subscribe)) => self.subscribe(subscribe).await,
            Some(Said::Nack(nack)) if nack.reason() == v1::NackReason::Storage => Ok(()),
            Some(Said::Nack(nack)) => {
                self.refused = Some(super::protocol::version_of(nack.version.as_ref()));
                // It holds something else than what was sent: the next thing it gets is everything.
                self.version = None;
                Ok(())
            }
            Some(Said::Resync(_)) => self.everything().await,
            Some(Said::Ack(_) | Said::Heartbeat(_)) => Ok(()),
            Some(Said::Hello(_)) => {
                Err(Stop::OutOfTurn("hello: it was said already; say it once, first".to_owned()))
            }
            None => Err(Stop::OutOfTurn("message: it is empty; set one of its fields".to_owned())),
        }
    }

    async fn subscribe(&mut self, subscribe: v1::Subscribe) -> Result<(), Stop> {
        let v1::Subscribe { subscription, targets, users, drop_targets, drop_users } = subscribe;
        if targets.len() + users.len() + drop_targets.len() + drop_users.len() > MAX_NAMES {
            let text = format!("subscribe: more than {MAX_NAMES} names; send several");
            return Err(Stop::OutOfTurn(text));
        }
        for target in drop_targets {
            self.targets.remove(&target_of(target)?);
        }
        for user in drop_users {
            self.users.remove(&user_of(user)?);
        }
        for target in targets {
            self.targets.insert(target_of(target)?);
        }
        for user in users {
            self.users.insert(user_of(user)?);
        }
        if self.targets.len() + self.users.len() > MAX_WANTED {
            let text = format!("subscribe: more than {MAX_WANTED} targets and users are wanted; want less");
            return Err(Stop::OutOfTurn(text));
        }
        self.subscribed = true;
        let snapshot = self.ledger.snapshot();
        if self.version == Some(snapshot.version()) {
            let (mut upserts, mut removals) = (Vec::new(), Vec::new());
            self.adjust(&snapshot, &mut upserts, &mut removals);
            if !upserts.is_empty() || !removals.is_empty() {
                self.change(&snapshot, upserts, removals, false).await?;
            }
        } else if self.refused != Some(snapshot.version()) {
            self.everything().await?;
        }
        let version = self.version.map(version);
        self.say(Message::Loaded(v1::Loaded { subscription, version })).await
    }
}

fn target_of(message: v1::TargetRef) -> Result<TargetRef, Stop> {
    super::convert::target_name(message)
        .ok_or_else(|| Stop::OutOfTurn("subscribe: a target without a name; name it".to_owned()))
}

fn user_of(message: v1::UserRef) -> Result<UserRef, Stop> {
    match (message.id.as_str(), message.username.as_str()) {
        (id, "") if !id.is_empty() => Ok(UserRef::Id(id.into())),
        ("", name) if !name.is_empty() => Ok(UserRef::Username(name.into())),
        _ => Err(Stop::OutOfTurn("subscribe: a user needs an id or a username, and not both".to_owned())),
    }
}
