//! What is read of containers.
//!
//! Most versions of Podman tell, for the moment until they have cleaned up behind a container, states that the Docker API does not know, and
//! one such container makes the whole list unreadable.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions, ListContainersOptionsBuilder};

/// How often what cannot be read is asked for once more, and how soon: two seconds in all.
const AGAIN: u32 = 20;
const SOON: Duration = Duration::from_millis(100);

/// Every container there is.
pub(super) async fn list_containers(docker: &Docker) -> Result<Vec<ContainerSummary>, Error> {
    let options: ListContainersOptions = ListContainersOptionsBuilder::new().all(true).build();
    readable(|| docker.list_containers(Some(options.clone()))).await
}

/// One container, by its name or id.
pub(super) async fn inspect_container(docker: &Docker, name: &str) -> Result<ContainerInspectResponse, Error> {
    readable(|| docker.inspect_container(name, None::<InspectContainerOptions>)).await
}

async fn readable<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    for _ in 0..AGAIN {
        match ask().await {
            Err(Error::JsonDataError { .. }) => tokio::time::sleep(SOON).await,
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

    /// As the client library reads it.
    fn state(text: &str) -> Result<ContainerSummaryStateEnum, Error> {
        serde_json::from_str(text)
            .map_err(|error| Error::JsonDataError { message: error.to_string(), column: error.column() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_is_none_of_docker_s_is_waited_out() {
        let asked = Cell::new(0);
        let ask = |answer: &dyn Fn(u32) -> Result<ContainerSummaryStateEnum, Error>| {
            asked.set(asked.get() + 1);
            std::future::ready(answer(asked.get()))
        };
        let passes = |asked| state(if asked < 4 { r#""stopped""# } else { r#""exited""# });
        assert_eq!(readable(|| ask(&passes)).await.unwrap(), ContainerSummaryStateEnum::EXITED);
        let error = readable(|| ask(&|_| state(r#""stopped""#))).await.unwrap_err();
        assert!(error.to_string().contains("stopped"), "{error}");
        asked.set(0);
        let refuses = |_| Err(Error::DockerResponseServerError { status_code: 500, message: String::new() });
        assert!(readable(|| ask(&refuses)).await.is_err());
        assert_eq!(asked.get(), 1, "what was understood is not asked again");
    }
}
