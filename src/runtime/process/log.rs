//! The log of a server: a file that the server itself appends to, rotated by copy and truncate,
//! because nobody else holds it.
//!
//! Bytes written in the instant between copy and truncate are lost; a server that outlives its
//! reconciler never loses its log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::runtime::log_tail;

/// A log larger than this is rotated.
pub(super) const ROTATE_ABOVE: u64 = 10 * 1024 * 1024;
/// Number of rotated logs.
const ROTATED_LOGS: u32 = 3;
/// Bytes that are searched for the last lines: escapes and secrets take more room than what is left
/// of them. A line that does not fit is not shown, because half a secret at its start would not be
/// recognised.
const TAIL_BYTES: u64 = 64 * 1024;

/// Returns whether to rotate; costs one system call.
pub(super) fn is_large(log: &Path) -> bool {
    log.metadata().is_ok_and(|log| log.len() > ROTATE_ABOVE)
}

/// Moves the content to `.1`, what was there to `.2`, and so on.
pub(super) fn rotate(log: &Path) -> io::Result<()> {
    for older in (1..ROTATED_LOGS).rev() {
        match std::fs::rename(rotated(log, older), rotated(log, older + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::copy(log, rotated(log, 1))?;
    OpenOptions::new().write(true).open(log)?.set_len(0)
}

fn rotated(log: &Path, age: u32) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

/// The last lines that were written after `from`, fit to be shown: no control characters and none
/// of `secrets`.
pub(super) fn tail(log: &Path, from: u64, secrets: &[SecretString]) -> Vec<String> {
    let text = last_bytes(log, from).unwrap_or_default();
    log_tail::printable_tail(&text, secrets)
}

fn last_bytes(log: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    // A log that was rotated since starts anew.
    let from = if from > length { 0 } else { from };
    let start = from.max(length.saturating_sub(TAIL_BYTES));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length - start).read_to_end(&mut bytes)?;
    if start > from
        && let Some(end_of_partial_line) = bytes.iter().position(|byte| *byte == b'\n')
    {
        bytes.drain(..=end_of_partial_line);
    }
    Ok(bytes)
}

/// Reads a log from its last lines on, across rotations.
#[derive(Debug)]
pub(super) struct Reader {
    log: PathBuf,
    /// Bytes of the current file that were read.
    at: u64,
}

impl Reader {
    /// Stands before the last `lines` lines that are kept, rotated ones included.
    pub(super) fn from_the_end(log: PathBuf, lines: usize) -> io::Result<(Self, Vec<u8>)> {
        let mut text = match std::fs::read(&log) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let at = text.len() as u64;
        let mut age = 1;
        while age <= ROTATED_LOGS && memchr::memchr_iter(b'\n', &text).count() < lines {
            let Ok(mut older) = std::fs::read(rotated(&log, age)) else { break };
            older.append(&mut text);
            text = older;
            age += 1;
        }
        let ended = text.strip_suffix(b"\n").unwrap_or(&text);
        let start = match lines {
            0 => text.len(),
            lines => memchr::memrchr_iter(b'\n', ended).nth(lines - 1).map_or(0, |end| end + 1),
        };
        text.drain(..start);
        Ok((Self { log, at }, text))
    }

    /// Returns what was written since the last read.
    pub(super) fn read_on(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let length = match self.log.metadata() {
            Ok(log) => log.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if length < self.at {
            // It was rotated: what had not been read yet is the end of the newest of the older
            // ones.
            if let Ok(mut older) = File::open(rotated(&self.log, 1)) {
                older.seek(SeekFrom::Start(self.at))?;
                older.read_to_end(&mut text)?;
            }
            self.at = 0;
        }
        if length > self.at {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.at))?;
            self.at += file.take(length - self.at).read_to_end(&mut text)? as u64;
        }
        Ok(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("server.log");
        std::fs::write(&log, text).unwrap();
        (directory, log)
    }

    #[test]
    fn rotation_keeps_three_and_the_writer_goes_on_at_the_start() {
        let (_kept, log) = written("");
        let mut writer = OpenOptions::new().append(true).open(&log).unwrap();
        for round in 0..5 {
            writeln!(writer, "round {round}").unwrap();
            rotate(&log).unwrap();
        }
        writeln!(writer, "now").unwrap();
        let content = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        assert_eq!(content(log.clone()), "now\n");
        let kept: Vec<String> = (1..=3).map(|age| content(rotated(&log, age))).collect();
        assert_eq!(kept, ["round 4\n", "round 3\n", "round 2\n"]);
        assert!(!rotated(&log, 4).exists());
    }

    #[test]
    fn the_tail_is_of_this_run_printable_and_without_secrets() {
        let (_kept, log) =
            written("former run\n\x1b[31merror\x1b[0m: key sk-or-v1-x\x07 \u{202e}refused\n\n  \nlast\tline");
        let secrets = [SecretString::from("sk-or-v1-x".to_owned()), SecretString::from("e".to_owned())];
        assert_eq!(tail(&log, 11, &secrets), ["error: key [secret] refused", "last line"]);
        assert_eq!(tail(&log, 5000, &[]).len(), 3, "a rotated log is read from its start");
        assert!(tail(&log.with_extension("gone"), 0, &[]).is_empty());
    }

    #[test]
    fn the_tail_is_never_long() {
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let (_kept, log) = written(&many);
        let lines = tail(&log, 0, &[]);
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "line 80", "line 99"));

        let (_kept, log) = written(&format!("{}\n", "ż".repeat(9000)));
        let lines = tail(&log, 0, &[]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() <= log_tail::BYTES && lines[0].len() > log_tail::BYTES / 2);

        let (_kept, log) = written(&format!("{0}\n{0}\n{0}\n", "x".repeat(1500)));
        assert_eq!(tail(&log, 0, &[]).len(), 2);
    }

    #[test]
    fn reader_follows_a_rotation_and_reads_rotated_logs() {
        let (_kept, log) = written("one\ntwo\nthree\n");
        let (mut reader, text) = Reader::from_the_end(log.clone(), 2).unwrap();
        assert_eq!(text, b"two\nthree\n");
        let mut writer = OpenOptions::new().append(true).open(&log).unwrap();
        writeln!(writer, "four").unwrap();
        rotate(&log).unwrap();
        writeln!(writer, "five").unwrap();
        assert_eq!(reader.read_on().unwrap(), b"four\nfive\n");
        assert_eq!(reader.read_on().unwrap(), b"");
        assert_eq!(Reader::from_the_end(log.clone(), 3).unwrap().1, b"three\nfour\nfive\n");
        assert_eq!(Reader::from_the_end(log.clone(), 99).unwrap().1, b"one\ntwo\nthree\nfour\nfive\n");
        assert_eq!(Reader::from_the_end(log, 0).unwrap().1, b"");
    }
}
