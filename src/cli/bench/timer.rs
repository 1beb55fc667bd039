//! Sleeps that end when they should: tokio's own timer counts in milliseconds, which at 20,000 requests a second would
//! send twenty of them at once.
//!
//! Must not know: what is waited for.

use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;

#[cfg(not(target_os = "linux"))]
pub(super) use anywhere::Timer;

/// Below this it is not worth sleeping.
const SHORTEST: Duration = Duration::from_micros(5);

#[cfg(target_os = "linux")]
mod linux {
    use super::{Duration, SHORTEST};
    use rustix::fd::OwnedFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    /// A timer of the kernel.
    pub(in super::super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        /// A timer on the runtime that this is called on.
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; a descriptor that is owned stays what it is"
        )]
        pub(in super::super) fn new() -> Result<Self, String> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(std::io::Error::from);
            let timer = timer.and_then(AsyncFd::new);
            timer.map(Self).map_err(|error| format!("there is no timer: {error}"))
        }

        /// Sleeps.
        pub(in super::super) async fn sleep(&self, time: Duration) {
            if time < SHORTEST {
                return tokio::task::yield_now().await;
            }
            let spec = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec {
                    tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: time.subsec_nanos().into(),
                },
            };
            if timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec).is_err() {
                return tokio::time::sleep(time).await;
            }
            let fired = self.0.async_io(tokio::io::Interest::READABLE, |timer| {
                rustix::io::read(timer, &mut [0_u8; 8]).map_err(std::io::Error::from)
            });
            if fired.await.is_err() {
                tokio::time::sleep(time).await;
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod anywhere {
    use super::{Duration, SHORTEST};

    /// The runtime's timer, for want of a better one.
    pub(in super::super) struct Timer(());

    impl Timer {
        /// A timer on the runtime that this is called on.
        pub(in super::super) const fn new() -> Result<Self, String> {
            Ok(Self(()))
        }

        /// Sleeps.
        pub(in super::super) async fn sleep(&self, time: Duration) {
            if time < SHORTEST { tokio::task::yield_now().await } else { tokio::time::sleep(time).await }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn it_never_ends_early_and_can_be_used_again() {
        let timer = Timer::new().unwrap();
        for micros in [0, 1, 300, 2_000, 50, 1_100] {
            let (start, time) = (Instant::now(), Duration::from_micros(micros));
            timer.sleep(time).await;
            assert!(time < SHORTEST || start.elapsed() >= time, "{micros}");
        }
    }
}
