//! Where somebody who is not signed in goes, and the address that they come back to.
//!
//! The address comes from the request, and whoever makes a link chooses it. So it is put together from parts that were
//! read, and only for hosts that the operator named: a sign-in page that sends people anywhere else helps to deceive
//! them. Must not know: who is asking.

use super::host::{self, Host, covers};
use crate::model::RouteHost;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Where the address of the request goes in the one for signing in.
const RETURN_TO: &str = "{return_to}";
/// Unreserved characters need no escape.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest address that somebody is sent to, in bytes.
const MAX_LOCATION: usize = 8 << 10;

/// The page for signing in.
#[derive(Debug)]
pub struct SignIn {
    /// The address, and what of it decides whether a request is for the page itself.
    page: Option<(String, Uri)>,
    return_hosts: Vec<RouteHost>,
}

impl SignIn {
    /// Checks the address.
    ///
    /// # Errors
    /// When it is no address with a host, or one of the hosts is none.
    pub fn new(url: Option<&str>, return_hosts: &[String]) -> Result<Self, String> {
        let page = url
            .map(|url| {
                let wrong = || {
                    format!("sign_in_url: `{url}` is no address; write https://HOST/PATH, with {RETURN_TO} for where to come back to")
                };
                let uri: Uri = url.replace(RETURN_TO, "x").parse().map_err(|_| wrong())?;
                let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
                if !is_web || uri.host().is_none() {
                    return Err(wrong());
                }
                Ok((url.to_owned(), uri))
            })
            .transpose()?;
        let return_hosts = return_hosts
            .iter()
            .map(|text| host::pattern(text).map_err(|what| format!("return_hosts: {what}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { page, return_hosts })
    }

    /// Where to go from a request; nothing where there is no page, or the request is for it already. `known` says that
    /// the operator named the host otherwise.
    pub fn location(&self, scheme: &str, host: &Host, target: &str, known: bool) -> Option<String> {
        let (url, page) = self.page.as_ref()?;
        let path = target.split('?').next().unwrap_or_default();
        if page.host().is_some_and(|it| it.eq_ignore_ascii_case(&host.name)) && page.path() == path {
            return None;
        }
        let is_known = known || self.return_hosts.iter().any(|pattern| covers(pattern, host));
        let back = match scheme {
            "http" | "https" if is_known => {
                let port = host.port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{scheme}://{}{port}{target}", host.name)
            }
            _ => String::new(),
        };
        let with = |back: &str| url.replace(RETURN_TO, &utf8_percent_encode(back, ESCAPED).to_string());
        let location = with(&back);
        Some(if location.len() > MAX_LOCATION { with("") } else { location })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(scheme: &str, host: &str, target: &str, known: bool) -> Option<String> {
        let url = Some("https://auth.example.com/start?rd={return_to}");
        let sign_in = SignIn::new(url, &["*.example.com".into()]).unwrap();
        sign_in.location(scheme, &Host::read(host).unwrap(), target, known)
    }

    #[test]
    fn people_come_back_to_hosts_that_were_named() {
        let to = |rest: &str| Some(format!("https://auth.example.com/start?rd={rest}"));
        assert_eq!(
            location("https", "wiki.example.com", "/a?b=c&d", false),
            to("https%3A%2F%2Fwiki.example.com%2Fa%3Fb%3Dc%26d")
        );
        assert_eq!(
            location("http", "Wiki.Example.com:8080", "/", false),
            to("http%3A%2F%2Fwiki.example.com%3A8080%2F")
        );
        assert_eq!(location("https", "elsewhere.org", "/", true), to("https%3A%2F%2Felsewhere.org%2F"));
        for (scheme, host) in [
            ("https", "elsewhere.org"),
            ("https", "example.com"),
            ("https", "example.com.evil.org"),
            ("javascript", "wiki.example.com"),
        ] {
            assert_eq!(location(scheme, host, "/", false), to(""), "{scheme} {host}");
        }
        let long = format!("/{}", "a".repeat(MAX_LOCATION));
        assert_eq!(location("https", "wiki.example.com", &long, false), to(""));
    }

    #[test]
    fn nobody_is_sent_in_circles() {
        assert_eq!(location("https", "AUTH.example.com", "/start?rd=x", true), None);
        assert!(location("https", "auth.example.com", "/other", true).is_some());
        let none = SignIn::new(None, &[]).unwrap();
        assert_eq!(none.location("https", &Host::read("a").unwrap(), "/", true), None);
    }

    #[test]
    fn an_address_without_a_host_is_refused() {
        for url in ["auth", "/start", "ftp://a/", "https://", "javascript:alert(1)", "https://a b/"] {
            assert!(SignIn::new(Some(url), &[]).is_err(), "{url}");
        }
    }
}
