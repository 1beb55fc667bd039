//! Any JSON as a conditional program: compiling and evaluating never panics.
#![no_main]

use bindery::model::{Conditional, MissingBehavior, PolicyKind};
use bindery::proto::v1::ConditionalPolicy;
use bindery_fuzz::question;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(program) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let json = serde_json::json!({ "program": program });
    let Ok(policy) = bindery::proto::from_json::<ConditionalPolicy>("bindery.v1.ConditionalPolicy", json) else {
        return;
    };
    let Some(program) = policy.program else { return };
    let Ok(program) = bindery::proto::value::from_struct(program) else { return };
    for missing_behavior in [MissingBehavior::Fail, MissingBehavior::False] {
        let failure_message = None;
        let program = program.clone();
        question::ask(PolicyKind::Conditional(Conditional { program, missing_behavior, failure_message }));
    }
});
