//! The Sync service: publishers and followers on their streams.
//!
//! Must not know: what a change means.

use super::feed::{Deaf, Feed};
use super::ledger::Ledger;
use super::partial::PartialFeed;
use super::protocol::{self, MAX_MESSAGE, PROTOCOL, digest, heartbeat_of, node_of, version};
use super::sink::{Ended, Nobody, Sink};
use crate::proto::v1;
use crate::proto::v1::sync_service_server::{SyncService, SyncServiceServer};
use crate::telemetry::Metrics;
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// How many messages may lie ready for the transport of one stream: few, since what is urgent waits behind them.
const READY: usize = 2;
/// How long a caller may take until its first message.
const FIRST: Duration = Duration::from_secs(10);

/// What a server allows on its sync listener.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// What this process is called.
    pub node: String,
    /// Why nobody may publish here; nothing: somebody may.
    pub closed_to_publishers: Option<&'static str>,
    /// The most followers at once.
    pub max_followers: usize,
    /// How often something is said at least. Default: 10 seconds.
    pub heartbeat: Duration,
}

/// Serves publishers and followers from a ledger.
#[derive(Clone, Debug)]
pub struct SyncApi {
    ledger: Arc<Ledger>,
    options: SyncOptions,
    followers: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl SyncApi {
    /// Serves until `stopping` says so: streams never end by themselves.
    pub fn new(ledger: Arc<Ledger>, options: SyncOptions, stopping: watch::Receiver<bool>) -> Self {
        let followers = Arc::new(Semaphore::new(options.max_followers));
        Self { ledger, options, followers, stopping }
    }

    /// As a service for a server, with its limits.
    pub fn into_service(self) -> SyncServiceServer<Self> {
        SyncServiceServer::new(self)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }
}

/// Resolves when the server stops.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the end, too.
    let _either = stopping.wait_for(|stop| *stop).await;
}

fn going_away() -> Status {
    Status::unavailable("the server is shutting down; connect again and go on from what is held")
}

fn spoken(protocol: u32) -> Result<(), Status> {
    if protocol == PROTOCOL {
        return Ok(());
    }
    let text = format!("protocol: {protocol} is not spoken here; speak {PROTOCOL}");
    Err(Status::failed_precondition(text))
}

fn named(node: Option<v1::Node>) -> Result<v1::Node, Status> {
    node_of(node).ok_or_else(|| {
        Status::invalid_argument("hello.node.id: missing or longer than 255 bytes; say who you are")
    })
}

/// The first message of a stream.
async fn first<T>(from: &mut (impl Stream<Item = Result<T, Status>> + Unpin)) -> Result<T, Status> {
    match tokio::time::timeout(FIRST, from.next()).await {
        Ok(Some(message)) => message,
        Ok(None) => Err(Status::invalid_argument("hello: missing; say it first")),
        Err(_) => Err(Status::deadline_exceeded("hello: nothing was said for 10 seconds; say it first")),
    }
}

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Messages of one side as the transport's, ended by a status where there is one.
fn outgoing<M: Send + 'static, T: Send + 'static>(
    messages: mpsc::Receiver<M>,
    end: tokio::sync::oneshot::Receiver<Status>,
    wrap: fn(M) -> T,
) -> Out<T> {
    let messages = ReceiverStream::new(messages).map(move |message| Ok(wrap(message)));
    let end = futures_util::stream::once(end).filter_map(|end| async move { end.ok().map(Err) });
    Box::pin(messages.chain(end))
}

#[tonic::async_trait]
impl SyncService for SyncApi {
    type PushStream = Out<v1::PushResponse>;
    type WatchStream = Out<v1::WatchResponse>;

    async fn push(
        &self,
        request: Request<Streaming<v1::PushRequest>>,
    ) -> Result<Response<Self::PushStream>, Status> {
        if let Some(why) = self.options.closed_to_publishers {
            return Err(Status::failed_precondition(why));
        }
        let mut from = Box::pin(request.into_inner().map(|message| {
            message
                .and_then(|it| it.message.ok_or_else(|| Status::invalid_argument("message: missing; set it")))
        }));
        let hello = match first(&mut from).await?.message {
            Some(v1::source_message::Message::Hello(hello)) => hello,
            _ => return Err(Status::invalid_argument("hello: missing; say it first")),
        };
        spoken(hello.protocol)?;
        let node = named(hello.node.clone())?;
        // Whether there is room is known before the stream is accepted.
        drop(self.ledger.publish(&node.id, hello.take_over).map_err(|holder| held_by(&holder))?);
        let (to, messages) = mpsc::channel(READY);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (ledger, options, stopping) =
            (Arc::clone(&self.ledger), self.options.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let status = publish(&ledger, &options, &hello, &node, from, to, stopping).await;
            // Who is gone does not hear why.
            let _gone = status.map(|status| end.send(status));
        });
        Ok(Response::new(outgoing(messages, ended, |message| v1::PushResponse { message: Some(message) })))
    }

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let Ok(place) = Arc::clone(&self.followers).try_acquire_owned() else {
            let text = format!("{} follow already; ask another hub", self.options.max_followers);
            return Err(Status::resource_exhausted(text));
        };
        let mut from = Box::pin(request.into_inner().map(|message| {
            message
                .and_then(|it| it.message.ok_or_else(|| Status::invalid_argument("message: missing; set it")))
        }));
        let hello = match first(&mut from).await?.message {
            Some(v1::sink_message::Message::Hello(hello)) => hello,
            _ => return Err(Status::invalid_argument("hello: missing; say it first")),
        };
        spoken(hello.protocol)?;
        let node = named(hello.node.clone())?;
        let (to, messages) = mpsc::channel(READY);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (ledger, options, stopping) =
            (Arc::clone(&self.ledger), self.options.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let snapshot = ledger.snapshot();
            let introduction = v1::SourceHello {
                protocol: PROTOCOL,
                node: Some(protocol::node(&options.node)),
                version: Some(version(snapshot.version())),
                // Of a part, nobody knows the sum before it is chosen.
                digest: (hello.mode() != v1::WatchMode::OnDemand).then(|| digest(snapshot.digest(), true)),
                heartbeat: Some(protocol::duration(options.heartbeat)),
                ..Default::default()
            };
            drop(snapshot);
            let message = v1::source_message::Message::Hello(introduction);
            if to.send(v1::SourceMessage { message: Some(message) }).await.is_err() {
                return;
            }
            let _here = Here::new(ledger.metrics(), Metrics::followers);
            tracing::info!(follower = node.id, software = node.software, "somebody follows");
            let all = hello.mode() != v1::WatchMode::OnDemand;
            let serving = async {
                if all {
                    Feed::new(&ledger, Deaf, &hello, to, options.heartbeat).run(from).await.1
                } else {
                    PartialFeed::new(&ledger, &hello, to, options.heartbeat).run(from).await
                }
            };
            let status = tokio::select! {
                stop = serving => stop.status(),
                () = stopped(stopping) => Some(going_away()),
            };
            tracing::info!(
                follower = node.id,
                reason = status.as_ref().map(|status| status.message().to_owned()),
                "somebody follows no more"
            );
            drop(place);
            let _gone = status.map(|status| end.send(status));
        });
        Ok(Response::new(outgoing(messages, ended, |message| v1::WatchResponse { message: Some(message) })))
    }
}

/// Counts somebody for as long as it is here.
struct Here {
    metrics: Arc<Metrics>,
    count: fn(&Metrics, i64),
}

impl Here {
    fn new(metrics: &Arc<Metrics>, count: fn(&Metrics, i64)) -> Self {
        count(metrics, 1);
        Self { metrics: Arc::clone(metrics), count }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        (self.count)(&self.metrics, -1);
    }
}

fn held_by(holder: &str) -> Status {
    Status::failed_precondition(format!(
        "`{holder}` publishes here already; stop it, or say hello with take_over to take its place"
    ))
}

/// Serves one publisher to its end. Gives the status that it hears.
async fn publish(
    ledger: &Arc<Ledger>,
    options: &SyncOptions,
    hello: &v1::SourceHello,
    node: &v1::Node,
    from: impl Stream<Item = Result<v1::SourceMessage, Status>> + Unpin,
    to: mpsc::Sender<v1::SinkMessage>,
    stopping: watch::Receiver<bool>,
) -> Option<Status> {
    let mut publishing = match ledger.publish(&node.id, hello.take_over) {
        Ok(publishing) => publishing,
        Err(holder) => return Some(held_by(&holder)),
    };
    let snapshot = ledger.store().load();
    let introduction = v1::SinkHello {
        protocol: PROTOCOL,
        node: Some(protocol::node(&options.node)),
        version: Some(version(snapshot.version())),
        digest: Some(digest(snapshot.digest(), true)),
        mode: v1::WatchMode::All.into(),
        heartbeat: Some(protocol::duration(options.heartbeat)),
        max_message_bytes: u32::try_from(MAX_MESSAGE).unwrap_or(u32::MAX),
    };
    let message = v1::sink_message::Message::Hello(introduction);
    to.send(v1::SinkMessage { message: Some(message) }).await.ok()?;
    let _here = Here::new(ledger.metrics(), Metrics::publishers);
    tracing::info!(publisher = node.id, software = node.software, "somebody publishes");
    let every = options.heartbeat.min(heartbeat_of(hello.heartbeat.as_ref()));
    let sink = Sink::new(ledger, &Nobody, to, every);
    let status = tokio::select! {
        ended = sink.run(hello, from) => match ended {
            Ended::Closed | Ended::Broken(_) => None,
            Ended::OutOfTurn(message) => Some(Status::invalid_argument(message)),
            Ended::Silent => Some(Status::deadline_exceeded("nothing was heard for three heartbeats; say something")),
        },
        Ok(other) = &mut publishing.displaced => {
            ledger.store().load().freshness().fall_behind();
            Some(Status::aborted(format!("`{other}` publishes here now")))
        }
        () = stopped(stopping) => Some(going_away()),
    };
    let reason = status.as_ref().map(|status| status.message().to_owned());
    tracing::info!(publisher = node.id, reason, "somebody publishes no more");
    status
}
