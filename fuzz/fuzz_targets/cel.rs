//! Any text as a rule in CEL: compiling and evaluating never panics.
#![no_main]

use bindery::model::ExpressionLanguage;
use bindery_fuzz::question;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    question::expression(ExpressionLanguage::Cel, source);
});
