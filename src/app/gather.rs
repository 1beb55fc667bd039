//! Answers of one connection that are ready at about the same time are written together.
//!
//! Over HTTP/2 each call is a task of its own, which wakes its connection when its answer is there. What was woken last runs first, so
//! each answer would be written by itself; and writing is a good part of what an answer from memory costs. So a connection some of
//! whose calls have not had their first turn waits for that, though not for long. Must not know: what is called.

use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer waits for others at most, and for the turn that is being had then. Most turns take far less.
const LONGEST: Duration = Duration::from_micros(100);

/// The calls of a connection that have not had their first turn.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    waiting: AtomicUsize,
    connection: AtomicWaker,
}

/// A call that has not had its first turn, or is having it.
#[derive(Debug)]
pub(super) struct Fresh(Arc<Siblings>);

impl Siblings {
    /// One more call.
    pub(super) fn enter(self: &Arc<Self>) -> Fresh {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Fresh(Arc::clone(self))
    }

    /// Whether a connection had better wait; then it is woken after the last of these turns.
    fn hold_back(&self, context: &Context<'_>) -> bool {
        self.connection.register(context.waker());
        // After that, or a turn that ends in between would go unseen.
        self.waiting.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.connection.wake();
        }
    }
}

/// A connection that writes answers together.
pub(super) struct Gathering<C> {
    connection: C,
    siblings: Arc<Siblings>,
    /// Since when it waits.
    since: Option<Instant>,
}

impl<C> Gathering<C> {
    pub(super) const fn new(connection: C, siblings: Arc<Siblings>) -> Self {
        Self { connection, siblings, since: None }
    }
}

impl<C: Future + Unpin> Future for Gathering<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let Self { connection, siblings, since } = self.get_mut();
        if siblings.waiting.load(Ordering::Relaxed) > 0 {
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() < LONGEST && siblings.hold_back(context) {
                return Poll::Pending;
            }
        }
        *since = None;
        Pin::new(connection).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn take(&self) -> bool {
            self.0.swap(false, Ordering::Relaxed)
        }
    }

    /// A connection that counts how often it is looked at.
    struct Counted<'a>(&'a AtomicUsize);

    impl Future for Counted<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_waits_for_the_first_turn_of_all_its_calls() {
        let (siblings, looks, woken) =
            (Arc::<Siblings>::default(), AtomicUsize::new(0), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut gathering = Gathering::new(Counted(&looks), Arc::clone(&siblings));
        let mut look = || {
            let _pending = Pin::new(&mut gathering).poll(&mut Context::from_waker(&waker));
            looks.load(Ordering::Relaxed)
        };
        assert_eq!(look(), 1, "nothing to wait for");
        let (first, second) = (siblings.enter(), siblings.enter());
        assert_eq!(look(), 1);
        drop(first);
        assert!(!woken.take() && look() == 1, "the other one had no turn");
        drop(second);
        assert!(woken.take() && look() == 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_for_long() {
        let (siblings, looks) = (Arc::<Siblings>::default(), AtomicUsize::new(0));
        let mut gathering = Gathering::new(Counted(&looks), Arc::clone(&siblings));
        let mut look = || {
            let _pending = Pin::new(&mut gathering).poll(&mut Context::from_waker(Waker::noop()));
            looks.load(Ordering::Relaxed)
        };
        let _never = siblings.enter();
        assert_eq!(look(), 0);
        tokio::time::advance(LONGEST).await;
        assert_eq!(look(), 1);
        assert_eq!(look(), 1, "anew, for what comes then");
    }
}
