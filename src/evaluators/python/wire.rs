//! What the server and a Python worker say to each other: frames of a length (four bytes, big endian) and a message.
//!
//! A worker takes one program at a time. While it runs it may ask; the answer may be another program, which it runs
//! before it goes on with the first.

use super::plain::{Plain, few};
use crate::policy::python::{MAX_MESSAGES, Outcome};
use crate::policy::{Changes, Verdict};
use monty_types::MontyObject;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::time::Duration;

/// The largest frame, in bytes. What a question brings is bounded far below it.
pub(super) const MAX_FRAME: usize = 8 << 20;

/// To a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// Run this.
    Run(Run),
    /// The answer to what it asked.
    Answer(MontyObject),
}

/// A program to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// The script's key.
    pub(super) key: u64,
    /// The script's name and text; left out when the worker should have it.
    pub(super) script: Option<(String, String)>,
    /// What it sees.
    pub(super) input: MontyObject,
    /// How long it may run.
    pub(super) limit: Duration,
    /// Whether it may ask.
    pub(super) asks: bool,
    /// Whether it takes long, and should stand back behind what else the machine has to do.
    pub(super) beside: bool,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// It does not have the script: send it again with its text.
    Unknown,
    /// It asks.
    Ask(Ask),
    /// It is done.
    Done {
        /// What came of it.
        said: Said,
        /// The worker has grown and should run nothing any more.
        spent: bool,
        /// The processor's time that the worker has used since it was started.
        used: Duration,
    },
}

/// What a running program asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// What another policy says.
    Policy {
        /// Its name.
        name: String,
        /// The context as it is now.
        values: Plain,
        /// The user's attributes as they are now.
        attributes: Plain,
    },
    /// Users with these values.
    Users(Plain),
}

/// What a program said.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said {
    result: Result<bool, String>,
    #[serde(deserialize_with = "few::<MAX_MESSAGES, _, _>")]
    messages: Vec<String>,
    values: Option<Plain>,
    attributes: Option<Plain>,
    raw: Plain,
}

impl From<Outcome> for Said {
    fn from(outcome: Outcome) -> Self {
        let Outcome { verdict, raw } = outcome;
        let changes = verdict.changes.map(|changes| *changes);
        let (values, attributes) =
            changes.map_or((None, None), |changes| (changes.values, changes.attributes));
        Self {
            result: verdict.result.map_err(String::from),
            messages: verdict.messages.into_iter().map(String::from).collect(),
            values: values.map(Plain),
            attributes: attributes.map(Plain),
            raw: Plain(raw),
        }
    }
}

impl From<Said> for Outcome {
    fn from(said: Said) -> Self {
        let Said { result, messages, values, attributes, raw } = said;
        let (values, attributes) = (values.map(|it| it.0), attributes.map(|it| it.0));
        let changes =
            (values.is_some() || attributes.is_some()).then(|| Box::new(Changes { values, attributes }));
        let messages = messages.into_iter().map(Into::into).collect();
        let verdict = Verdict { result: result.map_err(Into::into), messages, valid_until: None, changes };
        Self { verdict, raw: raw.0 }
    }
}

/// Reads what a worker sent.
pub(super) fn decode(frame: &[u8]) -> io::Result<FromWorker> {
    postcard::from_bytes(frame).map_err(io::Error::other)
}

/// Reads one message; nothing at the end.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<ToWorker>> {
    let mut length = [0_u8; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
    }
    let mut frame = vec![0_u8; length];
    from.read_exact(&mut frame)?;
    postcard::from_bytes(&frame).map(Some).map_err(io::Error::other)
}

/// Writes one message in one piece.
pub(super) fn write(to: &mut impl Write, message: &FromWorker) -> io::Result<()> {
    let mut frame = postcard::to_extend(message, vec![0_u8; 4]).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = length.to_be_bytes();
    }
    to.write_all(&frame)?;
    to.flush()
}
