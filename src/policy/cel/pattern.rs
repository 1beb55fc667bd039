//! Patterns of `matches`: compiled once, and with a size, so that their work can be told beforehand.
//!
//! Must not know: what they are matched against.

use regex_automata::meta;
use regex_automata::nfa::thompson;

/// The largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 64 << 10;
/// How many states of a pattern are worth a step for each byte that it is matched against. In the worst case, every
/// state is looked at for every byte.
const STATES: usize = 8;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pattern: meta::Regex,
    /// Steps for each byte.
    weight: usize,
}

impl Pattern {
    /// Compiles a pattern, or says what is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let config = thompson::Config::new().nfa_size_limit(Some(MAX_COMPILED));
        let states = thompson::Compiler::new().configure(config).build(text);
        let states = states.map_err(|error| {
            if error.size_limit().is_some() {
                format!(
                    "the pattern takes more than {MAX_COMPILED} bytes when compiled; write fewer repetitions"
                )
            } else {
                // The reason stands in the last line, below a drawing of the place.
                let text =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                format!("this is not a pattern: {reason}")
            }
        })?;
        let config = meta::Config::new()
            // The same pattern backwards may be larger.
            .nfa_size_limit(Some(16 * MAX_COMPILED))
            .onepass_size_limit(Some(MAX_COMPILED))
            .hybrid_cache_capacity(4 * MAX_COMPILED);
        let pattern = meta::Builder::new().configure(config).build(text);
        let pattern = pattern.map_err(|_| "the pattern is too large; write a shorter one".to_owned())?;
        Ok(Self { pattern, weight: states.states().len().div_ceil(STATES) })
    }

    /// What a search in so many bytes costs, in steps.
    pub(super) const fn cost(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.weight)
    }

    /// Whether it is found somewhere in the text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.pattern.is_match(text)
    }
}
