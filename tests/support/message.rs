//! Messages as a test expects them: mostly exact, now and then only their presence.

/// One message that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// This text.
    Text(String),
    /// Some text that is not empty: the wording of an error.
    Some,
    /// Any number of further messages, or none.
    Rest,
}

impl Message {
    pub(crate) fn texts<S: AsRef<str>>(texts: &[S]) -> Vec<Self> {
        texts.iter().map(|text| Self::Text(text.as_ref().to_owned())).collect()
    }
}

/// Whether these messages are the expected ones.
pub(crate) fn agree(expected: &[Message], found: &[Message]) -> bool {
    match (expected, found) {
        ([], []) | ([Message::Rest], _) => true,
        ([Message::Some, expected @ ..], [found, rest @ ..]) => {
            *found != Message::Text(String::new()) && agree(expected, rest)
        }
        ([wanted, expected @ ..], [found, rest @ ..]) => wanted == found && agree(expected, rest),
        _ => false,
    }
}
