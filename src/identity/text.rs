//! Texts that name something: users, groups, addresses.
//!
//! Must not know: where they come from.

/// The longest name, in bytes.
pub(super) const MAX_NAME: usize = 1024;
/// The most groups of one user, and the most entries of any other list.
pub(super) const MAX_LIST: usize = 1000;

/// What is wrong with a text as a name, if anything.
pub(super) fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if text.len() > MAX_NAME {
        Some("has more than 1024 bytes")
    } else if text.chars().any(char::is_control) {
        Some("has control characters")
    } else {
        None
    }
}
