//! Stub until the real one is merged.
#![expect(missing_docs, reason = "stub")]
use crate::model::{Subject, Timestamp};
use std::net::IpAddr;

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

#[derive(Clone, Debug, Default)]
pub struct Headers<'a>(Vec<(&'a str, &'a [u8])>);
impl<'a> FromIterator<(&'a str, &'a [u8])> for Headers<'a> {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a [u8])>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    pub address: Option<IpAddr>,
    pub unix: bool,
}
#[derive(Debug)]
pub struct Evidence<'a> {
    pub headers: &'a Headers<'a>,
    pub claims: Option<&'a serde_json::Value>,
    pub peer: Peer,
    pub principal: Option<&'a str>,
}
#[derive(Clone, Copy, Debug)]
pub enum Source {
    Metadata,
}
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    X,
}
impl Reason {
    pub fn as_str(self) -> &'static str {
        "x"
    }
}
#[derive(Debug)]
pub struct Identity {
    pub subject: Subject,
    pub source: Source,
    pub expires: Option<Timestamp>,
}
#[derive(Debug)]
pub enum Identified {
    Nobody,
    Somebody(Box<Identity>),
    Refused { source: Source, reason: Reason, detail: String },
    Unavailable(String),
}
#[derive(Debug)]
pub struct Identifier {}
impl Identifier {
    pub fn new(_: &Settings) -> Result<Self, String> {
        Ok(Self {})
    }
    pub async fn identify(&self, _: &Evidence<'_>, _: Timestamp) -> Identified {
        Identified::Nobody
    }
}
