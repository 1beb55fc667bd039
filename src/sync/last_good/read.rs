//! From the file to a store.
//!
//! Must not know: how the file is written.

use super::{FORMAT, HEADER, MAGIC, MAX_RECORD};
use crate::proto::v1;
use crate::store::{Settings, Store};
use crate::sync::apply::{apply_sent, merge};
use crate::sync::receive::{Receiver, Step};
use prost::Message as _;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// What was read.
pub(super) struct Loaded {
    pub(super) store: Store,
    /// Where the snapshot ends.
    pub(super) base: u64,
    /// Where the last whole change ends.
    pub(super) end: u64,
    /// How many bytes lie beyond that.
    pub(super) torn: u64,
}

pub(super) enum Unreadable {
    /// The system refuses; nothing is known of the file.
    Io(io::Error),
    /// The file is not what it should be.
    Unusable(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What stands at one place.
enum Record {
    /// A message, and where it ends.
    Message(Box<v1::SourceMessage>, u64),
    /// The file ends here.
    End,
    /// The file ends within a record, or the last one is not what was written.
    Torn,
    /// Something else.
    Damaged(String),
}

/// Loads the file; nothing when there is none.
pub(super) fn load(path: &Path, settings: Settings) -> Result<Option<Loaded>, Unreadable> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let size = file.metadata()?.len();
    parse(BufReader::with_capacity(1 << 20, file), size, settings).map(Some)
}

/// Reads `size` bytes as a last-good file.
pub(super) fn parse(mut from: impl Read, size: u64, settings: Settings) -> Result<Loaded, Unreadable> {
    let unusable = |text: String| Err(Unreadable::Unusable(text));
    let mut header = [0; HEADER];
    if size < HEADER as u64 {
        return unusable(format!("it has {size} bytes, less than a header"));
    }
    from.read_exact(&mut header)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return unusable("it does not begin as a last-good file does".to_owned());
    }
    let format = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).unwrap_or_default();
    if format != FORMAT {
        return unusable(format!("it has format {format}, and this version reads {FORMAT}"));
    }
    let store = Store::new(settings);
    let mut receiver = Receiver::default();
    let (mut at, mut base, mut end) = (HEADER as u64, None, HEADER as u64);
    loop {
        match record(&mut from, at, size)? {
            Record::End => break,
            Record::Torn => break,
            Record::Damaged(text) => return unusable(text),
            Record::Message(message, next) => {
                let place = at;
                at = next;
                let step = match receiver.take(*message, store.load().version()) {
                    Ok(step) => step,
                    Err(error) => return unusable(format!("at byte {place}: {}", error.0)),
                };
                match step {
                    Step::Nothing => {}
                    Step::Apply(incoming) => {
                        if let Err(problems) = apply_sent(&store, merge(incoming.sent, incoming.upon)) {
                            let first = problems.first().map(ToString::to_string).unwrap_or_default();
                            return unusable(format!("at byte {place}: {first}"));
                        }
                        base.get_or_insert(at);
                        end = at;
                    }
                    Step::Refuse(refusal) => {
                        return unusable(format!("at byte {place}: {}", refusal.message));
                    }
                    Step::Resync(reason) => return unusable(format!("at byte {place}: {reason}")),
                    Step::Early(_) | Step::Heartbeat { .. } | Step::Loaded { .. } => {
                        return unusable(format!("at byte {place}: a message that has no place in a file"));
                    }
                }
            }
        }
    }
    // The snapshot was whole before the file got its name.
    let Some(base) = base else { return unusable("it holds no whole snapshot".to_owned()) };
    Ok(Loaded { store, base, end, torn: size - end })
}

fn record(from: &mut impl Read, at: u64, size: u64) -> Result<Record, Unreadable> {
    let left = size - at;
    if left == 0 {
        return Ok(Record::End);
    }
    if left < 8 {
        return Ok(Record::Torn);
    }
    let mut head = [0; 8];
    from.read_exact(&mut head)?;
    let (length, sum) = head.split_at(4);
    let number = |bytes: &[u8]| bytes.first_chunk().map(|it| u32::from_le_bytes(*it)).unwrap_or_default();
    let (length, sum) = (number(length), number(sum));
    let whole = 8 + u64::from(length);
    if length == 0 || length > MAX_RECORD {
        // Space that was given to the file, and never written, is zeros to its end.
        let mut rest = Vec::new();
        from.take(left - 8).read_to_end(&mut rest)?;
        let zeros = length == 0 && sum == 0 && rest.iter().all(|byte| *byte == 0);
        return Ok(match zeros {
            true => Record::Torn,
            false => Record::Damaged(format!("at byte {at}: a record of {length} bytes")),
        });
    }
    if whole > left {
        return Ok(Record::Torn);
    }
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload)?;
    // A fuzzer would not find its way past the sum.
    if !cfg!(fuzzing) && crc32fast::hash(&payload) != sum {
        // Of the last record, some may not have reached the disk. Nothing comes after what was not written.
        return Ok(match whole == left {
            true => Record::Torn,
            false => Record::Damaged(format!("at byte {at}: the checksum does not fit")),
        });
    }
    match v1::SourceMessage::decode(payload.as_slice()) {
        Ok(message) => Ok(Record::Message(Box::new(message), at + whole)),
        Err(error) => Ok(Record::Damaged(format!("at byte {at}: no message: {error}"))),
    }
}
