//! Paths of requests: what is ambiguous about one, and its normal form.
//!
//! A gateway, bindery and the application behind it may each read a path in another way, and whoever is let in by one
//! reading may reach what the other means. So a path that can be read in two ways is refused, unless the operator says
//! which ones are harmless. Must not know: routes, targets.

use percent_encoding::percent_decode;
use serde::Deserialize;

/// The longest path that is taken, in bytes.
pub const MAX_PATH: usize = 8 << 10;

/// Ways in which a path can be ambiguous that an operator may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ambiguity {
    /// `.` or `..` as a segment, also with encoded dots. Allowed: they are resolved.
    DotSegments,
    /// `//`. Allowed: several slashes are one.
    EmptySegments,
    /// `%2F`. Allowed: it stays as it is, part of its segment.
    EncodedSlash,
    /// `%5C`. Allowed: it stays as it is.
    EncodedBackslash,
    /// `\`. Allowed: it stays as it is.
    Backslash,
    /// `;`, also encoded, which some servers cut off with what follows. Allowed: it stays as it is.
    Semicolon,
    /// `%25` before two hexadecimal digits: what is decoded twice becomes something else. Allowed: it stays as it is.
    DoubleEncoding,
    /// Characters beyond ASCII that are not encoded. Allowed: they are encoded.
    NonAscii,
}

impl Ambiguity {
    /// Every way.
    pub const ALL: [Self; 8] = [
        Self::DotSegments,
        Self::EmptySegments,
        Self::EncodedSlash,
        Self::EncodedBackslash,
        Self::Backslash,
        Self::Semicolon,
        Self::DoubleEncoding,
        Self::NonAscii,
    ];

    /// What is told of it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::DotSegments => "it has dot segments",
            Self::EmptySegments => "it has empty segments",
            Self::EncodedSlash => "it has an encoded slash",
            Self::EncodedBackslash => "it has an encoded backslash",
            Self::Backslash => "it has a backslash",
            Self::Semicolon => "it has a semicolon",
            Self::DoubleEncoding => "it is encoded twice",
            Self::NonAscii => "it has characters that are not encoded",
        }
    }
}

/// The normal form of a path without its query: characters that need no encoding are not encoded, the others are with
/// upper-case digits.
///
/// # Errors
/// What is ambiguous about the path, or what no path may have.
pub fn normalize(raw: &str, allowed: &[Ambiguity]) -> Result<String, &'static str> {
    let refuse = |way: Ambiguity| if allowed.contains(&way) { Ok(()) } else { Err(way.text()) };
    if raw.len() > MAX_PATH {
        return Err("it is too long");
    }
    if !raw.starts_with('/') {
        return Err("it does not begin with a slash");
    }
    let mut normal = String::with_capacity(raw.len());
    let mut bytes = raw.as_bytes();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        match *first {
            b'%' => {
                let [high, low, rest @ ..] = bytes else {
                    return Err("it has a percent sign without two digits");
                };
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return Err("it has a percent sign without two digits");
                };
                bytes = rest;
                let byte = high * 16 + low;
                match byte {
                    0..0x20 | 0x7f => return Err("it has an encoded control character"),
                    b'/' => refuse(Ambiguity::EncodedSlash)?,
                    b'\\' => refuse(Ambiguity::EncodedBackslash)?,
                    b';' => refuse(Ambiguity::Semicolon)?,
                    _ => {}
                }
                push(&mut normal, byte);
            }
            0..=0x20 | 0x7f => return Err("it has a control character or a space"),
            b'#' => return Err("it has a fragment"),
            b'?' => return Err("it has a query"),
            b'\\' => {
                refuse(Ambiguity::Backslash)?;
                normal.push('\\');
            }
            b';' => {
                refuse(Ambiguity::Semicolon)?;
                normal.push(';');
            }
            0x80.. => {
                refuse(Ambiguity::NonAscii)?;
                push(&mut normal, *first);
            }
            plain => normal.push(char::from(plain)),
        }
    }
    // Overlong forms, surrogates and cut characters: another reader may see a slash or a dot in them.
    let Ok(decoded) = percent_decode(normal.as_bytes()).decode_utf8() else {
        return Err("what is encoded in it is no UTF-8");
    };
    // To somebody who decodes first or cuts parameters off, `..%2F` and `..;x` are dot segments too.
    if decoded.split(['/', '\\']).any(|segment| is_dots(segment.split(';').next().unwrap_or_default())) {
        refuse(Ambiguity::DotSegments)?;
    }
    if decoded.contains("//") {
        refuse(Ambiguity::EmptySegments)?;
    }
    // Read from what is decoded once, since its digits may be encoded, too.
    let mut rest = decoded.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let is_escape = matches!(after, [a, b, ..] if digit(*a).is_some() && digit(*b).is_some());
        if *first == b'%' && is_escape {
            refuse(Ambiguity::DoubleEncoding)?;
        }
    }
    Ok(resolve(normal))
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// Resolves dot segments and empty ones.
fn resolve(path: String) -> String {
    if !path.contains("//") && !path.split('/').any(is_dots) {
        return path;
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut is_open = false;
    for segment in path.split('/').skip(1) {
        // A path that ends in dots ends in a slash.
        is_open = segment.is_empty() || is_dots(segment);
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if is_open || kept.is_empty() {
        normal.push('/');
    }
    normal
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Puts a byte that was encoded, or has to be, into a normal form.
fn push(normal: &mut String, byte: u8) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        normal.push(char::from(byte));
        return;
    }
    normal.push('%');
    for half in [byte >> 4, byte & 15] {
        normal.push(HEX.get(usize::from(half)).copied().unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_are_their_own_normal_form() {
        for path in ["/", "/a", "/a/", "/a/b.c", "/a..b/...", "/%20x", "/a:b@c!$&'()*+,=", "/~u/_-"] {
            assert_eq!(normalize(path, &[]).as_deref(), Ok(path));
        }
        assert_eq!(normalize("/%61%2d%2Db", &[]).as_deref(), Ok("/a--b"));
        assert_eq!(normalize("/%c3%a9", &[]).as_deref(), Ok("/%C3%A9"));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused_unless_it_is_allowed() {
        use Ambiguity::*;
        for (path, way, allowed) in [
            ("/a/../b", DotSegments, "/b"),
            ("/a/%2e%2E/b", DotSegments, "/b"),
            ("/a/.%2e/b", DotSegments, "/b"),
            ("/a/./b/.", DotSegments, "/a/b/"),
            ("/..", DotSegments, "/"),
            ("/../../b", DotSegments, "/b"),
            ("//a", EmptySegments, "/a"),
            ("/a///b//", EmptySegments, "/a/b/"),
            ("/a%2fb", EncodedSlash, "/a%2Fb"),
            ("/a%5cb", EncodedBackslash, "/a%5Cb"),
            ("/a\\b", Backslash, "/a\\b"),
            ("/a;b=c", Semicolon, "/a;b=c"),
            ("/a%3bb", Semicolon, "/a%3Bb"),
            ("/a%252e", DoubleEncoding, "/a%252e"),
            ("/a%25%32%65", DoubleEncoding, "/a%252e"),
            ("/é", NonAscii, "/%C3%A9"),
        ] {
            assert_eq!(normalize(path, &[]), Err(way.text()), "{path}");
            assert_eq!(normalize(path, &[way]).as_deref(), Ok(allowed), "{path}");
            let others: Vec<_> = Ambiguity::ALL.into_iter().filter(|it| *it != way).collect();
            assert_eq!(normalize(path, &others), Err(way.text()), "{path}");
        }
        assert_eq!(normalize("/100%25", &[]).as_deref(), Ok("/100%25"));
        for (path, way) in [("/a/..%2fb", EncodedSlash), ("/a/..;x/b", Semicolon), ("/a\\..\\b", Backslash)] {
            assert_eq!(normalize(path, &[way]), Err(DotSegments.text()), "{path}");
        }
    }

    #[test]
    fn some_paths_are_never_taken() {
        for path in [
            "",
            "*",
            "a",
            "http://h/",
            "/a b",
            "/a\tb",
            "/a\0",
            "/%00",
            "/%0d%0a",
            "/%7f",
            "/a#b",
            "/a?b",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/%c0%af",
            "/%e0%80%af",
            "/%c0%ae%c0%ae",
            "/%ff",
            "/%ed%a0%80",
            "/%c3",
        ] {
            assert!(normalize(path, &Ambiguity::ALL).is_err(), "{path}");
        }
        assert!(normalize(&format!("/{}", "a".repeat(MAX_PATH)), &Ambiguity::ALL).is_err());
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(path in "(/|\\.|%2[ef5]|%|;|\\\\|[a-c]|é|%C3%A9){0,12}") {
            if let Ok(normal) = normalize(&format!("/{path}"), &Ambiguity::ALL) {
                prop_assert_eq!(normalize(&normal, &Ambiguity::ALL), Ok(normal.clone()));
                prop_assert!(normal.starts_with('/') && !normal.contains("//"));
                prop_assert!(!normal.split('/').any(|it| it == "." || it == ".."));
            }
        }

        #[test]
        fn any_text_has_an_answer(path in "\\PC*") {
            let _either = normalize(&path, &[]);
        }
    }
}
