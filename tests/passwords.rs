//! New passwords as a caller asks about them: whether they were used before, from the question to the answer.

#[cfg(test)]
mod tests {
    use bindery::api::ask::check;
    use bindery::evaluators::Evaluators;
    use bindery::model::Timestamp;
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};

    // Django's hashes of "second" and "first".
    const SECOND: &str = "pbkdf2_sha256$1000$saltsaltsalt$w5qQ1SofYA6YrLdmzyKJpymXelUmrPGDhyo1P4c1KsY=";
    const FIRST: &str = "pbkdf2_sha1$1000$saltsaltsalt$sRuAQ7l2dXuJG1Ctjfpf7i6FRKs=";

    fn resource(resource: R) -> v1::Resource {
        v1::Resource { resource: Some(resource) }
    }

    fn stage() -> v1::TargetRef {
        v1::TargetRef { target: Some(Target::Application("set-password".into())) }
    }

    fn store(history: &[&str], compared: u32) -> Store {
        let policy =
            v1::UniquePasswordPolicy { num_historical_passwords: Some(compared), ..Default::default() };
        let store = Store::new(Settings::default());
        let resources = vec![
            resource(R::Application(v1::Application { slug: "set-password".into(), ..Default::default() })),
            resource(R::User(v1::User {
                username: "ada".into(),
                password_history: history.iter().map(|hash| (*hash).to_owned()).collect(),
                ..Default::default()
            })),
            resource(R::Policy(v1::Policy {
                name: "fresh".into(),
                kind: Some(v1::policy::Kind::UniquePassword(policy)),
                ..Default::default()
            })),
            resource(R::PolicyBinding(v1::PolicyBinding {
                target: Some(stage()),
                policy: "fresh".into(),
                ..Default::default()
            })),
        ];
        apply(&store, Update::Replace(resources)).unwrap();
        store
    }

    /// Whether it passes, and its messages.
    fn ask(store: &Store, username: &str, password: &str) -> (bool, Vec<String>) {
        let text = |text: &str| prost_types::Value {
            kind: Some(prost_types::value::Kind::StringValue(text.to_owned())),
        };
        let prompted = prost_types::Struct { fields: [("password".to_owned(), text(password))].into() };
        let prompted = prost_types::Value { kind: Some(prost_types::value::Kind::StructValue(prompted)) };
        let values = prost_types::Struct { fields: [("prompt_data".to_owned(), prompted)].into() };
        let request = v1::CheckRequest {
            target: Some(stage()),
            subject: Some(v1::Subject { username: username.into(), ..Default::default() }),
            context: Some(v1::Context { values: Some(values), ..Default::default() }.into()),
            ..Default::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let now = Timestamp::new(1_800_000_000, 0);
        let answer = runtime.block_on(check(store, &Evaluators::default(), request, now)).unwrap();
        (answer.decision() == v1::Decision::Allow, answer.messages)
    }

    #[test]
    fn a_former_password_is_refused_as_far_back_as_the_policy_looks() {
        let used = vec!["This password has been used previously. Please choose a different one.".to_owned()];
        let both = store(&[SECOND, FIRST], 2);
        assert_eq!(ask(&both, "ada", "first"), (false, used.clone()));
        assert_eq!(ask(&both, "ada", "second"), (false, used.clone()));
        assert_eq!(ask(&both, "ada", "third"), (true, vec![]));
        assert_eq!(ask(&both, "ada", ""), (false, vec!["Password not set in context".to_owned()]));
        assert_eq!(ask(&both, "somebody", "first"), (true, vec![]));
        let latest = store(&[SECOND, FIRST], 1);
        assert_eq!(ask(&latest, "ada", "first"), (true, vec![]));
        assert_eq!(ask(&latest, "ada", "second"), (false, used));
        let unknown = store(&["scrypt$16384$salt$8$5$hash"], 1);
        let (passing, messages) = ask(&unknown, "ada", "first");
        assert!(!passing && messages[0].contains("algorithm `scrypt`"), "{messages:?}");
    }
}
