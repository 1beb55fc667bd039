//! From changes to the file.
//!
//! Must not know: who waits.

use super::{FORMAT, HEADER, MAGIC, with_ending};
use crate::model::Version;
use crate::proto::v1;
use crate::store::Snapshot;
use crate::sync::ledger::Recorded;
use crate::sync::protocol::{CHUNK, digest, reference, version};
use prost::Message as _;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use v1::source_message::Message;

/// Changes may weigh this much, whatever the snapshot weighs.
const LEAST: u64 = 1 << 20;
/// A change larger than this is written with everything.
const LARGE: usize = 4 << 20;

/// Writes one file.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    /// What the file leads to.
    at: Version,
    /// The file, and where it ends. Nothing: it has to be written as a whole.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    base: u64,
    end: u64,
}

impl Writer {
    /// Goes on with a file that was read: `tail` is where its snapshot and its last change end.
    pub(super) fn new(path: &Path, at: Version, tail: Option<(u64, u64)>) -> Self {
        let open = tail.and_then(|(base, end)| {
            let file = File::options().write(true).open(path).ok()?;
            // What is torn goes before anything is written behind it.
            file.set_len(end).and_then(|()| file.sync_data()).ok()?;
            Some(Open { file, base, end })
        });
        Self { path: path.to_owned(), at, open }
    }

    /// Appends changes, or writes everything where that is called for.
    pub(super) fn append(&mut self, changes: &[Recorded], newest: &Arc<Snapshot>) -> io::Result<()> {
        let size: usize = changes.iter().map(Recorded::size).sum();
        let fits = |open: &Open| {
            let grown = open.end - open.base + size as u64;
            grown <= LEAST.max(open.base)
        };
        let chained =
            changes.iter().try_fold(self.at, |at, change| (change.base == at).then_some(change.version));
        let leads = chained == Some(newest.version());
        let Some(open) = self.open.as_mut().filter(|open| leads && size <= LARGE && fits(open)) else {
            return self.whole(newest);
        };
        let mut bytes = Vec::with_capacity(size + 64 * changes.len());
        for change in changes {
            put(&mut bytes, Message::Delta(delta(change)))?;
        }
        let written = (|| {
            open.file.seek(SeekFrom::Start(open.end))?;
            open.file.write_all(&bytes)?;
            open.file.sync_data()
        })();
        if let Err(error) = written {
            // Where the file ends now is not known; it is not written to any more.
            self.open = None;
            return Err(error);
        }
        open.end += bytes.len() as u64;
        self.at = newest.version();
        Ok(())
    }

    /// Writes everything, beside the old file, and puts it in its place.
    pub(super) fn whole(&mut self, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        self.open = None;
        let beside = with_ending(&self.path, "new");
        // Users are personal data.
        let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        let end = match write(&file, snapshot) {
            Ok(end) => end,
            Err(error) => {
                // It only takes room.
                let _gone = std::fs::remove_file(&beside);
                return Err(error);
            }
        };
        std::fs::rename(&beside, &self.path)?;
        let directory = self.path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
        self.open = Some(Open { file, base: end, end });
        self.at = snapshot.version();
        Ok(())
    }
}

/// Writes a whole file, and gives its length once it is safe.
fn write(file: &File, snapshot: &Snapshot) -> io::Result<u64> {
    let mut to = BufWriter::with_capacity(1 << 20, file);
    let mut header = [0; HEADER];
    let (magic, rest) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    if let Some(format) = rest.first_chunk_mut() {
        *format = FORMAT.to_le_bytes();
    }
    to.write_all(&header)?;
    let count = snapshot.digest().count();
    let at = Some(version(snapshot.version()));
    let kind = v1::UpdateKind::Snapshot.into();
    let mut end = HEADER as u64;
    end += put(&mut to, Message::Begin(v1::Begin { kind, version: at, count, ..Default::default() }))?;
    let (mut chunk, mut size) = (v1::Chunk::default(), 0);
    for (_, resource) in snapshot.resources() {
        size += resource.len();
        chunk.upserts.push(resource.into());
        if size >= CHUNK {
            end += put(&mut to, Message::Chunk(std::mem::take(&mut chunk)))?;
            size = 0;
        }
    }
    if !chunk.upserts.is_empty() {
        end += put(&mut to, Message::Chunk(chunk))?;
    }
    let digest = Some(digest(snapshot.digest(), false));
    end += put(&mut to, Message::Commit(v1::Commit { count, digest }))?;
    to.flush()?;
    file.sync_all()?;
    Ok(end)
}

fn delta(change: &Recorded) -> v1::Delta {
    v1::Delta {
        base: Some(version(change.base)),
        version: Some(version(change.version)),
        upserts: change.difference.came.iter().map(|(_, bytes)| bytes.clone()).collect(),
        removals: change.difference.went.iter().map(reference).collect(),
        digest: Some(v1::Digest { total: change.total.to_le_bytes().to_vec(), kinds: Vec::new() }),
        revokes: change.revokes,
    }
}

/// Writes one record. Gives its length.
fn put(to: &mut impl Write, message: Message) -> io::Result<u64> {
    let payload = v1::SourceMessage { message: Some(message) }.encode_to_vec();
    let length = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&crc32fast::hash(&payload).to_le_bytes())?;
    to.write_all(&payload)?;
    Ok(8 + u64::from(length))
}
