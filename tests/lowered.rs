//! Expressions in Python that are lowered to native conditions: each says what the interpreter makes of it.
//!
//! Every body of the vectors, of the tests of the scope and of authentik's blueprints, and random ones (`PROPTEST_CASES` of
//! them), each with many questions, natively and by the interpreter. `BINDERY_BLUEPRINTS` names the directory with the blueprints.

#[cfg(test)]
mod lowered {
    pub(crate) mod bodies;
    pub(crate) mod both;
    pub(crate) mod random;
}

#[cfg(test)]
#[path = "scope"]
#[expect(dead_code, reason = "shared with the tests of the scope, which need the rest")]
mod scope {
    pub(crate) mod data;
}

#[cfg(test)]
mod tests {
    use crate::lowered::both::{Both, Tally, questions};
    use crate::lowered::{bodies, random};
    use crate::scope::data;
    use bindery::policy::python::NotLowered;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::io::Write as _;

    /// Prints past the test runner, which keeps what tests print to itself.
    macro_rules! told {
        ($($text:tt)*) => { writeln!(std::io::stderr(), $($text)*).unwrap() };
    }

    /// The least share of the bodies in use that has to be lowered, in percent.
    const SHARE: usize = 60;

    #[test]
    fn bodies_in_use_say_what_the_interpreter_says() {
        let (vectors, blueprints) = (bodies::of_vectors(), bodies::of_blueprints());
        if blueprints.is_none() {
            told!("SKIPPED: authentik's blueprints are not there; the vectors' bodies stand alone");
        }
        let mut used = vectors;
        used.extend(blueprints.unwrap_or_default());
        let mut both = Both::new();
        let mut tally = Tally::default();
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for body in &used {
            match both.compare(body, &questions(), &mut tally) {
                Ok(None) => {}
                Ok(Some(NotLowered { what, .. })) => *reasons.entry(what.into()).or_default() += 1,
                Err(difference) => panic!("{difference}\n{body}"),
            }
        }
        told!("bodies in use: {tally}");
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (what, count) in reasons {
            told!("    {count:>3} left to the interpreter: {what}");
        }
        assert!(tally.lowered * 100 >= tally.bodies * SHARE, "{tally}");
        // Those that are lowered must not turn to the interpreter all the same.
        assert!(tally.native * 2 >= tally.asked, "{tally}");
    }

    #[test]
    fn bodies_of_every_name_say_what_the_interpreter_says() {
        let mut both = Both::new();
        let mut tally = Tally::default();
        for case in data::cases() {
            if let Err(difference) = both.compare(&case.body, &questions(), &mut tally) {
                panic!("{difference}\n{}", case.body);
            }
        }
        told!("bodies of every name: {tally}");
        assert!(tally.lowered > 20 && tally.native > 200, "{tally}");
    }

    fn config() -> ProptestConfig {
        let cases =
            if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 200 };
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Default::default() }
    }

    #[test]
    fn random_bodies_say_what_the_interpreter_says() {
        let mut runner = proptest::test_runner::TestRunner::new(config());
        let both = std::cell::RefCell::new(Both::new());
        let tally = std::cell::RefCell::new(Tally::default());
        runner
            .run(&random::any_body(), |body| {
                let compared = both.borrow_mut().compare(&body, &questions(), &mut tally.borrow_mut());
                compared.map(drop).map_err(|difference| TestCaseError::fail(format!("{difference}\n{body}")))
            })
            .unwrap_or_else(|failure| panic!("{failure}"));
        let tally = tally.into_inner();
        told!("random bodies: {tally}");
        assert!(tally.lowered * 2 >= tally.bodies && tally.native * 8 >= tally.asked, "{tally}");
    }
}
