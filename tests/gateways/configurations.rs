//! The configurations in `deploy`: that the gateways take them, and that they hold what they promise whoever decides.

use super::client::get;
use super::envoy::{Config, Envoy, filter, manager, shipped, validate};
use super::nothing::{Nothing, bare_yes};
use super::tools::found;
use super::upstream::Upstream;
use envoy_types::ext_authz::v3::pb::CheckResponse;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value as Data};
use serde_json::{Value, json};
use std::path::Path;

const NOWHERE: &str = "/nonexistent/bindery.sock";

/// Some public key, since Envoy looks for one when it starts.
pub(crate) const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "some",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

fn bootstrap(name: &str) -> Config {
    Config::new(name, Path::new(NOWHERE), 1)
}

#[test]
fn envoy_takes_every_configuration() {
    let envoy = found!("envoy");
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), KEYS).unwrap();
    let with_keys = bootstrap("jwt.yaml").put("/etc/envoy/jwks.json", keys.path().to_str().unwrap());
    for (name, config) in [
        ("static", bootstrap("static.yaml")),
        ("static with a second bindery", bootstrap("static.yaml").with_second(Path::new("/nonexistent/2"))),
        ("open", bootstrap("open.yaml")),
        ("jwt", with_keys),
        ("istio", istio()),
    ] {
        validate(&envoy, &config).unwrap_or_else(|complaints| panic!("{name}: {complaints}"));
    }
    // It is looked at at all.
    let wrong = bootstrap("static.yaml").put("failure_mode_allow:", "failure_mode_alow:");
    assert!(validate(&envoy, &wrong).unwrap_err().contains("failure_mode_alow"));
}

/// What Istio makes of a gateway of its own with the patches of the filter: as far as they say.
pub(crate) fn istio() -> Config {
    let patches: Value = serde_saphyr::from_str(&shipped("istio/envoy-filter.yaml")).unwrap();
    let empty = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "route_config": {"virtual_hosts": [{
            "name": "grafana.example.com:443", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application"}}]}]},
    });
    bootstrap("static.yaml").edit(|tree| {
        let router = filter(tree, "router").clone();
        let clusters = tree["static_resources"]["clusters"].as_array_mut().unwrap();
        clusters.retain(|cluster| cluster["name"] == "application");
        *manager(tree) = empty;
        let mut filters = Vec::new();
        for patch in patches["spec"]["configPatches"].as_array().unwrap() {
            let value = patch["patch"]["value"].clone();
            let operation = patch["patch"]["operation"].as_str().unwrap();
            match (patch["applyTo"].as_str().unwrap(), operation) {
                ("CLUSTER", "ADD") => {
                    tree["static_resources"]["clusters"].as_array_mut().unwrap().push(value);
                }
                ("NETWORK_FILTER", "MERGE") => merge(manager(tree), value["typed_config"].clone()),
                ("HTTP_FILTER", "INSERT_BEFORE") => filters.push(value),
                ("VIRTUAL_HOST", "MERGE") => {
                    merge(&mut manager(tree)["route_config"]["virtual_hosts"][0], value);
                }
                other => panic!("{other:?}"),
            }
        }
        filters.push(json!({"name": "envoy.filters.http.router", "typed_config": router}));
        manager(tree)["http_filters"] = filters.into();
    })
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn tree(name: &str) -> Value {
    serde_saphyr::from_str(&shipped(&format!("envoy/{name}"))).unwrap()
}

/// Files that are one another but for what they are about do not drift apart.
#[test]
fn the_variants_are_the_static_one_but_for_what_they_are_about() {
    let mut jwt = tree("jwt.yaml");
    let filters = manager(&mut jwt)["http_filters"].as_array_mut().unwrap();
    assert_eq!(filters.remove(0)["name"], "envoy.filters.http.jwt_authn");
    let asked = filter(&mut jwt, "ext_authz").as_object_mut().unwrap();
    assert_eq!(asked.remove("metadata_context_namespaces"), Some(json!(["envoy.filters.http.jwt_authn"])));
    assert_eq!(jwt, tree("static.yaml"));

    let mut open = tree("open.yaml");
    let asked = filter(&mut open, "ext_authz").as_object_mut().unwrap();
    assert_eq!(asked.insert("failure_mode_allow".into(), false.into()), Some(true.into()));
    assert_eq!(asked.remove("failure_mode_allow_header_add"), Some(true.into()));
    asked.insert("status_on_error".into(), json!({"code": "ServiceUnavailable"}));
    let backstop = &mut filter(&mut open, "rbac")["rules"]["policies"]["allowed-by-bindery"]["principals"];
    assert!(backstop.as_array_mut().unwrap().pop().unwrap()["header"].is_object());
    let logged = &mut manager(&mut open)["access_log"][0]["typed_config"]["log_format"]["json_format"];
    assert!(logged.as_object_mut().unwrap().remove("undecided").is_some());
    assert_eq!(open, tree("static.yaml"));
}

/// What Envoy and Istio's Envoy do about a request is the same.
#[test]
fn the_filters_for_istio_are_those_of_the_static_one() {
    let mut istio: Value = serde_json::from_str(istio().text()).unwrap();
    let mut own: Value = serde_json::from_str(bootstrap("static.yaml").edit(|_| {}).text()).unwrap();
    for name in ["ext_authz", "rbac", "router"] {
        assert_eq!(filter(&mut istio, name), filter(&mut own, name), "{name}");
    }
    for setting in [
        "normalize_path",
        "merge_slashes",
        "path_with_escaped_slashes_action",
        "early_header_mutation_extensions",
    ] {
        assert_eq!(manager(&mut istio)[setting], manager(&mut own)[setting], "{setting}");
    }
    let cluster = |tree: &Value| {
        let mut clusters = tree["static_resources"]["clusters"].as_array().unwrap().clone();
        clusters.retain(|cluster| cluster["name"] == "bindery");
        let mut one = clusters.pop().unwrap();
        one["load_assignment"] = Value::Null;
        one
    };
    assert_eq!(cluster(&istio), cluster(&own));
}

/// The kinds of the resources in a file for Kubernetes.
fn kinds(name: &str) -> Vec<String> {
    let text = shipped(name);
    let documents = text.split("\n---\n").map(|document| {
        let document: Value =
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            document["metadata"]["name"].is_string() && document["spec"].is_object(),
            "{name}: {document}"
        );
        document["kind"].as_str().unwrap().to_owned()
    });
    documents.collect()
}

/// There are no schemas for these here; they are YAML, name what is to be asked, and are closed when it does not answer.
#[test]
fn what_cannot_be_tried_here_is_at_least_whole() {
    assert_eq!(kinds("istio/envoy-filter.yaml"), ["EnvoyFilter"]);
    assert_eq!(kinds("istio/authorization-policy.yaml"), ["ServiceEntry", "AuthorizationPolicy"]);
    assert!(shipped("istio/authorization-policy.yaml").contains("failOpen: false"));
    let gateway = "envoy-gateway/bindery.yaml";
    assert_eq!(kinds(gateway), ["EnvoyProxy", "Backend", "ClientTrafficPolicy", "SecurityPolicy"]);
    assert!(shipped(gateway).contains("failOpen: false"));
    let traefik: Value = serde_saphyr::from_str(&shipped("traefik/dynamic.yaml")).unwrap();
    let middlewares = &traefik["http"]["routers"]["grafana"]["middlewares"];
    assert_eq!(middlewares, &json!(["no-identity-from-clients", "bindery"]));
    let asked = &traefik["http"]["middlewares"]["bindery"]["forwardAuth"];
    assert_eq!(asked["trustForwardHeader"], false);
    // Whatever bindery sets is removed first.
    let removed =
        &traefik["http"]["middlewares"]["no-identity-from-clients"]["headers"]["customRequestHeaders"];
    for header in asked["authResponseHeaders"].as_array().unwrap() {
        let header = header.as_str().unwrap();
        for name in [header.to_owned(), header.replace('-', "_"), header.replace('-', ".")] {
            assert_eq!(removed[&name].as_str().map(str::len), Some(0), "{name}");
        }
    }
}

fn yes_about(target: &str) -> CheckResponse {
    let text = |text: &str| Data { kind: Some(Kind::StringValue(text.into())) };
    let fields = [("decision".to_owned(), text("allow")), ("target".to_owned(), text(target))];
    CheckResponse { dynamic_metadata: Some(Struct { fields: fields.into() }), ..bare_yes() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backstop_wants_more_than_a_yes() {
    let envoy = found!("envoy");
    let upstream = Upstream::start();
    let path = |path: &str| get("grafana.example.com", path);

    let says_yes = Nothing::start(bare_yes());
    let running = Envoy::start(&envoy, &Config::new("static.yaml", says_yes.socket(), upstream.port)).await;
    let reply = path("/").send(running.port).await;
    assert_eq!((reply.status, upstream.arrived()), (403, 0), "{reply:?}");
    assert_eq!(running.counter("http.ingress.ext_authz.ok").await, 1);
    assert_eq!(running.counter("http.ingress.rbac.denied").await, 1);

    let says_allow = Nothing::start(yes_about("application/grafana"));
    let running = Envoy::start(&envoy, &Config::new("static.yaml", says_allow.socket(), upstream.port)).await;
    assert_eq!(path("/").send(running.port).await.seen().target, "/");
    // The answer has to be about the target that the route names.
    assert_eq!(path("/admin/users").send(running.port).await.status, 403);
    assert_eq!(upstream.arrived(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_is_not_asked_about_is_closed_unless_that_is_meant() {
    let envoy = found!("envoy");
    let upstream = Upstream::start();
    let says_allow = Nothing::start(yes_about("application/grafana"));
    let config = Config::new("static.yaml", says_allow.socket(), upstream.port);
    let forgotten = config.edit(|tree| {
        let routes = &mut manager(tree)["route_config"]["virtual_hosts"][0]["routes"];
        let mut route = routes[0].clone();
        route["match"] = json!({"path": "/forgotten"});
        let off = route["typed_per_filter_config"].as_object_mut().unwrap();
        assert!(off.remove("envoy.filters.http.rbac").is_some());
        routes.as_array_mut().unwrap().insert(0, route);
    });
    let running = Envoy::start(&envoy, &forgotten).await;
    let reply = get("grafana.example.com", "/forgotten").send(running.port).await;
    assert_eq!((reply.status, upstream.arrived()), (403, 0), "{reply:?}");
    // This one is meant to be open, and what a client says of itself does not get there, either.
    let open = get("grafana.example.com", "/api/health")
        .with("X-Authentik-Username", "akadmin")
        .with("x_authentik_username", "akadmin")
        .with("X.Authentik-Groups", "admins")
        .with("x-AUTHENTIK_uid", "1")
        .with("X-Envoy-Auth-Failure-Mode-Allowed", "true")
        .send(running.port)
        .await;
    assert_eq!(open.seen().names_with("authentik"), Vec::<&str>::new());
    assert_eq!(open.seen().names_with("envoy-auth"), Vec::<&str>::new());
    assert_eq!(running.counter("http.ingress.ext_authz.ok").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_status_does_not_get_through() {
    let envoy = found!("envoy");
    let upstream = Upstream::start();
    // What a service would say that fails without knowing: to Envoy, that is a yes.
    let says_nothing = Nothing::start(CheckResponse::default());
    let running =
        Envoy::start(&envoy, &Config::new("static.yaml", says_nothing.socket(), upstream.port)).await;
    let reply = get("grafana.example.com", "/").send(running.port).await;
    assert_eq!((reply.status, upstream.arrived()), (403, 0), "{reply:?}");
    assert_eq!(
        running.counter("http.ingress.ext_authz.ok").await,
        1,
        "Envoy does not take it for a yes any more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_arrive_in_one_form_or_not_at_all() {
    let envoy = found!("envoy");
    let upstream = Upstream::start();
    let says_allow = Nothing::start(yes_about("application/grafana"));
    let running = Envoy::start(&envoy, &Config::new("static.yaml", says_allow.socket(), upstream.port)).await;
    for (sent, arrives) in [
        ("/a//b", Some("/a/b")),
        ("/a/./b", Some("/a/b")),
        ("/a/../b?c=../d//", Some("/b?c=../d//")),
        ("/a%2fb", None),
        ("/a%2Fb", None),
        ("/a%5cb", None),
        ("/a/%2e%2e/b", Some("/b")),
        // The route of `/admin`, whose backstop wants another target.
        ("/x/../admin", None),
        ("/x/%2e%2e//admin/", None),
        ("//admin", None),
    ] {
        let reply = get("grafana.example.com", sent).send(running.port).await;
        match arrives {
            Some(path) => assert_eq!(reply.seen().target, path, "{sent}"),
            None => assert!(matches!(reply.status, 400 | 403), "{sent}: {reply:?}"),
        }
    }
}
