//! Search over one revision: which targets of a kind somebody may reach, and which users may reach a target.
//!
//! Nothing is inferred from bindings: each candidate is a question of its own, decided as any other, policies and waits
//! included. A page ends when it is full, when it looked at as many candidates as it may, or when its time is up, and
//! says where the next one goes on. Must not know: how a search came in.

use super::ask::{Failure, Verdict, finish, verdict};
use super::decision::DecisionApi;
use super::status::ON_DEMAND;
use crate::decision::TargetKey;
use crate::model::{Question, Subject, TargetKind, TargetRef, User};
use crate::proto::v1;
use crate::store::Snapshot;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tonic::Code;

/// The most searches at a time; further ones are refused.
pub const MAX_SEARCHES: usize = 16;
/// The most candidates of one search whose policies are waited for at a time.
const WINDOW: usize = 16;
/// After so many candidates others have a turn.
const TURN: usize = 32;
/// Up to so many targets and users, they are put in order where they are needed; more are left to another thread.
const FEW: usize = 2_000;

/// How much work one page may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most results.
    pub results: usize,
    /// The most candidates that are looked at.
    pub candidates: usize,
    /// The most time. Once it is up the page ends, but never before one candidate was looked at.
    pub time: Duration,
}

/// Some of the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What passed, in the order of its name.
    pub found: Vec<T>,
    /// The name that the next page goes on after; absent: this was the last one.
    pub next: Option<String>,
}

/// Changes what a question says beside its target and subject, before a candidate is asked about.
pub type Adapt<'a, T> = &'a (dyn Fn(&mut Question, &T) + Send + Sync);

/// Searches, and remembers what is in which order for as long as a revision is in force.
#[derive(Debug)]
pub struct Lists {
    /// A lock and not a pointer to swap: it is held for the time of a look, and a list that two make at once is merely
    /// made twice.
    orders: Mutex<Orders>,
    room: Semaphore,
}

/// Lists in order, of one snapshot. Four bytes a target and eight a user, for what was searched.
#[derive(Debug, Default)]
struct Orders {
    serial: u64,
    users: Option<Arc<[Arc<User>]>>,
    targets: [Option<Arc<[TargetKey]>>; TargetKind::ALL.len()],
}

impl Default for Lists {
    fn default() -> Self {
        Self { orders: Mutex::default(), room: Semaphore::new(MAX_SEARCHES) }
    }
}

impl Lists {
    /// Which targets of a kind the subject of this question may reach, after `after` in the order of names. The
    /// question's own target does not count; `adapt` may change the rest for each.
    ///
    /// # Errors
    /// When a candidate cannot be decided, when there are too many searches, or only a part is held here.
    pub async fn targets(
        &self,
        api: &DecisionApi,
        snapshot: &Arc<Snapshot>,
        (kind, mut question): (TargetKind, Question),
        adapt: Adapt<'_, TargetRef>,
        after: Option<&str>,
        bounds: Bounds,
    ) -> Result<Page<TargetRef>, Failure> {
        let _place = self.enter(api)?;
        let keys = self.targets_of(snapshot, kind).await;
        let name = |key: &TargetKey| {
            snapshot.name_of(*key).map(|target| target.name().into_owned()).unwrap_or_default()
        };
        let put = |key: &TargetKey| {
            question.target = snapshot.name_of(*key)?;
            let target = question.target.clone();
            adapt(&mut question, &target);
            Some(verdict(snapshot, &question))
        };
        let walk = Walk { api, snapshot, candidates: &keys, bounds };
        let page = walk.go(after, name, put).await?;
        let found = page.found.into_iter().filter_map(|key| snapshot.name_of(key)).collect();
        Ok(Page { found, next: page.next })
    }

    /// Which users of the directory may reach the target of this question, after `after` in the order of usernames.
    /// The question's own subject does not count. Inactive users are left out.
    ///
    /// # Errors
    /// As [`Lists::targets`]; and when there is no such target.
    pub async fn subjects(
        &self,
        api: &DecisionApi,
        snapshot: &Arc<Snapshot>,
        mut question: Question,
        adapt: Adapt<'_, User>,
        after: Option<&str>,
        bounds: Bounds,
    ) -> Result<Page<Arc<User>>, Failure> {
        let _place = self.enter(api)?;
        super::ask::known(snapshot, &question.target)?;
        let users = self.users_of(snapshot).await;
        let put = |user: &Arc<User>| {
            // Looked at once more: the order outlives what it was made of.
            let user = snapshot.user_named(&user.username).filter(|user| user.is_active)?;
            question.subject = Subject { user_id: Some(user.id.to_string()), ..Subject::default() };
            adapt(&mut question, user);
            Some(verdict(snapshot, &question))
        };
        let walk = Walk { api, snapshot, candidates: &users, bounds };
        walk.go(after, |user| user.username.to_string(), put).await
    }

    fn enter(&self, api: &DecisionApi) -> Result<SemaphorePermit<'_>, Failure> {
        if api.is_partial() {
            let message =
                "only what is asked about is held here, so there is no whole to search; ask the hub that \
                           this server follows"
                    .to_owned();
            return Err(Failure { code: Code::Unimplemented, field: ON_DEMAND.to_owned(), message });
        }
        self.room.try_acquire().map_err(|_| {
            let message = format!("{MAX_SEARCHES} searches are running, which is the most; try again later");
            Failure { code: Code::ResourceExhausted, field: String::new(), message }
        })
    }

    async fn users_of(&self, snapshot: &Arc<Snapshot>) -> Arc<[Arc<User>]> {
        let known = self.look(snapshot, |orders| orders.users.clone());
        if let Some(users) = known {
            return users;
        }
        let make = |snapshot: &Snapshot| snapshot.users_by_name().into();
        let users: Arc<[Arc<User>]> = made(snapshot, make).await;
        self.keep(snapshot, |orders| orders.users = Some(Arc::clone(&users)));
        users
    }

    async fn targets_of(&self, snapshot: &Arc<Snapshot>, kind: TargetKind) -> Arc<[TargetKey]> {
        let known = self.look(snapshot, |orders| orders.targets.get(kind as usize).cloned().flatten());
        if let Some(keys) = known {
            return keys;
        }
        let keys: Arc<[TargetKey]> =
            made(snapshot, move |snapshot| snapshot.targets_by_name(kind).into()).await;
        self.keep(snapshot, |orders| {
            if let Some(slot) = orders.targets.get_mut(kind as usize) {
                *slot = Some(Arc::clone(&keys));
            }
        });
        keys
    }

    fn look<T>(&self, snapshot: &Snapshot, get: impl FnOnce(&Orders) -> Option<T>) -> Option<T> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        (orders.serial == snapshot.serial()).then(|| get(&orders)).flatten()
    }

    fn keep(&self, snapshot: &Snapshot, put: impl FnOnce(&mut Orders)) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.serial < snapshot.serial() {
            *orders = Orders { serial: snapshot.serial(), ..Orders::default() };
        }
        // A search that began earlier does not put its order in place of a newer one.
        if orders.serial == snapshot.serial() {
            put(&mut orders);
        }
    }
}

/// Makes a list. A long one takes a while, in which the runtime must go on.
async fn made<T: Send + 'static>(
    snapshot: &Arc<Snapshot>,
    make: impl Fn(&Snapshot) -> T + Copy + Send + 'static,
) -> T {
    let counts = snapshot.counts();
    if counts.targets + counts.users > FEW {
        let held = Arc::clone(snapshot);
        if let Ok(list) = tokio::task::spawn_blocking(move || make(&held)).await {
            return list;
        }
    }
    make(snapshot)
}

/// One page over candidates that are in order.
struct Walk<'a, T> {
    api: &'a DecisionApi,
    snapshot: &'a Snapshot,
    candidates: &'a [T],
    bounds: Bounds,
}

impl<'a, T: Clone + Sync> Walk<'a, T> {
    /// Goes on after a name. `put` asks about a candidate; nothing: it is left out.
    async fn go(
        &self,
        after: Option<&str>,
        name: impl Fn(&T) -> String + Send + Sync,
        mut put: impl FnMut(&T) -> Option<Result<Verdict, Failure>> + Send,
    ) -> Result<Page<T>, Failure> {
        let deadline = Instant::now() + self.bounds.time;
        let start = after.map_or(0, |after| self.candidates.partition_point(|one| *name(one) <= *after));
        let mut coming = self.candidates.iter().skip(start).take(self.bounds.candidates.max(1));
        let mut window: FuturesOrdered<BoxFuture<'a, Result<bool, Failure>>> = FuturesOrdered::new();
        let (mut found, mut asked, mut seen) = (Vec::new(), start, start);
        let is_over = |seen: usize| seen > start && Instant::now() >= deadline;
        while found.len() < self.bounds.results {
            while window.len() < WINDOW && !is_over(seen) {
                let Some(candidate) = coming.next() else { break };
                asked += 1;
                if asked.is_multiple_of(TURN) {
                    tokio::task::yield_now().await;
                }
                match put(candidate).transpose()? {
                    Some(Verdict::Pending(pending)) => {
                        let (snapshot, evaluators) = (self.snapshot, self.api.evaluators());
                        let finished = finish(snapshot, evaluators, *pending);
                        window.push_back(finished.map(|answer| Ok(is_allow(&answer?.response))).boxed());
                    }
                    // What waits for nothing stands behind what waits, so that the order is kept.
                    decided if !window.is_empty() => {
                        window.push_back(std::future::ready(Ok(passes(decided))).boxed());
                    }
                    decided => {
                        seen = asked;
                        if passes(decided) {
                            found.push(candidate.clone());
                            break;
                        }
                    }
                }
            }
            if found.len() >= self.bounds.results {
                break;
            }
            if window.is_empty() {
                if is_over(seen) || coming.len() == 0 {
                    break;
                }
                continue;
            }
            // The first one is waited for however long it takes, which its bindings' timeouts bound.
            let passed = match seen > start {
                true => match timeout_at(deadline, window.next()).await {
                    Ok(passed) => passed,
                    Err(_) => break,
                },
                false => window.next().await,
            };
            if passed.transpose()?.unwrap_or(false)
                && let Some(candidate) = self.candidates.get(seen)
            {
                found.push(candidate.clone());
            }
            seen += 1;
        }
        let is_last = seen >= self.candidates.len();
        let last = seen.checked_sub(1).and_then(|last| self.candidates.get(last)).map(name);
        Ok(Page { found, next: (!is_last).then(|| last.unwrap_or_default()) })
    }
}

fn passes(verdict: Option<Verdict>) -> bool {
    matches!(verdict, Some(Verdict::Decided(true)))
}

fn is_allow(answer: &v1::CheckResponse) -> bool {
    answer.decision() == v1::Decision::Allow
}
