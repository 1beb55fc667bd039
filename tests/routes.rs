//! Routes: the one that a request fits best is found however the routes came, those that fit equally well are refused, and
//! what a route leads to follows from the configuration alone.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
    #[path = "reference/routes.rs"]
    pub(crate) mod reference;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{resource, target};
    use crate::support::reference::{best, id_of};
    use bindery::decision::View as _;
    use bindery::model::{ResourceKind, ResourceName, TargetKind};
    use bindery::proto::resource::target_ref;
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Replace, Settings, Snapshot, Store};
    use bindery::sync::apply::{Sent, Update, apply, apply_sent};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use std::collections::BTreeMap;

    fn application(id: &str, slug: &str) -> v1::Resource {
        let (id, slug) = (id.into(), slug.into());
        resource(R::Application(v1::Application { id, slug, ..Default::default() }))
    }

    fn to(target_of: T, id: &str, host: &str, prefix: &str, methods: &[&str]) -> v1::Route {
        v1::Route {
            id: id.into(),
            host: host.into(),
            path_prefix: prefix.into(),
            methods: methods.iter().map(ToString::to_string).collect(),
            target: Some(target(target_of)),
            anonymous: false,
        }
    }

    fn route(slug: &str, id: &str, host: &str, prefix: &str, methods: &[&str]) -> v1::Resource {
        resource(R::Route(to(T::Application(slug.into()), id, host, prefix, methods)))
    }

    fn delta(upserts: Vec<v1::Resource>, removals: &[(ResourceKind, &str)]) -> Update {
        let name = |(kind, id): &(ResourceKind, &str)| ResourceName { kind: *kind, id: (*id).into() };
        Update::Delta { upserts, removals: removals.iter().map(name).collect() }
    }

    const APPLICATION: ResourceKind = ResourceKind::Target(TargetKind::Application);

    fn holding(resources: Vec<v1::Resource>) -> Store {
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(resources)).unwrap();
        store
    }

    /// What is wrong with an update, which changes nothing then.
    fn refused(store: &Store, update: Update) -> Vec<String> {
        let before = store.load();
        let problems = apply(store, update).unwrap_err();
        assert_eq!((store.load().version(), store.load().digest()), (before.version(), before.digest()));
        problems.iter().map(ToString::to_string).collect()
    }

    /// The ids of the route and of the target for a request.
    fn found(store: &Store, host: &str, path: &str, method: &str) -> Option<(String, String)> {
        let snapshot = store.load();
        let found = snapshot.route(host, path, method)?;
        assert_eq!(snapshot.find(found.target).ok(), found.key);
        let id = snapshot.target(found.key.unwrap()).unwrap().target.id.to_string();
        Some((found.id.to_string(), id))
    }

    /// The same resources, all at once in a new store, lead to the same.
    fn agree(store: &Store, requests: &[(&str, &str, &str)]) {
        let upserts = store.load().resources().map(|(_, bytes)| bytes.into()).collect();
        let other = Store::new(Settings::default());
        apply_sent(&other, Sent { upserts, replace: Replace::All, ..Sent::default() }).unwrap();
        assert_eq!(*store.load().digest(), other.load().recount());
        for (host, path, method) in requests {
            assert_eq!(found(store, host, path, method), found(&other, host, path, method));
        }
    }

    #[test]
    fn the_most_specific_route_counts() {
        let store = holding(vec![
            application("", "app"),
            route("app", "any", "", "", &[]),
            route("app", "any-api", "*", "/api/", &[]),
            route("app", "below", "*.example", "", &[]),
            route("app", "far-below", "*.A.Example", "/api", &[]),
            route("app", "exact", "a.example", "/", &[]),
            route("app", "exact-get", "a.example", "/", &["GET"]),
            route("app", "exact-api", "a.example", "/api", &[]),
            route("app", "exact-post", "a.example", "/api/v1", &["POST", "PUT"]),
            route("app", "address", "[0:0::1]", "/caf%c3%a9", &[]),
        ]);
        for (host, path, method, expected) in [
            ("a.example", "/", "GET", "exact-get"),
            ("a.example", "/", "POST", "exact"),
            ("a.example", "/x", "get", "exact"),
            // The longer prefix comes before the method.
            ("a.example", "/api", "GET", "exact-api"),
            ("a.example", "/api/", "GET", "exact-api"),
            ("a.example", "/apix", "POST", "exact"),
            ("a.example", "/API", "POST", "exact"),
            ("a.example", "/api/v1/x", "POST", "exact-post"),
            ("a.example", "/api/v1/x", "GET", "exact-api"),
            ("a.example", "/%61pi/%761", "PUT", "exact-post"),
            ("a.example", "/ap%69x", "POST", "exact"),
            ("a.example", "/api%zz", "POST", "exact"),
            // The host comes before the prefix.
            ("b.a.example", "/api/v1", "GET", "far-below"),
            ("b.a.example", "/", "GET", "below"),
            ("c.b.a.example", "/api", "GET", "far-below"),
            ("xa.example", "/api", "GET", "below"),
            ("example", "/api", "GET", "any-api"),
            ("example", "/", "GET", "any"),
            ("", "/api/", "GET", "any-api"),
            ("[::1]", "/caf%C3%A9/x", "GET", "address"),
            ("[0::0:1]", "/caf%c3%a9", "GET", "address"),
            ("[::1]", "/cafe", "GET", "any"),
            ("[::2]", "/caf%C3%A9", "GET", "any"),
            ("::1", "/caf%C3%A9", "GET", "any"),
        ] {
            let route = found(&store, host, path, method).map(|(route, _)| route);
            assert_eq!(route.as_deref(), Some(expected), "{host} {path} {method}");
        }
        // What has no path has no route.
        assert_eq!(found(&store, "a.example", "*", "OPTIONS"), None);
        assert_eq!(found(&store, "a.example", "", "GET"), None);
    }

    #[test]
    fn a_method_that_does_not_fit_leads_on() {
        let store = holding(vec![
            application("", "app"),
            route("app", "get", "a.example", "/api", &["GET"]),
            route("app", "below", "*.example", "/", &["PUT"]),
        ]);
        assert_eq!(found(&store, "a.example", "/api", "GET").unwrap().0, "get");
        assert_eq!(found(&store, "a.example", "/api", "PUT").unwrap().0, "below");
        assert_eq!(found(&store, "a.example", "/api", "HEAD"), None);
        assert_eq!(found(&store, "a.example", "/", "GET"), None);
    }

    #[test]
    fn requests_that_are_too_long_or_too_deep_are_looked_up_all_the_same() {
        let store = holding(vec![
            application("", "app"),
            route("app", "deep", "*.example", &"/a".repeat(64), &[]),
            route("app", "any", "", "", &[]),
        ]);
        let found = |host: &str, path: &str| found(&store, host, path, "GET").unwrap().0;
        let host = format!("{}example", "a.".repeat(10_000));
        assert_eq!(found(&host, &"/%61".repeat(100_000)), "deep");
        assert_eq!(found(&host, &"/a".repeat(63)), "any");
        assert_eq!(found("x.example", &format!("/{}", "%61".repeat(100_000))), "any");
    }

    #[test]
    fn a_target_does_not_go_while_a_route_leads_to_it() {
        let store = holding(vec![
            application("", "app"),
            application("", "other"),
            route("app", "a", "a.example", "", &[]),
            route("app", "b", "b.example", "", &[]),
        ]);
        assert_eq!(
            refused(&store, delta(vec![], &[(APPLICATION, "app")])),
            [
                "application `app`: it is removed, but route `a` and 1 more still refers to it; remove that as well"
            ]
        );
        assert_eq!(
            refused(&store, delta(vec![route("gone", "c", "", "", &[])], &[])),
            ["route `c`: target: there is no application `gone`; add it, or correct the reference"]
        );
        // One that is sent along is told once.
        let again = delta(
            vec![route("app", "a", "a.example", "", &[])],
            &[(APPLICATION, "app"), (ResourceKind::Route, "b")],
        );
        assert_eq!(
            refused(&store, again),
            ["route `a`: target: there is no application `app`; add it, or correct the reference"]
        );
        let update = delta(
            vec![route("other", "a", "a.example", "", &[])],
            &[(APPLICATION, "app"), (ResourceKind::Route, "b"), (ResourceKind::Route, "never-there")],
        );
        let applied = apply(&store, update).unwrap();
        assert_eq!((applied.upserted, applied.removed), (1, 2));
        assert_eq!(found(&store, "a.example", "/", "GET"), Some(("a".into(), "other".into())));
        assert_eq!(found(&store, "b.example", "/", "GET"), None);
        assert_eq!(store.load().counts().routes, 1);
        agree(&store, &[("a.example", "/", "GET")]);
    }

    #[test]
    fn a_target_of_another_id_may_take_the_place_of_one_that_goes() {
        let store = holding(vec![application("1", "app"), route("app", "a", "", "", &[])]);
        apply(&store, delta(vec![application("2", "app")], &[(APPLICATION, "1")])).unwrap();
        assert_eq!(found(&store, "x", "/", "GET"), Some(("a".into(), "2".into())));
        let by_id = route("2", "a", "", "", &[]);
        apply(&store, delta(vec![by_id], &[])).unwrap();
        let problems = refused(&store, delta(vec![application("3", "app")], &[(APPLICATION, "2")]));
        assert!(problems[0].contains("route `a` still refers to it"), "{problems:?}");
        // A number that is free again says nothing of what had it before.
        apply(&store, delta(vec![], &[(APPLICATION, "2"), (ResourceKind::Route, "a")])).unwrap();
        apply(&store, delta(vec![application("4", "new")], &[])).unwrap();
        apply(&store, delta(vec![], &[(APPLICATION, "4")])).unwrap();
    }

    /// As for bindings: what is in force follows from what is held alone.
    #[test]
    fn a_name_that_moves_takes_its_routes_along_or_is_refused() {
        let right = |application: &str| {
            let (id, application, name) = ("right".into(), application.into(), "edit".into());
            resource(R::Entitlement(v1::ApplicationEntitlement {
                id,
                application,
                name,
                ..Default::default()
            }))
        };
        let endpoint = |application: &str| {
            let (id, application) = ("db".into(), application.into());
            resource(R::RacEndpoint(v1::RacEndpoint { id, application, ..Default::default() }))
        };
        let to_right = T::Entitlement(v1::EntitlementRef {
            application: "a".into(),
            name: "edit".into(),
            ..Default::default()
        });
        let to_endpoint = T::RacEndpoint(v1::RacEndpointRef { id: "db".into(), application: "a".into() });
        let everything = vec![
            application("1", "a"),
            application("2", "b"),
            right("1"),
            endpoint("1"),
            route("a", "by-name", "a.example", "", &[]),
            route("1", "by-id", "b.example", "", &[]),
            resource(R::Route(to(to_right, "right", "c.example", "", &[]))),
            resource(R::Route(to(to_endpoint, "endpoint", "d.example", "", &[]))),
        ];
        let store = holding(everything);
        // What says `1` stays; everything else says `a`, and has to come along.
        assert_eq!(
            refused(&store, delta(vec![application("1", "c")], &[])),
            [
                "route `by-name`: target: there is no application `a`; add it, or correct the reference",
                "route `right`: target: there is no entitlement `a/edit`; add it, or correct the reference",
                "route `endpoint`: target: the RAC endpoint `db` is not one of application `a`; correct one of the two",
            ]
        );
        // The endpoint alone changes, and the route says whose it is to be.
        let problems = refused(&store, delta(vec![endpoint("2")], &[]));
        assert!(problems[0].starts_with("route `endpoint`: target: "), "{problems:?}");
        // The names are swapped: the other application is the one that is called `a`.
        let swapped = vec![application("1", "b"), application("2", "a"), right("2"), endpoint("2")];
        apply(&store, delta(swapped, &[])).unwrap();
        let requests = ["a", "b", "c", "d"].map(|it| format!("{it}.example"));
        let requests: Vec<_> = requests.iter().map(|host| (host.as_str(), "/", "GET")).collect();
        let ids = ["2", "1", "right", "db"];
        for ((host, path, method), id) in requests.iter().zip(ids) {
            assert_eq!(found(&store, host, path, method).unwrap().1, id);
        }
        agree(&store, &requests);
    }

    #[test]
    fn routes_that_fit_equally_well_are_refused_and_may_swap_places() {
        let store = holding(vec![
            application("", "app"),
            route("app", "a", "a.example", "/x", &["GET", "PUT"]),
            route("app", "b", "a.example", "/x", &[]),
            route("app", "c", "*.example", "/x", &["GET"]),
        ]);
        let add = |routes: Vec<v1::Resource>| delta(routes, &[]);
        assert_eq!(
            refused(&store, add(vec![route("app", "d", "A.example", "/x/", &["POST", "PUT"])])),
            [
                "route `d`: methods: `PUT` requests to `a.example/x` fit route `a` just as well; leave the method to one of \
              the two"
            ]
        );
        assert_eq!(
            refused(&store, add(vec![route("app", "d", "a.example", "/x", &[])])),
            [
                "route `d`: path_prefix: requests of any method to `a.example/x` fit route `b` just as well; remove one of \
              the two, or give it methods"
            ]
        );
        // Two of one update, and the second is the one that is told; one that is written without an id.
        let two = vec![route("app", "e", "", "/y+", &[]), route("app", "", "*", "/y%2b", &[])];
        assert_eq!(
            refused(&store, add(two)),
            [
                "route `*/y%2B`: path_prefix: requests of any method to `*/y%2B` fit route `e` just as well; remove one of \
              the two, or give it methods"
            ]
        );
        assert_eq!(
            refused(&store, add(vec![route("app", "", "z", "/y/", &[]), route("app", "", "Z", "/y", &[])])),
            ["route `z/y`: id: there are two of this id; remove one, or give them different ids"]
        );
        let swapped = vec![
            route("app", "b", "a.example", "/x", &["PUT", "GET"]),
            route("app", "a", "a.example", "/x", &[]),
        ];
        apply(&store, add(swapped)).unwrap();
        assert_eq!(found(&store, "a.example", "/x", "GET").unwrap().0, "b");
        assert_eq!(found(&store, "a.example", "/x", "POST").unwrap().0, "a");
        agree(&store, &[("a.example", "/x", "GET"), ("a.example", "/x", "POST")]);
        // One that covers the same as before keeps its place, whatever else is different.
        let way = |slug: &str, anonymous| {
            let to_slug = T::Application(slug.into());
            let route = v1::Route { anonymous, ..to(to_slug, "b", "a.example", "/x", &["PUT", "GET"]) };
            add(vec![application("", "other"), resource(R::Route(route))])
        };
        assert!(
            refused(&store, way("gone", true))[0].starts_with("route `b`: target: there is no application")
        );
        apply(&store, way("other", true)).unwrap();
        assert_eq!(found(&store, "a.example", "/x", "GET"), Some(("b".into(), "other".into())));
        assert!(store.load().route("a.example", "/x", "GET").unwrap().anonymous);
        assert_eq!(refused(&store, delta(vec![], &[(APPLICATION, "other")])).len(), 1);
        apply(&store, way("app", false)).unwrap();
        apply(&store, delta(vec![], &[(APPLICATION, "other")])).unwrap();
        let before = store.load();
        let same = route("app", "b", "a.EXAMPLE", "/x/", &["GET", "PUT", "GET"]);
        let applied = apply(&store, add(vec![same])).unwrap();
        assert_eq!((applied.upserted, applied.revision), (0, before.revision()), "spelled differently");
    }

    #[test]
    fn a_store_that_holds_a_part_has_routes_to_targets_that_are_not_here() {
        let store = Store::new(Settings::default());
        let serialized = |all: &[v1::Resource]| {
            all.iter().map(|it| prost::Message::encode_to_vec(it).into()).collect::<Vec<_>>()
        };
        let sent = |upserts: &[v1::Resource], removals| Sent {
            upserts: serialized(upserts),
            removals,
            partial: true,
            ..Sent::default()
        };
        apply_sent(&store, sent(&[route("app", "a", "", "", &[])], vec![])).unwrap();
        let check = |is_here: bool| {
            let snapshot = store.load();
            let found = snapshot.route("x", "/", "GET").unwrap();
            assert_eq!((found.key, found.target.to_string()), (None, "application/app".into()));
            assert_eq!(snapshot.find(found.target).is_ok(), is_here);
            assert_eq!(*snapshot.digest(), snapshot.recount());
        };
        check(false);
        apply_sent(&store, sent(&[application("", "app")], vec![])).unwrap();
        check(true);
        let name = ResourceName { kind: APPLICATION, id: "app".into() };
        apply_sent(&store, sent(&[], vec![name])).unwrap();
        check(false);
        // Nor is a route told as wrong beside what is.
        let problems =
            apply_sent(&store, sent(&[application("", ""), route("app", "c", "c.x", "", &[])], vec![]));
        let problems: Vec<_> = problems.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["application: slug: missing; it is required"]);
        // Two that fit equally well are none the better for it.
        assert!(apply_sent(&store, sent(&[route("app", "b", "*", "/", &[])], vec![])).is_err());
    }

    /// Last-good files of before there were routes are read as they were, with the sum that they were written with.
    #[test]
    fn files_without_routes_are_read_as_before() {
        use bindery::sync::last_good::{Found, LastGood};
        let written = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/routes/last-good-without");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last");
        std::fs::copy(written, &path).unwrap();
        let (_file, store, found) = LastGood::open(&path, Settings::default()).unwrap();
        assert!(matches!(found, Found::Configuration { resources: 48, torn: 0, .. }), "{found:?}");
        let snapshot = store.load();
        assert_eq!((*snapshot.digest(), snapshot.counts().routes), (snapshot.recount(), 0));
    }

    // Small alphabets, so that much meets.
    const HOSTS: [&str; 8] = ["", "*", "a.x", "A.X", "*.x", "*.a.x", "b.a.x", "[::1]"];
    const SEGMENTS: [&str; 5] = ["a", "b", "%C3%A4", "+", "%2b"];
    const METHODS: [&str; 3] = ["GET", "POST", "PUT"];

    fn any_route() -> impl Strategy<Value = v1::Route> {
        let prefix = (vec(select(&SEGMENTS[..]), 0..3), any::<bool>()).prop_map(|(segments, slash)| {
            let end = if slash { "/" } else { "" };
            segments.iter().map(|it| format!("/{it}")).collect::<String>() + end
        });
        let methods = prop_oneof![Just(Vec::new()), subsequence(METHODS.to_vec(), 0..=3).prop_shuffle()];
        let id = prop_oneof![3 => (0..12_u8).prop_map(|id| format!("r{id}")), 1 => Just(String::new())];
        (id, select(&HOSTS[..]), prefix, methods, 0..3_u8, any::<bool>()).prop_map(
            |(id, host, prefix, methods, slug, anonymous)| {
                let target = T::Application(format!("app{slug}"));
                v1::Route { anonymous, ..to(target, &id, host, &prefix, &methods) }
            },
        )
    }

    type Request = (String, String, String);

    fn any_request() -> impl Strategy<Value = Request> {
        let host = select(
            &["", "x", "a.x", "b.x", "b.a.x", "c.b.a.x", "ab.x", "[::1]", "[0::1]", "[::2]", "a.y", ".x"][..],
        );
        let segment = select(&["a", "%61", "b", "ab", "%C3%A4", "%c3%a4", "+", "%2B", "%", ""][..]);
        let path = vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")));
        let method = select(&["GET", "POST", "PUT", "HEAD", "get"][..]);
        (host, path, method).prop_map(|(host, path, method)| (host.into(), path, method.into()))
    }

    /// Whether a request that is made for one of two fits the other just as well.
    fn clash(a: &v1::Route, b: &v1::Route) -> bool {
        use crate::support::reference::fit;
        let host = match a.host.to_lowercase() {
            host if host.is_empty() || host == "*" => "nowhere".to_owned(),
            host => host.replace("*.", "deep.down."),
        };
        let path = format!("/{}", a.path_prefix.trim_matches('/'));
        let methods = if a.methods.is_empty() { vec!["ODD".to_owned()] } else { a.methods.clone() };
        methods.iter().any(|method| {
            let request = (host.as_str(), path.as_str(), method.as_str());
            fit(a, request) == fit(b, request)
        })
    }

    fn compare(snapshot: &Snapshot, held: &BTreeMap<String, v1::Route>, requests: &[Request]) {
        for (host, path, method) in requests {
            let found = snapshot.route(host, path, method);
            let expected = best(held.values(), (host, path, method));
            let of_found = found.map(|it| (it.id.to_string(), Some(target_ref(it.target)), it.anonymous));
            let of_expected = expected.map(|it| (id_of(it), it.target.clone(), it.anonymous));
            assert_eq!(of_found, of_expected, "{host} {path} {method} of {held:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_table_finds_what_looking_at_all_routes_finds(
            changes in vec((vec(any_route(), 0..8), vec(0..12_u8, 0..4), any::<bool>()), 1..6),
            requests in vec(any_request(), 60),
        ) {
            let applications: Vec<_> = (0..3).map(|it| application("", &format!("app{it}"))).collect();
            let store = holding(applications.clone());
            let mut held: BTreeMap<String, v1::Route> = BTreeMap::new();
            for (routes, removals, replaces) in changes {
                let mut next = if replaces { BTreeMap::new() } else { held.clone() };
                let removals: Vec<String> = removals.iter().map(|it| format!("r{it}")).collect();
                next.retain(|id, _| !removals.contains(id));
                let mut upserts: Vec<v1::Resource> = Vec::new();
                for route in routes {
                    let id = id_of(&route);
                    // Twice the same id is refused, which is shown elsewhere.
                    if upserts.iter().any(|it| matches!(&it.resource, Some(R::Route(it)) if id_of(it) == id)) {
                        continue;
                    }
                    upserts.push(resource(R::Route(route.clone())));
                    next.insert(id, route);
                }
                let update = if replaces {
                    upserts.extend(applications.clone());
                    Update::Replace(upserts)
                } else {
                    let removals = removals.iter().map(|id| {
                        ResourceName { kind: ResourceKind::Route, id: id.as_str().into() }
                    });
                    Update::Delta { upserts, removals: removals.collect() }
                };
                let routes: Vec<&v1::Route> = next.values().collect();
                let clashes = routes.iter().enumerate().any(|(index, a)| {
                    routes[index + 1..].iter().any(|b| clash(a, b))
                });
                let applied = apply(&store, update);
                prop_assert_eq!(applied.is_err(), clashes, "{:?} of {:?}", applied, next);
                if applied.is_ok() {
                    held = next;
                }
                compare(&store.load(), &held, &requests);
                prop_assert_eq!(store.load().counts().routes, held.len());
                // The same at once and in another order leads to the same.
                let backwards = held.values().rev().map(|route| resource(R::Route(route.clone())));
                let other = holding(backwards.chain(applications.clone()).collect());
                compare(&other.load(), &held, &requests);
                prop_assert_eq!(*store.load().digest(), store.load().recount());
                prop_assert_eq!(*store.load().digest(), *other.load().digest());
            }
        }
    }
}
