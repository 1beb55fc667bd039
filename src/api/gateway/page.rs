//! What somebody sees who is not let in: a page, a problem for programs, or plain text, whichever they take.
//!
//! Must not know: why they are not let in.

use super::reason::Why;
use headers_accept::Accept;
use html_escape::encode_text;
use mediatype::{MediaType, Name};
use serde_json::json;

/// The most messages that are shown, and the most bytes of each.
const MAX_MESSAGES: usize = 20;
const MAX_MESSAGE: usize = 1 << 10;
/// The longest `Accept` that is read; a longer one gets plain text.
const MAX_ACCEPT: usize = 4 << 10;

const HTML: MediaType<'_> = MediaType::new(mediatype::names::TEXT, mediatype::names::HTML);
const PLAIN: MediaType<'_> = MediaType::new(mediatype::names::TEXT, mediatype::names::PLAIN);
const JSON: MediaType<'_> = MediaType::new(mediatype::names::APPLICATION, mediatype::names::JSON);
const PROBLEM: MediaType<'_> = MediaType::from_parts(
    mediatype::names::APPLICATION,
    Name::new_unchecked("problem"),
    Some(mediatype::names::JSON),
    &[],
);

/// The forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a browser.
    Html,
    /// For a program (RFC 9457).
    Problem,
    /// For everybody else.
    Plain,
}

impl Form {
    /// The form that an `Accept` header asks for. Without one, or with one that takes nothing of it: plain text.
    pub fn wanted(accept: Option<&str>) -> Self {
        let Some(accept) =
            accept.filter(|it| it.len() <= MAX_ACCEPT).and_then(|it| it.parse::<Accept>().ok())
        else {
            return Self::Plain;
        };
        match accept.negotiate(&[PLAIN, HTML, PROBLEM, JSON]) {
            Some(wanted) if *wanted == HTML => Self::Html,
            Some(wanted) if *wanted == PROBLEM || *wanted == JSON => Self::Problem,
            _ => Self::Plain,
        }
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Problem => "application/problem+json",
            Self::Plain => "text/plain; charset=utf-8",
        }
    }
}

/// What is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Why.
    pub why: Why,
    /// The gateway's id of the request; empty: none.
    pub request_id: &'a str,
    /// Identifies the decision in logs.
    pub decision_id: &'a str,
    /// What policies said, where that is to be shown.
    pub messages: &'a [String],
}

/// The body of an answer.
pub fn body(form: Form, told: &Told<'_>) -> String {
    let Told { why, request_id, decision_id, messages } = *told;
    let (status, title) = (why.status(), title(why.status()));
    let shown: Vec<String> = messages.iter().take(MAX_MESSAGES).map(|it| cut(it)).collect();
    let id = if request_id.is_empty() { decision_id } else { request_id };
    match form {
        Form::Html => {
            let items: String = shown.iter().map(|it| format!("<li>{}</li>", encode_text(it))).collect();
            let list = if items.is_empty() { items } else { format!("<ul>{items}</ul>") };
            format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
                 content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\"><title>{title}</title>\
                 <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;\
                 color-scheme:light dark}}small{{opacity:.7}}</style></head>\n<body><h1>{title}</h1><p>{}</p>{list}\
                 <p><small>Request {}</small></p></body></html>\n",
                why.sentence(),
                encode_text(id),
            )
        }
        Form::Problem => {
            let mut problem = json!({
                "type": "about:blank",
                "title": title,
                "status": status,
                "detail": why.sentence(),
                "reason": why.word(),
                "request_id": request_id,
                "decision_id": decision_id,
            });
            if let Some(problem) = problem.as_object_mut().filter(|_| !shown.is_empty()) {
                problem.insert("messages".to_owned(), json!(shown));
            }
            problem.to_string()
        }
        Form::Plain => {
            let mut text = format!("{title}\n\n{}\n", why.sentence());
            for message in &shown {
                text.push_str(&format!("- {message}\n"));
            }
            text.push_str(&format!("\nRequest {id}\n"));
            text
        }
    }
}

const fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad request",
        401 => "Sign-in required",
        403 => "Access denied",
        413 => "Request too large",
        421 => "Misdirected request",
        _ => "Temporarily unavailable",
    }
}

/// One line of at most so many bytes.
fn cut(message: &str) -> String {
    let end = message.floor_char_boundary(MAX_MESSAGE.min(message.len()));
    let text = message.get(..end).unwrap_or_default();
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_accept_has_a_form(accept in "(text|html|application|json|\\*|/|;|,|=|q|\"|\\\\|[0-9.]|[ \t]|\\PC){0,24}") {
            let _either = Form::wanted(Some(&accept));
        }
    }

    #[test]
    fn everybody_gets_the_form_that_they_take() {
        use Form::*;
        for (accept, form) in [
            (None, Plain),
            (Some(""), Plain),
            (Some("*/*"), Plain),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Html),
            (Some("application/json"), Problem),
            (Some("application/json, text/plain, */*"), Problem),
            (Some("application/problem+json"), Problem),
            (Some("text/html;q=0.1, application/json;q=0.9"), Problem),
            (Some("image/png"), Plain),
            (Some("application/grpc"), Plain),
            (Some("text/html;q=0"), Plain),
            (Some(",,;;q=\0"), Plain),
        ] {
            assert_eq!(Form::wanted(accept), form, "{accept:?}");
        }
        assert_eq!(Form::wanted(Some(&"text/html,".repeat(1_000))), Plain);
    }

    #[test]
    fn what_is_shown_is_text_and_bounded() {
        let messages = vec!["<script>alert(1)</script>\r\nx".to_owned(); 30];
        let told = Told { why: Why::Denied, request_id: "\"><b>", decision_id: "d-1", messages: &messages };
        let page = body(Form::Html, &told);
        assert!(
            !page.contains("<script>") && !page.contains("<b>") && page.contains("&lt;script&gt;"),
            "{page}"
        );
        assert_eq!(page.matches("<li>").count(), MAX_MESSAGES);
        let problem: serde_json::Value = serde_json::from_str(&body(Form::Problem, &told)).unwrap();
        assert_eq!((&problem["status"], &problem["reason"]), (&json!(403), &json!("denied")));
        assert_eq!(problem["messages"][0], json!("<script>alert(1)</script>  x"));
        let long = ["é".repeat(MAX_MESSAGE)];
        let plain = body(Form::Plain, &Told { messages: &long, request_id: "", ..told });
        assert!(plain.len() < MAX_MESSAGE + 200 && plain.ends_with("Request d-1\n"), "{plain}");
    }
}
