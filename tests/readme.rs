//! What the README and the documentation show is what comes out: every `console` block is run, and its output compared.

#[cfg(test)]
mod tests {
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use bindery::sync::source::{SourceSpec, load};
    use std::path::Path;
    use std::process::Command;

    /// The `console` blocks of a text, each a command line and its output.
    fn blocks(text: &str) -> Vec<(String, String)> {
        let parts = text.split("```console\n").skip(1);
        let block = |part: &str| {
            let (block, _) = part.split_once("\n```").unwrap();
            let (command, output) = block.split_once('\n').unwrap_or((block, ""));
            (command.strip_prefix("$ ").unwrap().to_owned(), output.trim_end().to_owned())
        };
        parts.map(block).collect()
    }

    #[test]
    fn what_is_shown_is_what_comes_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut run = 0;
        for file in ["README.md", "docs/decisions.md", "docs/configuration.md", "docs/flows.md"] {
            for (command, shown) in blocks(&std::fs::read_to_string(root.join(file)).unwrap()) {
                let mut words = command.split_whitespace();
                assert_eq!(words.next(), Some("bindery"), "{file}: {command}");
                let output = Command::new(env!("CARGO_BIN_EXE_bindery"))
                    .args(words)
                    .current_dir(root)
                    .output()
                    .unwrap();
                // What something took is never the same twice.
                let lasting = |text: &str| {
                    let lines = text.trim_end().lines().filter(|line| !line.starts_with("took "));
                    lines.collect::<Vec<_>>().join("\n")
                };
                let printed = String::from_utf8(output.stdout).unwrap();
                assert_eq!(
                    lasting(&printed),
                    lasting(&shown),
                    "{file}: {command}\n{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                run += 1;
            }
        }
        assert!(run >= 3, "only {run} blocks");
    }

    #[test]
    fn the_conditional_policy_that_is_shown_is_accepted() {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conditional.md"))
            .unwrap();
        let (_, rest) = text.split_once("```yaml\n").unwrap();
        let (bundle, _) = rest.split_once("```").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bundle.yaml");
        std::fs::write(&file, bundle).unwrap();
        let (resources, _) = load(&SourceSpec::of(vec![file])).unwrap().into_parts();
        assert!(apply(&Store::new(Settings::default()), Update::Replace(resources)).is_ok());
    }
}
