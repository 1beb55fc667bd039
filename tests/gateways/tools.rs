//! Which gateways there are to test with: `.ci/gateways` brings them and says where they are.

use std::env;
use std::io::Write as _;
use std::path::PathBuf;

/// Where the program of a gateway is: `BINDERY_ENVOY` for `envoy`. Nothing, and a word about it, where it is not; with
/// its name in `BINDERY_REQUIRE` that is a failure.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let variable = format!("BINDERY_{}", name.to_uppercase());
    let found = env::var_os(&variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = &found {
        assert!(path.is_file(), "{variable}: `{}` is no file; run .ci/gateways", path.display());
        return found;
    }
    let required = env::var("BINDERY_REQUIRE").unwrap_or_default();
    assert!(!required.split(' ').any(|tool| tool == name), "{name} is required here: set {variable}");
    // Past the test runner, which keeps what tests print to itself.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    writeln!(std::io::stderr(), "SKIPPED: {test}: {variable} is not set; .ci/gateways brings {name}")
        .unwrap();
    None
}

/// A port that is free at the moment, for programs that have to be told one.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program, or the end of the test where it is not there.
macro_rules! found {
    ($name:literal) => {
        match $crate::gateways::tools::program($name) {
            Some(program) => program,
            None => return,
        }
    };
}
pub(crate) use found;
