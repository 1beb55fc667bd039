//! Bodies that run, on a thread of this process: as text, and made of statements over the names of the scope. Each has
//! to give a verdict, with a text when it is an error, within bounds.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use bindery::decision::{TargetKey, Waiting};
use bindery::evaluators::Evaluators;
use bindery::evaluators::python::{Isolation, PythonOptions};
use bindery::policy::{Compiled, Deferred, Evaluation};
use bindery::store::{Settings, Store};
use bindery_fuzz::program::Program;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// The first byte says which way the rest is read, so that seeds can be plain text.
#[derive(Debug)]
struct Body(String);

impl<'a> Arbitrary<'a> for Body {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        if bytes.peek_bytes(1).is_some_and(|first| first[0] >= 128) {
            bytes.bytes(1)?;
            return Ok(Self(Program::arbitrary(bytes)?.0));
        }
        let rest = bytes.bytes(bytes.len())?;
        std::str::from_utf8(rest)
            .map(|text| Self(text.to_owned()))
            .map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

struct Server {
    runtime: Runtime,
    evaluators: Evaluators,
    store: Store,
}

thread_local! {
    static SERVER: Server = {
        let mut options = PythonOptions::new(Isolation::Thread);
        options.limit = Duration::from_millis(20);
        options.memory = 16 << 20;
        Server {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            evaluators: Evaluators::default().with_python(options),
            store: Store::new(Settings::default()),
        }
    };
}

fuzz_target!(|body: Body| {
    let compiled = Compiled::new(&bindery_fuzz::expression(&body.0)).unwrap();
    let Evaluation::Deferred(deferred) = bindery_fuzz::evaluate(&compiled) else { return };
    assert!(matches!(deferred, Deferred::Python(_)));
    SERVER.with(|server| {
        let timeout = Duration::from_secs(30);
        let waiting = Waiting { target: TargetKey(0), row: 0, called: false, deferred, timeout };
        let snapshot = server.store.load();
        let settled = server.evaluators.settle(&snapshot, waiting, Instant::now());
        let verdict = server.runtime.block_on(settled).verdict;
        assert!(verdict.messages.len() <= 100);
        if let Err(text) = verdict.result {
            // A program that was ended says so; one that raised something says what it liked.
            assert!(!text.contains("took the interpreter down"), "{text} from {:?}", body.0);
        }
    });
});
