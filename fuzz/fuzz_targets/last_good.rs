//! Any bytes as a last-good file: refused or read, and what was read sums up to what it says.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _is_good = bindery::sync::last_good::read_bytes(bytes);
});
