//! Compiles `proto/` with protox, so that no protoc has to be installed, and keeps the descriptor set for
//! reflection and for the protobuf JSON mapping.

use prost::Message as _;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "bindery/v1/bundle.proto",
        "bindery/v1/resource.proto",
        "bindery/v1/sync.proto",
        "bindery/v1/decision.proto",
        "bindery/v1/evaluator.proto",
        "bindery/v1/flow.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rustc-env=BINDERY_TARGET={}", std::env::var("TARGET")?);
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("bindery.bin"), descriptors.encode_to_vec())?;
    // What is handed on is not copied.
    tonic_prost_build::configure()
        .bytes(".bindery.v1.Chunk")
        .bytes(".bindery.v1.Delta")
        // Few questions have one, and it is most of the size of one that has none; a question is moved often.
        .boxed(".bindery.v1.CheckRequest.context")
        .compile_fds(descriptors)?;
    Ok(())
}
