//! A door of Envoy, what is asked there, and what no answer may be.

use arbitrary::Arbitrary;
use bindery::api::decision::DecisionApi;
use bindery::api::ext_authz::ExtAuthz;
use bindery::api::gateway::Gateway;
use bindery::api::gateway::settings::{GatewaySettings, OnError, Rules};
use bindery::identity::{HeaderSettings, Settings as Identity};
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
pub use envoy_types::ext_authz::v3::pb::CheckRequest;
use envoy_types::ext_authz::v3::pb::{Address, CheckResponse, HeaderValue};
use envoy_types::pb::envoy::config::core::v3::{self as core, HeaderMap, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request, TlsSession};
use envoy_types::pb::google::protobuf::value::Kind;
use std::sync::{Arc, OnceLock};
use v1::resource::Resource as R;
use v1::target_ref::Target as T;

/// Whose word on headers counts.
const PROXY: &str = "10.0.0.1";

fn target(slug: &str) -> Option<v1::TargetRef> {
    Some(v1::TargetRef { target: Some(T::Application(slug.into())) })
}

fn doors() -> &'static [ExtAuthz; 2] {
    static DOORS: OnceLock<[ExtAuthz; 2]> = OnceLock::new();
    DOORS.get_or_init(|| {
        let application = |slug: &str| R::Application(v1::Application { slug: slug.into(), ..Default::default() });
        let route = |host: &str, prefix: &str, slug: &str, anonymous: bool| {
            let (host, path_prefix, target) = (host.into(), prefix.into(), target(slug));
            R::Route(v1::Route { host, path_prefix, target, anonymous, ..Default::default() })
        };
        let group = v1::GroupRef { name: "staff".into(), ..Default::default() };
        let resources = [
            application("open"),
            application("private"),
            R::Group(v1::Group { name: "staff".into(), ..Default::default() }),
            R::User(v1::User { username: "ada".into(), groups: vec![group.clone()], ..Default::default() }),
            R::PolicyBinding(v1::PolicyBinding { target: target("private"), group: Some(group), ..Default::default() }),
            route("app.test", "/public", "open", true),
            route("app.test", "", "private", false),
            route("*.below.test", "/public/x", "open", true),
        ];
        let resources = resources.map(|it| v1::Resource { resource: Some(it) }).to_vec();
        let store = Arc::new(Store::new(Settings::default()));
        apply(&store, Update::Replace(resources)).unwrap();
        [OnError::Status, OnError::Response].map(|on_error| {
            let headers = HeaderSettings { trusted_peers: vec![PROXY.into()], ..Default::default() };
            let identity = Identity { headers: Some(headers), ..Default::default() };
            let rules = Rules::new(&GatewaySettings { on_error, identity, ..Default::default() }).unwrap();
            let api = DecisionApi::new(Arc::clone(&store), Arc::new(Default::default()));
            ExtAuthz::new(Arc::new(Gateway::new(api, rules)))
        })
    })
}

/// Asks, and looks at what comes back.
pub fn ask(message: CheckRequest) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for door in doors() {
        if let Ok(response) = runtime.block_on(door.answer(message.clone())) {
            check(&message, &response);
        }
    }
}

fn check(message: &CheckRequest, response: &CheckResponse) {
    let status = response.status.as_ref().expect("to Envoy, no status is OK");
    let fields = &response.dynamic_metadata.as_ref().expect("every answer has metadata").fields;
    let fact = |name: &str| match fields.get(name).and_then(|value| value.kind.clone()) {
        Some(Kind::StringValue(text)) => text,
        _ => String::new(),
    };
    assert_eq!(status.code == 0, fact("decision") == "allow");
    if status.code != 0 {
        return;
    }
    let attributes = message.attributes.as_ref().expect("something was asked");
    let given = attributes.context_extensions.get("bindery.target");
    let target = fact("target");
    match given {
        Some(given) => assert_eq!(*given, target),
        None => {
            let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
            let (host, path) = match http {
                Some(http) => (http.host.to_lowercase(), percent_decoded(&http.path)),
                None => (attributes.tls_session.as_ref().expect("a host").sni.to_lowercase(), "/".to_owned()),
            };
            let on = |name: &str| host.split(':').next().unwrap().trim_end_matches('.') == name;
            let below = |prefix: &str| path == prefix || path.starts_with(&format!("{prefix}/")) || path.starts_with(&format!("{prefix}?"));
            let fits = match target.as_str() {
                "application/open" if on("app.test") => below("/public"),
                "application/open" => host.contains(".below.test") && below("/public/x"),
                "application/private" => on("app.test"),
                _ => false,
            };
            assert!(fits, "{target} for {host} {path}");
        }
    }
    if target == "application/private" {
        let address = attributes.source.as_ref().and_then(|peer| peer.address.clone()).and_then(|it| it.address);
        let Some(Address::SocketAddress(socket)) = address else { panic!("nobody vouches for this") };
        assert!(socket.address.ends_with(PROXY), "{socket:?}");
    }
}

fn percent_decoded(path: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'x'), bytes.next().unwrap_or(b'x')];
                let text = std::str::from_utf8(&digits).unwrap_or("x");
                decoded.push(u8::from_str_radix(text, 16).unwrap_or(b'?'));
            }
            byte => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Slash,
    Public,
    X,
    Dots,
    EncodedDot,
    EncodedSlash,
    Backslash,
    Semicolon,
    Query,
    Twice,
    Nul,
    Text(&'a str),
}

impl Piece<'_> {
    const fn text(&self) -> &str {
        match self {
            Self::Slash => "/",
            Self::Public => "/public",
            Self::X => "x",
            Self::Dots => "..",
            Self::EncodedDot => "%2e",
            Self::EncodedSlash => "%2f",
            Self::Backslash => "\\",
            Self::Semicolon => ";",
            Self::Query => "?",
            Self::Twice => "%25",
            Self::Nul => "%00",
            Self::Text(text) => text,
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Host<'a> {
    App,
    Upper,
    Port,
    Dot,
    Below,
    Text(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Name<'a> {
    Username,
    Underscores,
    Dots,
    Groups,
    Host,
    Partial,
    Text(&'a str),
}

/// A request from pieces.
#[derive(Arbitrary, Debug)]
pub struct Pieces<'a> {
    host: Host<'a>,
    path: Vec<Piece<'a>>,
    headers: Vec<(Name<'a>, &'a str)>,
    method: Option<&'a str>,
    from_proxy: bool,
    raw: bool,
    sni: Option<&'a str>,
    target: Option<(bool, &'a str)>,
    anonymous: Option<bool>,
    body: &'a [u8],
}

impl Pieces<'_> {
    /// As Envoy says it.
    pub fn message(&self) -> CheckRequest {
        let host = match self.host {
            Host::App => "app.test",
            Host::Upper => "APP.test",
            Host::Port => "app.test:443",
            Host::Dot => "app.test.",
            Host::Below => "a.below.test",
            Host::Text(text) => text,
        };
        let path: String = self.path.iter().map(Piece::text).collect();
        let mut http = HttpRequest {
            method: self.method.unwrap_or("GET").into(),
            host: host.into(),
            path: format!("/{}", path.strip_prefix('/').unwrap_or(&path)),
            scheme: "https".into(),
            raw_body: self.body.to_vec(),
            ..Default::default()
        };
        let header = |(name, value): &(Name<'_>, &str)| {
            let name = match name {
                Name::Username => "x-authentik-username",
                Name::Underscores => "x_authentik_username",
                Name::Dots => "x.authentik.username",
                Name::Groups => "x-authentik-groups",
                Name::Host => "host",
                Name::Partial => "x-envoy-auth-partial-body",
                Name::Text(text) => text,
            };
            (name.to_owned(), (*value).to_owned())
        };
        let headers = self.headers.iter().map(header).chain([(":path".to_owned(), path.clone())]);
        if self.raw {
            let raw = |(key, value): (String, String)| HeaderValue { key, raw_value: value.into_bytes(), ..Default::default() };
            http.header_map = Some(HeaderMap { headers: headers.map(raw).collect() });
        } else {
            http.headers = headers.collect();
        }
        let address = if self.from_proxy { PROXY } else { "203.0.113.9" };
        let socket = SocketAddress { address: address.into(), ..Default::default() };
        let address = Some(core::Address { address: Some(Address::SocketAddress(socket)) });
        let mut context = AttributeContext {
            source: Some(Peer { address, ..Default::default() }),
            request: Some(Request { http: Some(http), ..Default::default() }),
            tls_session: self.sni.map(|sni| TlsSession { sni: sni.into() }),
            ..Default::default()
        };
        if let Some((known, text)) = self.target {
            let target = if known { "application/private" } else { text };
            context.context_extensions.insert("bindery.target".into(), target.into());
        }
        if let Some(anonymous) = self.anonymous {
            context.context_extensions.insert("bindery.anonymous".into(), anonymous.to_string());
        }
        CheckRequest { attributes: Some(context) }
    }
}
