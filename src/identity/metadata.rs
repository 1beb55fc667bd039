//! Claims that the gateway has verified and hands over.
//!
//! Must not know: how the gateway does that.

use super::claims::{Mapping, Terms};
use super::settings::MetadataSettings;
use super::{Identity, Reason, Source, Trouble, refused};
use crate::model::Timestamp;
use serde_json::Value as Json;

#[derive(Debug)]
pub(super) struct Metadata {
    payload: String,
    terms: Terms,
    mapping: Mapping,
}

impl Metadata {
    pub(super) fn new(settings: &MetadataSettings, mapping: Mapping) -> Result<Self, String> {
        let MetadataSettings { payload, issuers, audiences, leeway_seconds } = settings;
        if payload.is_empty() {
            return Err("identity.metadata.payload: is empty; set the name under which the gateway leaves the claims".into());
        }
        let terms = Terms::new("identity.metadata", issuers, audiences, *leeway_seconds)?;
        Ok(Self { payload: payload.clone(), terms, mapping })
    }

    pub(super) fn identify(&self, claims: Option<&Json>, now: Timestamp) -> Result<Option<Identity>, Trouble> {
        let Some(found) = claims.and_then(|all| all.get(&self.payload)).filter(|it| !it.is_null()) else {
            return Ok(None);
        };
        let claims = found.as_object().ok_or_else(|| {
            let what = format!("what the gateway leaves under `{}` is no mapping of claims", self.payload);
            refused(Reason::TokenClaims, what)
        })?;
        let lifetime = self.terms.check(claims)?;
        lifetime.check(now)?;
        let subject = self.mapping.subject(claims)?;
        Ok(Some(Identity { subject, source: Source::Metadata, expires: Some(lifetime.until()) }))
    }
}
