//! The messages of the sync protocol: versions, digests and names to and from the model, and its limits.
//!
//! Must not know: who sends them.

use crate::model::{Digest, Problem, ResourceKind, ResourceName, Sum, Version};
use crate::proto::resource::{kind_number, kind_of_number};
use crate::proto::v1;
use std::time::Duration;

/// The version of the protocol that is spoken here.
pub const PROTOCOL: u32 = 1;
/// The largest message that is taken, in bytes.
pub const MAX_MESSAGE: usize = 16 << 20;
/// About how large the parts of an update are made, in bytes. Small enough that what is urgent is not held up by one.
pub const CHUNK: usize = 256 << 10;
/// The most resources and removals of one update.
pub const MAX_RESOURCES: u64 = 20_000_000;
/// The most bytes that the resources of one update have.
pub const MAX_UPDATE: u64 = 4 << 30;
/// The longest name of a node, in bytes.
const MAX_NODE: usize = 255;
/// How often something is said when the other side does not wish for another time.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// The most problems in one refusal.
const MAX_ERRORS: usize = 1_000;

/// The message of a version.
pub const fn version(version: Version) -> v1::Version {
    v1::Version { epoch: version.epoch, revision: version.revision }
}

/// The version of a message; an absent one is nothing at all.
pub fn version_of(message: Option<&v1::Version>) -> Version {
    message
        .map_or_else(Version::default, |message| Version { epoch: message.epoch, revision: message.revision })
}

/// The message of a digest; `by_kind` adds the sums of the kinds.
pub fn digest(digest: &Digest, by_kind: bool) -> v1::Digest {
    let kind = |kind: ResourceKind| {
        let sum = digest.of(kind);
        let message = v1::KindDigest {
            kind: kind_number(kind),
            sum: sum.hashes.to_le_bytes().to_vec(),
            count: sum.count,
        };
        (sum.count > 0).then_some(message)
    };
    let kinds = if by_kind { ResourceKind::ALL.into_iter().filter_map(kind).collect() } else { Vec::new() };
    v1::Digest { total: digest.total().to_le_bytes().to_vec(), kinds }
}

fn sum_of(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_le_bytes)
}

/// What a message says that everything sums up to. Nothing where it says nothing, or no 16 bytes.
pub fn total_of(message: Option<&v1::Digest>) -> Option<u128> {
    sum_of(&message?.total)
}

/// The digest of a message that has it by kind.
pub fn digest_of(message: &v1::Digest) -> Digest {
    let mut digest = Digest::default();
    for kind in &message.kinds {
        if let (Some(resource), Some(hashes)) = (kind_of_number(kind.kind), sum_of(&kind.sum)) {
            digest.set(resource, Sum { hashes, count: kind.count });
        }
    }
    digest
}

/// The message of a resource's name.
pub fn reference(name: &ResourceName) -> v1::ResourceRef {
    v1::ResourceRef { kind: kind_number(name.kind), id: name.id.to_string() }
}

/// The name in a message.
///
/// # Errors
/// When it has no kind or no id.
pub fn name_of(message: &v1::ResourceRef) -> Result<ResourceName, String> {
    let kind = kind_of_number(message.kind)
        .ok_or_else(|| format!("removals: {} is no kind of resource; see the schema", message.kind))?;
    if message.id.is_empty() {
        return Err(format!("removals: a {} without an id; name it", kind.noun()));
    }
    Ok(ResourceName { kind, id: message.id.as_str().into() })
}

/// What is wrong with an update, by resource.
pub fn errors(problems: &[Problem]) -> Vec<v1::ResourceError> {
    let error = |problem: &Problem| v1::ResourceError {
        resource: problem.resource.as_ref().map(reference),
        field: problem.field.to_string(),
        message: problem.message.clone(),
    };
    problems.iter().take(MAX_ERRORS).map(error).collect()
}

/// How often the other side wishes to hear something.
pub fn heartbeat_of(message: Option<&prost_types::Duration>) -> Duration {
    let wished = message.and_then(|it| Duration::try_from(*it).ok());
    wished.unwrap_or(HEARTBEAT).clamp(Duration::from_secs(1), Duration::from_secs(300))
}

/// The message of a span of time.
pub fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or_default()
}

/// How large the parts of an update are for one who takes messages of this size: half of it at most, since there is more in a
/// message than resources.
pub fn chunk_for(hello: &v1::SinkHello) -> usize {
    match usize::try_from(hello.max_message_bytes).unwrap_or(usize::MAX) {
        0 => CHUNK,
        most => (most / 2).clamp(1 << 10, CHUNK),
    }
}

/// Who speaks; nothing for a message without a name, or with one that is too long.
pub fn node_of(message: Option<v1::Node>) -> Option<v1::Node> {
    message.filter(|node| !node.id.is_empty() && node.id.len() <= MAX_NODE)
}

/// This process.
pub fn node(id: &str) -> v1::Node {
    v1::Node { id: id.to_owned(), software: format!("bindery {}", env!("CARGO_PKG_VERSION")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TargetKind;

    #[test]
    fn digests_go_there_and_back() {
        let mut sums = Digest::default();
        sums.set(ResourceKind::User, Sum { hashes: 5, count: 2 });
        sums.set(ResourceKind::Target(TargetKind::Flow), Sum { hashes: u128::MAX, count: 1 });
        let message = digest(&sums, true);
        assert_eq!(digest_of(&message), sums);
        assert_eq!(total_of(Some(&message)), Some(4));
        assert_eq!(total_of(Some(&v1::Digest { total: vec![1; 15], kinds: vec![] })), None);
        assert_eq!(digest(&sums, false).kinds, []);
    }

    #[test]
    fn names_without_a_kind_or_an_id_are_refused() {
        let name = |kind, id: &str| name_of(&v1::ResourceRef { kind, id: id.into() });
        assert!(name(0, "x").unwrap_err().contains("no kind of resource"));
        assert!(name(17, "x").unwrap_err().contains("no kind of resource"));
        assert!(name(14, "").unwrap_err().contains("without an id"));
        let group = ResourceName { kind: ResourceKind::Group, id: "x".into() };
        assert_eq!(name_of(&reference(&group)), Ok(group));
    }

    #[test]
    fn parts_are_for_the_one_who_takes_them() {
        let hello = |max_message_bytes| v1::SinkHello { max_message_bytes, ..Default::default() };
        let sizes = [0, 1, 65_536, u32::MAX].map(|most| chunk_for(&hello(most)));
        assert_eq!(sizes, [CHUNK, 1_024, 32_768, CHUNK]);
    }

    #[test]
    fn wishes_are_kept_within_reason() {
        let wish = |seconds| heartbeat_of(Some(&prost_types::Duration { seconds, nanos: 0 }));
        assert_eq!(
            (wish(0), wish(3), wish(10_000)),
            (Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(300))
        );
        assert_eq!((wish(-1), heartbeat_of(None)), (HEARTBEAT, HEARTBEAT));
    }
}
