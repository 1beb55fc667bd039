//! Decides the expression policies of authentik's own blueprints, each in all of its outcomes, from
//! `scope/blueprints.yaml`.
//!
//! `BINDERY_BLUEPRINTS` names the directory that has them; without one nothing is decided.

#[cfg(test)]
#[expect(dead_code, reason = "shared with the tests of the scope, which need the rest")]
mod scope {
    pub(crate) mod data;
    pub(crate) mod sidecar;
}

#[cfg(test)]
mod tests {
    use crate::scope::data::{self, Case};
    use crate::scope::sidecar::{Said, Sidecar};
    use bindery::proto::v1::policy::Kind;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::sync::blueprint::{Options, Source, import};
    use bindery::sync::yaml::Limits;
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    /// Prints past the test runner, which keeps what tests print to itself.
    macro_rules! told {
        ($($text:tt)*) => { writeln!(std::io::stderr(), $($text)*).unwrap() };
    }

    fn files(folder: &Path) -> Vec<(String, String)> {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
            .collect();
        found.sort();
        found
    }

    /// The expression policies of these files: name and source.
    fn expressions(files: &[&(String, String)]) -> Vec<(String, String)> {
        let sources: Vec<_> =
            files.iter().map(|(name, text)| Source { name: name.as_str().into(), text }).collect();
        let options = Options {
            env: &|_| None,
            file: &|_| None,
            context: BTreeMap::new(),
            default_application_access: true,
        };
        let import = import(&sources, &options, &Limits::default()).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        });
        let expression = |resource| match resource {
            Some(R::Policy(policy)) => match policy.kind {
                Some(Kind::Expression(expression)) => Some((policy.name, expression.source)),
                _ => None,
            },
            _ => None,
        };
        import.resources.into_iter().filter_map(|(resource, _)| expression(resource.resource)).collect()
    }

    fn is_as_expected(case: &Case, said: &Said) -> bool {
        match (&case.error, said) {
            (Some(text), Said::Error(found)) => found.contains(text.as_str()),
            (None, Said::Answer { passing, messages }) => {
                *passing == case.passes && case.messages.as_ref().is_none_or(|wanted| wanted == messages)
            }
            _ => false,
        }
    }

    #[test]
    fn authentiks_own_policies_are_decided_in_all_their_outcomes() {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/blueprints");
        let folder = env::var_os("BINDERY_BLUEPRINTS").map_or_else(beside, PathBuf::from);
        if !folder.join("default").is_dir() {
            told!("SKIPPED: {} is not there; no policy was decided", folder.display());
            told!("SKIPPED: set BINDERY_BLUEPRINTS to the directory with authentik's blueprints");
            return;
        }
        let (default, examples) = (files(&folder.join("default")), files(&folder.join("example")));
        // The default ones refer to each other, the examples to them.
        let mut sets = vec![expressions(&default.iter().collect::<Vec<_>>())];
        for example in &examples {
            let with: Vec<_> = default.iter().chain([example]).collect();
            sets.push(expressions(&with).into_iter().filter(|one| !sets[0].contains(one)).collect());
        }
        let cases = data::cases_of(&["blueprints.yaml"]);
        let (mut policies, mut asked, mut refused, mut wrong) = (0, 0, BTreeSet::new(), Vec::new());
        let mut decided = BTreeSet::new();
        for set in sets.iter().filter(|set| !set.is_empty()) {
            let named: Vec<_> = set.iter().map(|(name, source)| (name, source.as_str())).collect();
            let mut sidecar = Sidecar::of(&named);
            for (name, _) in set {
                policies += 1;
                decided.insert(name.clone());
                let of_it: Vec<&Case> = cases.iter().filter(|case| case.row == *name).collect();
                let compiled = sidecar.compiled(name);
                let program = compiled.python().unwrap_or_else(|| panic!("{name} is no Python"));
                if let Some(reason) = program.broken() {
                    wrong.push(format!("{name} is broken: {reason}"));
                }
                let must_refuse = of_it.iter().any(|case| case.refused);
                if program.findings().is_empty() == must_refuse {
                    wrong.push(format!("{name}: {:?}", program.findings()));
                }
                if must_refuse {
                    refused.insert(name.clone());
                }
                let outcomes: BTreeSet<_> =
                    of_it.iter().map(|case| (case.error.is_some(), case.passes)).collect();
                if outcomes.len() < 2 && !must_refuse {
                    wrong.push(format!("{name} is not asked for both of its outcomes"));
                }
                for case in of_it {
                    asked += 1;
                    let said = sidecar.ask_named(name, &case.question);
                    if !is_as_expected(case, &said) {
                        wrong.push(format!("{name}: {said:?}, not {case:?}"));
                    }
                }
            }
        }
        let unknown = cases.iter().filter(|case| !decided.contains(&case.row));
        wrong.extend(unknown.map(|case| format!("there is no policy {}", case.row)));
        told!("blueprints: {policies} expression policies, {asked} questions; refused: {refused:?}");
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    }
}
