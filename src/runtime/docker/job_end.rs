//! The end of a job: from the state of its container and the end of its log.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::models::{ContainerInspectResponse, ContainerState};
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures::StreamExt;
use mai_contract::job::{Message, Progress};

use super::exits;
use super::job_container::MEMORY;
use crate::runtime::job_files::last_message;

/// Lines at the end of a log of which the last message is read while the job runs.
pub(super) const PROGRESS_LINES: &str = "10";
/// Lines at the end of a log that are read when it has ended.
pub(super) const END_LINES: &str = "100";
/// Exit codes with which the engine reports that the image has no such program.
const NO_PROGRAM: [i32; 2] = [126, 127];
/// Exit code of a program that does not know its arguments.
const UNKNOWN_ARGUMENTS: i32 = 2;

/// The end of a log.
pub(super) struct LogEnd {
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
}

/// Reads the last lines of a log.
pub(super) async fn read_end(docker: &Docker, container: &str, lines: &str) -> Result<LogEnd, bollard::errors::Error> {
    let options: LogsOptions = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(lines).build();
    let mut log = Box::pin(docker.logs(container, Some(options)));
    let mut end = LogEnd { output: Vec::new(), errors: Vec::new() };
    while let Some(piece) = log.next().await {
        match piece? {
            LogOutput::StdErr { message } => end.errors.extend_from_slice(&message),
            other => end.output.extend_from_slice(&other.into_bytes()),
        }
    }
    Ok(end)
}

/// Returns the progress that an output ends with.
pub(super) fn progress(output: &[u8]) -> Option<Progress> {
    match last_message(output)? {
        Message::Progress(progress) => Some(progress),
        // It is about to end.
        Message::Outcome(_) => None,
    }
}

/// Returns why a job ended without an outcome.
pub(super) fn cause(container: &ContainerInspectResponse, tail: &[String]) -> String {
    let state = container.state.clone().unwrap_or_default();
    let mut cause = cause_of_end(&state, image_of(container));
    if let Some(error) = state.error.filter(|error| !error.is_empty()) {
        cause.push_str(&format!("; the engine says: {error}"));
    }
    if !tail.is_empty() {
        cause.push_str(&format!("; its log ends with: {}", tail.join(" | ")));
    }
    cause
}

fn cause_of_end(state: &ContainerState, image: &str) -> String {
    if state.oom_killed == Some(true) {
        return format!("the kernel ended the job: it needed more than {} MiB of memory", MEMORY >> 20);
    }
    match exits::read_code(state.exit_code) {
        (_, Some(signal)) => format!(
            "signal {signal} ended the job, as when the engine is restarted, somebody stops it, or the machine is out of memory"
        ),
        (Some(code), None) if NO_PROGRAM.contains(&code) => {
            format!(
                "image {image} holds no mai that could run the job (exit code {code}); name one that does with --helper-image, or correct server.kind"
            )
        }
        (Some(code), None) if code == UNKNOWN_ARGUMENTS => {
            format!(
                "the mai in image {image} does not know such a job (exit code {code}): the image is older than this mai; update the image"
            )
        }
        (Some(code), None) => format!("the job ended with exit code {code} and without an outcome"),
        (None, None) => "the job ended without an outcome".to_owned(),
    }
}

fn image_of(container: &ContainerInspectResponse) -> &str {
    container.config.as_ref().and_then(|config| config.image.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_without_an_outcome_says_what_ended_it() {
        for (killed, code, says) in [
            (true, Some(137), "more than 256 MiB"),
            (false, Some(137), "signal 9"),
            (false, Some(2), "image mai:1 does not know"),
            (false, Some(127), "image mai:1 holds no mai"),
            (false, Some(101), "exit code 101"),
            (false, None, "without an outcome"),
        ] {
            let state = ContainerState { oom_killed: Some(killed), exit_code: code, ..ContainerState::default() };
            let cause = cause_of_end(&state, "mai:1");
            assert!(cause.contains(says), "{cause}");
        }
    }
}
