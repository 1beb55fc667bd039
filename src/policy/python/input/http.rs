//! The HTTP request as Django has it: its META, headers, query, form and cookies.
//!
//! Must not know: the rest of a question.

use super::{Fields, text};
use crate::model::{Context, HttpRequest};
use monty_types::MontyObject as Object;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The most fields of a query or form that are read.
const MAX_FIELDS: usize = 1_000;

fn fields_of(encoded: &[u8]) -> Object {
    let mut lists: Vec<(String, Vec<Object>)> = Vec::new();
    for (key, value) in form_urlencoded::parse(encoded).take(MAX_FIELDS) {
        match lists.iter_mut().find(|(known, _)| *known == *key) {
            Some((_, values)) => values.push(text(&value)),
            None => lists.push((key.into_owned(), vec![text(&value)])),
        }
    }
    Object::dict(
        lists
            .into_iter()
            .map(|(key, values)| (Object::String(key), Object::List(values)))
            .collect::<Vec<_>>(),
    )
}

pub(super) fn request(request: &HttpRequest, context: &Context) -> Object {
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    let content_type = header("content-type");
    let mut meta = Fields::default();
    let peer = match &request.remote_address {
        Some(peer) => peer.to_string(),
        None => context.client_ip.map(|ip| ip.to_string()).unwrap_or_default(),
    };
    meta.put("REMOTE_ADDR", peer.as_str())
        .put("REQUEST_METHOD", &*request.method)
        .put("PATH_INFO", &*request.path);
    meta.put("QUERY_STRING", &*request.query).put("CONTENT_TYPE", content_type);
    meta.put("SERVER_NAME", &*request.host).put("wsgi.url_scheme", &*request.scheme);
    let mut headers = Fields::default();
    for (name, value) in &request.headers {
        headers.put(&title_case(name), value.as_str());
        let known = name.to_uppercase().replace('-', "_");
        if !matches!(&*known, "CONTENT_TYPE" | "CONTENT_LENGTH") {
            meta.put(&format!("HTTP_{known}"), value.as_str());
        }
    }
    let cookie = |part: &str| {
        let (key, value) = part.split_once('=')?;
        Some((text(key.trim()), text(value.trim())))
    };
    let cookies: Vec<_> = header("cookie").split(';').take(MAX_FIELDS).filter_map(cookie).collect();
    let is_form = content_type.starts_with("application/x-www-form-urlencoded");
    let full = if request.query.is_empty() {
        encoded_path(&request.path)
    } else {
        format!("{}?{}", encoded_path(&request.path), request.query)
    };
    let mut fields = Fields::default();
    fields.put("method", &*request.method).put("path", &*request.path).put("full", full.as_str());
    fields.put("scheme", &*request.scheme).put("host", &*request.host).put("META", meta.done());
    fields.put("headers", headers.done()).put("COOKIES", Object::dict(cookies));
    fields.put("_GET", fields_of(request.query.as_bytes()));
    fields.put("_POST", fields_of(if is_form { &request.body } else { &[] }));
    fields.put("body", Object::Bytes(request.body.to_vec())).put("content_type", content_type);
    fields.put("brand", request.brand_title.as_deref());
    fields.done()
}

/// `x-forwarded-for` as `X-Forwarded-For`.
fn title_case(name: &str) -> String {
    let mut start = true;
    let letter = |letter: char| {
        let out = if start { letter.to_ascii_uppercase() } else { letter };
        start = letter == '-';
        out
    };
    name.chars().map(letter).collect()
}

/// A path with what a URL does not take written as percent escapes.
fn encoded_path(path: &str) -> String {
    /// What stands in a path as it is, besides letters and digits.
    const ESCAPED: AsciiSet = NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b':')
        .remove(b'@')
        .remove(b'!')
        .remove(b'$')
        .remove(b'&')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')')
        .remove(b'*')
        .remove(b'+')
        .remove(b',')
        .remove(b';')
        .remove(b'=')
        .remove(b'%');
    utf8_percent_encode(path, &ESCAPED).to_string()
}
