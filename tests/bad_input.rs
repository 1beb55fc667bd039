//! Bad configuration: each file in `tests/bad_input` is refused with just the messages in the `.txt` file of its name,
//! which give the line, and the configuration before stays in force.
//!
//! `BINDERY_BLESS=1` writes the messages anew; read what it wrote before you keep it.

#[cfg(test)]
mod tests {
    use bindery::proto::v1;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::sync::source::{SourceSpec, load, locate};
    use std::path::{Path, PathBuf};

    /// A store with something in force.
    fn store() -> Store {
        let store = Store::new(Settings::default());
        let wiki = v1::Application { slug: "wiki".into(), ..Default::default() };
        let wiki = v1::Resource { resource: Some(v1::resource::Resource::Application(wiki)) };
        apply(&store, Update::Replace(vec![wiki])).unwrap();
        store
    }

    /// What is wrong with files or directories, one message a line.
    fn problems(store: &Store, paths: Vec<PathBuf>) -> Vec<String> {
        match load(&SourceSpec::of(paths)) {
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
            Ok(loaded) => {
                let (resources, origins) = loaded.into_parts();
                match apply(store, Update::Replace(resources)) {
                    Ok(_) => Vec::new(),
                    Err(problems) => locate(&problems, &origins),
                }
            }
        }
    }

    #[test]
    fn every_bad_file_is_refused_with_its_messages() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input");
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&directory).unwrap().map(|it| it.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|it| it == "yaml" || it == "json"));
        files.sort();
        assert!(files.len() >= 40, "only {} cases", files.len());
        let bless = std::env::var_os("BINDERY_BLESS").is_some();
        let store = store();
        let mut wrong = Vec::new();
        for file in files {
            let found = problems(&store, vec![file.clone()]);
            // Where the repository lies is no part of a message.
            let path = file.display().to_string();
            let found: String = found
                .iter()
                .map(|it| {
                    it.replace(&path, "FILE")
                        + "
"
                })
                .collect();
            assert_eq!(store.load().revision(), 1, "{} changed something", file.display());
            let golden = file.with_extension("txt");
            if bless {
                std::fs::write(&golden, &found).unwrap();
            }
            let expected = std::fs::read_to_string(&golden).unwrap_or_default();
            if found != expected || found.is_empty() {
                wrong.push(format!("{}\n  expected:\n{expected}  found:\n{found}", file.display()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// What a made file is refused with; checks that it is one message with this part.
    fn refused(name: &str, content: &[u8], part: &str) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        std::fs::write(&file, content).unwrap();
        let found = problems(&store(), vec![file]);
        assert!(matches!(found.as_slice(), [one] if one.contains(part)), "{found:?}");
    }

    #[test]
    fn huge_and_deep_files_are_refused_unread() {
        refused("deep.yaml", "[".repeat(100_000).as_bytes(), "nested deeper than 64 levels; flatten it");
        let deep = format!(
            "applications:\n  - slug: a\nusers:\n  - username: u\n    attributes: {}1{}\n",
            "{a: ".repeat(40),
            "}".repeat(40)
        );
        refused("attributes.yaml", deep.as_bytes(), "is nested deeper than 31 levels; flatten it");
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{items}]\n");
        }
        refused("bomb.yaml", bomb.as_bytes(), "aliases counted as often as they are used; split the file");
        refused("latin.yaml", b"applications:\n  - slug: caf\xe9\n", "is not UTF-8 text; save it as UTF-8");
    }

    #[test]
    fn a_file_of_100_mb_is_refused_without_being_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("huge.yaml");
        // Sparse: it has the size, and nothing to read.
        std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
        let found = problems(&store(), vec![path]);
        let part = "the file has 104857600 bytes and at most 67108864 are read; split it into several";
        assert!(matches!(found.as_slice(), [one] if one.ends_with(part)), "{found:?}");
    }

    #[test]
    fn files_that_are_not_there_and_empty_directories_say_so() {
        let directory = tempfile::tempdir().unwrap();
        let found = problems(&store(), vec![directory.path().join("none.yaml")]);
        assert!(
            matches!(found.as_slice(), [one] if one.contains("none.yaml:1: cannot be read: ")),
            "{found:?}"
        );
        let found = problems(&store(), vec![directory.path().to_owned()]);
        let part = "the directory has no .yaml, .yml or .json file; name another";
        assert!(matches!(found.as_slice(), [one] if one.ends_with(part)), "{found:?}");
    }

    #[test]
    fn cycles_of_groups_are_no_mistake() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cycle.yaml");
        let text =
            "groups:\n  - {name: a, parents: [{name: b}]}\n  - {name: b, parents: [{name: a}, {name: b}]}\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(problems(&store(), vec![file]), Vec::<String>::new());
    }
}
