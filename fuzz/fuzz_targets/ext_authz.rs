//! Any message of Envoy, and any request put together from pieces: there is an answer or an error, and nobody is let
//! through without a target that the request fits.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use bindery_fuzz::gateway::{self, Pieces};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    if first & 1 == 1 {
        if let Ok(message) = gateway::CheckRequest::decode(rest) {
            gateway::ask(message);
        }
    } else if let Ok(pieces) = Pieces::arbitrary(&mut Unstructured::new(rest)) {
        gateway::ask(pieces.message());
    }
});
