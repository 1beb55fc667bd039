//! Many requests through Envoy at once, while configurations change, and while binderies come and go.

use super::bindery::Place;
use super::client::{Connection, Reply, Request, get};
use super::envoy::{Config, Envoy};
use super::tools::found;
use super::upstream::Upstream;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const GRAFANA: &str = "grafana.example.com";

/// With time for everything: how long things take on a busy machine is not what is tested.
pub(crate) fn patient(config: Config) -> Config {
    config.put("0.5s", "60s").put("connect_timeout: 0.25s", "connect_timeout: 60s")
}

/// Clients that ask again and again until they are told to end.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    /// So many clients at this port; what each of their answers has to be is `check`'s to say.
    pub(crate) fn start(
        clients: usize,
        port: u16,
        request: &Request,
        check: impl Fn(&Reply) + Send + Sync + 'static,
    ) -> Self {
        let (ends, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let check = Arc::new(check);
        let mut set = JoinSet::new();
        for _ in 0..clients {
            let (ends, answered, check) = (Arc::clone(&ends), Arc::clone(&answered), Arc::clone(&check));
            let request = request.clone();
            set.spawn(async move {
                let mut connection = Connection::open(port).await;
                while !ends.load(Ordering::SeqCst) {
                    check(&connection.send(&request).await);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { ends, answered, clients: set }
    }

    /// Waits until so many more have been answered.
    pub(crate) async fn go_on(&mut self, more: usize) {
        let goal = self.answered.load(Ordering::SeqCst) + more;
        while self.answered.load(Ordering::SeqCst) < goal {
            // One that ends before it is told to has seen what it should not.
            if let Some(ended) = self.clients.try_join_next() {
                ended.unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Ends; how many were answered.
    pub(crate) async fn end(mut self) -> usize {
        self.ends.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.answered.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_are_all_answered_rightly() {
    let program = found!("envoy");
    let (place, upstream) = (Place::new(), Upstream::start());
    // However slow the machine is: what is too much for it is not what this is about.
    let _bindery = place.start_on(&place.settings(), &["--max-queue-ms", "60000"]);
    let config = patient(Config::new("static.yaml", &place.socket(), upstream.port));
    let envoy = Envoy::start(&program, &config).await;
    let tokens: Vec<_> = ["ada", "eve", "pat"].iter().map(|who| place.issuer.token(who)).collect();
    let barrier = Arc::new(Barrier::new(1000));
    let mut set = JoinSet::new();
    for number in 0..1000 {
        let path = if number % 8 < 4 { "/" } else { "/admin" };
        let request = get(GRAFANA, &format!("{path}?{number}"));
        let (request, who) = match number % 4 {
            3 => (request, "nobody"),
            who => (request.token(&tokens[who]), ["ada", "eve", "pat"][who]),
        };
        let (barrier, port) = (Arc::clone(&barrier), envoy.port);
        set.spawn(async move {
            let mut connection = Connection::open(port).await;
            barrier.wait().await;
            (number, path, who, connection.send(&request).await)
        });
    }
    let mut ids = BTreeSet::new();
    while let Some(answered) = set.join_next().await {
        let (number, path, who, reply) = answered.unwrap();
        let status = match (who, path) {
            ("nobody", _) => 401,
            ("pat", _) | ("ada", "/") => 200,
            _ => 403,
        };
        assert_eq!(reply.status, status, "{who} {path}: {reply:?}\n{}", envoy.counted().await);
        if status == 200 {
            let seen = reply.seen();
            assert_eq!(seen.all("x-authentik-username"), [who]);
            assert_eq!(seen.target, format!("{path}?{number}"));
        } else {
            ids.insert(reply.header("x-bindery-decision-id").unwrap().to_owned());
        }
    }
    assert_eq!((upstream.arrived(), ids.len()), (375, 625));
}

/// A configuration in one of two states. What is taken from both at once shows.
fn state(name: &str, other: &str) -> String {
    format!(
        "applications: [{{slug: grafana}}, {{slug: {name}-app}}, {{slug: {other}-app}}]
groups: [{{name: {name}}}, {{name: {other}}}]
users:
  - {{id: u-ada, username: ada, name: {name}, email: {name}@example.com, groups: [{{name: {name}}}]}}
policy_bindings:
  - {{target: {{application: grafana}}, group: {{name: {name}}}}}
  - {{target: {{application: {name}-app}}, group: {{name: {name}}}}}
  - {{target: {{application: {other}-app}}, group: {{name: {other}}}}}
routes:
  - {{host: routed.example.com, target: {{application: {name}-app}}}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_configurations_change_every_answer_is_of_one() {
    let program = found!("envoy");
    let (place, upstream) = (Place::new(), Upstream::start());
    let sync = place.path("sync.sock");
    let settings = place.settings();
    let lines: Vec<_> = settings.lines().filter(|line| !line.starts_with("bundle")).collect();
    let _bindery = place.start_on(&lines.join("\n"), &["--sync-socket", sync.to_str().unwrap()]);
    let states = [state("red", "blue"), state("blue", "red")];
    place.push(&sync, &states[0]);
    let config = patient(Config::new("static.yaml", &place.socket(), upstream.port));
    let envoy = Envoy::start(&program, &config).await;
    let token = place.issuer.token("ada");
    let check = |reply: &Reply| {
        let seen = reply.seen();
        let name = seen.all("x-authentik-name").concat();
        assert!(matches!(name.as_str(), "red" | "blue"), "{seen:?}");
        assert_eq!(seen.all("x-authentik-groups"), [name.as_str()], "a mix: {seen:?}");
        assert_eq!(seen.all("x-authentik-email"), [format!("{name}@example.com")], "a mix: {seen:?}");
    };
    let named = Load::start(8, envoy.port, &get(GRAFANA, "/").token(&token), check);
    let mut routed = Load::start(8, envoy.port, &get("routed.example.com", "/").token(&token), check);
    for push in 1..40 {
        place.push(&sync, &states[push % 2]);
        routed.go_on(10).await;
    }
    let answered = named.end().await + routed.end().await;
    // The other half of each answer: the route, the decision and the revision that they stand on.
    let (mut seen, mut allowed) = (BTreeSet::new(), 0);
    for access in envoy.accesses(answered) {
        assert_eq!(access["decision"], "allow", "{access}");
        allowed += 1;
        let revision = access["revision"].as_f64().unwrap();
        seen.insert(revision.to_string());
        if access["host"] == "routed.example.com" {
            let target = if revision % 2.0 == 1.0 { "application/red-app" } else { "application/blue-app" };
            assert_eq!(access["target"], target, "{access}");
        }
    }
    assert_eq!(allowed, answered);
    assert!(seen.len() > 20, "only {} of 40 configurations were ever decided by", seen.len());
}

/// Two binderies beside one Envoy; each of them ends and comes back while requests run, and none of those fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bindery_takes_over_from_another_without_a_failure() {
    let program = found!("envoy");
    let (place, upstream) = (Place::new(), Upstream::start());
    let second = place.path("second.sock");
    let second_settings =
        place.settings().replace("bindery.sock", "second.sock").replace("http.sock", "http-second.sock");
    let delay = ["--shutdown-delay-seconds", "3"];
    let mut first_bindery = place.start_on(&place.settings(), &delay);
    let mut second_bindery = place.start_on(&second_settings, &delay);
    let config = patient(Config::new("static.yaml", &place.socket(), upstream.port).with_second(&second));
    let envoy = Envoy::start(&program, &config).await;
    envoy.until("both are healthy", async |envoy| envoy.healthy().await == 2).await;
    let request = get(GRAFANA, "/").token(&place.issuer.token("ada"));
    let mut load = Load::start(8, envoy.port, &request, |reply| {
        assert_eq!(reply.seen().all("x-authentik-username"), ["ada"]);
    });
    load.go_on(100).await;
    for round in 0..2 {
        let (bindery, settings) = match round {
            0 => (&mut first_bindery, place.settings()),
            _ => (&mut second_bindery, second_settings.clone()),
        };
        bindery.terminate();
        while !bindery.has_ended() {
            load.go_on(10).await;
        }
        assert_eq!(envoy.healthy().await, 1, "Envoy did not hear that one is going to end");
        load.go_on(100).await;
        *bindery = place.start_on(&settings, &delay);
        envoy.until("it is back", async |envoy| envoy.healthy().await == 2).await;
        load.go_on(100).await;
    }
    let answered = load.end().await;
    assert_eq!(upstream.arrived(), answered);
    assert_eq!(envoy.counter("http.ingress.ext_authz.error").await, 0);
}

/// One bindery alone: it answers rightly until it has ended, and then nothing gets through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bindery_that_ends_answers_until_it_has_ended() {
    let program = found!("envoy");
    let (place, upstream) = (Place::new(), Upstream::start());
    let mut bindery = place.start_on(&place.settings(), &["--shutdown-delay-seconds", "2"]);
    let config = patient(Config::new("static.yaml", &place.socket(), upstream.port));
    let envoy = Envoy::start(&program, &config).await;
    let request = get(GRAFANA, "/").token(&place.issuer.token("ada"));
    let (decided, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, failed) = (Arc::clone(&decided), Arc::clone(&refused));
    let mut load = Load::start(8, envoy.port, &request, move |reply| match reply.status {
        503 => drop(failed.fetch_add(1, Ordering::SeqCst)),
        _ => {
            assert_eq!(reply.seen().all("x-authentik-username"), ["ada"]);
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    load.go_on(100).await;
    bindery.terminate();
    // Health says at once that it is going to end. All of these are answered in the time that it has left.
    envoy.until("Envoy hears of the end", async |envoy| envoy.healthy().await == 0).await;
    let before = decided.load(Ordering::SeqCst);
    load.go_on(50).await;
    assert!(decided.load(Ordering::SeqCst) > before, "nothing is decided any more");
    assert_eq!(
        refused.load(Ordering::SeqCst),
        0,
        "some were refused before the end: {}",
        envoy.counted().await
    );
    while !bindery.has_ended() {
        load.go_on(1).await;
    }
    // What is under way now may have been answered at the last moment; what begins now is not.
    load.go_on(16).await;
    let last = decided.load(Ordering::SeqCst);
    load.go_on(100).await;
    assert_eq!(decided.load(Ordering::SeqCst), last, "something got through without bindery");
    let _successor = place.start();
    envoy.until("the next one is asked", async |_| decided.load(Ordering::SeqCst) > last).await;
    let answered = load.end().await;
    assert_eq!(answered, decided.load(Ordering::SeqCst) + refused.load(Ordering::SeqCst));
    assert_eq!(upstream.arrived(), decided.load(Ordering::SeqCst));
}
