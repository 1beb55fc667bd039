//! A follower: keeps this process's configuration the same as a hub's, whatever happens to the connection.
//!
//! Must not know: what a change means, how addresses are reached.

use super::demand::Demand;
use super::ledger::{Committed, Ledger};
use super::protocol::{self, MAX_MESSAGE, PROTOCOL, digest, version};
use super::sink::{Ended, Sink, Watcher};
use crate::proto::v1;
use crate::proto::v1::sync_service_client::SyncServiceClient;
use crate::telemetry::labels::ConnectResult;
use crate::tls::client::{Credentials, Link};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::StreamExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

/// How many messages may lie ready for the transport.
const READY: usize = 32;
/// A connection that held for so long was a good one: the next attempt comes at once.
const GOOD: Duration = Duration::from_secs(10);

/// How to follow.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// Addresses of hubs, such as `https://hub:9192` or `unix:///run/bindery/sync.sock`. One is enough; they are
    /// tried in turns.
    pub upstreams: Vec<String>,
    /// What this process is called.
    pub node: String,
    /// How often something is said at least. Default: 10 seconds.
    pub heartbeat: Duration,
    /// The shortest pause between attempts. Default: 100 ms.
    pub pause_min: Duration,
    /// The longest pause between attempts. Default: 15 seconds.
    pub pause_max: Duration,
    /// How long a connection may take to come about. Default: 5 seconds.
    pub connect_timeout: Duration,
    /// Hold only what is asked about. Default: everything.
    pub on_demand: Option<Arc<Demand>>,
}

impl FollowOptions {
    /// The defaults for following these.
    pub fn new(upstreams: Vec<String>, node: String) -> Self {
        Self {
            upstreams,
            node,
            heartbeat: protocol::HEARTBEAT,
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            on_demand: None,
        }
    }
}

/// Reaches addresses.
pub trait Dial: Send + Sync {
    /// A connection to this address.
    fn dial<'a>(
        &'a self,
        address: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Link, String>> + Send + 'a>>;
}

/// Reaches addresses over TCP and unix sockets.
#[derive(Clone, Debug)]
pub struct Network {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// Whom to trust, and what shows who calls.
    pub credentials: Credentials,
}

impl Dial for Network {
    fn dial<'a>(
        &'a self,
        address: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Link, String>> + Send + 'a>> {
        Box::pin(async move { self.credentials.connect(endpoint(address)?, self.connect_timeout).await })
    }
}

/// What an address leads to, with keepalive.
///
/// # Errors
/// When it is no address.
pub fn endpoint(address: &str) -> Result<Endpoint, String> {
    Ok(Endpoint::from_shared(address.to_owned())
        .map_err(|error| {
            format!("`{address}` is no address ({error}); write http://HOST:PORT, https://HOST:PORT or unix:///PATH")
        })?
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20))
}

/// Follows for as long as this is awaited.
pub async fn follow(
    ledger: Arc<Ledger>,
    options: FollowOptions,
    dial: impl Dial,
    watcher: impl Watcher,
) -> std::convert::Infallible {
    let pauses = || {
        ExponentialBuilder::default()
            .with_min_delay(options.pause_min)
            .with_max_delay(options.pause_max)
            .with_jitter()
            .without_max_times()
            .build()
    };
    let mut pause = pauses();
    let mut upstreams = options.upstreams.iter().cycle();
    ledger.store().load().freshness().follow();
    ledger.metrics().hub_connected(false);
    loop {
        let Some(address) = upstreams.next() else { std::future::pending().await };
        let start = Instant::now();
        let why = session(&ledger, &options, address, &dial, &watcher).await;
        ledger.store().load().freshness().fall_behind();
        ledger.metrics().hub_connected(false);
        if !why.followed {
            ledger.metrics().hub_tried(ConnectResult::Failed);
        }
        let why = why.reason;
        if start.elapsed() >= GOOD {
            pause = pauses();
        }
        let wait = pause.next().unwrap_or(options.pause_max).min(options.pause_max);
        tracing::warn!(
            upstream = address,
            reason = why,
            pause_milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "not following; trying again"
        );
        tokio::time::sleep(wait).await;
    }
}

/// How a connection ended.
struct Over {
    reason: String,
    /// Whether the hub was followed over it.
    followed: bool,
}

impl From<String> for Over {
    fn from(reason: String) -> Self {
        Self { reason, followed: false }
    }
}

impl From<&str> for Over {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

/// One connection, to its end.
async fn session(
    ledger: &Arc<Ledger>,
    options: &FollowOptions,
    address: &str,
    dial: &impl Dial,
    watcher: &impl Watcher,
) -> Over {
    let channel = match dial.dial(address).await {
        Ok(channel) => channel,
        Err(error) => return error.into(),
    };
    let (to, messages) = mpsc::channel(READY);
    if to.send(hello(ledger, options)).await.is_err() {
        return "the stream closed at once".into();
    }
    let messages = ReceiverStream::new(messages).map(|message| v1::WatchRequest { message: Some(message) });
    let mut client = SyncServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let answer = match timeout(options.connect_timeout, client.watch(messages)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(status)) => return reason(&status).into(),
        Err(_) => return format!("no answer within {:?}", options.connect_timeout).into(),
    };
    let mut from = Box::pin(answer.into_inner().map(|message| {
        message
            .and_then(|it| it.message.ok_or_else(|| Status::new(Code::InvalidArgument, "an empty message")))
    }));
    let introduction = match timeout(options.connect_timeout, from.next()).await {
        Ok(Some(Ok(message))) => match message.message {
            Some(v1::source_message::Message::Hello(hello)) if hello.protocol == PROTOCOL => hello,
            Some(v1::source_message::Message::Hello(hello)) => {
                return format!("it speaks protocol {}, and this is {PROTOCOL}", hello.protocol).into();
            }
            _ => return "it did not introduce itself".into(),
        },
        Ok(Some(Err(status))) => return reason(&status).into(),
        Ok(None) => return "it closed the stream".into(),
        Err(_) => return format!("it said nothing within {:?}", options.connect_timeout).into(),
    };
    tracing::info!(
        upstream = address,
        node = introduction.node.as_ref().map(|node| node.id.clone()),
        version = %protocol::version_of(introduction.version.as_ref()),
        "following"
    );
    ledger.metrics().hub_connected(true);
    ledger.metrics().hub_tried(ConnectResult::Connected);
    let ended = match &options.on_demand {
        None => Sink::new(ledger, watcher, to, options.heartbeat).of_hub().run(&introduction, from).await,
        Some(demand) => {
            let watching = Both { watcher, demand };
            let sink = Sink::new(ledger, &watching, to.clone(), options.heartbeat).of_hub().partial();
            tokio::select! {
                ended = sink.run(&introduction, from) => ended,
                _closed = demand.drive(to) => Ended::Closed,
            }
        }
    };
    let reason = match ended {
        Ended::Closed => "it closed the stream".to_owned(),
        Ended::Broken(status) => reason(&status),
        Ended::OutOfTurn(message) => format!("it said something out of turn: {message}"),
        Ended::Silent => "nothing was heard for three heartbeats".to_owned(),
    };
    Over { reason, followed: true }
}

/// Tells who watches, and who waits for what was asked for.
struct Both<'a, W> {
    watcher: &'a W,
    demand: &'a Demand,
}

impl<W: Watcher> Watcher for Both<'_, W> {
    fn applied(&self, committed: &Committed) {
        self.watcher.applied(committed);
    }

    fn refused(&self, nack: &v1::Nack) {
        self.watcher.refused(nack);
    }

    fn loaded(&self, subscription: u64) {
        self.demand.note_loaded(subscription);
        self.watcher.loaded(subscription);
    }
}

fn hello(ledger: &Ledger, options: &FollowOptions) -> v1::SinkMessage {
    let snapshot = ledger.store().load();
    let held = !snapshot.is_unset();
    let hello = v1::SinkHello {
        protocol: PROTOCOL,
        node: Some(protocol::node(&options.node)),
        version: held.then(|| version(snapshot.version())),
        digest: held.then(|| digest(snapshot.digest(), true)),
        mode: if options.on_demand.is_some() { v1::WatchMode::OnDemand } else { v1::WatchMode::All }.into(),
        heartbeat: Some(protocol::duration(options.heartbeat)),
        max_message_bytes: u32::try_from(MAX_MESSAGE).unwrap_or(u32::MAX),
    };
    v1::SinkMessage { message: Some(v1::sink_message::Message::Hello(hello)) }
}

fn reason(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    }
}
