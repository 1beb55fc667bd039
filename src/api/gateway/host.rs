//! The host of a request in the one form that routes are looked up by.
//!
//! Must not know: routes, paths.

use crate::model::RouteHost;

/// A host, and the port that was sent with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Lower case, without port and trailing dot; an IPv6 address in brackets.
    pub name: String,
    /// The port, when there was one.
    pub port: Option<u16>,
}

impl Host {
    /// Reads what a client sent as its host.
    ///
    /// # Errors
    /// When it is no host name or address with at most a port.
    pub fn read(raw: &str) -> Result<Self, &'static str> {
        let (name, port) = match raw.rsplit_once(':') {
            // The colon of an IPv6 address without a port.
            Some((_, rest)) if rest.contains(']') => (raw, None),
            Some((name, port)) => (name, Some(port)),
            None => (raw, None),
        };
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse::<u16>().map_err(|_| "its port is no port")?)
            }
            Some(_) => return Err("its port is no port"),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        match RouteHost::parse(name) {
            Ok(host @ (RouteHost::Exact(_) | RouteHost::Address(_))) => {
                Ok(Self { name: host.to_string(), port })
            }
            Ok(RouteHost::Any | RouteHost::Below(_)) | Err(_) => Err("it is no host name"),
        }
    }
}

/// Whether hosts that an operator named cover this one.
pub fn covers(pattern: &RouteHost, host: &Host) -> bool {
    match pattern {
        // The dot stays: `*.example.com` is not `example.com`, nor `badexample.com`.
        RouteHost::Below(name) => {
            host.name.strip_suffix(name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        RouteHost::Exact(name) => host.name == name.as_str(),
        RouteHost::Address(_) => host.name == pattern.to_string(),
        RouteHost::Any => true,
    }
}

/// Reads hosts of a setting, `app.example.com` or `*.example.com`; not all at once.
///
/// # Errors
/// What is wrong with it.
pub fn pattern(text: &str) -> Result<RouteHost, String> {
    match RouteHost::parse(text) {
        Ok(RouteHost::Any) => Err(format!("`{text}` is any host; name those that are yours")),
        Ok(pattern) => Ok(pattern),
        Err(what) => Err(format!("`{text}` {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_form() {
        for (raw, name, port) in [
            ("Grafana.Example.com", "grafana.example.com", None),
            ("grafana.example.com:443", "grafana.example.com", Some(443)),
            ("grafana.example.com.:8443", "grafana.example.com", Some(8443)),
            ("a_b.example.com.", "a_b.example.com", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:80", "[::1]", Some(80)),
            ("[0:0::1]", "[::1]", None),
            ("localhost", "localhost", None),
        ] {
            assert_eq!(Host::read(raw), Ok(Host { name: name.into(), port }), "{raw}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}.com", "a.".repeat(130));
        let label = format!("{}.com", "a".repeat(64));
        for raw in [
            "",
            ".",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "user:pw@a",
            "a:80:80",
            "a:",
            "a:+80",
            "a:80a",
            "a:65536",
            "a..b",
            ".a",
            "a..",
            "é.com",
            "a%2eb",
            "a,b",
            "[::1",
            "::1",
            "[::1]]",
            "[x]",
            "[::1]x",
            "a\0",
            "a\r\nb",
            "*",
            "*.a",
            "a?b",
            "a#b",
            "a\\b",
            &long,
            &label,
        ] {
            assert!(Host::read(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn patterns_cover_what_is_below_them() {
        let is = |text: &str, host: &str| covers(&pattern(text).unwrap(), &Host::read(host).unwrap());
        assert!(is("*.example.com", "a.example.com") && is("*.Example.com", "a.b.example.com"));
        for host in ["example.com", "badexample.com", "a.example.com.evil", "a.example.co"] {
            assert!(!is("*.example.com", host), "{host}");
        }
        assert!(is("example.com", "Example.com.") && !is("example.com", "a.example.com"));
        assert!(is("[::1]", "[0::1]:80") && !is("[::1]", "[::2]"));
        for text in ["", "*", "*.", "example.com:80", "a.*.com", "*example.com", "http://a"] {
            assert!(pattern(text).is_err(), "{text}");
        }
    }
}
