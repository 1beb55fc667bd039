//! Reads the blueprints that come with authentik: all of the default ones together, and each example beside them.
//!
//! `BINDERY_BLUEPRINTS` names the directory that has them; without one nothing is held to anything.

#[cfg(test)]
mod tests {
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::sync::blueprint::{Import, Options, Source, import};
    use bindery::sync::yaml::Limits;
    use std::collections::BTreeMap;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    /// Prints past the test runner, which keeps what tests print to itself.
    macro_rules! told {
        ($($text:tt)*) => { writeln!(std::io::stderr(), $($text)*).unwrap() };
    }

    type File = (String, String);

    fn files(folder: &Path) -> Vec<File> {
        let mut found: Vec<File> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    fn read(files: &[&File]) -> Import {
        let sources: Vec<_> =
            files.iter().map(|(name, text)| Source { name: name.as_str().into(), text }).collect();
        let options = Options {
            env: &|_| None,
            file: &|_| None,
            context: BTreeMap::new(),
            default_application_access: true,
        };
        import(&sources, &options, &Limits::default()).unwrap_or_else(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"))
        })
    }

    /// Entries, counted in the text, so that none is lost in the reading.
    fn written(files: &[&File]) -> usize {
        let lines = files.iter().flat_map(|(_, text)| text.lines());
        lines.filter(|line| line.trim_start_matches([' ', '-']).starts_with("model:")).count()
    }

    fn hold(name: &str, files: &[&File]) {
        let import = read(files);
        let sum = |part: fn(&bindery::sync::blueprint::ModelTally) -> usize| -> usize {
            import.tally.iter().map(part).sum()
        };
        let (entries, taken, skipped) = (sum(|t| t.entries), sum(|t| t.taken), sum(|t| t.skipped));
        let left: Vec<_> = import
            .tally
            .iter()
            .filter(|tally| tally.skipped > 0)
            .map(|tally| format!("{} {}", tally.skipped, tally.model))
            .collect();
        told!("{name:48} {entries:5} entries {taken:5} taken; skipped: {}", left.join(", "));
        for warning in &import.warnings {
            told!("  {warning}");
        }
        assert!(import.tally.iter().all(|tally| tally.entries == tally.taken + tally.skipped));
        assert_eq!((entries, entries), (written(files), taken + skipped));
        assert!(import.resources.len() <= taken, "a resource comes from at least one entry");
        let (resources, origins): (Vec<_>, Vec<_>) = import.resources.into_iter().unzip();
        let store = Store::new(Settings::default());
        if let Err(problems) = apply(&store, Update::Replace(resources)) {
            for problem in &problems {
                told!("  {:?}: {problem:?}", problem.index.map(|index| origins[index].to_string()));
            }
            panic!("{name}: {} problems", problems.len());
        }
    }

    #[test]
    fn authentiks_own_are_read_and_accepted() {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/blueprints");
        let folder = env::var_os("BINDERY_BLUEPRINTS").map_or_else(beside, PathBuf::from);
        if !folder.join("default").is_dir() {
            told!("SKIPPED: {} is not there; nothing was checked", folder.display());
            told!("SKIPPED: set BINDERY_BLUEPRINTS to the directory with authentik's blueprints");
            return;
        }
        let default = files(&folder.join("default"));
        assert!(!default.is_empty());
        for file in &default {
            told!("{:48} {:5} entries", file.0, written(&[file]));
        }
        let all: Vec<&File> = default.iter().collect();
        hold("default, all together", &all);
        let backwards: Vec<&File> = default.iter().rev().collect();
        hold("default, backwards", &backwards);
        for example in files(&folder.join("example")) {
            let mut with: Vec<&File> = default.iter().collect();
            with.push(&example);
            hold(&format!("default with {}", example.0), &with);
        }
    }
}
