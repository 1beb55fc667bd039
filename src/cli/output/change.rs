//! Shows what is different between two configurations.
//!
//! Must not know: where they came from.

use super::{Paint, Screen, count, one_line};
use crate::sync::diff::{self, Diff, Entry, Field, Opened};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

/// How many resources of a kind are shown unless all are asked for.
const SHOWN: usize = 20;
/// How many fields of a resource that is added or removed are shown unless all are asked for.
const FIELDS: usize = 6;
/// How many lines of a text are shown unless all are asked for.
const LINES: usize = 20;
/// How many targets that are opened are named unless all are asked for.
const OPENED: usize = 50;
/// Fields that name a resource.
const NAMES: [&str; 4] = ["slug", "username", "name", "identifier"];
/// How long a value may be on its line.
const WIDTH: usize = 80;

/// Shows a difference; `full` leaves nothing out.
pub(crate) fn show(diff: &Diff, full: bool, screen: &mut Screen<'_>) {
    let paint = screen.paint();
    for kind in diff::kinds(diff.entries.iter()) {
        let entries: Vec<&Entry> = diff.entries.iter().filter(|entry| entry.name.kind == kind).collect();
        let shown = if full { entries.len() } else { SHOWN };
        for entry in entries.iter().take(shown) {
            for line in lines(entry, full, paint) {
                screen.line(line);
            }
        }
        if let Some(more) = entries.len().checked_sub(shown).filter(|more| *more > 0) {
            screen.line(paint.faint(&format!("  ... {more} more of kind {}; --full shows all", kind.noun())));
        }
    }
    if diff.is_empty() {
        screen.line("nothing is different");
        return;
    }
    screen.line("");
    let shown = if full { diff.opened.len() } else { OPENED };
    for opened in diff.opened.iter().take(shown) {
        screen.line(format_args!("{} {}", paint.notable("!"), one_line(&opened_text(opened))));
    }
    if let Some(more) = diff.opened.len().checked_sub(shown).filter(|more| *more > 0) {
        screen.line(paint.faint(&format!("  ... {more} more are open to everyone; --full shows all")));
    }
    if diff.opens() {
        screen.line("");
    }
    screen.line(summary(diff));
}

/// `3 added, 1 changed, 2 removed, of 17 resources that were there`.
pub(crate) fn summary(diff: &Diff) -> String {
    let (added, changed, removed) = diff.counts();
    format!(
        "{added} added, {changed} changed, {removed} removed; there were {}",
        count(usize::try_from(diff.held).unwrap_or(usize::MAX), "resource")
    )
}

/// Why a target is open to everyone now.
pub(crate) fn opened_text(opened: &Opened) -> String {
    let called = opened.called.as_ref().map_or_else(String::new, |called| {
        if **called == *opened.target.id { String::new() } else { format!(" ({called})") }
    });
    let why = if opened.arrives {
        "it arrives without an enabled binding"
    } else {
        "its last enabled binding goes"
    };
    format!("{}{called} is open to everyone: {why}", opened.target)
}

fn lines(entry: &Entry, full: bool, paint: Paint) -> Vec<String> {
    let mut fields = entry.fields();
    let called = entry.value(&NAMES).filter(|name| **name != *entry.name.id);
    let called = called.map_or_else(String::new, |name| format!(" ({})", one_line(&name)));
    let is_changed = entry.old.is_some() && entry.new.is_some();
    if !is_changed {
        // What the line above says already.
        let id = Some(Value::String(entry.name.id.to_string()));
        fields.retain(|field| !NAMES.contains(&&*field.path) || (field.new != id && field.old != id));
    }
    let sign = match (&entry.old, &entry.new) {
        (None, _) => paint.good("+"),
        (_, None) => paint.bad("-"),
        _ => paint.notable("~"),
    };
    let mut lines = vec![format!("{sign} {}{}", one_line(&entry.name.to_string()), called)];
    // Of what goes, the name is enough.
    let shown = match (&entry.new, full || is_changed) {
        (None, false) => 0,
        (_, true) => fields.len(),
        (Some(_), false) => FIELDS,
    };
    for field in fields.iter().take(shown) {
        field_lines(field, is_changed, full, paint, &mut lines);
    }
    if shown > 0 && fields.len() > shown {
        lines.push(paint.faint(&format!("    ... {}", count(fields.len() - shown, "more field"))));
    }
    lines
}

fn field_lines(field: &Field, is_changed: bool, full: bool, paint: Paint, lines: &mut Vec<String>) {
    let path = one_line(&field.path);
    if let (Some(Value::String(old)), Some(Value::String(new))) = (&field.old, &field.new)
        && (old.contains('\n') || new.contains('\n'))
    {
        lines.push(format!("    {path}:"));
        let diff = TextDiff::from_lines(old.as_str(), new.as_str());
        let changed = diff.grouped_ops(1).into_iter().flatten();
        let changed = changed.flat_map(|op| diff.iter_changes(&op).collect::<Vec<_>>());
        let texts: Vec<String> = changed
            .map(|change| {
                let line = one_line(change.value().trim_end_matches('\n'));
                match change.tag() {
                    ChangeTag::Delete => paint.bad(&format!("      - {line}")),
                    ChangeTag::Insert => paint.good(&format!("      + {line}")),
                    ChangeTag::Equal => format!("        {line}"),
                }
            })
            .collect();
        let shown = if full { texts.len() } else { LINES };
        let more = texts.len().saturating_sub(shown);
        lines.extend(texts.into_iter().take(shown));
        if more > 0 {
            lines.push(paint.faint(&format!("        ... {}", count(more, "more line"))));
        }
        return;
    }
    let text = |value: &Option<Value>| {
        value.as_ref().map_or_else(|| "(default)".to_owned(), |value| short(value, full))
    };
    lines.push(if is_changed {
        format!("    {path}: {} -> {}", text(&field.old), text(&field.new))
    } else {
        format!("    {path}: {}", text(if field.new.is_some() { &field.new } else { &field.old }))
    });
}

fn short(value: &Value, full: bool) -> String {
    let text = match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    };
    if full || text.chars().count() <= WIDTH {
        return text;
    }
    format!("{}...", text.chars().take(WIDTH).collect::<String>())
}

/// A difference for machines.
pub(crate) fn as_json(diff: &Diff) -> Value {
    let (added, changed, removed) = diff.counts();
    let changes: Vec<Value> = diff
        .entries
        .iter()
        .map(|entry| {
            let change = match (&entry.old, &entry.new) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            };
            let fields: Vec<Value> = entry
                .fields()
                .into_iter()
                .map(|field| json!({"field": field.path, "old": field.old, "new": field.new}))
                .collect();
            json!({
                "kind": entry.name.kind.noun(), "id": entry.name.id, "change": change, "fields": fields,
            })
        })
        .collect();
    json!({
        "added": added,
        "changed": changed,
        "removed": removed,
        "held": diff.held,
        "changes": changes,
        "opens_to_everyone": opened_json(diff),
    })
}

/// The targets that are opened, for machines.
pub(crate) fn opened_json(diff: &Diff) -> Value {
    let opened = diff.opened.iter().map(|opened| {
        json!({
            "kind": opened.target.kind.noun(), "id": opened.target.id, "name": opened.called,
            "arrives": opened.arrives,
        })
    });
    Value::Array(opened.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ResourceKind, ResourceName, TargetKind};
    use crate::proto::v1;
    use prost::Message as _;
    use v1::resource::Resource as R;

    fn bytes(resource: R) -> Option<Vec<u8>> {
        Some(v1::Resource { resource: Some(resource) }.encode_to_vec())
    }

    fn shown(diff: &Diff, full: bool) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err);
        show(diff, full, &mut screen);
        assert!(screen.finish());
        String::from_utf8(out).unwrap()
    }

    fn name(kind: ResourceKind, id: &str) -> ResourceName {
        ResourceName { kind, id: id.into() }
    }

    #[test]
    fn fields_and_texts_are_compared() {
        let policy = |source: &str| {
            let expression = v1::ExpressionPolicy { source: source.into(), ..Default::default() };
            let kind = Some(v1::policy::Kind::Expression(expression));
            bytes(R::Policy(v1::Policy { name: "p".into(), kind, ..Default::default() }))
        };
        let app = |id: &str, name: &str| {
            let (id, name, slug) = (id.into(), name.into(), "wiki".into());
            bytes(R::Application(v1::Application { id, name, slug, ..Default::default() }))
        };
        let target = name(ResourceKind::Target(TargetKind::Application), "7");
        let entries = vec![
            Entry { name: target.clone(), old: app("7", "Wiki"), new: app("7", "The\u{1b}[2J wiki") },
            Entry {
                name: name(ResourceKind::Policy, "p"),
                old: policy("a = 1\nb = 2\nc = 3\nreturn True"),
                new: policy("a = 1\nb = 2\nc = 3\nreturn False"),
            },
            Entry {
                name: name(ResourceKind::Group, "g"),
                old: bytes(R::Group(v1::Group::default())),
                new: None,
            },
        ];
        let opened = vec![Opened { target, called: Some("wiki".into()), arrives: false }];
        let text = shown(&Diff { entries, opened, held: 9 }, false);
        assert_eq!(
            text,
            "\
~ application `7` (wiki)
    name: Wiki -> The\\u{1b}[2J wiki
~ policy `p`
    expression.source:
        c = 3
      - return True
      + return False
- group `g`

! application `7` (wiki) is open to everyone: its last enabled binding goes

0 added, 2 changed, 1 removed; there were 9 resources
"
        );
    }

    #[test]
    fn long_lists_are_shortened() {
        let entry = |number: usize| {
            let username = format!("user-{number:03}");
            let user = v1::User { username: username.clone(), ..Default::default() };
            Entry { name: name(ResourceKind::User, &username), old: None, new: bytes(R::User(user)) }
        };
        let diff = Diff { entries: (0..25).map(entry).collect(), opened: vec![], held: 0 };
        let text = shown(&diff, false);
        assert!(text.contains("  ... 5 more of kind user; --full shows all"), "{text}");
        assert_eq!(shown(&diff, true).matches("+ user").count(), 25);
        assert_eq!(shown(&Diff::default(), false), "nothing is different\n");
    }
}
