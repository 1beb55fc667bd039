//! Holds the rules of the house by reading the source files: who may import whom, how long a file may be, how files are
//! named and opened, and that each dependency says why it is there.
//!
//! Every rule is also shown a broken tree, so that a rule that cannot complain is noticed.

mod architecture {
    pub(crate) mod rules;
    pub(crate) mod source;
}

#[cfg(test)]
mod tests {
    use crate::architecture::rules::{complaints, dependency_complaints};
    use std::fs;
    use std::path::Path;

    /// Every `.rs` file under `src`, by its path from the top of the project.
    fn files(top: &Path, folder: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(top.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                files(top, &path, found);
            } else if path.ends_with(".rs") {
                let text = fs::read_to_string(entry.path()).unwrap();
                found.push((path, text));
            }
        }
    }

    #[test]
    fn the_tree_keeps_the_rules() {
        let mut found = Vec::new();
        files(Path::new(env!("CARGO_MANIFEST_DIR")), "src", &mut found);
        found.sort();
        for needed in ["src/lib.rs", "src/main.rs", "src/model/target.rs"] {
            assert!(
                found.iter().any(|(path, _)| path == needed),
                "{needed} was not found; what was read then?"
            );
        }
        let found: Vec<_> = found.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let all = complaints(&found);
        assert!(all.is_empty(), "\n{}", all.join("\n"));
    }

    #[test]
    fn every_dependency_says_why_it_is_there() {
        let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
        let all = dependency_complaints(&manifest);
        assert!(all.is_empty(), "\n{}", all.join("\n"));
    }

    /// What is said about one file in a small good tree.
    fn said_about(path: &str, text: &str) -> Vec<String> {
        let text = format!("//! A file.\n{text}");
        let tree =
            [("src/lib.rs", "//! The crate.\npub mod model;\npub use model::Id;\n"), (path, text.as_str())];
        complaints(&tree)
    }

    /// The file is wrong on its second line, and nowhere else, and the complaint contains the words.
    #[track_caller]
    fn wrong(path: &str, text: &str, words: &str) {
        let all = said_about(path, text);
        assert_eq!(all.len(), 1, "{path}: {text}: {all:?}");
        let all = all.concat();
        assert!(all.starts_with(path) && all.contains(words), "{path}: {text}: {all}");
    }

    #[track_caller]
    fn right(path: &str, text: &str) {
        assert_eq!(said_about(path, text), Vec::<String>::new(), "{path}: {text}");
    }

    #[test]
    fn imports_go_one_way() {
        for (path, text, words) in [
            ("src/model.rs", "use crate::policy::X;", "`model` may not use `policy`"),
            (
                "src/policy/dummy.rs",
                "use crate::{model::Id, decision::X};",
                "`policy` may not use `decision`",
            ),
            ("src/decision.rs", "fn f() { crate::store::get() }", "`decision` may not use `store`"),
            ("src/decision.rs", "fn f(x: Option<crate::proto::v1::X>) {}", "`decision` may not use `proto`"),
            ("src/policy.rs", "use crate::proto::v1;", "`policy` may not use `proto`"),
            ("src/store.rs", "use crate::sync::yaml;", "`store` may not use `sync`"),
            ("src/proto.rs", "use crate::policy::Verdict;", "`proto` may not use `policy`"),
            ("src/sync/apply.rs", "use crate::api::status;", "`sync` may not use `api`"),
            ("src/api/sync.rs", "use crate::sync::apply;", "`api` may not use `sync`"),
            ("src/api.rs", "use crate::app::App;", "`api` may not use `app`"),
            ("src/api.rs", "use crate::config::Config;", "`api` may not use `config`"),
            ("src/policy.rs", "use crate::telemetry::Metrics;", "`policy` may not use `telemetry`"),
            ("src/telemetry.rs", "use crate::store::Store;", "`telemetry` may not use `store`"),
            ("src/app.rs", "use crate::cli::Cli;", "`app` may not use `cli`"),
            ("src/main.rs", "use bindery::config::Config;", "`main` may not use `config`"),
        ] {
            wrong(path, text, words);
        }
        for (path, text) in [
            ("src/policy.rs", "use crate::model::Id;"),
            ("src/store/last_good.rs", "use crate::proto::v1;"),
            ("src/sync.rs", "use crate::{proto, store};"),
            ("src/api.rs", "pub(crate) fn f() { crate::decision::decide() }"),
            ("src/app.rs", "use crate::{api, config, sync, telemetry};"),
            ("src/cli/test.rs", "use crate::proto::v1; use crate::app; use crate::config;"),
            ("src/main.rs", "fn main() { bindery::cli::run() }"),
            ("src/model.rs", "// crate::store\nconst X: &str = \"crate::store::X\";"),
        ] {
            right(path, text);
        }
    }

    #[test]
    fn super_does_not_escape() {
        wrong("src/model/id.rs", "use super::super::policy::X;", "`model` may not use `policy`");
        wrong("src/model.rs", "use super::policy::X;", "`model` may not use `policy`");
        wrong("src/model.rs", "mod a { use super::super::policy::X; }", "`model` may not use `policy`");
        wrong("src/model.rs", "fn f() { self::super::policy::g() }", "`model` may not use `policy`");
        wrong("src/model.rs", "use super::*;", "takes in every module");
        wrong("src/model.rs", "use crate as everything;", "takes in every module");
        wrong("src/api.rs", "use crate::{self as everything};", "takes in every module");
        right("src/model/id.rs", "use super::binding::Mode; mod a { use super::super::Value; }");
    }

    #[test]
    fn pure_rooms_name_nothing_impure() {
        for text in [
            "use tonic::Status;",
            "use tonic_types::X;",
            "fn f() -> prost_types::Timestamp {}",
            "use {std::fmt, tokio as t};",
            "extern crate tokio;",
            "fn f() { tracing::info!(1) }",
            "fn f() { log::info!(1) }",
            "use dashmap::DashMap;",
            "use std::time::{Duration, Instant};",
            "fn f() { std::time::SystemTime::now() }",
            "use std::sync::{Arc, Mutex};",
            "static X: std::sync::RwLock<u8> = y;",
            "use std::time::*;",
        ] {
            for path in ["src/model.rs", "src/policy/geoip.rs", "src/decision.rs"] {
                wrong(path, text, "which is pure");
            }
            right("src/app.rs", text);
        }
        right("src/decision.rs", "use std::time::Duration; // a tokio::time::Instant, behind a Mutex");
        right(
            "src/policy.rs",
            "fn f(log: bool, tracing: f64) { let x = 2_f64.log(tracing); tokio_like(log, x) }",
        );
    }

    #[test]
    fn only_the_settings_read_the_environment() {
        for text in ["use std::env;", "use std::{env, fmt};", "fn f() { std::env::var(1) }", "use std::*;"] {
            wrong("src/cli/serve.rs", text, "reads the environment");
            right("src/config.rs", text);
        }
        right("src/cli.rs", "const X: &str = env!(\"CARGO_PKG_VERSION\");");
    }

    #[test]
    fn test_code_may_use_what_it_likes() {
        let tests = "#[cfg(test)]\nmod tests { use crate::sync::yaml; use std::time::Instant; }";
        right("src/model.rs", tests);
        wrong("src/model.rs", &format!("{tests}\nuse crate::sync::yaml;"), "may not use `sync`");
        let declared = ("src/model.rs", "//! Model.\n#[cfg(test)]\nmod tests;\nmod proofs;\n");
        let code = "//! Code.\nuse crate::sync::yaml;\n";
        let all = complaints(&[declared, ("src/model/tests.rs", code), ("src/model/proofs.rs", code)]);
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all.concat().starts_with("src/model/proofs.rs:2"), "{all:?}");
    }

    #[test]
    fn files_stay_short() {
        wrong("src/app.rs", &"// line\n".repeat(500), "501 production lines");
        right("src/app.rs", &"// line\n".repeat(499));
        right("src/app.rs", &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// line\n".repeat(900)));
        wrong("src/main.rs", &"// line\n".repeat(59), "60 production lines");
        right("src/main.rs", &"// line\n".repeat(58));
    }

    #[test]
    fn names_and_openings_say_something() {
        wrong("src/model/mod.rs", "", "instead of `mod.rs`");
        wrong("src/sync/utils.rs", "", "`utils` says nothing");
        wrong("src/sync/common/yaml.rs", "", "`common` says nothing");
        wrong("src/sync.rs", "mod helpers {}", "`helpers` says nothing");
        wrong("src/sync.rs", "#[cfg(test)]\nmod manager {}", "`manager` says nothing");
        let all = complaints(&[("src/app.rs", "// The composition root.\n")]);
        assert!(all.concat().contains("open it with `//!`"), "{all:?}");
    }

    #[test]
    fn a_new_module_needs_a_place() {
        wrong("src/attic.rs", "", "give `attic` a place");
        wrong("src/attic/old.rs", "", "give `attic` a place");
        wrong("src/cli.rs", "use crate::attic::old;", "`cli` may not use `attic`");
    }

    #[test]
    fn a_dependency_without_a_reason_is_noticed() {
        let manifest = r##"
[package]
name = "x"
[dependencies]
# A comment above is about all of them.
good = "1" # because
bare = "1"
empty = "1" #
hidden = { version = "1", features = ["a#b"] }
long = { version = "1", features = [
    "a",
] } # because
longer = { version = "1", features = [
    "a",
] }
[target.'cfg(unix)'.dev-dependencies]
dotted.version = "1"
[build-dependencies.table]
version = "1"
[build-dependencies.reasoned] # because
version = "1"
[lints.rust]
unsafe_code = "forbid"
"##;
        let names: Vec<_> = dependency_complaints(manifest)
            .iter()
            .map(|complaint| complaint.split('`').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(names, ["bare", "empty", "hidden", "longer", "dotted", "table"]);
    }
}
