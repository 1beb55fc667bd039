//! What commands write to: standard output and standard error, with colour where somebody looks, and tables.
//!
//! Must not know: what is written.

pub(crate) mod change;
pub(crate) mod tree;

use std::fmt::Display;
use std::io::{self, Write};

/// Where a command writes.
///
/// Writing never fails on the way: the first error is kept until the end, so that a command whose reader went away
/// (as in `bindery check ... | head -1`) still ends with its own exit code.
pub(crate) struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    failed: Option<io::Error>,
    /// Whether standard output may have colour. Default: no.
    pub(crate) color: bool,
    /// Whether somebody watches standard error, so that progress may be shown there. Default: no.
    pub(crate) progress: bool,
}

impl<'a> Screen<'a> {
    /// A screen without colour and progress.
    pub(crate) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err, failed: None, color: false, progress: false }
    }

    /// Writes a text to standard output, as it is.
    pub(crate) fn put(&mut self, text: impl Display) {
        if self.failed.is_none() {
            self.failed = write!(self.out, "{text}").err();
        }
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&mut self, text: impl Display) {
        self.put(format_args!("{text}\n"));
    }

    /// Writes a line to standard error, after what was written to standard output. When that cannot be done there is
    /// nobody to tell.
    pub(crate) fn note(&mut self, text: impl Display) {
        self.flush();
        let _ = writeln!(self.err, "{text}");
    }

    /// Shows how far a long command is, when somebody watches. An empty text takes it away again.
    pub(crate) fn show_progress(&mut self, text: impl Display) {
        if self.progress {
            let _ = write!(self.err, "\r\x1b[K{text}");
            let _ = self.err.flush();
        }
    }

    /// Shows what somebody at the terminal is asked for.
    pub(crate) fn prompt(&mut self, text: impl Display) {
        self.flush();
        let _ = write!(self.err, "{text}");
        let _ = self.err.flush();
    }

    /// Asks somebody at the terminal; anything but a yes is a no.
    pub(crate) fn ask(&mut self, question: impl Display) -> bool {
        self.prompt(question);
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// The painter for standard output.
    pub(crate) const fn paint(&self) -> Paint {
        Paint { color: self.color }
    }

    /// Writes what is held back. Says whether everything was written, or nobody wanted it any more.
    pub(crate) fn finish(mut self) -> bool {
        self.flush();
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = writeln!(self.err, "error: the output cannot be written: {error}");
                false
            }
            _ => true,
        }
    }

    /// Writes what is held back, for whoever reads along.
    pub(crate) fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.out.flush().err();
        }
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paint {
    color: bool,
}

impl Paint {
    /// Something good.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("1;32", text)
    }

    /// Something bad.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// Something to look at twice.
    pub(crate) fn notable(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    /// Something beside the point.
    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The text on one line: control characters, which could play with a terminal, are written out.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_hidden(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Characters that change the direction of a text or separate lines without being control characters.
const fn is_hidden(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Sets rows in columns, two spaces between them. Lines do not end in spaces.
pub(crate) fn columns(align: &[Align], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| wide(cell)).max();
    let widths: Vec<usize> = (0..align.len()).map(|column| width(column).unwrap_or_default()).collect();
    let set = |row: &Vec<String>| {
        let cells = row.iter().zip(align.iter().zip(&widths)).map(|(cell, (align, width))| {
            let space = " ".repeat(width.saturating_sub(wide(cell)));
            match align {
                Align::Left => format!("{cell}{space}"),
                Align::Right => format!("{space}{cell}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(set).collect()
}

fn wide(cell: &str) -> usize {
    cell.chars().count()
}

/// `1 case`, `2 cases`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("{number} {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_plays_with_the_terminal() {
        assert_eq!(one_line("caf\u{e9} \u{1b}[2J\nline\u{202e}"), "caf\u{e9} \\u{1b}[2J\\nline\\u{202e}");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "1", "x"], ["bcd", "100", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&[Align::Left, Align::Right, Align::Left], &rows), ["a      1  x", "bcd  100"]);
    }

    struct Full(io::ErrorKind);

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        for (kind, fine, said) in [
            (io::ErrorKind::BrokenPipe, true, ""),
            (io::ErrorKind::StorageFull, false, "error: the output cannot be written"),
        ] {
            let mut err = Vec::new();
            let mut full = Full(kind);
            let mut screen = Screen::new(&mut full, &mut err);
            screen.line("a");
            screen.line("b");
            assert_eq!(screen.finish(), fine);
            assert!(String::from_utf8(err).unwrap().starts_with(said));
        }
    }

    #[test]
    fn colour_only_where_wanted() {
        assert_eq!(Paint { color: false }.good("ALLOW"), "ALLOW");
        assert_eq!(Paint { color: true }.bad("DENY"), "\u{1b}[1;31mDENY\u{1b}[0m");
    }
}
