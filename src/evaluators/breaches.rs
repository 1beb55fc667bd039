//! Passwords that were breached, as Have I Been Pwned lists them: by ranges, which are all hashes that begin with the same
//! five digits. The range is fetched or read; whether the password is in it is decided here.
//!
//! Must not know: passwords. The rest of the hash is compared in this process and told to nobody.

mod mirror;

use crate::policy::{Breaches, Verdict};
use mirror::Mirror;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest range that is read, in bytes. Real ones have less than 100 kB, padding included.
const MAX_RANGE: usize = 1 << 20;
/// How many hexadecimal digits of a SHA-1 a line of a range begins with.
const SUFFIX_DIGITS: usize = 35;

/// Where breached passwords are looked up.
#[derive(Clone, Debug)]
pub struct BreachSource(Source);

#[derive(Clone, Debug)]
enum Source {
    Directory(PathBuf),
    Mirror(Arc<Mirror>),
}

impl BreachSource {
    /// A directory with a file for each range: `<PREFIX>` or `<PREFIX>.txt`, in capitals or not, with lines
    /// `SUFFIX:COUNT`. That is what the downloaders of Have I Been Pwned write.
    ///
    /// # Errors
    /// When it is no directory.
    pub fn directory(path: impl Into<PathBuf>) -> Result<Self, String> {
        let path = path.into();
        if !path.is_dir() {
            return Err(format!(
                "`{}` is not a directory; name the one with the range files",
                path.display()
            ));
        }
        Ok(Self(Source::Directory(path)))
    }

    /// A server that answers `<url>/range/<PREFIX>` as Have I Been Pwned does, over http or https. It gets the first
    /// five digits of the hash, and nothing else.
    ///
    /// # Errors
    /// When the URL cannot be used, or there are no certificates to trust for https.
    pub fn mirror(url: &str) -> Result<Self, String> {
        Ok(Self(Source::Mirror(Arc::new(Mirror::new(url)?))))
    }

    pub(super) async fn look_up(&self, breaches: Breaches) -> Verdict {
        let range = match &self.0 {
            Source::Mirror(mirror) => mirror.range(&breaches.prefix).await,
            Source::Directory(directory) => {
                let (directory, prefix) = (directory.clone(), breaches.prefix.clone());
                // Files block, so this is no work for a thread that serves others.
                let read = tokio::task::spawn_blocking(move || read(&directory, &prefix));
                read.await.unwrap_or_else(|error| Err(format!("the range cannot be read: {error}")))
            }
        };
        match range.and_then(|range| count(&range, breaches.suffix.reveal())) {
            Ok(count) => breaches.verdict(count),
            Err(text) => Verdict::error(text),
        }
    }
}

fn read(directory: &Path, prefix: &str) -> Result<Arc<str>, String> {
    let lower = prefix.to_ascii_lowercase();
    for name in [prefix.to_owned(), format!("{prefix}.txt"), lower.clone(), format!("{lower}.txt")] {
        let path = directory.join(name);
        let unreadable =
            |error: io::Error| format!("the range file `{}` cannot be read: {error}", path.display());
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(error)),
        };
        let mut text = String::new();
        file.take(MAX_RANGE as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() > MAX_RANGE {
            return Err(format!(
                "the range file `{}` has more than {MAX_RANGE} bytes; it is not one of Have I Been Pwned",
                path.display()
            ));
        }
        return Ok(text.into());
    }
    Err(format!(
        "there is no range file `{prefix}` in `{}`; download all ranges of Have I Been Pwned",
        directory.display()
    ))
}

/// How often the hash with this rest was found. A range that is empty or has a line of another form is no range, and an
/// error: it would pass every password.
fn count(range: &str, suffix: &str) -> Result<u64, String> {
    let mut found = 0_u64;
    let mut any = false;
    for (index, line) in range.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        any = true;
        let entry = line.split_once(':').filter(|(digits, _)| {
            digits.len() == SUFFIX_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        let Some((digits, times)) =
            entry.and_then(|(digits, times)| Some((digits, times.parse::<u64>().ok()?)))
        else {
            return Err(format!(
                "line {} of the range of breached passwords is not `SUFFIX:COUNT`; check the source",
                index + 1
            ));
        };
        if digits.eq_ignore_ascii_case(suffix) {
            found = found.saturating_add(times);
        }
    }
    if any { Ok(found) } else { Err("the range of breached passwords is empty; check the source".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Secret;

    const SUFFIX: &str = "D66A63D4BF1747940578EC3D0103530E21D";

    fn breaches() -> Breaches {
        Breaches {
            prefix: "F3BBB".into(),
            suffix: Secret::new(SUFFIX),
            allowed: 0,
            otherwise: Verdict::of(true),
        }
    }

    fn failed(count: u64) -> Verdict {
        let messages = vec![format!("Password exists on {count} online lists.").into()];
        Verdict { messages, ..Verdict::of(false) }
    }

    #[test]
    fn counts_are_read_whatever_the_case_and_the_ends_of_lines() {
        let other = "0".repeat(35);
        for (range, expected) in [
            (format!("{SUFFIX}:7"), 7),
            (format!("{other}:9\r\n{}:7\r\n\r\n", SUFFIX.to_lowercase()), 7),
            (format!("{other}:9\n"), 0),
            // Padding of the public server.
            (format!("{other}:9\n{SUFFIX}:0"), 0),
        ] {
            assert_eq!(count(&range, SUFFIX), Ok(expected), "{range}");
        }
    }

    #[test]
    fn what_is_no_range_is_an_error_that_shows_nothing_of_it() {
        for range in
            ["", "\n\n", "<html>", SUFFIX, "D66A:3", &format!("{SUFFIX}:-1"), &format!("{SUFFIX}x:1")]
        {
            let error = count(range, SUFFIX).unwrap_err();
            assert!(error.ends_with("check the source") && !error.contains("D66A"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_directory_of_ranges() {
        for name in ["F3BBB", "F3BBB.txt", "f3bbb", "f3bbb.txt"] {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(name), format!("{SUFFIX}:3")).unwrap();
            let source = BreachSource::directory(directory.path()).unwrap();
            assert_eq!(source.look_up(breaches()).await, failed(3));
        }
        let directory = tempfile::tempdir().unwrap();
        let source = BreachSource::directory(directory.path()).unwrap();
        let error = source.look_up(breaches()).await.result.unwrap_err();
        assert!(error.contains("there is no range file `F3BBB`"), "{error}");
        std::fs::write(directory.path().join("F3BBB"), "x".repeat(MAX_RANGE + 1)).unwrap();
        let error = source.look_up(breaches()).await.result.unwrap_err();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        assert!(BreachSource::directory(directory.path().join("F3BBB")).is_err());
    }
}
