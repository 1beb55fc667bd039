//! Tests of keys at a URL, with a server that answers as told.

use super::*;
use crate::identity::forge::Signer;
use crate::identity::tests::{AUDIENCE, ISSUER, Request, at, claims, jwks, reason, rsa, somebody, token};
use crate::identity::{Identified, Identifier, JwtSettings, Reason, Settings};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A server that counts what it is asked, and answers each question only when it is let.
struct Server {
    url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    /// One for each answer that may go out.
    let_go: Arc<Semaphore>,
}

#[derive(Clone)]
enum Answer {
    Text(String),
    /// The connection is closed.
    Nothing,
}

fn http(status: &str, body: &str) -> Answer {
    Answer::Text(format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn ok(body: &str) -> Answer {
    http("200 OK", body)
}

impl Server {
    /// One that need not be let.
    async fn free(answer: Answer) -> Self {
        let server = Self::held(answer).await;
        server.let_go.add_permits(1000);
        server
    }

    async fn held(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url =
            format!("http://{}/application/o/grafana/jwks/?secret=hunter2", listener.local_addr().unwrap());
        let server = Self {
            url,
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
            let_go: Arc::new(Semaphore::new(0)),
        };
        let (answer, asked, let_go) =
            (Arc::clone(&server.answer), Arc::clone(&server.asked), Arc::clone(&server.let_go));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                assert!(
                    request.starts_with("GET /application/o/grafana/jwks/?secret=hunter2 HTTP/1.1\r\n"),
                    "{request}"
                );
                asked.fetch_add(1, Ordering::SeqCst);
                let_go.acquire().await.unwrap().forget();
                let answer = answer.lock().unwrap().clone();
                if let Answer::Text(text) = answer {
                    // A client that has read enough closes.
                    let _written = stream.write_all(text.as_bytes()).await;
                }
            }
        });
        server
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Keys are old after 300 seconds, gone after 3600, and asked for every 10 at most.
    fn identifier(&self) -> Arc<Identifier> {
        self.identifier_with(|_| {})
    }

    fn identifier_with(&self, change: impl FnOnce(&mut JwtSettings)) -> Arc<Identifier> {
        let mut jwt = JwtSettings {
            jwks_url: Some(self.url.clone()),
            jwks_keep_seconds: 3600,
            // Long, since it is only reached when something is broken.
            jwks_timeout_ms: 30_000,
            issuers: vec![ISSUER.to_owned()],
            audiences: vec![AUDIENCE.to_owned()],
            ..JwtSettings::default()
        };
        change(&mut jwt);
        Arc::new(Identifier::new(&Settings { jwt: Some(jwt), ..Settings::default() }).unwrap())
    }
}

async fn ask(identifier: &Identifier, signer: &Signer, seconds: i64) -> Identified {
    let mut claims = claims();
    claims.insert("exp".into(), 4_000_000_000_u64.into());
    let bearer = format!("Bearer {}", token(signer, &claims));
    Request::of(&[("authorization", &bearer)]).ask_at(identifier, at(seconds)).await
}

fn unavailable(found: Identified) -> String {
    let Identified::Unavailable(why) = found else { panic!("{found:?}") };
    assert!(!why.contains("hunter2"), "{why}");
    why
}

fn ec() -> Signer {
    Signer::generate("ec-1", Algorithm::ES256).unwrap()
}

/// Lets others go on until it is so.
async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept() {
    let server = Server::free(ok(&jwks(&[&rsa()]))).await;
    let identifier = server.identifier();
    assert_eq!(server.asked(), 0);
    identifier.prepare(at(0)).await.unwrap();
    for seconds in [0, 1, 299, 300] {
        somebody(ask(&identifier, &rsa(), seconds).await);
    }
    assert_eq!(server.asked(), 1);
    assert!(identifier.reload().is_empty());
    assert!(!format!("{identifier:?}").contains("hunter2"));
    // Nobody needs keys for nothing.
    let nobody = server.identifier();
    assert_eq!(Request::default().ask(&nobody).await, Identified::Nobody);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn old_keys_are_fetched_anew_without_anybody_waiting() {
    let server = Server::held(ok(&jwks(&[&rsa()]))).await;
    let identifier = server.identifier();
    server.let_go.add_permits(1);
    identifier.prepare(at(0)).await.unwrap();
    server.answer(ok(&jwks(&[&ec()])));
    // The answer is held back, and this one is answered all the same.
    somebody(ask(&identifier, &rsa(), 301).await);
    until(|| server.asked() == 2).await;
    for seconds in [302, 305, 330] {
        somebody(ask(&identifier, &rsa(), seconds).await);
    }
    assert_eq!(server.asked(), 2);
    server.let_go.add_permits(1);
    // Then the key that is gone verifies nothing; this is not answered before the fetch is over.
    assert_eq!(
        reason(ask(&identifier, &Signer::generate("x", Algorithm::ES256).unwrap(), 331).await),
        Reason::TokenKeyUnknown
    );
    server.let_go.add_permits(1000);
    assert_eq!(reason(ask(&identifier, &rsa(), 332).await), Reason::TokenKeyUnknown);
}

#[tokio::test]
async fn a_key_that_is_new_is_found_by_the_first_who_brings_it() {
    let server = Server::free(ok(&jwks(&[&rsa()]))).await;
    let identifier = server.identifier();
    somebody(ask(&identifier, &rsa(), 0).await);
    let new = ec();
    server.answer(ok(&jwks(&[&rsa(), &new])));
    // Not yet: keys were asked for a moment ago.
    assert_eq!(reason(ask(&identifier, &new, 9).await), Reason::TokenKeyUnknown);
    assert_eq!(server.asked(), 1);
    somebody(ask(&identifier, &new, 10).await);
    somebody(ask(&identifier, &rsa(), 11).await);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_storm_of_unknown_keys_is_one_fetch() {
    let server = Server::held(ok(&jwks(&[&rsa()]))).await;
    let identifier = server.identifier();
    server.let_go.add_permits(1);
    identifier.prepare(at(0)).await.unwrap();
    let unknown = Arc::new(ec());
    let storm: Vec<_> = (0..200)
        .map(|number| {
            let (identifier, unknown) = (Arc::clone(&identifier), Arc::clone(&unknown));
            tokio::spawn(async move { ask(&identifier, &unknown, 20 + number % 5).await })
        })
        .collect();
    until(|| server.asked() == 2).await;
    // Others go on in the meantime.
    somebody(ask(&identifier, &rsa(), 25).await);
    server.let_go.add_permits(1000);
    for one in storm {
        assert_eq!(reason(one.await.unwrap()), Reason::TokenKeyUnknown);
    }
    assert_eq!(server.asked(), 2);
    for seconds in 20..30 {
        assert_eq!(reason(ask(&identifier, &unknown, seconds).await), Reason::TokenKeyUnknown);
    }
    assert!(server.asked() <= 3, "{}", server.asked());
    // A key that is known and does not fit is no reason to ask.
    let before = server.asked();
    let other = crate::identity::tests::rsa_as("rsa-1", Algorithm::RS384);
    assert_eq!(reason(ask(&identifier, &other, 100).await), Reason::TokenAlgorithm);
    assert_eq!(server.asked(), before);
}

#[tokio::test]
async fn a_storm_before_there_are_keys_is_one_fetch_and_all_are_answered() {
    let server = Server::held(ok(&jwks(&[&rsa()]))).await;
    let identifier = server.identifier();
    let storm: Vec<_> = (0..100)
        .map(|_| {
            let identifier = Arc::clone(&identifier);
            tokio::spawn(async move { ask(&identifier, &rsa(), 0).await })
        })
        .collect();
    until(|| server.asked() == 1).await;
    // Who began the fetch may go away.
    storm[0].abort();
    server.let_go.add_permits(1000);
    for one in storm.into_iter().skip(1) {
        somebody(one.await.unwrap());
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn without_keys_nothing_is_decided() {
    let long = "x".repeat(MAX_BYTES + 1);
    for (answer, part) in [
        (Answer::Nothing, "cannot be asked for keys"),
        (Answer::Text("nonsense\r\n\r\n".into()), "cannot be asked for keys"),
        (http("302 Found\r\nlocation: http://192.0.2.1/", ""), "a redirect, which is not followed"),
        (http("404 Not Found", "{}"), "answers with status 404"),
        (ok("<html>"), "is of no use: it is no JSON web key set"),
        (ok(&long), "more than 262144 bytes"),
        (ok("{}"), "holds no key that can be used: it is empty; choose a signing key"),
        (ok(r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#), "key 1: it is a secret"),
    ] {
        let server = Server::free(answer).await;
        let identifier = server.identifier();
        let why = identifier.prepare(at(0)).await.unwrap_err();
        assert!(why.contains(part), "{why}");
        // It is told again, and asked again only after a while.
        assert_eq!(unavailable(ask(&identifier, &rsa(), 9).await), why);
        assert_eq!(server.asked(), 1);
        server.answer(ok(&jwks(&[&rsa()])));
        somebody(ask(&identifier, &rsa(), 10).await);
        assert_eq!(server.asked(), 2);
    }
    // Nobody there at all.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::free(Answer::Nothing).await;
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let identifier = server.identifier_with(|jwt| jwt.jwks_url = Some(url));
    assert!(unavailable(ask(&identifier, &rsa(), 0).await).contains("refused"));
}

#[tokio::test]
async fn what_is_no_token_needs_no_keys() {
    let server = Server::free(Answer::Nothing).await;
    let identifier = server.identifier();
    for (token, wrong) in
        [("x", Reason::TokenMalformed), ("eyJhbGciOiJub25lIn0.e30.", Reason::TokenAlgorithm)]
    {
        let bearer = format!("Bearer {token}");
        let found = Request::of(&[("authorization", &bearer)]).ask(&identifier).await;
        assert_eq!(reason(found), wrong);
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_so_long_only() {
    let server = Server::held(Answer::Nothing).await;
    let identifier = server.identifier_with(|jwt| jwt.jwks_timeout_ms = 50);
    assert!(unavailable(ask(&identifier, &rsa(), 0).await).contains("does not answer within 50ms"));
}

#[tokio::test]
async fn the_last_good_keys_serve_while_the_server_is_down_up_to_a_bound() {
    let server = Server::free(ok(&jwks(&[&rsa()]))).await;
    let identifier = server.identifier();
    somebody(ask(&identifier, &rsa(), 0).await);
    server.answer(http("500 Internal Server Error", ""));
    for seconds in (301..=3600).step_by(100) {
        let before = server.asked();
        somebody(ask(&identifier, &rsa(), seconds).await);
        until(|| server.asked() > before).await;
        // A key that is not there is refused, and does not make the known ones doubtful.
        assert_eq!(reason(ask(&identifier, &ec(), seconds).await), Reason::TokenKeyUnknown);
    }
    let why = unavailable(ask(&identifier, &rsa(), 3611).await);
    assert!(why.contains("answers with status 500"), "{why}");
    server.answer(ok(&jwks(&[&rsa()])));
    somebody(ask(&identifier, &rsa(), 3621).await);
}

#[tokio::test]
async fn an_issuer_without_keys_has_none() {
    let server = Server::free(ok(&jwks(&[&rsa()]))).await;
    let identifier = server.identifier();
    somebody(ask(&identifier, &rsa(), 0).await);
    server.answer(ok(r#"{"keys": []}"#));
    assert_eq!(reason(ask(&identifier, &ec(), 10).await), Reason::TokenKeyUnknown);
    // What was verified before counts no more, either.
    assert!(unavailable(ask(&identifier, &rsa(), 11).await).contains("holds no key that can be used"));
}

#[tokio::test]
async fn the_same_keys_again_change_nothing() {
    let server = Server::free(ok(&jwks(&[&rsa()]))).await;
    let remote = |server: &Server| {
        let settings = JwtSettings { jwks_keep_seconds: 3600, ..JwtSettings::default() };
        let pace = Pace::new(&settings).unwrap();
        Remote::new(&server.url, None, pace, vec![Algorithm::RS256]).unwrap()
    };
    let remote = remote(&server);
    let first = remote.current(at(0)).await.unwrap();
    let second = remote.newer(at(20)).await.unwrap();
    assert_eq!((server.asked(), Arc::ptr_eq(&first, &second)), (2, true));
    // They are young again.
    remote.current(at(319)).await.unwrap();
    assert_eq!(server.asked(), 2);
    assert_eq!(format!("{remote:?}"), format!("Remote({:?})", server.url.split('?').next().unwrap()));
    // A clock that was set back asks again rather than never.
    remote.newer(at(-100_000)).await.unwrap();
    assert_eq!(server.asked(), 3);
}
