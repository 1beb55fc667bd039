//! What an operator may set about a gateway's door, and what becomes of it once it is checked.
//!
//! Must not know: requests.

use super::headers::{self, Field, Protected};
use super::path::Ambiguity;
use super::sign_in::SignIn;
use crate::identity::{self, Identifier};
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The table `[ext_authz]` or `[forward_auth]` of the settings file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// Where somebody signs in who is not; `{return_to}` stands for the escaped address that they wanted. Absent: they
    /// get 401.
    pub sign_in_url: Option<String>,
    /// Hosts that such an address may have besides those that routes name: `app.example.com` or `*.example.com`.
    pub return_hosts: Vec<String>,
    /// Whether the messages of policies are shown to who is denied. Default: they are not.
    pub show_messages: bool,
    /// What a gateway gets when it could not be decided. Default: an error status.
    pub on_error: OnError,
    /// Which ambiguous paths are taken. Default: none.
    pub allow_ambiguous: Vec<Ambiguity>,
    /// Headers that no client may send, besides those that are set, and `X-authentik-*`; `x-team-*` means all that
    /// begin so.
    pub protect_headers: Vec<String>,
    /// Headers that tell the application who is asking, and what each has. Default: authentik's.
    pub set_headers: Option<BTreeMap<String, String>>,
    /// Gateways whose word on a request counts, for forward authentication: networks, or `unix`. Default: none.
    pub trusted_peers: Vec<String>,
    /// What is believed of who is asking. Default: nothing.
    pub identity: identity::Settings,
}

/// What a gateway gets when it could not be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The status of the call, which every gateway understands.
    #[default]
    Status,
    /// Envoy's `error_response`, with a page for whoever asked. Envoys that do not know it deny.
    Response,
}

/// Checked settings.
#[derive(Debug)]
pub struct Rules {
    pub(super) sign_in: SignIn,
    pub(super) show_messages: bool,
    pub(super) on_error: OnError,
    pub(super) allow_ambiguous: Vec<Ambiguity>,
    pub(super) protected: Protected,
    pub(super) set: Vec<(String, Field)>,
    pub(super) trusted: Vec<IpNet>,
    pub(super) trusts_unix: bool,
    pub(super) identifier: Arc<Identifier>,
}

impl Rules {
    /// Checks settings.
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn new(settings: &GatewaySettings) -> Result<Self, String> {
        let identifier = Identifier::new(&settings.identity)?;
        Self::with_identifier(settings, Arc::new(identifier))
    }

    /// Checks settings but for those of who is asking, which this tells.
    ///
    /// # Errors
    /// As [`Rules::new`].
    pub fn with_identifier(settings: &GatewaySettings, identifier: Arc<Identifier>) -> Result<Self, String> {
        let sign_in = SignIn::new(settings.sign_in_url.as_deref(), &settings.return_hosts)?;
        let set = match &settings.set_headers {
            None => headers::AUTHENTIK.map(|(name, field)| (name.to_owned(), field)).to_vec(),
            Some(set) => set
                .iter()
                .map(|(name, field)| {
                    let name = headers::check_name(name).map_err(|what| format!("set_headers: {what}"))?;
                    let field = field.parse().map_err(|what| format!("set_headers.{name}: {what}"))?;
                    Ok((name, field))
                })
                .collect::<Result<_, String>>()?,
        };
        let mut seen = BTreeSet::new();
        if let Some((name, _)) = set.iter().find(|(name, _)| !seen.insert(name)) {
            return Err(format!(
                "set_headers: `{name}` is there twice, in capital and small letters; leave out one"
            ));
        }
        let names = set.iter().map(|(name, _)| name.as_str());
        let protected = Protected::new(names, &settings.protect_headers)?;
        let (mut trusted, mut trusts_unix) = (Vec::new(), false);
        for peer in &settings.trusted_peers {
            let network =
                || peer.parse::<IpNet>().ok().or_else(|| peer.parse::<IpAddr>().ok().map(IpNet::from));
            match network() {
                _ if peer == "unix" => trusts_unix = true,
                Some(network) if network.prefix_len() == 0 => {
                    return Err(format!(
                        "trusted_peers: `{peer}` is everybody, so that anybody could ask as a gateway; write the \
                         gateway's network"
                    ));
                }
                Some(network) => trusted.push(network),
                None => {
                    return Err(format!(
                        "trusted_peers: `{peer}` is no network; write 10.0.0.0/8, an address, or unix"
                    ));
                }
            }
        }
        Ok(Self {
            sign_in,
            show_messages: settings.show_messages,
            on_error: settings.on_error,
            allow_ambiguous: settings.allow_ambiguous.clone(),
            protected,
            set,
            trusted,
            trusts_unix,
            identifier,
        })
    }

    /// What a gateway gets when it could not be decided.
    pub const fn on_error(&self) -> OnError {
        self.on_error
    }

    /// The names of headers that are set.
    pub fn set_names(&self) -> impl Iterator<Item = &str> {
        self.set.iter().map(|(name, _)| name.as_str())
    }

    /// Whether this gateway's word on a request counts; absent: it asks over a unix socket.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            None => self.trusts_unix,
            Some(address) => {
                let address = address.to_canonical();
                self.trusted.iter().any(|network| network.contains(&address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rules, String> {
        Rules::new(&toml::from_str(text).map_err(|error| error.to_string())?)
    }

    #[test]
    fn nothing_is_trusted_where_nothing_is_set() {
        let rules = read("").unwrap();
        assert!(!rules.trusts(None) && !rules.trusts("127.0.0.1".parse().ok()));
        assert!(rules.allow_ambiguous.is_empty() && !rules.show_messages);
    }

    #[test]
    fn peers_are_networks_or_the_socket() {
        let rules = read("trusted_peers = ['unix', '10.0.0.0/8', '::1']").unwrap();
        assert!(rules.trusts(None));
        for (peer, trusted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("::1", true),
            ("11.0.0.1", false),
            ("::2", false),
        ] {
            assert_eq!(rules.trusts(peer.parse().ok()), trusted, "{peer}");
        }
    }

    #[test]
    fn a_bad_setting_is_named_with_a_remedy() {
        for (text, part) in [
            ("sign_in_url = 'auth'", "sign_in_url: `auth`"),
            ("return_hosts = ['https://a']", "return_hosts: `https://a`"),
            ("trusted_peers = ['localhost']", "trusted_peers: `localhost` is no network"),
            ("trusted_peers = ['0.0.0.0/0']", "trusted_peers: `0.0.0.0/0` is everybody"),
            ("trusted_peers = ['::/0']", "trusted_peers: `::/0` is everybody"),
            ("protect_headers = ['a b']", "protect_headers: `a b`"),
            ("protect_headers = ['Content-*']", "protect_headers: `Content-*` covers `content-length`"),
            ("set_headers = {'x-a' = 'name', 'X-A' = 'email'}", "set_headers: `x-a` is there twice"),
            ("set_headers = {'x-a' = 'colour'}", "set_headers.x-a: `colour`"),
            ("set_headers = {'x:a' = 'name'}", "set_headers: `x:a`"),
            ("set_headers = {'host' = 'name'}", "set_headers: `host`"),
            ("allow_ambiguous = ['all']", "unknown variant `all`"),
            ("on_error = 'allow'", "unknown variant `allow`"),
            ("colour = 1", "unknown field `colour`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
