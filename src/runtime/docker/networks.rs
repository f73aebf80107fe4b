//! Networks: the one that all instances share, and existing ones that documents name.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::Docker;
use bollard::models::{
    ContainerInspectResponse, EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::{ListNetworksOptions, ListNetworksOptionsBuilder};
use tokio::sync::Mutex;

use super::error::{EngineError, classify, failed, is_missing, message};
use super::names::{Names, SHARED_NETWORK};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// Option of a network by which its containers reach each other.
const ISOLATION: &str = "com.docker.network.bridge.enable_icc";
/// Label of the shared network that we created.
const OURS: &str = "mai.dev/shared";

/// The networks of instances.
#[derive(Debug, Default)]
pub(super) struct Networks {
    /// Engines allow two concurrent creations of one name.
    turn: Mutex<()>,
    /// The shared one exists, as far as events since its creation say.
    shared_exists: AtomicBool,
}

impl Networks {
    /// Notes that networks were created or removed.
    pub(super) fn forget(&self) {
        self.shared_exists.store(false, Ordering::Release);
    }

    /// Creates the shared network if it is missing. Returns an error if another one is missing.
    pub(super) async fn ensure(
        &self,
        docker: &Docker,
        id: &InstanceId,
        names: &BTreeSet<String>,
    ) -> Result<(), RuntimeError> {
        for name in names {
            if name == SHARED_NETWORK {
                let keeps_apart =
                    self.ensure_shared(docker).await.map_err(failed("creation of the network mai", id))?;
                if !keeps_apart {
                    return Err(RuntimeError::Unsupported(format!(
                        "the network {SHARED_NETWORK} was made by somebody else, and lets the servers of clients reach each other; remove it \
                         (docker network rm {SHARED_NETWORK}) and mai creates its own, or create it with -o {ISOLATION}=false"
                    )));
                }
                continue;
            }
            match docker.inspect_network(name, None).await {
                Ok(_) => {}
                Err(error) if is_missing(&error) => {
                    return Err(RuntimeError::Unsupported(format!(
                        "network {name} of {id} does not exist; create it (docker network create {name}) or remove it from expose.networks"
                    )));
                }
                Err(error) => return Err(failed("look-up of a network", id)(error)),
            }
        }
        Ok(())
    }

    /// Returns whether the shared network, which exists now, keeps its containers apart.
    async fn ensure_shared(&self, docker: &Docker) -> Result<bool, bollard::errors::Error> {
        let _turn = self.turn.lock().await;
        // Before the creation, so that an event meanwhile is not lost.
        if self.shared_exists.swap(true, Ordering::AcqRel) {
            return Ok(true);
        }
        let outcome = make_shared(docker).await;
        if !matches!(outcome, Ok(true)) {
            self.forget();
        }
        outcome
    }

    /// Connects a container to exactly these networks, once more to those of `again`, and returns
    /// whether that was a change. New ones come first, so that it is never without any.
    pub(super) async fn join(
        &self,
        docker: &Docker,
        id: &InstanceId,
        container: &ContainerInspectResponse,
        names: &BTreeSet<String>,
        again: &BTreeSet<String>,
    ) -> Result<bool, RuntimeError> {
        let own = Names::new(id)?;
        let there: BTreeSet<String> = endpoints(container).into_keys().collect();
        let target = container.id.as_deref().unwrap_or_default();
        let missing: BTreeSet<String> = names.difference(&there).cloned().collect();
        self.ensure(docker, id, &missing).await?;
        for name in &missing {
            connect(docker, name, target, &own).await.map_err(failed("joining of a network", id))?;
        }
        for name in there.difference(names) {
            disconnect(docker, name, target).await.map_err(failed("leaving of a network", id))?;
        }
        for name in there.intersection(names).filter(|name| again.contains(*name)) {
            disconnect(docker, name, target).await.map_err(failed("leaving of a network", id))?;
            connect(docker, name, target, &own).await.map_err(failed("joining of a network", id))?;
        }
        Ok(there != *names || !again.is_empty())
    }

    /// Connects a stopped container to its networks again. It refers to them by id, and one of them
    /// was removed and created again.
    pub(super) async fn rejoin(
        &self,
        docker: &Docker,
        id: &InstanceId,
        container: &ContainerInspectResponse,
    ) -> Result<(), RuntimeError> {
        let target = container.id.as_deref().unwrap_or_default();
        let own = Names::new(id)?;
        let names: BTreeSet<String> = endpoints(container).into_keys().collect();
        // One of them was missing at the start of the container.
        self.forget();
        self.ensure(docker, id, &names).await?;
        for name in &names {
            if let Err(error) = disconnect(docker, name, target).await {
                tracing::debug!(instance = %id, network = %name, "could not be disconnected before it is connected again: {}", message(&error));
            }
            connect(docker, name, target, &own).await.map_err(failed("joining of a network", id))?;
        }
        Ok(())
    }
}

/// Makes the shared network if it is missing. Returns whether it keeps its containers apart.
async fn make_shared(docker: &Docker) -> Result<bool, bollard::errors::Error> {
    let mut found = shared(docker).await?;
    if found.is_empty() {
        let request = NetworkCreateRequest {
            name: SHARED_NETWORK.to_owned(),
            driver: Some("bridge".to_owned()),
            // Servers of clients must not reach each other; proxies reach them by another network
            // or the host.
            options: Some(HashMap::from([(ISOLATION.to_owned(), "false".to_owned())])),
            labels: Some(HashMap::from([(OURS.to_owned(), "true".to_owned())])),
            ..NetworkCreateRequest::default()
        };
        match docker.create_network(request).await {
            // A concurrent process created it.
            Err(error) if classify(&error) == EngineError::Conflict => {}
            outcome => drop(outcome?),
        }
        found = shared(docker).await?;
    }
    // Engines before 25 allow two concurrent creations, and then find neither by name: the older
    // one stays.
    for surplus in found.iter().skip(1).filter(|network| network.ours) {
        if let Err(error) = docker.remove_network(&surplus.id).await {
            tracing::warn!(
                "a second network {SHARED_NETWORK} ({}) could not be removed: {}",
                surplus.id,
                message(&error)
            );
        }
    }
    Ok(found.first().is_some_and(|network| network.ours || network.keeps_apart))
}

struct Shared {
    id: String,
    ours: bool,
    keeps_apart: bool,
}

/// Returns every network of the shared name, oldest first.
async fn shared(docker: &Docker) -> Result<Vec<Shared>, bollard::errors::Error> {
    let filters = HashMap::from([("name", vec![SHARED_NETWORK])]);
    let options: ListNetworksOptions = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let mut found = docker.list_networks(Some(options)).await?;
    // The filter matches substrings.
    found.retain(|network| network.name.as_deref() == Some(SHARED_NETWORK));
    found.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    let ours = |labels: Option<HashMap<String, String>>| labels.is_some_and(|labels| labels.contains_key(OURS));
    Ok(found
        .into_iter()
        .map(|network| Shared {
            id: network.id.unwrap_or_default(),
            ours: ours(network.labels),
            keeps_apart: network.options.is_some_and(|options| options.get(ISOLATION).is_some_and(|on| on == "false")),
        })
        .collect())
}

/// Returns the networks of a container.
pub(super) fn endpoints(container: &ContainerInspectResponse) -> HashMap<String, EndpointSettings> {
    container.network_settings.as_ref().and_then(|settings| settings.networks.clone()).unwrap_or_default()
}

/// Returns the settings of a container in a network: one alias, which stays the same during a
/// replacement. Engines refuse aliases in their default network.
pub(super) fn endpoint(network: &str, names: &Names) -> EndpointSettings {
    let aliases = (network != "bridge").then(|| vec![names.active.clone()]);
    EndpointSettings { aliases, ..EndpointSettings::default() }
}

async fn connect(docker: &Docker, network: &str, container: &str, names: &Names) -> Result<(), bollard::errors::Error> {
    let request =
        NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint(network, names)) };
    match docker.connect_network(network, request).await {
        Err(error) if classify(&error) == EngineError::AlreadyConnected => Ok(()),
        outcome => outcome,
    }
}

async fn disconnect(docker: &Docker, network: &str, container: &str) -> Result<(), bollard::errors::Error> {
    let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
    docker.disconnect_network(network, request).await
}
