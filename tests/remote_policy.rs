//! The example of remote policies as it stands: its server in Python, started as its README says, and asked by bindery.
//!
//! Needs python3 with venv and pip, and a package index for the first run; without them nothing is checked.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
    pub(crate) mod python;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{policy, resource, target};
    use crate::support::python;
    use bindery::api::ask::{check, now};
    use bindery::evaluators::Evaluators;
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(45);

    fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/remote_policy")
    }

    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }

    /// A question to one policy at this address.
    async fn ask(evaluators: &Evaluators, address: &str, name: &str, username: &str) -> v1::CheckResponse {
        let kind = v1::RemotePolicy { address: address.into(), ..Default::default() };
        let wiki = || target(T::Application("wiki".into()));
        let totp = v1::Authenticator { r#type: "totp".into(), confirmed: Some(true) };
        let resources = vec![
            resource(R::Application(v1::Application { slug: "wiki".into(), ..Default::default() })),
            resource(R::User(v1::User {
                username: "ada".into(),
                authenticators: vec![totp],
                ..Default::default()
            })),
            policy(name, v1::policy::Kind::Remote(kind)),
            resource(R::PolicyBinding(v1::PolicyBinding {
                target: Some(wiki()),
                policy: name.into(),
                ..Default::default()
            })),
        ];
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(resources)).unwrap();
        let subject = Some(v1::Subject { username: username.into(), ..Default::default() });
        let question = v1::CheckRequest { target: Some(wiki()), subject, ..Default::default() };
        check(&store, evaluators, question, now()).await.unwrap()
    }

    /// The file of the example, for this address.
    fn at(folder: &Path, name: &str, address: &str) {
        let text = fs::read_to_string(example().join(name)).unwrap();
        fs::write(folder.join(name), text.replace("unix:/tmp/bindery-policies.sock", address)).unwrap();
    }

    #[tokio::test]
    async fn the_example_decides() {
        let Some(python) = python::with("remote policies", &example().join("requirements.txt")) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let words = || fs::read_to_string(&log).unwrap_or_default();
        let address = format!("unix:{}", folder.path().join("s").display());
        let output = fs::File::create(&log).unwrap();
        let mut server = Command::new(python);
        server.arg("-B").arg(example().join("server.py")).args(["--listen", &address]);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut server = Server(server.spawn().unwrap());

        let begun = Instant::now();
        let answer = loop {
            // Each time with a circuit of its own, so that this one's failures open none.
            let answer = ask(&Evaluators::default(), &address, "second-factor", "ada").await;
            if !answer.messages.iter().any(|text| text.contains("cannot be reached")) {
                break answer;
            }
            assert!(server.0.try_wait().unwrap().is_none(), "the server ended: {}", words());
            assert!(begun.elapsed() < PATIENCE, "the server does not come: {}", words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(answer.messages, Vec::<String>::new());
        assert_eq!(answer.decision(), v1::Decision::Allow);
        let evaluators = Evaluators::default();
        let stranger = ask(&evaluators, &address, "second-factor", "eve").await;
        assert_eq!((stranger.decision(), stranger.messages.len()), (v1::Decision::Deny, 1));
        // Open or closed, it changes within a few days.
        let hours = ask(&evaluators, &address, "business-hours", "ada").await;
        let seconds = hours.valid_until.unwrap().seconds - now().seconds();
        assert!((0..4 * 24 * 3600).contains(&seconds), "{seconds}");
        let unknown = ask(&evaluators, &address, "attic", "ada").await;
        assert_eq!(unknown.decision(), v1::Decision::Deny);
        assert!(unknown.messages[0].contains("knows no policy `attic`"), "{:?}", unknown.messages);

        // Its bundle and its cases, with the program.
        at(folder.path(), "bundle.yaml", &address);
        at(folder.path(), "cases.yaml", &address);
        let mut cases = Command::new(env!("CARGO_BIN_EXE_bindery"));
        let ran = cases.arg("test").arg(folder.path().join("cases.yaml")).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{said}{}\n{}", String::from_utf8_lossy(&ran.stderr), words());
        assert!(said.contains("7 passed, 0 failed"), "{said}");

        drop(server);
        let gone = ask(&evaluators, &address, "second-factor", "ada").await;
        assert_eq!(gone.decision(), v1::Decision::Deny);
        assert!(gone.messages[0].contains(&address), "{:?}", gone.messages);
    }
}
