//! What is remembered, for whom it is enough, and who may publish.

use super::super::sample::{
    EPOCH, application, application_named, at, binding, bytes, empty, group, holding, replace, route,
    upserts, user, user_named,
};
use super::*;
use crate::model::{ResourceKind, Sum};
use crate::store::Replace;

fn total(ledger: &Ledger) -> u128 {
    ledger.snapshot().digest().total()
}

fn add(ledger: &Ledger, name: &str) -> Committed {
    ledger.update(upserts(vec![user(name, &[])])).unwrap()
}

fn change(since: Since) -> Recorded {
    match since {
        Since::Change(change) => change,
        other => panic!("{other:?}"),
    }
}

fn came(change: &Recorded) -> Vec<String> {
    let mut names: Vec<_> = change.difference.came.iter().map(|(name, _)| name.id.to_string()).collect();
    names.sort();
    names
}

#[test]
fn an_empty_ledger_gives_nothing_and_a_first_configuration_goes_whole() {
    let ledger = empty();
    assert!(matches!(ledger.since(Version::default(), None), Since::Nothing));
    assert!(matches!(ledger.since(at(9), Some(4)), Since::Nothing));
    replace(&ledger, &[user("ada", &[])], at(1));
    for held in [Version::default(), at(0), Version { epoch: 9, revision: 1 }] {
        assert!(matches!(ledger.since(held, None), Since::Everything(_)), "{held}");
    }
    assert!(matches!(ledger.since(at(1), None), Since::Nothing));
    assert!(matches!(ledger.since(at(1), Some(total(&ledger))), Since::Nothing));
    assert!(matches!(ledger.since(at(1), Some(5)), Since::Everything(_)));
    assert_eq!(*ledger.newest().borrow(), at(1));
}

#[test]
fn without_followers_nothing_is_remembered() {
    let ledger = Arc::into_inner(holding(&[user("ada", &[])])).unwrap().without_history();
    add(&ledger, "bob");
    let before = ledger.snapshot().version();
    add(&ledger, "cyd");
    // One who asks all the same gets everything.
    assert!(matches!(ledger.since(before, None), Since::Everything(_)));
    assert!(matches!(ledger.since(ledger.snapshot().version(), None), Since::Nothing));
}

#[test]
fn several_changes_go_as_one() {
    let ledger = holding(&[user("ada", &[])]);
    let first = total(&ledger);
    add(&ledger, "bob");
    add(&ledger, "cyd");
    let removals = vec![user_named("bob"), user_named("ada")];
    ledger.update(Update::Delta { upserts: vec![user("dan", &[])], removals }).unwrap();
    let all = change(ledger.since(at(1), Some(first)));
    assert_eq!((all.base, all.version, all.total), (at(1), at(4), total(&ledger)));
    assert_eq!(came(&all), ["cyd", "dan"]);
    assert_eq!(all.difference.went.len(), 2);
    assert!(all.revokes);
    let last = change(ledger.since(at(3), None));
    assert_eq!((last.base, came(&last)), (at(3), vec!["dan".to_owned()]));
    let step = change(ledger.since(at(2), None));
    assert_eq!((step.base, came(&step)), (at(2), vec!["cyd".to_owned(), "dan".to_owned()]));
}

/// A change leads from what is told to be held; upon something else it would leave what is wrong with that.
#[test]
fn a_change_is_no_help_to_one_who_holds_something_else() {
    let ledger = holding(&[user("ada", &[])]);
    let first = total(&ledger);
    add(&ledger, "bob");
    let second = total(&ledger);
    add(&ledger, "cyd");
    for (held, real) in [(at(1), first), (at(2), second)] {
        assert!(matches!(ledger.since(held, Some(real)), Since::Change(_)));
        assert!(matches!(ledger.since(held, Some(real ^ 1)), Since::Everything(_)));
        assert!(matches!(ledger.since(held, None), Since::Change(_)));
    }
}

#[test]
fn one_who_is_ahead_gets_nothing_until_it_is_caught_up_with() {
    let ledger = holding(&[user("ada", &[])]);
    assert!(matches!(ledger.since(at(2), Some(99)), Since::Nothing));
    add(&ledger, "bob");
    add(&ledger, "cyd");
    assert_eq!(change(ledger.since(at(2), None)).version, at(3));
}

#[test]
fn the_same_content_of_another_epoch_is_adopted() {
    let ledger = holding(&[user("ada", &[])]);
    let other = Version { epoch: 9, revision: 40 };
    let adopted = change(ledger.since(other, Some(total(&ledger))));
    assert_eq!((adopted.base, adopted.version), (other, at(1)));
    assert_eq!(*adopted.difference, Difference::default());
    assert!(matches!(ledger.since(other, Some(3)), Since::Everything(_)));
    assert!(matches!(ledger.since(other, None), Since::Everything(_)));
    // It is a change like any other where it arrives, so that it is handed on.
    let hub = empty();
    replace(&hub, &[user("ada", &[])], other);
    let (version, expected) = (Some(at(1)), Some(total(&ledger)));
    hub.commit(Sent { version, expected, ..Sent::default() }, false).unwrap();
    assert_eq!(hub.store().load().version(), at(1));
    assert_eq!(change(hub.since(other, Some(total(&hub)))).version, at(1));
}

#[test]
fn a_history_has_an_end() {
    let ledger = holding(&[user("ada", &[])]);
    let first = total(&ledger);
    for number in 0..=MAX_CHANGES {
        ledger.update(upserts(vec![user("bob", &[if number % 2 == 0 { "a" } else { "b" }])])).unwrap();
    }
    assert!(matches!(ledger.since(at(1), Some(first)), Since::Everything(_)));
    let all = change(ledger.since(at(2), None));
    assert_eq!((all.version.revision, came(&all)), (MAX_CHANGES as u64 + 2, vec!["bob".to_owned()]));
    // What the first that is left stands on is known still.
    assert!(matches!(ledger.since(at(2), Some(first)), Since::Everything(_)));
    // A field of a newer schema may have any size.
    for fill in [b'a', b'b', b'c', b'd'] {
        let size = 20 << 20;
        let mut large = bytes(&[user("big", &[])])[0].to_vec();
        large.extend([0xC2, 0x3E]);
        prost::encoding::encode_varint(size as u64, &mut large);
        large.extend(vec![fill; size]);
        let version = Some(at(ledger.snapshot().version().revision + 1));
        ledger.commit(Sent { upserts: vec![large.into()], version, ..Sent::default() }, false).unwrap();
    }
    let newest = ledger.snapshot().version().revision;
    assert!(matches!(ledger.since(at(newest - 4), None), Since::Everything(_)));
    assert!(matches!(ledger.since(at(newest - 3), None), Since::Change(_)));
    assert!(lock(&ledger.history).bytes <= MAX_BYTES);
}

#[test]
fn what_changes_nothing_is_not_told_and_what_is_wrong_neither() {
    let ledger = holding(&[application("wiki"), binding("wiki", "staff")]);
    let mut newest = ledger.newest();
    newest.mark_unchanged();
    ledger.update(upserts(vec![application("wiki")])).unwrap();
    let wrong = Update::Delta { upserts: Vec::new(), removals: vec![application_named("wiki")] };
    assert_eq!(ledger.update(wrong).unwrap_err().len(), 1);
    assert!(!newest.has_changed().unwrap());
    assert_eq!(ledger.snapshot().version(), at(1));
}

#[test]
fn revocations_are_found_with_what_they_stand_on() {
    let ledger = holding(&[user("ada", &["staff"])]);
    assert!(ledger.revocations_since(at(1)).is_none());
    add(&ledger, "bob");
    assert!(ledger.revocations_since(at(1)).is_none(), "somebody new loses nothing");
    ledger.update(upserts(vec![user("ada", &[])])).unwrap();
    add(&ledger, "cyd");
    let urgent = ledger.revocations_since(at(1)).unwrap();
    assert_eq!((urgent.base, urgent.version, urgent.revokes), (at(1), at(3), true));
    assert_eq!(came(&urgent), ["ada", "bob"]);
    assert!(ledger.revocations_since(at(3)).is_none());
    assert!(ledger.revocations_since(at(17)).is_none());
}

#[test]
fn anything_but_what_is_new_may_take_access_away() {
    let ledger = holding(&[user("ada", &[]), group("staff"), application("wiki"), binding("wiki", "staff")]);
    let revokes = |update: Update| {
        let held = ledger.snapshot().version();
        ledger.update(update).unwrap();
        change(ledger.since(held, None)).revokes
    };
    assert!(!revokes(upserts(vec![user("bob", &[]), group("other"), application("other")])));
    assert!(revokes(upserts(vec![user("bob", &["staff"])])));
    assert!(revokes(upserts(vec![binding("other", "staff")])));
    // Another route may have led somewhere else before, or be in front of one.
    assert!(revokes(upserts(vec![route("a", "other")])));
    assert!(revokes(Update::Delta { upserts: Vec::new(), removals: vec![user_named("bob")] }));
}

/// What is taken away ahead is not in what followers hold, so the change that brings it has to tell it.
#[test]
fn what_was_taken_away_ahead_is_told_with_its_change() {
    let ledger = holding(&[user("ada", &["staff", "ops"]), user("bob", &["ops"])]);
    let follower = holding(&[user("ada", &["staff", "ops"]), user("bob", &["ops"])]);
    let later = Sent {
        upserts: bytes(&[user("ada", &["staff"])]),
        removals: vec![user_named("bob")],
        version: Some(at(2)),
        ..Sent::default()
    };
    ledger.take_away(&later).unwrap();
    let held = ledger.store().load();
    assert_eq!(held.version(), at(1));
    assert_eq!(held.user_named("ada").unwrap().groups.len(), 1);
    assert!(held.user_named("bob").unwrap().groups.is_empty());
    assert_eq!(ledger.snapshot().user_named("ada").unwrap().groups.len(), 2, "followers hear of it later");
    ledger.commit(later, true).unwrap();
    let told = change(ledger.since(at(1), Some(total(&follower))));
    assert_eq!(came(&told), ["ada"]);
    assert_eq!(told.difference.went, [user_named("bob")]);
    let sent = Sent {
        upserts: told.difference.came.iter().map(|(_, bytes)| bytes.clone()).collect(),
        removals: told.difference.went.clone(),
        version: Some(told.version),
        expected: Some(told.total),
        ..Sent::default()
    };
    follower.commit(sent, true).unwrap();
    assert_eq!(follower.store().load().digest(), ledger.store().load().digest());
}

/// What was taken away for a change that never came is given back with everything.
#[test]
fn what_was_taken_away_for_nothing_comes_back() {
    let resources = [user("ada", &["staff"])];
    let ledger = holding(&resources);
    let before = total(&ledger);
    let later = Sent { upserts: bytes(&[user("ada", &[])]), ..Sent::default() };
    ledger.take_away(&later).unwrap();
    assert_ne!(ledger.store().load().digest().total(), before);
    let mut newest = ledger.newest();
    newest.mark_unchanged();
    replace(&ledger, &resources, at(1));
    assert_eq!(ledger.store().load().digest().total(), before);
    assert!(!newest.has_changed().unwrap(), "for followers nothing has changed");
    // And the next change is told without it.
    add(&ledger, "bob");
    assert_eq!(came(&change(ledger.since(at(1), Some(before)))), ["bob"]);
}

#[test]
fn a_change_upon_what_is_in_force_no_more_is_not_applied() {
    let ledger = holding(&[user("ada", &[])]);
    add(&ledger, "bob");
    let sent = || Sent { upserts: bytes(&[user("cyd", &[])]), version: Some(at(9)), ..Sent::default() };
    let moved = ledger.commit_upon(at(1), sent(), false).unwrap_err();
    assert!(matches!(moved, NotCommitted::Moved(now) if now == at(2)));
    assert_eq!(ledger.store().load().version(), at(2));
    ledger.commit_upon(at(2), sent(), false).unwrap();
    let wrong = Sent { upserts: vec![Bytes::from_static(b"\xff")], ..sent() };
    assert!(
        matches!(ledger.commit_upon(at(9), wrong, false), Err(NotCommitted::Wrong(problems)) if problems.len() == 1)
    );
}

/// Memory that was damaged is repaired by what was sent, and neither its old form nor its sum outlives that.
#[test]
fn damage_is_counted_repaired_and_not_handed_on() {
    let mut odd = bytes(&[user("odd", &[])]);
    odd[0] = [&odd[0][..], &[0xC0, 0x3E, 0x01]].concat().into();
    for name in ["plain", "odd"] {
        let ledger = empty();
        let upserts: Vec<_> = bytes(&[user("plain", &["staff"])]).into_iter().chain(odd.clone()).collect();
        let whole = Sent { upserts, replace: Replace::All, version: Some(at(1)), ..Sent::default() };
        ledger.commit(whole.clone(), false).unwrap();
        let digest = *ledger.store().load().digest();
        assert!(ledger.damage(&user_named(name)));
        let damaged = ledger.store().load();
        assert_eq!(*damaged.digest(), digest);
        assert_eq!(damaged.recount().differing(&digest).collect::<Vec<_>>(), [ResourceKind::User]);
        let kinds = Sent {
            replace: Replace::Kinds(vec![ResourceKind::User]),
            expected: Some(digest.total()),
            ..whole
        };
        ledger.commit(kinds, false).unwrap();
        for snapshot in [ledger.store().load(), ledger.snapshot()] {
            assert_eq!((snapshot.version(), snapshot.recount()), (at(1), digest), "{name}");
        }
    }
    assert!(!empty().damage(&user_named("nobody")));
}

/// Everything of a kind may be nothing: what was counted before has no part in it, be it damaged or not.
#[test]
fn nothing_sums_up_to_nothing() {
    let ledger = holding(&[user("ada", &["staff"])]);
    ledger.damage(&user_named("ada"));
    ledger.update(Update::Replace(Vec::new())).unwrap();
    let snapshot = ledger.store().load();
    assert_eq!(snapshot.digest().of(ResourceKind::User), Sum::default());
    assert_eq!(*snapshot.digest(), snapshot.recount());
}

#[test]
fn other_content_of_the_same_version_goes_whole() {
    let ledger = holding(&[user("ada", &[])]);
    let old = total(&ledger);
    add(&ledger, "bob");
    replace(&ledger, &[user("cyd", &[])], at(2));
    assert!(matches!(ledger.since(at(1), Some(old)), Since::Everything(_)));
    assert!(matches!(ledger.since(at(2), Some(old)), Since::Everything(_)));
    add(&ledger, "dan");
    assert_eq!(came(&change(ledger.since(at(2), None))), ["dan"]);
}

#[test]
fn one_publishes_at_a_time() {
    let ledger = empty();
    let mut first = ledger.publish("one", false).unwrap();
    assert_eq!(ledger.publisher().as_deref(), Some("one"));
    assert_eq!(ledger.publish("two", false).unwrap_err(), "one");
    assert!(first.displaced.try_recv().is_err());
    let second = ledger.publish("two", true).unwrap();
    assert_eq!(first.displaced.try_recv().unwrap(), "two");
    drop(first);
    assert_eq!(ledger.publisher().as_deref(), Some("two"), "who lost its place cannot give it away");
    drop(second);
    assert_eq!(ledger.publisher(), None);
    ledger.publish("one", false).unwrap();
}

/// One who was displaced may let go long afterwards, when others came and went.
#[test]
fn who_lets_go_late_takes_nobodys_place() {
    let ledger = empty();
    let first = ledger.publish("one", false).unwrap();
    let second = ledger.publish("two", true).unwrap();
    drop(second);
    let _third = ledger.publish("three", false).unwrap();
    drop(first);
    assert_eq!(ledger.publisher().as_deref(), Some("three"));
    assert_eq!(ledger.publish("four", false).unwrap_err(), "three");
}

type Waiting = Vec<(Version, oneshot::Sender<Result<(), String>>)>;

/// Answers when it is told to.
#[derive(Debug, Default)]
struct SlowDisk(Arc<Mutex<Waiting>>);

impl Disk for SlowDisk {
    fn save(&self, change: &Recorded, snapshot: &Arc<Snapshot>) -> oneshot::Receiver<Result<(), String>> {
        assert_eq!(change.version, snapshot.version());
        let (done, told) = oneshot::channel();
        lock(&self.0).push((change.version, done));
        told
    }
}

#[tokio::test]
async fn a_change_is_safe_when_the_disk_says_so() {
    let disk = SlowDisk::default();
    let asked = Arc::clone(&disk.0);
    let ledger =
        Ledger::new(Arc::new(Store::new(crate::store::Settings::default()))).with_disk(Box::new(disk));
    replace(&ledger, &[user("ada", &[])], Version { epoch: EPOCH, revision: 1 });
    let mut second = add(&ledger, "bob");
    let mut third = add(&ledger, "cyd");
    let mut fourth = add(&ledger, "dan");
    let mut again = add(&ledger, "dan");
    assert!(again.saved.is_none() && again.safe().await.is_ok());
    let asked = std::mem::take(&mut *lock(&asked));
    assert_eq!(asked.iter().map(|(version, _)| version.revision).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let mut asked = asked.into_iter().map(|(_, done)| done).skip(1);
    asked.next().unwrap().send(Ok(())).unwrap();
    assert_eq!(second.safe().await, Ok(()));
    asked.next().unwrap().send(Err("it is full".into())).unwrap();
    assert_eq!(third.safe().await, Err("it is full".into()));
    drop(asked.next());
    assert!(fourth.safe().await.unwrap_err().contains("not written to any more"));
}

/// Two hubs may be in different epochs for a while. To go back and forth between them is one thing; to get further back
/// each time is another.
#[test]
fn an_epoch_that_was_left_is_not_entered_behind_that() {
    let ledger = holding(&[user("ada", &[])]);
    add(&ledger, "bob");
    let sent = |version| Sent { replace: Replace::All, version: Some(version), ..Sent::default() };
    let other = |revision| Version { epoch: 9, revision };
    ledger.commit_upon(at(2), sent(other(1)), false).unwrap();
    let left = ledger.commit_upon(other(1), sent(at(1)), false).unwrap_err();
    assert!(matches!(left, NotCommitted::Left(left) if left == at(2)));
    ledger.commit_upon(other(1), sent(at(2)), false).unwrap();
    ledger.commit_upon(at(2), sent(other(1)), false).unwrap();
    ledger.commit_upon(other(1), sent(at(7)), false).unwrap();
    for epoch in 10..=10 + MAX_LEFT as u64 {
        let held = ledger.store().load().version();
        ledger.commit_upon(held, sent(Version { epoch, revision: 3 }), false).unwrap();
    }
    assert_eq!(lock(&ledger.turn).left.len(), MAX_LEFT);
}

/// Whatever comes whole is handed on as what it changed.
#[test]
fn everything_is_handed_on_as_what_it_changed() {
    let all = [application("wiki"), binding("wiki", "staff"), binding("wiki", "ops"), user("ada", &[])];
    let ledger = holding(&all);
    let mut changed = all.to_vec();
    changed[3] = user("ada", &["ops"]);
    replace(&ledger, &changed, at(2));
    let told = change(ledger.since(at(1), None));
    assert_eq!((came(&told), told.difference.went.len()), (vec!["ada".to_owned()], 0));
}
