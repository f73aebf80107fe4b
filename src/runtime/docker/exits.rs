//! Ends of containers, each read once.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerState};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use secrecy::SecretString;

use super::logs;
use crate::core::Exit;

/// Exit codes above this stand for the signal that ended the process, as in shells.
const SIGNALS: i64 = 128;

/// Exit codes with which the engine reports that the image cannot be started.
const IMAGE_AT_FAULT: [i64; 2] = [126, 127];
/// Failed starts after which the container and not the engine counts as the cause.
const ENGINE_MAY_FAIL: u32 = 3;
/// Shortest time after which engines restart a container. They may read the end of its log this
/// much later than they see its end, so lines until then belong to the run that ended.
const RESTARTED_AFTER: SignedDuration = SignedDuration::from_millis(100);

/// Time around the absence of the engine in which an end is the engine's doing: a stopped engine
/// ends its containers before it goes, a killed one after it is back.
const ENDED_BY_THE_ENGINE: SignedDuration = SignedDuration::from_secs(15);

#[derive(Clone, Copy, Debug)]
struct Refused {
    at: Timestamp,
    times: u32,
}

/// Ends that were read, and what events reported of others.
#[derive(Debug, Default)]
pub(super) struct Exits {
    /// Last ends, by container.
    looked_up: Mutex<HashMap<String, Exit>>,
    /// Exit codes of the last ends, by container. The engine drops them when it restarts a
    /// container.
    codes: Mutex<HashMap<String, i64>>,
    /// Refused starts, by container. It never ran, so the engine has no time of an end.
    refused: Mutex<HashMap<String, Refused>>,
    /// Time at which the engine last went away.
    engine_left: Mutex<Option<Timestamp>>,
}

impl Exits {
    /// Records the exit code of an event.
    pub(super) fn note_code(&self, container: &str, code: i64) {
        self.codes.lock().insert(container.to_owned(), code);
    }

    /// Records that the engine went away, perhaps to stop.
    pub(super) fn note_engine_left(&self, at: Timestamp) {
        *self.engine_left.lock() = Some(at);
    }

    fn is_of_the_engine(&self, at: Timestamp) -> bool {
        self.engine_left.lock().is_some_and(|left| at.duration_since(left).abs() <= ENDED_BY_THE_ENGINE)
    }

    /// Records a refused start. With a status of 500 or more the engine itself failed, which may
    /// pass.
    pub(super) fn note_refused(&self, container: &str, status: u16) {
        let mut refused = self.refused.lock();
        let before = refused.get(container).map_or(0, |refused| refused.times);
        let times = if status < 500 { ENGINE_MAY_FAIL } else { before.saturating_add(1) };
        refused.insert(container.to_owned(), Refused { at: Timestamp::now(), times });
    }

    /// Forgets a container.
    pub(super) fn forget(&self, container: &str) {
        self.codes.lock().remove(container);
        self.looked_up.lock().remove(container);
        self.refused.lock().remove(container);
    }

    /// Returns the end of the last run of a container, if it ended by itself. An end caused by a
    /// restart of the engine does not count.
    pub(super) async fn last_exit(
        &self,
        docker: &Docker,
        container: &ContainerInspectResponse,
        secrets: &[SecretString],
    ) -> Option<Exit> {
        let (id, state) = (container.id.as_deref()?, container.state.as_ref()?);
        let end = self.end(id, container, state)?;
        let known = self.looked_up.lock().get(id).cloned();
        if let Some(known) = known.filter(|known| known.at == end.at) {
            return Some(known);
        }
        let mut log_tail = Vec::new();
        if end.ran {
            log_tail = logs::tail_until(docker, id, end.at + RESTARTED_AFTER, secrets).await;
        }
        if state.oom_killed == Some(true) {
            log_tail.push("the kernel ended it: it used more memory than resources.limits.memory".to_owned());
        }
        log_tail.extend(state.error.clone().filter(|error| !error.is_empty()));
        let (code, signal) = read_code(end.code);
        let exit = Exit { at: end.at, code, signal, log_tail };
        self.looked_up.lock().insert(id.to_owned(), exit.clone());
        Some(exit)
    }

    fn end(&self, id: &str, container: &ContainerInspectResponse, state: &ContainerState) -> Option<End> {
        self.shown_end(id, container, state).filter(|end| !(end.ran && self.is_of_the_engine(end.at)))
    }

    fn shown_end(&self, id: &str, container: &ContainerInspectResponse, state: &ContainerState) -> Option<End> {
        let ended = time(state.finished_at.as_deref());
        let ran = time(state.started_at.as_deref()).is_some();
        let waits = state.restarting == Some(true);
        if state.running == Some(true) && !waits {
            // Restarted by the engine: a manual start resets the count.
            return ended.filter(|_| container.restart_count.unwrap_or(0) > 0).map(|at| {
                let code = self.codes.lock().get(id).copied();
                End { at, code, ran: true }
            });
        }
        match ended.filter(|_| ran) {
            Some(at) => Some(End { at, code: state.exit_code, ran }),
            // Never started, or its start was refused.
            None => {
                let refused = self.refused.lock().get(id).copied();
                let at_fault = state.exit_code.is_some_and(|code| IMAGE_AT_FAULT.contains(&code));
                let at = match refused {
                    Some(Refused { at, times }) => (times >= ENGINE_MAY_FAIL).then_some(at)?,
                    None => created(container).filter(|_| at_fault)?,
                };
                Some(End { at, code: state.exit_code.filter(|code| *code != 0), ran: false })
            }
        }
    }
}

struct End {
    at: Timestamp,
    code: Option<i64>,
    /// It ran, so it may have a log.
    ran: bool,
}

pub(super) fn read_code(code: Option<i64>) -> (Option<i32>, Option<i32>) {
    match code {
        Some(code) if (SIGNALS + 1..SIGNALS + 32).contains(&code) => (None, i32::try_from(code - SIGNALS).ok()),
        Some(code) => (i32::try_from(code).ok(), None),
        None => (None, None),
    }
}

fn created(container: &ContainerInspectResponse) -> Option<Timestamp> {
    time(container.created.as_deref())
}

/// Returns a time of the engine; the year 1 stands for never.
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    let time: Timestamp = text?.parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn container(state: serde_json::Value, restarts: i64) -> ContainerInspectResponse {
        ContainerInspectResponse {
            id: Some("c".into()),
            created: Some("2026-05-01T08:00:00Z".into()),
            state: Some(serde_json::from_value(state).unwrap()),
            restart_count: Some(restarts),
            ..ContainerInspectResponse::default()
        }
    }

    fn end(exits: &Exits, container: &ContainerInspectResponse) -> Option<(String, Option<i64>)> {
        exits.end("c", container, container.state.as_ref().unwrap()).map(|end| (end.at.to_string(), end.code))
    }

    const NEVER: &str = "0001-01-01T00:00:00Z";

    #[test]
    fn end_is_reported_unless_somebody_started_it_again() {
        let exits = Exits::default();
        exits.note_code("c", 3);
        let (start, finish) = ("2026-05-01T09:00:00.5Z", "2026-05-01T10:00:00.5Z");
        let at = |code| Some((finish.to_owned(), code));
        for (state, restarts, expected) in [
            (serde_json::json!({"Running": true, "StartedAt": start, "FinishedAt": NEVER}), 0, None),
            (
                serde_json::json!({"Running": false, "StartedAt": start, "FinishedAt": finish, "ExitCode": 137}),
                0,
                at(Some(137)),
            ),
            (serde_json::json!({"Running": true, "StartedAt": finish, "FinishedAt": finish}), 0, None),
            (serde_json::json!({"Running": true, "StartedAt": finish, "FinishedAt": finish}), 2, at(Some(3))),
            (
                serde_json::json!({"Running": true, "Restarting": true, "StartedAt": start, "FinishedAt": finish, "ExitCode": 1}),
                2,
                at(Some(1)),
            ),
            (serde_json::json!({"Running": false, "StartedAt": NEVER, "FinishedAt": NEVER, "ExitCode": 0}), 0, None),
            (
                serde_json::json!({"Running": false, "StartedAt": NEVER, "FinishedAt": NEVER, "ExitCode": 127, "Error": "no such file"}),
                0,
                Some(("2026-05-01T08:00:00Z".to_owned(), Some(127))),
            ),
        ] {
            assert_eq!(end(&exits, &container(state.clone(), restarts)), expected, "{state}");
        }
    }

    #[test]
    fn end_during_an_engine_restart_does_not_count() {
        let exits = Exits::default();
        let ended = |second: u8| {
            let finish = format!("2026-05-01T10:00:{second:02}Z");
            let state = serde_json::json!({"Running": false, "StartedAt": "2026-05-01T09:00:00Z", "FinishedAt": finish, "ExitCode": 143});
            end(&exits, &container(state, 0)).is_some()
        };
        assert!(ended(30));
        exits.note_engine_left("2026-05-01T10:00:30Z".parse().unwrap());
        for (second, counts) in [(10, true), (20, false), (30, false), (40, false), (50, true)] {
            assert_eq!(ended(second), counts, "{second}");
        }
    }

    #[test]
    fn exit_code_above_128_is_a_signal() {
        assert_eq!(read_code(Some(137)), (None, Some(9)));
        assert_eq!(read_code(Some(1)), (Some(1), None));
        assert_eq!(read_code(Some(255)), (Some(255), None));
    }
}
