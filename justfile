# The commands of everyday work. `just` alone lists them.

# List the recipes.
default:
    @just --list --unsorted

# Everything that CI runs: format, schema, dependencies, lints, tests, docs.
check:
    .ci/check

# All tests; with cargo-nextest where it is installed, which leaves the doc tests to cargo.
test *args:
    #!/usr/bin/env bash
    set -euo pipefail
    if command -v cargo-nextest >/dev/null; then
        cargo nextest run {{ args }}
        cargo test --doc
    else
        cargo test {{ args }}
    fi

# Format what can be formatted.
fmt:
    cargo fmt

# The benchmarks, or those whose name contains a text.
bench *args:
    cargo bench {{ args }}

# Build and run bindery, as in `just run test examples/tests/acme.yaml`.
run *args:
    cargo run -- {{ args }}

# Known vulnerabilities of the dependencies. Fetches a database, so it needs the network.
advisories:
    cargo deny check advisories

# Everything that is built in, as CycloneDX: bindery.cdx.json. Needs cargo-cyclonedx (`cargo install --locked cargo-cyclonedx@0.5.9`).
sbom:
    cargo cyclonedx --format json --override-filename bindery.cdx

# What is in deploy, held to what reads it.
deploy:
    .ci/deploy

# Three times as many questions as can be answered, with and without bounds.
overload *args:
    cargo build --release && bench/overload {{ args }}

# Half an hour of everything at once.
soak *args:
    cargo build --release && bench/soak {{ args }}

# The figures and curves of docs/performance.md, measured anew; with --quick only to see that it works.
performance *args:
    cargo build --release && bench/performance {{ args }}
