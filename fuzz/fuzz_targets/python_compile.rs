//! Any text as an expression: reading it, writing it anew, compiling it, putting its script together. It may be refused,
//! with a reason; it may not bring the process down, not even on a thread with a small stack.

#![no_main]

use bindery::policy::{Compiled, Deferred, Evaluation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let policy = bindery_fuzz::expression(source);
    let compiled = Compiled::new(&policy).unwrap();
    let program = compiled.python().unwrap();
    for finding in program.findings() {
        assert!(finding.line <= source.lines().count().max(1) + 1, "line {} of {source:?}", finding.line);
    }
    if let Some(reason) = program.broken() {
        assert!(!reason.trim().is_empty(), "{source:?}");
    }
    match bindery_fuzz::evaluate(&compiled) {
        Evaluation::Done(verdict) => assert!(verdict.result.is_ok() || program.broken().is_some()),
        Evaluation::Deferred(Deferred::Python(call)) => assert!(call.script.text.contains("def _body(")),
        Evaluation::Deferred(other) => panic!("{other:?}"),
    }
});
