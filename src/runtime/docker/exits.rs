//! How runs of containers ended, looked up once for each.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerState};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use secrecy::SecretString;

use super::logs;
use crate::core::Exit;

/// Codes from here on name the signal that ended a process, by a convention of shells that engines keep.
const SIGNALS: i64 = 128;

/// Codes by which the engine says that it is the image that cannot be started.
const IMAGE_AT_FAULT: [i64; 2] = [126, 127];
/// So often an engine may fail to start a container before that is held against the container.
const ENGINE_MAY_FAIL: u32 = 3;
/// The least that engines wait before they start a container again by themselves. They may be this much later in reading its last words
/// than in seeing its end, so what was written until then is of the run that ended.
const RESTARTED_AFTER: SignedDuration = SignedDuration::from_millis(100);

/// An engine that is stopped ends its containers so long before it is gone, and one that was killed ends those it finds so soon after it
/// is back.
const ENDED_BY_THE_ENGINE: SignedDuration = SignedDuration::from_secs(15);

#[derive(Clone, Copy, Debug)]
struct Refused {
    at: Timestamp,
    times: u32,
}

/// Ends that were looked up, and what events told of others.
#[derive(Debug, Default)]
pub(super) struct Exits {
    /// By container: the last end.
    looked_up: Mutex<HashMap<String, Exit>>,
    /// By container: exit code of the last end. The engine forgets it when it starts the container again.
    codes: Mutex<HashMap<String, i64>>,
    /// By container: starts of it that were refused. It has never run, so the engine has no time for them.
    refused: Mutex<HashMap<String, Refused>>,
    /// When the engine went away last.
    engine_left: Mutex<Option<Timestamp>>,
}

impl Exits {
    pub(super) fn note_code(&self, container: &str, code: i64) {
        self.codes.lock().insert(container.to_owned(), code);
    }

    /// The engine went away; it may be on its way down.
    pub(super) fn note_engine_left(&self, at: Timestamp) {
        *self.engine_left.lock() = Some(at);
    }

    fn is_of_the_engine(&self, at: Timestamp) -> bool {
        self.engine_left.lock().is_some_and(|left| at.duration_since(left).abs() <= ENDED_BY_THE_ENGINE)
    }

    /// A start was refused. An engine in trouble of its own says so with a status of 500 and more, and may be over it next time.
    pub(super) fn note_refused(&self, container: &str, status: u16) {
        let mut refused = self.refused.lock();
        let before = refused.get(container).map_or(0, |refused| refused.times);
        let times = if status < 500 { ENGINE_MAY_FAIL } else { before.saturating_add(1) };
        refused.insert(container.to_owned(), Refused { at: Timestamp::now(), times });
    }

    pub(super) fn forget(&self, container: &str) {
        self.codes.lock().remove(container);
        self.looked_up.lock().remove(container);
        self.refused.lock().remove(container);
    }

    /// How the last run of a container ended, when one has. What the engine ended because it was restarted itself counts for nothing.
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
            // The engine itself has started it again; when somebody does, this count begins anew.
            return ended.filter(|_| container.restart_count.unwrap_or(0) > 0).map(|at| {
                let code = self.codes.lock().get(id).copied();
                End { at, code, ran: true }
            });
        }
        match ended.filter(|_| ran) {
            Some(at) => Some(End { at, code: state.exit_code, ran }),
            // It was never started, or a start of it was refused.
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
    /// Whether it has run at all, and so may have written something.
    ran: bool,
}

fn read_code(code: Option<i64>) -> (Option<i32>, Option<i32>) {
    match code {
        Some(code) if (SIGNALS + 1..SIGNALS + 32).contains(&code) => (None, i32::try_from(code - SIGNALS).ok()),
        Some(code) => (i32::try_from(code).ok(), None),
        None => (None, None),
    }
}

fn created(container: &ContainerInspectResponse) -> Option<Timestamp> {
    time(container.created.as_deref())
}

/// A time of the engine; the year 1 stands for never.
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
    fn an_end_is_told_for_what_ended_by_itself_and_not_for_what_was_started_anew() {
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
    fn what_ends_while_the_engine_itself_is_restarted_is_no_end_of_its_own() {
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
    fn codes_above_128_are_signals() {
        assert_eq!(read_code(Some(137)), (None, Some(9)));
        assert_eq!(read_code(Some(1)), (Some(1), None));
        assert_eq!(read_code(Some(255)), (Some(255), None));
    }
}
