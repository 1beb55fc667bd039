//! Faults of the world around a server, each with the outcome that `docs/failure.md` promises: a full disk, a hub that is
//! gone for too long, a clock that steps. The server is the real one, in processes of its own.
//!
//! What needs more rights or a tool that is not there is SKIPPED, loudly. `.ci/faults` runs these, and those that need
//! Envoy, for longer.

#[cfg(test)]
#[path = "support/sidecar.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod sidecar;

#[cfg(test)]
mod tests {
    use super::sidecar::{Running, bindery, ran, until};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use tempfile::TempDir;

    /// A small file system of its own, until this goes.
    struct SmallDisk(TempDir);

    impl SmallDisk {
        /// Nothing where this user may not mount.
        fn new(kibibytes: usize) -> Option<Self> {
            let directory = tempfile::tempdir().unwrap();
            let mounted = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "tmpfs"])
                .arg(directory.path())
                .stderr(Stdio::null())
                .status();
            mounted.is_ok_and(|status| status.success()).then_some(Self(directory))
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        /// Takes all the room that there is.
        fn fill(&self) {
            let mut size = 1 << 20;
            while size > 0 {
                let name = self.path().join(format!("filler-{size}"));
                if fs::write(name, vec![0; size]).is_err() {
                    size /= 2;
                }
            }
            // What could not be written whole took the rest.
            assert!(fs::write(self.path().join("one-more"), vec![0; 4096]).is_err());
        }

        fn make_room(&self) {
            for entry in fs::read_dir(self.path()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with("filler-") || name == "one-more" {
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _gone = Command::new("umount").arg("-l").arg(self.path()).status();
        }
    }

    fn bundle(directory: &Path, wiki: &str) -> PathBuf {
        let path = directory.join("bundle.yaml");
        let text = format!(
            "applications:\n- {{slug: wiki}}\n- {{slug: open}}\nusers:\n- {{username: ada}}\npolicy_bindings:\n{wiki}"
        );
        fs::write(&path, text).unwrap();
        path
    }

    const ADA: &str = "- {target: {application: wiki}, user: {username: ada}}\n";
    const NOT_ADA: &str = "- {target: {application: wiki}, user: {username: ada}, negate: true}\n";

    /// What `bindery check` says of ada and the wiki: 0 allow, 1 deny, 2 no decision, with what was told.
    fn check(socket: &Path) -> (Option<i32>, String) {
        let server = format!("unix:{}", socket.display());
        let checked =
            ran(bindery().args(["check", "application/wiki", "--user", "ada", "--server", &server]));
        (checked.code, checked.err)
    }

    fn serve(command: &mut Command, socket: &Path) -> Running {
        let mut running = Running(command.stdin(Stdio::null()).spawn().unwrap());
        until("the server listens", || {
            let ended = running.0.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            std::os::unix::net::UnixStream::connect(socket).ok()
        });
        running
    }

    fn answering(socket: &Path) -> Command {
        let mut command = bindery();
        command.args(["serve", "--listen", "none", "--log-level", "warn", "--socket"]).arg(socket);
        command.stderr(Stdio::null());
        command
    }

    #[test]
    fn a_full_disk_keeps_nothing_back_and_loses_nothing() {
        let Some(disk) = SmallDisk::new(512) else {
            eprintln!("SKIPPED: this user may not mount a file system");
            return;
        };
        let here = tempfile::tempdir().unwrap();
        let (socket, sync) = (here.path().join("q"), here.path().join("s"));
        let last_good = disk.path().join("last-good");
        let start = || {
            let mut command = answering(&socket);
            command.arg("--sync-socket").arg(&sync).arg("--last-good").arg(&last_good);
            serve(&mut command, &socket)
        };
        // More than the rest of a page of the file system, which is there also when it is full.
        let many = "groups:\n".to_owned()
            + &(0..500).map(|n| format!("- {{name: group-{n}}}\n")).collect::<String>();
        let push = |wiki: &str, more: &str| {
            let file = bundle(here.path(), &format!("{wiki}{more}"));
            let to = format!("unix:{}", sync.display());
            ran(bindery().arg("push").arg(file).args(["--yes", "--to", &to]))
        };
        let server = start();
        let pushed = push(ADA, "");
        assert_eq!((pushed.code, check(&socket).0), (Some(0), Some(0)), "{}", pushed.err);
        let kept = || fs::metadata(&last_good).unwrap().len();
        let small = kept();
        disk.fill();
        // In force, so that nobody goes on with what was taken from them; and not acknowledged, since it is not kept.
        let pushed = push(NOT_ADA, &many);
        assert_ne!(pushed.code, Some(0), "{pushed:?}");
        assert_eq!(check(&socket).0, Some(1));
        disk.make_room();
        until("everything is written once there is room", || (kept() > small + 4_096).then_some(()));
        // Killed, so that nothing is written at the end.
        drop(server);
        let _server = start();
        assert_eq!(check(&socket).0, Some(1), "what was in force last is in force again");
    }

    #[test]
    fn a_hub_that_is_gone_for_too_long_ends_answers_until_it_is_back() {
        let here = tempfile::tempdir().unwrap();
        let (socket, hub_socket) = (here.path().join("q"), here.path().join("hub"));
        let file = bundle(here.path(), ADA);
        let hub = || {
            let mut command = bindery();
            command.args(["hub", "--log-level", "off", "--heartbeat-seconds", "1", "--bundle"]).arg(&file);
            command.arg("--sync-socket").arg(&hub_socket);
            serve(&mut command, &hub_socket)
        };
        let running = hub();
        let mut command = answering(&socket);
        command.args(["--heartbeat-seconds", "1", "--max-staleness-seconds", "3"]);
        let _server = serve(command.arg("--follow").arg(format!("unix://{}", hub_socket.display())), &socket);
        until("the configuration is here", || (check(&socket).0 == Some(0)).then_some(()));
        drop(running);
        // Answers go on for a while, and then there are none rather than old ones.
        let told = until("it is too old", || {
            let (code, told) = check(&socket);
            (code == Some(2)).then_some(told)
        });
        assert!(told.contains("was not confirmed by its source for longer than 3s"), "{told}");
        let _running = hub();
        until("the hub is followed again", || (check(&socket).0 == Some(0)).then_some(()));
    }

    /// Where the library is that makes another time of day.
    fn faketime() -> Option<PathBuf> {
        let named = std::env::var_os("BINDERY_FAKETIME").map(PathBuf::from);
        let usual = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .map(|machine| Path::new("/usr/lib").join(machine).join("faketime/libfaketime.so.1"));
        named.into_iter().chain(usual).find(|path| path.exists())
    }

    #[test]
    fn a_clock_that_steps_changes_what_has_a_date_and_nothing_else() {
        let Some(library) = faketime() else {
            eprintln!("SKIPPED: there is no libfaketime; apt-get install libfaketime");
            return;
        };
        let here = tempfile::tempdir().unwrap();
        let (socket, hub_socket) = (here.path().join("q"), here.path().join("hub"));
        let in_an_hour = chrono::Utc::now() + chrono::TimeDelta::hours(1);
        let expires = format!(
            "- {{target: {{application: wiki}}, user: {{username: ada}}, expires: \"{}\"}}\n\
             - {{target: {{application: wiki}}, user: {{username: nobody-else}}}}\n",
            in_an_hour.format("%Y-%m-%dT%H:%M:%SZ")
        );
        let file = bundle(here.path(), &expires);
        let mut command = bindery();
        command.args(["hub", "--log-level", "off", "--heartbeat-seconds", "1", "--bundle"]).arg(&file);
        let _hub = serve(command.arg("--sync-socket").arg(&hub_socket), &hub_socket);
        let clock = here.path().join("clock");
        let step = |offset: &str| {
            let new = here.path().join("clock.new");
            fs::write(&new, format!("{offset}\n")).unwrap();
            fs::rename(new, &clock).unwrap();
        };
        step("+0");
        let log = here.path().join("log");
        let mut command = answering(&socket);
        command
            .args(["--heartbeat-seconds", "1", "--max-staleness-seconds", "30"])
            .arg("--follow")
            .arg(format!("unix://{}", hub_socket.display()))
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stderr(fs::File::create(&log).unwrap());
        let _server = serve(&mut command, &socket);
        until("the configuration is here", || (check(&socket).0 == Some(0)).then_some(()));
        for (offset, code) in [("+2h", 1), ("-3d", 0), ("+400d", 1), ("+0", 0)] {
            step(offset);
            // The binding's date is looked at with each question; the age of the configuration does not follow the clock.
            assert_eq!(check(&socket), (Some(code), String::new()), "{offset}");
        }
        let said = fs::read_to_string(&log).unwrap();
        assert_eq!(said, "", "the hub was followed all the time");
    }
}
