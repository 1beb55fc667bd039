//! The decision log in a file, which is set aside when it has grown large. Lines are whole: what was written of one when
//! an error came is cut off.
//!
//! Must not know: what lines say.

use super::writer::{Out, put};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How far from the end the last whole line is looked for.
const TAIL: u64 = 1 << 20;

/// A file that is set aside when it is large: `log` becomes `log.1`, that becomes `log.2`, and so on.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    file: fs::File,
    len: u64,
    max_bytes: u64,
    keep: usize,
    /// Only files can be cut and set aside; there are devices and pipes, too.
    is_file: bool,
}

impl File {
    /// Goes on behind what is in the file. `max_bytes`: then it is set aside; `keep`: how many of those are kept.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, max_bytes: u64, keep: usize) -> Result<Self, String> {
        let wrong = |error: io::Error| {
            format!("decision_log.to: `{}` cannot be written to: {error}; name another", path.display())
        };
        let (file, len, is_file) = begin(path).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), file, len, max_bytes, keep, is_file })
    }

    fn aside(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn set_aside(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            self.file.set_len(0)?;
            self.len = 0;
            return Ok(());
        }
        for number in (1..self.keep).rev() {
            match fs::rename(self.aside(number), self.aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::rename(&self.path, self.aside(1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        (self.file, self.len, self.is_file) = begin(&self.path)?;
        Ok(())
    }
}

/// Opens a file and cuts off what a former process left of its last line.
fn begin(path: &Path) -> io::Result<(fs::File, u64, bool)> {
    // Who asks for what is nothing for everybody on the machine to read.
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let file = options.create(true).append(true).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.len() == 0 {
        return Ok((file, about.len(), about.is_file()));
    }
    let len = whole(path, about.len())?;
    if len < about.len() {
        file.set_len(len)?;
    }
    Ok((file, len, true))
}

/// How much of a file is whole lines.
fn whole(path: &Path, len: u64) -> io::Result<u64> {
    let mut file = fs::File::open(path)?;
    let start = len.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    // No line is as long as all that: it is no log, and left as it is.
    Ok(if end == 0 && start > 0 { len } else { start + end })
}

impl Out for File {
    fn write(&mut self, lines: &[u8], done: &mut usize) -> io::Result<()> {
        let count = lines.len() as u64;
        if self.is_file && *done == 0 && self.len > 0 && self.len + count > self.max_bytes {
            self.set_aside()?;
        }
        let result = put(&mut self.file, lines, done);
        match &result {
            Ok(()) => self.len += count,
            // What is there of a line is cut off, and all of them are written anew; where that cannot be, it goes on there.
            Err(_) if self.is_file && *done > 0 && self.file.set_len(self.len).is_ok() => *done = 0,
            Err(_) => {}
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_set_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut file = File::open(&path, 10, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"] {
            file.write(line.as_bytes(), &mut 0).unwrap();
        }
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("log"), "six\nseven\n");
        assert_eq!((read("log.1").as_str(), read("log.2").as_str()), ("four\nfive\n", "three\n"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn it_goes_on_behind_the_last_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "one\ntwo\nthr").unwrap();
        File::open(&path, 100, 2).unwrap().write(b"four\n", &mut 0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nfour\n");
        fs::write(&path, "torn").unwrap();
        File::open(&path, 100, 2).unwrap().write(b"one\n", &mut 0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        if !Path::new("/dev/full").exists() {
            eprintln!("SKIPPED: there is no /dev/full");
            return;
        }
        let mut file = File::open(Path::new("/dev/full"), 10, 2).unwrap();
        for _ in 0..3 {
            let error = file.write(b"a line\n", &mut 0).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        assert!(Path::new("/dev/full").exists(), "it was set aside");
    }
}
