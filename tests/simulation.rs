//! A publisher, two hubs and three followers on a network that breaks in every way, hosts that are killed at any moment,
//! and publishers who send what is wrong: by seed. Whatever happens, nobody serves a mixture, nobody goes back, and in the
//! end all hold the same.
//!
//! Time passes only when nothing else happens, on one thread. The faults of a seed are always the same ones; how tasks
//! that are ready at the same moment are ordered is not, so a seed that fails may have to be run a few times.
//! `BINDERY_SEEDS` says how many seeds are run, `BINDERY_SEED` which is the first.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
    pub(crate) mod net;
    pub(crate) mod streams;
}

#[cfg(test)]
#[path = "simulation"]
mod tests {
    mod hosts;
    mod mixture;
    mod run;
    mod truth;
}
