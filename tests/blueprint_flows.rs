//! Plans and walks every flow of authentik's own blueprints, by the cases in `flows/blueprints.yaml`.
//!
//! `BINDERY_BLUEPRINTS` names the directory that has them; without one nothing is walked.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs};

    /// Prints past the test runner, which keeps what tests print to itself.
    macro_rules! told {
        ($($text:tt)*) => { writeln!(std::io::stderr(), $($text)*).unwrap() };
    }

    /// The blueprints that have flows.
    fn flows(blueprints: &Path) -> Vec<PathBuf> {
        let folders = ["default", "example"].map(|folder| fs::read_dir(blueprints.join(folder)).unwrap());
        let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
        let is_flow = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("flow");
        files.filter(is_flow).collect()
    }

    #[test]
    fn authentiks_own_flows_are_walked_to_the_end() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let beside = || root.join("../shared/blueprints");
        let blueprints = env::var_os("BINDERY_BLUEPRINTS").map_or_else(beside, PathBuf::from);
        if !blueprints.join("default").is_dir() {
            told!("SKIPPED: {} is not there; no flow was walked", blueprints.display());
            told!("SKIPPED: set BINDERY_BLUEPRINTS to the directory with authentik's blueprints");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut names = BTreeSet::new();
        for file in flows(&blueprints) {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            let bundle = folder.path().join(&name);
            fs::create_dir(&bundle).unwrap();
            fs::copy(&file, bundle.join(file.file_name().unwrap())).unwrap();
            fs::copy(root.join("tests/flows/users.yaml"), bundle.join("users.yaml")).unwrap();
            names.insert(name);
        }
        let cases = fs::read_to_string(root.join("tests/flows/blueprints.yaml")).unwrap();
        let told = cases.lines().filter_map(|line| line.strip_prefix("bundle: "));
        let told: BTreeSet<String> = told.map(str::to_owned).collect();
        assert_eq!(names, told, "the cases are not those of the blueprints that there are");
        let file = folder.path().join("cases.yaml");
        fs::write(&file, cases).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        // What is decided must not depend on how busy the machine is.
        command.arg("test").arg(&file).arg("--python-limit-ms").arg("20000");
        let run = command.output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        let count = said.lines().last().unwrap_or_default().to_owned();
        assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
        told!("authentik's own flows: {count}");
    }
}
