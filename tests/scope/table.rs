//! Reads the tables of `docs/policies.md` that make a promise for each row.

use std::path::Path;

/// What a row promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    Differs,
    No,
}

pub(crate) struct Row {
    /// The first cell.
    pub(crate) key: String,
    pub(crate) verdict: Verdict,
    pub(crate) remark: String,
}

/// The rows of all tables between `<!-- promises: NAME -->` and `<!-- end of promises -->`.
pub(crate) fn rows(name: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policies.md");
    let text = std::fs::read_to_string(path).unwrap();
    let start = format!("<!-- promises: {name} -->");
    let part = text.split_once(&start).unwrap_or_else(|| panic!("{start} is not there")).1;
    let part = part.split_once("<!-- end of promises -->").unwrap().0;
    let mut rows = Vec::new();
    for line in part.lines().filter(|line| line.starts_with('|')) {
        // A bar within a cell is written with a backslash before it.
        let line = line.replace("\\|", "\u{0}");
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect();
        let [key, verdict, remark] = cells.as_slice() else { panic!("three cells are expected: {line}") };
        let verdict = match verdict.as_str() {
            "yes" => Verdict::Yes,
            "differs" => Verdict::Differs,
            "no" => Verdict::No,
            // The head, and the line below it.
            "works" | "---" => continue,
            other => panic!("`{other}` is no verdict: {line}"),
        };
        rows.push(Row { key: key.clone(), verdict, remark: remark.clone() });
    }
    assert!(!rows.is_empty(), "no rows under {start}");
    rows
}
