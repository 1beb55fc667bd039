//! The attack suite against the real server, and against servers that are not safe, which it has to notice.

#[cfg(test)]
mod tests {
    use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
    use serde_json::Value as Json;
    use std::fs;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Output, Stdio};
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _gone = self.0.wait();
        }
    }

    fn bindery(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn scene(directory: &TempDir) -> PathBuf {
        let scene = directory.path().join("scene");
        let made = bindery(&["attack", "--write-scene"]).arg(&scene).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        scene
    }

    /// A server in the scene, with more settings, and its socket.
    fn serve(scene: &Path, more: &str) -> (Running, PathBuf) {
        let (settings, socket) = (scene.join("bindery.toml"), scene.join("q"));
        let text = fs::read_to_string(&settings).unwrap();
        fs::write(&settings, format!("{text}\n{more}")).unwrap();
        let child = bindery(&["serve", "--listen", "none", "--log-level", "error", "--config"])
            .arg(&settings)
            .arg("--socket")
            .arg(&socket)
            .spawn()
            .unwrap();
        let running = Running(child);
        let start = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        (running, socket)
    }

    fn attack(scene: &Path, to: &str) -> Output {
        let mut command = bindery(&["attack", "--output", "json", "--to", to, "--scene"]);
        command.arg(scene).output().unwrap()
    }

    fn report(output: &Output) -> Json {
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn failed(report: &Json) -> Vec<String> {
        let all = report["requests"].as_array().unwrap().iter();
        all.filter(|one| !one["wrong"].is_null()).map(ToString::to_string).collect()
    }

    #[test]
    fn every_request_meets_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let scene = scene(&directory);
        let (_running, socket) = serve(&scene, "");
        let output = attack(&scene, &format!("unix:{}", socket.display()));
        let report = report(&output);
        assert_eq!(failed(&report), [""; 0]);
        assert_eq!(output.status.code(), Some(0));
        let count = report["requests"].as_array().unwrap().len();
        assert!(count > 400, "{count} requests");
        let allowed = report["requests"].as_array().unwrap().iter().filter(|one| one["allowed"] == true).count();
        println!("{count} requests, {allowed} let through");
    }

    #[test]
    fn a_server_that_takes_every_path_fails() {
        let directory = tempfile::tempdir().unwrap();
        let scene = scene(&directory);
        let ways = "allow_ambiguous = ['dot_segments', 'empty_segments', 'encoded_slash', 'encoded_backslash', \
                    'backslash', 'semicolon', 'double_encoding', 'non_ascii']";
        let (_running, socket) = serve(&scene, &format!("[ext_authz]\n{ways}\n"));
        let output = attack(&scene, &format!("unix:{}", socket.display()));
        assert_eq!(output.status.code(), Some(1));
        let failed = failed(&report(&output));
        assert!(failed.iter().any(|one| one.contains("/public/..%2fprivate")), "{failed:?}");
    }

    /// Answers with what a careless server leaves out.
    struct Careless;

    #[tonic::async_trait]
    impl Authorization for Careless {
        async fn check(
            &self,
            _: tonic::Request<CheckRequest>,
        ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
            Ok(tonic::Response::new(CheckResponse::default()))
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_server_whose_answers_say_nothing_lets_everybody_in() {
        let directory = tempfile::tempdir().unwrap();
        let scene = scene(&directory);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder().add_service(AuthorizationServer::new(Careless));
        tokio::spawn(server.serve_with_incoming(incoming));
        let output = tokio::task::spawn_blocking(move || attack(&scene, &address)).await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        let report = report(&output);
        let all = report["requests"].as_array().unwrap();
        assert!(all.iter().all(|one| one["allowed"] == true));
        assert!(report["failed"].as_u64().unwrap() > 300, "{}", report["failed"]);
    }

    #[test]
    fn nobody_there_is_no_result() {
        let directory = tempfile::tempdir().unwrap();
        let scene = scene(&directory);
        let output = attack(&scene, "127.0.0.1:1");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("nobody answers"));
        let again = bindery(&["attack", "--write-scene"]).arg(&scene).output().unwrap();
        assert_eq!(again.status.code(), Some(2), "a scene that is there is not overwritten");
    }
}
