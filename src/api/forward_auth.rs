//! Forward authentication over HTTP, for gateways that ask before they let a request through: nginx's `auth_request`,
//! Caddy's `forward_auth`, Traefik's `forwardAuth`, and HAProxy with a script.
//!
//! One endpoint, `/forward-auth/{gateway}`; the preset says which headers tell what. A target stands in the path behind it:
//! the query is not looked at, since Caddy puts the client's there when its configuration has none, and then whoever sends
//! a request would choose its target. Must not know: how a request is judged.

use super::gateway::asked::{Asked, AskedHttp, Headers};
use super::gateway::reason::Why;
use super::gateway::{Facts, Gateway, Judgement, Verdict};
use crate::identity::Peer;
use crate::model::TargetRef;
use crate::telemetry::labels::GatewayDoor;
use crate::telemetry::trace::Call;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::Response;
use axum::routing::any;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;

/// Who connected to the listener; no address: over a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The address.
    pub address: Option<IpAddr>,
}

/// How a gateway tells of the request that it asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in the address.
    pub name: &'static str,
    /// The header with the method.
    method: &'static str,
    /// The headers with the address.
    address: Address,
    /// Whether only 401 and 403 keep a request out, and every other status is an error of the gateway.
    is_narrow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    /// The whole of it in one.
    Whole(&'static str),
    /// Its parts in one each.
    Parts { scheme: &'static str, host: &'static str, target: &'static str },
}

const FORWARDED: Address =
    Address::Parts { scheme: "x-forwarded-proto", host: "x-forwarded-host", target: "x-forwarded-uri" };
/// The client's address: the last one is the gateway's own word.
const CLIENT: &str = "x-forwarded-for";
/// Before a target, or alone: the anonymous subject may be asked about.
const ANONYMOUS: &str = "anonymous";
/// The gateway's id of the request.
const REQUEST_ID: &str = "x-request-id";

/// Every gateway.
pub const PRESETS: [Preset; 4] = [
    Preset {
        name: "nginx",
        method: "x-original-method",
        address: Address::Whole("x-original-url"),
        is_narrow: true,
    },
    Preset { name: "caddy", method: "x-forwarded-method", address: FORWARDED, is_narrow: false },
    Preset { name: "traefik", method: "x-forwarded-method", address: FORWARDED, is_narrow: false },
    Preset { name: "haproxy", method: "x-forwarded-method", address: FORWARDED, is_narrow: false },
];

/// The endpoint. What serves it has to tell who connected, as a [`Caller`].
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/forward-auth/{gateway}", any(answer))
        .route("/forward-auth/{gateway}/{*target}", any(answer))
        .with_state(gateway)
}

async fn answer(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path(path): Path<Vec<String>>,
    headers: HeaderMap,
) -> Response {
    let mut path = path.into_iter();
    let (name, target) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
        let names = PRESETS.map(|preset| preset.name).join(", ");
        return plain(StatusCode::NOT_FOUND, format!("`{name}` is no gateway; these are: {names}\n"));
    };
    let asked = match asked(preset, &headers, &target) {
        Ok(asked) => asked,
        // The gateway's configuration is wrong: that is no answer, and must not be taken for one.
        Err(what) => return plain(StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
    };
    let door = GatewayDoor::ForwardAuth;
    let trace = gateway.telemetry().traces.as_ref().and_then(|traces| {
        let call = Call::Http("GET", "/forward-auth/{gateway}");
        traces.begin(call, |name| headers.get(name).and_then(|value| value.to_str().ok()))
    });
    let Judgement { facts, verdict } = if gateway.rules().trusts(caller.address) {
        gateway.judge(&asked, door, trace).await
    } else {
        gateway.refuse(&asked, Why::UntrustedGateway, door, trace).await
    };
    match verdict {
        Verdict::Pass { set, .. } => pass(&gateway, &facts, &set),
        Verdict::Stop { status, headers, body } => {
            let status = match status {
                302 if preset.is_narrow => 401,
                401 | 403 => status,
                _ if preset.is_narrow => 403,
                _ => status,
            };
            stop(status, headers, body)
        }
        Verdict::Fail(_) => {
            let (status, headers, body) = gateway.sorry(&asked, &facts);
            stop(status, headers, body)
        }
    }
}

/// Every header that is set is in the answer, empty where nothing is known: a gateway that copies them leaves nothing
/// of what the client sent.
fn pass(gateway: &Gateway, facts: &Facts, set: &[(String, String)]) -> Response {
    let mut response = plain(StatusCode::OK, String::new());
    let headers = response.headers_mut();
    for name in gateway.rules().set_names() {
        let value = set.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
        put(headers, name, value);
    }
    put(headers, "x-bindery-decision-id", &facts.decision_id);
    put(headers, "x-bindery-reason", facts.why.word());
    response
}

fn stop(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = plain(status, body);
    for (name, value) in headers {
        put(response.headers_mut(), name, &value);
    }
    response
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    // Both were checked where they came from.
    if let (Ok(name), Ok(value)) =
        (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
    {
        headers.insert(name, value);
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    put(response.headers_mut(), "content-type", "text/plain; charset=utf-8");
    put(response.headers_mut(), "cache-control", "no-store");
    response
}

/// What a gateway tells of a request.
///
/// # Errors
/// When it does not tell enough, with what to do.
fn asked(preset: &Preset, sent: &HeaderMap, named: &str) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let (first, rest) = named.split_once('/').unwrap_or((named, ""));
    let target = if first == ANONYMOUS { rest } else { named };
    asked.anonymous = first == ANONYMOUS;
    if !target.is_empty() {
        let target = target.parse::<TargetRef>();
        asked.target = Some(target.map_err(|what| format!("the address that bindery is asked at: {what}"))?);
    }
    let one = |name: &str| {
        let mut values = sent.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        match (value, values.next()) {
            (Some(value), None) => Ok(value.to_owned()),
            (None, None) => Err(format!("{name}: missing; let the gateway send it")),
            (_, Some(_)) => Err(format!("{name}: there several times; let the gateway overwrite it")),
        }
    };
    let method = one(preset.method)?;
    let (scheme, host, target) = match preset.address {
        Address::Parts { scheme, host, target } => (one(scheme)?, one(host)?, one(target)?),
        Address::Whole(name) => {
            let whole = one(name)?;
            let parts = whole.split_once("://").and_then(|(scheme, rest)| {
                let (host, target) = rest.split_at(rest.find('/')?);
                Some((scheme.to_owned(), host.to_owned(), target.to_owned()))
            });
            parts
                .ok_or_else(|| format!("{name}: it is no address; let the gateway send scheme://host/path"))?
        }
    };
    // Several gateways in a row each add one; only the last is this one's word.
    let last = sent.get_all(CLIENT).iter().next_back().and_then(|value| value.to_str().ok());
    let client = last.and_then(|value| value.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    asked.client = client.map(|address| address.to_canonical());
    // Who the headers of the request come from is the client, not the gateway that passes them on.
    asked.peer = Peer { address: asked.client, unix: false };
    asked.id = one(REQUEST_ID).unwrap_or_default();
    let mut headers = Headers::default();
    for (name, value) in sent {
        // The question's own, not the request's.
        if !matches!(name.as_str(), "host" | "connection" | "content-length" | "transfer-encoding") {
            headers.push(name.as_str().to_owned(), value.as_bytes().to_vec());
        }
    }
    asked.http = Some(AskedHttp { method, scheme, host, target, headers, body: Vec::new(), is_cut: false });
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(name: &str) -> Preset {
        PRESETS.into_iter().find(|preset| preset.name == name).unwrap()
    }

    fn sent(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn a_gateway_tells_in_its_own_headers() {
        let headers = sent(&[
            ("host", "bindery"),
            ("x-original-method", "GET"),
            ("x-original-url", "https://wiki.example.com:8443/a?b=//c"),
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-for", "8.8.8.8, 10.0.0.1"),
            ("accept", "text/html"),
        ]);
        let asked = asked(&preset("nginx"), &headers, "anonymous/application/wiki").unwrap();
        let http = asked.http.unwrap();
        assert_eq!((http.scheme.as_str(), http.host.as_str()), ("https", "wiki.example.com:8443"));
        assert_eq!(http.path_and_query(), ("/a", "b=//c"));
        assert_eq!(asked.client, "10.0.0.1".parse().ok(), "only the gateway's own word counts");
        assert_eq!(asked.target.unwrap().to_string(), "application/wiki");
        assert!(asked.anonymous && http.headers.all("host").next().is_none());
    }

    #[test]
    fn the_target_stands_in_the_path() {
        let headers = sent(&[("x-original-method", "GET"), ("x-original-url", "https://a/")]);
        let asks = |named: &str| {
            let asked = asked(&preset("nginx"), &headers, named).unwrap();
            (asked.target.map(|target| target.to_string()), asked.anonymous)
        };
        let some = |target: &str| Some(target.to_owned());
        assert_eq!(asks(""), (None, false));
        assert_eq!(asks("anonymous"), (None, true));
        assert_eq!(asks("application/wiki"), (some("application/wiki"), false));
        assert_eq!(asks("anonymous/application/wiki"), (some("application/wiki"), true));
        assert_eq!(asks("entitlement/wiki/editor"), (some("entitlement/wiki/editor"), false));
    }

    #[test]
    fn what_a_gateway_leaves_open_is_no_question() {
        let whole = |url| vec![("x-original-method", "GET"), ("x-original-url", url)];
        for (headers, named, part) in [
            (vec![], "", "x-original-method: missing"),
            (vec![("x-original-method", "GET")], "", "x-original-url: missing"),
            (whole("/a"), "", "x-original-url: it is no address"),
            (whole("https://a"), "", "x-original-url: it is no address"),
            (
                [whole("https://a/"), whole("https://b/")].concat(),
                "",
                "x-original-method: there several times",
            ),
            (whole("https://a/"), "wiki", "the address that bindery is asked at: `wiki` is not a target"),
            (whole("https://a/"), "anonymous/wiki", "`wiki` is not a target"),
        ] {
            let error = asked(&preset("nginx"), &sent(&headers), named).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
