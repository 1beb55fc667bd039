//! Small programs over the names of the scope, made from bytes. Most of them are valid.

use arbitrary::{Arbitrary, Result, Unstructured};
use std::fmt::Write as _;

/// The deepest that a program nests.
const DEPTH: usize = 5;

const NAMES: &[&str] = &[
    "a",
    "b",
    "c",
    "request",
    "context",
    "request.user",
    "request.context",
    "request.user.attributes",
    "http_request",
    "ak_client_ip",
    "request.user.username",
    "request.obj",
    "_messages",
    "_request",
    "_in",
    "_host",
    "_out",
];

const FUNCTIONS: &[&str] = &[
    "ak_message",
    "ak_is_group_member",
    "ak_user_by",
    "ak_user_has_authenticator",
    "ak_call_policy",
    "ip_address",
    "ip_network",
    "regex_match",
    "regex_replace",
    "list_flatten",
    "slugify",
    "request.user.all_groups",
    "request.user.groups.filter",
    "context.get",
    "context.update",
    "context.pop",
    "http_request.build_absolute_uri",
    "len",
    "str",
    "int",
    "list",
    "dict",
    "set",
    "tuple",
    "sorted",
    "sum",
    "min",
    "max",
    "any",
    "all",
    "map",
    "filter",
    "zip",
    "enumerate",
    "range",
    "isinstance",
    "getattr",
    "setattr",
    "hasattr",
    "repr",
    "hash",
    "type",
    "iter",
    "next",
    "ValueError",
    "Exception",
    "_host",
    "_revive",
    "_fill",
    "_remainder",
    "a",
    "b",
    "c",
];

const METHODS: &[&str] = &[
    "append",
    "extend",
    "pop",
    "get",
    "items",
    "keys",
    "values",
    "update",
    "split",
    "join",
    "format",
    "lower",
    "strip",
    "replace",
    "startswith",
    "all",
    "filter",
    "first",
    "count",
    "sort",
    "index",
    "encode",
    "getlist",
    "exists",
    "order_by",
    "values_list",
    "setdefault",
    "copy",
    "is_private",
    "username",
    "a",
    "b",
];

const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "//", "%", "**", "|", "&", "^", "<<", ">>", "==", "!=", "<", "<=", ">", ">=", "in",
    "not in", "is", "is not", "and", "or",
];

const MODULES: &[&str] = &[
    "import re",
    "import json",
    "import ipaddress",
    "import hashlib as a",
    "import time",
    "import datetime as b",
    "from datetime import timedelta",
    "from django.utils.text import slugify as c",
    "from django.utils import timezone",
    "import os",
    "import math",
    "import itertools",
    "import string",
];

/// The body of a policy.
#[derive(Debug)]
pub struct Program(pub String);

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut out = String::new();
        for _ in 0..bytes.int_in_range(1..=12)? {
            statement(bytes, &mut out, 0)?;
        }
        Ok(Self(out))
    }
}

fn block(bytes: &mut Unstructured<'_>, out: &mut String, depth: usize) -> Result<()> {
    for _ in 0..bytes.int_in_range(1..=3)? {
        statement(bytes, out, depth + 1)?;
    }
    Ok(())
}

fn statement(bytes: &mut Unstructured<'_>, out: &mut String, depth: usize) -> Result<()> {
    let indent = "    ".repeat(depth);
    let kinds = if depth >= DEPTH { 9 } else { 17 };
    match bytes.int_in_range(0..=kinds)? {
        0 | 1 => line(out, &indent, &format!("return {}", expression(bytes, 0)?)),
        2 | 3 => line(out, &indent, &format!("{} = {}", place(bytes)?, expression(bytes, 0)?)),
        4 => line(out, &indent, &format!("{} += {}", place(bytes)?, expression(bytes, 0)?)),
        5 => line(out, &indent, &expression(bytes, 0)?),
        6 => line(out, &indent, &format!("del {}", place(bytes)?)),
        7 => line(out, &indent, &format!("raise {}", expression(bytes, 0)?)),
        8 => line(out, &indent, bytes.choose(MODULES)?),
        9 => line(
            out,
            &indent,
            bytes.choose(&["pass", "break", "continue", "global a", "yield a", "assert a"])?,
        ),
        10 | 11 => {
            line(out, &indent, &format!("if {}:", expression(bytes, 0)?));
            block(bytes, out, depth)?;
            if bytes.arbitrary()? {
                line(out, &indent, "else:");
                block(bytes, out, depth)?;
            }
        }
        12 => {
            line(
                out,
                &indent,
                &format!("for {} in {}:", bytes.choose(&["a", "b", "a, b"])?, expression(bytes, 0)?),
            );
            block(bytes, out, depth)?;
        }
        13 => {
            line(out, &indent, &format!("while {}:", expression(bytes, 0)?));
            block(bytes, out, depth)?;
        }
        14 => {
            line(out, &indent, "try:");
            block(bytes, out, depth)?;
            line(
                out,
                &indent,
                bytes.choose(&["except:", "except Exception as c:", "finally:", "except (KeyError, a):"])?,
            );
            block(bytes, out, depth)?;
        }
        15 => {
            line(out, &indent, bytes.choose(&["def a(b=None, *c):", "def b():", "def a(b, **c):"])?);
            block(bytes, out, depth)?;
        }
        16 => {
            line(out, &indent, bytes.choose(&["class a:", "class b(Exception):"])?);
            let method = bytes.choose(&[
                "__eq__",
                "__str__",
                "__init__",
                "__contains__",
                "__hash__",
                "__len__",
                "a",
            ])?;
            line(out, &indent, &format!("    def {method}(self, b=None):"));
            block(bytes, out, depth + 1)?;
        }
        _ => {
            line(out, &indent, &format!("with {} as a:", expression(bytes, 0)?));
            block(bytes, out, depth)?;
        }
    }
    Ok(())
}

fn line(out: &mut String, indent: &str, text: &str) {
    out.push_str(indent);
    out.push_str(text);
    out.push('\n');
}

/// What something may be assigned to.
fn place(bytes: &mut Unstructured<'_>) -> Result<String> {
    Ok(match bytes.int_in_range(0..=3)? {
        0 => format!("{}[{}]", bytes.choose(NAMES)?, expression(bytes, DEPTH)?),
        1 => format!("{}.{}", bytes.choose(NAMES)?, bytes.choose(METHODS)?),
        2 => "a, *b".to_owned(),
        _ => (*bytes.choose(&["a", "b", "c"])?).to_owned(),
    })
}

fn expression(bytes: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let kinds = if depth >= DEPTH { 4 } else { 16 };
    let inner = |bytes: &mut Unstructured<'_>| expression(bytes, depth + 1);
    Ok(match bytes.int_in_range(0..=kinds)? {
        0 | 1 => (*bytes.choose(NAMES)?).to_owned(),
        2 => bytes.int_in_range(-300_i64..=300)?.to_string(),
        3 => (*bytes.choose(&[
            "None",
            "True",
            "[]",
            "{}",
            "()",
            "1.5",
            "10**20",
            "b'x'",
            "''",
            "'%s %(a)d'",
        ])?)
        .to_owned(),
        4 => {
            let text: String =
                bytes.arbitrary::<[u8; 6]>()?.iter().map(|byte| char::from(byte % 128)).collect();
            format!("{text:?}").replace("\\u{", "\\x{").replace("\\x{", "x")
        }
        5 | 6 => {
            let function = bytes.choose(FUNCTIONS)?;
            let mut text = format!("{function}(");
            for _ in 0..bytes.int_in_range(0..=3)? {
                let _never_fails = write!(text, "{}, ", inner(bytes)?);
            }
            if bytes.ratio(1, 4)? {
                let _never_fails =
                    write!(text, "{}={}", bytes.choose(&["name", "username", "key", "flat"])?, inner(bytes)?);
            }
            text + ")"
        }
        7 | 8 => format!("{}.{}({})", inner(bytes)?, bytes.choose(METHODS)?, inner(bytes)?),
        9 | 10 => format!("({} {} {})", inner(bytes)?, bytes.choose(OPERATORS)?, inner(bytes)?),
        11 => format!("{}[{}]", inner(bytes)?, inner(bytes)?),
        12 => format!("[{}, {}]", inner(bytes)?, inner(bytes)?),
        13 => format!("{{{}: {}}}", inner(bytes)?, inner(bytes)?),
        14 => format!("[{} for a in {}]", inner(bytes)?, inner(bytes)?),
        15 => format!("({} if {} else {})", inner(bytes)?, inner(bytes)?, inner(bytes)?),
        _ => format!("(lambda a=None, *b: {})", inner(bytes)?),
    })
}
