//! A look at a source before it is parsed: whether its length and its nesting are small enough for a parser that
//! recurses. It only counts; whether the source is CEL at all, the parser says.
//!
//! Must not know: the grammar beyond quotes, comments and brackets.

/// The longest source, in bytes.
pub(super) const MAX_SOURCE: usize = 8 << 10;
/// How deep brackets may lie in each other.
pub(super) const MAX_BRACKETS: usize = 24;
/// How many signs a source may have that can make the tree one deeper: all operators but `&&` and `||`, which the
/// parser balances, and opening brackets.
pub(super) const MAX_OPERATORS: usize = 1_000;

/// What is too much, and where, as an offset in characters.
pub(super) fn refusal(source: &str) -> Option<(usize, String)> {
    if source.len() > MAX_SOURCE {
        let text = format!(
            "the source has {} bytes, and {MAX_SOURCE} are allowed; split it into several policies",
            source.len()
        );
        return Some((0, text));
    }
    let (mut depth, mut operators) = (0_usize, 0_usize);
    let mut signs = source.chars().enumerate().peekable();
    let mut before = ' ';
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' | '\'' => {
                let raw = matches!(before, 'r' | 'R');
                let mut quotes = 1;
                while quotes < 3 && signs.next_if(|(_, next)| *next == sign).is_some() {
                    quotes += 1;
                }
                // Two are an empty text, three open a long one.
                if quotes != 2 {
                    skip_text(&mut signs, sign, quotes, raw);
                }
            }
            '/' if signs.next_if(|(_, next)| *next == '/').is_some() => {
                while signs.next_if(|(_, next)| *next != '\n').is_some() {}
            }
            '(' | '[' | '{' => {
                depth += 1;
                operators += 1;
                if depth > MAX_BRACKETS {
                    let text = format!(
                        "brackets lie more than {MAX_BRACKETS} deep in each other; split the expression into several policies"
                    );
                    return Some((at, text));
                }
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            // `==`, `!=`, `<=` and `>=` are one; a row of `!` or `-` is as many as it is long.
            '=' if matches!(before, '=' | '!' | '<' | '>') => {}
            '.' | '!' | '-' | '+' | '*' | '/' | '%' | '?' | '<' | '>' | '=' => operators += 1,
            // `in`
            'n' if before == 'i' => operators += 1,
            _ => {}
        }
        if operators > MAX_OPERATORS {
            let text = format!(
                "the expression has more than {MAX_OPERATORS} operators; write lists, as in `x in [\"a\", \"b\"]`, or split it into several policies"
            );
            return Some((at, text));
        }
        before = sign;
    }
    None
}

/// Skips to behind the end of a text. A text that does not end is the parser's to complain about.
fn skip_text(signs: &mut impl Iterator<Item = (usize, char)>, quote: char, quotes: usize, raw: bool) {
    let mut closing = 0;
    while let Some((_, sign)) = signs.next() {
        match sign {
            '\\' if !raw => {
                signs.next();
                closing = 0;
            }
            _ if sign == quote => {
                closing += 1;
                if closing == quotes {
                    return;
                }
            }
            // A text in single quotes ends with its line, whether it is closed or not: what follows has to count.
            '\n' if quotes == 1 => return,
            _ => closing = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_too_deep_is_refused() {
        for (what, source) in [
            ("(", "(".repeat(MAX_SOURCE)),
            ("[", "[".repeat(MAX_SOURCE)),
            ("{", "{".repeat(MAX_SOURCE)),
            ("!", "!".repeat(MAX_SOURCE)),
            ("-", "-".repeat(MAX_SOURCE)),
            ("a.", "a.".repeat(MAX_SOURCE / 2)),
            ("a?", "a?a:".repeat(MAX_SOURCE / 4)),
            ("a in", "a in ".repeat(MAX_SOURCE / 5)),
            ("a+", "a+".repeat(MAX_SOURCE / 2)),
            ("after a text", format!("\"(\\\"\" + {}", "(".repeat(100))),
            ("after a comment", format!("1 // (\n+ {}", "(".repeat(100))),
            ("behind an open quote", format!("\"\n{}", "(".repeat(100))),
        ] {
            assert!(refusal(&source).is_some(), "{what}");
        }
        assert!(refusal(&"x".repeat(MAX_SOURCE + 1)).is_some());
    }

    #[test]
    fn texts_and_comments_do_not_count() {
        for source in [
            format!("\"{}\"", "(".repeat(1_000)),
            format!("'''{}\n''' + \"\"", "[\"".repeat(1_000)),
            format!("r\"{}\\\" + 'a'", "(".repeat(1_000)),
            format!("1 // {}", "(".repeat(1_000)),
            format!("[{}]", "\"a\", ".repeat(1_000)),
            vec!["a"; 1_200].join("||"),
        ] {
            assert_eq!(refusal(&source), None, "{source:.40}");
        }
    }
}
