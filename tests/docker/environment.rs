//! One instance on the tests' engine: its documents, its container and its HTTP address.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, ListContainersOptionsBuilder, RemoveContainerOptions,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use serde_json::Value;

use super::engine;

use crate::fixtures::compose::{Compose, Workspace, http, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

/// Id and time of start of a running container, which differ after a restart or a replacement.
pub type Run = (String, String);

pub struct Environment {
    pub workspace: Workspace,
    pub name: String,
    pub port: u16,
}

impl Environment {
    /// Takes a name that no other test uses, because the tests share an engine.
    pub fn new(name: &str) -> Self {
        assert!(names().insert(name.to_owned()), "another test has a client called {name}");
        Self { workspace: Workspace::new(), name: name.to_owned(), port: free_port() }
    }

    /// Returns the document, with further lines below `spec:`. Unless they say otherwise, another
    /// image is neither backed up nor waited for: the fixture has no program that makes backups.
    pub fn document(&self, image: &str, more: &str) -> String {
        let upgrade = "  upgrade: {backupFirst: false, settle: 0s}\n";
        let upgrade = if more.contains("upgrade:") { "" } else { upgrade };
        format!(
            "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata:\n  name: {}\nspec:\n  displayName: {}\n  image: {image}\n  imagePullPolicy: Never\n  openRouter: {{apiKeySecretRef: {{name: upstream, key: key}}}}\n  expose: {{port: {}}}\n{upgrade}{more}",
            self.name, self.name, self.port
        )
    }

    pub fn declare(&self, image: &str, more: &str) {
        if !self.workspace.documents.join("secrets").exists() {
            self.workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
        }
        self.workspace.write("instance.yaml", &self.document(image, more));
    }

    /// Starts a reconciler that looks at everything twice a second.
    pub fn compose(&self) -> Compose {
        self.compose_on(&engine::host())
    }

    /// Starts a reconciler whose engine is at `host`.
    pub fn compose_on(&self, host: &str) -> Compose {
        self.compose_with(host, &["--resync", "500ms"])
    }

    /// Starts a reconciler that looks at what events name, and at nothing else.
    pub fn compose_by_events(&self) -> Compose {
        self.compose_with(&engine::host(), &["--resync", "1h"])
    }

    pub fn compose_with(&self, host: &str, more: &[&str]) -> Compose {
        let compose = self.workspace.compose(&[&["--runtime", "docker", "--docker-host", host], more].concat());
        compose.wait_for_line(&["mai keeps"]);
        compose
    }

    /// Runs `mai VERB DIRECTORY NAME …` on the tests' engine; returns its exit code, standard
    /// output and standard error.
    pub fn mai(&self, verb: &str, arguments: &[&str]) -> (i32, String, String) {
        let host = engine::host();
        let mut all = vec![self.name.as_str(), "--docker-host", &host];
        all.extend(arguments);
        self.workspace.mai(verb, &all)
    }

    /// Returns the path of a volume of the instance on this machine.
    pub fn volume(&self, name: &str) -> PathBuf {
        let volume = format!("{}-{name}", self.container());
        engine::with_docker(async |docker| docker.inspect_volume(&volume).await.unwrap().mountpoint).into()
    }

    /// Declares `fixture:1`, starts the reconciler and waits until the instance answers and is
    /// reported as ready.
    pub fn up(&self, more: &str) -> Compose {
        self.declare("fixture:1", more);
        let compose = self.compose();
        self.wait_up();
        compose
    }

    /// Waits until the instance answers and is reported as ready.
    pub fn wait_up(&self) {
        self.wait_for("Ready");
        wait_ready(self.port);
    }

    pub fn wait_for(&self, reason: &str) -> String {
        self.workspace.wait_for_reason(&self.name, "Ready", reason)
    }

    pub fn container(&self) -> String {
        format!("mai-{}", self.name)
    }

    /// Returns the containers of the instance.
    pub fn containers(&self) -> Vec<ContainerSummary> {
        let mine = |container: &ContainerSummary| {
            container.labels.as_ref().is_some_and(|labels| labels.get("mai.dev/instance") == Some(&self.name))
        };
        list().into_iter().filter(mine).collect()
    }

    pub fn inspect(&self) -> Option<ContainerInspectResponse> {
        inspect(&self.container())
    }

    /// Returns the run of its container; none while that is stopped or replaced.
    pub fn run(&self) -> Option<Run> {
        run_of(&self.inspect()?)
    }

    /// Waits for a run other than `before` that answers.
    pub fn wait_for_another(&self, before: &Run) -> Run {
        let run = wait_until(|| format!("another run of {}", self.name), || self.run().filter(|run| run != before));
        wait_ready(self.port);
        run
    }

    pub fn get(&self, path: &str) -> String {
        wait_until(
            || format!("an answer to {path}"),
            || http("GET", self.port, path, "", "").ok().filter(|(status, _)| *status == 200).map(|(_, body)| body),
        )
    }

    /// Returns how many servers were started on the data, from the data itself.
    pub fn starts(&self) -> usize {
        self.get("/starts").lines().count()
    }

    /// Checks during several passes of [`Self::compose`] that the container is not restarted.
    pub fn assert_unchanged(&self, run: &Run) {
        let until = Instant::now() + Duration::from_millis(1_500);
        while Instant::now() < until {
            assert_eq!(self.run().as_ref(), Some(run), "{} was restarted", self.name);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let containers: Vec<String> = self.containers().into_iter().filter_map(|container| container.id).collect();
        let volumes = [format!("{}-data", self.container()), format!("{}-backups", self.container())];
        engine::with_docker(async |docker| {
            for container in containers {
                remove(&docker, &container).await;
            }
            for volume in volumes {
                let _ = docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
            }
        });
        names().remove(&self.name);
    }
}

/// Returns the names of the clients that exist at the moment.
fn names() -> MutexGuard<'static, BTreeSet<String>> {
    static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub async fn remove(docker: &Docker, container: &str) {
    let options: RemoveContainerOptions = RemoveContainerOptionsBuilder::new().force(true).build();
    let _ = docker.remove_container(container, Some(options)).await;
}

pub fn list() -> Vec<ContainerSummary> {
    engine::with_docker(async |docker| {
        let options: ListContainersOptions = ListContainersOptionsBuilder::new().all(true).build();
        // Podman reports transient states that the client library does not know.
        loop {
            match docker.list_containers(Some(options.clone())).await {
                Err(Error::JsonDataError { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
                outcome => return outcome.unwrap(),
            }
        }
    })
}

pub fn inspect(container: &str) -> Option<ContainerInspectResponse> {
    engine::with_docker(async |docker| docker.inspect_container(container, None::<InspectContainerOptions>).await.ok())
}

/// Returns the run of a container; none unless it runs.
pub fn run_of(container: &ContainerInspectResponse) -> Option<Run> {
    let state = container.state.as_ref().filter(|state| state.running == Some(true))?;
    Some((container.id.clone()?, state.started_at.clone()?))
}

/// Returns the container as JSON, to read single fields.
pub fn json(container: &ContainerInspectResponse) -> Value {
    serde_json::to_value(container).unwrap()
}
