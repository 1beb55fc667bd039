//! The program as people and scripts call it: exit codes, what goes to standard output and what to standard error.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Output, Stdio};
    use std::time::{Duration, Instant};

    const BUNDLE: &str = "\
applications: [{slug: wiki}, {slug: grafana, policy_engine_mode: all}]
groups: [{name: staff}, {name: contractors}]
users:
  - {username: ada, groups: [{name: staff}]}
  - {username: bela, groups: [{name: staff}, {name: contractors}]}
policy_bindings:
  - {target: {application: grafana}, group: {name: staff}}
  - {target: {application: grafana}, group: {name: contractors}, order: 10, negate: true}
";

    const BLUEPRINT: &str = "\
version: 1
entries:
  - {model: authentik_core.application, identifiers: {slug: grafana}, attrs: {name: Grafana}, id: app}
  - {model: authentik_core.group, identifiers: {name: staff}, id: staff}
  - model: authentik_policies.policybinding
    identifiers: {target: !KeyOf app, group: !KeyOf staff, order: 0}
  - {model: authentik_brands.brand, identifiers: {domain: example.org}}
";

    fn bindery(folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        command.current_dir(folder).stdin(Stdio::null()).env_remove("BINDERY_CONFIG");
        command
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bundle.yaml"), BUNDLE).unwrap();
        fs::write(folder.path().join("blueprint.yaml"), BLUEPRINT).unwrap();
        folder
    }

    struct Ran {
        code: Option<i32>,
        out: String,
        err: String,
    }

    impl From<Output> for Ran {
        fn from(output: Output) -> Self {
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
        }
    }

    fn run(folder: &Path, line: &str) -> Ran {
        bindery(folder).args(line.split_whitespace()).output().unwrap().into()
    }

    #[track_caller]
    fn expect(folder: &Path, line: &str, code: i32, out: &str, err: &str) {
        let ran = run(folder, line);
        assert_eq!(ran.code, Some(code), "{line}\n{}\n{}", ran.out, ran.err);
        assert!(ran.out.contains(out), "{line}\n{}", ran.out);
        assert!(ran.err.contains(err), "{line}\n{}", ran.err);
        assert!(!ran.err.contains("panicked"), "{line}\n{}", ran.err);
    }

    #[test]
    fn check_answers_with_its_exit_code() {
        let folder = folder();
        let folder = folder.path();
        expect(
            folder,
            "check application/grafana --user ada --bundle bundle.yaml",
            0,
            "ALLOW\n`ada` may reach",
            "",
        );
        expect(
            folder,
            "check application/grafana --user bela --bundle bundle.yaml",
            1,
            "DENY\n`bela` may not",
            "",
        );
        expect(
            folder,
            "check application/wiki --anonymous --bundle bundle.yaml",
            0,
            "no enabled binding",
            "",
        );
        let fail = "check application/wiki --anonymous --bundle bundle.yaml --default-empty-result fail";
        expect(folder, fail, 1, "DENY", "");
        let vouched = "check application/grafana --user eve --group staff --blueprint blueprint.yaml";
        expect(folder, vouched, 0, "the directory does not know the subject", "");
        let line = "check application/attic --user ada --bundle bundle.yaml";
        expect(folder, line, 2, "", "could not decide: target: there is no application `attic`");
        expect(folder, "check application/grafana --bundle bundle.yaml", 2, "", "say who is asked about");
        expect(
            folder,
            "check application/grafana --user ada --bundle none",
            2,
            "",
            "none:1: cannot be read: ",
        );
        expect(folder, "check application --user ada", 2, "", "write kind/name, such as application/grafana");
    }

    #[test]
    fn check_speaks_json() {
        let folder = folder();
        let line = "check application/grafana --user bela --output json --bundle bundle.yaml";
        let json: serde_json::Value = serde_json::from_str(&run(folder.path(), line).out).unwrap();
        assert_eq!(json["decision"], "DECISION_DENY");
        assert_eq!(json["explanation"]["bindings"][1]["negated"], true);
        let line = "check application/attic --user bela --output json --bundle bundle.yaml";
        let json: serde_json::Value = serde_json::from_str(&run(folder.path(), line).out).unwrap();
        assert_eq!(
            (json["error"]["code"].as_u64(), json["error"]["field"].as_str()),
            (Some(5), Some("target"))
        );
    }

    #[test]
    fn check_takes_a_whole_question() {
        let folder = folder();
        let question = "{\"target\": {\"application\": \"grafana\"}, \"subject\": {\"username\": \"ada\"}}";
        fs::write(folder.path().join("q.json"), question).unwrap();
        expect(folder.path(), "check --request q.json --bundle bundle.yaml", 0, "ALLOW", "");
        expect(folder.path(), "check --request bundle.yaml --bundle bundle.yaml", 2, "", "bundle.yaml:1: ");
    }

    #[test]
    fn nobody_at_the_other_end_is_said_with_a_remedy() {
        let folder = folder();
        let line = "check application/grafana --user ada --server unix:none.sock";
        expect(folder.path(), line, 2, "", "nobody answers at `unix:none.sock`");
        expect(folder.path(), line, 2, "", "start a server with `bindery serve`");
    }

    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _gone = self.0.wait();
        }
    }

    #[test]
    fn check_asks_a_server() {
        let folder = folder();
        let mut command = bindery(folder.path());
        command.args("serve --bundle bundle.yaml --listen none --socket s.sock --watch=false".split(' '));
        let _server = Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while !folder.path().join("s.sock").exists() {
            assert!(start.elapsed() < Duration::from_secs(30), "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let line = "check application/grafana --server unix:s.sock --user";
        expect(folder.path(), &format!("{line} ada"), 0, "├─     0  group/name/staff", "");
        expect(folder.path(), &format!("{line} bela"), 1, "contractors  fail    yes", "");
        let line = "check application/attic --server unix:s.sock --user ada";
        expect(folder.path(), line, 2, "", "could not decide: target: there is no application `attic`");
        let line = "plan attic --server unix:s.sock --user ada";
        expect(folder.path(), line, 2, "", "could not decide: flow: there is no flow `attic`");
    }

    /// A plan that one server signed is good at another one with the same key, and at no other.
    #[test]
    fn plans_are_walked_at_servers_with_one_key() {
        let folder = folder();
        let flow = "flows: [{slug: login}]\nstages: [{name: password}]\n\
                    flow_stage_bindings: [{flow: login, stage: password}]\n";
        fs::write(folder.path().join("flow.yaml"), flow).unwrap();
        fs::write(folder.path().join("key"), "k".repeat(32)).unwrap();
        fs::write(folder.path().join("short"), "k").unwrap();
        let start = |socket: &str, more: &str| {
            let mut command = bindery(folder.path());
            let line =
                format!("serve --bundle flow.yaml --listen none --socket {socket} --watch=false{more}");
            command.args(line.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
            let server = Server(command.spawn().unwrap());
            let start = Instant::now();
            while !folder.path().join(socket).exists() {
                assert!(start.elapsed() < Duration::from_secs(30), "the server does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
            server
        };
        let keyed = " --plan-key-file key";
        let _servers = [start("a.sock", keyed), start("b.sock", keyed), start("c.sock", "")];
        let line = "plan login --server unix:a.sock --user ada --step --output json";
        let output = bindery(folder.path()).args(line.split(' ')).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["steps"][0]["stage"]["stage"], "password");
        let token = json["plan"]["token"].as_str().unwrap().to_owned();
        let next = |socket: &str| {
            use bindery::proto::v1;
            let address = format!("unix://{}", folder.path().join(socket).display());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let channel = bindery::sync::follow::endpoint(&address).unwrap().connect().await.unwrap();
                let mut client = v1::flow_service_client::FlowServiceClient::new(channel);
                let subject = Some(v1::Subject { username: "ada".into(), ..Default::default() });
                let form = Some(v1::next_stage_request::Form::Token(token.clone()));
                client.next_stage(v1::NextStageRequest { form, subject, ..Default::default() }).await
            })
        };
        assert!(next("b.sock").is_ok());
        let refused = next("c.sock").unwrap_err();
        assert!(refused.message().contains("signed by a server with another key"), "{refused:?}");
        let line = "serve --bundle flow.yaml --listen none --socket d.sock --plan-key-file short";
        expect(folder.path(), line, 2, "", "plan-key-file: `short`: line 1: a key has 1 bytes");
    }

    #[test]
    fn validate_tells_everything() {
        let folder = folder();
        expect(folder.path(), "validate bundle.yaml", 0, "valid: 8 resources from 1 file", "");
        expect(folder.path(), "validate blueprint.yaml", 0, "authentik_brands.brand", "");
        let wrong = "policy_bindings:\n  - {target: {application: attic}, policy: none}\n";
        fs::write(folder.path().join("wrong.yaml"), wrong).unwrap();
        expect(folder.path(), "validate wrong.yaml", 2, "", "wrong.yaml:2: policy binding");
        expect(folder.path(), "validate wrong.yaml --output json", 2, "\"valid\": false", "");
        expect(folder.path(), "validate", 2, "", "Usage");
    }

    #[test]
    fn convert_gives_a_bundle_that_decides_alike() {
        let folder = folder();
        expect(folder.path(), "convert blueprint.yaml --to new.yaml", 0, "", "authentik_brands.brand");
        let line = "check application/grafana --user eve --bundle new.yaml";
        expect(folder.path(), line, 1, "group/name/staff", "");
        expect(folder.path(), "convert blueprint.yaml --output json", 0, "\"groups\"", "");
        expect(folder.path(), "convert none.yaml", 2, "", "cannot be read: ");
    }

    #[test]
    fn test_counts_and_compares() {
        let folder = folder();
        let suite = |decision: &str| {
            let case = "check: {target: {application: grafana}, subject: {username: bela}}";
            format!(
                "bundle: bundle.yaml\ntests:\n  - name: x\n    {case}\n    expect: {{decision: {decision}}}\n"
            )
        };
        fs::write(folder.path().join("t.yaml"), suite("deny")).unwrap();
        expect(folder.path(), "test t.yaml", 0, "1 passed, 0 failed\n", "");
        fs::write(folder.path().join("t.yaml"), suite("allow")).unwrap();
        let line = "FAIL t.yaml:3 x: expected allow, got deny\n  application/grafana  DENY";
        expect(folder.path(), "test t.yaml", 1, line, "");
        expect(
            folder.path(),
            "test t.yaml --output junit",
            1,
            "<failure message=\"expected allow, got deny\">",
            "",
        );
        expect(
            folder.path(),
            "test t.yaml none.yaml",
            2,
            "0 passed, 1 failed\n",
            "none.yaml:1: cannot be read",
        );
        expect(
            folder.path(),
            "test t.yaml --filter y",
            2,
            "0 passed, 0 failed\n",
            "no name of a case contains `y`",
        );
    }

    #[test]
    fn help_and_version_are_no_errors() {
        let folder = folder();
        expect(folder.path(), "--version", 0, concat!("bindery ", env!("CARGO_PKG_VERSION")), "");
        for command in ["", "serve", "check", "validate", "test", "convert"] {
            expect(folder.path(), &format!("{command} --help"), 0, "Usage: bindery", "");
        }
        expect(folder.path(), "", 2, "", "Usage: bindery");
        expect(folder.path(), "chekc", 2, "", "a similar subcommand exists: 'check'");
    }

    #[test]
    fn a_reader_that_leaves_changes_nothing() {
        let folder = folder();
        let line = "check application/grafana --user bela --bundle bundle.yaml";
        let mut command = bindery(folder.path());
        command.args(line.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    }
}
