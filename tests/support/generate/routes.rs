//! Routes of random configurations, and requests to gateways. Each place has hosts and prefixes of its own, so that no two
//! of them ever fit equally well.

use super::{TARGETS, World, seldom};
use crate::support::make::resource;
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use proptest::prelude::*;
use proptest::sample::select;

/// The host and prefix of each place, as a configuration may spell them, and whether its routes may do without methods,
/// or with them.
const PLACES: [(&str, &str, bool, bool); 8] = [
    ("a.example", "", true, true),
    ("A.Example", "/x", false, true),
    ("a.example", "/x/", true, false),
    ("*.example", "/", true, true),
    ("*.a.example", "/x/y", true, true),
    ("", "", true, true),
    ("*", "/x/%c3%a4", true, true),
    ("[0::1]", "/x", true, true),
];
pub(super) const ROUTES: usize = PLACES.len();

/// Hosts, paths and methods of requests.
pub(crate) const HOSTS: [&str; 7] =
    ["a.example", "b.example", "b.a.example", "c.b.a.example", "example", "[::1]", "[0:0::1]"];
pub(crate) const PATHS: [&str; 10] =
    ["/", "/x", "/x/", "/x/y", "/x/y/z", "/xy", "/%78/m1", "/x/%C3%A4/m6", "/x/m4", "*"];
pub(crate) const METHODS: [&str; 4] = ["GET", "POST", "PUT", "get"];

/// Every request of these.
pub(crate) fn requests() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    HOSTS.into_iter().flat_map(|host| {
        PATHS.into_iter().flat_map(move |path| METHODS.into_iter().map(move |method| (host, path, method)))
    })
}

/// A route at its place.
#[derive(Clone, Debug)]
pub(crate) struct RoutePlace {
    has_id: bool,
    /// Whether it is one segment further down.
    moved: bool,
    methods: &'static [&'static str],
    target: usize,
    target_by_id: bool,
    anonymous: bool,
}

pub(super) fn any_route() -> BoxedStrategy<RoutePlace> {
    let methods: Vec<&'static [&'static str]> = vec![&[], &["GET"], &["POST", "GET"], &["PUT", "PUT", "GET"]];
    (any::<bool>(), seldom(), select(methods), 0..TARGETS.len(), any::<bool>(), any::<bool>())
        .prop_map(|(has_id, moved, methods, target, target_by_id, anonymous)| RoutePlace {
            has_id,
            moved,
            methods,
            target,
            target_by_id,
            anonymous,
        })
        .boxed()
}

impl World {
    pub(super) fn route(&self, place: usize) -> Option<v1::Resource> {
        let it = self.routes[place].as_ref()?;
        let (host, prefix, may_do_without, may_have) = PLACES[place];
        let methods: &[&str] = match it.methods {
            [] if !may_do_without => &["POST"],
            _ if !may_have => &[],
            methods => methods,
        };
        let path_prefix =
            if it.moved { format!("{}/m{place}", prefix.trim_end_matches('/')) } else { prefix.to_owned() };
        Some(resource(R::Route(v1::Route {
            id: if it.has_id { format!("route-{place}") } else { String::new() },
            host: host.to_owned(),
            path_prefix,
            methods: methods.iter().map(ToString::to_string).collect(),
            target: Some(self.target_ref(it.target, it.target_by_id, "")?),
            anonymous: it.anonymous,
        })))
    }
}
