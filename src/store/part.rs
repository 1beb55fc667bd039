//! Serialized resources, many together: without a word of what they are, since a million of them wait at once.
//!
//! Must not know: what the resources say.

use bytes::Bytes;

/// Some serialized resources, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Part {
    bytes: Bytes,
    /// Where each ends.
    ends: Box<[u32]>,
}

impl Part {
    /// Of these. They are copied: what came with a message keeps all of it, with whatever room was left in it.
    pub fn new(resources: &[Bytes]) -> Self {
        let mut bytes = Vec::with_capacity(resources.iter().map(Bytes::len).sum());
        let mut ends = Vec::with_capacity(resources.len());
        for resource in resources {
            bytes.extend_from_slice(resource);
            // One message is far smaller than that.
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Self { bytes: bytes.into(), ends: ends.into() }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let range = start..*end as usize;
            start = *end as usize;
            self.bytes.slice(range)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let resources = [&b"abc"[..], b"", b"d"].map(Bytes::from_static);
        let part = Part::new(&resources);
        assert_eq!(part.iter().collect::<Vec<_>>(), resources);
        assert_eq!((part.len(), part.is_empty()), (3, false));
        assert!(Part::default().is_empty() && Part::new(&[]).iter().next().is_none());
    }
}
