//! A server that answers as told, and what is asked of it.

use super::*;
use crate::evaluators::BreachSource;
use crate::policy::{Breaches, Secret, Verdict};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SUFFIX: &str = "D66A63D4BF1747940578EC3D0103530E21D";

/// Serves answers in turn, the last one for ever, and keeps what it was sent.
async fn serve(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut answers = answers.into_iter().peekable();
        let mut answer = String::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            keep.lock().unwrap().push(String::from_utf8(request).unwrap());
            answer = answers.next().unwrap_or(answer);
            // A client that has read enough closes.
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, seen)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn breaches() -> Breaches {
    Breaches { prefix: "F3BBB".into(), suffix: Secret::new(SUFFIX), allowed: 2, otherwise: Verdict::of(true) }
}

#[tokio::test]
async fn only_the_prefix_is_sent_and_the_answer_is_kept() {
    let (url, seen) = serve(vec![answer("200 OK", &format!("{SUFFIX}:3"))]).await;
    let source = BreachSource::mirror(&format!("{url}/mirror/")).unwrap();
    for _ in 0..2 {
        let verdict = source.look_up(breaches()).await;
        assert_eq!(verdict.messages, ["Password exists on 3 online lists.".into()]);
    }
    let seen = seen.lock().unwrap();
    let [request] = &seen[..] else { panic!("{seen:?}") };
    assert!(request.starts_with("GET /mirror/range/F3BBB HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("add-padding: true\r\n"), "{request}");
    assert!(!request.to_uppercase().contains(&SUFFIX[..8]), "{request}");
}

#[tokio::test]
async fn what_is_no_range_is_an_error_and_not_kept() {
    let chunked = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n200000\r\n";
    for (bad, text) in [
        (answer("302 Found\r\nlocation: http://192.0.2.1/", ""), "answers with a redirect"),
        (answer("503 Service Unavailable", ""), "answers with status 503"),
        (answer("200 OK", "<html>"), "line 1 of the range"),
        (answer("200 OK", ""), "is empty"),
        (answer("200 OK", &"x".repeat(MAX_RANGE + 1)), "more than 1048576 bytes"),
        (format!("{chunked}{}\r\n0\r\n\r\n", "x".repeat(0x20_0000)), "more than 1048576 bytes"),
        ("nonsense\r\n\r\n".to_owned(), "cannot be asked"),
        (String::new(), "cannot be asked"),
    ] {
        let (url, seen) = serve(vec![bad, answer("200 OK", &format!("{SUFFIX}:1"))]).await;
        let source = BreachSource::mirror(&url).unwrap();
        let error = source.look_up(breaches()).await.result.unwrap_err();
        assert!(error.contains(text), "{error}");
        assert_eq!(source.look_up(breaches()).await, Verdict::of(true));
        assert_eq!(seen.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let source = BreachSource::mirror(&format!("http://{address}")).unwrap();
    let error = source.look_up(breaches()).await.result.unwrap_err();
    assert!(error.contains("cannot be asked for breached passwords") && error.contains("refused"), "{error}");
}

#[test]
fn a_wrong_url_is_refused() {
    for (url, text) in [
        ("", "is not a URL"),
        ("/range", "has no host"),
        ("ftp://host", "begins neither"),
        ("host", "begins neither"),
        ("http://host/?key=1", "has a query"),
        ("https://me:secret@host", "user or password"),
    ] {
        let error = BreachSource::mirror(url).unwrap_err();
        assert!(error.contains(text) && !error.contains("secret"), "{url}: {error}");
    }
}
