//! Sources that mean harm to who reads them: that nest without end, and that try to stand outside of their body.

/// As much of it as a source may be long.
const LONG: usize = 64 * 1024;

/// Sources of about the longest length that there is, each nested in another way.
pub(crate) fn nested() -> Vec<(&'static str, String)> {
    let pairs = |open: &str, middle: &str, close: &str| {
        let count = (LONG - middle.len() - 8) / (open.len() + close.len());
        format!("return {}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let lines = |line: &dyn Fn(usize) -> String| {
        let mut out = String::new();
        for depth in 0.. {
            let next = line(depth);
            if out.len() + next.len() > LONG - 16 {
                return out;
            }
            out.push_str(&next);
        }
        out
    };
    let blocks = |head: &str| {
        let line = |depth: usize| format!("{}{head}\n", " ".repeat(depth));
        let text = lines(&line);
        let depth = text.lines().count();
        format!("{text}{}pass\n", " ".repeat(depth))
    };
    vec![
        ("parentheses", pairs("(", "1", ")")),
        ("brackets", pairs("[", "1", "]")),
        ("braces", pairs("{", "1", "}")),
        ("dictionaries", pairs("{1:", "1", "}")),
        ("open parentheses", pairs("(", "", "")),
        ("open brackets", pairs("[", "", "")),
        ("closed parentheses", pairs("", "", ")")),
        ("calls", pairs("a(", "", ")")),
        ("calls of calls", pairs("", "a", "()")),
        ("attributes", pairs("", "a", ".a")),
        ("subscripts", pairs("", "a", "[0]")),
        ("subscripts in subscripts", pairs("a[", "0", "]")),
        ("slices", pairs("", "a", "[:]")),
        ("not", pairs("not ", "a", "")),
        ("minus", pairs("-", "1", "")),
        ("tilde", pairs("~", "1", "")),
        ("await", pairs("await ", "a", "")),
        ("stars", pairs("*", "a", "")),
        ("lambda", pairs("lambda: ", "1", "")),
        ("lambda with defaults", pairs("lambda a=", "1", ": 1")),
        ("if", pairs("1 if ", "1", " else 1")),
        ("else", pairs("1 if 1 else ", "1", "")),
        ("plus", pairs("", "1", "+1")),
        ("power", pairs("", "1", "**1")),
        ("and", pairs("", "1", " and 1")),
        ("or and", pairs("", "1", " or 1 and 1")),
        ("comparisons", pairs("", "1", "<1")),
        ("in", pairs("", "1", " in 1")),
        ("percent", pairs("", "1", "%1")),
        ("union", pairs("", "1", "|1")),
        ("walrus", pairs("(a:=", "1", ")")),
        ("assignments", format!("{}1", "a=".repeat(LONG / 2 - 8))),
        ("texts side by side", pairs("", "''", " ''")),
        ("formatted texts side by side", pairs("", "f''", " f'{1}'")),
        ("formatted texts", pairs("f'{", "1", "}'")),
        (
            "format of formats",
            format!("return f'{}1{}'", "{1:".repeat(LONG / 4 - 8), "}".repeat(LONG / 4 - 8)),
        ),
        ("comprehensions", pairs("[a for a in ", "b", "]")),
        ("comprehension of many", format!("return [a{}]", " for a in b".repeat(LONG / 11 - 2))),
        (
            "comprehension with many conditions",
            format!("return [a for a in b{}]", " if a".repeat(LONG / 5 - 8)),
        ),
        ("generators", pairs("(a for a in ", "b", ")")),
        ("blocks of if", blocks("if 1:")),
        ("blocks of for", blocks("for a in b:")),
        ("blocks of while", blocks("while 1:")),
        ("blocks of with", blocks("with a:")),
        ("blocks of functions", blocks("def a():")),
        ("blocks of classes", blocks("class a:")),
        ("blocks of try", blocks("try:")),
        ("elif", format!("if a:\n pass\n{}", "elif a:\n pass\n".repeat(LONG / 15 - 2))),
        (
            "else if",
            lines(&|depth| {
                let indent = " ".repeat(depth);
                format!("{indent}if a:\n{indent} pass\n{indent}else:\n")
            }),
        ),
        ("except", format!("try:\n pass\n{}", "except a:\n pass\n".repeat(LONG / 17 - 2))),
        ("decorators", format!("{}def a():\n pass\n", "@a\n".repeat(LONG / 3 - 16))),
        (
            "parameters",
            format!("def a({}):\n pass\n", (0..9_000).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",")),
        ),
        ("arguments", format!("a({})", "1,".repeat(LONG / 2 - 4))),
        ("keywords", format!("a({})", (0..7_000).map(|n| format!("a{n}=1")).collect::<Vec<_>>().join(","))),
        ("with of many", format!("with {}a:\n pass\n", "a,".repeat(LONG / 2 - 16))),
        ("targets", format!("{}a=b", "a,".repeat(LONG / 2 - 4))),
        ("starred targets", format!("{}a=b", "*a,".repeat(LONG / 3 - 4))),
        ("targets in targets", format!("{}a{}=b", "(".repeat(LONG / 3 - 8), ",)".repeat(LONG / 3 - 8))),
        ("for targets", format!("for {}a in b:\n pass", "a,".repeat(LONG / 2 - 16))),
        ("del", format!("del {}a", "a,".repeat(LONG / 2 - 8))),
        ("del of items", format!("del {}a[0]", "a[0],".repeat(LONG / 5 - 8))),
        ("global", format!("global {}a", "a,".repeat(LONG / 2 - 8))),
        ("import", format!("import {}a", "a,".repeat(LONG / 2 - 8))),
        ("import from", format!("from a import {}a", "a,".repeat(LONG / 2 - 16))),
        ("dotted import", format!("import a{}", ".a".repeat(LONG / 2 - 8))),
        ("relative import", format!("from {} import a", ".".repeat(LONG - 32))),
        ("annotations", pairs("", "1\na: a", "[a]")),
        (
            "match",
            format!("match a:\n case {}a{}:\n  pass", "[".repeat(LONG / 2 - 32), "]".repeat(LONG / 2 - 32)),
        ),
        ("match of alternatives", format!("match a:\n case {}1:\n  pass", "1|".repeat(LONG / 2 - 32))),
        ("types", format!("type a = a{}", "[a]".repeat(LONG / 3 - 16))),
        ("semicolons", "a;".repeat(LONG / 2 - 8)),
        ("statements", "a\n".repeat(LONG / 2 - 8)),
        ("imports", "import re\n".repeat(LONG / 10 - 8)),
        ("exceptions", "raise ValueError(a)\n".repeat(LONG / 20 - 8)),
        ("backslashes", format!("return 1{}", "\\\n".repeat(LONG / 2 - 8))),
        ("comments", "#\n".repeat(LONG / 2 - 8)),
        ("digits", format!("return {}", "9".repeat(LONG - 16))),
        ("hexadecimal digits", format!("return 0x{}", "f".repeat(LONG - 16))),
        ("exponent", format!("return 1e{}", "9".repeat(LONG - 16))),
        ("long name", format!("return {}", "a".repeat(LONG - 16))),
        ("long text", format!("return '{}'", "a".repeat(LONG - 16))),
        ("escapes", format!("return '{}'", "\\x41".repeat(LONG / 4 - 8))),
        ("quotes", "'".repeat(LONG - 8)),
        ("nulls", "\0".repeat(LONG - 8)),
        ("tabs", "\t".repeat(LONG - 8)),
        ("form feeds", "\u{c}".repeat(LONG - 8)),
        ("too long", "#".repeat(LONG + 1)),
    ]
}

/// Bodies of which a part could stand outside. None of them may pass.
pub(crate) fn escapes() -> Vec<(&'static str, String)> {
    // Makes everything a pass, where it stands outside, and nothing inside.
    let forge = "_body = lambda *a, **b: True\ndef _body(*a, **b):\n    return True";
    let with = |before: &str, end: &str| format!("{before}{}", forge.replace('\n', end));
    vec![
        ("carriage return alone", with("return False\r", "\r")),
        ("carriage returns only", "if False:\r    return True\rreturn False\rglobal x".to_owned()),
        ("carriage return in a text", "a = '\r'\nreturn False".to_owned()),
        ("line separator", with("return False\u{2028}", "\u{2028}")),
        ("paragraph separator", with("return False\u{2029}", "\u{2029}")),
        ("next line", with("return False\u{85}", "\u{85}")),
        ("form feed", with("return False\n\u{c}", "\n\u{c}")),
        ("vertical tab", with("return False\u{b}", "\u{b}")),
        ("dedent", with("  return False\n", "\n")),
        ("tabs", with("\treturn False\n", "\n")),
        ("tab after spaces", "if False:\n    pass\n\treturn True\n".to_owned()),
        ("continuation at the end", "return False\\".to_owned()),
        ("continuation before the end", "return False\\\n".to_owned()),
        ("continuation of nothing", "\\\n\\\n\\\nreturn False".to_owned()),
        ("open parenthesis", "return (False".to_owned()),
        ("open text", "return 'False".to_owned()),
        ("open long text", "return False\n'''".to_owned()),
        ("open long text with a backslash", "return False\n'''\\".to_owned()),
        ("open formatted text", "return False\nf'''{".to_owned()),
        ("open decorator", "return False\n@ak_message".to_owned()),
        ("open class", "return False\nclass A:".to_owned()),
        ("open try", "return False\ntry:\n    pass".to_owned()),
        ("open if", "return False\nif True:".to_owned()),
        ("null", "return False\0".to_owned()),
        ("null in a comment", "return False # \0\nreturn True".to_owned()),
        ("byte order mark", "\u{feff}return False".to_owned()),
        ("byte order mark inside", "return False\n\u{feff}return True".to_owned()),
        ("encoding", "# coding: utf-7\nreturn False".to_owned()),
        ("override of direction", "return False # \u{202e}\n".to_owned()),
        ("end of file", "return False\u{1a}\nreturn True".to_owned()),
        ("magic of notebooks", "!ls\n%time\n?a\nreturn False".to_owned()),
        ("future", "from __future__ import annotations\nreturn False".to_owned()),
        ("nonlocal", "nonlocal _out\n_out = [True, True, None]\nreturn False".to_owned()),
        ("nothing", String::new()),
        ("blanks", "  \n\t\n".to_owned()),
        ("a comment", "# return True".to_owned()),
        ("comment that is open", "return False # \\".to_owned()),
    ]
}
