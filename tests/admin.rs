//! What operators change and look at while the real server runs: what is logged, its settings, where its time goes.

#[cfg(test)]
#[path = "support/sidecar.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod sidecar;

#[cfg(test)]
mod tests {
    use super::sidecar::{Running, bindery, until};
    use serde_json::Value;
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::process::Stdio;

    /// Status, and body, of a request.
    fn ask(address: &str, request: &str, body: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer.split_off(end + 4))
    }

    #[test]
    fn what_is_logged_changes_and_a_profile_is_taken_while_it_runs() {
        let here = tempfile::tempdir().unwrap();
        let log = here.path().join("log");
        fs::write(here.path().join("b.yaml"), "applications:\n- {slug: wiki}\n").unwrap();
        let child = bindery()
            .args(["serve", "--listen", "none", "--admin-listen", "127.0.0.1:0", "--log-format", "json"])
            .arg("--socket")
            .arg(here.path().join("q"))
            .arg("--bundle")
            .arg(here.path().join("b.yaml"))
            .stderr(Stdio::from(fs::File::create(&log).unwrap()))
            .spawn()
            .unwrap();
        let _server = Running(child);
        let address = until("the server says where it listens", || {
            let text = fs::read_to_string(&log).unwrap();
            let entries = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let entries = entries.filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let entry = entries.into_iter().find(|entry| {
                entry["message"].as_str().is_some_and(|message| message.contains("there for operators"))
            })?;
            entry["address"].as_str().map(str::to_owned)
        });
        assert_eq!(ask(&address, "GET /log-level", ""), (200, b"info\n".to_vec()));
        let (status, told) = ask(&address, "PUT /log-level", "bindery=nonsense=");
        assert_eq!(status, 400, "{}", String::from_utf8_lossy(&told));
        assert_eq!(ask(&address, "PUT /log-level", "bindery=debug,warn").0, 200);
        assert_eq!(ask(&address, "GET /log-level", "").1, b"bindery=debug,warn\n");
        let (status, settings) = ask(&address, "GET /config", "");
        let settings: Value = serde_json::from_slice(&settings).unwrap();
        assert_eq!((status, &settings["listen"]), (200, &Value::Null));
        let (status, build) = ask(&address, "GET /build", "");
        let build: Value = serde_json::from_slice(&build).unwrap();
        assert_eq!((status, build["version"].as_str()), (200, Some(env!("CARGO_PKG_VERSION"))));

        for wrong in ["0", "61", "x"] {
            assert_eq!(ask(&address, &format!("GET /profile?seconds={wrong}"), "").0, 400, "{wrong}");
        }
        let (status, profile) = ask(&address, "GET /profile?seconds=1", "");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&profile));
        // The format of pprof begins with a type of sample: field 1, a message.
        assert_eq!(profile.first(), Some(&0x0a));
        assert_eq!(ask(&address, "GET /readyz", ""), (200, b"ready\n".to_vec()));
    }
}
