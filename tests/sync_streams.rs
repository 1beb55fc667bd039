//! The sync protocol over real streams: one behaviour for every way in, from this process's own files to a follower
//! behind two hubs, and what each side hears when it does something wrong.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
    pub(crate) mod net;
    pub(crate) mod streams;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{group_name, resource, target};
    use crate::support::net::{From, Link, Net};
    use crate::support::streams::{greet, introduction, options, publish, push_once, service};
    use bindery::model::{ResourceKind, ResourceName, Version};
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::sync_service_client::SyncServiceClient;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Replace, Settings, Snapshot, Store};
    use bindery::sync::apply::{Sent, Update};
    use bindery::sync::follow::{FollowOptions, Network, endpoint, follow};
    use bindery::sync::last_good::{Found, LastGood};
    use bindery::sync::ledger::{Committed, Ledger};
    use bindery::sync::protocol;
    use bindery::sync::service::SyncApi;
    use bindery::sync::sink::{Nobody, Watcher};
    use bindery::tls::client::Credentials;
    use futures_util::StreamExt;
    use prost::Message as _;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tempfile::TempDir;
    use tokio::net::UnixListener;
    use tokio::sync::{mpsc, watch};
    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};
    use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream, UnixListenerStream};
    use tonic::Code;
    use tonic::transport::{Channel, Server};

    const HEARTBEAT: Duration = Duration::from_secs(1);
    const EPOCH: u64 = 0xB1;

    fn empty() -> Arc<Ledger> {
        Arc::new(Ledger::new(Arc::new(Store::new(Settings::default()))))
    }

    /// A ledger of one who publishes: it has an epoch.
    fn published() -> Arc<Ledger> {
        Arc::new(begun(Ledger::new(Arc::new(Store::new(Settings::default())))))
    }

    fn begun(ledger: Ledger) -> Ledger {
        let version = Some(Version { epoch: EPOCH, revision: 1 });
        ledger.commit(Sent { replace: Replace::All, version, ..Sent::default() }, false).unwrap();
        ledger
    }

    fn application(slug: &str) -> v1::Resource {
        resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
    }

    fn user(name: &str, groups: &[&str]) -> v1::Resource {
        let groups = groups.iter().map(|name| group_name(name)).collect();
        resource(R::User(v1::User { username: name.into(), groups, ..Default::default() }))
    }

    fn binding(slug: &str, group: &str) -> v1::Resource {
        let binding = v1::PolicyBinding {
            id: format!("{slug}-{group}"),
            target: Some(target(T::Application(slug.into()))),
            group: Some(group_name(group)),
            ..Default::default()
        };
        resource(R::PolicyBinding(binding))
    }

    fn user_named(name: &str) -> ResourceName {
        ResourceName { kind: ResourceKind::User, id: name.into() }
    }

    fn upserts(upserts: Vec<v1::Resource>) -> Update {
        Update::Delta { upserts, removals: Vec::new() }
    }

    fn same(one: &Ledger, other: &Ledger) -> bool {
        equal(&one.store().load(), &other.store().load())
    }

    fn equal(a: &Snapshot, b: &Snapshot) -> bool {
        !a.is_unset() && a.version() == b.version() && a.digest() == b.digest() && *b.digest() == b.recount()
    }

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let polls = async {
            while !holds() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(Duration::from_secs(60), polls).await.is_ok(), "{what} did not come about");
    }

    /// A server on a socket. It is gone when this is.
    struct Hub {
        stop: watch::Sender<bool>,
        _tasks: JoinSet<()>,
    }

    fn serve_api(api: SyncApi, stop: watch::Sender<bool>, path: &Path) -> Hub {
        let _left_over = std::fs::remove_file(path);
        let incoming = UnixListenerStream::new(UnixListener::bind(path).unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            Server::builder().add_service(api.into_service()).serve_with_incoming(incoming).await.unwrap();
        });
        Hub { stop, _tasks: tasks }
    }

    fn serve(ledger: &Arc<Ledger>, path: &Path) -> Hub {
        let (api, stop) = service(ledger, "hub", HEARTBEAT);
        serve_api(api, stop, path)
    }

    fn address(path: &Path) -> String {
        format!("unix://{}", path.display())
    }

    async fn channel(path: &Path) -> Channel {
        endpoint(&address(path)).unwrap().connect().await.unwrap()
    }

    fn follow_options(upstreams: Vec<String>) -> FollowOptions {
        FollowOptions {
            heartbeat: HEARTBEAT,
            pause_min: Duration::from_millis(5),
            pause_max: Duration::from_millis(50),
            ..FollowOptions::new(upstreams, "follower".into())
        }
    }

    fn follows(tasks: &mut JoinSet<()>, ledger: &Arc<Ledger>, hub: &Path, watcher: impl Watcher + 'static) {
        let options = follow_options(vec![address(hub)]);
        let network =
            Network { connect_timeout: options.connect_timeout, credentials: Credentials::default() };
        let ledger = Arc::clone(ledger);
        tasks.spawn(async move { match follow(ledger, options, network, watcher).await {} });
    }

    fn publishes(tasks: &mut JoinSet<()>, ledger: &Arc<Ledger>, hub: &Path) {
        let (ledger, hub) = (Arc::clone(ledger), hub.to_owned());
        tasks.spawn(async move {
            loop {
                if let Ok(channel) = endpoint(&address(&hub)).unwrap().connect().await {
                    let _ended = publish(&ledger, channel, "publisher", HEARTBEAT).await;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// How a configuration comes to where it is used.
    struct Way {
        name: &'static str,
        source: Arc<Ledger>,
        end: Arc<Ledger>,
        /// Where somebody else may publish.
        entry: Option<PathBuf>,
        /// The last-good file that it is used from, as after a crash at that moment.
        file: Option<PathBuf>,
        _hubs: Vec<Hub>,
        _tasks: JoinSet<()>,
        _place: TempDir,
    }

    /// From a publisher, with so many hubs up to the follower; none: the publisher's server is where it is used.
    fn streamed(name: &'static str, hubs: usize) -> Way {
        let (place, mut tasks, mut running) = (TempDir::new().unwrap(), JoinSet::new(), Vec::new());
        let (source, mut end) = (published(), empty());
        let entry = place.path().join("0");
        publishes(&mut tasks, &source, &entry);
        running.push(serve(&end, &entry));
        for hub in 0..hubs {
            let upstream = place.path().join(hub.to_string());
            end = empty();
            follows(&mut tasks, &end, &upstream, Nobody);
            running.push(serve(&end, &place.path().join((hub + 1).to_string())));
        }
        Way {
            name,
            source,
            end,
            entry: Some(entry),
            file: None,
            _hubs: running,
            _tasks: tasks,
            _place: place,
        }
    }

    /// A process's own configuration; `file`: as it comes back from the last-good file.
    fn own(name: &'static str, file: bool) -> Way {
        let place = TempDir::new().unwrap();
        let file = file.then(|| place.path().join("last-good"));
        let ledger = match &file {
            None => published(),
            Some(path) => {
                let (disk, store, _) = LastGood::open(path, Settings::default()).unwrap();
                Arc::new(begun(Ledger::new(Arc::new(store)).with_disk(Box::new(disk))))
            }
        };
        let (source, end, hubs, tasks) = (Arc::clone(&ledger), ledger, Vec::new(), JoinSet::new());
        Way { name, source, end, entry: None, file, _hubs: hubs, _tasks: tasks, _place: place }
    }

    fn every_way() -> [Way; 5] {
        [
            own("files", false),
            streamed("push", 0),
            streamed("watch", 1),
            streamed("watch through a hub", 2),
            own("last-good file", true),
        ]
    }

    impl Way {
        async fn arrives(&self) {
            until(self.name, || equal(&self.source.store().load(), &self.held())).await;
        }

        /// What questions would be answered from.
        fn held(&self) -> Arc<Snapshot> {
            let Some(file) = &self.file else { return self.end.store().load() };
            // The file itself is in use.
            let copy = file.with_extension("copy");
            std::fs::copy(file, &copy).unwrap();
            let (_, store, found) = LastGood::open(&copy, Settings::default()).unwrap();
            assert!(matches!(found, Found::Configuration { .. }), "{found:?}");
            store.load()
        }

        /// Offers something bad. Gives the resources that are refused.
        async fn refused(&self, bad: Vec<v1::Resource>) -> Vec<String> {
            let Some(entry) = &self.entry else {
                let problems = self.source.update(upserts(bad)).unwrap_err();
                return problems.into_iter().filter_map(|it| Some(it.resource?.id.into())).collect();
            };
            let answer = push_once(channel(entry).await, |held| v1::Delta {
                base: Some(protocol::version(held)),
                version: Some(protocol::version(Version { revision: held.revision + 1, ..held })),
                upserts: bad.iter().map(|it| it.encode_to_vec().into()).collect(),
                ..v1::Delta::default()
            });
            match answer.await.unwrap() {
                v1::sink_message::Message::Nack(nack) => {
                    assert_eq!(nack.reason(), v1::NackReason::Invalid);
                    nack.errors.into_iter().filter_map(|error| Some(error.resource?.id)).collect()
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_configuration_arrives_whole_by_every_way() {
        for way in every_way() {
            let first = vec![application("wiki"), user("ada", &["staff"]), binding("wiki", "staff")];
            way.source.update(Update::Replace(first)).unwrap();
            way.arrives().await;
            assert_eq!(way.held().counts().bindings, 1, "{}", way.name);
            let removals = vec![user_named("ada")];
            way.source.update(Update::Delta { upserts: vec![user("bob", &[])], removals }).unwrap();
            way.arrives().await;
            assert!(way.held().user_named("ada").is_none(), "{}", way.name);
            way.source.update(Update::Replace(vec![user("cyd", &[])])).unwrap();
            way.arrives().await;
            let snapshot = way.held();
            assert_eq!((snapshot.counts().users, snapshot.counts().targets), (1, 0), "{}", way.name);
            assert!(!snapshot.freshness().age().stale, "{}", way.name);
        }
    }

    #[tokio::test]
    async fn what_is_bad_is_refused_with_every_resource_and_changes_nothing() {
        for way in every_way() {
            way.source.update(Update::Replace(vec![application("wiki"), user("ada", &[])])).unwrap();
            way.arrives().await;
            let before = way.held();
            let both = |id: &str| {
                let binding = v1::PolicyBinding {
                    id: id.into(),
                    target: Some(target(T::Application("wiki".into()))),
                    policy: "p".into(),
                    group: Some(group_name("staff")),
                    ..Default::default()
                };
                resource(R::PolicyBinding(binding))
            };
            let bad = vec![both("b1"), user("bob", &[]), both("b2"), binding("nowhere", "staff")];
            assert_eq!(way.refused(bad).await, ["b1", "b2", "nowhere-staff"], "{}", way.name);
            let after = way.held();
            assert_eq!(
                (after.version(), after.digest()),
                (before.version(), before.digest()),
                "{}",
                way.name
            );
            // And the right publisher goes on.
            way.source.update(upserts(vec![user("bob", &[])])).unwrap();
            way.arrives().await;
        }
    }

    #[tokio::test]
    async fn a_large_update_arrives_in_parts() {
        for way in every_way() {
            let mut all: Vec<_> =
                (0..20_000).map(|number| user(&format!("user{number}"), &["staff"])).collect();
            way.source.update(Update::Replace(all.clone())).unwrap();
            way.arrives().await;
            assert_eq!(way.held().counts().users, 20_000, "{}", way.name);
            // And as a change: one half of it goes, the other is different.
            all.truncate(10_000);
            all.iter_mut().for_each(|it| {
                if let Some(R::User(user)) = &mut it.resource {
                    user.groups.clear();
                }
            });
            way.source.update(Update::Replace(all)).unwrap();
            way.arrives().await;
            assert_eq!(way.held().counts().users, 10_000, "{}", way.name);
        }
    }

    /// Counts what comes.
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Watcher for Counting {
        fn applied(&self, committed: &Committed) {
            self.0.fetch_add(committed.changed.upserted + committed.changed.removed, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn after_the_server_was_away_there_is_no_gap() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("hub");
        let (source, end, came) = (published(), empty(), Counting::default());
        source.update(Update::Replace((0..100).map(|n| user(&format!("user{n}"), &[])).collect())).unwrap();
        let hub = serve(&source, &path);
        let mut tasks = JoinSet::new();
        follows(&mut tasks, &end, &path, came.clone());
        until("the first", || same(&source, &end)).await;
        assert_eq!(came.0.swap(0, Ordering::Relaxed), 100);
        hub.stop.send_replace(true);
        drop(hub);
        until("the end", || end.store().load().freshness().age().stale).await;
        source.update(Update::Delta { upserts: vec![], removals: vec![user_named("user7")] }).unwrap();
        source.update(upserts(vec![user("user8", &["staff"])])).unwrap();
        sleep(Duration::from_millis(100)).await;
        assert_eq!(end.store().load().counts().users, 100, "what is held is served");
        let _hub = serve(&source, &path);
        until("the rest", || same(&source, &end) && !end.store().load().freshness().age().stale).await;
        assert_eq!(came.0.load(Ordering::Relaxed), 2, "only what changed was sent");
    }

    #[tokio::test]
    async fn who_does_something_wrong_hears_what() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("hub");
        let ledger = published();
        let (stop, stopping) = watch::channel(false);
        let few = bindery::sync::service::SyncOptions { max_followers: 1, ..options("hub", HEARTBEAT) };
        let hub = serve_api(SyncApi::new(Arc::clone(&ledger), few, stopping), stop, &path);
        let channel = channel(&path).await;
        let push = async |messages: Vec<v1::SourceMessage>| {
            let messages = messages.into_iter().map(|message| v1::PushRequest { message: Some(message) });
            let mut client = SyncServiceClient::new(channel.clone());
            let mut from = client.push(tokio_stream::iter(messages)).await?.into_inner();
            while let Some(message) = from.next().await {
                message?;
            }
            Ok::<_, tonic::Status>(())
        };
        let hello = introduction(&ledger, "one", false, HEARTBEAT);
        let changed = |change: fn(&mut v1::SourceHello)| {
            let mut hello = hello.clone();
            if let Some(v1::source_message::Message::Hello(hello)) = &mut hello.message {
                change(hello);
            }
            hello
        };
        let nothing = v1::SourceMessage { message: None };
        for (messages, code, text) in [
            (vec![], Code::InvalidArgument, "hello"),
            (vec![nothing.clone()], Code::InvalidArgument, "hello"),
            (vec![changed(|hello| hello.protocol = 2)], Code::FailedPrecondition, "speak 1"),
            (vec![changed(|hello| hello.node = None)], Code::InvalidArgument, "node"),
            (
                vec![changed(|hello| hello.node = Some(protocol::node(&"x".repeat(256))))],
                Code::InvalidArgument,
                "node",
            ),
            (vec![hello.clone(), nothing], Code::InvalidArgument, "empty"),
            (vec![hello.clone(), hello.clone()], Code::InvalidArgument, "said already"),
        ] {
            let status = push(messages).await.unwrap_err();
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(text), "{status}");
        }
        // One publishes, until somebody takes its place.
        let (to, messages) = mpsc::channel(4);
        to.send(hello.clone()).await.unwrap();
        let (_, mut first) = greet(channel.clone(), messages).await.unwrap();
        let status = push(vec![introduction(&ledger, "two", false, HEARTBEAT)]).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().contains("`one`"), "{status}");
        push(vec![introduction(&ledger, "three", true, HEARTBEAT)]).await.unwrap();
        let displaced = loop {
            match first.next().await.unwrap() {
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(displaced.code(), Code::Aborted);
        assert!(displaced.message().contains("`three`"), "{displaced}");
        // One follows, and there is no room for another.
        let watch = async |node: &str| {
            let (to, messages) = mpsc::channel(4);
            let hello = v1::SinkHello { protocol: 1, node: Some(protocol::node(node)), ..Default::default() };
            let message = Some(v1::SinkMessage { message: Some(v1::sink_message::Message::Hello(hello)) });
            to.send(v1::WatchRequest { message }).await.unwrap();
            let mut client = SyncServiceClient::new(channel.clone());
            let from = client.watch(ReceiverStream::new(messages)).await?.into_inner();
            Ok::<_, tonic::Status>((to, from))
        };
        let (_to, mut follower) = watch("one").await.unwrap();
        assert_eq!(watch("two").await.unwrap_err().code(), Code::ResourceExhausted);
        hub.stop.send_replace(true);
        let ended = loop {
            match follower.next().await.unwrap() {
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(ended.code(), Code::Unavailable);
    }

    #[tokio::test]
    async fn a_server_may_be_closed_to_publishers() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("hub");
        let (stop, stopping) = watch::channel(false);
        let why = "it follows a hub; publish there";
        let closed = bindery::sync::service::SyncOptions {
            closed_to_publishers: Some(why),
            ..options("hub", HEARTBEAT)
        };
        let _hub = serve_api(SyncApi::new(empty(), closed, stopping), stop, &path);
        let status = publish(&published(), channel(&path).await, "one", HEARTBEAT).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, why));
    }

    /// A hub and a follower in memory, where time passes only when nothing else does.
    fn in_memory(
        net: &Net,
        tasks: &mut JoinSet<()>,
        source: &Arc<Ledger>,
        end: &Arc<Ledger>,
    ) -> watch::Sender<bool> {
        let (api, stop) = service(source, "hub", HEARTBEAT);
        let incoming = UnboundedReceiverStream::new(net.listen("hub"));
        tasks.spawn(async move {
            Server::builder().add_service(api.into_service()).serve_with_incoming(incoming).await.unwrap();
        });
        let dial = From { net: net.clone(), host: "follower".into() };
        let (end, options) = (Arc::clone(end), follow_options(vec!["hub".into()]));
        tasks.spawn(async move { match follow(end, options, dial, Nobody).await {} });
        stop
    }

    #[tokio::test(start_paused = true)]
    async fn a_bit_that_flipped_is_found_and_mended() {
        let (net, mut tasks, source, hub, end) =
            (Net::default(), JoinSet::new(), published(), empty(), empty());
        let _source = in_memory(&net, &mut tasks, &source, &hub);
        let beyond = Net::default();
        let _hub = in_memory(&beyond, &mut tasks, &hub, &end);
        source.update(Update::Replace(vec![application("wiki"), user("ada", &["staff"])])).unwrap();
        until("the first", || same(&source, &hub) && same(&source, &end)).await;
        for damaged in [&hub, &end] {
            assert!(damaged.damage(&user_named("ada")));
            assert!(!same(&source, damaged));
            sleep(Duration::from_secs(620)).await;
            assert!(same(&source, damaged));
        }
        // What a hub hands on is mended as well.
        assert_eq!(hub.snapshot().recount(), *source.snapshot().digest());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_revoked_overtakes_a_snapshot_in_transfer() {
        let (net, mut tasks, source, end) = (Net::default(), JoinSet::new(), published(), empty());
        // More than lies ready for the transport.
        let crowd = (0..2_500).map(|n| {
            let (username, name) = (format!("user{n}"), "x".repeat(4_000));
            resource(R::User(v1::User { username, name, ..Default::default() }))
        });
        let ada = user("ada", &["staff"]);
        source.update(Update::Replace(crowd.chain([ada.clone()]).collect())).unwrap();
        let (held, version) = (vec![ada.encode_to_vec().into()], Some(Version { epoch: 3, revision: 1 }));
        end.commit(Sent { upserts: held, replace: Replace::All, version, ..Sent::default() }, false).unwrap();
        // 16 KiB in a tenth of a second: the whole takes about a minute.
        net.set("follower", "hub", Link { delay: Duration::from_millis(100), ..Link::default() });
        let _hub = in_memory(&net, &mut tasks, &source, &end);
        sleep(Duration::from_secs(2)).await;
        source.update(upserts(vec![user("ada", &[])])).unwrap();
        let is_in = |end: &Ledger| !end.store().load().user_named("ada").unwrap().groups.is_empty();
        assert!(is_in(&end));
        until("the revocation", || !is_in(&end)).await;
        assert_eq!(end.store().load().version().epoch, 3, "the snapshot is under way still");
        until("the rest", || same(&source, &end)).await;
    }
}
