//! The commands around the sync protocol, as a user calls them: the real binary, against real servers.

#[cfg(test)]
#[path = "support"]
mod support {
    pub(crate) mod sidecar;
}

#[cfg(test)]
mod tests {
    use crate::support::sidecar::{Running, Server, bindery, ran, until};
    use serde_json::Value;
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    const CLOSED: &str = "\
applications: [{slug: wiki}, {slug: blog}]
groups: [{name: staff}]
users: [{username: ada, groups: [{name: staff}]}]
policy_bindings:
  - {target: {application: wiki}, group: {name: staff}}
  - {target: {application: blog}, group: {name: staff}}
";

    #[test]
    fn a_push_is_shown_asked_about_and_in_force() {
        let server = Server::new(&[]);
        let (status, json) = server.status();
        assert_eq!((status.code, &json["ready"]), (Some(2), &Value::Bool(false)));

        let first = server.push(CLOSED, &[]);
        assert_eq!(first.code, Some(0), "{first:?}");
        assert!(first.out.contains("+ application `wiki`"), "{first:?}");
        assert!(
            first.out.contains("7 added, 0 changed, 0 removed") || first.out.contains("6 added"),
            "{first:?}"
        );
        assert!(first.out.contains("in force: 1@"), "{first:?}");
        let (status, json) = server.status();
        assert_eq!(status.code, Some(0), "who pushed once and left leaves it current: {status:?}");
        assert_eq!((&json["revision"], &json["resources"]["application"]), (&1.into(), &2.into()));
        assert_eq!(server.check("application/wiki"), Some(1));

        let same = server.push(CLOSED, &[]);
        assert_eq!(same.code, Some(0));
        assert!(same.out.starts_with("the server holds just that, at 1@"), "{same:?}");

        // The last enabled binding of `wiki` is disabled.
        let open = CLOSED.replace(
            "{target: {application: wiki}, group",
            "{enabled: false, target: {application: wiki}, group",
        );
        let asked = server.push(&open, &[]);
        assert_eq!(asked.code, Some(2), "{asked:?}");
        let mark = "! application `wiki` is open to everyone: its last enabled binding goes";
        assert!(asked.out.contains(mark) && asked.out.contains("enabled: (default) -> false"), "{asked:?}");
        assert!(asked.err.contains("it opens 1 target to everyone; say --yes"), "{asked:?}");
        assert_eq!(server.check("application/wiki"), Some(1), "nothing was pushed");
        let dry = server.push(&open, &["--dry-run", "--output", "json"]);
        let json: Value = serde_json::from_str(&dry.out).unwrap();
        assert_eq!((dry.code, &json["result"]), (Some(0), &"dry_run".into()));
        assert_eq!(json["diff"]["opens_to_everyone"][0]["id"], "wiki");
        let meant = server.push(&open, &["--yes"]);
        assert_eq!(meant.code, Some(0), "{meant:?}");
        assert_eq!(server.check("application/wiki"), Some(0), "as it was marked");

        // More than a tenth goes.
        let less = server.push("applications: [{slug: wiki, empty_result: false}]", &["--output", "json"]);
        let json: Value = serde_json::from_str(&less.out).unwrap();
        assert_eq!((less.code, &json["result"]), (Some(2), &"not_meant".into()));
        assert!(less.err.contains("it removes 5 of 6 resources"), "{less:?}");
    }

    #[test]
    fn what_cannot_be_pushed_is_said() {
        let server = Server::new(&[]);
        let wrong = server.push("users: [{usernam: ada}]", &[]);
        assert_eq!(wrong.code, Some(2));
        assert!(wrong.err.contains("bundle.yaml:1") && wrong.err.contains("not valid"), "{wrong:?}");
        let nobody = ran(bindery().arg("push").arg(server.file(CLOSED)).args(["--to", "unix:/nowhere/s"]));
        assert_eq!(nobody.code, Some(2));
        assert!(nobody.err.contains("nobody answers at `unix:/nowhere/s`"), "{nobody:?}");
        let nobody = ran(bindery().args(["status", "unix:/nowhere/s"]));
        assert_eq!(nobody.code, Some(2));

        // One that reads files takes nothing.
        let own = Server::new(&["--bundle", server.file(CLOSED).to_str().unwrap()]);
        let refused = own.push("users: [{username: x}]", &["--yes"]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("not pushed: "), "{refused:?}");

        // A questions' listener is no sync listener.
        let questions = format!("unix:{}", server.directory.path().join("q").display());
        let wrong = ran(bindery().args(["status", &questions]));
        assert!(wrong.err.contains("does not speak the sync protocol"), "{wrong:?}");
    }

    #[test]
    fn files_and_servers_are_compared() {
        let server = Server::new(&[]);
        assert_eq!(server.push(CLOSED, &["--yes"]).code, Some(0));
        let compare = |text: &str| {
            let file = server.file(text);
            ran(bindery().arg("diff").arg(server.address()).arg(file))
        };
        let same = compare(CLOSED);
        assert_eq!((same.code, &*same.out), (Some(0), "nothing is different\n"), "{same:?}");
        let other = compare(&CLOSED.replace("username: ada,", "username: ada, name: Ada,"));
        assert_eq!(other.code, Some(1));
        assert!(other.out.contains("~ user `ada`\n    name: (default) -> Ada\n"), "{other:?}");
        assert_eq!(ran(bindery().args(["diff", "/nowhere", "/nowhere"])).code, Some(2));
    }

    #[test]
    fn changes_are_watched() {
        let server = Server::new(&[]);
        assert_eq!(server.push(CLOSED, &["--yes"]).code, Some(0));
        let mut watching = Running(
            bindery()
                .args(["watch", &server.address(), "--count", "1", "--output", "json"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
        let mut line = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
        let first = line();
        assert_eq!((&first["first"], &first["revision"]), (&true.into(), &1.into()));
        let text = CLOSED.replace("{slug: blog}", "{slug: blog}, {slug: news}");
        assert_eq!(server.push(&text, &["--yes"]).code, Some(0));
        let second = line();
        assert_eq!(second["added"], serde_json::json!([{"kind": "application", "id": "news"}]));
        assert_eq!(second["opens_to_everyone"][0]["arrives"], true);
        assert_eq!(second["revision"], 2);
        assert_eq!(watching.0.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn who_stays_pushes_every_change_and_comes_back() {
        let mut server = Server::new(&[]);
        let file = server.file(CLOSED);
        let staying = Running(
            bindery()
                .arg("push")
                .arg(&file)
                .args(["--to", &server.address(), "--watch", "--output", "json"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        until("the first push is in force", || (server.status().1["revision"] == 1).then_some(()));
        let changed = CLOSED.replace("username: ada,", "username: ada, name: Ada,");
        server.file(&changed);
        until("the change is in force", || (server.status().1["revision"] == 2).then_some(()));
        until("it is confirmed", || (server.status().0.code == Some(0)).then_some(()));

        // It publishes here, so nobody else does, unless it means to.
        let second = server.push(&changed.replace("Ada", "Ida"), &[]);
        assert_eq!(second.code, Some(2), "{second:?}");
        assert!(second.err.contains("publishes here already"), "{second:?}");
        assert!(second.err.contains("--take-over"), "{second:?}");
        server.file(&changed);

        // A server that lost everything gets it again; somebody had a say in what was pushed before.
        server.restart();
        until("it came back", || (server.status().1["resources"]["user"] == 1).then_some(()));
        drop(staying);
        until("nobody confirms it any more", || (server.status().0.code == Some(1)).then_some(()));
        let file = server.directory.path().join("other.yaml");
        fs::write(&file, CLOSED).unwrap();
        let taken = ran(bindery().arg("push").arg(file).args(["--to", &server.address(), "--take-over"]));
        assert_eq!(taken.code, Some(0), "{taken:?}");
    }
}
