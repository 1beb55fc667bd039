//! The generated messages and services of `proto/`, and their descriptors.
//!
//! Must not know: what a message means. Meaning is given in `sync` (resources) and `api` (questions and answers).

pub mod value;

/// Package `bindery.v1`.
#[expect(
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("bindery.v1");
}

/// The encoded `FileDescriptorSet` of everything under `proto/`, for reflection and the JSON mapping.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bindery.bin"));
