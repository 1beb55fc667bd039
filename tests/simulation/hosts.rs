//! The hosts of the simulation, which can be killed at any moment and come back with or without what they held.

use super::truth::{Dice, Seen, Truth, any_configuration};
use crate::support::net::{From, Net};
use crate::support::streams::{publish, service};
use bindery::model::Version;
use bindery::proto::v1;
use bindery::store::{Replace, Settings, Snapshot, Store};
use bindery::sync::apply::Sent;
use bindery::sync::follow::{FollowOptions, follow};
use bindery::sync::ledger::{Committed, Ledger};
use bindery::sync::sink::Watcher;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;

const HEARTBEAT: Duration = Duration::from_secs(5);

/// What a host does.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Publishes to this hub.
    Publisher(&'static str),
    /// Takes what is published and hands it on.
    Entry,
    /// Follows these, and hands it on.
    Hub(Vec<&'static str>),
    /// Follows these.
    Follower(Vec<&'static str>),
}

/// One host.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) ledger: Arc<Ledger>,
    running: Option<Running>,
}

struct Running {
    _tasks: JoinSet<()>,
    _stop: watch::Sender<bool>,
}

fn empty() -> Arc<Ledger> {
    Arc::new(Ledger::new(Arc::new(Store::new(Settings::default()))))
}

/// A ledger of a new life that holds what another did, as from its last good file.
fn remembering(snapshot: &Snapshot, version: Version) -> Arc<Ledger> {
    let ledger = empty();
    if !snapshot.is_unset() {
        let upserts = snapshot.resources().map(|(_, bytes)| bytes.into()).collect();
        let sent = Sent { upserts, replace: Replace::All, version: Some(version), ..Sent::default() };
        ledger.commit(sent, false).unwrap();
    }
    ledger
}

/// Checks whatever comes into force in one life of a host.
struct Checking {
    who: &'static str,
    truth: Truth,
    /// The newest revision of every epoch.
    newest: Mutex<HashMap<u64, u64>>,
}

impl Watcher for Checking {
    fn applied(&self, committed: &Committed) {
        let (who, version) = (self.who, committed.snapshot.version());
        if !self.truth.is_published(&committed.snapshot) {
            self.truth.wrong(format!("{who} has put {version} into force, which is not what was published"));
        }
        let mut newest = self.newest.lock().unwrap();
        let epochs = u64::from(!newest.is_empty() && !newest.contains_key(&version.epoch));
        self.truth.saw(Seen { applied: 1, epochs, ..Seen::default() });
        let before = newest.insert(version.epoch, version.revision);
        if before.is_some_and(|before| before > version.revision) {
            self.truth.wrong(format!("{who} went back from revision {before:?} to {version}"));
        }
    }

    fn refused(&self, _nack: &v1::Nack) {
        self.truth.saw(Seen { refused: 1, ..Seen::default() });
    }
}

impl Host {
    pub(crate) fn new(name: &'static str, role: Role) -> Self {
        Self { name, role, ledger: empty(), running: None }
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Kills it, wherever its tasks are.
    pub(crate) fn kill(&mut self, net: &Net) {
        self.running = None;
        net.kill(self.name);
    }

    /// Starts it anew, with what it held or without.
    pub(crate) fn start(&mut self, net: &Net, truth: &Truth, dice: &mut Dice, remembers: bool) {
        let held = self.ledger.snapshot();
        self.ledger = match (&self.role, remembers) {
            (Role::Publisher(_), false) => {
                // Its files are as they were, but it does not know where it stood.
                let version = Version { epoch: dice.any() | 1, revision: 1 };
                if held.is_unset() { first(version, dice) } else { remembering(&held, version) }
            }
            (_, true) => remembering(&held, held.version()),
            (_, false) => empty(),
        };
        if let Role::Publisher(_) = self.role {
            truth.publish(self.ledger.snapshot());
        }
        let mut tasks = JoinSet::new();
        let (api, stop) = service(&self.ledger, self.name, HEARTBEAT);
        if !matches!(self.role, Role::Publisher(_) | Role::Follower(_)) {
            let incoming = UnboundedReceiverStream::new(net.listen(self.name));
            tasks.spawn(async move {
                Server::builder()
                    .add_service(api.into_service())
                    .serve_with_incoming(incoming)
                    .await
                    .unwrap();
            });
        }
        match self.role.clone() {
            Role::Publisher(hub) => self.publishes(net, hub, &mut tasks),
            Role::Entry => {}
            Role::Hub(upstreams) | Role::Follower(upstreams) => {
                // Now and then two connections bring the same.
                let times = if dice.one_in(5) { 2 } else { 1 };
                for turn in 0..times {
                    let mut upstreams = upstreams.clone();
                    let first = turn % upstreams.len();
                    upstreams.rotate_left(first);
                    self.follows(net, truth, &upstreams, &mut tasks);
                }
            }
        }
        self.running = Some(Running { _tasks: tasks, _stop: stop });
    }

    fn publishes(&self, net: &Net, hub: &'static str, tasks: &mut JoinSet<()>) {
        let (net, name, ledger) = (net.clone(), self.name, Arc::clone(&self.ledger));
        tasks.spawn(async move {
            loop {
                if let Ok(channel) = net.channel(name, hub).await {
                    let _ended = publish(&ledger, channel, name, HEARTBEAT).await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    fn follows(&self, net: &Net, truth: &Truth, upstreams: &[&'static str], tasks: &mut JoinSet<()>) {
        let upstreams = upstreams.iter().map(|it| (*it).to_owned()).collect();
        let options =
            FollowOptions { heartbeat: HEARTBEAT, ..FollowOptions::new(upstreams, self.name.to_owned()) };
        let dial = From { net: net.clone(), host: self.name.into() };
        let checking = Checking { who: self.name, truth: truth.clone(), newest: Mutex::default() };
        let ledger = Arc::clone(&self.ledger);
        tasks.spawn(async move { match follow(ledger, options, dial, checking).await {} });
    }
}

fn first(version: Version, dice: &mut Dice) -> Arc<Ledger> {
    use prost::Message as _;
    let ledger = empty();
    let upserts = any_configuration(dice).iter().map(|it| it.encode_to_vec().into()).collect();
    let sent = Sent { upserts, replace: Replace::All, version: Some(version), ..Sent::default() };
    ledger.commit(sent, false).unwrap();
    ledger
}
