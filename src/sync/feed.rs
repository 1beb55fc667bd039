//! The giving side of a stream: brings whoever takes from what is held there to what is newest here, and keeps it there.
//!
//! Serves a follower's stream and a publisher's own alike. Nothing is queued for one that is slow: it is brought from where
//! it stands to what is newest then, however many changes that were, and cut when it takes nothing at all. Must not know:
//! who called whom.

use super::ledger::{Ledger, Recorded, Since};
use super::protocol::{chunk_for, digest, digest_of, heartbeat_of, reference, total_of, version, version_of};
use crate::model::{Digest, ResourceKind, Version};
use crate::proto::v1;
use crate::store::Snapshot;
use futures_util::{FutureExt, Stream, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::Status;
use v1::sink_message::Message as Said;
use v1::source_message::Message;

/// One who takes nothing for so long is cut.
const SLOW: Duration = Duration::from_secs(30);
/// The shortest time between heartbeats.
const SHORTEST: Duration = Duration::from_millis(10);

/// Why a stream ends from this side.
#[derive(Debug)]
pub enum Stop {
    /// The other side closed it, or it broke.
    Closed,
    /// The other side is too slow.
    Slow,
    /// The other side said something that it may not say now.
    OutOfTurn(String),
}

impl Stop {
    /// The status that the other side hears; it may go on from what it holds.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Closed => None,
            Self::Slow => Some(Status::aborted(
                "too slow: nothing was taken for 30 seconds; connect again and go on from what is held",
            )),
            Self::OutOfTurn(message) => Some(Status::invalid_argument(message.clone())),
        }
    }
}

/// What somebody who gives learns of the one who takes.
pub trait Listener: Send {
    /// A version is in force there.
    fn acknowledged(&mut self, ack: &v1::Ack) {
        let _ = ack;
    }
    /// A version was refused there.
    fn refused(&mut self, nack: &v1::Nack) {
        let _ = nack;
    }
    /// So much of so much of an update went out, in bytes.
    fn progress(&mut self, sent: u64, all: u64) {
        let _ = (sent, all);
    }
    /// Whether the stream should end.
    fn is_done(&self) -> bool {
        false
    }
}

/// Learns nothing.
#[derive(Clone, Copy, Debug)]
pub struct Deaf;

impl Listener for Deaf {}

/// The giving side of one stream.
pub struct Feed<'a, L> {
    ledger: &'a Ledger,
    listener: L,
    to: mpsc::Sender<v1::SourceMessage>,
    /// What the other side holds once it has taken everything that was sent.
    held: Version,
    /// What that sums up to there, where it told.
    total: Option<u128>,
    /// What was refused; it is not sent again.
    refused: Option<Version>,
    /// What arrived damaged; it is sent once more, and not a third time.
    damaged: Option<Version>,
    /// What came in the middle of something large, and is looked at after it.
    waiting: VecDeque<v1::SinkMessage>,
    every: Duration,
    /// About how large the parts of an update are, in bytes.
    chunk: usize,
}

impl<L> std::fmt::Debug for Feed<'_, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("held", &self.held).finish_non_exhaustive()
    }
}

impl<'a, L: Listener> Feed<'a, L> {
    /// Gives from this ledger to whoever said this first.
    pub fn new(
        ledger: &'a Ledger,
        listener: L,
        hello: &v1::SinkHello,
        to: mpsc::Sender<v1::SourceMessage>,
        every: Duration,
    ) -> Self {
        let (held, total) = (version_of(hello.version.as_ref()), total_of(hello.digest.as_ref()));
        let every = every.min(heartbeat_of(hello.heartbeat.as_ref()));
        let every = every.max(SHORTEST);
        let waiting = VecDeque::new();
        Self {
            ledger,
            listener,
            to,
            held,
            total,
            refused: None,
            damaged: None,
            waiting,
            every,
            chunk: chunk_for(hello),
        }
    }

    /// Works until the stream ends.
    pub async fn run(
        mut self,
        mut from: impl Stream<Item = Result<v1::SinkMessage, Status>> + Unpin,
    ) -> (L, Stop) {
        let mut newest = self.ledger.newest();
        let mut beat = interval(self.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        let stop = loop {
            // Before anything is sent, so that no change falls in between.
            let told = *newest.borrow_and_update();
            if let Err(stop) = self.bring_up(&mut from).await {
                break stop;
            }
            if self.listener.is_done() {
                break Stop::Closed;
            }
            if let Some(message) = self.waiting.pop_front() {
                if let Err(stop) = self.hear(message).await {
                    break stop;
                }
                continue;
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { break Stop::Closed },
                message = from.next() => match message {
                    None | Some(Err(_)) => break Stop::Closed,
                    Some(Ok(message)) => if let Err(stop) = self.hear(message).await { break stop },
                },
                _ = beat.tick() => {
                    let snapshot = self.ledger.snapshot();
                    // What is newer than what was sent must not be told of: it would be asked for. It is sent now, which
                    // says as much as a heartbeat.
                    if snapshot.version() == told && let Err(stop) = self.say(heartbeat(&snapshot)).await {
                        break stop;
                    }
                }
            }
        };
        (self.listener, stop)
    }

    async fn say(&self, message: Message) -> Result<(), Stop> {
        let message = v1::SourceMessage { message: Some(message) };
        match timeout(SLOW, self.to.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Stop::Closed),
            Err(_) => Err(Stop::Slow),
        }
    }

    /// Sends what is newer than what is held there.
    async fn bring_up(
        &mut self,
        from: &mut (impl Stream<Item = Result<v1::SinkMessage, Status>> + Unpin),
    ) -> Result<(), Stop> {
        loop {
            match self.ledger.since(self.held, self.total) {
                Since::Nothing => return Ok(()),
                Since::Change(change) if self.refused == Some(change.version) => return Ok(()),
                Since::Change(change) => {
                    self.change(&change).await?;
                    (self.held, self.total) = (change.version, Some(change.total));
                }
                Since::Everything(snapshot) if self.refused == Some(snapshot.version()) => return Ok(()),
                Since::Everything(snapshot) => {
                    self.everything(&snapshot, None, from).await?;
                }
            }
        }
    }

    /// Sends one change: as one message, or as several when it is large.
    async fn change(&mut self, change: &Recorded) -> Result<(), Stop> {
        let difference = &change.difference;
        let removals: Vec<_> = difference.went.iter().map(reference).collect();
        let (base, to) = (Some(version(change.base)), Some(version(change.version)));
        let sum = Some(v1::Digest { total: change.total.to_le_bytes().to_vec(), kinds: Vec::new() });
        if change.size() <= self.chunk {
            let upserts = difference.came.iter().map(|(_, bytes)| bytes.clone()).collect();
            let (digest, revokes) = (sum, change.revokes);
            return self
                .say(Message::Delta(v1::Delta { base, version: to, upserts, removals, digest, revokes }))
                .await;
        }
        let bytes: u64 = difference.came.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let count = (difference.came.len() + removals.len()) as u64;
        let kind = v1::UpdateKind::Delta.into();
        self.say(Message::Begin(v1::Begin { kind, base, version: to, count, bytes, kinds: Vec::new() }))
            .await?;
        let (mut chunk, mut size, mut sent) = (v1::Chunk::default(), 0, 0);
        for (_, resource) in &difference.came {
            // A large one goes alone, so that no message is larger than the one it came in.
            if size > 0 && size + resource.len() > self.chunk {
                sent += size as u64;
                self.say(Message::Chunk(std::mem::take(&mut chunk))).await?;
                self.listener.progress(sent, bytes);
                size = 0;
            }
            size += resource.len();
            chunk.upserts.push(resource.clone());
        }
        for removal in removals {
            size += removal.id.len() + 8;
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

    /// Sends everything, or everything of some kinds. Changes that take access away and come meanwhile are put in between.
    async fn everything(
        &mut self,
        snapshot: &Arc<Snapshot>,
        kinds: Option<&[ResourceKind]>,
        from: &mut (impl Stream<Item = Result<v1::SinkMessage, Status>> + Unpin),
    ) -> Result<(), Stop> {
        let all = ResourceKind::ALL;
        let kinds_sent = kinds.unwrap_or(&all);
        let count: u64 = kinds_sent.iter().map(|kind| snapshot.digest().of(*kind).count).sum();
        let kind = if kinds.is_some() { v1::UpdateKind::Kinds } else { v1::UpdateKind::Snapshot };
        let begin = v1::Begin {
            kind: kind.into(),
            base: kinds.map(|_| version(snapshot.version())),
            version: Some(version(snapshot.version())),
            count,
            bytes: 0,
            kinds: kinds
                .into_iter()
                .flatten()
                .map(|kind| crate::proto::resource::kind_number(*kind))
                .collect(),
        };
        self.say(Message::Begin(begin)).await?;
        let (mut latest, mut total) = (snapshot.version(), snapshot.digest().total());
        let (mut chunk, mut size, mut sent) = (v1::Chunk::default(), 0, 0_u64);
        let resources = snapshot.resources().filter(|(kind, _)| kinds_sent.contains(kind));
        for (_, resource) in resources {
            // As above.
            if size == 0 || size + resource.len() <= self.chunk {
                size += resource.len();
                sent += 1;
                chunk.upserts.push(resource.into());
                continue;
            }
            self.say(Message::Chunk(std::mem::take(&mut chunk))).await?;
            self.listener.progress(sent, count);
            size = resource.len();
            sent += 1;
            chunk.upserts.push(resource.into());
            if let Some(change) = self.ledger.revocations_since(latest).filter(|it| it.size() <= self.chunk) {
                self.change(&change).await?;
                (latest, total) = (change.version, change.total);
            }
            // Somebody who hangs up in between need not get the rest.
            match from.next().now_or_never() {
                Some(None | Some(Err(_))) => return Err(Stop::Closed),
                Some(Some(Ok(message))) => self.keep(message),
                None => {}
            }
            tokio::task::yield_now().await;
        }
        if !chunk.upserts.is_empty() {
            self.say(Message::Chunk(chunk)).await?;
        }
        let digest = digest(snapshot.digest(), false);
        self.say(Message::Commit(v1::Commit { count, digest: Some(digest) })).await?;
        (self.held, self.total) = (latest, Some(total));
        Ok(())
    }

    /// Keeps for later what came in the middle of something large.
    fn keep(&mut self, message: v1::SinkMessage) {
        match &message.message {
            Some(Said::Ack(ack)) => self.listener.acknowledged(ack),
            Some(Said::Heartbeat(_)) => {}
            _ => self.waiting.push_back(message),
        }
    }

    fn note(&mut self, message: &v1::SinkMessage) {
        match &message.message {
            Some(Said::Ack(ack)) => self.listener.acknowledged(ack),
            Some(Said::Nack(nack)) => self.listener.refused(nack),
            _ => {}
        }
    }

    async fn hear(&mut self, message: v1::SinkMessage) -> Result<(), Stop> {
        self.note(&message);
        match message.message {
            Some(Said::Nack(nack)) => {
                let refused = version_of(nack.version.as_ref());
                match nack.reason() {
                    // It is in force there.
                    v1::NackReason::Storage => {}
                    // It was damaged on the way: everything goes once more.
                    v1::NackReason::Corrupt if self.damaged != Some(refused) => {
                        self.damaged = Some(refused);
                        self.held = Version::default();
                    }
                    _ => {
                        self.refused = Some(refused);
                        self.held = version_of(nack.in_force.as_ref());
                    }
                }
                self.total = None;
                Ok(())
            }
            Some(Said::Resync(resync)) => self.resync(&resync).await,
            Some(Said::Hello(_)) => {
                Err(Stop::OutOfTurn("hello: it was said already; say it once, first".to_owned()))
            }
            Some(Said::Subscribe(_)) => Err(Stop::OutOfTurn(
                "subscribe: this stream carries everything; say hello with ON_DEMAND to choose".to_owned(),
            )),
            Some(Said::Ack(_) | Said::Heartbeat(_)) => Ok(()),
            None => Err(Stop::OutOfTurn("message: it is empty; set one of its fields".to_owned())),
        }
    }

    /// Sends what differs: some kinds where only the content differs, else whatever leads from there to what is newest.
    async fn resync(&mut self, resync: &v1::Resync) -> Result<(), Stop> {
        let snapshot = self.ledger.snapshot();
        let (held, theirs) = (version_of(resync.version.as_ref()), resync.digest.as_ref());
        self.total = total_of(theirs);
        self.held = held;
        let by_kind: Option<Digest> = theirs.filter(|it| !it.kinds.is_empty()).map(digest_of);
        if held == snapshot.version()
            && let Some(theirs) = by_kind
        {
            let kinds: Vec<ResourceKind> = snapshot.digest().differing(&theirs).collect();
            if !kinds.is_empty() && kinds.len() < ResourceKind::ALL.len() {
                let mut silent = futures_util::stream::pending();
                self.everything(&snapshot, Some(&kinds), &mut silent).await?;
            }
        }
        Ok(())
    }
}

fn heartbeat(snapshot: &Snapshot) -> Message {
    Message::Heartbeat(v1::SourceHeartbeat {
        version: Some(version(snapshot.version())),
        digest: Some(digest(snapshot.digest(), false)),
        now: Some(SystemTime::now().into()),
    })
}
