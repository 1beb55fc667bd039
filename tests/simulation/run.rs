//! One seed after the other.

use super::hosts::{Host, Role};
use super::truth::{Dice, Seen, Truth, allowed, any_change};
use crate::support::net::{Link, Net};
use crate::support::streams::push_once;
use bindery::model::Version;
use bindery::proto::v1;
use bindery::proto::v1::sink_message::Message;
use bindery::sync::protocol;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How many things happen in one run.
const STEPS: u64 = 24;
/// How long it may take after the last fault until all hold the same. A connection that is dead without telling is
/// noticed after 30 seconds, and somebody may be unlucky with two of them in a row.
const BOUND: u64 = 180;
/// How long all runs may take, when nobody says how many there should be.
const TIME: Duration = Duration::from_secs(50);

const LINKS: [(&str, &str); 8] = [
    ("publisher", "hub1"),
    ("hub2", "hub1"),
    ("near", "hub1"),
    ("near", "hub2"),
    ("far", "hub2"),
    ("both", "hub1"),
    ("both", "hub2"),
    ("evil", "hub1"),
];

fn hosts() -> Vec<Host> {
    vec![
        Host::new("publisher", Role::Publisher("hub1")),
        Host::new("hub1", Role::Entry),
        Host::new("hub2", Role::Hub(vec!["hub1"])),
        Host::new("near", Role::Follower(vec!["hub1"])),
        Host::new("far", Role::Follower(vec!["hub2"])),
        Host::new("both", Role::Follower(vec!["hub2", "hub1"])),
    ]
}

fn any_link(dice: &mut Dice) -> Link {
    match dice.below(4) {
        0 => Link { is_cut: true, ..Link::default() },
        1 => Link { is_held: true, ..Link::default() },
        2 => Link { delay: Duration::from_millis(dice.below(3_000)), ..Link::default() },
        _ => Link::default(),
    }
}

/// Something that nobody may take.
fn bad(held: Version) -> v1::Delta {
    let version = Some(protocol::version(Version { epoch: held.epoch.max(1), revision: held.revision + 1 }));
    let upserts = vec![bytes::Bytes::from_static(b"\x0a\x02\x0a\x00")];
    v1::Delta { base: Some(protocol::version(held)), version, upserts, ..v1::Delta::default() }
}

fn any_way(dice: &mut Dice) -> (&'static str, &'static str) {
    LINKS[usize::try_from(dice.below(LINKS.len() as u64)).unwrap()]
}

fn change(hosts: &[Host], truth: &Truth, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let change = any_change(dice);
        // One that takes what something is bound to is refused right here.
        if hosts[0].is_running() && hosts[0].ledger.update(change).is_ok() {
            truth.publish(hosts[0].ledger.snapshot());
        }
    }
}

/// A hub that forgot its history gives everything to those who were away, slowly, and meanwhile something is revoked.
async fn forget(hosts: &mut [Host], net: &Net, truth: &Truth, dice: &mut Dice) {
    let delay = Duration::from_millis(20 + dice.below(100));
    for (from, to) in [("near", "hub1"), ("far", "hub2"), ("hub2", "hub1")] {
        if dice.one_in(2) {
            net.set(from, to, Link { is_cut: true, ..Link::default() });
            change(hosts, truth, dice);
            sleep(Duration::from_secs(1)).await;
            let hub = hosts.iter_mut().find(|host| host.name == to).unwrap();
            hub.kill(net);
            hub.start(net, truth, dice, true);
            net.set(from, to, Link { delay, ..Link::default() });
        }
    }
    let rounds = if dice.is_long { 30 } else { 4 };
    for round in 0..rounds {
        sleep(Duration::from_millis(dice.below(300))).await;
        if round % 4 == 0 {
            change(hosts, truth, dice);
        }
        for host in &*hosts {
            truth.examine(host.name, &host.ledger.store().load());
        }
    }
}

async fn step(hosts: &mut [Host], net: &Net, truth: &Truth, dice: &mut Dice) {
    let place = usize::try_from(dice.below(hosts.len() as u64)).unwrap();
    let what = if dice.is_long && dice.one_in(2) { 10 } else { dice.below(12) };
    match what {
        0..=3 => change(hosts, truth, dice),
        4 | 5 => {
            let (from, to) = any_way(dice);
            net.set(from, to, any_link(dice));
        }
        6 => hosts[place].kill(net),
        7 => {
            hosts[place].kill(net);
            let remembers = !dice.one_in(3);
            hosts[place].start(net, truth, dice, remembers);
        }
        8 => {
            if !hosts[place].is_running() {
                let remembers = !dice.one_in(3);
                hosts[place].start(net, truth, dice, remembers);
            }
        }
        9 => {
            let (net, truth) = (net.clone(), truth.clone());
            tokio::spawn(async move {
                if let Ok(channel) = net.channel("evil", "hub1").await
                    && let Ok(Ok(Message::Nack(_))) =
                        timeout(Duration::from_secs(5), push_once(channel, bad)).await
                {
                    truth.saw(Seen { refused: 1, ..Seen::default() });
                }
            });
        }
        10 => forget(hosts, net, truth, dice).await,
        _ => {
            // A new life of the publisher, of which not everybody hears at once.
            let (from, to) = any_way(dice);
            net.set(from, to, Link { is_held: dice.one_in(2), is_cut: true, ..Link::default() });
            hosts[0].kill(net);
            hosts[0].start(net, truth, dice, false);
            change(hosts, truth, dice);
        }
    }
}

fn all_same(hosts: &[Host]) -> bool {
    let newest = hosts[0].ledger.snapshot();
    hosts.iter().all(|host| {
        let held = host.ledger.store().load();
        held.version() == newest.version() && held.digest() == newest.digest()
    })
}

async fn run(seed: u64, truth: &Truth) -> Result<Duration, Vec<String>> {
    let (net, mut dice) = (Net::default(), Dice::new(seed));
    let mut hosts = hosts();
    for host in &mut hosts {
        host.start(&net, truth, &mut dice, false);
    }
    for _ in 0..STEPS {
        step(&mut hosts, &net, truth, &mut dice).await;
        for _ in 0..=dice.below(4) {
            sleep(Duration::from_millis(dice.below(1_500))).await;
            for host in &hosts {
                truth.examine(host.name, &host.ledger.store().load());
            }
        }
    }
    net.heal();
    for host in hosts.iter_mut().filter(|host| !host.is_running()) {
        let remembers = dice.one_in(2);
        host.start(&net, truth, &mut dice, remembers);
    }
    let mut seconds = 0;
    while !all_same(&hosts) && seconds < BOUND {
        sleep(Duration::from_secs(1)).await;
        seconds += 1;
        for host in &hosts {
            truth.examine(host.name, &host.ledger.store().load());
        }
    }
    let newest = hosts[0].ledger.snapshot();
    for host in &hosts {
        let held = host.ledger.store().load();
        if held.version() != newest.version() || held.digest() != newest.digest() {
            truth.wrong(format!(
                "{} holds {} in the end, not {}",
                host.name,
                held.version(),
                newest.version()
            ));
        } else if allowed(&held) != allowed(&newest) {
            truth.wrong(format!("{} allows something else in the end", host.name));
        } else if held.recount() != *held.digest() {
            truth.wrong(format!("{} holds something else than it believes", host.name));
        }
    }
    let wrong = truth.all_wrong();
    if wrong.is_empty() { Ok(Duration::from_secs(seconds)) } else { Err(wrong) }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_nobody_serves_a_mixture_and_all_agree_in_the_end() {
    let (wanted, first) = (number("BINDERY_SEEDS"), number("BINDERY_SEED").unwrap_or(0));
    let start = Instant::now();
    let (mut done, mut slowest, mut failed, mut seen) = (0, Duration::ZERO, Vec::new(), Seen::default());
    for seed in first..first + wanted.unwrap_or(1_000) {
        if wanted.is_none() && start.elapsed() > TIME {
            break;
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let truth = Truth::default();
        match runtime.block_on(run(seed, &truth)) {
            Ok(took) => slowest = slowest.max(took),
            Err(wrong) => failed.push((seed, wrong)),
        }
        seen += truth.seen();
        done += 1;
    }
    println!(
        "{done} seeds in {:?}; the slowest agreed {slowest:?} after the last fault; {seen:?}",
        start.elapsed()
    );
    assert!(failed.is_empty(), "{} of {done} seeds failed: {failed:#?}", failed.len());
}
