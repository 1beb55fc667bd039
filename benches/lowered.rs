//! What every lowered expression in Python of the vectors and of authentik's blueprints costs: `cargo bench --bench lowered`.
//!
//! Each is asked all that `tests/lowered.rs` asks, as the server would ask it, and counts with the question that takes longest among
//! those that are answered natively: the best of some rounds, since a busy machine only ever adds.

#![expect(clippy::print_stdout, reason = "what was measured is told")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[path = "../tests/lowered"]
#[expect(dead_code, reason = "shared with the test that holds them to the interpreter")]
mod lowered {
    pub(crate) mod bodies;
    pub(crate) mod both;
}

#[path = "../tests/scope"]
#[expect(dead_code, reason = "shared with the tests of the scope")]
mod scope {
    pub(crate) mod data;
}

use bindery::policy::Evaluation;
use lowered::bodies::{of_blueprints, of_vectors};
use lowered::both::{Both, compiled, questions};
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 9;
const TIMES: u32 = 2_000;

fn main() {
    let (both, questions) = (Both::new(), questions());
    let mut used = of_vectors();
    used.extend(of_blueprints().unwrap_or_default());
    let mut took: Vec<(Duration, String)> = Vec::new();
    for body in used {
        let policy = compiled(&body);
        let program = policy.python().unwrap();
        if program.broken().is_some() || program.not_lowered().is_some() {
            continue;
        }
        let timed = questions.iter().filter_map(|asked| {
            both.with_input(asked, |input| {
                let native = || matches!(policy.evaluate(black_box(input)), Evaluation::Done(_));
                let round = || {
                    let start = Instant::now();
                    for _ in 0..TIMES {
                        black_box(policy.evaluate(black_box(input)));
                    }
                    start.elapsed() / TIMES
                };
                native().then(|| (0..ROUNDS).map(|_| round()).min()).flatten()
            })
        });
        if let Some(longest) = timed.max() {
            took.push((longest, body));
        }
    }
    took.sort();
    let at = |share: usize| took.get((took.len() - 1) * share / 100).unwrap().0;
    let within = took.iter().filter(|(took, _)| *took < Duration::from_micros(1)).count();
    println!("{} bodies that are lowered, each with the question that takes it longest", took.len());
    println!("half of them within {:?}, nine in ten within {:?}, all within {:?}", at(50), at(90), at(100));
    println!("{within} take less than 1 us; those that take longest:");
    for (took, body) in took.iter().rev().take(8) {
        println!("{took:>10.0?}  {}", body.replace('\n', "; "));
    }
}
