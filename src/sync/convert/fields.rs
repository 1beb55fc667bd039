//! Checks of single fields, gathering everything that is wrong.
//!
//! Must not know: which resource a field belongs to.

use crate::model::{Field, Id, PolicyBinding, Timestamp, Value};
use crate::proto::value;
use std::time::Duration;

/// The longest name or id, in bytes.
pub(super) const MAX_NAME: usize = 255;
/// The longest descriptive text, in bytes.
const MAX_LABEL: usize = 4096;

/// A value that passed its check; nothing when it did not, and then the problem is noted.
pub(super) type Checked<T> = Option<T>;

/// What is wrong with the fields of one resource so far.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) problems: Vec<(Field, String)>,
}

impl Fields {
    /// Notes what is wrong with a field.
    pub(super) fn wrong<T>(&mut self, field: &'static str, message: impl Into<String>) -> Checked<T> {
        self.problems.push((field.into(), message.into()));
        None
    }

    /// A name that is needed.
    pub(super) fn name(&mut self, field: &'static str, text: &str) -> Checked<Box<str>> {
        if text.is_empty() {
            return self.wrong(field, "missing; it is required");
        }
        self.plain(field, text, MAX_NAME).map(Into::into)
    }

    /// An id; `longest` is in bytes, since ids that are put together from names may be longer than these.
    pub(super) fn id(&mut self, text: &str, longest: usize) -> Checked<Id> {
        // A missing natural key is noted at its own field.
        if text.is_empty() { None } else { self.plain("id", text, longest).map(Id::new) }
    }

    fn plain<'a>(&mut self, field: &'static str, text: &'a str, longest: usize) -> Checked<&'a str> {
        if text.len() > longest {
            return self.wrong(field, format!("has {} bytes; at most {longest} are allowed", text.len()));
        }
        if text.chars().any(char::is_control) {
            return self
                .wrong(field, format!("{text:?} has a control character; remove it").replace('"', "`"));
        }
        Some(text)
    }

    /// A text for people, which may be empty.
    pub(super) fn label(&mut self, field: &'static str, text: String) -> Checked<Box<str>> {
        self.text(field, text, MAX_LABEL)
    }

    /// A text of at most so many bytes.
    pub(super) fn text(&mut self, field: &'static str, text: String, longest: usize) -> Checked<Box<str>> {
        if text.len() > longest {
            return self.wrong(field, format!("has {} bytes; at most {longest} are allowed", text.len()));
        }
        Some(text.into())
    }

    /// A count that may not be passed.
    pub(super) fn at_most(&mut self, field: &'static str, count: usize, most: usize) -> Checked<()> {
        if count > most {
            return self.wrong(field, format!("has {count} entries; at most {most} are allowed"));
        }
        Some(())
    }

    /// Free data.
    pub(super) fn data(&mut self, field: &'static str, data: Option<prost_types::Struct>) -> Checked<Value> {
        let Some(data) = data else { return Some(Value::Null) };
        match value::from_struct(data) {
            Ok(data) => Some(data),
            Err(error) => self.wrong(field, error),
        }
    }

    /// A moment; absent stays absent.
    pub(super) fn moment(
        &mut self,
        field: &'static str,
        moment: Option<prost_types::Timestamp>,
    ) -> Checked<Option<Timestamp>> {
        let Some(moment) = moment else { return Some(None) };
        match value::moment(&moment) {
            Some(moment) => Some(Some(moment)),
            None => self.wrong(field, "is not a moment between the years 1678 and 2261; correct it"),
        }
    }

    /// A span of time that is not negative; absent is the default.
    pub(super) fn duration(
        &mut self,
        field: &'static str,
        duration: Option<prost_types::Duration>,
        default: Duration,
    ) -> Checked<Duration> {
        let Some(duration) = duration else { return Some(default) };
        match Duration::try_from(duration) {
            Ok(duration) => Some(duration),
            Err(_) => self.wrong(field, "is negative or not a duration; write it like 30s"),
        }
    }

    /// A policy's timeout.
    pub(super) fn timeout(
        &mut self,
        field: &'static str,
        timeout: Option<prost_types::Duration>,
    ) -> Checked<Duration> {
        let timeout = self.duration(field, timeout, PolicyBinding::DEFAULT_TIMEOUT)?;
        if timeout < Duration::from_millis(1) || timeout > PolicyBinding::MAX_TIMEOUT {
            let most = PolicyBinding::MAX_TIMEOUT.as_secs();
            return self
                .wrong(field, format!("is {timeout:?}; at least 1ms and at most {most}s are allowed"));
        }
        Some(timeout)
    }

    /// What was read of a field.
    pub(super) fn read<T>(&mut self, field: &'static str, read: Result<T, String>) -> Checked<T> {
        match read {
            Ok(value) => Some(value),
            Err(message) => self.wrong(field, message),
        }
    }

    /// A member of an enumeration.
    pub(super) fn member<E: TryFrom<i32>>(&mut self, field: &'static str, number: i32) -> Checked<E> {
        match E::try_from(number) {
            Ok(member) => Some(member),
            Err(_) => self.wrong(field, format!("{number} is none of its values; see the schema for these")),
        }
    }
}
