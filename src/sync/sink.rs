//! The taking side of a stream: applies what comes, answers each update, and asks for what does not fit.
//!
//! Serves a publisher's stream and a follower's alike. Must not know: who called whom.

use super::apply::merge;
use super::aside::{aside, retire};
use super::ledger::{Committed, Ledger, NotCommitted};
use super::protocol::{digest, errors, heartbeat_of, total_of, version, version_of};
use super::receive::{Incoming, OutOfTurn, Receiver, Refusal, Step};
use crate::model::{Problem, Version};
use crate::proto::v1;
use crate::store::DIGEST;
use crate::telemetry::labels::{NackReason, UpdateResult, UpdateSource};
use futures_util::stream::FuturesOrdered;
use futures_util::{Stream, StreamExt};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tonic::Status;
use v1::sink_message::Message;

/// Changes of more resources than this are applied beside the runtime, so that streams and questions go on.
const MANY: usize = 500;
/// A source is gone when it said nothing for so many of its heartbeats.
const PATIENCE: u32 = 3;
/// The shortest time between heartbeats.
const SHORTEST: Duration = Duration::from_millis(10);
/// With so many changes that are not safe on disk yet, no more are taken.
const MAX_UNSAFE: usize = 64;
/// How often everything that is held is counted anew, to find damaged memory.
const RECOUNT: Duration = Duration::from_secs(600);

/// How a stream ended.
#[derive(Debug)]
pub enum Ended {
    /// The other side closed it.
    Closed,
    /// It broke, or the other side ended it with this status.
    Broken(Status),
    /// The other side said something that it may not say now.
    OutOfTurn(String),
    /// The other side is silent.
    Silent,
}

/// Something that a follower learns while it follows.
pub trait Watcher: Send + Sync {
    /// A change is in force.
    fn applied(&self, committed: &Committed) {
        let _ = committed;
    }
    /// A change was refused.
    fn refused(&self, nack: &v1::Nack) {
        let _ = nack;
    }
    /// A subscription is complete.
    fn loaded(&self, subscription: u64) {
        let _ = subscription;
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Watcher for Nobody {}

/// The taking side of one stream.
pub struct Sink<'a> {
    ledger: &'a Arc<Ledger>,
    watcher: &'a dyn Watcher,
    receiver: Receiver,
    to: mpsc::Sender<v1::SinkMessage>,
    /// What was refused last: that the source holds it is no news.
    refused: Option<Version>,
    /// What everything was asked for anew: to ask once more would bring the same.
    asked: Option<(Version, Option<u128>)>,
    /// What the source was told is held here, since it sent what does not fit: it goes on from there. What it had sent
    /// before it heard that does not fit either, and is no reason to tell again.
    told: Option<Version>,
    every: Duration,
    origin: UpdateSource,
}

impl std::fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<'a> Sink<'a> {
    /// Takes what comes into this ledger, and answers to `to`. `hello` is what the source said first, `every` how often
    /// it hears something.
    pub fn new(
        ledger: &'a Arc<Ledger>,
        watcher: &'a dyn Watcher,
        to: mpsc::Sender<v1::SinkMessage>,
        every: Duration,
    ) -> Self {
        let receiver = Receiver::default();
        let every = every.max(SHORTEST);
        let origin = UpdateSource::Push;
        Self { ledger, watcher, receiver, to, refused: None, asked: None, told: None, every, origin }
    }

    /// What comes, comes from a hub. Default: from a publisher.
    #[must_use]
    pub(super) const fn of_hub(mut self) -> Self {
        self.origin = UpdateSource::Hub;
        self
    }

    /// Takes only what is subscribed to.
    #[must_use]
    pub fn partial(mut self) -> Self {
        self.receiver = Receiver::partial();
        self
    }

    /// Works until the stream ends. The configuration counts as possibly behind from then on.
    pub async fn run(
        mut self,
        hello: &v1::SourceHello,
        mut from: impl Stream<Item = Result<v1::SourceMessage, Status>> + Unpin,
    ) -> Ended {
        let patience = heartbeat_of(hello.heartbeat.as_ref()) * PATIENCE;
        let mut heard = Instant::now();
        let mut beat = interval(self.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recount = interval(RECOUNT);
        recount.reset();
        let mut acks = FuturesOrdered::new();
        // Until it leaves, this is its configuration, also if the one before had left it here.
        self.ledger.store().load().freshness().follow();
        self.compare(version_of(hello.version.as_ref()), total_of(hello.digest.as_ref()));
        let ended = loop {
            tokio::select! {
                message = from.next(), if acks.len() < MAX_UNSAFE => {
                    let message = match message {
                        None => break Ended::Closed,
                        Some(Err(status)) => break Ended::Broken(status),
                        Some(Ok(message)) => message,
                    };
                    let held = self.ledger.store().load().version();
                    match self.receiver.take(message, held) {
                        Ok(step) => match self.step(step, held).await {
                            Ok(Some(committed)) => acks.push_back(safe(committed)),
                            Ok(None) => {}
                            Err(()) => break Ended::Closed,
                        },
                        Err(OutOfTurn(message)) => break Ended::OutOfTurn(message),
                    }
                    // After the work, during which nobody listened.
                    heard = Instant::now();
                }
                Some((committed, saved)) = acks.next(), if !acks.is_empty() => {
                    if acks.len() + 1 >= MAX_UNSAFE {
                        heard = Instant::now();
                    }
                    if self.acknowledge(&committed, saved).await.is_err() {
                        break Ended::Closed;
                    }
                }
                _ = beat.tick() => {
                    if self.say(self.heartbeat()).await.is_err() {
                        break Ended::Closed;
                    }
                }
                _ = recount.tick() => self.recount().await,
                () = sleep_until(heard + patience), if acks.len() < MAX_UNSAFE => break Ended::Silent,
            }
        };
        // What is in force already is acknowledged, if anybody still hears it.
        while let Some((committed, saved)) = acks.next().await {
            if self.acknowledge(&committed, saved).await.is_err() {
                break;
            }
        }
        let snapshot = self.ledger.store().load();
        match ended {
            Ended::Closed if hello.leaves => snapshot.freshness().settle(),
            _ => snapshot.freshness().fall_behind(),
        }
        ended
    }

    async fn say(&self, message: Message) -> Result<(), ()> {
        let message = v1::SinkMessage { message: Some(message) };
        self.to.send(message).await.map_err(drop)
    }

    fn heartbeat(&self) -> Message {
        let snapshot = self.ledger.store().load();
        Message::Heartbeat(v1::SinkHeartbeat {
            version: Some(version(snapshot.version())),
            digest: Some(digest(snapshot.digest(), false)),
            now: Some(SystemTime::now().into()),
        })
    }

    /// Compares what the source holds with what is held here.
    fn compare(&self, theirs: Version, total: Option<u128>) -> bool {
        let snapshot = self.ledger.store().load();
        let same = snapshot.version() == theirs
            && !snapshot.is_unset()
            && total.is_none_or(|total| total == snapshot.digest().total());
        if same {
            snapshot.freshness().confirm();
        } else {
            snapshot.freshness().fall_behind();
        }
        same
    }

    /// Does what a message leads to that was looked at while `held` was in force.
    async fn step(&mut self, step: Step, held: Version) -> Result<Option<Committed>, ()> {
        match step {
            Step::Nothing => {}
            Step::Apply(incoming) => return self.apply(*incoming, held).await,
            Step::Early(sent) => {
                if let Err(problems) = self.ledger.take_away(&sent) {
                    let problem = problems.first().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(problem, "what a change takes away has to wait for the update under way");
                }
            }
            Step::Refuse(Refusal { version, reason, message }) => {
                self.refuse(version, reason, message, Vec::new()).await?;
            }
            Step::Resync(_) if self.told == Some(held) => {}
            Step::Resync(reason) => self.resync(reason).await?,
            Step::Heartbeat { version, total } => {
                let known = self.refused == Some(version) || self.asked == Some((version, total));
                if !self.receiver.is_busy() && !self.compare(version, total) && !known {
                    self.asked = Some((version, total));
                    let held = self.ledger.store().load().version();
                    let reason = if held == version {
                        format!("at {held}, everything sums up to something else here")
                    } else {
                        format!("the source is at {version}, and {held} is held")
                    };
                    self.resync(reason).await?;
                }
            }
            Step::Loaded { subscription, .. } => self.watcher.loaded(subscription),
        }
        Ok(None)
    }

    async fn resync(&mut self, reason: String) -> Result<(), ()> {
        tracing::warn!(reason, "the configuration does not fit its source; asking for what differs");
        let snapshot = self.ledger.store().load();
        self.told = Some(snapshot.version());
        self.say(Message::Resync(v1::Resync {
            version: Some(version(snapshot.version())),
            digest: Some(digest(snapshot.digest(), true)),
            reason,
        }))
        .await
    }

    /// Counts everything anew; memory that is damaged is replaced by what the source has.
    async fn recount(&self) {
        let snapshot = self.ledger.store().load();
        let counting = Arc::clone(&snapshot);
        let Ok(real) = aside(move || counting.recount(), || {}).await else { return };
        if real == *snapshot.digest() {
            return;
        }
        tracing::error!(
            "what is held does not sum up to what was sent: memory is damaged; asking for it anew"
        );
        let _closed = self
            .say(Message::Resync(v1::Resync {
                version: Some(version(snapshot.version())),
                digest: Some(digest(&real, true)),
                reason: "what is held was damaged in memory".to_owned(),
            }))
            .await;
    }

    async fn apply(&mut self, incoming: Incoming, held: Version) -> Result<Option<Committed>, ()> {
        let Incoming { sent, revokes, upon } = incoming;
        let led_to = upon.last().unwrap_or(&sent).version.unwrap_or_default();
        let many = sent.count() > MANY;
        let start = Instant::now();
        let ledger = Arc::clone(self.ledger);
        let work = move || ledger.commit_upon(held, merge(sent, upon), revokes);
        let result = if many {
            let old = self.ledger.store().load();
            match aside(work, move || retire(old)).await {
                Ok(result) => result,
                Err(error) => {
                    let message = format!("the update could not be applied: {error}");
                    self.refuse(led_to, v1::NackReason::Invalid, message, Vec::new()).await?;
                    return Ok(None);
                }
            }
        } else {
            work()
        };
        match result {
            Ok(committed) => {
                (self.refused, self.asked, self.told) = (None, None, None);
                self.ledger.metrics().updated(self.origin, UpdateResult::Applied, start.elapsed());
                committed.snapshot.freshness().confirm();
                self.watcher.applied(&committed);
                Ok(Some(committed))
            }
            Err(NotCommitted::Moved(now)) => {
                self.resync(format!("it stands on {held}, and {now} is held by now")).await?;
                Ok(None)
            }
            Err(NotCommitted::Left(left)) => {
                let message =
                    format!("it leads to {led_to}, and {left} was in force before; revisions only grow");
                self.refuse(led_to, v1::NackReason::Old, message, Vec::new()).await?;
                Ok(None)
            }
            Err(NotCommitted::Wrong(problems)) => {
                let corrupt = problems.iter().find(|problem| problem.field == DIGEST);
                let (reason, message) = match corrupt {
                    Some(problem) => (v1::NackReason::Corrupt, problem.message.clone()),
                    None => (
                        v1::NackReason::Invalid,
                        format!("{} problems; nothing of it counts", problems.len()),
                    ),
                };
                self.refuse(led_to, reason, message, problems).await?;
                Ok(None)
            }
        }
    }

    async fn refuse(
        &mut self,
        what: Version,
        reason: v1::NackReason,
        message: String,
        problems: Vec<Problem>,
    ) -> Result<(), ()> {
        let (snapshot, metrics) = (self.ledger.store().load(), self.ledger.metrics());
        metrics.updated(self.origin, UpdateResult::Refused, Duration::ZERO);
        metrics.nacked(counted(reason));
        tracing::error!(version = %what, in_force = %snapshot.version(), reason = message, "an update is refused");
        for problem in &problems {
            tracing::error!("{problem}");
        }
        snapshot.freshness().fall_behind();
        let nack = v1::Nack {
            version: Some(version(what)),
            in_force: Some(version(snapshot.version())),
            reason: reason.into(),
            message,
            errors: errors(&problems),
        };
        self.watcher.refused(&nack);
        // What was not even complete may come again.
        self.refused = (reason != v1::NackReason::Corrupt).then_some(what);
        self.told = Some(snapshot.version());
        self.say(Message::Nack(nack)).await
    }

    async fn acknowledge(&self, committed: &Committed, saved: Result<(), String>) -> Result<(), ()> {
        let snapshot = &committed.snapshot;
        match saved {
            Ok(()) => {
                let (version, digest) = (version(snapshot.version()), digest(snapshot.digest(), false));
                self.say(Message::Ack(v1::Ack { version: Some(version), digest: Some(digest) })).await
            }
            Err(message) => {
                tracing::error!(version = %snapshot.version(), message, "a change is in force, but not on disk");
                self.ledger.metrics().nacked(NackReason::Storage);
                let held = Some(version(snapshot.version()));
                let reason = v1::NackReason::Storage.into();
                let nack = v1::Nack { version: held, in_force: held, reason, message, errors: Vec::new() };
                self.watcher.refused(&nack);
                self.say(Message::Nack(nack)).await
            }
        }
    }
}

/// The reason's word in metrics.
const fn counted(reason: v1::NackReason) -> NackReason {
    match reason {
        v1::NackReason::TooLarge => NackReason::TooLarge,
        v1::NackReason::Corrupt => NackReason::Corrupt,
        v1::NackReason::Old => NackReason::Old,
        v1::NackReason::Storage => NackReason::Storage,
        v1::NackReason::Invalid | v1::NackReason::Unspecified => NackReason::Invalid,
    }
}

async fn safe(mut committed: Committed) -> (Committed, Result<(), String>) {
    let saved = committed.safe().await;
    (committed, saved)
}

#[cfg(test)]
mod tests;
