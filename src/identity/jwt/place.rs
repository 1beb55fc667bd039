//! Where a token is in a request: in a header, or in a cookie.
//!
//! Must not know: what a token is.

use super::super::evidence::Headers;
use super::super::settings::JwtSettings;
use super::super::{Reason, Trouble, refused};

/// The header whose tokens have a word before them unless something else is said.
const AUTHORIZATION: &str = "authorization";

#[derive(Debug)]
pub(super) struct Place {
    /// Its name in lower case.
    header: Option<String>,
    prefix: Option<String>,
    cookies: Vec<String>,
}

/// Whether a text can be the name of a header or cookie.
fn is_token(text: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= 256 && text.bytes().all(sign)
}

impl Place {
    pub(super) fn new(settings: &JwtSettings) -> Result<Self, String> {
        let header = Some(settings.header.to_ascii_lowercase()).filter(|name| !name.is_empty());
        let prefix = match &settings.prefix {
            None if header.as_deref() == Some(AUTHORIZATION) => Some("Bearer".to_owned()),
            prefix => prefix.clone().filter(|prefix| !prefix.is_empty()),
        };
        for (setting, name) in [("header", header.as_ref()), ("prefix", prefix.as_ref())]
            .into_iter()
            .chain(settings.cookies.iter().map(|name| ("cookies", Some(name))))
        {
            if let Some(name) = name.filter(|name| !is_token(name)) {
                return Err(format!(
                    "identity.jwt.{setting}: `{name}` is no name; write letters, digits and hyphens"
                ));
            }
        }
        if header.as_deref() == Some("cookie") {
            return Err("identity.jwt.header: cookies are several things in one; name them in cookies".into());
        }
        if header.is_none() && prefix.is_some() {
            return Err("identity.jwt.prefix: there is no header that it could be in; leave it out".into());
        }
        if header.is_none() && settings.cookies.is_empty() {
            return Err(
                "identity.jwt: there is neither a header nor a cookie that a token could be in; set one"
                    .into(),
            );
        }
        Ok(Self { header, prefix, cookies: settings.cookies.clone() })
    }

    /// The token, if there is one.
    pub(super) fn find<'a>(&self, headers: &Headers<'a>) -> Result<Option<&'a str>, Trouble> {
        let mut tokens = Vec::new();
        if let Some(name) = &self.header {
            let values: Vec<&[u8]> = headers.all(name).collect();
            tokens.extend(values.iter().filter_map(|value| self.in_header(value)));
            if tokens.len() == 1 && values.len() > 1 {
                return Err(refused(
                    Reason::HeaderAmbiguous,
                    format!("the header `{name}` is there more than once"),
                ));
            }
        }
        if !self.cookies.is_empty() {
            self.in_cookies(headers, &mut tokens);
        }
        let mut tokens = tokens.into_iter();
        match (tokens.next(), tokens.next()) {
            (None, _) => Ok(None),
            (Some(token), None) => match std::str::from_utf8(token) {
                Ok(token) => Ok(Some(token)),
                Err(_) => Err(refused(Reason::TokenMalformed, "the token is no text")),
            },
            (Some(_), Some(_)) => Err(refused(
                Reason::SeveralTokens,
                "there is more than one token, and different ones may be read by others; send one",
            )),
        }
    }

    /// The token in a value of the header; nothing where the value is about something else.
    fn in_header<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let value = value.trim_ascii_start();
        let Some(prefix) = &self.prefix else { return Some(value).filter(|value| !value.is_empty()) };
        let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
        let (word, rest) = value.split_at_checked(end)?;
        // One space; whatever else stands there is part of no token.
        word.eq_ignore_ascii_case(prefix.as_bytes()).then(|| rest.strip_prefix(b" ").unwrap_or(rest))
    }

    /// The tokens in cookies. A cookie that is there twice counts twice, since others may read the other one; an
    /// empty one alone is what is left of a token after signing out.
    fn in_cookies<'a>(&self, headers: &Headers<'a>, tokens: &mut Vec<&'a [u8]>) {
        let mut empty = Vec::new();
        let before = tokens.len();
        // Over HTTP/2, the cookies of one request may come in several headers.
        for pair in headers.all("cookie").flat_map(|value| value.split(|byte| *byte == b';')) {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = pair.split_at_checked(equals).unwrap_or((pair, b""));
            let name = name.trim_ascii();
            if self.cookies.iter().any(|own| own.as_bytes() == name) {
                let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
                if value.is_empty() { empty.push(value) } else { tokens.push(value) }
            }
        }
        if tokens.len() > before {
            tokens.append(&mut empty);
        }
    }
}

#[cfg(test)]
mod tests;
