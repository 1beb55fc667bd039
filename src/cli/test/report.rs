//! What came of cases: for people, as JSON, and as JUnit XML for CI systems.
//!
//! Must not know: how cases are run.

use super::case::{CaseResult, Deviation, Explained};
use crate::cli::output::{Paint, one_line, tree};
use crate::cli::plan::show;
use crate::proto;
use serde_json::json;
use std::fmt::Write;

/// A case that failed, as lines, with its explanation below.
pub(super) fn failure(result: &CaseResult, paint: Paint) -> String {
    let Some(deviation) = &result.failure else { return String::new() };
    let (place, name) = (one_line(&result.origin.to_string()), one_line(&result.name));
    let mut text = format!("{} {place} {name}: {}\n", paint.bad("FAIL"), one_line(&deviation.text));
    for line in explanation(deviation, paint) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn explanation(deviation: &Deviation, paint: Paint) -> Vec<String> {
    let lines = |text: String| text.lines().map(str::to_owned).collect();
    match &deviation.explanation {
        None => Vec::new(),
        Some(Explained::Answer(explanation)) => tree::explanation_lines(explanation, paint),
        Some(Explained::Plan(plan)) => lines(show::plan(plan, true, paint)),
        Some(Explained::Step(step)) => lines(show::step(step, true, paint)),
    }
}

/// The last line.
pub(super) fn counts(results: &[CaseResult], paint: Paint) -> String {
    let failed = failed(results);
    let text = format!("{} passed, {failed} failed", results.len() - failed);
    if failed == 0 { paint.good(&text) } else { paint.bad(&text) }
}

fn failed(results: &[CaseResult]) -> usize {
    results.iter().filter(|result| result.failure.is_some()).count()
}

/// Everything as one object.
pub(super) fn json(results: &[CaseResult], problems: &[String]) -> serde_json::Value {
    let case = |result: &CaseResult| {
        let mut case = json!({
            "name": result.name,
            "file": &*result.origin.file,
            "line": result.origin.line,
            "passed": result.failure.is_none(),
        });
        let (Some(deviation), Some(fields)) = (&result.failure, case.as_object_mut()) else { return case };
        fields.insert("failure".to_owned(), json!(deviation.text));
        let (key, explained) = match &deviation.explanation {
            None => return case,
            Some(Explained::Answer(it)) => ("explanation", proto::to_json("bindery.v1.Explanation", &**it)),
            Some(Explained::Plan(it)) => ("plan", proto::to_json("bindery.v1.PlanFlowResponse", &**it)),
            Some(Explained::Step(it)) => ("step", proto::to_json("bindery.v1.NextStageResponse", &**it)),
        };
        if let Ok(explained) = explained {
            fields.insert(key.to_owned(), explained);
        }
        case
    };
    let failed = failed(results);
    json!({
        "passed": results.len() - failed,
        "failed": failed,
        "problems": problems,
        "cases": results.iter().map(case).collect::<Vec<_>>(),
    })
}

/// JUnit XML: one suite for each file, and one for what is wrong with files.
pub(super) fn junit(results: &[CaseResult], problems: &[String]) -> String {
    let seconds =
        |results: &[CaseResult]| results.iter().map(|result| result.took.as_secs_f64()).sum::<f64>();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = results.len() + problems.len();
    // Writing to a text cannot fail.
    let _ = writeln!(
        xml,
        "<testsuites name=\"bindery\" tests=\"{all}\" failures=\"{}\" errors=\"{}\" time=\"{:.6}\">",
        failed(results),
        problems.len(),
        seconds(results)
    );
    for results in results.chunk_by(|a, b| a.origin.file == b.origin.file) {
        let Some(first) = results.first() else { continue };
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{:.6}\">",
            escape(&first.origin.file),
            results.len(),
            failed(results),
            seconds(results)
        );
        for result in results {
            junit_case(&mut xml, result);
        }
        xml.push_str("  </testsuite>\n");
    }
    if !problems.is_empty() {
        let number = problems.len();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"files\" tests=\"{number}\" failures=\"0\" errors=\"{number}\" time=\"0\">"
        );
        for (index, problem) in problems.iter().enumerate() {
            let number = index + 1;
            let problem = escape(problem);
            let _ = writeln!(
                xml,
                "    <testcase name=\"problem {number}\" classname=\"files\"><error message=\"{problem}\"/></testcase>"
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn junit_case(xml: &mut String, result: &CaseResult) {
    let (name, file) = (escape(&result.name), escape(&result.origin.file));
    let (line, seconds) = (result.origin.line, result.took.as_secs_f64());
    let _ = write!(
        xml,
        "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" time=\"{seconds:.6}\""
    );
    match &result.failure {
        None => xml.push_str("/>\n"),
        Some(deviation) => {
            let text = explanation(deviation, Paint::default()).join("\n");
            let (message, text) = (escape(&deviation.text), escape(&text));
            let _ = writeln!(xml, "><failure message=\"{message}\">{text}</failure></testcase>");
        }
    }
}

/// Text for XML, also inside attributes. Characters that XML 1.0 does not have become the replacement character.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // An attribute would turn them into spaces.
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::origin::Origin;
    use std::time::Duration;

    fn result(file: &str, name: &str, text: Option<&str>) -> CaseResult {
        CaseResult {
            name: name.into(),
            origin: Origin { file: file.into(), line: 3 },
            took: Duration::from_millis(1),
            failure: text.map(|text| Deviation { text: text.into(), explanation: None }),
        }
    }

    #[test]
    fn junit_is_well_formed_whatever_stands_in_names() {
        let results = [
            result("a.yaml", "x", None),
            result("b.yaml", "\"<&>'\u{1}\n", Some("expected <allow>, got deny")),
        ];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"bindery\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"0.002000\">
  <testsuite name=\"a.yaml\" tests=\"1\" failures=\"0\" errors=\"0\" time=\"0.001000\">
    <testcase name=\"x\" classname=\"a.yaml\" file=\"a.yaml\" line=\"3\" time=\"0.001000\"/>
  </testsuite>
  <testsuite name=\"b.yaml\" tests=\"1\" failures=\"1\" errors=\"0\" time=\"0.001000\">
    <testcase name=\"&quot;&lt;&amp;&gt;&apos;\u{fffd}&#10;\" classname=\"b.yaml\" file=\"b.yaml\" line=\"3\" time=\"0.001000\"><failure message=\"expected &lt;allow&gt;, got deny\"></failure></testcase>
  </testsuite>
  <testsuite name=\"files\" tests=\"1\" failures=\"0\" errors=\"1\" time=\"0\">
    <testcase name=\"problem 1\" classname=\"files\"><error message=\"c.yaml:1: no\"/></testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(junit(&results, &["c.yaml:1: no".to_owned()]), expected);
    }

    #[test]
    fn names_with_control_characters_stay_on_their_line() {
        let text = failure(&result("a.yaml", "x\ny", Some("expected deny, got allow")), Paint::default());
        assert_eq!(text, "FAIL a.yaml:3 x\\ny: expected deny, got allow\n");
    }
}
