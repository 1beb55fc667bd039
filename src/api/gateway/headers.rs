//! Headers that tell an application who is asking: what goes in, and what a client may not send itself.
//!
//! An application behind CGI, WSGI or the like sees `X-Team`, `X_Team` and `X.Team` under one name, behind some servers
//! `X!Team`, too, so every spelling of a protected header is taken out of a request. Must not know: how a gateway is told so.

use super::asked::Headers;
use crate::model::Value;
use std::collections::BTreeSet;
use std::str::FromStr;

/// The largest value that is sent on, in bytes; one that is larger is left out.
const MAX_VALUE: usize = 8 << 10;
/// What every client is kept from sending: authentik's headers, whichever of them are set.
const AUTHENTIKS: &str = "x-authentik-";
/// Names that are a request's own, so that setting them would change what is asked rather than who asks.
const OWN: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "upgrade",
    "trailer",
    "keep-alive",
    "expect",
    "content-type",
];

/// What a header has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The username.
    Username,
    /// The id.
    UserId,
    /// The e-mail address.
    Email,
    /// The display name.
    Name,
    /// Names of groups, with `|` between them.
    Groups,
    /// An attribute: a text, a number, a truth value, or a list of these with `|` between them.
    Attribute(String),
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "username" => Self::Username,
            "user_id" => Self::UserId,
            "email" => Self::Email,
            "name" => Self::Name,
            "groups" => Self::Groups,
            _ => match text.strip_prefix("attribute:") {
                Some(name) if !name.is_empty() => Self::Attribute(name.to_owned()),
                _ => {
                    return Err(format!(
                        "`{text}` is nothing that a header can have; write username, user_id, email, name, groups or \
                         attribute:NAME"
                    ));
                }
            },
        })
    }
}

/// The headers that authentik's own outposts set.
pub const AUTHENTIK: [(&str, Field); 5] = [
    ("x-authentik-username", Field::Username),
    ("x-authentik-groups", Field::Groups),
    ("x-authentik-email", Field::Email),
    ("x-authentik-name", Field::Name),
    ("x-authentik-uid", Field::UserId),
];
/// Those of authentik's that may come in without being set.
const OTHER_AUTHENTIK: [&str; 2] = ["x-authentik-entitlements", "x-authentik-jwt"];

/// What is known of who is asking, as headers tell it.
#[derive(Clone, Debug, Default)]
pub struct Who<'a> {
    /// The username.
    pub username: String,
    /// The id.
    pub user_id: String,
    /// The e-mail address.
    pub email: String,
    /// The display name.
    pub name: String,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Free attributes.
    pub attributes: Option<&'a Value>,
}

impl Who<'_> {
    /// The value of a header; nothing where it is not known, or no header could carry it.
    pub fn value(&self, field: &Field) -> Option<String> {
        let text = match field {
            Field::Username => self.username.clone(),
            Field::UserId => self.user_id.clone(),
            Field::Email => self.email.clone(),
            Field::Name => self.name.clone(),
            // A name with the separator in it would be read as two.
            Field::Groups => joined(self.groups.iter().cloned()),
            Field::Attribute(name) => match self.attributes?.get(name)? {
                Value::List(items) => joined(items.iter().filter_map(plain)),
                value => plain(value)?,
            },
        };
        // Whoever reads a header leaves out blanks at its ends, so that `root ` would be `root` from there on.
        let fits = text.trim() == text && text.len() <= MAX_VALUE && !text.chars().any(char::is_control);
        (fits && !text.is_empty()).then_some(text)
    }
}

fn joined(names: impl Iterator<Item = String>) -> String {
    let fits = |name: &String| {
        !name.is_empty() && name.trim() == name && !name.contains('|') && !name.chars().any(char::is_control)
    };
    names.filter(fits).collect::<Vec<_>>().join("|")
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Checks the name of a header that a setting names; the result is in lower case.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<String, String> {
    let name = name.to_ascii_lowercase();
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("`{name}` is no name of a header"));
    }
    if OWN.contains(&name.as_str()) {
        return Err(format!("`{name}` belongs to the request itself; name another"));
    }
    Ok(name)
}

/// A sign of a name as an application may take it: in lower case, with a hyphen for whatever is neither letter nor digit.
const fn plain_sign(sign: u8) -> u8 {
    if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { b'-' }
}

/// One name for all spellings that some application takes for the same.
fn canonical(name: &str) -> String {
    name.bytes().map(plain_sign).map(char::from).collect()
}

/// Whether a name, in whatever spelling, begins with this in its one spelling.
fn begins_with(name: &str, canonical: &str) -> bool {
    name.len() >= canonical.len() && name.bytes().map(plain_sign).zip(canonical.bytes()).all(|(a, b)| a == b)
}

/// The headers that no client may send.
#[derive(Clone, Debug)]
pub struct Protected {
    /// In their one spelling.
    names: Vec<String>,
    /// Beginnings of names.
    prefixes: Vec<String>,
    /// The commonest spellings of the names.
    spellings: Vec<String>,
}

impl Protected {
    /// Those that are set, authentik's, and more that an operator names.
    ///
    /// # Errors
    /// When one of those is no name.
    pub fn new<'a>(set: impl Iterator<Item = &'a str>, more: &[String]) -> Result<Self, String> {
        let known = AUTHENTIK.iter().map(|(name, _)| *name).chain(OTHER_AUTHENTIK);
        let mut names: BTreeSet<String> = set.chain(known).map(canonical).collect();
        let mut prefixes = vec![AUTHENTIKS.to_owned()];
        for name in more {
            let wrong = |what: String| format!("protect_headers: {what}");
            match name.strip_suffix('*') {
                Some(prefix) if prefix.len() < 3 => {
                    return Err(wrong(format!("`{name}` covers too much; write more of the name")));
                }
                Some(prefix) => {
                    let prefix = canonical(&check_name(prefix).map_err(wrong)?);
                    if let Some(own) = OWN.iter().find(|own| own.starts_with(&prefix)) {
                        let what = format!(
                            "`{name}` covers `{own}`, which belongs to the request itself; write more of the name"
                        );
                        return Err(wrong(what));
                    }
                    prefixes.push(prefix);
                }
                None => {
                    names.insert(canonical(&check_name(name).map_err(wrong)?));
                }
            }
        }
        let all = |name: &String| [name.clone(), name.replace('-', "_"), name.replace('-', ".")];
        let spellings: BTreeSet<String> = names.iter().flat_map(all).collect();
        Ok(Self { names: names.into_iter().collect(), prefixes, spellings: spellings.into_iter().collect() })
    }

    /// Whether a header of this name, in whatever spelling, is one of them.
    pub fn covers(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| begins_with(name, prefix))
            || self.names.iter().any(|own| own.len() == name.len() && begins_with(name, own))
    }

    /// What to take out of a request, so that of these headers only those in `set` are left, which are overwritten.
    /// The commonest spellings are named even where they were not seen: a gateway may show only some headers.
    pub fn removals(&self, headers: &Headers, set: &[(String, String)]) -> Vec<String> {
        let is_set = |name: &str| set.iter().any(|(own, _)| own == name);
        let mut all: Vec<String> = self.spellings.iter().filter(|name| !is_set(name)).cloned().collect();
        for (name, _) in headers.iter().filter(|(name, _)| self.covers(name) && !is_set(name)) {
            if !all.iter().any(|known| known == name) {
                all.push(name.to_owned());
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected() -> Protected {
        Protected::new(["x-user"].into_iter(), &["X-Team-*".to_owned(), "x-role".to_owned()]).unwrap()
    }

    #[test]
    fn every_spelling_is_covered() {
        for name in [
            "x-user",
            "X-User",
            "x_user",
            "X.USER",
            "x_authentik.username",
            "x-authentik-anything",
            "X_Authentik_Uid",
            "x-team-a",
            "x_team_b",
            "X.Role",
            "x!user",
            "X~Authentik*Username",
            "x+authentik|uid",
            "x'team`a",
        ] {
            assert!(protected().covers(name), "{name}");
        }
        for name in ["x-users", "user", "x-team", "authorization", "x-authentikusername"] {
            assert!(!protected().covers(name), "{name}");
        }
    }

    #[test]
    fn what_is_set_is_overwritten_and_all_else_goes() {
        let mut headers = Headers::default();
        for name in ["x-user", "x_user", "X.Team.Lead", "x-authentik-groups", "accept", "x_authentik-email"] {
            headers.push(name.to_owned(), b"spoofed".to_vec());
        }
        let set = [("x-user".to_owned(), "ada".to_owned())];
        let gone = protected().removals(&headers, &set);
        for name in [
            "x_user",
            "x.user",
            "x.team.lead",
            "x-authentik-groups",
            "x_authentik_groups",
            "x_authentik-email",
            "x-authentik-username",
            "x-role",
            "x_role",
        ] {
            assert!(gone.iter().any(|it| it == name), "{name} stays: {gone:?}");
        }
        assert!(!gone.iter().any(|it| it == "x-user" || it == "accept"), "{gone:?}");
    }

    #[test]
    fn values_are_what_a_header_can_carry() {
        let list = Value::List(vec![Value::String("a".into()), Value::Bool(true), Value::Null]);
        let attributes = Value::Map([("list".into(), list), ("n".into(), Value::Number(3.0))].into());
        let who = Who {
            username: "ada".into(),
            name: "Ada\r\nX-Role: root".into(),
            email: "a".repeat(MAX_VALUE + 1),
            groups: ["staff", "a|root", "", "x\0", "dev ops", " root", "root "].map(str::to_owned).to_vec(),
            attributes: Some(&attributes),
            ..Who::default()
        };
        let value = |field: &str| who.value(&field.parse().unwrap());
        assert_eq!(value("username").as_deref(), Some("ada"));
        assert_eq!(value("groups").as_deref(), Some("staff|dev ops"));
        assert_eq!(value("attribute:list").as_deref(), Some("a|true"));
        assert_eq!(value("attribute:n").as_deref(), Some("3"));
        for missing in ["name", "email", "user_id", "attribute:none"] {
            assert_eq!(value(missing), None, "{missing}");
        }
        for username in ["root ", " root", "\u{a0}root", " "] {
            let who = Who { username: username.into(), ..Who::default() };
            assert_eq!(who.value(&Field::Username), None, "{username:?}");
        }
    }
}
