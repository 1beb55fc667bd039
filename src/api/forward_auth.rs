//! Forward authentication over HTTP, for gateways that ask before they let a request through: nginx's `auth_request`,
//! Caddy's `forward_auth`, Traefik's `forwardAuth`, and HAProxy with a script.
//!
//! One endpoint, `/forward-auth/{gateway}`; the preset says which headers tell what. Must not know: how a request is judged.

use super::gateway::asked::{Asked, AskedHttp, Headers};
use super::gateway::reason::Why;
use super::gateway::{Facts, Gateway, Judgement, Verdict};
use crate::identity::Peer;
use crate::model::TargetRef;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
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
    Router::new().route("/forward-auth/{gateway}", any(answer)).with_state(gateway)
}

async fn answer(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
        let names = PRESETS.map(|preset| preset.name).join(", ");
        return plain(StatusCode::NOT_FOUND, format!("`{name}` is no gateway; these are: {names}\n"));
    };
    let asked = match asked(preset, &headers, query.as_deref().unwrap_or_default()) {
        Ok(asked) => asked,
        // The gateway's configuration is wrong: that is no answer, and must not be taken for one.
        Err(what) => return plain(StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
    };
    let Judgement { facts, verdict } = if gateway.rules().trusts(caller.address) {
        gateway.judge(&asked).await
    } else {
        gateway.refuse(&asked, Why::UntrustedGateway)
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
        Verdict::Fail(failure) => {
            tracing::warn!(
                decision_id = facts.decision_id,
                error = failure.message,
                "a request could not be decided"
            );
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
fn asked(preset: &Preset, sent: &HeaderMap, query: &str) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut anonymous = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "target" if asked.target.is_none() => {
                let target = value.parse::<TargetRef>();
                asked.target = Some(target.map_err(|what| format!("target: {what}"))?);
            }
            "anonymous" if anonymous.is_none() => {
                anonymous = Some(value.parse().map_err(|_| {
                    format!("anonymous: `{value}` is neither `true` nor `false`; write one of them")
                })?);
            }
            _ => {
                return Err(format!(
                    "`{key}` is not known or there twice; write target=KIND/NAME or anonymous=true"
                ));
            }
        }
    }
    asked.anonymous = anonymous.unwrap_or(false);
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
    // Caddy puts the query of the request in the place of one that its configuration leaves out. Then whoever sends the
    // request would choose the target.
    if !query.is_empty() && target.split_once('?').is_some_and(|(_, own)| own == query) {
        return Err(
            "the question has the query of the request that it is about; end the address of bindery in the \
                    gateway's configuration with `?`"
                .to_owned(),
        );
    }
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
        let asked = asked(&preset("nginx"), &headers, "target=application%2Fwiki&anonymous=true").unwrap();
        let http = asked.http.unwrap();
        assert_eq!((http.scheme.as_str(), http.host.as_str()), ("https", "wiki.example.com:8443"));
        assert_eq!(http.path_and_query(), ("/a", "b=//c"));
        assert_eq!(asked.client, "10.0.0.1".parse().ok(), "only the gateway's own word counts");
        assert_eq!(asked.target.unwrap().to_string(), "application/wiki");
        assert!(asked.anonymous && http.headers.all("host").next().is_none());
    }

    #[test]
    fn a_client_does_not_choose_the_target() {
        let headers = sent(&[
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "wiki.example.com"),
            ("x-forwarded-uri", "/private?target=application/open&anonymous=true"),
        ]);
        let asks = |query| asked(&preset("caddy"), &headers, query);
        let error = asks("target=application/open&anonymous=true").unwrap_err();
        assert!(error.contains("end the address of bindery"), "{error}");
        assert_eq!(asks("").unwrap().target, None);
        assert!(asks("target=application/wiki").unwrap().target.is_some());
    }

    #[test]
    fn what_a_gateway_leaves_open_is_no_question() {
        let whole = |url| vec![("x-original-method", "GET"), ("x-original-url", url)];
        for (headers, query, part) in [
            (vec![], "", "x-original-method: missing"),
            (vec![("x-original-method", "GET")], "", "x-original-url: missing"),
            (whole("/a"), "", "x-original-url: it is no address"),
            (whole("https://a"), "", "x-original-url: it is no address"),
            (
                [whole("https://a/"), whole("https://b/")].concat(),
                "",
                "x-original-method: there several times",
            ),
            (whole("https://a/"), "target=wiki", "target: `wiki` is not a target"),
            (
                whole("https://a/"),
                "target=application/a&target=application/b",
                "`target` is not known or there twice",
            ),
            (whole("https://a/"), "anonymous=yes", "anonymous: `yes`"),
            (
                whole("https://a/"),
                "anonymous=false&anonymous=true",
                "`anonymous` is not known or there twice",
            ),
            (whole("https://a/"), "colour=red", "`colour` is not known"),
        ] {
            let error = asked(&preset("nginx"), &sent(&headers), query).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
