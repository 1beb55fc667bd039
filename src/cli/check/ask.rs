//! Puts a question to a server or to files.
//!
//! Must not know: what is asked, how the answer is shown.

use super::Trouble;
use crate::api::ask::{self, Failure, check};
use crate::cli::evaluators::{evaluators, places};
use crate::cli::sources;
use crate::config::PolicySettings;
use crate::evaluators::Evaluators;
use crate::proto::v1;
use crate::proto::v1::decision_service_client::DecisionServiceClient;
use crate::store::{Settings, Store};
use crate::sync::source::SourceSpec;
use crate::tls::client::{Link, Server};
use std::error::Error;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Where `bindery serve` listens when nothing else is said.
pub(in crate::cli) const DEFAULT_SERVER: &str = "http://127.0.0.1:9191";

/// How long a server may take, from the first packet on.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks files.
pub(super) async fn files(
    spec: &SourceSpec,
    settings: Settings,
    policies: &PolicySettings,
    request: v1::CheckRequest,
) -> Result<v1::CheckResponse, Trouble> {
    let (store, evaluators) = loaded(spec, settings, policies)?;
    check(&store, &evaluators, request, ask::now()).await.map_err(Trouble::from)
}

/// A store with what files say, and what its policies need.
pub(in crate::cli) fn loaded(
    spec: &SourceSpec,
    settings: Settings,
    policies: &PolicySettings,
) -> Result<(Store, Evaluators), Trouble> {
    let invalid = |problems| Trouble::files("the configuration is not valid", problems);
    let store = sources::load(spec).and_then(|loaded| sources::store(loaded, settings)).map_err(invalid)?;
    if let Some(places) = places(policies).map_err(Trouble::question)? {
        store.set_places(places);
    }
    Ok((store, evaluators(policies).map_err(Trouble::question)?))
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let mut trouble = Self::new(failure.code, failure.message);
        trouble.error.field = failure.field;
        trouble
    }
}

/// Asks a server.
pub(super) async fn server(server: &Server, request: v1::CheckRequest) -> Result<v1::CheckResponse, Trouble> {
    asked(server, async |channel| DecisionServiceClient::new(channel).check(request).await).await
}

/// Puts one call to a server, within the time that one may take.
pub(in crate::cli) async fn asked<T>(
    server: &Server,
    call: impl AsyncFnOnce(Link) -> Result<tonic::Response<T>, Status>,
) -> Result<T, Trouble> {
    let (endpoint, address) = (endpoint(server)?, server.address.as_str());
    let token = server.credentials.token().map_err(wrong)?;
    let call = async {
        let channel = endpoint.connect().await.map_err(|error| unreachable(address, &error))?;
        call(InterceptedService::new(channel, token))
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| refused(address, &status))
    };
    tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(|_| {
        let seconds = DEADLINE.as_secs();
        let message = format!(
            "`{address}` did not answer within {seconds} s; see whether it is overloaded or waits for a slow policy"
        );
        Err(Trouble::new(Code::DeadlineExceeded, message))
    })
}

fn wrong(why: String) -> Trouble {
    Trouble::question(format!("server: {why}"))
}

fn endpoint(server: &Server) -> Result<Endpoint, Trouble> {
    let endpoint = Endpoint::from_shared(server.address.clone()).map_err(|_| {
        let address = &server.address;
        wrong(format!("`{address}` is no address; write http(s)://ADDRESS:PORT or unix:PATH"))
    });
    server.credentials.secure(endpoint?).map_err(wrong)
}

/// Nobody listens.
fn unreachable(address: &str, error: &tonic::transport::Error) -> Trouble {
    let cause = root(error);
    let message = format!(
        "nobody answers at `{address}` ({cause}); start a server with `bindery serve`, name another one with \
         --server, or ask files with --bundle or --blueprint"
    );
    Trouble::new(Code::Unavailable, message)
}

/// The last cause, which is the one that people know: "connection refused", "no such file".
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// The server gave no answer but an error.
fn refused(address: &str, status: &Status) -> Trouble {
    let message = match status.code() {
        // Made on this side of the connection.
        _ if let Some(source) = status.source() => format!(
            "the connection to `{address}` broke ({}); see whether it is a bindery server",
            root(source)
        ),
        Code::Unimplemented => format!(
            "`{address}` does not answer such questions; see whether it is a bindery server of this version"
        ),
        code if status.message().is_empty() => format!("`{address}` says: {code}"),
        _ => status.message().to_owned(),
    };
    let mut trouble = Trouble::new(status.code(), message);
    let details = status.get_details_bad_request();
    if let Some(violation) = details.and_then(|details| details.field_violations.into_iter().next()) {
        trouble.error.field = violation.field;
    }
    trouble
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::address;

    fn server(address: &str) -> Result<Server, String> {
        address::server(address, &address::ReachArgs::default())
    }

    #[test]
    fn addresses_are_checked_before_use() {
        for address in
            ["http://127.0.0.1:9191", "127.0.0.1:9191", "localhost:9191", "unix:/run/b.sock", "unix:///b"]
        {
            assert!(endpoint(&server(address).unwrap()).is_ok(), "{address}");
        }
        for (address, part) in [
            ("unix:", "names no socket"),
            ("unix://", "names no socket"),
            ("ftp://x", "is no address that can be asked"),
            ("http://a b", "is no address; write http(s)://ADDRESS:PORT or unix:PATH"),
        ] {
            let refused = server(address).map_err(wrong).and_then(|server| endpoint(&server).map(drop));
            let message = refused.unwrap_err().error.message;
            assert!(message.contains(part), "{address}: {message}");
        }
    }

    #[test]
    fn what_a_server_says_is_passed_on() {
        let trouble = refused("x", &Status::new(Code::NotFound, "target: there is no application `a`"));
        assert_eq!(
            (trouble.error.code, trouble.error.message.as_str()),
            (5, "target: there is no application `a`")
        );
        assert!(
            refused("x", &Status::new(Code::Unimplemented, "")).error.message.contains("of this version")
        );
    }
}
