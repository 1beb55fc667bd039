//! The host of a request in the one form that routes are looked up by.
//!
//! Must not know: routes, paths.

/// The longest host name, in bytes.
const MAX_HOST: usize = 253;

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
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: std::net::Ipv6Addr =
                address.parse().map_err(|_| "it is in brackets and no IPv6 address")?;
            // One address has many spellings.
            return Ok(Self { name: format!("[{address}]"), port });
        }
        let is_label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(plain)
        };
        if name.len() > MAX_HOST || !name.split('.').all(is_label) {
            return Err("it is no host name");
        }
        Ok(Self { name, port })
    }

    /// Whether it is an address rather than a name.
    pub fn is_address(&self) -> bool {
        self.name.starts_with('[') || self.name.parse::<std::net::Ipv4Addr>().is_ok()
    }
}

/// Whether a pattern, `app.example.com` or `*.example.com`, covers a host.
pub fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        // The dot stays: `*.example.com` is not `example.com`, nor `badexample.com`.
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

/// Checks a pattern of a setting.
///
/// # Errors
/// What is wrong with it.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    match Host::read(name) {
        Ok(host) if host.name == name && host.port.is_none() => Ok(()),
        Ok(host) => Err(format!("`{pattern}` is not as it is compared; write `{}`", host.name)),
        Err(what) => Err(format!("`{pattern}`: {what}; write app.example.com or *.example.com")),
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
        assert!(covers("*.example.com", "a.example.com") && covers("*.example.com", "a.b.example.com"));
        for host in ["example.com", "badexample.com", "a.example.com.evil", "a.example.co"] {
            assert!(!covers("*.example.com", host), "{host}");
        }
        assert!(covers("example.com", "example.com") && !covers("example.com", "a.example.com"));
        for pattern in ["example.com", "*.example.com", "[::1]"] {
            assert_eq!(check_pattern(pattern), Ok(()));
        }
        for pattern in ["*", "*.", "Example.com", "example.com:80", "a.*.com", "*example.com", "http://a"] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
