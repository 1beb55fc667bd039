//! The remote policy: another process decides. What it needs is put together here; asking it is the caller's part.
//!
//! Must not know: how the other process is reached.

use super::{CompileError, Deferred, Evaluation, Input, Scene};
use crate::model;
use http::Uri;
use std::sync::Arc;

/// The longest path of a unix socket that systems take, in bytes.
const MAX_SOCKET: usize = 107;

const HOW: &str = "write it like http://127.0.0.1:9000 or unix:/run/policy.sock";

/// A policy of another process.
#[derive(Debug)]
pub(super) struct Remote {
    address: Arc<str>,
    policy: Arc<str>,
    may_change_context: bool,
}

/// What another process is to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Where it listens: `http://` with host and port, or `unix:` with an absolute path.
    pub address: Arc<str>,
    /// Name of the policy there.
    pub policy: Arc<str>,
    /// Whether the changed context in its answer counts.
    pub may_change_context: bool,
    /// What the policy sees.
    pub scene: Scene,
}

impl Remote {
    pub(super) fn new(config: &model::Remote) -> Result<Self, CompileError> {
        let address = address(&config.address)
            .map_err(|text| CompileError { field: "remote.address", message: text })?;
        if config.policy.is_empty() {
            let message = "missing; name the policy at that address".to_owned();
            return Err(CompileError { field: "remote.policy", message });
        }
        let policy = Arc::from(&*config.policy);
        Ok(Self { address: address.into(), policy, may_change_context: config.may_change_context })
    }

    pub(super) const fn changes_context(&self) -> bool {
        self.may_change_context
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Evaluation {
        Evaluation::Deferred(Deferred::Remote(Box::new(Call {
            address: Arc::clone(&self.address),
            policy: Arc::clone(&self.policy),
            may_change_context: self.may_change_context,
            scene: Scene::of(input),
        })))
    }
}

/// The address in the one form that it is known by, so that policies at one address share what belongs to it.
fn address(text: &str) -> Result<String, String> {
    let wrong = |what: &str| format!("`{text}` {what}; {HOW}");
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(wrong("does not name its socket by an absolute path"));
        }
        if path.len() > MAX_SOCKET {
            return Err(format!(
                "the path has {} bytes, and a unix socket's has at most {MAX_SOCKET}; choose a shorter one",
                path.len()
            ));
        }
        return Ok(format!("unix:{path}"));
    }
    let uri: Uri = text.parse().map_err(|error| wrong(&format!("is not a URL ({error})")))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(format!(
                "`{text}` asks for TLS, which this version does not use towards evaluators; run the evaluator \
                 beside bindery and use http or unix"
            ));
        }
        _ => return Err(wrong("begins neither with http:// nor with unix:/")),
    }
    let Some(authority) = uri.authority() else { return Err(wrong("has no host")) };
    if authority.as_str().contains('@') {
        return Err("an address with a user or password is not supported; leave them out".to_owned());
    }
    if authority.host().is_empty() {
        return Err(wrong("has no host"));
    }
    let Some(port) = authority.port_u16().filter(|port| *port != 0) else {
        return Err(wrong("has no port"));
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("has a path, which gRPC has no use for"));
    }
    Ok(format!("http://{}:{port}", authority.host().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, PolicyKind, Timestamp};
    use crate::policy::tests::{ALICE, evaluation};

    #[test]
    fn addresses_have_one_form() {
        for (text, form) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://Policies.Example:09000/", "http://policies.example:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("unix:/run/policy.sock", "unix:/run/policy.sock"),
            ("unix:///run/policy.sock", "unix:/run/policy.sock"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(form), "{text}");
        }
    }

    #[test]
    fn other_addresses_are_refused_with_what_to_do() {
        let long = format!("unix:/{}", "a".repeat(MAX_SOCKET));
        for (text, words) in [
            ("", "is not a URL"),
            ("127.0.0.1:9000", "begins neither"),
            ("localhost", "begins neither"),
            ("dns:///policies:9000", "is not a URL"),
            ("grpc://policies:9000", "begins neither"),
            ("https://policies:9000", "asks for TLS"),
            ("http://policies", "has no port"),
            ("http://policies:0", "has no port"),
            ("http://policies:99999", "has no port"),
            ("http://:9000", "has no host"),
            ("http://policies:9000/v1", "has a path"),
            ("http://policies:9000?x=1", "has a path"),
            ("http://a b:9000", "is not a URL"),
            ("unix:policy.sock", "absolute path"),
            ("unix:", "absolute path"),
            ("unix://run/policy.sock", "absolute path"),
            (&long, "choose a shorter one"),
        ] {
            let error = address(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = address("http://ada:secret@policies:9000").unwrap_err();
        assert!(error.contains("leave them out") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn the_question_is_handed_back_with_what_the_policy_sees() {
        let kind = PolicyKind::Remote(model::Remote {
            address: "unix:///run/policy.sock".into(),
            policy: "hours".into(),
            may_change_context: false,
        });
        let now = Context::at(Timestamp::new(5, 0));
        let Evaluation::Deferred(Deferred::Remote(call)) = evaluation(kind, ALICE, &now) else {
            panic!("it did not defer")
        };
        assert_eq!((&*call.address, &*call.policy), ("unix:/run/policy.sock", "hours"));
        assert_eq!((&*call.scene.username, call.scene.context.now), ("alice", Timestamp::new(5, 0)));
    }

    #[test]
    fn a_policy_without_a_name_is_refused() {
        let config =
            model::Remote { address: "unix:/a".into(), policy: "".into(), may_change_context: false };
        assert_eq!(Remote::new(&config).unwrap_err().field, "remote.policy");
    }
}
