//! Any text as an expression in Python, run: whatever it does, an answer comes, and the next question is answered right.
#![no_main]

mod question;

use bindery::api::ask::trial;
use bindery::evaluators::Evaluators;
use bindery::evaluators::python::{Isolation, PythonOptions};
use bindery::model::Timestamp;
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

struct Here {
    runtime: Runtime,
    evaluators: Evaluators,
}

static HERE: LazyLock<Here> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let evaluators = {
        let _inside = runtime.enter();
        let options = PythonOptions::new(Isolation::Thread);
        Evaluators::default().with_python(PythonOptions { limit: Duration::from_millis(200), ..options })
    };
    Here { runtime, evaluators }
});

fuzz_target!(|source: &str| {
    let expression = |source: &str| {
        let source = source.to_owned();
        Some(v1::policy::Kind::Expression(v1::ExpressionPolicy { source, ..Default::default() }))
    };
    let policy = |name: &str, source: &str| v1::Resource {
        resource: Some(R::Policy(v1::Policy { name: name.into(), kind: expression(source), ..Default::default() })),
    };
    let store = Store::new(Settings::default());
    let honest = "return context.get('n') is None and request.user.username == 'ada'";
    let resources = vec![policy("fuzzed", source), policy("honest", honest)];
    if apply(&store, Update::Replace(resources)).is_err() {
        return;
    }
    let target = v1::target_ref::Target::Application("a".into());
    let request = v1::CheckRequest {
        target: Some(v1::TargetRef { target: Some(target) }),
        subject: Some(v1::Subject { username: "ada".into(), ..Default::default() }),
        context: Some(v1::Context {
            client_ip: "10.1.2.3".into(),
            http: Some(v1::HttpRequest { method: "GET".into(), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let snapshot = store.load();
    for name in ["fuzzed", "honest"] {
        let trial = trial(
            &snapshot,
            &HERE.evaluators,
            name,
            request.clone(),
            Duration::from_secs(5),
            Timestamp::new(1_780_315_200, 0),
        );
        let said = HERE.runtime.block_on(trial).expect("an answer");
        if name == "honest" {
            assert_eq!(said.verdict.result, Ok(true), "{source:?}");
        }
    }
});
