//! Follows the engine's events and reports the instances they concern, across restarts of the
//! engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{EventsOptions, EventsOptionsBuilder};
use futures::StreamExt;
use jiff::Timestamp;

use super::engine::Engine;
use super::error::message;
use super::labels::read_owner;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Seconds before the last event from which events are requested again. Some may have been missed,
/// and a second delivery is harmless.
const OVERLAP: i64 = 5;

/// Events that may make an instance differ from its document. Others, such as those of health
/// checks, are not requested. Podman sends the end of a container as `die`, and only if `died` was
/// requested.
const KINDS: [&str; 15] = [
    "create",
    "start",
    "die",
    "died",
    "stop",
    "kill",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "destroy",
    "connect",
    "disconnect",
    "remove",
];

/// Follows the events until it is dropped.
pub(super) async fn follow(engine: Arc<Engine>) {
    let mut since = Timestamp::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let filters = HashMap::from([("type", vec!["container", "network"]), ("event", KINDS.to_vec())]);
        let from = since.as_second().saturating_sub(OVERLAP).to_string();
        let options: EventsOptions = EventsOptionsBuilder::new().since(&from).filters(&filters).build();
        let mut events = Box::pin(engine.docker.events(Some(options)));
        // Events since the last connection may be lost.
        engine.report_all_changed();
        let ended = loop {
            match events.next().await {
                Some(Ok(event)) => {
                    pause = FIRST_PAUSE;
                    if let Some(time) = event.time.and_then(|time| Timestamp::from_second(time).ok()) {
                        since = since.max(time);
                    }
                    handle(&engine, &event);
                }
                Some(Err(error)) => break message(&error),
                None => break "the stream ended".to_owned(),
            }
        };
        engine.note_engine_left();
        tracing::warn!("the engine's events are not followed for {pause:?}: {ended}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn handle(engine: &Engine, event: &EventMessage) {
    let Some(actor) = &event.actor else { return };
    let none = HashMap::new();
    let attributes = actor.attributes.as_ref().unwrap_or(&none);
    let action = event.action.as_deref().unwrap_or_default();
    let owner = match read_owner(attributes) {
        Some(owner) => Some(owner),
        // Events of networks name the container by its id.
        None => attributes.get("container").and_then(|container| engine.owner_of(container)),
    };
    engine.cache.forget();
    if event.typ == Some(EventMessageTypeEnum::NETWORK) && matches!(action, "create" | "destroy" | "remove") {
        engine.networks.forget();
    }
    let Some(owner) = owner else { return };
    if let Some(container) = &actor.id
        && action == "die"
        && let Some(code) = attributes.get("exitCode").and_then(|code| code.parse().ok())
    {
        engine.exits.note_code(container, code);
    }
    engine.report_change(&owner.uid);
}
