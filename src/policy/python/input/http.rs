//! The HTTP request as Django has it: its META, headers, query, form and cookies.
//!
//! Must not know: the rest of a question.

use super::{Fields, text};
use crate::model::{Context, HttpRequest};
use monty_types::MontyObject as Object;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// The most fields of a query or form that are read.
const MAX_FIELDS: usize = 1_000;

/// The fields of the query, or of the form.
pub(in crate::policy::python) fn fields(
    request: &HttpRequest,
    form: bool,
) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let is_form = || header(request, "content-type").starts_with("application/x-www-form-urlencoded");
    let encoded: &[u8] = match form {
        false => request.query.as_bytes(),
        true if is_form() => &request.body,
        true => &[],
    };
    form_urlencoded::parse(encoded).take(MAX_FIELDS)
}

/// The cookies.
pub(in crate::policy::python) fn cookies(request: &HttpRequest) -> impl Iterator<Item = (&str, &str)> {
    let parts = header(request, "cookie").split(';').take(MAX_FIELDS);
    parts.filter_map(|part| part.split_once('=')).map(|(key, value)| (key.trim(), value.trim()))
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers.get(name).map_or("", String::as_str)
}

fn lists_of<'a>(fields: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Object {
    let mut lists: Vec<(String, Vec<Object>)> = Vec::new();
    for (key, value) in fields {
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
    let content_type = header(request, "content-type");
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
    let cookies: Vec<_> = cookies(request).map(|(key, value)| (text(key), text(value))).collect();
    let full = if request.query.is_empty() {
        encoded_path(&request.path)
    } else {
        format!("{}?{}", encoded_path(&request.path), request.query)
    };
    let mut out = Fields::default();
    out.put("method", &*request.method).put("path", &*request.path).put("full", full.as_str());
    out.put("scheme", &*request.scheme).put("host", &*request.host).put("META", meta.done());
    out.put("headers", headers.done()).put("COOKIES", Object::dict(cookies));
    out.put("_GET", lists_of(fields(request, false)));
    out.put("_POST", lists_of(fields(request, true)));
    out.put("body", Object::Bytes(request.body.to_vec())).put("content_type", content_type);
    out.put("brand", request.brand_title.as_deref());
    out.done()
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
