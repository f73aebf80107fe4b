//! Reads the logs of containers from the engine.

use bollard::Docker;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures::StreamExt;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::runtime::log_tail;

/// Returns the last lines written until `until`, without `secrets`; none when the log cannot be
/// read, because they only explain another problem. Later lines belong to the next run of the
/// container.
pub(super) async fn tail_until(
    docker: &Docker,
    container: &str,
    until: Timestamp,
    secrets: &[SecretString],
) -> Vec<String> {
    // More than is shown: some of them may be of the next run.
    let asked = (2 * log_tail::LINES).to_string();
    let options: LogsOptions =
        LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).tail(&asked).build();
    let mut lines = Box::pin(docker.logs(container, Some(options)));
    let mut text = Vec::new();
    while let Some(Ok(line)) = lines.next().await {
        let line = line.into_bytes();
        let (written, text_of_line) = split(&line);
        if written.is_none_or(|written| written <= until) {
            text.extend_from_slice(text_of_line);
        }
        if text.len() > 64 * log_tail::BYTES {
            break;
        }
    }
    log_tail::printable_tail(&text, secrets)
}

/// Returns the time in front of a line, and the line.
fn split(line: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let parts = line.iter().position(|byte| *byte == b' ').map(|space| line.split_at(space));
    let time = parts.and_then(|(time, _)| std::str::from_utf8(time).ok()?.parse().ok());
    match (time, parts) {
        (Some(time), Some((_, rest))) => (Some(time), &rest[1..]),
        _ => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_with_time_is_split() {
        let (time, line) = split(b"2026-05-01T08:00:00.123456789Z it ends\n");
        assert_eq!(
            (time.map(|time| time.to_string()), line),
            (Some("2026-05-01T08:00:00.123456789Z".to_owned()), b"it ends\n".as_slice())
        );
        assert_eq!(split(b"no time here\n"), (None, b"no time here\n".as_slice()));
    }
}
