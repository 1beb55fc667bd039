//! A publisher: asks a server what it holds, and brings it to something else, once.
//!
//! Must not know: where the configuration comes from.

use super::feed::{Feed, Listener, Stop};
use super::follow::endpoint;
use super::ledger::{Committed, Ledger};
use super::protocol::{self, MAX_MESSAGE, PROTOCOL, digest, version, version_of};
use super::sink::{Ended, Sink, Watcher};
use crate::model::{Digest, Version};
use crate::proto::v1;
use crate::proto::v1::sync_service_client::SyncServiceClient;
use crate::store::{Settings, Store};
use crate::tls::client::{Link, Server};
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use v1::sink_message::Message as Said;

/// How long a server may take until it says who it is.
const FIRST: Duration = Duration::from_secs(10);
/// How long a server may take to hear that a stream has ended.
const FAREWELL: Duration = Duration::from_secs(2);
/// How many messages may lie ready for the transport.
const READY: usize = 8;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody is there, or the connection broke; another attempt may go better.
    Away(String),
    /// The server does not want this.
    Refused(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Away(text) | Self::Refused(text)) = self;
        f.write_str(text)
    }
}

fn trouble(address: &str, status: &Status) -> Trouble {
    let text = format!("`{address}`: {}", reason(status));
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented | Code::PermissionDenied => {
            Trouble::Refused(text)
        }
        _ => Trouble::Away(text),
    }
}

fn reason(status: &Status) -> String {
    match status.code() {
        Code::Unimplemented => {
            "it does not speak the sync protocol; name its sync listener (--sync-listen, --sync-socket)"
                .to_owned()
        }
        code if status.message().is_empty() => format!("{code:?}"),
        _ => status.message().to_owned(),
    }
}

/// A connection to a sync listener.
///
/// # Errors
/// When nobody is there, or nobody who is trusted.
pub async fn connect(server: &Server) -> Result<Link, Trouble> {
    let endpoint = endpoint(&server.address).map_err(Trouble::Refused)?;
    let connected = server.credentials.connect(endpoint, FIRST).await;
    connected.map_err(|why| Trouble::Away(format!("nobody answers at `{}`: {why}", server.address)))
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Who it is.
    pub node: v1::Node,
    /// What it holds; nothing at all where it holds no configuration.
    pub version: Version,
    /// What that sums up to.
    pub digest: Digest,
}

type Messages = Pin<Box<dyn Stream<Item = Result<v1::SourceMessage, Status>> + Send>>;

/// A follower's stream that has begun.
pub struct Watching {
    /// What the server said first.
    pub introduction: Introduction,
    hello: v1::SourceHello,
    to: mpsc::Sender<v1::SinkMessage>,
    from: Messages,
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").field("introduction", &self.introduction).finish_non_exhaustive()
    }
}

/// Asks a server for what it holds, from nothing on, or from what is held here.
///
/// # Errors
/// When nobody is there, or it is no server of this protocol.
pub async fn watch(server: &Server, node: &str, held: Option<&Store>) -> Result<Watching, Trouble> {
    let (channel, address) = (connect(server).await?, server.address.as_str());
    let (to, messages) = mpsc::channel(READY);
    let snapshot = held.map(Store::load).filter(|snapshot| !snapshot.is_unset());
    let hello = v1::SinkHello {
        protocol: PROTOCOL,
        node: Some(protocol::node(node)),
        version: snapshot.as_ref().map(|it| version(it.version())),
        digest: snapshot.as_ref().map(|it| digest(it.digest(), true)),
        mode: v1::WatchMode::All.into(),
        heartbeat: Some(protocol::duration(protocol::HEARTBEAT)),
        max_message_bytes: u32::try_from(MAX_MESSAGE).unwrap_or(u32::MAX),
    };
    let hello = v1::SinkMessage { message: Some(Said::Hello(hello)) };
    if to.send(hello).await.is_err() {
        return Err(Trouble::Away(format!("`{address}` closed the stream")));
    }
    let messages = ReceiverStream::new(messages).map(|message| v1::WatchRequest { message: Some(message) });
    let mut client = SyncServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let asked = timeout(FIRST, client.watch(messages)).await;
    let silent = || Trouble::Away(format!("`{address}` said nothing within {FIRST:?}"));
    let answer = asked.map_err(|_| silent())?.map_err(|status| trouble(address, &status))?;
    let mut from: Messages = Box::pin(answer.into_inner().map(|message| {
        message.and_then(|it| it.message.ok_or_else(|| Status::invalid_argument("an empty message")))
    }));
    let first = timeout(FIRST, from.next()).await.map_err(|_| silent())?;
    let hello = match first {
        Some(Ok(v1::SourceMessage { message: Some(v1::source_message::Message::Hello(hello)) }))
            if hello.protocol == PROTOCOL =>
        {
            hello
        }
        Some(Ok(_)) => return Err(Trouble::Refused(format!("`{address}` speaks another protocol"))),
        Some(Err(status)) => return Err(trouble(address, &status)),
        None => return Err(Trouble::Away(format!("`{address}` closed the stream"))),
    };
    let introduction = Introduction {
        node: hello.node.clone().unwrap_or_default(),
        version: version_of(hello.version.as_ref()),
        digest: hello.digest.as_ref().map(protocol::digest_of).unwrap_or_default(),
    };
    Ok(Watching { introduction, hello, to, from })
}

impl Watching {
    /// Takes what comes into this ledger until the stream ends. Gives the reason of that.
    pub async fn run(self, ledger: &Arc<Ledger>, watcher: &dyn Watcher) -> Trouble {
        match Sink::new(ledger, watcher, self.to, protocol::HEARTBEAT).run(&self.hello, self.from).await {
            Ended::Closed => Trouble::Away("it closed the stream".to_owned()),
            Ended::Broken(status) => Trouble::Away(reason(&status)),
            Ended::OutOfTurn(message) => {
                Trouble::Refused(format!("it said something out of turn: {message}"))
            }
            Ended::Silent => Trouble::Away("nothing was heard for three heartbeats".to_owned()),
        }
    }
}

/// What a server holds.
#[derive(Debug)]
pub struct Held {
    /// Who it is, and what it said that it holds.
    pub introduction: Introduction,
    /// A copy of it; it stands on what the server holds, or on a new epoch where that is nothing.
    pub ledger: Arc<Ledger>,
}

/// Fetches everything that a server holds.
///
/// # Errors
/// When nobody is there, or what it holds cannot be taken here.
pub async fn fetch(server: &Server, node: &str, settings: Settings, new_epoch: u64) -> Result<Held, Trouble> {
    let (watching, address) = (watch(server, node, None).await?, server.address.as_str());
    let introduction = watching.introduction.clone();
    if introduction.version == Version::default() {
        let history = Version { epoch: new_epoch, revision: 0 };
        let ledger = Arc::new(Ledger::new(Arc::new(Store::with_history(settings, history))));
        return Ok(Held { introduction, ledger });
    }
    let ledger = Arc::new(Ledger::new(Arc::new(Store::new(settings))));
    let here = Arrivals::default();
    let mut arrived = here.newest.subscribe();
    let arrived = arrived.wait_for(Option::is_some);
    tokio::select! {
        trouble = watching.run(&ledger, &here) => {
            return Err(Trouble::Away(format!("`{address}`: {trouble}")));
        }
        first = arrived => {
            // The sender is here.
            if let Some(Some(Err(refused))) = first.ok().as_deref() {
                return Err(Trouble::Refused(format!("what `{address}` holds cannot be taken: {refused}")));
            }
        }
    }
    Ok(Held { introduction, ledger })
}

/// Tells of the first thing that arrives.
#[derive(Debug, Default)]
struct Arrivals {
    newest: watch::Sender<Option<Result<Version, String>>>,
}

impl Watcher for Arrivals {
    fn applied(&self, committed: &Committed) {
        self.newest.send_replace(Some(Ok(committed.snapshot.version())));
    }

    fn refused(&self, nack: &v1::Nack) {
        self.newest.send_replace(Some(Err(nack.message.clone())));
    }
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq)]
pub enum Pushed {
    /// It is in force.
    InForce(Version),
    /// It was refused, with everything that is wrong with it.
    Refused(v1::Nack),
    /// The server holds something else by now.
    Moved,
}

/// Something on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// So much of so much went out.
    Progress(u64, u64),
    /// It is in force.
    InForce(Version),
}

/// How to push.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// Who pushes.
    pub node: String,
    /// Whether to take the place of another publisher.
    pub take_over: bool,
    /// Whether to stay and confirm what is in force, until this is no longer awaited; else it ends once it is in force.
    pub stay: bool,
}

/// Brings a server that holds `base` to what this ledger holds.
///
/// # Errors
/// When nobody is there, or it takes nothing from here.
pub async fn push(
    ledger: &Ledger,
    base: Version,
    server: &Server,
    options: &PushOptions,
    mut tell: impl FnMut(Event) + Send,
) -> Result<Pushed, Trouble> {
    let (channel, address) = (connect(server).await?, server.address.as_str());
    let (to, messages) = mpsc::channel(READY);
    let snapshot = ledger.snapshot();
    let hello = v1::SourceHello {
        protocol: PROTOCOL,
        node: Some(protocol::node(&options.node)),
        version: Some(version(snapshot.version())),
        digest: Some(digest(snapshot.digest(), false)),
        heartbeat: Some(protocol::duration(protocol::HEARTBEAT)),
        take_over: options.take_over,
        leaves: !options.stay,
    };
    let hello = v1::SourceMessage { message: Some(v1::source_message::Message::Hello(hello)) };
    if to.send(hello).await.is_err() {
        return Err(Trouble::Away(format!("`{address}` closed the stream")));
    }
    let messages = ReceiverStream::new(messages).map(|message| v1::PushRequest { message: Some(message) });
    let mut client = SyncServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let silent = || Trouble::Away(format!("`{address}` said nothing within {FIRST:?}"));
    let asked = timeout(FIRST, client.push(messages)).await.map_err(|_| silent())?;
    let mut from = asked.map_err(|status| trouble(address, &status))?.into_inner();
    let first = timeout(FIRST, from.next()).await.map_err(|_| silent())?;
    let hello = match first {
        Some(Ok(v1::PushResponse {
            message: Some(v1::SinkMessage { message: Some(Said::Hello(hello)) }),
        })) => hello,
        Some(Ok(_)) => return Err(Trouble::Refused(format!("`{address}` speaks another protocol"))),
        Some(Err(status)) => return Err(trouble(address, &status)),
        None => return Err(Trouble::Away(format!("`{address}` closed the stream"))),
    };
    let there = version_of(hello.version.as_ref());
    if there != base {
        return Ok(Pushed::Moved);
    }
    let (moved, broken) = (AtomicBool::new(false), Mutex::new(None));
    let note = |message: Result<v1::PushResponse, Status>| match message {
        // Somebody else was faster. To bring it from there to here would take away what that one brought.
        Ok(v1::PushResponse { message: Some(v1::SinkMessage { message: Some(Said::Resync(_)) }) }) => {
            moved.store(true, Ordering::Relaxed);
            None
        }
        Ok(v1::PushResponse { message: Some(message) }) => Some(Ok(message)),
        Ok(v1::PushResponse { message: None }) => None,
        Err(status) => {
            *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.clone());
            Some(Err(status))
        }
    };
    let heard = from.by_ref().map(note).take_while(|message| std::future::ready(message.is_some()));
    let heard = Box::pin(heard.filter_map(std::future::ready));
    let (target, stay) = (snapshot.version(), options.stay);
    let listener = Pushing { target, stay, damaged: false, outcome: None, tell: &mut tell };
    let (listener, stop) = Feed::new(ledger, listener, &hello, to, protocol::HEARTBEAT).run(heard).await;
    if let Some(outcome) = listener.outcome {
        // The end of the stream was said; that it was heard shows in the end of the other side. One that is cut off here
        // would look like a publisher that broke.
        let rest = from.take_while(|message| std::future::ready(message.is_ok()));
        let _slow = timeout(FAREWELL, rest.for_each(|_| std::future::ready(()))).await;
        return Ok(outcome);
    }
    if moved.load(Ordering::Relaxed) {
        return Ok(Pushed::Moved);
    }
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    Err(match (broken, stop) {
        (Some(status), _) => trouble(address, &status),
        (None, Stop::Slow) => Trouble::Away(format!("`{address}` took nothing for 30 seconds")),
        (None, Stop::OutOfTurn(message)) => Trouble::Refused(format!("`{address}`: {message}")),
        (None, Stop::Closed) => Trouble::Away(format!("`{address}` closed the stream")),
    })
}

/// Waits for the answer to one version.
struct Pushing<'a> {
    target: Version,
    stay: bool,
    /// Whether it arrived damaged once.
    damaged: bool,
    outcome: Option<Pushed>,
    tell: &'a mut (dyn FnMut(Event) + Send),
}

impl Listener for Pushing<'_> {
    fn acknowledged(&mut self, ack: &v1::Ack) {
        let version = version_of(ack.version.as_ref());
        if version == self.target {
            (self.tell)(Event::InForce(version));
            self.outcome = (!self.stay).then_some(Pushed::InForce(version));
        }
    }

    fn refused(&mut self, nack: &v1::Nack) {
        // What arrived damaged is sent once more.
        if nack.reason() != v1::NackReason::Corrupt || self.damaged {
            self.outcome = Some(Pushed::Refused(nack.clone()));
        }
        self.damaged = true;
    }

    fn progress(&mut self, sent: u64, all: u64) {
        (self.tell)(Event::Progress(sent, all));
    }

    fn is_done(&self) -> bool {
        self.outcome.is_some()
    }
}
