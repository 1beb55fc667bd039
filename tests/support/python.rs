//! A Python for the examples that are written in it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

/// A Python that has what an example requires; nothing, and a word about it, where that cannot be had. `BINDERY_REQUIRE` with
/// `python3` makes that a failure.
pub(crate) fn with(example: &str, required: &Path) -> Option<PathBuf> {
    // One at a time makes it; one that failed has left nothing that counts.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    match found(required) {
        Ok(python) => Some(python),
        Err(why) => {
            let needed = env::var("BINDERY_REQUIRE").unwrap_or_default();
            assert!(!needed.split(' ').any(|tool| tool == "python3"), "python3 is required here: {why}");
            // Past the test runner, which keeps what tests print to itself.
            writeln!(std::io::stderr(), "SKIPPED: the example of {example}: {why}").unwrap();
            None
        }
    }
}

/// Runs a command to its end; its words when it fails.
fn run(command: &mut Command) -> Result<(), String> {
    let ran = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr).trim())),
    }
}

/// A Python that has what the example requires, kept from one run to the next.
fn found(required: &Path) -> Result<PathBuf, String> {
    let name = required.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-venv"));
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    let wanted = fs::read_to_string(required).unwrap();
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted)
        && run(Command::new(&python).arg("--version")).is_ok()
    {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .map_err(|error| format!("python3 makes no venv: {error}"))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(&python).args(pip).arg(required))
        .map_err(|error| format!("pip does not install {}: {error}", required.display()))?;
    fs::write(installed, wanted).unwrap();
    Ok(python)
}
