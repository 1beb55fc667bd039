//! The generated messages and services of `proto/`, and their descriptors.
//!
//! Must not know: what a message means. Meaning is given in `sync` (resources) and `api` (questions and answers).

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use std::sync::LazyLock;

pub mod resource;
pub mod value;

/// Package `bindery.v1`.
#[expect(
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    clippy::large_enum_variant,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("bindery.v1");
}

/// The encoded `FileDescriptorSet` of everything under `proto/`, for reflection and the JSON mapping.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bindery.bin"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());

/// The description of a message, such as `bindery.v1.Bundle`; nothing for an unknown name.
pub fn describe(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(name)
}

/// A message from its JSON mapping.
///
/// # Errors
/// When the data does not fit the message, or there is no message of this name.
pub fn from_json<M: Message + Default>(name: &str, json: serde_json::Value) -> Result<M, String> {
    let description = describe(name).ok_or_else(|| format!("there is no message `{name}`"))?;
    let message = DynamicMessage::deserialize(description, json).map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}

/// As [`from_json`], for callers that may know a newer schema: what is unknown is left out.
///
/// # Errors
/// As [`from_json`].
pub fn from_newer_json<M: Message + Default>(name: &str, json: serde_json::Value) -> Result<M, String> {
    let description = describe(name).ok_or_else(|| format!("there is no message `{name}`"))?;
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(description, json, &options);
    message
        .and_then(|message| message.transcode_to().map_err(serde::de::Error::custom))
        .map_err(|error: serde_json::Error| error.to_string())
}

/// The JSON mapping of a message, with the field names of the schema; fields at their default are left out.
///
/// # Errors
/// When there is no message of this name.
pub fn to_json(name: &str, message: &impl Message) -> Result<serde_json::Value, String> {
    let description = describe(name).ok_or_else(|| format!("there is no message `{name}`"))?;
    let mut dynamic = DynamicMessage::new(description);
    dynamic.transcode_from(message).map_err(|error| error.to_string())?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| error.to_string())
}
