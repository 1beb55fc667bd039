//! Connections, and calls over them.
//!
//! Must not know: when calls are made, how they are counted.

use super::codec::{Answer, Batch, Checked, EnvoyAnswer, Raw, StreamAnswer, Streamed, Unread};
use super::questions::{Mode, Prepared};
use super::tally::{Failure, Outcome};
use crate::tls::client::{Credentials, Link};
use bytes::Bytes;
use http::uri::PathAndQuery;
use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// The deadline is over.
const LATE: Failure = Failure { code: Code::DeadlineExceeded, local: false };

/// Connects to a server.
///
/// # Errors
/// That nobody answers there who is trusted, and why.
pub(super) async fn connect(url: &str, credentials: &Credentials) -> Result<Link, String> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| {
        format!("`{url}` is no address; write http://ADDRESS:PORT, https://ADDRESS:PORT or unix:PATH")
    })?;
    credentials.connect(endpoint, CONNECT).await.map_err(|why| {
        let remedy = if url.starts_with("https:") {
            "start the server first, and name whom to trust with --authorities"
        } else {
            "start the server first"
        };
        format!("nobody answers at `{url}` ({why}); {remedy}")
    })
}

/// Makes one call, whose answer nobody reads.
///
/// # Errors
/// As the server, or the connection, has it.
pub(super) async fn ask(link: Link, path: PathAndQuery, body: Bytes) -> Result<(), Status> {
    let mut grpc = Grpc::new(link);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    grpc.unary(Request::new(body), path, Raw::<Unread>::default()).await.map(|_| ())
}

/// One connection, which many calls share.
pub(super) struct Line {
    link: Link,
    stream: Mutex<Stream>,
}

/// The stream of a connection, while it is open.
#[derive(Default)]
struct Stream {
    questions: Option<mpsc::UnboundedSender<Streamed>>,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
}

impl Line {
    /// A line over a connection.
    pub(super) fn new(link: Link) -> Self {
        Self { link, stream: Mutex::default() }
    }
}

/// Makes calls, one after the other.
pub(super) struct Caller {
    line: Arc<Line>,
    grpc: Grpc<Link>,
    path: PathAndQuery,
    mode: Mode,
    /// Questions in a call.
    each: u64,
    /// Of the last question on a stream: the caller, and how many it has asked.
    id: u64,
    deadline: Option<Duration>,
}

impl Caller {
    /// A caller on a line, of which no two have the same number.
    pub(super) fn new(
        line: &Arc<Line>,
        number: u32,
        prepared: &Prepared,
        deadline: Option<Duration>,
    ) -> Self {
        Self {
            line: Arc::clone(line),
            grpc: Grpc::new(line.link.clone()),
            path: prepared.path.clone(),
            mode: prepared.mode,
            each: prepared.each,
            id: number.into(),
            deadline,
        }
    }

    /// Sends one message and waits for what comes of it.
    pub(super) async fn call(&mut self, body: Bytes) -> Outcome {
        let Some(deadline) = self.deadline else { return self.answer(body).await };
        match tokio::time::timeout(deadline, self.answer(body)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // An answer that comes now is nobody's.
                lock(&self.line.stream).waiting.remove(&self.id);
                Outcome::failure(LATE, self.each)
            }
        }
    }

    async fn answer(&mut self, body: Bytes) -> Outcome {
        match self.mode {
            Mode::Unary => self.unary::<Checked>(body).await,
            Mode::Batch => self.unary::<Batch>(body).await,
            Mode::ExtAuthz => self.unary::<EnvoyAnswer>(body).await,
            Mode::Raw => self.unary::<Unread>(body).await,
            Mode::Stream => self.streamed(body).await,
        }
    }

    async fn unary<T: Answer>(&mut self, body: Bytes) -> Outcome {
        let mut request = Request::new(body);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        if let Err(error) = self.grpc.ready().await {
            return Outcome::failure(failure(&Status::from_error(error.into()), true), self.each);
        }
        match self.grpc.unary(request, self.path.clone(), Raw::<T>::default()).await {
            Ok(answer) => self.whole(answer.get_ref().outcome()),
            // Whichever side noticed first that the time was over.
            Err(status) if self.deadline.is_some() && status.code() == Code::Cancelled => {
                Outcome::failure(LATE, self.each)
            }
            Err(status) => Outcome::failure(failure(&status, false), self.each),
        }
    }

    /// Results that an answer should have had and has not are failures.
    fn whole(&self, mut outcome: Outcome) -> Outcome {
        let told = outcome.answered() + outcome.shed() + outcome.errors();
        if told != self.each {
            outcome = Outcome::failure(Failure { code: Code::Internal, local: true }, self.each);
        }
        outcome
    }

    async fn streamed(&mut self, check: Bytes) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        self.id = self.id.wrapping_add(1 << 32);
        {
            let mut stream = lock(&self.line.stream);
            stream.waiting.insert(self.id, answer);
            let line = &self.line;
            let questions = stream.questions.get_or_insert_with(|| open(line, &self.grpc, &self.path));
            // Where the stream has just ended, its end answers whoever waits.
            let _ended = questions.send(Streamed { id: self.id, check });
        }
        let broken = || Outcome::failure(Failure { code: Code::Unavailable, local: true }, 1);
        outcome.await.unwrap_or_else(|_| broken())
    }
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the stream of a line.
fn open(line: &Arc<Line>, grpc: &Grpc<Link>, path: &PathAndQuery) -> mpsc::UnboundedSender<Streamed> {
    // Bounded by the callers, each of which waits for its answer.
    let (sender, questions) = mpsc::unbounded_channel();
    let (line, mut grpc, path) = (Arc::clone(line), grpc.clone(), path.clone());
    tokio::spawn(async move {
        let failure = read(&line, &mut grpc, path, questions).await;
        let mut stream = lock(&line.stream);
        stream.questions = None;
        for (_, waiting) in stream.waiting.drain() {
            let _gone = waiting.send(Outcome::failure(failure, 1));
        }
    });
    sender
}

/// Hands answers to those that wait for them, until the stream ends; says how it ended.
async fn read(
    line: &Line,
    grpc: &mut Grpc<Link>,
    path: PathAndQuery,
    questions: mpsc::UnboundedReceiver<Streamed>,
) -> Failure {
    if let Err(error) = grpc.ready().await {
        return failure(&Status::from_error(error.into()), true);
    }
    let request = Request::new(UnboundedReceiverStream::new(questions));
    let codec = ProstCodec::<Streamed, StreamAnswer>::default();
    let mut answers = match grpc.streaming(request, path, codec).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return failure(&status, false),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                let mut stream = lock(&line.stream);
                if let Some(waiting) = stream.waiting.remove(&answer.id) {
                    let _gone = waiting.send(answer.outcome());
                }
            }
            Ok(None) => return Failure { code: Code::Unavailable, local: true },
            Err(status) => return failure(&status, false),
        }
    }
}

/// What a status is: something that the server said, or something that happened to the connection.
fn failure(status: &Status, local: bool) -> Failure {
    Failure { code: status.code(), local: local || status.source().is_some() }
}
