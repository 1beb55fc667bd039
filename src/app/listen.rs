//! Connections of every listener: taken up to a bound, with TLS where there is some, kept alive, and ended in order.
//!
//! Must not know: what is served.

use super::access::{Caller, Transport};
use super::behind::Behind;
use super::gate::{Gate, Guarded};
use super::gather::{Gathering, Siblings};
use super::{Listeners, Serving, stopped};
use crate::config::LoadSettings;
use crate::telemetry::Metrics;
use crate::telemetry::labels::{ConnectionRefusal, Label as _, Listener};
use crate::tls::peer;
use crate::tls::server::ServerTls;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

/// Keepalive: a connection whose peer does not answer for this long is closed.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long the headers of a request over HTTP/1 may take, and how long a connection may wait for the next one: longer
/// than nginx keeps its own, so that it is nginx that closes them.
const HEADERS: Duration = Duration::from_secs(75);
/// How many calls a client may have taken back before they were looked at, until its connection is closed: the bound
/// against rapid resets (CVE-2023-44487).
const MAX_RESETS: usize = 20;
/// How many calls a client may spoil by mistakes of the protocol, until its connection is closed.
const MAX_ERRORS: usize = 1_024;
/// The least room that HTTP/1 has for headers.
const LEAST_HEADERS: usize = 8_192;
/// How long calls may go on after a connection was asked to end, until it is closed.
const GRACE: Duration = Duration::from_secs(30);
/// Wait before the next connection is taken when one could not be. Without it, a process that is out of file
/// descriptors would spend all its time on failing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is behind a listener.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// The listener's name.
    pub(super) name: Listener,
    /// What is called.
    pub(super) behind: Behind,
    /// What calls pass before.
    pub(super) gate: Gate,
    /// TLS over TCP.
    pub(super) tls: Option<Arc<ServerTls>>,
    /// How much is taken on.
    pub(super) load: LoadSettings,
}

/// Takes connections.
trait Accept: Send + 'static {
    type Stream: Send + 'static;
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Transport)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Transport)> {
        let (stream, address) = self.accept().await?;
        // Without it, small answers wait for more to send.
        let _kept_as_it_is = stream.set_nodelay(true);
        Ok((stream, Transport::Tcp(address)))
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Transport)> {
        let (stream, _) = self.accept().await?;
        let user = stream.peer_cred().ok().map(|peer| peer.uid());
        Ok((stream, Transport::Unix(user)))
    }
}

/// Servers for these listeners.
pub(super) fn serve(
    listeners: &mut Listeners,
    door: &Door,
    stopping: &watch::Receiver<bool>,
) -> Vec<Serving> {
    let mut servers: Vec<Serving> = Vec::new();
    if let Some(listener) = listeners.tcp.take() {
        let (door, stopping) = (door.clone(), stopping.clone());
        servers.push(Box::pin(async move {
            let secure = move |stream, transport, door: Door, stopping, place| async move {
                match door.tls.clone() {
                    None => {
                        door.converse(stream, Caller { transport, certificate: None }, stopping, place).await
                    }
                    Some(tls) => door.shake_hands(&tls, stream, transport, stopping, place).await,
                }
            };
            take(listener, door, stopping, secure).await;
            Ok(())
        }));
    }
    if let Some(listener) = listeners.take_unix() {
        let (door, stopping) = (door.clone(), stopping.clone());
        servers.push(Box::pin(async move {
            // Who may open the socket is the file's mode to say; nobody listens in on it.
            let plain = move |stream, transport, door: Door, stopping, place| async move {
                door.converse(stream, Caller { transport, certificate: None }, stopping, place).await;
            };
            take(listener, door, stopping, plain).await;
            Ok(())
        }));
    }
    servers
}

/// Takes connections until the end, and then waits for those that are open.
async fn take<A: Accept, F>(
    listener: A,
    door: Door,
    stopping: watch::Receiver<bool>,
    serve: impl Fn(A::Stream, Transport, Door, watch::Receiver<bool>, Place) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(door.load.connections));
    let end = stopped(stopping.clone());
    tokio::pin!(end);
    loop {
        let (stream, transport) = tokio::select! {
            () = &mut end => break,
            taken = next(&listener) => taken,
        };
        // One that is closed at once tells its client more than one that is never taken.
        let Ok(permit) = Arc::clone(&places).try_acquire_owned() else {
            door.gate.metrics.connection_refused(door.name, ConnectionRefusal::Limit);
            continue;
        };
        let place = Place::take(permit, &door);
        connections.spawn(serve(stream, transport, door.clone(), stopping.clone(), place));
    }
    // Whoever comes now is turned away by the system, and need not wait.
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection; after a pause where one could not be taken for want of something on this side.
async fn next<A: Accept>(listener: &A) -> (A::Stream, Transport) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    loop {
        match listener.accept().await {
            Ok(taken) => return taken,
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One of the connections that there may be; it is free again when this goes.
struct Place {
    _permit: OwnedSemaphorePermit,
    name: Listener,
    metrics: Arc<Metrics>,
}

impl Place {
    fn take(permit: OwnedSemaphorePermit, door: &Door) -> Self {
        let metrics = Arc::clone(&door.gate.metrics);
        metrics.connection_opened(door.name);
        Self { _permit: permit, name: door.name, metrics }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connection_closed(self.name);
    }
}

/// Whether it was the client's certificate that TLS failed for.
fn is_about_certificate(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

impl Door {
    fn refuse(&self, reason: ConnectionRefusal, why: &dyn std::fmt::Display, transport: Transport) {
        self.gate.metrics.connection_refused(self.name, reason);
        let (listener, reason) = (self.name.word(), reason.word());
        tracing::debug!(listener, reason, %why, ?transport, "no TLS connection came about");
    }

    async fn shake_hands(
        self,
        tls: &ServerTls,
        stream: TcpStream,
        transport: Transport,
        stopping: watch::Receiver<bool>,
        place: Place,
    ) {
        let shaking = timeout(self.load.handshake, tls.acceptor().accept(stream));
        let shaken = tokio::select! {
            shaken = shaking => shaken,
            () = stopped(stopping.clone()) => return,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let is_certificate = is_about_certificate(&error);
                let reason = if is_certificate {
                    ConnectionRefusal::Certificate
                } else {
                    ConnectionRefusal::Handshake
                };
                return self.refuse(reason, &error, transport);
            }
            Err(_) => return self.refuse(ConnectionRefusal::Handshake, &"it took too long", transport),
        };
        let certificate =
            stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(peer::names);
        match certificate.transpose() {
            Ok(certificate) => {
                self.converse(stream, Caller { transport, certificate }, stopping, place).await
            }
            Err(error) => self.refuse(ConnectionRefusal::Certificate, &error, transport),
        }
    }

    /// Serves a connection to its end. `place` is given back then.
    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        caller: Caller,
        stopping: watch::Receiver<bool>,
        place: Place,
    ) {
        let end = self.end(&caller);
        let siblings = Arc::<Siblings>::default();
        let service = Guarded::new(self.behind, self.gate, caller, Arc::clone(&siblings));
        let mut builder = Builder::new(TokioExecutor::new());
        let header_bytes = usize::try_from(self.load.header_bytes).unwrap_or(usize::MAX);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(header_bytes.max(LEAST_HEADERS));
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .max_concurrent_streams(self.load.streams)
            .max_header_list_size(self.load.header_bytes)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_ERRORS);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = Gathering::new(connection.as_mut(), siblings) => ended,
            // How long that may take is said by who waits for all.
            () = stopped(stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = at(end) => {
                connection.as_mut().graceful_shutdown();
                timeout(GRACE, connection).await.unwrap_or(Ok(()))
            }
        };
        drop(place);
        if let Err(error) = ended {
            tracing::debug!(error, "a connection broke");
        }
    }

    /// When a connection is to end whatever happens; nothing: never.
    fn end(&self, caller: &Caller) -> Option<Instant> {
        let by_age = (!self.load.age.is_zero()).then(|| {
            // Not all at once, or all clients come back at once.
            let chance = RandomState::new().hash_one(caller.is_local()) % 2_001;
            let factor = 0.9 + f64::from(u32::try_from(chance).unwrap_or_default()) / 10_000.0;
            self.load.age.mul_f64(factor)
        });
        // A certificate is looked at when a connection begins; it is not to be used for longer than it is good.
        let by_certificate = caller.certificate.as_ref().map(|names| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Duration::from_secs(u64::try_from(names.expires).unwrap_or_default()).saturating_sub(now)
        });
        let left = by_age.into_iter().chain(by_certificate).min()?;
        Instant::now().checked_add(left)
    }
}

/// That moment; nothing: never.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Gives what it was told to, the last first.
    struct Told(Mutex<Vec<io::Result<i32>>>);

    impl Accept for Told {
        type Stream = i32;

        async fn accept(&self) -> io::Result<(i32, Transport)> {
            let told = self.0.lock().unwrap().pop().unwrap();
            told.map(|stream| (stream, Transport::Unix(None)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_out_of_means_pauses_and_goes_on() {
        let out = || io::Error::from_raw_os_error(24);
        let told = vec![Ok(2), Err(io::ErrorKind::ConnectionAborted.into()), Ok(1), Err(out())];
        let listener = Told(Mutex::new(told));
        let start = Instant::now();
        assert_eq!(next(&listener).await.0, 1);
        assert_eq!(start.elapsed(), ACCEPT_PAUSE);
        assert_eq!(next(&listener).await.0, 2);
        assert_eq!(start.elapsed(), ACCEPT_PAUSE, "who went away is no reason to pause");
    }
}
