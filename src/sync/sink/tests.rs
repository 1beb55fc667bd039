//! Both sides of a stream against each other over channels, without a network. What passes is written down, and may be
//! changed on its way.

use super::super::apply::{Sent, Update};
use super::super::feed::{Deaf, Feed, Stop};
use super::super::ledger::{Disk, Recorded};
use super::super::protocol::{CHUNK, HEARTBEAT};
use super::super::sample::{
    application, at, binding, bytes, empty, group, holding, led, named, replace, resource, route, same,
    upserts, user, user_named,
};
use super::*;
use crate::model::ResourceKind;
use crate::proto::resource::kind_number;
use crate::store::{Replace, Settings, Snapshot, Store};
use std::sync::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use v1::source_message::Message as Given;

type Log<T> = Arc<Mutex<Vec<T>>>;

/// A source and a sink that talk.
struct Pair {
    given: Log<Given>,
    said: Log<Message>,
    feed: JoinHandle<Stop>,
    sink: JoinHandle<Ended>,
}

/// Long enough for everything that happens by itself, and shorter than a heartbeat.
async fn settle() {
    sleep(Duration::from_secs(1)).await;
}

fn connect(source: &Arc<Ledger>, sink: &Arc<Ledger>) -> Pair {
    connect_through(source, sink, |message| std::future::ready(Some(message)))
}

/// `way` may change, hold up or swallow what the source gives.
fn connect_through<F, W>(source: &Arc<Ledger>, sink: &Arc<Ledger>, mut way: F) -> Pair
where
    F: FnMut(Given) -> W + Send + 'static,
    W: Future<Output = Option<Given>> + Send,
{
    let held = sink.store().load();
    let hello = v1::SinkHello {
        version: Some(version(held.version())),
        digest: (!held.is_unset()).then(|| digest(held.digest(), true)),
        ..v1::SinkHello::default()
    };
    let newest = source.snapshot();
    let introduction = v1::SourceHello {
        version: Some(version(newest.version())),
        digest: Some(digest(newest.digest(), false)),
        ..v1::SourceHello::default()
    };
    let (given, said): (Log<Given>, Log<Message>) = Default::default();
    let (to_way, mut on_way) = mpsc::channel::<v1::SourceMessage>(1);
    let (to_sink, from_feed) = mpsc::channel(1);
    let (to_back, mut on_back) = mpsc::channel::<v1::SinkMessage>(4);
    let (to_feed, from_sink) = mpsc::channel(64);
    let log = Arc::clone(&given);
    tokio::spawn(async move {
        while let Some(message) = on_way.recv().await {
            let Some(message) = way(message.message.unwrap()).await else { continue };
            log.lock().unwrap().push(message.clone());
            if to_sink.send(Ok(v1::SourceMessage { message: Some(message) })).await.is_err() {
                break;
            }
        }
    });
    let log = Arc::clone(&said);
    tokio::spawn(async move {
        while let Some(message) = on_back.recv().await {
            log.lock().unwrap().extend(message.message.clone());
            if to_feed.send(Ok(message)).await.is_err() {
                break;
            }
        }
    });
    let source = Arc::clone(source);
    let feed = tokio::spawn(async move {
        Feed::new(&source, Deaf, &hello, to_way, HEARTBEAT).run(ReceiverStream::new(from_sink)).await.1
    });
    let ledger = Arc::clone(sink);
    let sink = tokio::spawn(async move {
        Sink::new(&ledger, &Nobody, to_back, HEARTBEAT)
            .run(&introduction, ReceiverStream::new(from_feed))
            .await
    });
    Pair { given, said, feed, sink }
}

impl Pair {
    /// What the source gave since this was asked last, without heartbeats.
    fn given(&self) -> Vec<Given> {
        let mut all = std::mem::take(&mut *self.given.lock().unwrap());
        all.retain(|message| !matches!(message, Given::Heartbeat(_)));
        all
    }

    /// What the sink said since this was asked last, without heartbeats and acknowledgements.
    fn complaints(&self) -> Vec<Message> {
        let mut all = std::mem::take(&mut *self.said.lock().unwrap());
        all.retain(|message| !matches!(message, Message::Heartbeat(_) | Message::Ack(_)));
        all
    }

    fn nacks(&self) -> Vec<(Version, v1::NackReason)> {
        let nack = |message| match message {
            Message::Nack(nack) => (version_of(nack.version.as_ref()), nack.reason()),
            other => panic!("{other:?}"),
        };
        self.complaints().into_iter().map(nack).collect()
    }
}

fn add(ledger: &Ledger, name: &str) {
    ledger.update(upserts(vec![user(name, &[])])).unwrap();
}

fn is_stale(ledger: &Ledger) -> bool {
    ledger.store().load().freshness().age().stale
}

/// A user with so many bytes of a field of a newer schema.
fn wide(name: &str, size: usize) -> bytes::Bytes {
    let mut wide = bytes(&[user(name, &["staff"])])[0].to_vec();
    wide.extend([0xC2, 0x3E]);
    prost::encoding::encode_varint(size as u64, &mut wide);
    wide.extend(vec![7; size]);
    wide.into()
}

/// A ledger that takes many messages to send.
fn large() -> Arc<Ledger> {
    let ledger = empty();
    let upserts = (0..40).map(|number| wide(&format!("wide{number}"), CHUNK / 4)).collect();
    ledger
        .commit(Sent { upserts, replace: Replace::All, version: Some(at(1)), ..Sent::default() }, false)
        .unwrap();
    ledger
}

#[tokio::test(start_paused = true)]
async fn everything_then_every_change() {
    let (source, sink) = (holding(&[application("wiki"), user("ada", &["staff"])]), empty());
    let pair = connect(&source, &sink);
    settle().await;
    assert!(same(&source, &sink) && !is_stale(&sink));
    let kinds: Vec<_> = pair.given();
    assert!(matches!(kinds[..], [Given::Begin(_), Given::Chunk(_), Given::Commit(_)]), "{kinds:?}");
    source.update(upserts(vec![group("staff"), binding("wiki", "staff")])).unwrap();
    settle().await;
    source.update(Update::Delta { upserts: vec![], removals: vec![user_named("ada")] }).unwrap();
    settle().await;
    assert!(same(&source, &sink));
    let given = pair.given();
    assert!(
        matches!(&given[..], [Given::Delta(first), Given::Delta(second)] if first.revokes && second.revokes),
        "{given:?}"
    );
    let acks = std::mem::take(&mut *pair.said.lock().unwrap());
    let acks: Vec<_> = acks
        .into_iter()
        .filter_map(|message| match message {
            Message::Ack(ack) => Some((version_of(ack.version.as_ref()), total_of(ack.digest.as_ref()))),
            _ => None,
        })
        .collect();
    assert_eq!(acks.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [at(1), at(2), at(3)]);
    assert_eq!(acks[2].1, Some(source.snapshot().digest().total()));
    // Nothing more is said but heartbeats, for however long.
    sleep(Duration::from_secs(500)).await;
    assert_eq!((pair.given(), pair.complaints()), (vec![], vec![]));
    assert!(!pair.feed.is_finished() && !pair.sink.is_finished());
}

#[tokio::test(start_paused = true)]
async fn somebody_who_was_away_gets_what_changed() {
    let source = holding(&[user("ada", &["staff"]), user("bob", &[])]);
    let sink = empty();
    let pair = connect(&source, &sink);
    settle().await;
    pair.feed.abort();
    assert!(matches!(pair.sink.await, Ok(Ended::Closed)));
    assert!(is_stale(&sink));
    source
        .update(Update::Delta { upserts: vec![user("ada", &[])], removals: vec![user_named("bob")] })
        .unwrap();
    add(&source, "cyd");
    let pair = connect(&source, &sink);
    settle().await;
    assert!(same(&source, &sink) && !is_stale(&sink));
    let given = pair.given();
    let [Given::Delta(delta)] = &given[..] else { panic!("{given:?}") };
    assert_eq!((delta.upserts.len(), delta.removals.len(), delta.revokes), (2, 1, true));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_followed_by_silence_until_there_is_something_newer() {
    let (source, sink) = (holding(&[user("ada", &[])]), holding(&[user("ada", &[])]));
    let pair = connect_through(&source, &sink, |message| {
        std::future::ready(Some(match message {
            Given::Delta(delta) if delta.version.is_some_and(|version| version.revision == 2) => {
                let bad = bytes(&[application(""), user("", &[])]);
                Given::Delta(v1::Delta { upserts: bad, ..delta })
            }
            other => other,
        }))
    });
    add(&source, "bob");
    settle().await;
    let said = pair.complaints();
    let [Message::Nack(nack)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(nack.reason(), v1::NackReason::Invalid);
    assert_eq!(nack.errors.len(), 2, "every problem is told");
    assert_eq!(version_of(nack.in_force.as_ref()), at(1));
    assert_eq!(sink.store().load().version(), at(1));
    assert_eq!(pair.given().len(), 1);
    sleep(Duration::from_secs(300)).await;
    assert_eq!((pair.given(), pair.complaints()), (vec![], vec![]));
    assert!(is_stale(&sink));
    add(&source, "cyd");
    settle().await;
    assert!(same(&source, &sink) && !is_stale(&sink));
    assert_eq!((pair.given().len(), pair.complaints()), (1, vec![]));
}

/// What was on its way when something was refused does not fit either. It is neither asked for nor sent twice.
#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_behind_a_refusal_is_no_reason_for_more() {
    let (source, sink) = (holding(&[user("ada", &[])]), holding(&[user("ada", &[])]));
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held_up = Arc::clone(&gate);
    let pair = connect_through(&source, &sink, move |message| {
        let gate = Arc::clone(&held_up);
        async move {
            gate.acquire().await.unwrap().forget();
            Some(match message {
                Given::Delta(delta) if delta.version.is_some_and(|version| version.revision == 2) => {
                    Given::Delta(v1::Delta { upserts: bytes(&[application("")]), ..delta })
                }
                other => other,
            })
        }
    });
    for name in ["bob", "cyd", "dan"] {
        add(&source, name);
        // Each goes by itself.
        sleep(Duration::from_millis(1)).await;
    }
    gate.add_permits(100);
    settle().await;
    assert!(same(&source, &sink));
    assert_eq!(pair.nacks(), [(at(2), v1::NackReason::Invalid)]);
    let given = pair.given();
    assert!(given.len() <= 4, "{given:?}");
}

#[tokio::test(start_paused = true)]
async fn what_arrives_damaged_comes_once_more_and_not_a_third_time() {
    for times in [1, 2, 9] {
        let (source, sink) = (holding(&[user("ada", &[])]), holding(&[user("ada", &[])]));
        let mut left = times;
        let pair = connect_through(&source, &sink, move |message| {
            let mut spoil = |digest: &mut Option<v1::Digest>| {
                if left > 0 {
                    left -= 1;
                    digest.as_mut().unwrap().total[3] ^= 1;
                }
            };
            let mut message = message;
            match &mut message {
                Given::Delta(delta) => spoil(&mut delta.digest),
                Given::Commit(commit) => spoil(&mut commit.digest),
                _ => {}
            }
            std::future::ready(Some(message))
        });
        add(&source, "bob");
        settle().await;
        let nacks = pair.nacks();
        assert_eq!(nacks.len(), times.min(2), "{nacks:?}");
        assert!(nacks.iter().all(|nack| *nack == (at(2), v1::NackReason::Corrupt)));
        assert_eq!(same(&source, &sink), times == 1);
        pair.given();
        // A heartbeat may ask once, and is not answered with the same again.
        sleep(Duration::from_secs(500)).await;
        assert_eq!(pair.given(), vec![], "{times}");
        assert!(pair.complaints().len() <= 1);
        if times == 2 {
            add(&source, "cyd");
            settle().await;
            assert!(same(&source, &sink));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_not_complete_comes_again() {
    let (source, sink) = (holding(&[user("ada", &[])]), empty());
    let mut lost = false;
    let pair = connect_through(&source, &sink, move |message| {
        let loses = !lost && matches!(message, Given::Chunk(_));
        lost |= loses;
        std::future::ready((!loses).then_some(message))
    });
    settle().await;
    assert_eq!(pair.nacks(), [(at(1), v1::NackReason::Corrupt)]);
    assert!(same(&source, &sink));
}

/// A refusal that comes while the rest is sent still is heard.
#[tokio::test(start_paused = true)]
async fn what_is_refused_on_the_way_comes_again() {
    let (source, sink) = (large(), empty());
    let mut first = true;
    let pair = connect_through(&source, &sink, move |message| {
        let message = match message {
            Given::Chunk(mut chunk) if std::mem::take(&mut first) => {
                chunk.upserts.extend(vec![bytes::Bytes::new(); 50]);
                Given::Chunk(chunk)
            }
            other => other,
        };
        std::future::ready(Some(message))
    });
    settle().await;
    assert_eq!(pair.nacks(), [(at(1), v1::NackReason::Corrupt)]);
    assert!(same(&source, &sink));
}

#[tokio::test(start_paused = true)]
async fn memory_that_was_damaged_is_found_and_only_its_kind_is_sent() {
    let all = [application("wiki"), group("staff"), user("ada", &["staff"]), binding("wiki", "staff")];
    let (source, sink) = (holding(&all), empty());
    let pair = connect(&source, &sink);
    settle().await;
    assert!(sink.damage(&user_named("ada")));
    assert!(!same(&source, &sink));
    pair.given();
    sleep(RECOUNT).await;
    assert!(same(&source, &sink));
    assert_eq!(sink.snapshot().recount(), *source.snapshot().digest(), "nor is it handed on");
    let given = pair.given();
    let [Given::Begin(begin), Given::Chunk(chunk), Given::Commit(_)] = &given[..] else {
        panic!("{given:?}")
    };
    assert_eq!((begin.kind(), &begin.kinds), (v1::UpdateKind::Kinds, &vec![kind_number(ResourceKind::User)]));
    assert_eq!(chunk.upserts.len(), 1);
    sleep(RECOUNT * 2).await;
    assert_eq!(pair.given(), vec![]);
}

/// Routes come and go as every other kind.
#[tokio::test(start_paused = true)]
async fn routes_are_followed() {
    let all = [application("wiki"), application("blog"), route("a", "wiki"), route("b", "wiki")];
    let (source, sink) = (holding(&all), empty());
    let pair = connect(&source, &sink);
    settle().await;
    assert!(same(&source, &sink));
    assert_eq!((led(&sink, "a"), led(&sink, "b")), (Some("wiki".into()), Some("wiki".into())));
    pair.given();
    assert!(sink.damage(&named(ResourceKind::Route, "a")));
    sleep(RECOUNT).await;
    assert!(same(&source, &sink));
    assert_eq!(sink.snapshot().recount(), *source.snapshot().digest());
    let given = pair.given();
    let [Given::Begin(begin), Given::Chunk(_), Given::Commit(_)] = &given[..] else { panic!("{given:?}") };
    assert_eq!(begin.kinds, [kind_number(ResourceKind::Route)]);
    let removals = vec![named(ResourceKind::Route, "b")];
    source.update(Update::Delta { upserts: vec![route("a", "blog")], removals }).unwrap();
    settle().await;
    assert!(same(&source, &sink));
    assert_eq!((led(&sink, "a"), led(&sink, "b")), (Some("blog".into()), None));
    // Where it leads to nothing, the sink refuses it, and goes on with what it has.
    let dangles = bytes(&[route("a", "nowhere")]);
    let wrong = Given::Delta(v1::Delta {
        base: Some(version(at(2))),
        version: Some(version(at(3))),
        upserts: dangles,
        ..v1::Delta::default()
    });
    drop(pair);
    let pair = connect_through(&source, &sink, move |message| {
        let message = if matches!(message, Given::Delta(_)) { wrong.clone() } else { message };
        std::future::ready(Some(message))
    });
    add(&source, "ada");
    settle().await;
    assert_eq!(pair.nacks(), [(at(3), v1::NackReason::Invalid)]);
    assert_eq!(led(&sink, "a"), Some("blog".into()));
}

/// The sum is kept up by what changes, so a change would hide what is damaged.
#[tokio::test(start_paused = true)]
async fn a_change_does_not_hide_damage() {
    let (source, sink) = (holding(&[user("ada", &["staff"])]), empty());
    let pair = connect_through(&source, &sink, |message| async {
        sleep(Duration::from_millis(200)).await;
        Some(message)
    });
    settle().await;
    sink.damage(&user_named("ada"));
    // One change before it is found, one while what was found is on its way.
    add(&source, "bob");
    sleep(RECOUNT - Duration::from_millis(1100)).await;
    add(&source, "cyd");
    settle().await;
    settle().await;
    assert!(same(&source, &sink));
    assert!(pair.complaints().len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn other_content_of_the_same_version_is_found_by_a_heartbeat() {
    let (source, sink) = (holding(&[user("ada", &[])]), holding(&[user("ada", &["staff"])]));
    let pair = connect(&source, &sink);
    settle().await;
    assert!(same(&source, &sink), "the first message tells");
    replace(&source, &[user("bob", &[])], at(1));
    settle().await;
    assert!(same(&source, &sink));
    drop(pair);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_is_ahead_waits_for_its_hub() {
    let (source, sink) = (holding(&[user("ada", &[])]), holding(&[user("ada", &[])]));
    for name in ["bob", "cyd"] {
        add(&sink, name);
    }
    let pair = connect(&source, &sink);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(pair.given(), vec![]);
    assert!(pair.complaints().len() <= 1);
    assert_eq!(sink.store().load().version(), at(3));
    assert!(is_stale(&sink));
    for name in ["bob", "cyd"] {
        add(&source, name);
        settle().await;
        assert_eq!(sink.store().load().version(), at(3));
    }
    sleep(HEARTBEAT).await;
    assert!(!is_stale(&sink));
    add(&source, "dan");
    settle().await;
    assert!(same(&source, &sink));
    let given = pair.given();
    assert!(matches!(&given[..], [Given::Delta(delta)] if delta.upserts.len() == 1), "{given:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_content_of_another_epoch_is_adopted_without_sending_it() {
    let all = [user("ada", &[]), group("staff")];
    let (source, sink) = (holding(&all), empty());
    replace(&sink, &all, Version { epoch: 9, revision: 70 });
    let pair = connect(&source, &sink);
    settle().await;
    assert!(same(&source, &sink));
    let given = pair.given();
    assert!(matches!(&given[..], [Given::Delta(delta)] if delta.upserts.is_empty()), "{given:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_holds_nothing_takes_nothing_away() {
    let (source, sink) = (empty(), holding(&[user("ada", &[])]));
    let pair = connect(&source, &sink);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(sink.store().load().version(), at(1));
    assert_eq!(pair.given(), vec![]);
    assert!(pair.complaints().len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_does_not_wait_for_an_update_under_way() {
    let source = large();
    source
        .commit(
            Sent {
                upserts: bytes(&[user("ada", &["staff"]), user("eve", &["staff"])]),
                version: Some(at(2)),
                ..Sent::default()
            },
            false,
        )
        .unwrap();
    // Holds an older configuration of another life, so that everything has to be sent.
    let sink = empty();
    let other = Version { epoch: 9, revision: 1 };
    replace(&sink, &[user("ada", &["staff"]), user("eve", &["staff"]), user("old", &[])], other);
    let gate = Arc::new(tokio::sync::Semaphore::new(3));
    let held_up = Arc::clone(&gate);
    let pair = connect_through(&source, &sink, move |message| {
        let gate = Arc::clone(&held_up);
        async move {
            gate.acquire().await.unwrap().forget();
            Some(message)
        }
    });
    settle().await;
    let removals = vec![user_named("eve")];
    source.update(Update::Delta { upserts: vec![user("ada", &[])], removals }).unwrap();
    // What lies ready already goes first.
    gate.add_permits(5);
    settle().await;
    // The update is under way still.
    let held = sink.store().load();
    assert_eq!(held.version(), other);
    assert!(held.user_named("old").is_some());
    for gone in ["ada", "eve"] {
        assert!(held.user_named(gone).unwrap().groups.is_empty(), "{gone}");
    }
    gate.add_permits(1000);
    settle().await;
    assert!(same(&source, &sink));
    assert!(sink.store().load().user_named("eve").is_none());
    assert_eq!(pair.complaints(), vec![]);
}

#[tokio::test(start_paused = true)]
async fn large_changes_come_in_parts_and_large_resources_alone() {
    let (source, sink) = (holding(&[user("ada", &[])]), holding(&[user("ada", &[])]));
    let pair = connect(&source, &sink);
    let upserts = (0..9).map(|number| wide(&format!("wide{number}"), CHUNK - 100)).collect();
    let removals = vec![user_named("ada")];
    source.commit(Sent { upserts, removals, version: Some(at(2)), ..Sent::default() }, false).unwrap();
    settle().await;
    assert!(same(&source, &sink));
    let given = pair.given();
    assert!(
        matches!(&given[0], Given::Begin(begin) if begin.kind() == v1::UpdateKind::Delta && begin.count == 10)
    );
    for message in &given {
        assert!(
            prost::Message::encoded_len(&v1::SourceMessage { message: Some(message.clone()) }) < CHUNK + 100
        );
    }
}

/// Whatever is told in a heartbeat was sent before it.
#[tokio::test(start_paused = true)]
async fn heartbeats_between_changes_ask_for_nothing() {
    let (source, sink) = (holding(&[user("ada", &[])]), empty());
    let pair = connect_through(&source, &sink, |message| async {
        sleep(Duration::from_millis(3)).await;
        Some(message)
    });
    for number in 0..3_000 {
        source.update(upserts(vec![user("bob", &[["a", "b"][number % 2]])])).unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    settle().await;
    assert!(same(&source, &sink));
    assert_eq!(pair.complaints(), vec![]);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_left_and_who_takes_nothing_is_cut() {
    let (source, sink) = (holding(&[user("ada", &[])]), empty());
    let swallowed = |_| std::future::ready(None);
    let pair = connect_through(&source, &sink, swallowed);
    sleep(HEARTBEAT * 3 - Duration::from_secs(1)).await;
    assert!(!pair.sink.is_finished());
    sleep(Duration::from_secs(2)).await;
    assert!(matches!(pair.sink.await, Ok(Ended::Silent)));
    assert!(is_stale(&sink));
    let (source, sink) = (large(), empty());
    let pair = connect_through(&source, &sink, |_| std::future::pending());
    let stop = pair.feed.await.unwrap();
    assert!(matches!(stop, Stop::Slow));
    assert_eq!(stop.status().unwrap().code(), tonic::Code::Aborted);
}

#[tokio::test(start_paused = true)]
async fn a_sink_speaks_in_turn() {
    let source = holding(&[user("ada", &[])]);
    for message in [
        Some(Message::Hello(v1::SinkHello::default())),
        Some(Message::Subscribe(v1::Subscribe::default())),
        None,
    ] {
        let (to, _given) = mpsc::channel(64);
        let said = futures_util::stream::iter([Ok(v1::SinkMessage { message })]);
        let (_, stop) = Feed::new(&source, Deaf, &v1::SinkHello::default(), to, HEARTBEAT).run(said).await;
        assert!(matches!(&stop, Stop::OutOfTurn(_)), "{stop:?}");
        assert_eq!(stop.status().unwrap().code(), tonic::Code::InvalidArgument);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_speaks_in_turn() {
    let sink = empty();
    let (to, _said) = mpsc::channel(64);
    let message = Some(Given::Commit(v1::Commit::default()));
    let from = futures_util::stream::iter([Ok(v1::SourceMessage { message })]);
    let ended = Sink::new(&sink, &Nobody, to, HEARTBEAT).run(&v1::SourceHello::default(), from).await;
    assert!(matches!(ended, Ended::OutOfTurn(_)));
}

/// Answers as it is told to: never, or with an error.
#[derive(Debug)]
struct BadDisk(Option<&'static str>, Log<oneshot::Sender<Result<(), String>>>);

impl Disk for BadDisk {
    fn save(&self, _change: &Recorded, _snapshot: &Arc<Snapshot>) -> oneshot::Receiver<Result<(), String>> {
        let (done, told) = oneshot::channel();
        match self.0 {
            Some(error) => done.send(Err(error.into())).unwrap(),
            None => self.1.lock().unwrap().push(done),
        }
        told
    }
}

fn with_disk(error: Option<&'static str>) -> (Arc<Ledger>, Log<oneshot::Sender<Result<(), String>>>) {
    let waiting = Log::default();
    let disk = Box::new(BadDisk(error, Arc::clone(&waiting)));
    (Arc::new(Ledger::new(Arc::new(Store::new(Settings::default()))).with_disk(disk)), waiting)
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_in_force_all_the_same() {
    let (source, (sink, _)) = (holding(&[user("ada", &[])]), with_disk(Some("it is full")));
    let pair = connect(&source, &sink);
    settle().await;
    add(&source, "bob");
    settle().await;
    assert!(same(&source, &sink));
    assert_eq!(pair.nacks(), [(at(1), v1::NackReason::Storage), (at(2), v1::NackReason::Storage)]);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(pair.complaints(), vec![]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_up_changes_but_does_not_pile_them_up() {
    let (source, (sink, waiting)) = (holding(&[user("ada", &[])]), with_disk(None));
    let pair = connect(&source, &sink);
    for number in 0..200 {
        add(&source, &format!("user{number}"));
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waiting.lock().unwrap().len(), MAX_UNSAFE);
    sleep(Duration::from_secs(20)).await;
    assert!(!pair.sink.is_finished(), "the source is not silent; nobody listens");
    for _ in 0..200 {
        waiting.lock().unwrap().drain(..).for_each(|done| done.send(Ok(())).unwrap());
        sleep(Duration::from_millis(10)).await;
    }
    assert!(same(&source, &sink));
    assert_eq!(pair.complaints(), vec![]);
}

#[tokio::test(start_paused = true)]
async fn users_of_a_large_update_are_applied_beside_the_runtime() {
    let source = empty();
    let users: Vec<_> = (0..2_000).map(|number| user(&format!("user{number}"), &["staff"])).collect();
    replace(&source, &users, at(1));
    let sink = empty();
    let pair = connect(&source, &sink);
    settle().await;
    assert!(same(&source, &sink));
    let old = v1::User { username: "user0".into(), id: "other".into(), ..Default::default() };
    // One that the sink has no place for, since its own has that name.
    let clash = vec![resource(v1::resource::Resource::User(old))];
    assert!(source.update(Update::Delta { upserts: clash, removals: vec![user_named("user0")] }).is_ok());
    settle().await;
    assert!(same(&source, &sink));
    assert_eq!(pair.complaints(), vec![]);
}
