//! Reads a Rust file as far as the rules need it: which names it uses on which line, and which lines are tests.
//!
//! Comments, texts and character literals are left out, so that prose may name anything. It is no parser: whatever is
//! not a name, a path or a brace passes by unread.
//! Must not know: the rules.

use std::collections::BTreeSet;

/// A name or a sign of the code.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// A use of a name: `use a::b`, or `a::b` in the middle of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// The names between `::`; the last is `*` for all of a module.
    pub(crate) segments: Vec<String>,
    /// From a `use` or `extern crate`, where also one name alone is a path.
    pub(crate) imported: bool,
    /// The modules opened inside the file around it.
    pub(crate) inside: Vec<String>,
}

/// What the rules look at in a file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Paths outside of test modules.
    pub(crate) paths: Vec<Path>,
    /// Modules that the file declares or opens, with their lines.
    pub(crate) modules: Vec<(usize, String)>,
    /// Modules under `#[cfg(test)]` whose code is another file.
    pub(crate) test_files: BTreeSet<String>,
    /// Lines outside of test modules.
    pub(crate) production_lines: usize,
}

impl Source {
    /// Reads a file.
    pub(crate) fn read(text: &str) -> Self {
        let mut reader = Reader { tokens: tokens(text), at: 0, open: Vec::new(), source: Self::default() };
        let test_lines = reader.run();
        reader.source.production_lines = text.lines().count().saturating_sub(test_lines);
        reader.source
    }
}

/// Splits code into names and signs.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| literal(rest));
        let length = skipped.unwrap_or_else(|| {
            if is_name(first) {
                rest.find(|sign| !is_name(sign)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            }
        });
        let (token, after) = rest.split_at(length);
        if skipped.is_none() && !first.is_whitespace() {
            found.push(Token { text: token, line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

fn is_name(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut rest) = (0_usize, text);
    loop {
        if let Some(after) = rest.strip_prefix("/*") {
            (depth, rest) = (depth + 1, after);
        } else if let Some(after) = rest.strip_prefix("*/") {
            (depth, rest) = (depth - 1, after);
            if depth == 0 {
                break;
            }
        } else {
            let mut signs = rest.chars();
            if signs.next().is_none() {
                break;
            }
            rest = signs.as_str();
        }
    }
    Some(text.len() - rest.len())
}

/// The length of the text or character literal that the text begins with.
fn literal(text: &str) -> Option<usize> {
    let body = text.strip_prefix(['b', 'c']).unwrap_or(text);
    if let Some(raw) = body.strip_prefix('r') {
        let quoted = raw.trim_start_matches('#');
        let end = format!("\"{}", "#".repeat(raw.len() - quoted.len()));
        let quoted = quoted.strip_prefix('"')?;
        let rest = quoted.split_once(&end).map_or("", |(_, rest)| rest);
        return Some(text.len() - rest.len());
    }
    if let Some(quoted) = body.strip_prefix('"') {
        return Some(text.len() - after_quote(quoted, '"').len());
    }
    let quoted = text.strip_prefix('\'')?;
    let mut signs = quoted.chars();
    // What has no closing quote right behind one sign is a lifetime.
    (signs.next() == Some('\\') || signs.next() == Some('\''))
        .then(|| text.len() - after_quote(quoted, '\'').len())
}

/// What follows the closing quote.
fn after_quote(quoted: &str, quote: char) -> &str {
    let mut signs = quoted.chars();
    while let Some(sign) = signs.next() {
        if sign == '\\' {
            signs.next();
        } else if sign == quote {
            break;
        }
    }
    signs.as_str()
}

/// Goes through the tokens once.
struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// Open braces; a module's brace has its name.
    open: Vec<Option<&'a str>>,
    source: Source,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    /// Reads everything; returns how many lines belong to test modules.
    fn run(&mut self) -> usize {
        let mut test_lines = 0;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" if self.is_test_attribute() => test_lines += self.test_item(),
                "mod" if self.peek(1).starts_with(is_name) => {
                    let name = self.peek(1);
                    self.source.modules.push((self.line(), name.to_owned()));
                    self.at += 2;
                    if self.peek(0) == "{" {
                        self.open.push(Some(name));
                        self.at += 1;
                    }
                }
                // `use<'a>` at the end of a type is no import.
                "use" if self.peek(1) != "<" => {
                    self.at += 1;
                    self.tree(&[]);
                }
                "extern" if self.peek(1) == "crate" => {
                    self.at += 2;
                    self.tree(&[]);
                }
                "{" => {
                    self.open.push(None);
                    self.at += 1;
                }
                "}" => {
                    self.open.pop();
                    self.at += 1;
                }
                name if name.starts_with(is_name) => self.path(),
                _ => self.at += 1,
            }
        }
        test_lines
    }

    /// `#[cfg(test)]`, or `all` of test and more.
    fn is_test_attribute(&self) -> bool {
        let begins = |signs: &[&str]| signs.iter().enumerate().all(|(ahead, sign)| self.peek(ahead) == *sign);
        begins(&["#", "[", "cfg", "(", "test", ")", "]"])
            || begins(&["#", "[", "cfg", "(", "all", "(", "test"])
    }

    /// Passes over the module behind a test attribute. Anything else behind one is read like production code.
    fn test_item(&mut self) -> usize {
        let first_line = self.line();
        while self.peek(0) == "#" {
            self.at += 1;
            self.skip_group();
        }
        if self.peek(0) == "pub" {
            self.at += 1;
            if self.peek(0) == "(" {
                self.skip_group();
            }
        }
        if self.peek(0) != "mod" {
            return 0;
        }
        let name = self.peek(1).to_owned();
        self.source.modules.push((self.line(), name.clone()));
        self.at += 2;
        if self.peek(0) != "{" {
            self.source.test_files.insert(name);
            return 0;
        }
        self.skip_group();
        let last_line = self.tokens.get(self.at - 1).map_or(first_line, |token| token.line);
        last_line + 1 - first_line
    }

    /// Passes over a bracket and all up to its partner.
    fn skip_group(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
    }

    /// One branch of what stands behind `use`, up to its comma, brace or semicolon.
    fn tree(&mut self, before: &[String]) {
        let mut segments = before.to_vec();
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | ";" | "") {
                        self.tree(&segments);
                        if self.peek(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => self.at += 2,
                "," | "}" | ";" => break,
                name => {
                    if name == "*" || name.starts_with(is_name) {
                        segments.push(name.to_owned());
                    }
                    self.at += 1;
                }
            }
        }
        self.push(self.line(), segments, true);
    }

    /// A name in the middle of code, and what `::` adds to it.
    fn path(&mut self) {
        let mut segments = vec![self.peek(0).to_owned()];
        let line = self.line();
        self.at += 1;
        while self.peek(0) == "::" && self.peek(1).starts_with(is_name) {
            segments.push(self.peek(1).to_owned());
            self.at += 2;
        }
        self.push(line, segments, false);
    }

    fn push(&mut self, line: usize, segments: Vec<String>, imported: bool) {
        let inside = self.open.iter().flatten().map(|name| (*name).to_owned()).collect();
        self.source.paths.push(Path { line, segments, imported, inside });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::read(text)
            .paths
            .iter()
            .filter(|path| path.segments.len() > 1 || path.imported)
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        assert_eq!(
            paths("pub(crate) use a::{b, c::{d as e, *}, self};\nextern crate f;"),
            ["a::b", "a::c::d", "a::c::*", "a::self", "f"]
        );
    }

    #[test]
    fn paths_in_code_are_found() {
        assert_eq!(
            paths("fn f<'a>(x: &'a g::H) -> Vec::<crate::i::J> { k::l!('x', '\\'', m::n) }"),
            ["g::H", "crate::i::J", "k::l", "m::n"]
        );
    }

    #[test]
    fn comments_and_texts_say_nothing() {
        let text = "// a::b\n/* c::d /* e::f */ g::h */ let x = (\"i::j \\\" k::l\", r#\"m::n \" o::p\"#, b\"q::r\");\ns::t";
        assert_eq!(paths(text), ["s::t"]);
        assert_eq!(Source::read(text).paths.last().unwrap().line, 3);
    }

    #[test]
    fn test_modules_are_left_out_wherever_they_stand() {
        let text = "a::b;\n#[cfg(test)]\n#[expect(dead_code)]\nmod tests {\n  c::d { }\n}\ne::f;\n#[cfg(test)]\nmod more;\n";
        let source = Source::read(text);
        assert_eq!(paths(text), ["a::b", "e::f"]);
        assert_eq!(source.production_lines, 4);
        assert!(source.test_files.contains("more"));
    }

    #[test]
    fn modules_inside_a_file_are_known() {
        let source = Source::read("mod a { mod b { fn f() { super::c(); } } }");
        assert_eq!(source.paths.iter().find(|path| path.segments.len() > 1).unwrap().inside, ["a", "b"]);
    }
}
