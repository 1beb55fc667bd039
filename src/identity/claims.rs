//! Claims: whether they count at this moment, and who they are about.
//!
//! Must not know: whether and by whom they were verified.

use super::settings::ClaimSettings;
use super::text::{self, MAX_LIST};
use super::{Reason, Trouble, refused};
use crate::model::{Subject, Timestamp, Value};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// The claims of a token.
pub(super) type Claims = Map<String, Json>;

/// How deep attributes may be nested.
const MAX_DEPTH: usize = 8;
/// The most values that attributes have together.
const MAX_VALUES: usize = 2000;
/// The most that clocks may differ, in seconds.
const MAX_LEEWAY: u64 = 300;

/// For whom and for how long claims have to be.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// Empty: any.
    issuers: Vec<String>,
    /// Empty: any.
    audiences: Vec<String>,
    leeway: i64,
}

/// While claims count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    from: Option<Timestamp>,
    until: Timestamp,
}

impl Lifetime {
    /// The first moment at which they no longer count.
    pub(super) const fn until(self) -> Timestamp {
        self.until
    }

    pub(super) fn check(self, now: Timestamp) -> Result<(), Trouble> {
        if now >= self.until {
            return Err(refused(Reason::TokenExpired, "the token is too old (`exp`)"));
        }
        if self.from.is_some_and(|from| now < from) {
            return Err(refused(
                Reason::TokenNotYetValid,
                "the token is not valid yet (`nbf` or `iat` lies in the future); compare the clocks",
            ));
        }
        Ok(())
    }
}

impl Terms {
    /// `setting` is the table that they stand in.
    pub(super) fn new(
        setting: &str,
        issuers: &[String],
        audiences: &[String],
        leeway: u64,
    ) -> Result<Self, String> {
        if leeway > MAX_LEEWAY {
            return Err(format!("{setting}.leeway_seconds: {leeway} is more than {MAX_LEEWAY}; lower it"));
        }
        for (name, list) in [("issuers", issuers), ("audiences", audiences)] {
            if list.iter().any(String::is_empty) {
                return Err(format!("{setting}.{name}: an entry is empty; remove it"));
            }
        }
        let leeway = i64::try_from(leeway).unwrap_or(0);
        Ok(Self { issuers: issuers.to_vec(), audiences: audiences.to_vec(), leeway })
    }

    /// Whether claims fit, whenever that is.
    pub(super) fn check(&self, claims: &Claims) -> Result<Lifetime, Trouble> {
        let wrong = |what: &str| refused(Reason::TokenClaims, what);
        // A client that cannot show the key is not the one that the token was given to.
        if present(claims, "cnf").is_some() {
            let what = "the token belongs to the holder of a key (`cnf`), which is not checked here; use tokens that are not bound";
            return Err(refused(Reason::TokenBound, what));
        }
        if present(claims, "events").is_some() {
            let what =
                "the token tells of an event (`events`), such as a logout, and of nobody who is asking";
            return Err(refused(Reason::TokenType, what));
        }
        if !self.issuers.is_empty() {
            let issuer = present(claims, "iss").and_then(Json::as_str);
            if !issuer.is_some_and(|issuer| self.issuers.iter().any(|own| own == issuer)) {
                return Err(refused(Reason::TokenIssuer, "the token's issuer (`iss`) is none of `issuers`"));
            }
        }
        if !self.audiences.is_empty() && !self.is_for_us(present(claims, "aud")) {
            return Err(refused(
                Reason::TokenAudience,
                "the token's audience (`aud`) has none of `audiences`",
            ));
        }
        let moment = |name: &str| match present(claims, name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(seconds) if seconds >= 0.0 && seconds.is_finite() => Ok(Some(seconds)),
                _ => Err(refused(Reason::TokenClaims, format!("the claim `{name}` is no moment"))),
            },
        };
        let until = moment("exp")?.ok_or_else(|| wrong("the token has no end (`exp`)"))?;
        // Either says from when on; the later one counts.
        let from = [moment("nbf")?, moment("iat")?].into_iter().flatten().reduce(f64::max);
        // Parts of a second are taken from the token's life. What lies too far away becomes the last moment there is.
        let at = |seconds: f64| Timestamp::new(seconds as i64, 0);
        Ok(Lifetime {
            from: from.map(|from| at(from.ceil()).plus_seconds(-self.leeway)),
            until: at(until.floor()).plus_seconds(self.leeway),
        })
    }

    fn is_for_us(&self, audience: Option<&Json>) -> bool {
        let ours = |one: &Json| one.as_str().is_some_and(|one| self.audiences.iter().any(|own| own == one));
        match audience {
            Some(Json::Array(all)) => {
                all.len() <= MAX_LIST && all.iter().all(Json::is_string) && all.iter().any(ours)
            }
            Some(one) => ours(one),
            None => false,
        }
    }
}

/// A claim; null is as good as none.
fn present<'a>(claims: &'a Claims, name: &str) -> Option<&'a Json> {
    claims.get(name).filter(|value| !value.is_null())
}

/// Where a claim is: the names from the outermost to its own.
#[derive(Clone, Debug)]
struct Path(Vec<String>);

impl Path {
    /// Nothing for an empty text.
    fn read(setting: &str, text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let mut parts = vec![String::new()];
        let mut signs = text.chars();
        while let Some(sign) = signs.next() {
            match sign {
                '.' => parts.push(String::new()),
                sign => {
                    let sign = if sign == '\\' { signs.next() } else { Some(sign) };
                    let fault = || format!("identity.claims.{setting}: `{text}` ends with a `\\`; remove it");
                    let sign = sign.ok_or_else(fault)?;
                    parts.last_mut().into_iter().for_each(|part| part.push(sign));
                }
            }
        }
        if parts.iter().any(String::is_empty) {
            return Err(format!(
                "identity.claims.{setting}: `{text}` has an empty part; write it like `a.b`, and a dot that is part of a \
                 name like `a\\.b`"
            ));
        }
        Ok(Some(Self(parts)))
    }

    fn find<'a>(&self, claims: &'a Claims) -> Option<&'a Json> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.get(name)).filter(|it| !it.is_null())
    }

    fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// As it stands in messages.
    fn shown(&self) -> String {
        self.0.join(".")
    }
}

/// Which claims say what.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    user_id: Option<Path>,
    username: Option<Path>,
    email: Option<Path>,
    name: Option<Path>,
    groups: Option<Path>,
    group_ids: Option<Path>,
    /// Attributes that are lists of names.
    entitlements: Option<Path>,
    attributes: Vec<Path>,
}

impl Mapping {
    pub(super) fn new(settings: &ClaimSettings) -> Result<Self, String> {
        let read = |setting: &str, text: &str| Path::read(setting, text);
        let mut attributes: Vec<Path> = Vec::new();
        for text in &settings.attributes {
            let path = read("attributes", text)?
                .ok_or("identity.claims.attributes: an entry is empty; remove it")?;
            let last = path.last();
            if matches!(last, "sub" | "entitlements") || attributes.iter().any(|other| other.last() == last) {
                return Err(format!(
                    "identity.claims.attributes: `{text}` would be another attribute `{last}`; leave out one of them"
                ));
            }
            attributes.push(path);
        }
        let all = Self {
            user_id: read("user_id", &settings.user_id)?,
            username: read("username", &settings.username)?,
            email: read("email", &settings.email)?,
            name: read("name", &settings.name)?,
            groups: read("groups", &settings.groups)?,
            group_ids: read("group_ids", &settings.group_ids)?,
            entitlements: read("entitlements", &settings.entitlements)?,
            attributes,
        };
        if all.user_id.is_none() && all.username.is_none() {
            return Err(
                "identity.claims: neither user_id nor username is a claim, so nobody is ever known; set one"
                    .into(),
            );
        }
        Ok(all)
    }

    /// Who the claims are about.
    pub(super) fn subject(&self, claims: &Claims) -> Result<Subject, Trouble> {
        let user_id = self.user_id.as_ref().map(|path| id(path, claims)).transpose()?.flatten();
        let username = name(self.username.as_ref(), claims)?;
        if user_id.is_none() && username.is_none() {
            let wanted: Vec<String> =
                self.user_id.iter().chain(&self.username).map(|path| format!("`{}`", path.shown())).collect();
            return Err(refused(
                Reason::TokenClaims,
                format!("the token does not say who it is: there is no claim {}", wanted.join(" or ")),
            ));
        }
        let mut attributes = BTreeMap::new();
        if let Some(sub) = present(claims, "sub") {
            let sub = sub.as_str().filter(|sub| text::fault(sub).is_none());
            let sub = sub.ok_or_else(|| refused(Reason::TokenClaims, "the claim `sub` is no name"))?;
            attributes.insert("sub".into(), Value::String(sub.into()));
        }
        let entitlements = names(self.entitlements.as_ref(), claims)?;
        if !entitlements.is_empty() {
            let list = entitlements.into_iter().map(|name| Value::String(name.into())).collect();
            attributes.insert("entitlements".into(), Value::List(list));
        }
        let mut left = MAX_VALUES;
        for path in &self.attributes {
            if let Some(found) = path.find(claims) {
                let value = value(found, MAX_DEPTH, &mut left).ok_or_else(|| {
                    let what = format!("the claim `{}` is too large for an attribute", path.shown());
                    refused(Reason::TokenClaims, what)
                })?;
                attributes.insert(path.last().into(), value);
            }
        }
        Ok(Subject {
            user_id: user_id.map(Into::into),
            username: username.map(Into::into),
            // These two are often there and empty.
            email: name(self.email.as_ref(), claims)?.map(Into::into),
            name: name(self.name.as_ref(), claims)?.map(Into::into),
            group_ids: names(self.group_ids.as_ref(), claims)?,
            group_names: names(self.groups.as_ref(), claims)?,
            attributes: Value::Map(attributes),
            ..Subject::default()
        })
    }
}

fn fault(path: &Path, what: &str) -> Trouble {
    refused(Reason::TokenClaims, format!("the claim `{}` {what}", path.shown()))
}

/// An id: a text, or a whole number.
fn id(path: &Path, claims: &Claims) -> Result<Option<Box<str>>, Trouble> {
    /// Beyond it, numbers that differ look alike.
    const MAX_WHOLE: f64 = 9_007_199_254_740_991.0;
    let found = match path.find(claims) {
        Some(Json::Number(number)) => number,
        _ => return name(Some(path), claims),
    };
    let whole = found.as_u64().or_else(|| {
        let number = found.as_f64()?;
        (number.fract() == 0.0 && (0.0..=MAX_WHOLE).contains(&number)).then_some(number as u64)
    });
    let whole = whole.ok_or_else(|| fault(path, "is a number, and no whole one"))?;
    Ok(Some(whole.to_string().into()))
}

/// A name, if there is one. An empty text is none.
fn name(path: Option<&Path>, claims: &Claims) -> Result<Option<Box<str>>, Trouble> {
    let Some((path, found)) = path.and_then(|path| Some((path, path.find(claims)?))) else { return Ok(None) };
    let found = found.as_str().ok_or_else(|| fault(path, "is no text"))?;
    if found.is_empty() {
        return Ok(None);
    }
    text::fault(found).map_or_else(|| Ok(Some(found.into())), |what| Err(fault(path, what)))
}

/// A list of names; none where there is no such claim.
fn names(path: Option<&Path>, claims: &Claims) -> Result<Vec<String>, Trouble> {
    let Some((path, found)) = path.and_then(|path| Some((path, path.find(claims)?))) else {
        return Ok(Vec::new());
    };
    let list = found.as_array().ok_or_else(|| fault(path, "is no list"))?;
    if list.len() > MAX_LIST {
        return Err(fault(path, "has more than 1000 entries"));
    }
    let entry = |entry: &Json| {
        let entry = entry.as_str().ok_or_else(|| fault(path, "has an entry that is no text"))?;
        match text::fault(entry) {
            Some(what) => Err(fault(path, &format!("has an entry that {what}"))),
            None => Ok(entry.to_owned()),
        }
    };
    list.iter().map(entry).collect()
}

/// The same value as attributes have it; nothing when it is too deep or too large.
fn value(json: &Json, depth: usize, left: &mut usize) -> Option<Value> {
    *left = left.checked_sub(1)?;
    let below = depth.checked_sub(1);
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => Value::Number(number.as_f64()?),
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Array(list) => {
            let below = below?;
            Value::List(list.iter().map(|item| value(item, below, left)).collect::<Option<_>>()?)
        }
        Json::Object(map) => {
            let below = below?;
            let entry =
                |(key, item): (&String, &Json)| Some((Box::from(key.as_str()), value(item, below, left)?));
            Value::Map(map.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests;
