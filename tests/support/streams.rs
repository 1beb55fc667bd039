//! The sides of the sync protocol that the tests speak for: a server, a publisher that keeps at it, and one that says
//! what it is told to.
//!
//! Must not know: what a connection is made of.

use bindery::model::Version;
use bindery::proto::v1;
use bindery::proto::v1::sync_service_client::SyncServiceClient;
use bindery::sync::feed::{Deaf, Feed, Stop};
use bindery::sync::ledger::Ledger;
use bindery::sync::protocol::{self, PROTOCOL};
use bindery::sync::service::{SyncApi, SyncOptions};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// A server's side of one stream that the test speaks on.
pub(crate) type Answers = Streaming<v1::PushResponse>;

pub(crate) fn options(node: &str, heartbeat: Duration) -> SyncOptions {
    SyncOptions { node: node.into(), closed_to_publishers: None, max_followers: 64, heartbeat }
}

/// The service, and what stops it.
pub(crate) fn service(
    ledger: &Arc<Ledger>,
    node: &str,
    heartbeat: Duration,
) -> (SyncApi, watch::Sender<bool>) {
    let (stop, stopping) = watch::channel(false);
    (SyncApi::new(Arc::clone(ledger), options(node, heartbeat), stopping), stop)
}

pub(crate) fn introduction(
    ledger: &Ledger,
    node: &str,
    take_over: bool,
    every: Duration,
) -> v1::SourceMessage {
    let snapshot = ledger.snapshot();
    let hello = v1::SourceHello {
        protocol: PROTOCOL,
        node: Some(protocol::node(node)),
        version: Some(protocol::version(snapshot.version())),
        digest: Some(protocol::digest(snapshot.digest(), false)),
        heartbeat: Some(protocol::duration(every)),
        take_over,
        leaves: false,
    };
    v1::SourceMessage { message: Some(v1::source_message::Message::Hello(hello)) }
}

/// Publishes on one connection, to its end.
pub(crate) async fn publish(
    ledger: &Ledger,
    channel: Channel,
    node: &str,
    every: Duration,
) -> Result<Stop, Status> {
    let (to, messages) = mpsc::channel(8);
    to.send(introduction(ledger, node, true, every)).await.map_err(|_| Status::aborted("closed"))?;
    let (hello, from) = greet(channel, messages).await?;
    let from = from.map(|message| message.and_then(|it| it.message.ok_or_else(|| Status::aborted("empty"))));
    Ok(Feed::new(ledger, Deaf, &hello, to, every).run(from).await.1)
}

/// Opens a stream on which the test speaks. Gives what the other side said first.
pub(crate) async fn greet(
    channel: Channel,
    messages: mpsc::Receiver<v1::SourceMessage>,
) -> Result<(v1::SinkHello, Answers), Status> {
    let messages = ReceiverStream::new(messages).map(|message| v1::PushRequest { message: Some(message) });
    let mut from = SyncServiceClient::new(channel).push(messages).await?.into_inner();
    match from.next().await {
        Some(Ok(v1::PushResponse { message: Some(v1::SinkMessage { message: Some(first) }) })) => match first
        {
            v1::sink_message::Message::Hello(hello) => Ok((hello, from)),
            other => Err(Status::internal(format!("{other:?}"))),
        },
        Some(Ok(other)) => Err(Status::internal(format!("{other:?}"))),
        Some(Err(status)) => Err(status),
        None => Err(Status::aborted("closed")),
    }
}

/// Takes the place of whoever publishes and sends one change upon what is held. Gives what is answered to it.
pub(crate) async fn push_once(
    channel: Channel,
    change: impl FnOnce(Version) -> v1::Delta,
) -> Result<v1::sink_message::Message, Status> {
    let nothing = Ledger::new(Arc::new(bindery::store::Store::new(bindery::store::Settings::default())));
    let (to, messages) = mpsc::channel(8);
    let hello = introduction(&nothing, "somebody else", true, Duration::from_secs(10));
    to.send(hello).await.map_err(|_| Status::aborted("closed"))?;
    let (hello, mut from) = greet(channel, messages).await?;
    let delta = change(protocol::version_of(hello.version.as_ref()));
    let message = v1::source_message::Message::Delta(delta);
    to.send(v1::SourceMessage { message: Some(message) }).await.map_err(|_| Status::aborted("closed"))?;
    while let Some(answer) = from.next().await {
        match answer?.message.and_then(|it| it.message) {
            None | Some(v1::sink_message::Message::Heartbeat(_)) => {}
            Some(answer) => return Ok(answer),
        }
    }
    Err(Status::aborted("closed"))
}
