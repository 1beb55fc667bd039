//! Routes: which target a request to a gateway is about. What is wrong is refused where a part of one is read, so that a
//! route is always one that requests can fit.
//!
//! Must not know: other routes, the table that they are found in.

use super::{Id, TargetRef};
use percent_encoding::{percent_decode_str, percent_encode_byte};
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// The longest host, in bytes.
const MAX_HOST: usize = 253;
/// The longest label of a host, in bytes.
const MAX_LABEL: usize = 63;
/// The longest path prefix, in bytes.
const MAX_PREFIX: usize = 2_048;
/// The most segments of a path prefix.
const MAX_SEGMENTS: usize = 64;
/// The most methods of a route.
const MAX_METHODS: usize = 32;
/// The longest method, in bytes.
const MAX_METHOD: usize = 32;

/// Says which target a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Identifies the route.
    pub id: Id,
    /// The hosts.
    pub host: RouteHost,
    /// The paths.
    pub path_prefix: PathPrefix,
    /// The methods.
    pub methods: Methods,
    /// The target that is asked about.
    pub target: TargetRef,
    /// Whether the anonymous subject is asked about where nobody is signed in.
    pub anonymous: bool,
}

impl Route {
    /// The longest id that a route without one of its own gets.
    pub const MAX_ID: usize = MAX_HOST + MAX_PREFIX + MAX_METHODS * (MAX_METHOD + 1);

    /// Whether just the same requests fit both.
    pub fn covers_the_same(&self, other: &Self) -> bool {
        (&self.host, &self.path_prefix, &self.methods) == (&other.host, &other.path_prefix, &other.methods)
    }

    /// What stands in for a missing id: `grafana.example.com/api#GET,HEAD`.
    pub fn natural_id(host: &RouteHost, path_prefix: &PathPrefix, methods: &Methods) -> String {
        let path_prefix = path_prefix.as_str();
        if methods.is_all() {
            format!("{host}{path_prefix}")
        } else {
            format!("{host}{path_prefix}#{methods}")
        }
    }
}

/// A host name in lower case, without a dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which hosts a route is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteHost {
    /// Any.
    Any,
    /// This one.
    Exact(HostName),
    /// The ones below it, with any number of labels more, and not itself.
    Below(HostName),
    /// This address, however it is written.
    Address(Ipv6Addr),
}

impl RouteHost {
    /// Reads `grafana.example.com`, `*.example.com`, `127.0.0.1`, `[::1]`, or nothing or `*` for any.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn parse(text: &str) -> Result<Self, String> {
        if matches!(text, "" | "*") {
            return Ok(Self::Any);
        }
        if text.len() > MAX_HOST {
            return Err(format!("has {} bytes; at most {MAX_HOST} are allowed", text.len()));
        }
        if text.contains('/') {
            return Err("has a slash; write the host alone, without a scheme or a path".to_owned());
        }
        if !text.is_ascii() {
            return Err(
                "has characters beyond ASCII; write the name in punycode, as browsers send it, such as \
                        `xn--mnchen-3ya.example`"
                    .to_owned(),
            );
        }
        if let Some(rest) = text.strip_prefix('[') {
            return Self::address(rest);
        }
        if text.contains(':') {
            return Err(match text.parse::<Ipv6Addr>() {
                Ok(address) => format!("is an IPv6 address without brackets; write `[{address}]`"),
                Err(_) => "has a port; leave it out, a route is about all ports".to_owned(),
            });
        }
        let text = text.to_ascii_lowercase();
        let below = text.strip_prefix("*.");
        let name = below.unwrap_or(&text);
        check_name(name)?;
        // A name under a number would be an address, of which a part stands for nothing.
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        if below.is_some() && name.rsplit('.').next().is_some_and(is_number) {
            return Err(format!(
                "`{name}` is a part of an address; write the whole address, or `*` for any host"
            ));
        }
        let name = HostName(name.into());
        Ok(if below.is_some() { Self::Below(name) } else { Self::Exact(name) })
    }

    fn address(rest: &str) -> Result<Self, String> {
        match rest.split_once(']') {
            Some((address, "")) => address.parse().map(Self::Address).map_err(|_| {
                "is no IPv6 address in brackets; write it as `[2001:db8::1]`, without a zone".to_owned()
            }),
            Some((_, more)) if more.starts_with(':') => {
                Err("has a port; leave it out, a route is about all ports".to_owned())
            }
            _ => Err("begins with a bracket; write an IPv6 address as `[2001:db8::1]`".to_owned()),
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.ends_with('.') {
        return Err("ends with a dot; leave it out".to_owned());
    }
    for label in name.split('.') {
        if label.contains('*') {
            return Err("has a wildcard that is not the whole first label; write `*.example.com`".to_owned());
        }
        if label.is_empty() {
            return Err("has an empty label; write one dot between two names".to_owned());
        }
        if label.len() > MAX_LABEL {
            let length = label.len();
            return Err(format!("has a label of {length} bytes; at most {MAX_LABEL} are allowed"));
        }
        let odd = label.chars().find(|letter| !matches!(letter, 'a'..='z' | '0'..='9' | '-' | '_'));
        if let Some(odd) = odd {
            let odd = odd.escape_default();
            return Err(format!("has `{odd}`; a host has letters, digits, hyphens, underscores and dots"));
        }
    }
    Ok(())
}

/// As it stands in a route: `*` for any.
impl fmt::Display for RouteHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name.as_str()),
            Self::Below(name) => write!(f, "*.{}", name.as_str()),
            Self::Address(address) => write!(f, "[{address}]"),
        }
    }
}

/// The beginning of paths, in whole segments, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// Reads `/api/v1`, or nothing for `/`. A slash at the end goes, and escapes get capital letters.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn parse(text: &str) -> Result<Self, String> {
        if matches!(text, "" | "/") {
            return Ok(Self("/".into()));
        }
        if text.len() > MAX_PREFIX {
            return Err(format!("has {} bytes; at most {MAX_PREFIX} are allowed", text.len()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err("does not begin with a slash; write it as `/api`".to_owned());
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let count = rest.split('/').count();
        if count > MAX_SEGMENTS {
            return Err(format!("has {count} segments; at most {MAX_SEGMENTS} are allowed"));
        }
        let mut prefix = String::with_capacity(text.len());
        for segment in rest.split('/') {
            prefix.push('/');
            push_segment(segment, &mut prefix)?;
        }
        Ok(Self(prefix.into()))
    }

    /// The prefix.
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments without escapes; none for `/`.
    pub fn segments(&self) -> impl Iterator<Item = Arc<[u8]>> {
        let rest = self.0.strip_prefix('/').filter(|rest| !rest.is_empty());
        rest.into_iter().flat_map(|rest| rest.split('/')).map(|segment| percent_decode_str(segment).collect())
    }
}

/// Adds a segment in the one form that it can have.
fn push_segment(segment: &str, prefix: &mut String) -> Result<(), String> {
    match segment {
        "" => return Err("has two slashes in a row; write one".to_owned()),
        "." | ".." => return Err(format!("has the segment `{segment}`; write the path that it leads to")),
        "*" | "**" => {
            return Err(format!(
                "has the segment `{segment}`; leave it out, a prefix covers all that is below it"
            ));
        }
        _ => {}
    }
    let mut letters = segment.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '?' => return Err("has a query; leave it out, a route is about the path alone".to_owned()),
            '#' => return Err("has a fragment; leave it out, no request has one".to_owned()),
            '%' => {
                let rest = letters.as_str();
                prefix.push_str(&escape(rest)?);
                // Two digits, which are a byte each.
                letters = rest.get(2..).unwrap_or_default().chars();
            }
            letter if letter.is_control() => {
                return Err(format!("has the control character `{}`; remove it", letter.escape_default()));
            }
            letter if is_plain(letter) => prefix.push(letter),
            '\\' => return Err("has a backslash; write a slash".to_owned()),
            letter => {
                let mut bytes = [0; 4];
                let bytes = letter.encode_utf8(&mut bytes).bytes();
                let escaped: String = bytes.map(percent_encode_byte).collect();
                return Err(format!("has `{letter}`, which no path has; write `{escaped}`"));
            }
        }
    }
    Ok(())
}

/// The escape whose digits these texts begin with, in capital letters.
fn escape(rest: &str) -> Result<String, String> {
    let digits = rest.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let Some((digits, byte)) = digits.and_then(|it| Some((it, u8::from_str_radix(it, 16).ok()?))) else {
        return Err("has `%` without two digits after it; write `%25` for the character itself".to_owned());
    };
    let escaped = format!("%{}", digits.to_ascii_uppercase());
    let letter = char::from(byte);
    match letter {
        '/' | '\\' => Err(format!("has the escaped slash `{escaped}`, which gateways refuse; leave it out")),
        _ if byte.is_ascii_control() => Err(format!("has the control character `{escaped}`; remove it")),
        _ if is_unreserved(letter) => Err(format!("has the escape `{escaped}`; write `{letter}`")),
        _ => Ok(escaped),
    }
}

const fn is_unreserved(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_' | '~')
}

/// Whether it stands for itself in a path.
const fn is_plain(letter: char) -> bool {
    is_unreserved(letter)
        || matches!(letter, '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' | ':' | '@')
}

/// The methods of a route: all, or these, each once and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Methods(Box<[Box<str>]>);

impl Methods {
    /// Reads methods; none are all.
    ///
    /// # Errors
    /// What is wrong with them, and what to do.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        if texts.len() > MAX_METHODS {
            return Err(format!("has {} entries; at most {MAX_METHODS} are allowed", texts.len()));
        }
        let mut methods = Vec::with_capacity(texts.len());
        for text in texts {
            check_method(text)?;
            methods.push(Box::from(text.as_str()));
        }
        methods.sort_unstable();
        methods.dedup();
        Ok(Self(methods.into()))
    }

    /// Whether they are all.
    pub const fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Each method; none when they are all.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|method| &**method)
    }
}

fn check_method(text: &str) -> Result<(), String> {
    if matches!(text, "" | "*") {
        return Err(format!("`{text}` is no method; leave the list empty for all"));
    }
    if text.len() > MAX_METHOD {
        return Err(format!("has one of {} bytes; at most {MAX_METHOD} are allowed", text.len()));
    }
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.bytes().all(is_token) {
        return Err(format!("`{}` is no method; write one such as `GET`", text.escape_default()));
    }
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(format!("`{text}` is not in upper case; write `{}`", text.to_ascii_uppercase()));
    }
    Ok(())
}

/// `GET,HEAD`.
impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        for (text, form) in [
            ("", "*"),
            ("*", "*"),
            ("Grafana.Example.com", "grafana.example.com"),
            ("*.Example.com", "*.example.com"),
            ("*.com", "*.com"),
            ("_dmarc.my_host", "_dmarc.my_host"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[2001:DB8:0::0:1]", "[2001:db8::1]"),
        ] {
            let host = RouteHost::parse(text).unwrap();
            assert_eq!(host.to_string(), form);
            assert_eq!(RouteHost::parse(form).unwrap(), host);
        }
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert!(RouteHost::parse(&longest).is_ok());
        assert!(RouteHost::parse(&format!("{longest}b")).unwrap_err().contains("has 254 bytes"));
    }

    #[test]
    fn hosts_that_no_request_has_are_refused() {
        for (text, part) in [
            ("https://a.example", "without a scheme"),
            ("a.example/", "has a slash"),
            ("münchen.example", "punycode"),
            ("a.example:80", "has a port"),
            ("[::1]:80", "has a port"),
            ("[::1%25eth0]", "without a zone"),
            ("[::1", "begins with a bracket"),
            ("::1", "write `[::1]`"),
            ("a.example.", "ends with a dot"),
            ("*.", "empty label"),
            ("a..example", "empty label"),
            (".example", "empty label"),
            ("a.*.example", "not the whole first label"),
            ("*a.example", "not the whole first label"),
            ("**.example", "not the whole first label"),
            ("*.*.example", "not the whole first label"),
            ("a b", "has ` `"),
            ("a@b", "has `@`"),
            ("a\nb", "has `\\n`"),
            ("*.0.0.1", "part of an address"),
        ] {
            let error = RouteHost::parse(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        let long = "a".repeat(64);
        assert!(RouteHost::parse(&long).unwrap_err().contains("a label of 64 bytes"));
    }

    #[test]
    fn prefixes_have_one_form() {
        for (text, form, count) in [
            ("", "/", 0),
            ("/", "/", 0),
            ("/api/", "/api", 1),
            ("/api/v1", "/api/v1", 2),
            ("/a%c3%a4/x", "/a%C3%A4/x", 2),
            ("/@me:(x)!$&'*+,;=~-._", "/@me:(x)!$&'*+,;=~-._", 1),
            ("/100%25", "/100%25", 1),
            ("/...", "/...", 1),
        ] {
            let prefix = PathPrefix::parse(text).unwrap();
            assert_eq!((prefix.as_str(), prefix.segments().count()), (form, count), "{text}");
            assert_eq!(PathPrefix::parse(form).unwrap(), prefix);
        }
        let segments: Vec<_> = PathPrefix::parse("/%C3%A4/100%25").unwrap().segments().collect();
        assert_eq!(segments, [Arc::from("ä".as_bytes()), Arc::from(&b"100%"[..])]);
        assert!(PathPrefix::parse(&"/a".repeat(64)).is_ok());
        assert!(PathPrefix::parse(&format!("/{}", "a".repeat(2_047))).is_ok());
    }

    #[test]
    fn prefixes_that_no_request_has_are_refused() {
        for (text, part) in [
            ("api", "does not begin with a slash"),
            ("*", "does not begin with a slash"),
            ("//", "two slashes"),
            ("/a//b", "two slashes"),
            ("/a//", "two slashes"),
            ("/a/../b", "segment `..`"),
            ("/a/.", "segment `.`"),
            ("/a/*", "segment `*`; leave it out"),
            ("/a/**/b", "segment `**`"),
            ("/a?b", "has a query"),
            ("/a#b", "has a fragment"),
            ("/a\\b", "has a backslash"),
            ("/a%2fb", "escaped slash `%2F`"),
            ("/a%5cb", "escaped slash `%5C`"),
            ("/%61", "escape `%61`; write `a`"),
            ("/%2e%2e", "escape `%2E`; write `.`"),
            ("/a%00", "control character `%00`"),
            ("/a\tb", "control character `\\t`"),
            ("/a b", "has ` `, which no path has; write `%20`"),
            ("/ä", "has `ä`, which no path has; write `%C3%A4`"),
            ("/a%", "write `%25`"),
            ("/a%4", "write `%25`"),
            ("/a%ä", "write `%25`"),
            ("/a%+1", "write `%25`"),
        ] {
            let error = PathPrefix::parse(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(PathPrefix::parse(&"/a".repeat(65)).unwrap_err().contains("has 65 segments"));
        assert!(PathPrefix::parse(&format!("/{}", "a".repeat(2_048))).unwrap_err().contains("2049 bytes"));
    }

    #[test]
    fn methods_have_one_form() {
        let parse =
            |texts: &[&str]| Methods::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(parse(&[]).unwrap().is_all());
        assert_eq!(parse(&["PUT", "GET", "PUT", "M-SEARCH"]).unwrap().to_string(), "GET,M-SEARCH,PUT");
        for (text, part) in [
            ("get", "write `GET`"),
            ("", "leave the list empty"),
            ("*", "leave the list empty"),
            ("GET POST", "is no method"),
            ("GÉT", "is no method"),
        ] {
            let error = parse(&[text]).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(parse(&["A"; 33]).unwrap_err().contains("has 33 entries"));
        assert!(parse(&[&"A".repeat(33)]).unwrap_err().contains("33 bytes"));
    }

    #[test]
    fn a_natural_id_has_all_that_makes_a_route_another_one() {
        let id = |host: &str, prefix: &str, methods: &[String]| {
            let (host, prefix) = (RouteHost::parse(host).unwrap(), PathPrefix::parse(prefix).unwrap());
            Route::natural_id(&host, &prefix, &Methods::parse(methods).unwrap())
        };
        assert_eq!(id("", "", &[]), "*/");
        assert_eq!(id("*.A.example", "/api/", &["PUT".into(), "GET".into()]), "*.a.example/api#GET,PUT");
    }
}
