//! The log of a server: a file that the server itself appends to, rotated by copy and truncate, because nobody else holds it.
//!
//! What is written in the instant between copy and truncate is lost; a server that outlives its reconciler never loses its log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::runtime::log_tail;

/// A log larger than this is rotated.
pub(super) const LARGEST: u64 = 10 * 1024 * 1024;
/// How many rotated logs are kept.
const KEPT: u32 = 3;
/// How many bytes are searched for the last lines: escapes and secrets take more room than what is left of them. A line that does not fit is not
/// shown, because half a secret at its start would not be recognised.
const LOOKED_AT: u64 = 64 * 1024;

/// Whether it is time to rotate; one system call.
pub(super) fn is_large(log: &Path) -> bool {
    log.metadata().is_ok_and(|log| log.len() > LARGEST)
}

/// Moves the content to `.1`, what was there to `.2`, and so on.
pub(super) fn rotate(log: &Path) -> io::Result<()> {
    for older in (1..KEPT).rev() {
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

/// The last lines that were written after `from`, fit to be shown: no control characters and none of `secrets`.
pub(super) fn tail(log: &Path, from: u64, secrets: &[SecretString]) -> Vec<String> {
    let text = last_bytes(log, from).unwrap_or_default();
    log_tail::of(&text, secrets)
}

fn last_bytes(log: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    // A log that was rotated since starts anew.
    let from = if from > length { 0 } else { from };
    let start = from.max(length.saturating_sub(LOOKED_AT));
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
        let (_kept, log) = written("former run\n\x1b[31merror\x1b[0m: key sk-or-v1-x\x07 refused\n\n  \nlast\tline");
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
}
