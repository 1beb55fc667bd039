//! Pages of a search: what a caller may ask of one, and the token that leads to the next.
//!
//! A token says where the search goes on, and what it was about in a sum, so that it leads nowhere else. It is no
//! secret, and nothing is believed because it stands in a token: each page is decided anew. Must not know: what is
//! searched.

use super::asked::given;
use super::settings::AuthzenSettings;
use crate::api::ask::Failure;
use crate::model::{Value, Version};
use crate::proto::value;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use tonic::Code;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 << 10;

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The most results.
    pub(super) limit: usize,
    /// Where the search goes on; absent: it begins.
    pub(super) after: Option<String>,
    /// Every page is to stand on one revision.
    same_revision: bool,
    /// The one of the first page.
    version: Option<Version>,
    /// Of what the search is about.
    sum: String,
}

/// A token, opened. Short names, since it goes over the wire and back with each page.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    l: usize,
    a: String,
    s: bool,
    e: u64,
    r: u64,
    d: String,
}

impl Page {
    /// The page that a search asks for. `door` tells searches of one kind from those of another.
    pub(super) fn read(body: &Value, door: &str, settings: &AuthzenSettings) -> Result<Self, Failure> {
        let empty = Value::Map(BTreeMap::new());
        let page = match given(body, "page") {
            None => &empty,
            Some(page @ Value::Map(_)) => page,
            Some(_) => return Err(Failure::argument("page", "is no object; send one")),
        };
        let limit = given(page, "limit").map(limit).transpose()?;
        let properties = match given(page, "properties") {
            None => &empty,
            Some(properties @ Value::Map(_)) => properties,
            Some(_) => return Err(Failure::argument("page.properties", "is no object; send one")),
        };
        let same_revision = match given(properties, "same_revision") {
            None => None,
            Some(Value::Bool(truth)) => Some(*truth),
            Some(_) => {
                let field = "page.properties.same_revision";
                return Err(Failure::argument(field, "is neither true nor false"));
            }
        };
        let sum = sum(body, door);
        let token = match given(page, "token") {
            None => None,
            Some(Value::String(token)) if token.is_empty() => None,
            Some(Value::String(token)) => Some(open(token)?),
            Some(_) => return Err(Failure::argument("page.token", "is no text; send one")),
        };
        let Some(token) = token else {
            let limit = limit.unwrap_or(settings.page_size).min(settings.max_page_size);
            let same_revision = same_revision.unwrap_or(false);
            return Ok(Self { limit, after: None, same_revision, version: None, sum });
        };
        let changed = |what: &str| {
            let text = format!(
                "belongs to a search with {what}; send the same as with the first page, or begin without a token"
            );
            Failure::argument("page.token", &text)
        };
        if token.d != sum {
            return Err(changed("another subject, action, resource or context"));
        }
        if limit.is_some_and(|limit| limit.min(settings.max_page_size) != token.l) {
            return Err(changed("another page.limit"));
        }
        if same_revision.is_some_and(|same| same != token.s) {
            return Err(changed("another page.properties.same_revision"));
        }
        let version = Some(Version { epoch: token.e, revision: token.r });
        let limit = token.l.min(settings.max_page_size);
        Ok(Self { limit, after: Some(token.a), same_revision: token.s, version, sum })
    }

    /// Refuses to go on where another revision came into force and that matters.
    pub(super) fn stays_on(&self, version: Version) -> Result<(), Failure> {
        match self.version.filter(|_| self.same_revision) {
            Some(first) if first != version => {
                let message = format!(
                    "page.token: the search began on revision {}, and revision {} is in force; begin without a token",
                    first.revision, version.revision
                );
                Err(Failure { code: Code::Aborted, field: "page.token".to_owned(), message })
            }
            _ => Ok(()),
        }
    }

    /// The token of the page after this one; empty when there is none.
    pub(super) fn next(&self, after: Option<String>, version: Version) -> String {
        let Some(a) = after else { return String::new() };
        let (e, r) = (version.epoch, version.revision);
        let token = Token { l: self.limit, a, s: self.same_revision, e, r, d: self.sum.clone() };
        serde_json::to_vec(&token).map(|token| BASE64.encode(token)).unwrap_or_default()
    }
}

fn limit(limit: &Value) -> Result<usize, Failure> {
    match limit {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        Value::Number(number) if number.fract() == 0.0 && (0.0..=4_294_967_295.0).contains(number) => {
            Ok(*number as usize)
        }
        _ => Err(Failure::argument("page.limit", "is no whole number from 0 on")),
    }
}

/// What a search is about, summed up. Objects are in the order of their names, so how they are written plays no part.
fn sum(body: &Value, door: &str) -> String {
    let parts = ["subject", "action", "resource", "context"];
    let parts = parts.map(|name| given(body, name).map(value::to_json));
    let text = serde_json::json!([door, parts]).to_string();
    let sum = Sha256::digest(text.as_bytes());
    BASE64.encode(sum.get(..16).unwrap_or_default())
}

fn open(token: &str) -> Result<Token, Failure> {
    let read = || serde_json::from_slice(&BASE64.decode(token).ok()?).ok();
    let token = if token.len() > MAX_TOKEN { None } else { read() };
    token.ok_or_else(|| {
        let text = "is none that a search gave; send `page.next_token` as it was, or begin without a token";
        Failure::argument("page.token", text)
    })
}
