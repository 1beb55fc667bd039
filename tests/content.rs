//! What a store holds is what was sent to it, byte for byte, however it came there: the sum is kept up, the whole is
//! handed on, and a store that gets it all at once answers the same.

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
    use crate::support::generate::{World, any_edit, any_question, any_timed_world, any_world};
    use crate::support::make::NOW;
    use crate::support::reference::name_of;
    use bindery::api::ask::check;
    use bindery::evaluators::Evaluators;
    use bindery::model::{ResourceName, Timestamp, Version};
    use bindery::proto::resource::hash;
    use bindery::proto::v1;
    use bindery::store::{Replace, Settings, Store};
    use bindery::sync::apply::{Sent, apply_sent};
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message as _;
    use std::collections::HashMap;

    type Held = HashMap<ResourceName, Bytes>;

    fn config() -> ProptestConfig {
        let cases =
            if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 128 };
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 5_000, ..Default::default() }
    }

    /// A field of a newer schema, number 1000: the number 1.
    const UNKNOWN: [u8; 3] = [0xC0, 0x3E, 0x01];

    /// Resources as publishers may write them; `spelled` says of which kinds of writing some are.
    fn serialized(world: &World, spelled: u64) -> Held {
        let one = |resource: v1::Resource| {
            let name = name_of(&resource);
            let mut bytes = resource.encode_to_vec();
            let dice = hash(name.id.as_bytes()) as u64 ^ spelled;
            if dice.is_multiple_of(5) {
                bytes.extend(UNKNOWN);
            } else if dice.is_multiple_of(7) {
                let mut twice = resource.clone();
                if let Some(v1::resource::Resource::PolicyBinding(binding)) = &mut twice.resource {
                    binding.enabled.get_or_insert(true);
                }
                bytes = twice.encode_to_vec();
            }
            (name, Bytes::from(bytes))
        };
        world.resources().into_iter().map(one).collect()
    }

    fn change(old: &Held, new: &Held, replace: bool, version: Version) -> Sent {
        let removals = old.keys().filter(|name| !new.contains_key(*name) && !replace).cloned().collect();
        let differs = |(name, bytes): &(&ResourceName, &Bytes)| replace || old.get(*name) != Some(*bytes);
        Sent {
            upserts: new.iter().filter(differs).map(|(_, bytes)| bytes.clone()).collect(),
            removals,
            replace: if replace { Replace::All } else { Replace::Nothing },
            version: Some(version),
            expected: Some(total(new)),
        }
    }

    fn total(held: &Held) -> u128 {
        held.values().fold(0, |sum, bytes| sum.wrapping_add(hash(bytes)))
    }

    fn sorted(held: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = held.collect();
        all.sort_unstable();
        all
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_store_holds_what_was_sent_however_it_came(
            first in prop_oneof![3 => any_world(), 1 => any_timed_world()],
            changes in vec(
                (
                    // Now and then all is different, under names and ids of which many are the same.
                    prop::option::weighted(0.2, any_world()),
                    vec(any_edit(), 0..6),
                    prop::bool::weighted(0.25),
                    any::<u64>(),
                ),
                0..6,
            ),
            questions in vec(any_question(), 6),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let store = Store::new(Settings::default());
            let (mut world, mut held) = (first, Held::new());
            let mut steps = vec![(None, Vec::new(), true, 0)];
            steps.extend(changes);
            for (revision, (other, edits, replace, spelled)) in (1..).zip(steps) {
                world = other.unwrap_or(world);
                edits.into_iter().for_each(|edit| world.edit(edit));
                let next = serialized(&world, spelled);
                let version = Version { epoch: 7, revision };
                let before: Held = held.clone();
                let sent = change(&held, &next, replace, version);
                let (_, difference) =
                    apply_sent(&store, sent).map_err(|wrong| TestCaseError::fail(format!("{wrong:?}")))?;
                // What it came down to leads from what was there to what is there now.
                let mut led = before;
                difference.went.iter().for_each(|name| { led.remove(name); });
                led.extend(difference.came);
                // Of the first, everything came, and that is not told.
                prop_assert!(revision == 1 || led == next);
                held = next;
                let snapshot = store.load();
                prop_assert_eq!(snapshot.version(), version);
                prop_assert_eq!(snapshot.digest(), &snapshot.recount());
                prop_assert_eq!(snapshot.digest().total(), total(&held));
                prop_assert_eq!(snapshot.digest().count(), held.len() as u64);
                let handed_on = sorted(snapshot.resources().map(|(_, bytes)| bytes));
                prop_assert_eq!(handed_on, sorted(held.values().map(|bytes| bytes.to_vec())));
            }
            let other = Store::new(Settings::default());
            let upserts = store.load().resources().map(|(_, bytes)| bytes.into()).collect();
            let whole = Sent { upserts, replace: Replace::All, version: Some(store.load().version()), ..Sent::default() };
            apply_sent(&other, whole).map_err(|wrong| TestCaseError::fail(format!("{wrong:?}")))?;
            for asked in &questions {
                let request = v1::CheckRequest { full_evaluation: true, ..world.question(asked) };
                let ask = |store: &Store| {
                    let now = Timestamp::new(NOW, 0);
                    runtime.block_on(check(store, &Evaluators::default(), request.clone(), now))
                };
                prop_assert_eq!(ask(&store), ask(&other), "{:?}", request);
            }
        }

        /// What is at home here is handed on in the plain form, which leads to the same.
        #[test]
        fn the_plain_form_leads_to_the_same(world in prop_oneof![any_world(), any_timed_world()]) {
            use bindery::sync::apply::{Update, apply};
            let store = Store::new(Settings::default());
            apply(&store, Update::Replace(world.resources())).unwrap();
            let plain = || store.load().resources().map(|(_, bytes)| Bytes::from(bytes)).collect::<Vec<_>>();
            let other = Store::new(Settings::default());
            apply_sent(&other, Sent { upserts: plain(), replace: Replace::All, ..Sent::default() }).unwrap();
            prop_assert_eq!(*store.load().digest(), *other.load().digest());
            // And onto itself it changes nothing.
            let (applied, difference) =
                apply_sent(&store, Sent { upserts: plain(), replace: Replace::All, ..Sent::default() }).unwrap();
            prop_assert_eq!((applied.upserted, applied.removed), (0, 0));
            prop_assert_eq!(difference, bindery::store::Difference::default());
        }
    }

    #[test]
    fn a_change_that_sums_up_to_something_else_changes_nothing() {
        let store = Store::new(Settings::default());
        let user = v1::User { username: "ada".into(), ..Default::default() };
        let user = v1::Resource { resource: Some(v1::resource::Resource::User(user)) }.encode_to_vec();
        let sent =
            |bytes: Vec<u8>, expected| Sent { upserts: vec![bytes.into()], expected, ..Sent::default() };
        apply_sent(&store, sent(user.clone(), Some(hash(&user)))).unwrap();
        // One bit on the way, which is still a resource.
        let mut flipped = user.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let problems = apply_sent(&store, sent(flipped, Some(hash(&user)))).unwrap_err();
        assert_eq!(problems[0].field, bindery::store::DIGEST);
        assert_eq!(store.load().digest().total(), hash(&user));
    }
}
