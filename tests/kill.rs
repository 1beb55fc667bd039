//! A server that is killed again and again while somebody publishes: it starts from its last-good file every time, with a
//! revision that it acknowledged or a newer one, whole. `BINDERY_KILLS` sets how often.

#[cfg(test)]
mod tests {
    use bindery::model::Version;
    use bindery::proto::resource::hash;
    use bindery::proto::v1;
    use bindery::proto::v1::sync_service_client::SyncServiceClient;
    use bindery::sync::follow::endpoint;
    use bindery::sync::protocol::{node, total_of, version, version_of};
    use futures_util::StreamExt;
    use prost::Message as _;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;
    use tonic::Streaming;
    use v1::resource::Resource as R;
    use v1::sink_message::Message as Said;
    use v1::source_message::Message;

    const EPOCH: u64 = 77;
    const USERS: u64 = 40;

    fn user(revision: u64) -> Vec<u8> {
        let user = v1::User {
            username: format!("user-{}", revision % USERS),
            name: format!("as of {revision}"),
            ..Default::default()
        };
        v1::Resource { resource: Some(R::User(user)) }.encode_to_vec()
    }

    /// What everything sums up to at a revision: each of the users as it was written last.
    fn total(revision: u64) -> u128 {
        let last = (1..=revision).rev().take(USERS as usize);
        last.fold(0, |sum, revision| sum.wrapping_add(hash(&user(revision))))
    }

    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _gone = self.0.wait();
        }
    }

    fn start(directory: &Path) -> Server {
        let child = Command::new(env!("CARGO_BIN_EXE_bindery"))
            .args(["serve", "--listen", "none", "--log-level", "warn", "--socket"])
            .arg(directory.join("q"))
            .arg("--sync-socket")
            .arg(directory.join("s"))
            .arg("--last-good")
            .arg(directory.join("last"))
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Server(child)
    }

    struct Push {
        to: mpsc::Sender<v1::PushRequest>,
        from: Streaming<v1::PushResponse>,
        held: Version,
        total: Option<u128>,
    }

    impl Push {
        /// Connects as soon as the server listens.
        async fn connect(directory: &Path) -> Self {
            let address = format!("unix://{}", directory.join("s").display());
            let endpoint = endpoint(&address).unwrap();
            let channel = loop {
                match endpoint.connect().await {
                    Ok(channel) => break channel,
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            };
            let (to, messages) = mpsc::channel(64);
            let hello = v1::SourceHello { protocol: 1, node: Some(node("test")), ..Default::default() };
            let hello = v1::SourceMessage { message: Some(Message::Hello(hello)) };
            to.send(v1::PushRequest { message: Some(hello) }).await.unwrap();
            let mut client = SyncServiceClient::new(channel);
            let mut from = client.push(ReceiverStream::new(messages)).await.unwrap().into_inner();
            let first = from.next().await.unwrap().unwrap().message.unwrap().message.unwrap();
            let Said::Hello(hello) = first else { panic!("{first:?}") };
            let (held, total) = (version_of(hello.version.as_ref()), total_of(hello.digest.as_ref()));
            Self { to, from, held, total }
        }

        async fn say(&self, message: Message) -> bool {
            let message = v1::SourceMessage { message: Some(message) };
            self.to.send(v1::PushRequest { message: Some(message) }).await.is_ok()
        }

        async fn change(&self, revision: u64) -> bool {
            let at = |revision| Some(version(Version { epoch: EPOCH, revision }));
            let upserts = vec![user(revision).into()];
            if revision == 1 {
                let (kind, count) = (v1::UpdateKind::Snapshot.into(), 1);
                self.say(Message::Begin(v1::Begin { kind, version: at(1), count, ..Default::default() }))
                    .await;
                self.say(Message::Chunk(v1::Chunk { upserts, ..Default::default() })).await;
                return self.say(Message::Commit(v1::Commit { count, digest: None })).await;
            }
            let (base, version) = (at(revision - 1), at(revision));
            let digest = v1::Digest { total: total(revision).to_le_bytes().to_vec(), kinds: Vec::new() };
            let digest = Some(digest);
            self.say(Message::Delta(v1::Delta { base, version, upserts, digest, ..Default::default() })).await
        }
    }

    #[tokio::test]
    async fn killed_at_any_moment_it_comes_back_with_what_it_acknowledged() {
        let kills: u32 = std::env::var("BINDERY_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(200);
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (mut acknowledged, mut times) = (0, Vec::new());
        for kill in 0..kills {
            let started = Instant::now();
            let mut server = start(directory);
            let mut push = Push::connect(directory).await;
            times.push(started.elapsed());
            let revision = push.held.revision;
            assert!(
                revision >= acknowledged,
                "{revision} after {acknowledged} was acknowledged, kill {kill}"
            );
            assert!(revision == 0 || push.held.epoch == EPOCH);
            assert_eq!(push.total, Some(total(revision)), "kill {kill}");
            // Some are under way when it dies; how many acknowledgements are waited for differs from time to time.
            let (mut sent, wanted) = (revision, u64::from(kill % 7));
            let mut heard = 0;
            for _ in 0..6 + kill % 11 {
                sent += 1;
                if !push.change(sent).await {
                    break;
                }
            }
            while heard < wanted {
                match push.from.next().await.unwrap().unwrap().message.unwrap().message.unwrap() {
                    Said::Ack(ack) => {
                        acknowledged = version_of(ack.version.as_ref()).revision;
                        heard += 1;
                    }
                    Said::Heartbeat(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            server.0.kill().unwrap();
            server.0.wait().unwrap();
        }
        times.sort_unstable();
        println!(
            "killed {kills} times at up to revision {acknowledged}; from start to serving: half within {:?}, the \
             longest {:?}",
            times[times.len() / 2],
            times.last().unwrap()
        );
        assert!(acknowledged > 0);
    }
}
