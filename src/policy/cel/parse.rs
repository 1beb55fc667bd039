//! From a source to the parser's tree, with errors as a person wants to read them.
//!
//! Must not know: what the tree means.

use super::scan;
use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::ParseErrors;

/// What [`scan`] lets through needs a good quarter of it.
const STACK: usize = 32 << 20;
/// The longest part of a source or of the parser's words that an error repeats, in characters.
const MAX_QUOTE: usize = 80;

/// A tree, and where its nodes stand in the source.
pub(super) struct Parsed {
    pub(super) root: IdedExpr,
    pub(super) places: Places,
}

/// Where nodes stand.
pub(super) struct Places(SourceInfo);

impl Places {
    /// The offset of a node in characters.
    pub(super) fn of(&self, id: u64) -> u32 {
        self.0.offset_for(id).unwrap_or_default().0
    }
}

/// The place of a character, counted from one.
pub(super) fn place(source: &str, offset: usize) -> String {
    let (mut line, mut column) = (1, 1);
    for sign in source.chars().take(offset) {
        (line, column) = if sign == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    format!("line {line}, column {column}")
}

/// Parses a source. Macros stay the calls that they are written as: what a loop may cost is easier to see there.
pub(super) fn parse(source: &str) -> Result<Parsed, String> {
    if let Some((offset, text)) = scan::refusal(source) {
        return Err(format!("{}: {text}", place(source, offset)));
    }
    if source.trim().is_empty() {
        return Err(
            "missing; write an expression that is true or false, such as `\"admins\" in subject.groups`"
                .to_owned(),
        );
    }
    // A level of brackets costs this parser more than a hundred kilobytes of stack in a build without optimisation,
    // and the end of the stack is the end of the process: it gets a stack of its own, of which only what is used
    // becomes memory. That thread also takes the blow of a panic: the parser indexes and unwraps inside, and a source
    // that nobody thought of must not take the task with it that loads the configuration.
    let work = || {
        let parser = cel::Env::default().with_optional_support(false).parser();
        let (root, info) = parser.parse_with_source_info(source).map_err(|errors| first(&errors))?;
        Ok(Parsed { root, places: Places(info) })
    };
    std::thread::scope(|scope| {
        match std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work) {
            Ok(parsing) => parsing
                .join()
                .unwrap_or_else(|_| Err("the parser cannot read this; write it in another way".to_owned())),
            Err(error) => Err(format!("there is no thread to parse it on ({error}); try again")),
        }
    })
}

/// The first complaint, which mostly makes the others.
fn first(errors: &ParseErrors) -> String {
    let Some(error) = errors.errors.first() else {
        return "this is not CEL".to_owned();
    };
    let (line, column) = error.pos;
    let text = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    // The list of all that could stand there helps nobody.
    let text = text.split(" expecting ").next().unwrap_or_default();
    let text = text.replace("'<EOF>'", "the end").replace('\'', "`");
    let (line, column) = (line.max(1), column.max(1));
    format!(
        "line {line}, column {column}: not CEL: {}; look for what is missing or too much there",
        short(&text)
    )
}

/// A text, cut where it gets long, in lower case at its beginning.
pub(super) fn short(text: &str) -> String {
    let mut signs = text.chars();
    let mut out: String = signs.by_ref().take(MAX_QUOTE).collect();
    if signs.next().is_some() {
        out.push_str("...");
    }
    match out.chars().next() {
        Some(first) if first.is_ascii_uppercase() => {
            let rest = out.split_off(1);
            first.to_ascii_lowercase().to_string() + &rest
        }
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_the_place() {
        let tail = "; look for what is missing or too much there";
        for (source, text) in [
            ("1 +", "line 1, column 4: not CEL: mismatched input the end"),
            ("a b", "line 1, column 3: not CEL: extraneous input `b`"),
            ("true\n  && && true", "line 2, column 6: not CEL: extraneous input `&&`"),
            ("99999999999999999999", "line 1, column 1: not CEL: invalid int literal"),
            ("context.?a", "line 1, column 8: not CEL: unsupported syntax `.?`"),
            ("for", "line 1, column 1: not CEL: reserved identifier: for"),
        ] {
            assert_eq!(parse(source).err(), Some(format!("{text}{tail}")), "{source}");
        }
        assert!(parse(" \n").err().unwrap().starts_with("missing; write"));
    }

    #[test]
    fn what_the_scan_lets_through_does_not_end_the_stack() {
        let most = scan::MAX_BRACKETS;
        for (open, close) in
            [("(", ")"), ("f(", ")"), ("[", "]"), ("{1:", "}"), ("a?(", "):a"), ("!(a+(a&&(", ")))")]
        {
            let count = most / open.matches(['(', '[', '{']).count();
            for source in [open.repeat(count), open.repeat(count) + "a" + &close.repeat(count)] {
                assert_eq!(scan::refusal(&source), None);
                let _ = parse(&source);
            }
        }
        for one in ["!", "-", "a.", "a+", "a?a:", "a?", "[a]", "a in ", "a<", "a&&"] {
            let source = one.repeat(scan::MAX_OPERATORS - 1) + "a";
            let source = source.get(..scan::MAX_SOURCE).unwrap_or(&source);
            assert_eq!(scan::refusal(source), None);
            let _ = parse(source);
        }
        for junk in [")]}", "é\u{7f}", "1 ", ",", "'\n", "\u{0}"] {
            let _ = parse(&junk.repeat(scan::MAX_SOURCE / junk.len()));
        }
    }
}
