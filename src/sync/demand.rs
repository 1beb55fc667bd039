//! On demand: a server that holds only what it is asked about. The first question about a target or a user asks the hub
//! for it and waits; what nobody asked about for long is given back.
//!
//! Must not know: what a question is decided by.

use super::partial::MAX_NAMES;
use crate::model::{Subject, TargetRef, UserRef};
use crate::proto::resource::{target_ref, user_ref};
use crate::proto::v1;
use crate::store::{OnDemand, Wanted};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// How often it is looked at what nobody asks about any more.
const SWEEP: Duration = Duration::from_secs(10);

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemandOptions {
    /// The most targets. Default: 10,000.
    pub max_targets: usize,
    /// The most users. Default: 100,000.
    pub max_users: usize,
    /// What nobody asked about for so long is given back. Default: 10 minutes.
    pub cold: Duration,
    /// How long a question waits for what it is about. Default: 2 seconds.
    pub patience: Duration,
}

impl Default for DemandOptions {
    fn default() -> Self {
        Self {
            max_targets: 10_000,
            max_users: 100_000,
            cold: Duration::from_secs(600),
            patience: Duration::from_secs(2),
        }
    }
}

/// One thing that is wanted.
#[derive(Debug)]
struct Interest {
    /// The subscription that brings it; it is here once that is loaded.
    subscription: u64,
    /// When it was asked about last, in milliseconds after the start.
    used: AtomicU64,
}

/// What is wanted, by those who ask and those who fetch.
#[derive(Debug)]
pub struct Demand {
    options: DemandOptions,
    start: Instant,
    targets: DashMap<TargetRef, Interest, foldhash::fast::RandomState>,
    users: DashMap<UserRef, Interest, foldhash::fast::RandomState>,
    /// The number of the last subscription that was given out.
    given: AtomicU64,
    /// The last one that the hub has answered.
    loaded: watch::Sender<u64>,
    /// Something new is wanted.
    wake: Notify,
}

impl Demand {
    /// Wants nothing yet.
    pub fn new(options: DemandOptions) -> Self {
        Self {
            options,
            start: Instant::now(),
            targets: DashMap::default(),
            users: DashMap::default(),
            given: AtomicU64::new(0),
            loaded: watch::Sender::new(0),
            wake: Notify::new(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How many targets and users are held or on their way.
    pub fn len(&self) -> (usize, usize) {
        (self.targets.len(), self.users.len())
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// The subscription that brings something; a new one when it was not wanted before. Nothing: there is no room.
    fn subscription<K: Eq + Hash + Clone>(
        &self,
        map: &DashMap<K, Interest, foldhash::fast::RandomState>,
        key: &K,
        most: usize,
    ) -> Option<u64> {
        let now = self.now();
        if let Some(interest) = map.get(key) {
            interest.used.store(now, Ordering::Relaxed);
            return Some(interest.subscription);
        }
        // Somewhat more than there is room for, until what is coldest has gone.
        if map.len() > most + most / 4 {
            return None;
        }
        Some(match map.entry(key.clone()) {
            Entry::Occupied(entry) => entry.get().subscription,
            Entry::Vacant(entry) => {
                let subscription = self.given.fetch_add(1, Ordering::AcqRel) + 1;
                entry.insert(Interest { subscription, used: AtomicU64::new(now) });
                self.wake.notify_one();
                subscription
            }
        })
    }

    /// The hub has answered this subscription, and with it all before.
    pub(super) fn note_loaded(&self, subscription: u64) {
        self.loaded.send_if_modified(|loaded| {
            let newer = subscription > *loaded;
            *loaded = subscription.max(*loaded);
            newer
        });
    }

    /// Tells the hub what is wanted, from the beginning and then what is new and what went cold, for as long as one
    /// stream lasts.
    pub(super) async fn drive(&self, to: mpsc::Sender<v1::SinkMessage>) -> Result<(), ()> {
        let mut sweep = interval(SWEEP.min(self.options.cold));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Whatever was told before, on another stream, is told once more: none of it survives a stream.
        let mut told = 0;
        let mut first = true;
        loop {
            let upto = self.given.load(Ordering::Acquire);
            let new = |subscription: u64| subscription > told && subscription <= upto;
            let targets: Vec<TargetRef> =
                self.targets.iter().filter(|it| new(it.subscription)).map(|it| it.key().clone()).collect();
            let users: Vec<UserRef> =
                self.users.iter().filter(|it| new(it.subscription)).map(|it| it.key().clone()).collect();
            if first || upto > told {
                self.tell(&to, upto, &targets, &users).await?;
            }
            (told, first) = (upto, false);
            tokio::select! {
                () = self.wake.notified() => {
                    let (targets, users) = self.len();
                    if targets > self.options.max_targets || users > self.options.max_users {
                        self.sweep(&to).await?;
                    }
                }
                _ = sweep.tick() => self.sweep(&to).await?,
            }
        }
    }

    /// Subscribes, in as many messages as it takes; only the last one carries the number, since only then all is there.
    async fn tell(
        &self,
        to: &mpsc::Sender<v1::SinkMessage>,
        upto: u64,
        targets: &[TargetRef],
        users: &[UserRef],
    ) -> Result<(), ()> {
        let mut messages: Vec<v1::Subscribe> = Vec::new();
        for targets in targets.chunks(MAX_NAMES) {
            let targets = targets.iter().map(target_ref).collect();
            messages.push(v1::Subscribe { targets, ..Default::default() });
        }
        for users in users.chunks(MAX_NAMES) {
            let users = users.iter().map(user_ref).collect();
            messages.push(v1::Subscribe { users, ..Default::default() });
        }
        if messages.is_empty() {
            messages.push(v1::Subscribe::default());
        }
        if let Some(last) = messages.last_mut() {
            last.subscription = upto;
        }
        for message in messages {
            send(to, message).await?;
        }
        Ok(())
    }

    /// Gives back what nobody asked about for long, and what is coldest where there is too much.
    async fn sweep(&self, to: &mpsc::Sender<v1::SinkMessage>) -> Result<(), ()> {
        let cold = u64::try_from(self.options.cold.as_millis()).unwrap_or(u64::MAX);
        let before = self.now().checked_sub(cold);
        let of_targets = before.max(coldest(&self.targets, self.options.max_targets));
        let of_users = before.max(coldest(&self.users, self.options.max_users));
        let loaded = *self.loaded.borrow();
        let is_cold = |it: &Interest, before: Option<u64>| {
            before.is_some_and(|before| it.used.load(Ordering::Relaxed) <= before)
                && it.subscription <= loaded
        };
        let mut drop_targets = Vec::new();
        self.targets.retain(|target, it| {
            let cold = is_cold(it, of_targets) && drop_targets.len() < MAX_NAMES / 2;
            if cold {
                drop_targets.push(target_ref(target));
            }
            !cold
        });
        let mut drop_users = Vec::new();
        self.users.retain(|user, it| {
            let cold = is_cold(it, of_users) && drop_users.len() < MAX_NAMES / 2;
            if cold {
                drop_users.push(user_ref(user));
            }
            !cold
        });
        if drop_targets.is_empty() && drop_users.is_empty() {
            return Ok(());
        }
        send(to, v1::Subscribe { drop_targets, drop_users, ..Default::default() }).await
    }
}

/// Up to when whatever was used last has to go, so that there is room again for a tenth more; nothing when there is room.
fn coldest<K: Eq + Hash>(
    map: &DashMap<K, Interest, foldhash::fast::RandomState>,
    most: usize,
) -> Option<u64> {
    let over = map.len().checked_sub(most).filter(|over| *over > 0)?;
    let mut used: Vec<u64> = map.iter().map(|it| it.used.load(Ordering::Relaxed)).collect();
    let go = (over + most / 10).min(used.len().checked_sub(1)?);
    Some(*used.select_nth_unstable(go).1)
}

async fn send(to: &mpsc::Sender<v1::SinkMessage>, subscribe: v1::Subscribe) -> Result<(), ()> {
    let message = v1::sink_message::Message::Subscribe(subscribe);
    to.send(v1::SinkMessage { message: Some(message) }).await.map_err(drop)
}

/// Who a question is about, as the directory would find them.
fn user_of(subject: &Subject) -> Option<UserRef> {
    if subject.anonymous {
        return None;
    }
    match (&subject.user_id, &subject.username) {
        (Some(id), _) => Some(UserRef::Id((**id).into())),
        (None, Some(name)) => Some(UserRef::Username((**name).into())),
        (None, None) => None,
    }
}

impl OnDemand for Demand {
    fn wanted(&self, target: &TargetRef, subject: &Subject) -> Wanted {
        let of_target = self.subscription(&self.targets, target, self.options.max_targets);
        let of_user = match user_of(subject) {
            Some(user) => self.subscription(&self.users, &user, self.options.max_users),
            None => Some(0),
        };
        match (of_target, of_user) {
            (Some(target), Some(user)) if target.max(user) <= *self.loaded.borrow() => Wanted::Here,
            (Some(target), Some(user)) => Wanted::Coming(target.max(user)),
            _ => Wanted::NoRoom,
        }
    }

    fn arrival(&self, subscription: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move {
            let mut loaded = self.loaded.subscribe();
            let until = Instant::now() + self.options.patience;
            timeout_at(until, loaded.wait_for(|loaded| *loaded >= subscription))
                .await
                .is_ok_and(|it| it.is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> TargetRef {
        format!("application/{name}").parse().unwrap()
    }

    fn ada() -> Subject {
        Subject { username: Some("ada".into()), ..Subject::default() }
    }

    async fn said(from: &mut mpsc::Receiver<v1::SinkMessage>) -> v1::Subscribe {
        match from.recv().await.unwrap().message {
            Some(v1::sink_message::Message::Subscribe(subscribe)) => subscribe,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_question_subscribes_and_waits_and_the_next_does_not() {
        let demand = Demand::new(DemandOptions::default());
        assert!(demand.is_empty());
        assert_eq!(demand.wanted(&app("wiki"), &ada()), Wanted::Coming(2));
        assert_eq!(demand.wanted(&app("wiki"), &ada()), Wanted::Coming(2));
        let (to, mut from) = mpsc::channel(8);
        let driving = demand.drive(to);
        let asking = async {
            // Each kind has its message, and the last has the number.
            assert_eq!(said(&mut from).await.targets.len(), 1);
            let users = said(&mut from).await;
            assert_eq!((users.users.len(), users.subscription), (1, 2));
            demand.note_loaded(2);
            assert!(demand.arrival(2).await);
            assert_eq!(demand.wanted(&app("wiki"), &ada()), Wanted::Here);
            assert_eq!(demand.wanted(&app("blog"), &ada()), Wanted::Coming(3));
            assert_eq!(said(&mut from).await.subscription, 3);
            assert!(!demand.arrival(3).await, "nobody answers, and it waits for ever");
            // What is not asked about goes, what has not come stays.
            demand.note_loaded(3);
            tokio::time::sleep(Duration::from_secs(300)).await;
            assert_eq!(demand.wanted(&app("blog"), &Subject { anonymous: true, ..ada() }), Wanted::Here);
            tokio::time::sleep(Duration::from_secs(400)).await;
            let cold = said(&mut from).await;
            assert_eq!((cold.drop_targets.len(), cold.drop_users.len()), (1, 1));
            assert_eq!(demand.len(), (1, 0));
        };
        tokio::select! {
            _ = driving => panic!("the stream ended"),
            () = asking => {}
        }
        // Another stream knows nothing of what was said before.
        let (to, mut from) = mpsc::channel(8);
        tokio::select! {
            _ = demand.drive(to) => panic!("the stream ended"),
            again = said(&mut from) => assert_eq!((again.targets.len(), again.subscription), (1, 3)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_coldest_makes_room_for_what_is_new() {
        let demand = Demand::new(DemandOptions { max_targets: 20, ..DemandOptions::default() });
        let nobody = Subject { anonymous: true, ..Subject::default() };
        for number in 0..26 {
            tokio::time::advance(Duration::from_millis(1)).await;
            let wanted = demand.wanted(&app(&number.to_string()), &nobody);
            assert_eq!(wanted, Wanted::Coming(number + 1));
        }
        assert_eq!(demand.wanted(&app("more"), &nobody), Wanted::NoRoom);
        demand.note_loaded(26);
        let (to, mut from) = mpsc::channel(8);
        let dropped = async {
            assert_eq!(said(&mut from).await.targets.len(), 26);
            said(&mut from).await.drop_targets
        };
        tokio::select! {
            _ = demand.drive(to) => panic!("the stream ended"),
            dropped = dropped => assert!(dropped.len() >= 6 && dropped.contains(&target_ref(&app("0")))),
        }
        assert_eq!(demand.wanted(&app("25"), &nobody), Wanted::Here);
        assert!(matches!(demand.wanted(&app("more"), &nobody), Wanted::Coming(_)));
    }
}
