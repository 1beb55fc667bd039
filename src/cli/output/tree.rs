//! An answer for people to read: the outcome, the sentence that says why, and the explanation as a tree.
//!
//! Must not know: where the answer came from.

use super::{Align, Paint, columns, one_line};
use crate::proto::v1;

/// Targets inside one another that are drawn. The server sends two at most; what is deeper is not to be trusted.
const MAX_DEPTH: usize = 16;

/// The whole answer, every line with its end. `named`: the question names somebody, whom the directory may know.
pub(crate) fn answer(response: &v1::CheckResponse, named: bool, paint: Paint) -> String {
    let mut lines = vec![outcome(response.decision(), paint)];
    if let Some(explanation) = &response.explanation {
        if !explanation.summary.is_empty() {
            lines.push(one_line(&explanation.summary));
        }
        if named && !explanation.subject_known {
            lines.push("the directory does not know the subject, so the caller's word counts".to_owned());
        }
        lines.push(String::new());
        lines.extend(explanation_lines(explanation, paint));
    }
    if !response.messages.is_empty() {
        lines.push(String::new());
        lines.push("messages:".to_owned());
        lines.extend(response.messages.iter().map(|message| format!("  {}", one_line(message))));
    }
    lines.push(String::new());
    lines.push(paint.faint(&footing(response)));
    lines.join("\n") + "\n"
}

/// What the answer stands on and how long.
fn footing(response: &v1::CheckResponse) -> String {
    let mut parts = vec![format!("revision {}", response.revision)];
    if response.stale {
        parts.push("which is known to be behind".to_owned());
    }
    if let Some(until) = &response.valid_until {
        parts.push(format!("valid until {until}"));
    }
    parts.join(", ")
}

/// The decision in one word.
pub(crate) fn word(decision: v1::Decision) -> &'static str {
    match decision {
        v1::Decision::Allow => "allow",
        v1::Decision::Deny => "deny",
        v1::Decision::Unspecified => "no decision",
    }
}

fn outcome(decision: v1::Decision, paint: Paint) -> String {
    let text = word(decision).to_uppercase();
    if decision == v1::Decision::Allow { paint.good(&text) } else { paint.bad(&text) }
}

/// The explanation as a tree, line by line.
pub(crate) fn explanation_lines(explanation: &v1::Explanation, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    draw(explanation, paint, Branch { first: "", rest: "", depth: 0 }, &mut lines);
    lines
}

/// What stands before the lines of a part of the tree.
struct Branch<'a> {
    first: &'a str,
    rest: &'a str,
    depth: usize,
}

fn draw(explanation: &v1::Explanation, paint: Paint, branch: Branch<'_>, lines: &mut Vec<String>) {
    let Branch { first, rest, depth } = branch;
    let target = explanation.target.as_ref().map_or_else(|| "target".to_owned(), target_text);
    let outcome = outcome(explanation.decision(), paint);
    lines.push(format!("{}{target}  {outcome}  {}", paint.faint(first), reason(explanation)));
    if depth >= MAX_DEPTH {
        return;
    }
    let mut rows = vec![["order", "subject", "result", "negated", "messages"].map(str::to_owned).to_vec()];
    rows.extend(explanation.bindings.iter().map(row));
    let align = [Align::Right, Align::Left, Align::Left, Align::Left, Align::Left];
    let mut set = columns(&align, &rows).into_iter();
    if let Some(head) = set.next().filter(|_| !explanation.bindings.is_empty()) {
        lines.push(format!("{}{}", paint.faint(&format!("{rest}│  ")), paint.faint(&head)));
    }
    let mut left = explanation.bindings.len() + explanation.parents.len();
    for (binding, text) in explanation.bindings.iter().zip(set) {
        left -= 1;
        let line = if left == 0 { "└─ " } else { "├─ " };
        let counts = binding.skipped() == v1::SkipReason::Unspecified && !binding.dry_run;
        let text = if counts { text } else { paint.faint(&text) };
        lines.push(format!("{}{text}", paint.faint(&format!("{rest}{line}"))));
    }
    for parent in &explanation.parents {
        left -= 1;
        let (line, below) = if left == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (first, rest) = (format!("{rest}{line}"), format!("{rest}{below}"));
        draw(parent, paint, Branch { first: &first, rest: &rest, depth: depth + 1 }, lines);
    }
}

fn row(binding: &v1::BindingExplanation) -> Vec<String> {
    let skipped = match binding.skipped() {
        v1::SkipReason::Unspecified => None,
        v1::SkipReason::Disabled => Some("skipped: it is switched off"),
        v1::SkipReason::Expired => Some("skipped: it has expired"),
        v1::SkipReason::Decided => Some("skipped: the outcome was known before its turn"),
    };
    let result = if binding.result { "pass" } else { "fail" };
    let mut said = Vec::new();
    if binding.dry_run {
        said.push("dry run, does not count".to_owned());
    }
    // The messages of a policy that errors repeat the error.
    match &binding.error {
        Some(error) => said.push(format!("error, counts as {result}: {}", one_line(error))),
        None => said.extend(binding.messages.iter().map(|message| one_line(message))),
    }
    let (result, messages) = match skipped {
        Some(why) => ("-", why.to_owned()),
        None => (result, said.join("; ")),
    };
    let negated = if binding.negated { "yes" } else { "" };
    vec![
        binding.order.to_string(),
        one_line(&binding.subject),
        result.to_owned(),
        negated.to_owned(),
        messages,
    ]
}

fn reason(explanation: &v1::Explanation) -> String {
    let all = explanation.policy_engine_mode() == v1::PolicyEngineMode::All;
    match explanation.reason() {
        v1::Reason::Bindings if all => "all of its bindings must pass",
        v1::Reason::Bindings => "one of its bindings must pass",
        v1::Reason::NoBindings => "it has no enabled binding",
        v1::Reason::ParentFailed => "what it leans on failed",
        v1::Reason::AccessGroupPassed => "its access group passed",
        v1::Reason::AccessGroupFailed => "its access group failed, and it has no enabled binding of its own",
        v1::Reason::Authentication => "the flow's authentication requirement is not met",
        v1::Reason::Unspecified => "no reason is given",
    }
    .to_owned()
}

/// The text form of a target, as the command line takes it.
fn target_text(target: &v1::TargetRef) -> String {
    use v1::target_ref::Target;
    let (kind, name) = match &target.target {
        None => return "target".to_owned(),
        Some(Target::Application(name)) => ("application", name.clone()),
        Some(Target::Entitlement(entitlement)) if entitlement.id.is_empty() => {
            ("entitlement", format!("{}/{}", entitlement.application, entitlement.name))
        }
        Some(Target::Entitlement(entitlement)) => ("entitlement", entitlement.id.clone()),
        Some(Target::Source(name)) => ("source", name.clone()),
        Some(Target::Flow(name)) => ("flow", name.clone()),
        Some(Target::FlowStageBinding(id)) => ("flow_stage_binding", id.clone()),
        Some(Target::Device(name)) => ("device", name.clone()),
        Some(Target::DeviceAccessGroup(name)) => ("device_access_group", name.clone()),
        Some(Target::NotificationRule(name)) => ("notification_rule", name.clone()),
        Some(Target::RacEndpoint(endpoint)) => ("rac_endpoint", endpoint.id.clone()),
    };
    format!("{kind}/{}", one_line(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(order: i32, subject: &str, result: bool) -> v1::BindingExplanation {
        v1::BindingExplanation { order, subject: subject.into(), result, ..Default::default() }
    }

    fn target(target: v1::target_ref::Target) -> Option<v1::TargetRef> {
        Some(v1::TargetRef { target: Some(target) })
    }

    fn device() -> v1::CheckResponse {
        let group = v1::Explanation {
            target: target(v1::target_ref::Target::DeviceAccessGroup("lab".into())),
            decision: v1::Decision::Deny.into(),
            reason: v1::Reason::Bindings.into(),
            policy_engine_mode: v1::PolicyEngineMode::All.into(),
            bindings: vec![binding(0, "group/name/lab", false)],
            ..Default::default()
        };
        let explanation = v1::Explanation {
            target: target(v1::target_ref::Target::Device("KITE-7".into())),
            decision: v1::Decision::Deny.into(),
            reason: v1::Reason::Bindings.into(),
            policy_engine_mode: v1::PolicyEngineMode::Any.into(),
            bindings: vec![
                v1::BindingExplanation { negated: true, ..binding(0, "group/name/staff", false) },
                v1::BindingExplanation {
                    messages: vec!["Password has\nexpired.".into(), "Bye.".into()],
                    ..binding(10, "policy/age", false)
                },
                v1::BindingExplanation {
                    messages: vec!["no answer".into()],
                    error: Some("no answer".into()),
                    ..binding(20, "policy/door", false)
                },
                v1::BindingExplanation { dry_run: true, ..binding(30, "user/username/ada", true) },
                v1::BindingExplanation {
                    skipped: v1::SkipReason::Expired.into(),
                    ..binding(1000, "user/username/eve", false)
                },
            ],
            parents: vec![group],
            summary: "ada may not reach device `KITE-7`: so it is".into(),
            subject_known: true,
        };
        v1::CheckResponse {
            age: None,
            context: None,
            decision: v1::Decision::Deny.into(),
            messages: vec!["Password has\nexpired.".into(), "Bye.".into()],
            revision: 7,
            stale: true,
            explanation: Some(explanation),
            valid_until: Some("2026-06-30T00:00:00Z".parse().unwrap()),
        }
    }

    #[test]
    fn an_answer_reads_well() {
        let expected = r"DENY
ada may not reach device `KITE-7`: so it is

device/KITE-7  DENY  one of its bindings must pass
│  order  subject            result  negated  messages
├─     0  group/name/staff   fail    yes
├─    10  policy/age         fail             Password has\nexpired.; Bye.
├─    20  policy/door        fail             error, counts as fail: no answer
├─    30  user/username/ada  pass             dry run, does not count
├─  1000  user/username/eve  -                skipped: it has expired
└─ device_access_group/lab  DENY  all of its bindings must pass
   │  order  subject         result  negated  messages
   └─     0  group/name/lab  fail

messages:
  Password has\nexpired.
  Bye.

revision 7, which is known to be behind, valid until 2026-06-30T00:00:00Z
";
        assert_eq!(answer(&device(), true, Paint::default()), expected);
    }

    #[test]
    fn an_answer_without_an_explanation_is_short() {
        let response =
            v1::CheckResponse { decision: v1::Decision::Allow.into(), revision: 1, ..Default::default() };
        assert_eq!(answer(&response, true, Paint::default()), "ALLOW\n\nrevision 1\n");
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let coloured = answer(&device(), true, Paint { color: true });
        assert!(coloured.contains("\u{1b}[1;31mDENY\u{1b}[0m"));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, code)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = code.split_once('m').unwrap().1;
        }
        assert_eq!(plain + rest, answer(&device(), true, Paint::default()));
    }

    #[test]
    fn a_tree_without_end_is_cut() {
        let mut explanation = v1::Explanation::default();
        for _ in 0..100 {
            explanation = v1::Explanation { parents: vec![explanation], ..Default::default() };
        }
        assert_eq!(explanation_lines(&explanation, Paint::default()).len(), MAX_DEPTH + 1);
    }
}
