//! Messages from bytes.

use prost::Message;

/// One message; the default one where it cannot be read.
pub fn decoded<M: Message + Default>(bytes: &[u8]) -> M {
    M::decode(bytes).unwrap_or_default()
}

/// Messages that follow one another, each after its length, up to the first that cannot be read.
pub fn delimited<M: Message + Default>(mut bytes: &[u8]) -> impl Iterator<Item = M> {
    std::iter::from_fn(move || if bytes.is_empty() { None } else { M::decode_length_delimited(&mut bytes).ok() })
}
