//! Random configurations, random changes of them and random questions: every answer is the plain reference's.
//!
//! `PROPTEST_CASES` sets how many of them; a failure prints the smallest case that was found.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod generate;
    pub(crate) mod make;
    pub(crate) mod message;
    pub(crate) mod reference;
}

#[cfg(test)]
mod tests {
    use crate::support::generate::routes::requests;
    use crate::support::generate::{Edit, World, any_edit, any_question, any_timed_world, any_world};
    use crate::support::make::{NOW, moment, question, resource, target, user_id};
    use crate::support::message::{Message, agree};
    use crate::support::reference::{Outcome, Reference, Wrong, name_of, routes};
    use bindery::api::ask::{Failure, check, check_told};
    use bindery::decision::View as _;
    use bindery::evaluators::Evaluators;
    use bindery::model::{ResourceKind, ResourceName, Timestamp};
    use bindery::proto::resource::target_ref;
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::TestCaseError;

    /// As many cases as take some ten seconds; each asks hundreds of questions.
    fn config() -> ProptestConfig {
        let cases =
            if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 256 };
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Default::default() }
    }

    /// bindery and the reference side by side.
    struct Pair {
        store: Store,
        reference: Reference,
        runtime: tokio::runtime::Runtime,
    }

    impl Pair {
        fn new(default_empty_result: bool) -> Self {
            Self {
                store: Store::new(Settings { default_empty_result, ..Default::default() }),
                reference: Reference::new(default_empty_result),
                runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            }
        }

        fn apply(&mut self, update: Update) -> Result<(), TestCaseError> {
            let before = self.store.load().revision();
            let nothing = matches!(&update, Update::Delta { upserts, removals } if upserts.is_empty() && removals.is_empty());
            self.reference.apply(&update);
            let applied = apply(&self.store, update);
            let applied =
                applied.map_err(|problems| TestCaseError::fail(format!("refused: {problems:?}")))?;
            let after = self.store.load().revision();
            prop_assert_eq!(applied.revision, after);
            let changed = applied.upserted + applied.removed > 0;
            prop_assert_eq!(after, if changed || before == 0 { before + 1 } else { before });
            prop_assert!(!(nothing && changed), "an empty update changed {:?}", applied);
            self.compare_routes()
        }

        fn compare_routes(&self) -> Result<(), TestCaseError> {
            let snapshot = self.store.load();
            for (host, path, method) in requests() {
                let expected = self.reference.route((host, path, method));
                let found = snapshot.route(host, path, method);
                let context = || format!("{host} {path} {method}\nexpected {expected:?}\nfound    {found:?}");
                let (Some(route), Some(found)) = (expected, found) else {
                    prop_assert!(expected.is_none() && found.is_none(), "{}", context());
                    continue;
                };
                prop_assert_eq!(found.id.to_string(), routes::id_of(route), "{}", context());
                prop_assert_eq!(Some(target_ref(found.target)), route.target.clone(), "{}", context());
                prop_assert_eq!(found.anonymous, route.anonymous, "{}", context());
                prop_assert_eq!(snapshot.find(found.target).ok(), found.key, "{}", context());
                prop_assert!(found.key.is_some(), "{}", context());
            }
            Ok(())
        }

        fn ask(&self, request: &v1::CheckRequest) -> Result<v1::CheckResponse, Failure> {
            // Questions name their moment; one that were decided for this would stand out.
            let now = Timestamp::new(NOW - 1_000_000, 0);
            self.runtime.block_on(check(&self.store, &Evaluators::default(), request.clone(), now))
        }

        /// Asks in every way in which messages and explanations differ.
        fn compare(&self, request: &v1::CheckRequest) -> Result<(), TestCaseError> {
            use v1::ExplainLevel as E;
            let expected = self.reference.check(request);
            let ways = [
                (true, E::Unspecified),
                (false, E::None),
                (false, E::Reasons),
                (true, E::Full),
                (false, E::Full),
            ];
            for (full_evaluation, explain) in ways {
                let request =
                    v1::CheckRequest { full_evaluation, explain: explain.into(), ..request.clone() };
                let found = self.ask(&request);
                let context = || format!("{request:?}\nexpected {expected:?}\nfound    {found:?}");
                // A trace and a log change nothing; only a full explanation measures, never twice the same.
                if explain != E::Full {
                    let now = Timestamp::new(NOW - 1_000_000, 0);
                    let evaluators = Evaluators::default();
                    let told = check_told(&self.store, &evaluators, request.clone(), now);
                    prop_assert_eq!(&self.runtime.block_on(told), &found, "{}", context());
                }
                match (&expected, &found) {
                    (Ok(expected), Ok(found)) => {
                        let differs = self.difference(&request, expected, found);
                        prop_assert!(differs.is_none(), "{}: {}", differs.unwrap_or_default(), context());
                    }
                    (Err(Wrong::NotFound), Err(failure)) => {
                        prop_assert_eq!(failure.code, tonic::Code::NotFound, "{}", context());
                    }
                    (Err(Wrong::OtherApplication), Err(failure)) => {
                        let known = [tonic::Code::InvalidArgument, tonic::Code::NotFound];
                        prop_assert!(known.contains(&failure.code), "{}", context());
                    }
                    _ => prop_assert!(false, "{}", context()),
                }
            }
            Ok(())
        }

        fn difference(
            &self,
            request: &v1::CheckRequest,
            expected: &Outcome,
            found: &v1::CheckResponse,
        ) -> Option<&'static str> {
            let decision = if expected.passing { v1::Decision::Allow } else { v1::Decision::Deny };
            if found.decision() != decision {
                return Some("decision");
            }
            if found.revision != self.store.load().revision() || found.stale {
                return Some("revision");
            }
            let full = request.full_evaluation || request.explain() == v1::ExplainLevel::Full;
            let messages = Message::texts(&found.messages);
            let agrees = if full || !expected.may_stop_early {
                agree(&expected.messages, &messages)
            } else {
                is_part(&expected.messages, &messages)
            };
            if !agrees {
                return Some("messages");
            }
            let explains =
                !matches!(request.explain(), v1::ExplainLevel::Unspecified | v1::ExplainLevel::None);
            match &found.explanation {
                None => explains.then_some("no explanation"),
                Some(_) if !explains => Some("an explanation"),
                Some(explanation) => self.difference_in_explanation(request, expected, decision, explanation),
            }
        }

        fn difference_in_explanation(
            &self,
            request: &v1::CheckRequest,
            expected: &Outcome,
            decision: v1::Decision,
            explanation: &v1::Explanation,
        ) -> Option<&'static str> {
            if explanation.decision() != decision || explanation.reason() != expected.reason {
                return Some("decision or reason of the explanation");
            }
            if explanation.subject_known != expected.known || explanation.summary.is_empty() {
                return Some("subject or summary of the explanation");
            }
            let own = matches!(expected.reason, v1::Reason::Bindings | v1::Reason::NoBindings);
            if !own || request.explain() != v1::ExplainLevel::Full {
                return None;
            }
            let target = self.reference.find(request.target.as_ref().unwrap()).unwrap();
            let rows = self.reference.bindings(&target);
            let ids = rows.iter().map(|row| &row.id);
            if !ids.eq(explanation.bindings.iter().map(|row| &row.binding_id)) {
                return Some("bindings of the explanation");
            }
            let odd = |(row, found): (&&v1::PolicyBinding, &v1::BindingExplanation)| {
                let disabled = row.enabled == Some(false);
                disabled != (found.skipped() == v1::SkipReason::Disabled)
                    || found.skipped() == v1::SkipReason::Decided
                    || found.dry_run != row.dry_run
            };
            rows.iter().zip(&explanation.bindings).any(odd).then_some("a binding of the explanation")
        }
    }

    /// Whether the messages are some of the expected ones, in their order.
    fn is_part(expected: &[Message], messages: &[Message]) -> bool {
        let mut expected = expected.iter();
        messages.iter().all(|message| {
            expected.any(|wanted| agree(std::slice::from_ref(wanted), std::slice::from_ref(message)))
        })
    }

    /// The update from one configuration to the next.
    fn update(old: &[v1::Resource], new: &[v1::Resource], how: How) -> Update {
        let mut resources = new.to_vec();
        if how.backwards {
            resources.reverse();
        }
        if how.replace {
            return Update::Replace(resources);
        }
        let names: Vec<ResourceName> = new.iter().map(name_of).collect();
        let mut removals: Vec<ResourceName> = old.iter().map(name_of).collect();
        removals.retain(|name| !names.contains(name));
        if how.backwards {
            // One that is not there may be removed as well.
            removals.push(ResourceName { kind: ResourceKind::User, id: "never-there".into() });
        }
        resources.retain(|resource| !old.contains(resource));
        Update::Delta { upserts: resources, removals }
    }

    /// How a change is sent.
    #[derive(Clone, Copy, Debug)]
    struct How {
        replace: bool,
        backwards: bool,
    }

    fn any_how() -> impl Strategy<Value = How> {
        (prop::bool::weighted(0.25), any::<bool>())
            .prop_map(|(replace, backwards)| How { replace, backwards })
    }

    fn edited(world: &World, edits: Vec<Edit>) -> World {
        let mut world = world.clone();
        for edit in edits {
            world.edit(edit);
        }
        world
    }

    proptest! {
        #![proptest_config(config())]

        /// However a configuration came about, it decides as the reference does.
        #[test]
        fn every_answer_is_the_references(
            default_empty_result in any::<bool>(),
            first in prop_oneof![3 => any_world(), 1 => any_timed_world()],
            changes in vec((vec(any_edit(), 0..6), any_how()), 0..6),
            questions in vec(any_question(), 12),
        ) {
            let mut pair = Pair::new(default_empty_result);
            let mut world = first;
            pair.apply(Update::Replace(world.resources()))?;
            for asked in &questions {
                pair.compare(&world.question(asked))?;
            }
            for (edits, how) in changes {
                let next = edited(&world, edits);
                pair.apply(update(&world.resources(), &next.resources(), how))?;
                world = next;
                for asked in &questions {
                    pair.compare(&world.question(asked))?;
                }
            }
        }

        /// Until the moment that an answer names, or for ever when it names none, the same question gets the same
        /// decision, as long as the configuration stays.
        #[test]
        fn answers_hold_for_as_long_as_they_say(
            default_empty_result in any::<bool>(),
            world in prop_oneof![any_world(), any_timed_world()],
            questions in vec(any_question(), 16),
            full_evaluation in any::<bool>(),
        ) {
            let mut pair = Pair::new(default_empty_result);
            pair.apply(Update::Replace(world.resources()))?;
            let mut moments = world.moments();
            moments.extend([NOW + 1, NOW + 3_600, NOW + 10_000_000]);
            moments.sort_unstable();
            moments.dedup();
            for asked in &questions {
                let mut request = world.question(asked);
                request.full_evaluation = full_evaluation;
                let Ok(answer) = pair.ask(&request) else { continue };
                let context = request.context.clone().unwrap_or_default();
                let given = context.reputation.iter().flat_map(|rows| &rows.scores);
                let given = given.filter_map(|row| Some(row.expires?.seconds));
                let asked_at = nanoseconds(context.time.unwrap_or_default());
                let until = answer.valid_until.map(nanoseconds);
                prop_assert!(until.is_none_or(|until| until > asked_at), "{:?} of {:?}", answer, request);
                for second in moments.iter().copied().chain(given) {
                    for nanosecond in [-1, 0, 1] {
                        let at = second * 1_000_000_000 + nanosecond;
                        if at <= asked_at || until.is_some_and(|until| at >= until) {
                            continue;
                        }
                        let mut later = request.clone();
                        later.context.get_or_insert_default().time = Some(timestamp(at));
                        let found = pair.ask(&later).map(|answer| answer.decision);
                        prop_assert_eq!(found, Ok(answer.decision), "{:?}\n{:?}\nat {}", request, answer, at);
                    }
                }
            }
        }
    }

    fn nanoseconds(moment: prost_types::Timestamp) -> i64 {
        moment.seconds * 1_000_000_000 + i64::from(moment.nanos)
    }

    fn timestamp(nanoseconds: i64) -> prost_types::Timestamp {
        let nanos = nanoseconds.rem_euclid(1_000_000_000).try_into().unwrap();
        prost_types::Timestamp { seconds: nanoseconds.div_euclid(1_000_000_000), nanos }
    }

    /// The reference applies changes as it is told: a delta leads to the same configuration as a replacement.
    #[test]
    fn the_reference_takes_deltas() {
        let mut runner = proptest::test_runner::TestRunner::new(config());
        let cases = (any_world(), vec(any_edit(), 0..8));
        let outcome = runner.run(&cases, |(world, edits)| {
            let (old, new) = (world.resources(), edited(&world, edits).resources());
            let mut reference = Reference::new(true);
            reference.apply(&Update::Replace(old.clone()));
            reference.apply(&update(&old, &new, How { replace: false, backwards: true }));
            prop_assert_eq!(reference.resources.len(), new.len());
            prop_assert!(new.iter().all(|resource| reference.resources.contains(resource)));
            Ok(())
        });
        outcome.unwrap();
    }

    /// What may be bound to one target: up to two bindings that pass or fail, for ever or up to a moment.
    fn few_rows() -> Vec<Vec<(bool, Option<i64>)>> {
        let one: Vec<(bool, Option<i64>)> = [true, false]
            .into_iter()
            .flat_map(|passing| [None, Some(NOW + 10), Some(NOW + 20)].map(|expires| (passing, expires)))
            .collect();
        let mut all = vec![Vec::new()];
        for (index, first) in one.iter().enumerate() {
            all.push(vec![*first]);
            all.extend(one[index + 1..].iter().map(|second| vec![*first, *second]));
        }
        all
    }

    fn rows(bound_to: &v1::TargetRef, prefix: &str, rows: &[(bool, Option<i64>)]) -> Vec<v1::Resource> {
        let row = |(index, (passing, expires)): (usize, &(bool, Option<i64>))| {
            resource(R::PolicyBinding(v1::PolicyBinding {
                id: format!("{prefix}{index}"),
                target: Some(bound_to.clone()),
                user: Some(user_id(if *passing { "u" } else { "somebody else" })),
                expires: expires.map(moment),
                ..Default::default()
            }))
        };
        rows.iter().enumerate().map(row).collect()
    }

    /// Every small case of a target that leans on another, with bindings of both that expire: the answers are the
    /// reference's, and hold for as long as they say.
    fn every_small_case(
        own_ref: &v1::TargetRef,
        other_ref: &v1::TargetRef,
        own: impl Fn(i32, bool) -> R,
        other: impl Fn(i32, bool) -> R,
    ) {
        use v1::PolicyEngineMode as M;
        let mut pair = Pair::new(true);
        let few = few_rows();
        for case in 0..few.len() * few.len() * 16 {
            let (own_rows, other_rows) = (&few[case / 16 % few.len()], &few[case / 16 / few.len()]);
            let bit = |bit: usize| case >> bit & 1 == 1;
            let mode = |all| i32::from(if all { M::All } else { M::Any });
            let mut resources =
                vec![resource(own(mode(bit(0)), bit(1))), resource(other(mode(bit(2)), bit(3)))];
            resources.extend(rows(own_ref, "own-", own_rows));
            resources.extend(rows(other_ref, "other-", other_rows));
            pair.apply(Update::Replace(resources)).unwrap();
            let mut said: Option<(i32, Option<i64>)> = None;
            for at in [NOW, NOW + 10, NOW + 20, NOW + 1_000] {
                let mut request = question(own_ref.clone(), "u");
                request.context.get_or_insert_default().time = Some(moment(at));
                request.full_evaluation = false;
                let expected = pair.reference.check(&request).unwrap();
                let found = pair.ask(&request).unwrap();
                let about = || {
                    format!("own {own_rows:?}, other {other_rows:?}, {:04b} at {at}: {found:?}", case % 16)
                };
                assert_eq!(found.decision() == v1::Decision::Allow, expected.passing, "{}", about());
                if let Some((decision, until)) = said {
                    let holds = until.is_none_or(|until| at < until);
                    assert!(!holds || found.decision == decision, "{} after {said:?}", about());
                }
                said = Some((found.decision, found.valid_until.map(|until| until.seconds)));
            }
        }
    }

    #[test]
    fn every_small_device_holds_for_as_long_as_it_says() {
        every_small_case(
            &target(T::Device("d".into())),
            &target(T::DeviceAccessGroup("g".into())),
            |policy_engine_mode, empty_result| {
                R::Device(v1::Device {
                    id: "d".into(),
                    access_group: "g".into(),
                    policy_engine_mode,
                    empty_result: Some(empty_result),
                    ..Default::default()
                })
            },
            |policy_engine_mode, empty_result| {
                R::DeviceAccessGroup(v1::DeviceAccessGroup {
                    name: "g".into(),
                    policy_engine_mode,
                    empty_result: Some(empty_result),
                    ..Default::default()
                })
            },
        );
    }

    #[test]
    fn every_small_endpoint_holds_for_as_long_as_it_says() {
        every_small_case(
            &target(T::RacEndpoint(v1::RacEndpointRef { id: "e".into(), ..Default::default() })),
            &target(T::Application("a".into())),
            |policy_engine_mode, empty_result| {
                R::RacEndpoint(v1::RacEndpoint {
                    id: "e".into(),
                    application: "a".into(),
                    policy_engine_mode,
                    empty_result: Some(empty_result),
                    ..Default::default()
                })
            },
            |policy_engine_mode, empty_result| {
                R::Application(v1::Application {
                    slug: "a".into(),
                    policy_engine_mode,
                    empty_result: Some(empty_result),
                    ..Default::default()
                })
            },
        );
    }

    /// A binding may move away from a target that goes with the same update.
    #[test]
    fn a_binding_may_leave_a_target_that_goes() {
        let endpoint =
            |id: &str| resource(R::RacEndpoint(v1::RacEndpoint { id: id.into(), ..Default::default() }));
        let reference =
            |id: &str| target(T::RacEndpoint(v1::RacEndpointRef { id: id.into(), ..Default::default() }));
        let configuration = |id: &str| {
            let mut resources = rows(&reference(id), "row-", &[(false, None)]);
            resources.push(endpoint(id));
            resources
        };
        let (old, new) = (configuration("old"), configuration("new"));
        for replace in [false, true] {
            let mut pair = Pair::new(true);
            pair.apply(Update::Replace(old.clone())).unwrap();
            pair.apply(update(&old, &new, How { replace, backwards: false })).unwrap();
            pair.compare(&question(reference("old"), "u")).unwrap();
            pair.compare(&question(reference("new"), "u")).unwrap();
        }
    }
}
