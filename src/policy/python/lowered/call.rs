//! Lowers calls: of the scope's functions, of Python's own, of methods.
//!
//! Must not know: statements.

use super::expression::{constant, text_of};
use super::node::{Const, Filter, GroupField, Lookup, Node, Search};
use super::statement::{Lowering, Lowers};
use fancy_regex::{Regex, RegexBuilder};
use ruff_python_ast::{Expr, ExprAttribute, ExprCall, Keyword};

/// How often a pattern may go back and try another way before the interpreter is asked, which has a deadline.
const MAX_BACKTRACKS: usize = 10_000;
/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 << 10;

impl<'a> Lowering<'a> {
    pub(super) fn call(&mut self, call: &'a ExprCall) -> Lowers<Node> {
        match &*call.func {
            Expr::Name(name) if self.local(&name.id).is_none() => self.function(call, &name.id),
            Expr::Attribute(method) => self.method(call, method),
            other => self.refuse(other, "a call of something that is kept under a name"),
        }
    }

    fn one(&mut self, of: &'a Expr) -> Lowers<Box<Node>> {
        self.expression(of).map(Box::new)
    }

    fn function(&mut self, call: &'a ExprCall, name: &str) -> Lowers<Node> {
        let (args, keywords) = (&*call.arguments.args, &*call.arguments.keywords);
        Ok(match (name, args, keywords) {
            ("len", [of], []) => Node::Length(self.one(of)?),
            ("str", [of], []) => Node::Text(self.one(of)?),
            ("bool", [of], []) => Node::Truth(self.one(of)?),
            ("any" | "all", [of], []) => {
                let all = name == "all";
                match of {
                    Expr::Generator(it) => self.quantified(of, &it.elt, &it.generators, (all, false))?,
                    Expr::ListComp(it) => self.quantified(of, &it.elt, &it.generators, (all, true))?,
                    Expr::List(it) if constant(of).is_none() => {
                        Node::Every(Box::new(Node::Items(self.all(&it.elts)?)), all)
                    }
                    Expr::Tuple(it) if constant(of).is_none() => {
                        Node::Every(Box::new(Node::Items(self.all(&it.elts)?)), all)
                    }
                    _ => Node::Every(self.one(of)?, all),
                }
            }
            ("regex_match", [text, pattern], []) => {
                let pattern = self.pattern(pattern, "", "")?;
                Node::Search(self.one(text)?, pattern, Search::Truth)
            }
            ("ip_address", [of], []) => Node::Address(self.one(of)?),
            ("ip_network", [of], []) => Node::Network(self.one(of)?, true),
            ("ip_network", [of, strict], []) => self.network(call, of, strict)?,
            ("ip_network", [of], [Keyword { arg: Some(arg), value, .. }]) if arg.as_str() == "strict" => {
                self.network(call, of, value)?
            }
            ("ak_is_group_member", [of], keywords) => {
                let user = self.one(of)?;
                // These are looked up in a way of their own there.
                if keywords.iter().any(|it| it.arg.as_deref() == Some("group_uuid")) {
                    return self.refuse(call, "`group_uuid`");
                }
                Node::IsMember(user, self.filters(call, keywords)?)
            }
            ("ak_user_has_authenticator", [of], []) => {
                Node::HasAuthenticator(Box::new((self.expression(of)?, None)))
            }
            ("ak_user_has_authenticator", [of, kind], []) => {
                let user = self.expression(of)?;
                Node::HasAuthenticator(Box::new((user, Some(self.expression(kind)?))))
            }
            _ => return self.refuse(call, &format!("`{name}()`")),
        })
    }

    fn network(&mut self, call: &'a ExprCall, of: &'a Expr, strict: &'a Expr) -> Lowers<Node> {
        match constant(strict) {
            Some(Const::Bool(strict)) => Ok(Node::Network(self.one(of)?, strict)),
            _ => self.refuse(call, "`strict` with a value that is not constant"),
        }
    }

    fn method(&mut self, call: &'a ExprCall, method: &'a ExprAttribute) -> Lowers<Node> {
        let (args, keywords) = (&*call.arguments.args, &*call.arguments.keywords);
        let of = &*method.value;
        if let Expr::Name(name) = of
            && &*name.id == "re"
            && self.has_re
        {
            return self.search(call, &method.attr);
        }
        if let Some((user, direct)) = groups(call) {
            return Ok(Node::Groups(self.one(user)?, direct));
        }
        Ok(match (&*method.attr, args, keywords) {
            ("exists", [], []) => match of {
                Expr::Call(filter) => match (&*filter.func, &*filter.arguments.args) {
                    (Expr::Attribute(it), []) if &*it.attr == "filter" => {
                        let Some((user, direct)) = held(&it.value) else {
                            return self.refuse(call, "`.exists()` of this");
                        };
                        let user = self.one(user)?;
                        Node::HasGroup(user, direct, self.filters(filter, &filter.arguments.keywords)?)
                    }
                    _ => return self.refuse(call, "`.exists()` of this"),
                },
                _ => return self.refuse(call, "`.exists()` of this"),
            },
            ("get", [key], []) if text_of(key).is_some() => {
                let of = self.expression(of)?;
                Node::Get(Box::new((of, self.expression(key)?, None)))
            }
            ("get", [key, default], []) if text_of(key).is_some() => {
                let of = self.expression(of)?;
                let key = self.expression(key)?;
                Node::Get(Box::new((of, key, Some(self.expression(default)?))))
            }
            ("startswith" | "endswith", [affix], []) => {
                let of = self.expression(of)?;
                Node::Affix(Box::new((of, self.expression(affix)?)), &*method.attr == "endswith")
            }
            ("lower" | "upper", [], []) => Node::Case(self.one(of)?, &*method.attr == "upper"),
            ("strip", [], []) => Node::Strip(self.one(of)?),
            (name, ..) => return self.refuse(call, &format!("`.{name}()`")),
        })
    }

    /// `text.split(separator)`, of which one part is taken.
    pub(super) fn split(&mut self, call: &'a ExprCall, index: i64) -> Lowers<Option<Node>> {
        let (Expr::Attribute(method), [separator], []) =
            (&*call.func, &*call.arguments.args, &*call.arguments.keywords)
        else {
            return Ok(None);
        };
        match text_of(separator) {
            // One that may overlap itself gives other parts from behind.
            Some(text) if &*method.attr == "split" && text.chars().count() == 1 => {
                Ok(Some(Node::Part(self.one(&method.value)?, text.into(), index)))
            }
            _ => Ok(None),
        }
    }

    fn search(&mut self, call: &'a ExprCall, function: &str) -> Lowers<Node> {
        let ([pattern, text], []) = (&*call.arguments.args, &*call.arguments.keywords) else {
            return self.refuse(call, "flags of a pattern");
        };
        let (before, after) = match function {
            "search" => ("", ""),
            "match" => ("\\A(?:", ")"),
            "fullmatch" => ("\\A(?:", ")\\z"),
            other => return self.refuse(call, &format!("`re.{other}()`")),
        };
        let pattern = self.pattern(pattern, before, after)?;
        Ok(Node::Search(self.one(text)?, pattern, Search::Match))
    }

    /// A pattern, in the engine that the interpreter has.
    fn pattern(&self, pattern: &'a Expr, before: &str, after: &str) -> Lowers<Box<Regex>> {
        let Some(text) = text_of(pattern) else {
            return self.refuse(pattern, "a pattern that is not constant");
        };
        // What is no pattern by itself must not become one between the anchors.
        let alone = Regex::new(text).is_ok();
        let built = RegexBuilder::new(&format!("{before}{text}{after}"))
            .backtrack_limit(MAX_BACKTRACKS)
            .delegate_size_limit(MAX_PATTERN)
            .build();
        match built {
            Ok(built) if alone => Ok(Box::new(built)),
            _ => self.refuse(pattern, "a pattern that is too large, or none"),
        }
    }

    fn filters(&mut self, call: &'a ExprCall, keywords: &'a [Keyword]) -> Lowers<Box<[Filter]>> {
        let mut filters: Vec<Filter> = Vec::new();
        for keyword in keywords {
            let name = keyword.arg.as_deref().unwrap_or("**");
            let (field, lookup) = name.split_once("__").unwrap_or((name, "exact"));
            let field = match field {
                "name" => GroupField::Name,
                "pk" | "group_uuid" => GroupField::Key,
                "is_superuser" => GroupField::IsSuperuser,
                _ => return self.refuse(call, &format!("a look-up by `{name}`")),
            };
            let lookup = match lookup {
                "exact" => Lookup::Exact,
                "in" => Lookup::In,
                "contains" => Lookup::Contains,
                "startswith" => Lookup::StartsWith,
                "endswith" => Lookup::EndsWith,
                _ => return self.refuse(call, &format!("a look-up by `{name}`")),
            };
            filters.push(Filter { field, lookup, wanted: self.expression(&keyword.value)? });
        }
        if filters.is_empty() {
            return self.refuse(call, "a look-up without a condition");
        }
        Ok(filters.into())
    }
}

/// `user.groups.all()` and `user.all_groups()`: the user, and whether only direct groups are meant.
fn groups(call: &ExprCall) -> Option<(&Expr, bool)> {
    let Expr::Attribute(method) = &*call.func else { return None };
    if !call.arguments.is_empty() {
        return None;
    }
    match &*method.attr {
        "all_groups" => Some((&method.value, false)),
        "all" => held(&method.value),
        _ => None,
    }
}

/// What stands for the groups of a user: `user.groups`, or a call as above.
fn held(expression: &Expr) -> Option<(&Expr, bool)> {
    match expression {
        Expr::Attribute(it) if matches!(&*it.attr, "groups" | "ak_groups") => Some((&it.value, true)),
        Expr::Call(call) => groups(call),
        _ => None,
    }
}
