//! Any bytes as what a worker sends to the server: refused or read, in little memory and without deep recursion.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let _is_message = bindery::evaluators::python::read_frame(frame);
});
