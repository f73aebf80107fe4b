//! Reads containers.
//!
//! While Podman cleans up after a container, most versions show it in a state that the Docker API
//! does not have, and one such container makes the whole list unreadable.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions, ListContainersOptionsBuilder};

/// Requests after an unreadable answer; two seconds in all.
const RETRIES: u32 = 20;
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Returns every container of the engine.
pub(super) async fn list_containers(docker: &Docker) -> Result<Vec<ContainerSummary>, Error> {
    let options: ListContainersOptions = ListContainersOptionsBuilder::new().all(true).build();
    retry_unreadable(|| docker.list_containers(Some(options.clone()))).await
}

/// Returns one container, by its name or id.
pub(super) async fn inspect_container(docker: &Docker, name: &str) -> Result<ContainerInspectResponse, Error> {
    retry_unreadable(|| docker.inspect_container(name, None::<InspectContainerOptions>)).await
}

async fn retry_unreadable<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    for _ in 0..RETRIES {
        match ask().await {
            Err(Error::JsonDataError { .. }) => tokio::time::sleep(RETRY_INTERVAL).await,
            outcome => return outcome,
        }
    }
    ask().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use bollard::models::ContainerSummaryStateEnum;

    use super::*;

    /// Returns a state as the client library reads it.
    fn state(text: &str) -> Result<ContainerSummaryStateEnum, Error> {
        serde_json::from_str(text)
            .map_err(|error| Error::JsonDataError { message: error.to_string(), column: error.column() })
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_state_is_retried() {
        let asked = Cell::new(0);
        let ask = |answer: &dyn Fn(u32) -> Result<ContainerSummaryStateEnum, Error>| {
            asked.set(asked.get() + 1);
            std::future::ready(answer(asked.get()))
        };
        let passes = |asked| state(if asked < 4 { r#""stopped""# } else { r#""exited""# });
        assert_eq!(retry_unreadable(|| ask(&passes)).await.unwrap(), ContainerSummaryStateEnum::EXITED);
        let error = retry_unreadable(|| ask(&|_| state(r#""stopped""#))).await.unwrap_err();
        assert!(error.to_string().contains("stopped"), "{error}");
        asked.set(0);
        let refuses = |_| Err(Error::DockerResponseServerError { status_code: 500, message: String::new() });
        assert!(retry_unreadable(|| ask(&refuses)).await.is_err());
        assert_eq!(asked.get(), 1, "what was understood is not asked again");
    }
}
