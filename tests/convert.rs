//! What blueprints become as a bundle is the same configuration: authentik's own, which are not part of this
//! repository, and the example's.
//!
//! They are looked for in `../shared/blueprints`, or where `BINDERY_BLUEPRINTS` says.

#[cfg(test)]
mod tests {
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::sync::bundle;
    use bindery::sync::source::{Loaded, SourceSpec, load, locate};
    use std::collections::BTreeMap;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};

    /// Prints past the test runner, which keeps what tests print to itself.
    macro_rules! told {
        ($($text:tt)*) => { writeln!(std::io::stderr(), $($text)*).unwrap() };
    }

    fn directory() -> Option<PathBuf> {
        let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/blueprints");
        let directory = std::env::var_os("BINDERY_BLUEPRINTS").map_or_else(default, PathBuf::from);
        if directory.is_dir() {
            return Some(directory);
        }
        told!("SKIPPED: no authentik blueprints at {}; set BINDERY_BLUEPRINTS", directory.display());
        None
    }

    fn read(paths: Vec<PathBuf>) -> Loaded {
        let loaded = load(&SourceSpec::of(paths.clone()));
        loaded.unwrap_or_else(|problems| {
            panic!("{paths:?}:\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
    }

    /// Applies what was read, and what it becomes as a bundle, and compares.
    fn round_trip(loaded: Loaded) {
        let (resources, origins) = loaded.into_parts();
        let text = bundle::write_yaml(&bundle::group(resources.clone())).unwrap();
        let store = Store::new(Settings::default());
        if let Err(problems) = apply(&store, Update::Replace(resources)) {
            panic!("{}", locate(&problems, &origins).join("\n"));
        }
        let file = "converted.yaml".into();
        let document = bindery::sync::yaml::parse(&text, &bindery::sync::yaml::Limits::default()).unwrap();
        let again =
            bundle::read(&document[0], &file).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let again = again.into_iter().map(|(resource, _)| resource).collect();
        let applied = apply(&store, Update::Replace(again)).unwrap();
        assert_eq!(
            (applied.revision, applied.upserted, applied.removed),
            (1, 0, 0),
            "conversion changed something"
        );
    }

    #[test]
    fn every_blueprint_converts() {
        let Some(directory) = directory() else { return };
        let files = |name: &str| {
            let entries = std::fs::read_dir(directory.join(name)).unwrap();
            let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths
        };
        let (default, example) = (files("default"), files("example"));
        assert!(!default.is_empty() && !example.is_empty());
        let mut sums: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
        let mut table = String::from("| file | entries | taken | skipped |\n| --- | --- | --- | --- |\n");
        let defaults = read(default.clone());
        for path in default.iter().chain(&example) {
            let is_default = default.contains(path);
            // An example may refer to what the defaults have; these are counted once, by themselves.
            let alone = read(if is_default {
                vec![path.clone()]
            } else {
                [default.clone(), vec![path.clone()]].concat()
            });
            let base = if is_default { &Loaded::default().tally } else { &defaults.tally };
            let (mut entries, mut taken) = (0, 0);
            for model in &alone.tally {
                let before = base.iter().find(|other| other.model == model.model);
                let (own, own_taken) = (
                    model.entries - before.map_or(0, |model| model.entries),
                    model.taken - before.map_or(0, |model| model.taken),
                );
                assert_eq!(model.entries, model.taken + model.skipped);
                entries += own;
                taken += own_taken;
                let sum = sums.entry(model.model.clone()).or_default();
                *sum = (sum.0 + own, sum.1 + own_taken, sum.2 + own - own_taken);
            }
            assert!(entries > 0, "{path:?} has no entries");
            let name = path.strip_prefix(&directory).unwrap().display();
            table += &format!("| {name} | {entries} | {taken} | {} |\n", entries - taken);
            round_trip(alone);
        }
        round_trip(defaults);
        table += "\n| model | entries | taken | skipped |\n| --- | --- | --- | --- |\n";
        for (model, (entries, taken, skipped)) in sums {
            table += &format!("| {model} | {entries} | {taken} | {skipped} |\n");
        }
        told!("{table}");
    }

    #[test]
    fn the_example_company_converts() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        round_trip(read(vec![examples.join("acme")]));
        round_trip(read(vec![examples.join("bundle")]));
    }
}
