//! A file of protobuf messages, each of which follows its length as a varint: how most libraries of protobuf write many.
//!
//! Must not know: what they say, to whom they are sent.

use bytes::{Buf as _, Bytes};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest file, in bytes.
const MOST_BYTES: u64 = 256 << 20;
/// The largest message, in bytes: what a server of gRPC takes where nothing else is said.
const MOST_OF_ONE: usize = 4 << 20;

/// The messages of a file, in order.
///
/// # Errors
/// What is wrong with it, and at which message.
pub(super) fn read(path: &Path) -> Result<Vec<Bytes>, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("the file `{shown}` cannot be read: {error}"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("`{shown}` has more than {MOST_BYTES} bytes; write fewer messages"));
    }
    split(bytes.into()).map_err(|(number, why)| {
        format!("`{shown}`, message {number}: {why}; write each after its length, as a varint")
    })
}

/// The messages, or the number of the one that is wrong, counted from one, with what is.
fn split(mut bytes: Bytes) -> Result<Vec<Bytes>, (usize, String)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let number = all.len() + 1;
        let length = prost::decode_length_delimiter(&mut bytes).map_err(|_| {
            let why = "it does not begin with a length";
            (number, why.to_owned())
        })?;
        if length > MOST_OF_ONE {
            return Err((number, format!("{length} bytes are more than {MOST_OF_ONE}")));
        }
        if length > bytes.remaining() {
            let left = bytes.remaining();
            return Err((number, format!("of {length} bytes there are {left}")));
        }
        all.push(bytes.split_to(length));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn messages_come_out_as_they_were_written() {
        // An empty message is one as well.
        let all = ["a".repeat(300), String::new(), "b".to_owned()];
        let written: Vec<u8> = all.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
        let read = split(written.into()).unwrap();
        assert_eq!(read, all.map(|text| text.encode_to_vec()));
        assert_eq!(split(Bytes::new()), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_number_of_the_message() {
        for (bytes, number, part) in [
            (&[1, 7, 2, 7][..], 2, "of 2 bytes there are 1"),
            (&[0x80], 1, "does not begin with a length"),
            (&[0, 0x81, 0x80, 0x80, 0x02], 2, "4194305 bytes are more than 4194304"),
        ] {
            let (at, why) = split(Bytes::from_static(bytes)).unwrap_err();
            assert_eq!(at, number, "{why}");
            assert!(why.contains(part), "{why}");
        }
    }
}
