//! Holds expressions in Python to what `docs/policies.md` says of them, name by name, through the real worker process.
//!
//! - `scope/*.yaml`: cases for each row of the tables of names.
//! - `scope/snippets.txt`: pure Python, with what CPython 3.11 makes of it in `scope/expected.json`
//!   (`python3.11 tests/scope/expected.py` writes that file), and `scope/differences.yaml`: where we differ, and why.

#[cfg(test)]
mod scope {
    pub(crate) mod data;
    pub(crate) mod sidecar;
    pub(crate) mod table;
}

#[cfg(test)]
mod tests {
    use crate::scope::data::{self, Case, Difference, Snippet};
    use crate::scope::sidecar::{Said, Sidecar, name};
    use crate::scope::table::{self, Row, Verdict};
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Write as _;

    /// Prints past the test runner, which keeps what tests print to itself.
    macro_rules! told {
        ($($text:tt)*) => { writeln!(std::io::stderr(), $($text)*).unwrap() };
    }

    /// What is not as a case says; nothing when all is.
    fn deviation(case: &Case, said: &Said) -> Option<String> {
        let same = match (&case.error, said) {
            (Some(text), Said::Error(found)) => found.contains(text.as_str()),
            (None, Said::Answer { passing, messages }) => {
                *passing == case.passes && case.messages.as_ref().is_none_or(|wanted| wanted == messages)
            }
            _ => false,
        };
        (!same).then(|| format!("{} [{}]: {said:?}, not {case:?}", case.row, case.file))
    }

    #[test]
    fn every_name_does_what_its_row_says() {
        let cases = data::cases();
        let mut sidecar = Sidecar::new(&cases.iter().map(|case| case.body.as_str()).collect::<Vec<_>>());
        for (index, case) in cases.iter().enumerate() {
            let compiled = sidecar.compiled(&name(index));
            let broken = compiled.python().unwrap().broken();
            assert!(broken.is_none(), "{} [{}] is broken: {broken:?}", case.row, case.file);
        }
        let wrong: Vec<String> = cases
            .iter()
            .enumerate()
            .filter_map(|(index, case)| deviation(case, &sidecar.ask(index, &case.question)))
            .collect();
        let (asked, count) = (cases.len(), wrong.len());
        told!("names: {asked} cases, {count} wrong");
        assert!(wrong.is_empty(), "{count} of {asked}:\n{}", wrong.join("\n"));
    }

    #[test]
    fn limits_are_what_the_docs_say() {
        let nested = |depth: usize| format!("return {}1{}", "(".repeat(depth), ")".repeat(depth));
        let long = |bytes: usize| format!("return True  #{}", "x".repeat(bytes - 14));
        let deep = |levels: usize| format!("def f(n):\n    return n == 0 or f(n - 1)\nreturn f({levels})");
        let bodies = [
            "for n in range(150):\n    ak_message(n)\nreturn True".to_owned(),
            "ak_message('x' * 5000)\nreturn True".to_owned(),
            nested(190),
            nested(210),
            long(64 << 10),
            deep(350),
            deep(450),
        ];
        let mut sidecar = Sidecar::new(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        let mut ask = |index| sidecar.ask(index, &serde_json::Value::Null);
        let Said::Answer { messages, .. } = ask(0) else { panic!("no answer") };
        assert_eq!(messages.len(), 100);
        let Said::Answer { messages, .. } = ask(1) else { panic!("no answer") };
        assert_eq!(messages[0].len(), 4096);
        for works in [2, 4, 5] {
            assert_eq!(ask(works), Said::Answer { passing: true, messages: vec![] }, "{works}");
        }
        for (beyond, text) in [(3, "nests"), (6, "maximum recursion depth exceeded")] {
            assert!(matches!(ask(beyond), Said::Error(found) if found.contains(text)), "{beyond}");
        }
    }

    /// What a row must say, after its cases.
    fn verdict(cases: &[&Case]) -> Verdict {
        let refused = cases.iter().filter(|case| case.refused).count();
        if refused == cases.len() {
            Verdict::No
        } else if refused > 0 || cases.iter().any(|case| case.differs) {
            Verdict::Differs
        } else {
            Verdict::Yes
        }
    }

    #[test]
    fn every_row_has_cases_that_say_the_same() {
        let cases = data::cases();
        let mut of_row: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        // What is published has no rows: it is made of what they are about.
        for case in cases.iter().filter(|case| case.file != "published.yaml") {
            of_row.entry(&case.row).or_default().push(case);
        }
        let rows = table::rows("names");
        let mut wrong = Vec::new();
        for Row { key, verdict: said, remark } in &rows {
            match of_row.get(key.as_str()) {
                None => wrong.push(format!("{key} has no case")),
                Some(cases) if verdict(cases) != *said => {
                    wrong.push(format!("{key} says {said:?}, its cases {:?}", verdict(cases)));
                }
                Some(cases) => {
                    // Who reads of an error finds its text.
                    for text in
                        cases.iter().filter(|case| case.refused).filter_map(|case| case.error.as_ref())
                    {
                        if !remark.contains(text.as_str()) {
                            wrong.push(format!("{key} does not name the error `{text}`"));
                        }
                    }
                }
            }
        }
        let known: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(known.len(), rows.len(), "a row is there twice");
        wrong
            .extend(of_row.keys().filter(|row| !known.contains(*row)).map(|row| format!("{row} has no row")));
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
        let count = |wanted| rows.iter().filter(|row| row.verdict == wanted).count();
        told!(
            "names: {} rows; {} work, {} differ, {} do not",
            rows.len(),
            count(Verdict::Yes),
            count(Verdict::Differs),
            count(Verdict::No)
        );
    }

    #[test]
    fn python_is_cpythons_but_for_what_is_listed() {
        let snippets = data::snippets();
        let expected = data::expected();
        let differences = data::differences();
        let bodies: Vec<String> = snippets.iter().map(Snippet::told).collect();
        let mut sidecar = Sidecar::new(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        let (mut agree, mut differ, mut wrong) = (0, 0, Vec::new());
        for (index, Snippet { name, .. }) in snippets.iter().enumerate() {
            let found = sidecar.ask(index, &serde_json::Value::Null).text();
            let wanted =
                expected.get(name).unwrap_or_else(|| panic!("{name} is not computed; run expected.py"));
            match differences.get(name) {
                None if found == *wanted => agree += 1,
                None => wrong.push(format!("{name}: {found}\n    CPython: {wanted}")),
                Some(Difference { here, .. }) if found == *here && found != *wanted => differ += 1,
                Some(Difference { here, .. }) => {
                    wrong.push(format!("{name}: {found}\n    CPython: {wanted}\n    listed:  {here}"));
                }
            }
        }
        told!("Python: {} snippets; {agree} agree, {differ} differ as listed", snippets.len());
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(snippets.len() >= 150 && expected.len() == snippets.len());
    }

    #[test]
    fn every_difference_of_python_stands_in_the_docs() {
        let rows = table::rows("python");
        let (snippets, differences) = (data::snippets(), data::differences());
        let expected = data::expected();
        // It runs in Python, and not here.
        let lacks = |(name, difference): &(&String, &Difference)| {
            difference.is_error() && !expected[*name].starts_with('!')
        };
        let mut wrong = Vec::new();
        for (name, Difference { row, .. }) in &differences {
            if !rows.iter().any(|known| known.key == *row) {
                wrong.push(format!("{name} names the row {row}, which is not there"));
            }
            if !snippets.iter().any(|snippet| snippet.name == *name) {
                wrong.push(format!("{name} is no snippet"));
            }
        }
        for Row { key, verdict, .. } in &rows {
            let differ: Vec<_> =
                differences.iter().filter(|(_, difference)| difference.row == *key).collect();
            let agree = snippets.iter().filter(|snippet| {
                snippet.row.as_ref() == Some(key) && !differences.contains_key(&snippet.name)
            });
            let found = match (agree.count(), differ.len()) {
                (0, 0) => {
                    wrong.push(format!("{key} has no snippet"));
                    continue;
                }
                (_, 0) => Verdict::Yes,
                (0, _) if differ.iter().all(|(_, it)| it.is_error()) && differ.iter().any(lacks) => {
                    Verdict::No
                }
                _ => Verdict::Differs,
            };
            if found != *verdict {
                wrong.push(format!("{key} says {verdict:?}, its snippets {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
        told!("Python: {} rows", rows.len());
    }
}
