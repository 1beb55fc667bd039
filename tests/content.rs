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
    use crate::support::generate::routes::requests;
    use crate::support::generate::{World, any_edit, any_question, any_timed_world, any_world};
    use crate::support::make::NOW;
    use crate::support::reference::name_of;
    use bindery::api::ask::check;
    use bindery::evaluators::Evaluators;
    use bindery::model::{ResourceName, Timestamp, Version};
    use bindery::proto::resource::hash;
    use bindery::proto::v1;
    use bindery::store::{Replace, Settings, Snapshot, Store};
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
            ..Sent::default()
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
            let (one, other) = (store.load(), other.load());
            for (host, path, method) in requests() {
                let found = |snapshot: &Snapshot| {
                    let found = snapshot.route(host, path, method);
                    found.map(|it| (it.id.clone(), it.target.clone(), it.anonymous))
                };
                prop_assert_eq!(found(&one), found(&other), "{} {} {}", host, path, method);
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

    /// Writes the seeds of the fuzz targets that read messages and last-good files.
    #[test]
    #[ignore = "writes into the tree"]
    fn seeds_for_the_fuzzers() {
        use bindery::sync::last_good::LastGood;
        use bindery::sync::ledger::Ledger;
        use proptest::strategy::ValueTree as _;
        use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
        use std::sync::Arc;

        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let folder = tempfile::tempdir().unwrap();
        for target in ["last_good", "sync_messages"] {
            std::fs::create_dir_all(seeds.join(target)).unwrap();
        }
        for number in 0..6_u8 {
            let path = folder.path().join(number.to_string());
            let (disk, store, _) = LastGood::open(&path, Settings::default()).unwrap();
            let ledger = Ledger::new(Arc::new(store)).with_disk(Box::new(disk));
            let mut world = any_world().new_tree(&mut runner).unwrap().current();
            let mut held = Held::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for revision in 1..4 {
                let next = serialized(&world, u64::from(number));
                let sent = change(&held, &next, revision == 1, Version { epoch: 7, revision });
                let mut committed = ledger.commit(sent, false).unwrap();
                runtime.block_on(committed.safe()).unwrap();
                held = next;
                for _ in 0..3 {
                    world.edit(any_edit().new_tree(&mut runner).unwrap().current());
                }
            }
            drop(ledger);
            let file = std::fs::read(&path).unwrap();
            std::fs::write(seeds.join("last_good").join(format!("{number}")), &file).unwrap();
            // The same messages, each after its length, as a source says them.
            let mut messages = vec![number & 2];
            let mut rest = &file[16..];
            while let Some((head, tail)) = rest.split_first_chunk::<8>() {
                let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
                prost::encoding::encode_varint(length as u64, &mut messages);
                messages.extend(&tail[..length]);
                rest = &tail[length..];
            }
            std::fs::write(seeds.join("sync_messages").join(format!("source-{number}")), &messages).unwrap();
            // What a sink says, upon what the first half holds.
            let mut messages = vec![1 | (number & 2) | 4];
            for resource in world.resources().iter().take(12) {
                messages.extend(resource.encode_length_delimited_to_vec());
            }
            let at = Some(v1::Version { epoch: 7, revision: u64::from(number) });
            let digest = Some(v1::Digest { total: vec![number; 16], ..Default::default() });
            for message in [
                v1::sink_message::Message::Ack(v1::Ack { version: at, digest: digest.clone() }),
                v1::sink_message::Message::Nack(v1::Nack {
                    version: at,
                    in_force: at,
                    reason: i32::from(number),
                    ..Default::default()
                }),
                v1::sink_message::Message::Resync(v1::Resync {
                    version: at,
                    digest: digest.clone(),
                    reason: "x".into(),
                }),
                v1::sink_message::Message::Heartbeat(v1::SinkHeartbeat { version: at, digest, now: None }),
                v1::sink_message::Message::Subscribe(v1::Subscribe {
                    subscription: 1,
                    targets: vec![v1::TargetRef {
                        target: Some(v1::target_ref::Target::Application("target-0-b".into())),
                    }],
                    ..Default::default()
                }),
            ] {
                messages.extend(v1::SinkMessage { message: Some(message) }.encode_length_delimited_to_vec());
            }
            std::fs::write(seeds.join("sync_messages").join(format!("sink-{number}")), &messages).unwrap();
        }
    }
}
