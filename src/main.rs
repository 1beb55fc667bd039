//! Parses the arguments, calls the command and maps its result to an exit code.
//!
//! Must not know: what a command does.

use bindery::cli::{self, Cli};
use clap::Parser;
use std::process::ExitCode;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli::run(cli).into(),
        Err(error) => {
            // Help and version come this way, too. Where nobody reads, nothing is lost.
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}
