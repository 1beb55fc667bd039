//! Sends requests through a gateway over HTTP/1.1, byte by byte as they are: a client library would refuse most of them.
//!
//! Must not know: what must become of them.

use super::Seen;
use super::requests::Attack;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a gateway may take for one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// The most of an answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// The most headers of an answer.
const MAX_HEADERS: usize = 128;

pub(super) async fn send(gateway: &str, attack: &Attack) -> Result<Seen, String> {
    let mut connection =
        TcpStream::connect(gateway).await.map_err(|error| format!("nobody answers at `{gateway}`: {error}"))?;
    let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", attack.method, attack.path, attack.host);
    for (name, value) in &attack.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n{}", attack.body.len(), attack.body));
    let exchange = async {
        // A gateway may answer, and hang up, before it has read everything.
        let _refused = connection.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let _cut = connection.take(MAX_ANSWER).read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(DEADLINE, exchange)
        .await
        .map_err(|_| format!("`{gateway}` did not answer `{}` within {DEADLINE:?}", attack.name))?;
    Ok(read(&answer))
}

/// What an answer says. None at all is a refusal, too.
fn read(answer: &[u8]) -> Seen {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let end = match response.parse(answer) {
        Ok(httparse::Status::Complete(end)) => end,
        _ => return Seen { what: "no answer".to_owned(), ..Seen::default() },
    };
    let status = response.code.unwrap_or(0);
    let reason = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("x-bindery-reason"));
    let reason = reason.map(|header| String::from_utf8_lossy(header.value).into_owned());
    // An application that tells in its body which headers it got, as `{"headers": [["name", "value"]]}`.
    let body: Option<serde_json::Value> =
        answer.get(end..).and_then(|body| serde_json::from_slice(body).ok());
    let went_on = body.as_ref().and_then(|body| body.get("headers")).and_then(|headers| {
        serde_json::from_value::<Vec<(String, String)>>(headers.clone()).ok()
    });
    Seen { allowed: (200..300).contains(&status), reason, what: format!("HTTP {status}"), went_on }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let seen = read(b"HTTP/1.1 403 Forbidden\r\nX-Bindery-Reason: denied\r\n\r\nno");
        assert_eq!((seen.allowed, seen.reason.as_deref(), seen.what.as_str()), (false, Some("denied"), "HTTP 403"));
        let seen = read(b"HTTP/1.1 200 OK\r\n\r\n{\"headers\": [[\"x-a\", \"b\"]]}");
        assert_eq!((seen.allowed, seen.went_on), (true, Some(vec![("x-a".to_owned(), "b".to_owned())])));
        assert_eq!(read(b"").what, "no answer");
        assert_eq!(read(b"\x16\x03\x01").what, "no answer");
    }
}
