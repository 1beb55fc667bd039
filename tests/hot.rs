//! The hot set: a change makes cold what depends on it, and nothing else.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{NOW, dummy, group_id, group_name, question, resource, target};
    use bindery::api::ask::{check, check_on};
    use bindery::evaluators::Evaluators;
    use bindery::model::{ResourceKind, ResourceName, TargetKind, Timestamp};
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{HotStats, Settings, Store};
    use bindery::sync::apply::{Update, apply};

    fn application(slug: &str) -> v1::Resource {
        resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
    }

    fn bind(id: &str, slug: &str, side: v1::PolicyBinding) -> v1::Resource {
        let target = Some(target(T::Application(slug.into())));
        resource(R::PolicyBinding(v1::PolicyBinding { id: id.into(), target, ..side }))
    }

    fn to_policy(name: &str) -> v1::PolicyBinding {
        v1::PolicyBinding { policy: name.into(), ..Default::default() }
    }

    fn to_group(name: &str) -> v1::PolicyBinding {
        v1::PolicyBinding { group: Some(group_name(name)), ..Default::default() }
    }

    fn group(name: &str, parents: &[&str]) -> v1::Resource {
        let parents = parents.iter().map(|parent| group_name(parent)).collect();
        resource(R::Group(v1::Group { name: name.into(), parents, ..Default::default() }))
    }

    fn user(groups: &[&str]) -> v1::Resource {
        let groups = groups.iter().map(|group| group_id(group)).collect();
        resource(R::User(v1::User { username: "alice".into(), groups, ..Default::default() }))
    }

    /// `shared` is bound to the first two applications, `own` to the third, the group `staff` to the fourth; nothing
    /// is bound to the fifth. The last two are plain: they are decided as they are kept, and compiled never.
    fn configuration() -> Vec<v1::Resource> {
        let mut resources: Vec<v1::Resource> =
            ["one", "two", "three", "four", "five"].map(application).into();
        resources.extend([
            dummy("shared", true, "shared"),
            dummy("own", true, "own"),
            dummy("unused", true, "unused"),
            group("staff", &[]),
            group("team", &["staff"]),
            user(&["team"]),
            bind("b1", "one", to_policy("shared")),
            bind("b2", "two", to_policy("shared")),
            bind("b3", "three", to_policy("own")),
            bind("b4", "four", to_group("staff")),
        ]);
        resources
    }

    struct Warm {
        store: Store,
        runtime: tokio::runtime::Runtime,
    }

    impl Warm {
        /// A store whose applications have all been asked about.
        fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let warm = Self { store: Store::new(Settings::default()), runtime };
            warm.apply(Update::Replace(configuration()));
            warm.ask_all();
            warm
        }

        fn apply(&self, update: Update) {
            apply(&self.store, update).unwrap();
        }

        fn change(&self, upserts: Vec<v1::Resource>) {
            let before = self.store.load().revision();
            self.apply(Update::Delta { upserts, removals: Vec::new() });
            assert_eq!(self.store.load().revision(), before + 1, "this was to be a change");
        }

        fn ask(&self, slug: &str) -> v1::CheckResponse {
            let request = question(target(T::Application(slug.into())), "alice");
            self.runtime
                .block_on(check(&self.store, &Evaluators::default(), request, Timestamp::new(NOW, 0)))
                .unwrap()
        }

        fn ask_all(&self) {
            for slug in ["one", "two", "three", "four", "five"] {
                self.ask(slug);
            }
        }

        /// How many binding sets this compiles.
        fn compiled_by(&self, work: impl FnOnce(&Self)) -> u64 {
            let before = self.store.hot_stats().compiled;
            work(self);
            self.store.hot_stats().compiled - before
        }
    }

    #[test]
    fn a_set_is_compiled_once() {
        let warm = Warm::new();
        let HotStats { len, compiled, .. } = warm.store.hot_stats();
        assert_eq!((len, compiled), (3, 3));
        assert_eq!(warm.compiled_by(Warm::ask_all), 0);
    }

    #[test]
    fn a_changed_policy_makes_cold_what_it_is_bound_to() {
        let warm = Warm::new();
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![dummy("own", false, "changed")]);
            warm.ask_all();
        });
        assert_eq!(compiled, 1);
        assert_eq!(warm.ask("three").messages, ["changed"]);
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![dummy("shared", false, "changed")]);
            warm.ask_all();
        });
        assert_eq!(compiled, 2);
        assert_eq!(warm.ask("one").messages, ["changed"]);
        assert_eq!(warm.ask("two").messages, ["changed"]);
    }

    #[test]
    fn a_policy_that_is_bound_to_nothing_makes_nothing_cold() {
        let warm = Warm::new();
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![dummy("unused", false, "changed")]);
            warm.ask_all();
        });
        assert_eq!(compiled, 0);
    }

    #[test]
    fn a_changed_group_makes_cold_no_more_than_what_it_is_bound_to() {
        let warm = Warm::new();
        assert_eq!(warm.ask("four").decision(), v1::Decision::Allow);
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![group("team", &[])]);
            warm.ask_all();
        });
        assert_eq!(compiled, 0);
        assert_eq!(warm.ask("four").decision(), v1::Decision::Deny);
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![group("elsewhere", &["nowhere"])]);
            warm.ask_all();
        });
        assert_eq!(compiled, 0);
    }

    #[test]
    fn a_changed_user_makes_nothing_cold() {
        let warm = Warm::new();
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![user(&[])]);
            warm.ask_all();
        });
        assert_eq!(compiled, 0);
        assert_eq!(warm.ask("four").decision(), v1::Decision::Deny);
    }

    #[test]
    fn a_changed_route_makes_nothing_cold() {
        let warm = Warm::new();
        let route = |slug: &str| {
            let target = Some(target(T::Application(slug.into())));
            resource(R::Route(v1::Route { id: "r".into(), target, ..Default::default() }))
        };
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![route("one")]);
            warm.change(vec![route("two")]);
            warm.ask_all();
        });
        assert_eq!(compiled, 0);
        let found = warm.store.load().route("a", "/", "GET").map(|found| found.target.to_string());
        assert_eq!(found.as_deref(), Some("application/two"));
    }

    #[test]
    fn a_changed_binding_makes_its_target_cold() {
        let warm = Warm::new();
        let negated = v1::PolicyBinding { negate: true, ..to_policy("shared") };
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![bind("b1", "one", negated)]);
            warm.ask_all();
        });
        assert_eq!(compiled, 1);
        assert_eq!(warm.ask("one").decision(), v1::Decision::Deny);
    }

    /// A binding that moves makes both ends cold; the one that it leaves is plain from then on.
    #[test]
    fn a_moved_binding_makes_both_targets_cold() {
        let warm = Warm::new();
        let compiled = warm.compiled_by(|warm| {
            warm.change(vec![bind("b3", "five", to_policy("own"))]);
            warm.ask_all();
        });
        assert_eq!(compiled, 1);
        assert!(warm.ask("three").messages.is_empty());
        assert_eq!(warm.ask("five").messages, ["own"]);
    }

    #[test]
    fn what_is_the_same_after_a_replacement_stays_warm() {
        let warm = Warm::new();
        let mut resources = configuration();
        resources.push(application("six"));
        resources.reverse();
        let compiled = warm.compiled_by(|warm| {
            warm.apply(Update::Replace(resources));
            warm.ask_all();
        });
        assert_eq!(compiled, 0);
    }

    #[test]
    fn a_removed_target_is_kept_no_longer() {
        let warm = Warm::new();
        let name = |kind, id: &str| ResourceName { kind, id: id.into() };
        let removals = vec![
            name(ResourceKind::Target(TargetKind::Application), "three"),
            name(ResourceKind::PolicyBinding, "b3"),
        ];
        let compiled = warm.compiled_by(|warm| {
            warm.apply(Update::Delta { upserts: Vec::new(), removals });
            for slug in ["one", "two", "four", "five"] {
                warm.ask(slug);
            }
        });
        assert_eq!(compiled, 0);
        assert_eq!(warm.store.hot_stats().len, 2);
        let request = question(target(T::Application("three".into())), "alice");
        let answer = warm.runtime.block_on(check(
            &warm.store,
            &Evaluators::default(),
            request,
            Timestamp::new(NOW, 0),
        ));
        assert_eq!(answer.unwrap_err().code, tonic::Code::NotFound);
    }

    /// Whoever still asks an older snapshot gets its answers, and leaves nothing behind that a newer one takes for its
    /// own: not when a policy changed, not when a binding did, not when a group did.
    #[test]
    fn an_older_snapshot_spoils_nothing() {
        let changes = [
            ("three", dummy("own", false, "changed")),
            ("three", bind("b3", "three", v1::PolicyBinding { negate: true, ..to_policy("own") })),
            ("four", group("team", &[])),
            ("four", user(&[])),
        ];
        for (slug, change) in changes {
            let warm = Warm::new();
            let older = warm.store.load();
            warm.change(vec![change.clone()]);
            let newer = warm.store.load();
            for (snapshot, decision) in
                [(&older, v1::Decision::Allow), (&newer, v1::Decision::Deny)].repeat(3)
            {
                let request = question(target(T::Application(slug.into())), "alice");
                let answer = warm.runtime.block_on(check_on(
                    snapshot,
                    &Evaluators::default(),
                    request,
                    Timestamp::new(NOW, 0),
                ));
                assert_eq!(answer.unwrap().decision(), decision, "{change:?} at {}", snapshot.revision());
            }
        }
    }

    /// A refused update changes nothing, so it makes nothing cold either.
    #[test]
    fn a_refused_update_makes_nothing_cold() {
        let warm = Warm::new();
        let compiled = warm.compiled_by(|warm| {
            let upserts = vec![dummy("own", false, "changed"), bind("b9", "nowhere", to_policy("own"))];
            apply(&warm.store, Update::Delta { upserts, removals: Vec::new() }).unwrap_err();
            warm.ask_all();
        });
        assert_eq!(compiled, 0);
        assert_eq!(warm.ask("three").messages, ["own"]);
    }
}
