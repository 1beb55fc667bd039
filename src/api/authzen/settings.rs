//! What the AuthZEN door can be set to. Settings that contradict themselves cannot be made.
//!
//! Must not know: requests.

use crate::model::{TargetKind, TargetRef};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest base URL, type or name of an action in the settings, in bytes.
const MAX_TEXT: usize = 1_024;
/// The most actions that an action search tries.
pub const MAX_ACTIONS: usize = 100;
/// The most resource types of others.
pub const MAX_TYPES: usize = 1_000;
/// The most results of a page, whatever is set.
pub const MAX_PAGE: usize = 10_000;
/// The most candidates of a page, whatever is set.
pub const MAX_CANDIDATES: usize = 1_000_000;
/// The most milliseconds that a page may be set to take.
pub const MAX_PAGE_MS: u64 = 60_000;
/// What stands for the resource's id in a setting.
const ID: &str = "{id}";

/// Settings of the AuthZEN door.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct AuthzenSettings {
    pub(super) base: Option<Base>,
    pub(super) show_messages: bool,
    pub(super) subject_id: SubjectId,
    pub(super) actions: Vec<String>,
    pub(super) types: BTreeMap<String, Stands>,
    pub(super) page_size: usize,
    pub(super) max_page_size: usize,
    pub(super) max_candidates: usize,
    pub(super) page_time: Duration,
}

impl Default for AuthzenSettings {
    fn default() -> Self {
        Self {
            base: None,
            show_messages: false,
            subject_id: SubjectId::Username,
            actions: vec!["access".to_owned()],
            types: BTreeMap::new(),
            page_size: 100,
            max_page_size: 1_000,
            max_candidates: 10_000,
            page_time: Duration::from_secs(2),
        }
    }
}

impl AuthzenSettings {
    /// What a resource type stands for.
    pub(super) fn stands_for(&self, name: &str) -> Option<Stands> {
        TargetKind::named(name).map(Stands::Kind).or_else(|| self.types.get(name).cloned())
    }
}

/// What the id of a subject of type `user` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SubjectId {
    /// The username.
    Username,
    /// The user's id.
    UserId,
}

/// What a resource type of somebody else stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// A kind of target, whose names the ids are.
    Kind(TargetKind),
    /// One target, for all ids.
    Target(TargetRef),
}

/// Where this server is found from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Without a slash at the end.
    pub(super) url: String,
    /// The path in it; empty or with a slash in front and none at the end.
    pub(super) path: String,
}

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    base_url: Option<String>,
    show_messages: bool,
    subject_id: SubjectId,
    actions: Vec<String>,
    resource_types: BTreeMap<String, String>,
    page_size: Option<usize>,
    max_page_size: usize,
    max_candidates: usize,
    page_time_ms: u64,
}

impl Default for Written {
    fn default() -> Self {
        let settings = AuthzenSettings::default();
        Self {
            base_url: None,
            show_messages: settings.show_messages,
            subject_id: settings.subject_id,
            actions: settings.actions,
            resource_types: BTreeMap::new(),
            page_size: None,
            max_page_size: settings.max_page_size,
            max_candidates: settings.max_candidates,
            page_time_ms: u64::try_from(settings.page_time.as_millis()).unwrap_or(MAX_PAGE_MS),
        }
    }
}

impl TryFrom<Written> for AuthzenSettings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { max_page_size, max_candidates, page_time_ms, .. } = written;
        within("max_page_size", max_page_size, MAX_PAGE)?;
        let page_size = written.page_size.unwrap_or_else(|| Self::default().page_size.min(max_page_size));
        within("page_size", page_size, max_page_size)?;
        within("max_candidates", max_candidates, MAX_CANDIDATES)?;
        if !(1..=MAX_PAGE_MS).contains(&page_time_ms) {
            return Err(format!("page_time_ms: {page_time_ms} is not within 1 and {MAX_PAGE_MS}"));
        }
        let count = written.actions.len();
        if !(1..=MAX_ACTIONS).contains(&count) {
            return Err(format!("actions: there are {count}; name 1 to {MAX_ACTIONS}"));
        }
        if let Some(action) = written.actions.iter().find(|name| !is_name(name)) {
            return Err(format!("actions: `{action}` is no name; write one of 1 to {MAX_TEXT} bytes"));
        }
        let mut others = written.actions.iter();
        while let Some(action) = others.next() {
            if others.as_slice().contains(action) {
                return Err(format!("actions: `{action}` is there twice; remove one"));
            }
        }
        let count = written.resource_types.len();
        if count > MAX_TYPES {
            return Err(format!("resource_types: there are {count}; at most {MAX_TYPES} are allowed"));
        }
        let types = written.resource_types.into_iter().map(|(name, stands)| resource_type(name, &stands));
        Ok(Self {
            base: written.base_url.as_deref().map(base).transpose()?,
            show_messages: written.show_messages,
            subject_id: written.subject_id,
            actions: written.actions,
            types: types.collect::<Result<_, _>>()?,
            page_size,
            max_page_size,
            max_candidates,
            page_time: Duration::from_millis(page_time_ms),
        })
    }
}

fn within(setting: &str, value: usize, most: usize) -> Result<(), String> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(format!("{setting}: {value} is not within 1 and {most}")),
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len())
}

fn resource_type(name: String, stands: &str) -> Result<(String, Stands), String> {
    let wrong = |text: String| Err(format!("resource_types: `{name}`: {text}"));
    if !is_name(&name) {
        return wrong(format!("is no name; write one of 1 to {MAX_TEXT} bytes"));
    }
    if TargetKind::named(&name).is_some() {
        return wrong("is a kind of target itself; choose another name".to_owned());
    }
    let stands = match stands.split_once('/') {
        Some((kind, ID)) => match TargetKind::named(kind) {
            Some(kind) => Stands::Kind(kind),
            None => {
                let kinds = TargetKind::ALL.map(TargetKind::name).join(", ");
                return wrong(format!("`{kind}` is not a kind of target; the kinds are {kinds}"));
            }
        },
        _ => match stands.parse() {
            Ok(target) => Stands::Target(target),
            Err(error) => return wrong(error),
        },
    };
    Ok((name, stands))
}

/// Reads the base URL. Encrypted, since whoever finds the door by it trusts what it says; plain only on this machine.
fn base(text: &str) -> Result<Base, String> {
    let wrong = |text: &str| Err(format!("base_url: {text}; write one such as https://pdp.example.com"));
    if text.len() > MAX_TEXT {
        return wrong(&format!("has {} bytes, and at most {MAX_TEXT} are allowed", text.len()));
    }
    let Ok(uri) = text.parse::<http::Uri>() else {
        return wrong(&format!("`{text}` is no URL"));
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong(&format!("`{text}` has no scheme or no host"));
    };
    let host = authority.host();
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    if scheme != "https" && !(scheme == "http" && is_here) {
        return wrong(&format!("`{text}` is not https"));
    }
    if authority.as_str().contains('@') {
        return wrong("has a user in it, which does not belong into addresses");
    }
    if uri.query().is_some() || text.contains('#') {
        return wrong(&format!("`{text}` has a query or a fragment"));
    }
    let path = uri.path().trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if !path.bytes().all(plain) || path.contains("//") {
        return wrong(&format!("`{text}` has a path with other signs than letters, digits and -._~/"));
    }
    Ok(Base { url: format!("{scheme}://{authority}{path}"), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AuthzenSettings, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn nothing_written_is_the_default() {
        assert_eq!(read(""), Ok(AuthzenSettings::default()));
    }

    #[test]
    fn everything_can_be_set() {
        let settings = read(
            "base_url = \"https://pdp.example.com/tenant/\"\nshow_messages = true\nsubject_id = \"user_id\"\n\
             actions = [\"read\"]\npage_size = 5\nmax_page_size = 7\nmax_candidates = 9\npage_time_ms = 11\n\
             [resource_types]\ntodo = \"application/todo\"\nrecord = \"application/{id}\"\n",
        )
        .unwrap();
        let base = Base { url: "https://pdp.example.com/tenant".into(), path: "/tenant".into() };
        assert_eq!(settings.base, Some(base));
        assert_eq!(settings.types["record"], Stands::Kind(TargetKind::Application));
        assert_eq!(
            settings.types["todo"],
            Stands::Target(TargetRef::Named(TargetKind::Application, "todo".into()))
        );
        assert_eq!((settings.page_size, settings.max_page_size), (5, 7));
        assert_eq!((settings.max_candidates, settings.page_time), (9, Duration::from_millis(11)));
        assert!(settings.show_messages && settings.subject_id == SubjectId::UserId);
        for (url, kept) in [
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:1/", "http://[::1]:1"),
            ("https://PDP.example.com", "https://PDP.example.com"),
        ] {
            let settings = read(&format!("base_url = \"{url}\"")).unwrap();
            assert_eq!(settings.base.unwrap().url, kept);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("colour = 1", "unknown field `colour`"),
            ("subject_id = \"email\"", "unknown variant `email`"),
            ("base_url = \"http://pdp.example.com\"", "base_url: `http://pdp.example.com` is not https"),
            ("base_url = \"pdp\"", "has no scheme or no host"),
            ("base_url = \"https://a b\"", "is no URL"),
            ("base_url = \"https://x/?a=b\"", "has a query"),
            ("base_url = \"https://x/#a\"", "has a query or a fragment"),
            ("base_url = \"https://u:secret@x/\"", "base_url: has a user in it"),
            ("base_url = \"https://x/{y}\"", "base_url: "),
            ("base_url = \"https://x/a//b\"", "has a path with other signs"),
            ("actions = []", "actions: there are 0; name 1 to 100"),
            ("actions = [\"\"]", "actions: `` is no name"),
            ("actions = [\"a\", \"b\", \"a\"]", "actions: `a` is there twice"),
            ("page_size = 0", "page_size: 0 is not within 1 and 1000"),
            ("page_size = 1001", "page_size: 1001 is not within 1 and 1000"),
            ("max_page_size = 10001", "max_page_size: 10001"),
            ("max_candidates = 0", "max_candidates: 0"),
            ("page_time_ms = 60001", "page_time_ms: 60001"),
            ("[resource_types]\nflow = \"flow/x\"", "`flow`: is a kind of target itself"),
            ("[resource_types]\na = \"book/{id}\"", "`book` is not a kind of target; the kinds are app"),
            ("[resource_types]\na = \"application/\"", "names no application; write application/NAME"),
            ("[resource_types]\na = \"x\"", "`a`: `x` is not a target; write kind/name"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
