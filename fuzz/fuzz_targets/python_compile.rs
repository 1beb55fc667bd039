//! Any text as an expression in Python: reading, rewriting and compiling never panics and never overflows the stack.
#![no_main]

mod question;

use bindery::model::ExpressionLanguage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    question::expression(ExpressionLanguage::Python, source);
});
