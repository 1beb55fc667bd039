//! Every rule about what may come when, and what is made of it.

use super::super::protocol::{self, MAX_RESOURCES, MAX_UPDATE};
use super::super::sample::{at, bytes, user, user_named};
use super::*;
use v1::{NackReason, UpdateKind};

fn message(message: Message) -> v1::SourceMessage {
    v1::SourceMessage { message: Some(message) }
}

fn begin(kind: UpdateKind, base: Option<Version>, version: Version, count: u64) -> v1::Begin {
    let (base, version) = (base.map(protocol::version), Some(protocol::version(version)));
    v1::Begin { kind: kind.into(), base, version, count, bytes: 0, kinds: Vec::new() }
}

fn chunk(users: &[&str]) -> v1::Chunk {
    let users: Vec<_> = users.iter().map(|name| user(name, &[])).collect();
    v1::Chunk { upserts: bytes(&users), removals: Vec::new() }
}

fn delta(base: Version, version: Version, users: &[&str]) -> v1::Delta {
    let (base, version) = (Some(protocol::version(base)), Some(protocol::version(version)));
    v1::Delta { base, version, upserts: chunk(users).upserts, ..v1::Delta::default() }
}

/// A receiver, and what is in force beside it.
struct Bench(Receiver, Version);

impl Bench {
    fn holding(version: Version) -> Self {
        Self(Receiver::default(), version)
    }

    fn take(&mut self, it: Message) -> Step {
        self.0.take(message(it), self.1).unwrap()
    }

    fn nothing(&mut self, it: Message) {
        let step = self.take(it);
        assert!(matches!(step, Step::Nothing), "{step:?}");
    }

    fn refused(&mut self, it: Message) -> (Version, NackReason, String) {
        match self.take(it) {
            Step::Refuse(Refusal { version, reason, message }) => (version, reason, message),
            other => panic!("{other:?}"),
        }
    }

    fn applied(&mut self, it: Message) -> Incoming {
        match self.take(it) {
            Step::Apply(incoming) => *incoming,
            other => panic!("{other:?}"),
        }
    }

    fn resync(&mut self, it: Message) -> String {
        match self.take(it) {
            Step::Resync(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn out_of_turn(&mut self, it: Message) -> String {
        self.0.take(message(it), self.1).unwrap_err().0
    }

    /// What is left of a refused update counts for nothing, and the next one is taken.
    fn skips_the_rest(&mut self) {
        self.nothing(Message::Chunk(chunk(&["skipped"])));
        self.nothing(Message::Delta(delta(at(90), at(91), &["skipped"])));
        self.nothing(Message::Commit(v1::Commit { count: 77, digest: None }));
        let version = Version { revision: self.1.revision + 100, ..at(0) };
        self.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, version, 0)));
        let incoming = self.applied(Message::Commit(v1::Commit::default()));
        assert_eq!(incoming.sent.upserts, Vec::<Bytes>::new());
    }
}

#[test]
fn an_update_comes_whole() {
    let mut bench = Bench::holding(at(3));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(5), 3)));
    assert!(bench.0.is_busy());
    bench.nothing(Message::Chunk(chunk(&["ada", "bob"])));
    bench.nothing(Message::Chunk(chunk(&[])));
    bench.nothing(Message::Chunk(chunk(&["cyd"])));
    let digest = Some(v1::Digest { total: vec![7; 16], kinds: Vec::new() });
    let incoming = bench.applied(Message::Commit(v1::Commit { count: 3, digest }));
    let came: Vec<_> = incoming.sent.parts.iter().flat_map(Part::iter).collect();
    assert_eq!(came, chunk(&["ada", "bob", "cyd"]).upserts);
    assert_eq!((incoming.sent.replace, incoming.sent.version), (Replace::All, Some(at(5))));
    assert_eq!(incoming.sent.expected, Some(u128::from_le_bytes([7; 16])));
    assert!(!bench.0.is_busy() && incoming.upon.is_empty());
}

#[test]
fn what_comes_out_of_turn_ends_the_stream() {
    let mut bench = Bench::holding(at(1));
    assert!(bench.0.take(v1::SourceMessage { message: None }, at(1)).is_err());
    assert!(bench.out_of_turn(Message::Hello(v1::SourceHello::default())).starts_with("hello:"));
    assert!(bench.out_of_turn(Message::Chunk(chunk(&["ada"]))).starts_with("chunk:"));
    assert!(bench.out_of_turn(Message::Commit(v1::Commit::default())).starts_with("commit:"));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), 1)));
    let again = Message::Begin(begin(UpdateKind::Snapshot, None, at(3), 1));
    assert!(bench.out_of_turn(again.clone()).starts_with("begin:"));
    let mut bench = Bench::holding(at(1));
    let _refused = bench.refused(Message::Begin(begin(UpdateKind::Unspecified, None, at(2), 1)));
    assert!(bench.out_of_turn(again).starts_with("begin:"));
}

#[test]
fn a_beginning_says_how_it_relates() {
    let mut bench = Bench::holding(at(1));
    let (version, reason, message) =
        bench.refused(Message::Begin(begin(UpdateKind::Unspecified, None, at(2), 0)));
    assert_eq!((version, reason), (at(2), NackReason::Invalid));
    assert!(message.starts_with("kind:"), "{message}");
    bench.skips_the_rest();
    let strange = v1::Begin { kinds: vec![99], ..begin(UpdateKind::Kinds, Some(at(1)), at(2), 0) };
    let (_, reason, message) = bench.refused(Message::Begin(strange));
    assert_eq!(reason, NackReason::Invalid);
    assert!(message.starts_with("kinds:"), "{message}");
    bench.skips_the_rest();
    for nowhere in [Version::default(), Version { epoch: 0, revision: 4 }, Version { epoch: 4, revision: 0 }]
    {
        let (_, reason, message) =
            bench.refused(Message::Begin(begin(UpdateKind::Snapshot, None, nowhere, 0)));
        assert_eq!(reason, NackReason::Invalid);
        assert!(message.starts_with("version:"), "{message}");
        bench.skips_the_rest();
    }
}

#[test]
fn bounds_hold() {
    let mut bench = Bench::holding(at(1));
    let (_, reason, _) =
        bench.refused(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), MAX_RESOURCES + 1)));
    assert_eq!(reason, NackReason::TooLarge);
    bench.skips_the_rest();
    let large = v1::Begin { bytes: MAX_UPDATE + 1, ..begin(UpdateKind::Snapshot, None, at(2), 1) };
    assert_eq!(bench.refused(Message::Begin(large)).1, NackReason::TooLarge);
    bench.skips_the_rest();
    // What is announced too small is found out on the way.
    let room = begin(UpdateKind::Snapshot, None, at(2), MAX_RESOURCES);
    bench.nothing(Message::Begin(room));
    let block = Bytes::from(vec![0; 1 << 20]);
    let full = v1::Chunk { upserts: vec![block; 1024], removals: Vec::new() };
    for _ in 0..4 {
        bench.nothing(Message::Chunk(full.clone()));
    }
    assert_eq!(bench.refused(Message::Chunk(chunk(&["ada"]))).1, NackReason::TooLarge);
    assert!(!bench.0.is_busy());
    bench.skips_the_rest();
}

#[test]
fn bounds_hold_for_changes_in_between_and_for_names() {
    let mut bench = Bench::holding(at(1));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), 0)));
    let block = Bytes::from(vec![0; 1 << 20]);
    for revision in 2..6 {
        let full =
            v1::Delta { upserts: vec![block.clone(); 1024], ..delta(at(revision), at(revision + 1), &[]) };
        bench.nothing(Message::Delta(full));
    }
    let (version, reason, _) = bench.refused(Message::Delta(delta(at(6), at(7), &["ada"])));
    assert_eq!((version, reason), (at(2), NackReason::TooLarge));
    bench.skips_the_rest();
    bench.nothing(Message::Begin(begin(UpdateKind::Delta, Some(at(1)), at(2), MAX_RESOURCES)));
    let removals = vec![protocol::reference(&user_named("ada")); 5];
    bench.nothing(Message::Chunk(v1::Chunk { removals, ..v1::Chunk::default() }));
    assert_eq!(bench.0.open.as_ref().unwrap().bytes, 15);
}

#[test]
fn revisions_only_grow() {
    let mut bench = Bench::holding(at(5));
    for (kind, base) in [(UpdateKind::Snapshot, None), (UpdateKind::Delta, Some(at(5)))] {
        let (version, reason, message) = bench.refused(Message::Begin(begin(kind, base, at(4), 1)));
        assert_eq!((version, reason), (at(4), NackReason::Old));
        assert!(message.contains("revisions only grow"), "{message}");
        bench.skips_the_rest();
    }
    // The same revision may come once more to repair what is held, but not as a change.
    assert_eq!(
        bench.refused(Message::Begin(begin(UpdateKind::Delta, Some(at(5)), at(5), 1))).1,
        NackReason::Old
    );
    bench.skips_the_rest();
    assert_eq!(bench.refused(Message::Delta(delta(at(5), at(5), &["ada"]))).1, NackReason::Old);
    for kind in [UpdateKind::Snapshot, UpdateKind::Kinds] {
        let base = (kind == UpdateKind::Kinds).then_some(at(5));
        bench.nothing(Message::Begin(begin(kind, base, at(5), 0)));
        bench.applied(Message::Commit(v1::Commit::default()));
    }
    // Another epoch cannot be compared.
    let other = Version { epoch: 9, revision: 1 };
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, other, 0)));
    bench.applied(Message::Commit(v1::Commit::default()));
    assert_eq!(bench.applied(Message::Delta(delta(at(5), other, &[]))).sent.version, Some(other));
}

#[test]
fn what_stands_on_something_else_does_not_fit() {
    let mut bench = Bench::holding(at(5));
    for base in [at(4), at(6), Version { epoch: 9, revision: 5 }, Version::default()] {
        let reason = bench.resync(Message::Delta(delta(base, at(9), &["ada"])));
        assert!(reason.contains("is held"), "{reason}");
        for kind in [UpdateKind::Delta, UpdateKind::Kinds, UpdateKind::Snapshot] {
            bench.resync(Message::Begin(begin(kind, Some(base), at(9), 1)));
            assert!(!bench.0.is_busy());
            bench.skips_the_rest();
        }
    }
    for kind in [UpdateKind::Delta, UpdateKind::Kinds] {
        bench.resync(Message::Begin(begin(kind, None, at(9), 1)));
        bench.skips_the_rest();
    }
}

#[test]
fn what_is_not_complete_is_corrupt() {
    for (announced, sent, committed) in [(2, 1, 2), (2, 1, 1), (1, 1, 2), (1, 0, 0), (0, 0, 1)] {
        let mut bench = Bench::holding(at(1));
        bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), announced)));
        bench.nothing(Message::Chunk(chunk(&["ada", "bob"][..sent])));
        let (version, reason, _) =
            bench.refused(Message::Commit(v1::Commit { count: committed, digest: None }));
        assert_eq!((version, reason), (at(2), NackReason::Corrupt));
        assert!(!bench.0.is_busy());
        bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), 0)));
    }
    let mut bench = Bench::holding(at(1));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), 1)));
    let (_, reason, message) = bench.refused(Message::Chunk(chunk(&["ada", "bob"])));
    assert_eq!(reason, NackReason::Corrupt);
    assert!(message.contains("announced"), "{message}");
    bench.skips_the_rest();
}

#[test]
fn removals_belong_to_changes() {
    let removals = vec![protocol::reference(&user_named("ada"))];
    let removing = v1::Chunk { upserts: Vec::new(), removals: removals.clone() };
    let nameless = v1::ResourceRef { id: String::new(), ..removals[0].clone() };
    let mut bench = Bench::holding(at(1));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), 1)));
    assert_eq!(bench.refused(Message::Chunk(removing.clone())).1, NackReason::Invalid);
    bench.skips_the_rest();
    bench.nothing(Message::Begin(begin(UpdateKind::Delta, Some(at(1)), at(2), 1)));
    bench.nothing(Message::Chunk(removing));
    let incoming = bench.applied(Message::Commit(v1::Commit { count: 1, digest: None }));
    assert_eq!(incoming.sent.removals, [user_named("ada")]);
    assert_eq!(incoming.sent.replace, Replace::Nothing);
    bench.nothing(Message::Begin(begin(UpdateKind::Delta, Some(at(1)), at(2), 1)));
    let bad = v1::Chunk { upserts: Vec::new(), removals: vec![nameless.clone()] };
    assert_eq!(bench.refused(Message::Chunk(bad)).1, NackReason::Invalid);
    bench.skips_the_rest();
    let bad = v1::Delta { removals: vec![nameless], ..delta(at(1), at(2), &[]) };
    assert_eq!(bench.refused(Message::Delta(bad)).1, NackReason::Invalid);
}

#[test]
fn changes_in_between_follow_upon_the_update() {
    let mut bench = Bench::holding(at(1));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(4), 1)));
    bench.nothing(Message::Delta(delta(at(4), at(5), &["bob"])));
    let urgent = v1::Delta { revokes: true, ..delta(at(5), at(7), &["ada"]) };
    let Step::Early(early) = bench.take(Message::Delta(urgent)) else { panic!() };
    assert_eq!((early.version, &early.upserts), (Some(at(7)), &chunk(&["ada"]).upserts));
    bench.nothing(Message::Chunk(chunk(&["ada"])));
    let incoming = bench.applied(Message::Commit(v1::Commit { count: 1, digest: None }));
    let versions: Vec<_> = incoming.upon.iter().map(|sent| sent.version).collect();
    assert_eq!(versions, [Some(at(5)), Some(at(7))]);
}

#[test]
fn a_change_in_between_fits_or_all_of_it_is_refused() {
    for (base, version, expected) in [
        (at(1), at(5), NackReason::Corrupt),
        (at(5), at(6), NackReason::Corrupt),
        // It would lead back behind what is in force.
        (at(4), at(2), NackReason::Old),
        (at(4), at(4), NackReason::Old),
    ] {
        let mut bench = Bench::holding(at(3));
        bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(4), 1)));
        let (version, reason, _) = bench.refused(Message::Delta(delta(base, version, &["ada"])));
        assert_eq!((version, reason), (at(4), expected));
        bench.skips_the_rest();
    }
    let mut bench = Bench::holding(at(3));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(4), 0)));
    assert_eq!(bench.refused(Message::Delta(delta(at(4), Version::default(), &[]))).1, NackReason::Invalid);
    assert!(bench.0.is_busy());
}

#[test]
fn heartbeats_and_subscriptions_pass_at_any_time() {
    let mut bench = Bench::holding(at(1));
    bench.nothing(Message::Begin(begin(UpdateKind::Snapshot, None, at(2), 1)));
    let beat = v1::SourceHeartbeat {
        version: Some(protocol::version(at(2))),
        digest: Some(v1::Digest { total: vec![1; 16], kinds: Vec::new() }),
        now: None,
    };
    let step = bench.take(Message::Heartbeat(beat));
    assert!(matches!(step, Step::Heartbeat { version, total: Some(_) } if version == at(2)));
    let step = bench.take(Message::Heartbeat(v1::SourceHeartbeat::default()));
    assert!(matches!(step, Step::Heartbeat { version, total: None } if version == Version::default()));
    let loaded = v1::Loaded { subscription: 4, version: None };
    assert!(matches!(bench.take(Message::Loaded(loaded)), Step::Loaded { subscription: 4, .. }));
}
