//! The requests: those of `requests.toml`, and one for each token as attackers make them.
//!
//! Must not know: how they are sent.

use super::scene::{Scene, User};
use serde::Deserialize;
use std::collections::BTreeMap;

const FILE: &str = include_str!("requests.toml");

/// A request, and what must become of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Attack {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) sni: Option<String>,
    pub(super) principal: Option<String>,
    pub(super) target: Option<String>,
    /// Only a gateway can tell it.
    pub(super) direct: bool,
    /// Nothing of the request's headers is told.
    pub(super) no_headers: bool,
    pub(super) allowed: bool,
    pub(super) reasons: Vec<String>,
    pub(super) sets: Vec<(String, String)>,
    pub(super) kept_out: Vec<String>,
}

impl Attack {
    /// Whether a map of names to values can have its headers: a name once, as text.
    pub(super) fn fits_a_map(&self) -> bool {
        let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair.first() != pair.last())
    }
}

#[derive(Deserialize)]
struct File {
    request: Vec<Entry>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(rename = "as", default)]
    user: User,
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    header: Option<[String; 2]>,
    #[serde(default)]
    headers: Vec<[String; 2]>,
    #[serde(default)]
    body: String,
    sni: Option<String>,
    principal: Option<String>,
    target: Option<String>,
    #[serde(default)]
    direct: bool,
    #[serde(default)]
    no_headers: bool,
    pad_path: Option<usize>,
    pad_header: Option<usize>,
    pad_headers: Option<usize>,
    pad_token: Option<usize>,
    #[serde(default)]
    each: Each,
    expect: Expect,
    #[serde(default)]
    reasons: Vec<String>,
    #[serde(default)]
    sets: BTreeMap<String, String>,
    #[serde(default)]
    kept_out: Vec<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Each {
    path: Vec<String>,
    host: Vec<String>,
    method: Vec<String>,
    header: Vec<[String; 2]>,
    sni: Vec<String>,
    principal: Vec<String>,
    target: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allowed,
    Denied,
}

/// Every request, for the people and keys of this scene.
///
/// # Errors
/// When a token cannot be made.
pub(super) fn all(scene: &Scene) -> Result<Vec<Attack>, String> {
    let file: File = toml::from_str(FILE).map_err(|error| format!("requests.toml: {error}"))?;
    let mut all: Vec<Attack> = file.request.into_iter().flat_map(each).map(|entry| made(scene, entry)).collect();
    for forgery in scene.forgeries()? {
        // A header cannot have these, so a gateway refuses them before it asks.
        let direct = forgery.token.chars().any(|sign| !(' '..='~').contains(&sign));
        all.push(Attack {
            name: format!("a forged token: {}", forgery.name),
            method: "GET".to_owned(),
            host: super::scene::HOST.to_owned(),
            path: "/private".to_owned(),
            headers: vec![("authorization".to_owned(), format!("Bearer {}", forgery.token))],
            direct,
            // Whatever else is said of such a token: it is nobody's.
            reasons: Vec::new(),
            ..Attack::default()
        });
    }
    Ok(all)
}

/// One entry for each value of what it lists.
fn each(mut entry: Entry) -> Vec<Entry> {
    let Each { path, host, method, header, sni, principal, target } = std::mem::take(&mut entry.each);
    let mut all = Vec::new();
    let mut add = |shown: &str, change: &dyn Fn(&mut Entry)| {
        let mut one = entry.clone();
        one.name = format!("{}: `{}`", entry.name, shown.escape_debug());
        change(&mut one);
        all.push(one);
    };
    for value in path {
        add(&value, &|one| one.path = Some(value.clone()));
    }
    for value in host {
        add(&value, &|one| one.host = Some(value.clone()));
    }
    for value in method {
        add(&value, &|one| one.method = Some(value.clone()));
    }
    for value in header {
        add(&value.join(": "), &|one| one.headers.push(value.clone()));
    }
    for value in sni {
        add(&value, &|one| one.sni = Some(value.clone()));
    }
    for value in principal {
        add(&value, &|one| one.principal = Some(value.clone()));
    }
    for value in target {
        add(&value, &|one| one.target = Some(value.clone()));
    }
    if all.is_empty() { vec![entry] } else { all }
}

fn made(scene: &Scene, entry: Entry) -> Attack {
    let filled = |text: String| scene.fill(&text);
    let mut headers = Vec::new();
    if let Some(token) = scene.token(entry.user) {
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    if let Some(length) = entry.pad_token {
        headers.push(("authorization".to_owned(), format!("Bearer {}.a.b", "a".repeat(length))));
    }
    if let Some(length) = entry.pad_header {
        headers.push(("x-attack-padding".to_owned(), "a".repeat(length)));
    }
    headers.extend((0..entry.pad_headers.unwrap_or(0)).map(|index| (format!("x-attack-{index}"), "a".to_owned())));
    let given = entry.header.into_iter().chain(entry.headers);
    headers.extend(given.map(|[name, value]| (name, filled(value))));
    let path = filled(entry.path.unwrap_or_else(|| "/private".to_owned()));
    Attack {
        name: entry.name,
        method: entry.method.unwrap_or_else(|| "GET".to_owned()),
        host: entry.host.unwrap_or_else(|| super::scene::HOST.to_owned()),
        path: path + &"a".repeat(entry.pad_path.unwrap_or(0)),
        headers,
        body: entry.body,
        sni: entry.sni,
        principal: entry.principal,
        target: entry.target,
        direct: entry.direct,
        no_headers: entry.no_headers,
        allowed: entry.expect == Expect::Allowed,
        reasons: entry.reasons,
        sets: entry.sets.into_iter().collect(),
        kept_out: entry.kept_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_and_each_is_another() {
        let file: File = toml::from_str(FILE).unwrap();
        let all: Vec<Entry> = file.request.into_iter().flat_map(each).collect();
        let mut names: Vec<&str> = all.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
        assert!(names.len() >= 120, "{}", names.len());
        let controls = all.iter().filter(|entry| entry.expect == Expect::Allowed).count();
        assert!(controls >= 20, "{controls}");
    }
}
