//! Readers race a writer: no answer is ever put together from two revisions.
//!
//! Every update changes mode, bindings, groups, memberships, names, policies and reputation together, and all of them
//! carry the number of the generation, which is the revision. Whatever is taken from another generation shows, as a
//! denial, a wrong message or a wrong order.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{
        NOW, dummy, group_id, group_name, policy, question, resource, target, username,
    };
    use bindery::api::ask::{check, check_on};
    use bindery::evaluators::Evaluators;
    use bindery::model::Timestamp;
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Snapshot, Store};
    use bindery::sync::apply::{Update, apply};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    const GENERATIONS: u64 = 10_000;
    const READERS: usize = 3;
    /// What is bound to each of the targets.
    const ROWS: i32 = 7;

    fn now() -> Timestamp {
        Timestamp::new(NOW, 0)
    }

    fn application() -> v1::TargetRef {
        target(T::Application("t".into()))
    }

    fn endpoint() -> v1::TargetRef {
        target(T::RacEndpoint(v1::RacEndpointRef { id: "e".into(), ..Default::default() }))
    }

    fn number(generation: u64) -> i32 {
        generation.try_into().unwrap()
    }

    /// Even generations need all bindings to pass, odd ones any.
    fn mode(generation: u64) -> v1::PolicyEngineMode {
        if generation.is_multiple_of(2) { v1::PolicyEngineMode::All } else { v1::PolicyEngineMode::Any }
    }

    fn group(id: &str, name: &str, parents: Vec<v1::GroupRef>) -> v1::Resource {
        let (id, name) = (id.into(), name.into());
        resource(R::Group(v1::Group { id, name, parents, ..Default::default() }))
    }

    /// The bindings of one target. In the generation they belong to, the user and group bindings pass; the dummy's
    /// result is what the mode makes of no consequence: true when all must pass, false when one is enough.
    fn bindings(bound_to: &v1::TargetRef, prefix: &str, generation: u64) -> Vec<v1::Resource> {
        let row = |index: i32, binding: v1::PolicyBinding| {
            resource(R::PolicyBinding(v1::PolicyBinding {
                id: format!("{prefix}-{index}"),
                target: Some(bound_to.clone()),
                order: number(generation) * ROWS + index,
                ..binding
            }))
        };
        let policy = |name: &str| v1::PolicyBinding { policy: name.into(), ..Default::default() };
        let to_group = |group| v1::PolicyBinding { group: Some(group), ..Default::default() };
        let to_user = |user| v1::PolicyBinding { user: Some(user), ..Default::default() };
        vec![
            row(0, policy("says")),
            // The user's group has this parent, in this generation.
            row(1, to_group(group_id(&format!("top-{}", generation % 3)))),
            // Its name changes as well.
            row(2, to_group(group_name(&format!("top {generation}")))),
            // The user is in the other group no longer.
            row(
                3,
                v1::PolicyBinding {
                    negate: true,
                    ..to_group(group_id(&format!("low-{}", (generation + 1) % 2)))
                },
            ),
            // The user is called so, in this generation.
            row(4, to_user(username(&format!("user-{}", generation % 5)))),
            // As bad as the row of this generation, and no worse.
            row(5, policy("bad")),
            row(6, v1::PolicyBinding { negate: true, ..policy("worse") }),
        ]
    }

    /// Everything, as it stands in this generation.
    fn configuration(generation: u64) -> Vec<v1::Resource> {
        let all = generation.is_multiple_of(2);
        let top = |index: u64| {
            let current = index == generation % 3;
            let name = if current { format!("top {generation}") } else { format!("top of old {index}") };
            group(&format!("top-{index}"), &name, vec![])
        };
        let low = |index: u64| {
            let parents = if index == generation % 2 {
                vec![group_id(&format!("top-{}", generation % 3))]
            } else {
                vec![]
            };
            group(&format!("low-{index}"), &format!("low {index}"), parents)
        };
        let score = if all { -100 } else { -50 };
        let reputation = |threshold| {
            v1::policy::Kind::Reputation(v1::ReputationPolicy {
                check_ip: Some(true),
                check_username: Some(false),
                threshold: Some(threshold),
            })
        };
        let mut resources = vec![
            resource(R::Application(v1::Application {
                slug: "t".into(),
                policy_engine_mode: mode(generation).into(),
                ..Default::default()
            })),
            resource(R::RacEndpoint(v1::RacEndpoint {
                id: "e".into(),
                application: "t".into(),
                policy_engine_mode: mode(generation).into(),
                ..Default::default()
            })),
            dummy("says", all, &format!("generation {generation}")),
            policy("bad", reputation(score)),
            policy("worse", reputation(score - 1)),
            resource(R::ReputationScore(v1::ReputationScore {
                id: "r".into(),
                ip: "10.0.0.1".into(),
                score,
                ..Default::default()
            })),
            resource(R::User(v1::User {
                id: "u".into(),
                username: format!("user-{}", generation % 5),
                groups: vec![group_id(&format!("low-{}", generation % 2))],
                ..Default::default()
            })),
        ];
        resources.extend((0..3).map(top));
        resources.extend((0..2).map(low));
        resources.extend(bindings(&application(), "application", generation));
        resources.extend(bindings(&endpoint(), "endpoint", generation));
        resources
    }

    fn ask(about: v1::TargetRef, explain: v1::ExplainLevel) -> v1::CheckRequest {
        let mut request = question(about, "u");
        request.context.get_or_insert_default().client_ip = "10.0.0.1".into();
        request.explain = explain.into();
        request
    }

    /// What shows that the answer is not of one generation through and through, the one that is its revision.
    fn fault(answer: &v1::CheckResponse) -> Option<&'static str> {
        let generation = answer.revision;
        if answer.decision() != v1::Decision::Allow {
            return Some("decision");
        }
        if answer.messages != [format!("generation {generation}")] {
            return Some("message");
        }
        let explained = answer.explanation.iter().flat_map(|it| std::iter::once(it).chain(&it.parents));
        explained.into_iter().find_map(|explanation| fault_of(explanation, generation))
    }

    fn fault_of(explanation: &v1::Explanation, generation: u64) -> Option<&'static str> {
        if explanation.policy_engine_mode() != mode(generation) {
            return Some("mode");
        }
        if explanation.bindings.len() != usize::try_from(ROWS).unwrap() {
            return Some("number of bindings");
        }
        for (index, row) in (0..).zip(&explanation.bindings) {
            if row.order != number(generation) * ROWS + index {
                return Some("order of a binding");
            }
            if row.result != (index != 0 || generation.is_multiple_of(2)) {
                return Some("result of a binding");
            }
        }
        let name = format!("group/name/top {generation}");
        (explanation.bindings[1..3].iter().any(|row| row.subject != name)).then_some("name of a group")
    }

    fn examine(answer: &v1::CheckResponse) {
        let fault = fault(answer);
        assert!(fault.is_none(), "{}: {answer:?}", fault.unwrap_or_default());
    }

    /// What a reader does until the writer is done; says how often it asked.
    fn read(store: &Store, last: &AtomicU64) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let requests = [
            ask(application(), v1::ExplainLevel::Full),
            ask(endpoint(), v1::ExplainLevel::Full),
            ask(application(), v1::ExplainLevel::None),
            ask(endpoint(), v1::ExplainLevel::Reasons),
        ];
        let mut newest = 0;
        let mut rounds = 0;
        let mut kept: Option<Arc<Snapshot>> = None;
        loop {
            // Looked at first, so that the round after the writer's end is a whole one.
            let finished = last.load(Ordering::Acquire) == GENERATIONS;
            let snapshot = store.load();
            for request in &requests {
                let answer =
                    runtime.block_on(check(store, &Evaluators::default(), request.clone(), now())).unwrap();
                if request.explain() != v1::ExplainLevel::Reasons {
                    examine(&answer);
                }
                assert!(answer.revision >= newest, "revision {} after {newest}", answer.revision);
                newest = answer.revision;
            }
            // A snapshot stays what it was, however far the store has gone on; so does one that was kept for long.
            for snapshot in kept.iter().chain([&snapshot]) {
                for request in &requests[..2] {
                    let answer = runtime
                        .block_on(check_on(snapshot, &Evaluators::default(), request.clone(), now()))
                        .unwrap();
                    assert_eq!(answer.revision, snapshot.revision());
                    examine(&answer);
                }
            }
            if rounds % 64 == 0 {
                kept = Some(snapshot);
            }
            rounds += 1;
            if finished {
                assert_eq!(newest, GENERATIONS, "the last revision was not seen");
                return rounds;
            }
        }
    }

    #[test]
    fn no_answer_mixes_two_revisions() {
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(configuration(1))).unwrap();
        let last = AtomicU64::new(1);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(&store, &last))).collect();
            for generation in 2..=GENERATIONS {
                // A reader that found something out has ended.
                assert!(readers.iter().all(|reader| !reader.is_finished()), "a reader failed");
                let upserts = configuration(generation);
                let applied = apply(&store, Update::Delta { upserts, removals: Vec::new() }).unwrap();
                assert_eq!(applied.revision, generation);
                last.store(generation, Ordering::Release);
            }
            for reader in readers {
                assert!(reader.join().unwrap() > 0);
            }
        });
    }

    /// The test can see what it looks for: each part that is taken from the generation before shows, in one of three
    /// generations at least.
    #[test]
    fn a_part_of_another_generation_shows() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let parts = configuration(1).len();
        let mut unseen: Vec<usize> = (0..parts).collect();
        for generation in 6..9 {
            unseen.retain(|index| {
                let mut mixed = configuration(generation);
                mixed[*index] = configuration(generation - 1).swap_remove(*index);
                let store = Store::new(Settings::default());
                // What cannot even be configured, such as two groups of one name, cannot go unseen.
                if apply(&store, Update::Replace(mixed)).is_err() {
                    return false;
                }
                [application(), endpoint()].into_iter().all(|about| {
                    let request = ask(about, v1::ExplainLevel::Full);
                    let mut answer =
                        runtime.block_on(check(&store, &Evaluators::default(), request, now())).unwrap();
                    answer.revision = generation;
                    fault(&answer).is_none()
                })
            });
        }
        let unseen: Vec<_> = unseen.iter().map(|index| configuration(1).swap_remove(*index)).collect();
        assert!(unseen.is_empty(), "these may be of another generation and do not show: {unseen:?}");
    }

    #[test]
    fn a_generation_is_consistent_in_itself() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = Store::new(Settings::default());
        for generation in 1..=30 {
            apply(&store, Update::Replace(configuration(generation))).unwrap();
            for about in [application(), endpoint()] {
                let request = ask(about, v1::ExplainLevel::Full);
                examine(&runtime.block_on(check(&store, &Evaluators::default(), request, now())).unwrap());
            }
        }
        // Nobody else passes.
        let mut request = ask(application(), v1::ExplainLevel::None);
        request.subject = Some(v1::Subject { user_id: "somebody".into(), ..Default::default() });
        let answer = runtime.block_on(check(&store, &Evaluators::default(), request, now())).unwrap();
        assert_eq!(answer.decision(), v1::Decision::Deny);
    }
}
