//! The example of a publisher as it stands, in Python: its pushes to the real server, its refusals, its digests.
//!
//! Needs python3 with venv and pip, and a package index for the first run; without them nothing is checked.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod generate;
    pub(crate) mod make;
    pub(crate) mod python;
    pub(crate) mod sidecar;
}

#[cfg(test)]
mod tests {
    use crate::support::generate::any_world;
    use crate::support::python;
    use crate::support::sidecar::{Running, Server, bindery, until};
    use bindery::proto;
    use proptest::strategy::{Strategy as _, ValueTree as _};
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    use serde_json::{Value, json};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/publisher")
    }

    struct Publisher {
        file: PathBuf,
        log: PathBuf,
        _process: Running,
    }

    impl Publisher {
        fn start(python: &Path, server: &Server, content: &Value) -> Self {
            let file = server.directory.path().join("company.json");
            let log = server.directory.path().join("log");
            fs::write(&file, content.to_string()).unwrap();
            let process = Command::new(python)
                .arg("-B")
                .arg(example().join("publisher.py"))
                .arg(&file)
                .args(["--to", &server.address()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(&log).unwrap())
                .spawn()
                .unwrap();
            Self { file, log, _process: Running(process) }
        }

        fn write(&self, content: &Value) {
            // As editors do, so that no half of it is read.
            let beside = self.file.with_extension("new");
            fs::write(&beside, content.to_string()).unwrap();
            fs::rename(beside, &self.file).unwrap();
        }

        fn words(&self) -> String {
            fs::read_to_string(&self.log).unwrap()
        }
    }

    fn company() -> Value {
        serde_json::from_str(&fs::read_to_string(example().join("company.json")).unwrap()).unwrap()
    }

    fn may(server: &Server, user: &str) -> bool {
        let questions = format!("unix:{}", server.directory.path().join("q").display());
        let check = bindery()
            .args(["check", "application/payroll", "--user", user, "--server", &questions])
            .output()
            .unwrap();
        assert_ne!(check.status.code(), Some(2), "{}", String::from_utf8_lossy(&check.stderr));
        check.status.code() == Some(0)
    }

    #[test]
    fn the_example_publishes() {
        let Some(python) = python::with("a publisher", &example().join("requirements.txt")) else { return };
        let mut server = Server::new(&[]);
        let publisher = Publisher::start(&python, &server, &company());
        let in_force = |server: &Server, revision: u64| {
            until("a revision is in force", || {
                assert!(!publisher.words().contains("Traceback"), "{}", publisher.words());
                (server.status().1["revision"] == revision).then_some(())
            });
        };
        in_force(&server, 1);
        assert!(may(&server, "ada") && !may(&server, "bela"));

        // A change travels as a delta, and is enforced.
        let mut changed = company();
        changed["people"]["ada"] = json!(["engineering"]);
        publisher.write(&changed);
        in_force(&server, 2);
        assert!(!may(&server, "ada"));

        // One that is wrong is refused, named, and not sent again.
        let mut wrong = changed.clone();
        let binding = json!({"id": "x", "target": {"application": "attic"}, "group": {"name": "staff"}});
        wrong["resources"] = json!([{ "policy_binding": binding }]);
        wrong["people"]["bela"] = json!(["finance"]);
        publisher.write(&wrong);
        until("it is refused", || publisher.words().contains("refused: ").then_some(()));
        assert!(
            publisher.words().contains("x target: there is no application `attic`"),
            "{}",
            publisher.words()
        );
        assert!(!may(&server, "bela"), "nothing of it counts");
        publisher.write(&changed);
        // The same content has the next revision of its own.
        until("it is level again", || publisher.words().matches("in force").nth(2).map(drop));
        assert_eq!(publisher.words().matches("refused: ").count(), 1, "{}", publisher.words());

        // A server that lost everything gets it again.
        server.restart();
        until("it is back", || (server.status().1["resources"]["user"] == 3).then_some(()));
        assert!(!may(&server, "ada"));

        // A file that cannot be read changes nothing.
        fs::write(&publisher.file, "{").unwrap();
        until("it is said", || publisher.words().contains("cannot be used").then_some(()));
        assert!(!may(&server, "ada"));
    }

    /// One of every kind, with what may be spelled in several ways.
    fn every_kind() -> Value {
        let attributes = json!({
            "floor": -3, "half": 0.5, "name": "Zo\u{eb} \u{1f511}", "nested": {"b": [1, null, {"c": true}], "a": {}},
            "large": 9_007_199_254_740_991_i64,
        });
        json!([
            {"application": {"slug": "wiki", "name": "Wiki", "empty_result": true}},
            {"entitlement": {"application": "wiki", "name": "edit", "attributes": attributes}},
            {"source": {"slug": "corp"}},
            {"flow": {"slug": "login", "title": ""}},
            {"stage": {"name": "ask", "kind": "prompt"}},
            {"flow_stage_binding": {"id": "fsb", "flow": "login", "stage": "ask", "order": -5}},
            {"device_access_group": {"name": "office"}},
            {"device": {"identifier": "D-1", "access_group": "office", "facts": attributes}},
            {"notification_rule": {"name": "alarm"}},
            {"rac_endpoint": {"id": "db", "name": "Database", "application": "wiki"}},
            {"policy": {"name": "yes", "dummy": {"result": true}}},
            {"policy_binding": {
                "id": "6f1c2b1e-0000-4000-8000-00000000000a", "target": {"application": "wiki"}, "policy": "yes",
                "enabled": true, "timeout": "30s", "order": 0,
            }},
            {"user": {"username": "ada", "is_active": true, "attributes": attributes}},
            {"group": {"name": "staff", "attributes": {}}},
            {"reputation_score": {"id": "r", "identifier": "ada", "ip": "203.0.113.9", "score": -4}},
            {"route": {
                "id": "way", "host": "WIKI.example.com", "pathPrefix": "/x/", "methods": ["PUT", "GET"],
                "target": {"application": "wiki"}, "anonymous": false,
            }},
        ])
    }

    #[test]
    fn its_digests_are_ours_for_every_kind() {
        let Some(python) = python::with("a publisher", &example().join("requirements.txt")) else { return };
        let server = Server::new(&[]);
        let publisher = Publisher::start(&python, &server, &json!({ "resources": every_kind() }));
        // An update whose digest is another one would be refused.
        let in_force = |revision: u64| {
            until("a revision is in force", || {
                let words = publisher.words();
                assert!(!words.contains("refused") && !words.contains("cannot be used"), "{words}");
                (server.status().1["revision"] == revision).then_some(())
            });
        };
        in_force(1);
        assert_eq!(server.status().1["resources"].as_object().unwrap().len(), 16);
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        for revision in 2..6 {
            let world = any_world().new_tree(&mut runner).unwrap().current();
            let mut resources: Vec<Value> = world
                .resources()
                .iter()
                .map(|resource| proto::to_json("bindery.v1.Resource", resource).unwrap())
                .collect();
            for (number, resource) in resources.iter_mut().enumerate() {
                // The example wants to know them by their ids.
                for kind in ["policy_binding", "route"] {
                    if let Some(it) = resource.get_mut(kind)
                        && it.get("id").is_none()
                    {
                        it["id"] = json!(format!("{kind}-number-{number}"));
                    }
                }
            }
            publisher.write(&json!({ "resources": resources }));
            in_force(revision);
            let held = server.status().1["resources"].as_object().unwrap().clone();
            let held: u64 = held.values().filter_map(Value::as_u64).sum();
            assert_eq!(held, resources.len() as u64);
        }
        assert!(!publisher.words().contains("asked for everything"), "{}", publisher.words());
    }
}
