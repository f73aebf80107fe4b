//! What a container wrote, as the engine keeps it.

use bollard::Docker;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures::StreamExt;
use secrecy::SecretString;

use crate::runtime::log_tail;

/// The last lines, fit to be shown; none where they cannot be had, since they only explain something else.
pub(super) async fn tail(docker: &Docker, container: &str, secrets: &[SecretString]) -> Vec<String> {
    let options: LogsOptions =
        LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&log_tail::LINES.to_string()).build();
    let mut lines = Box::pin(docker.logs(container, Some(options)));
    let mut text = Vec::new();
    while let Some(Ok(line)) = lines.next().await {
        text.extend_from_slice(&line.into_bytes());
        if text.len() > 64 * log_tail::BYTES {
            break;
        }
    }
    log_tail::of(&text, secrets)
}
