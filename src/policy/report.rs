//! What people have to know of a policy before it is asked: what it needs from a question or beside the configuration,
//! and what in it cannot work here.
//!
//! Must not know: a question.

use super::{Compiled, Kind};
use crate::model::{Conditional, PolicyKind};
use std::collections::BTreeSet;

/// What there is to know of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it reads: names as the policy's own language has them, and sources beside the configuration.
    pub needs: BTreeSet<String>,
    /// Set: it always errors, for this reason.
    pub broken: Option<String>,
    /// Set, for an expression in Python: it takes the interpreter, for this reason.
    pub interpreted: Option<super::python::NotLowered>,
    /// What in it would error when it is reached, each with its line and what to do.
    pub findings: Vec<(usize, String)>,
}

impl Compiled {
    /// What there is to know of this policy, whose configuration is `kind`.
    pub fn report(&self, kind: &PolicyKind) -> Report {
        let mut report = Report::default();
        let mut need = |names: &[&str]| report.needs.extend(names.iter().map(|name| (*name).to_owned()));
        match (kind, &self.0) {
            (PolicyKind::EventMatcher(_), _) => need(&["context.event"]),
            (PolicyKind::PasswordExpiry(_), _) => need(&["user.password_change_date"]),
            (PolicyKind::Geoip(config), _) => {
                let distance = config.check_history_distance || config.check_impossible_travel;
                if !config.asns.is_empty() {
                    need(&["context.values.asn, or context.client_ip and --geoip-asn"]);
                }
                if distance || !config.countries.is_empty() {
                    need(&["context.values.geoip, or context.client_ip and --geoip-city"]);
                }
                if distance {
                    need(&["context.values.logins, or user.logins"]);
                }
            }
            (PolicyKind::Password(config), _) => {
                need(&[&format!("context.values.prompt_data.{}", config.password_field)]);
                if config.check_have_i_been_pwned {
                    need(&["--hibp-directory or --hibp-url"]);
                }
                if config.check_zxcvbn {
                    need(&["context.http.brand_title, with an HTTP request"]);
                }
            }
            (PolicyKind::Reputation(config), _) => {
                if config.check_ip {
                    need(&["context.client_ip"]);
                }
                need(&["reputation scores"]);
            }
            (PolicyKind::UniquePassword(config), _) => {
                need(&[
                    &format!("context.values.prompt_data.{}", config.password_field),
                    "user.password_history",
                ]);
            }
            (PolicyKind::Conditional(Conditional { .. }), Kind::Conditional(policy)) => {
                policy.reads(&mut report.needs);
            }
            (PolicyKind::Expression(_), Kind::Cel(policy)) => policy.reads(&mut report.needs),
            (PolicyKind::Expression(_), Kind::Python(program)) => {
                report.needs = program.reads();
                report.broken = program.broken().map(str::to_owned);
                report.interpreted = program.not_lowered().cloned();
                let finding = |it: &super::python::Finding| {
                    (
                        it.line,
                        format!(
                            "`{}` leaves the sidecar and errors when it is reached: {}",
                            it.name, it.advice
                        ),
                    )
                };
                report.findings = program.findings().iter().map(finding).collect();
            }
            (PolicyKind::Remote(config), _) => need(&[&format!("a server at {}", config.address)]),
            _ => {}
        }
        if let Kind::Broken(text) = &self.0 {
            report.broken = Some(text.to_string());
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Expression, ExpressionLanguage, Id, Policy};

    fn report(language: ExpressionLanguage, source: &str) -> Report {
        let kind = PolicyKind::Expression(Expression { language, source: source.into() });
        let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
        Compiled::new(&policy).unwrap().report(&policy.kind)
    }

    fn needs(report: &Report) -> Vec<&str> {
        report.needs.iter().map(String::as_str).collect()
    }

    #[test]
    fn an_expression_in_python_tells_what_it_reads_and_what_is_refused() {
        let source = "if context['amount'] > 5 and request.context.get(\"geoip\"):\n    requests.get('x')\n\
                      return ak_client_ip in ip_network('10.0.0.0/8') and ak_is_group_member(request.user, name='a')";
        let report = report(ExpressionLanguage::Python, source);
        assert_eq!(
            needs(&report),
            ["context.client_ip", "context.values.amount", "context.values.geoip", "groups of the user"]
        );
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].0, 2);
        assert!(report.findings[0].1.starts_with("`requests` leaves the sidecar"), "{:?}", report.findings);
    }

    #[test]
    fn one_that_cannot_run_says_why() {
        let report = report(ExpressionLanguage::Python, "return (");
        assert!(report.broken.unwrap().starts_with("syntax error in line 1: "));
    }

    #[test]
    fn an_expression_in_cel_tells_what_it_reads() {
        let source =
            r#"context.amount > 5.0 && "a" in subject.groups && subject.attributes.x == "y" && now > now"#;
        assert_eq!(
            needs(&report(ExpressionLanguage::Cel, source)),
            ["context.amount", "now", "subject.attributes.x", "subject.groups"]
        );
    }
}
