//! An engine for the bench, its images, and the bare calls that the operator is compared with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, NetworkCreateRequest, NetworkingConfig,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, CreateContainerOptionsBuilder, EventsOptions, EventsOptionsBuilder,
    InspectContainerOptions, ListContainersOptions, ListContainersOptionsBuilder, ListVolumesOptions,
    RemoveContainerOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Image of a server that only answers, so that the engine alone takes time.
pub const FIXTURE: &str = "fixture:1";
/// Image of the binary under measurement.
pub const OWN: &str = "mai-own:bench";
/// Concurrent calls: the number with which an engine on two to four cores is fastest.
const WORKERS: usize = 8;
const NETWORK: &str = "mai";

/// First two numbers of the networks of its containers, other than those of the tests.
const NETWORKS: &str = "10.215";

/// A running engine. It ends, with everything on it, when the standard input of its script ends.
pub struct Engine {
    /// Client with the settings of the operator's.
    pub docker: Docker,
    directory: PathBuf,
    script: Child,
    _place: tempfile::TempDir,
}

impl Engine {
    /// Starts an engine and imports the images.
    pub async fn start(binary: &Path) -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let place = tempfile::tempdir()?;
        let directory = place.path().join("engine");
        let mut command = Command::new(root.join("tests/docker/engine"));
        let mut script = command.arg(&directory).arg(NETWORKS).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(script.stdout.take().context("no output")?).lines();
        if output.next_line().await?.as_deref() != Some("ready") {
            bail!("the engine does not start");
        }
        let socket = directory.join("docker.sock");
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), 120, API_DEFAULT_VERSION)?;
        let docker = docker.negotiate_version().await?;
        let engine = Self { docker, directory, script, _place: place };
        engine.import_fixture(&root).await?;
        engine.import_own(&root, binary).await?;
        Ok(engine)
    }

    /// Returns its address in the form of DOCKER_HOST.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Returns the path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("docker.sock")
    }

    async fn import_fixture(&self, root: &Path) -> anyhow::Result<()> {
        let fixture = self.directory.join("fixture");
        let source = root.join("tests/docker/fixture/server.rs");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"]);
        succeed(rustc.arg(&fixture).arg(source)).await?;
        let archive = self.pack(root, &fixture).await?;
        self.import(FIXTURE, &archive).await
    }

    /// Imports the binary and the libraries it was linked with.
    async fn import_own(&self, root: &Path, binary: &Path) -> anyhow::Result<()> {
        let archive = self.pack(root, binary).await?;
        let libraries = Command::new("ldd").arg(binary).output().await?.stdout;
        let libraries = String::from_utf8_lossy(&libraries).into_owned();
        let libraries: Vec<&str> = libraries.split_whitespace().filter(|word| word.starts_with('/')).collect();
        if !libraries.is_empty() {
            let mut tar = Command::new("tar");
            succeed(tar.arg("-C/").args(["--dereference", "-Prf"]).arg(&archive).args(libraries)).await?;
        }
        self.import(OWN, &archive).await
    }

    /// Packs the files of the image, as the Dockerfile does.
    async fn pack(&self, root: &Path, binary: &Path) -> anyhow::Result<PathBuf> {
        let archive = self.directory.join("rootfs.tar");
        let mut rootfs = Command::new(root.join("image/rootfs"));
        succeed(rootfs.arg(binary).stdout(std::fs::File::create(&archive)?)).await?;
        Ok(archive)
    }

    async fn import(&self, image: &str, archive: &Path) -> anyhow::Result<()> {
        let mut docker = Command::new("docker");
        docker.arg("-H").arg(self.host()).args(["import", "--change", "ENTRYPOINT [\"/usr/local/bin/mai\"]"]);
        succeed(docker.args(["--change", "CMD [\"serve\"]"]).arg(archive).arg(image).stdout(Stdio::null())).await
    }

    /// Inspects a container.
    pub async fn inspect(&self, name: &str) -> anyhow::Result<ContainerInspectResponse> {
        Ok(self.docker.inspect_container(name, None::<InspectContainerOptions>).await?)
    }

    /// Returns the body with which an existing container would be created.
    pub async fn body_of(&self, name: &str) -> anyhow::Result<ContainerCreateBody> {
        let container = self.inspect(name).await?;
        let mut body: ContainerCreateBody =
            serde_json::from_value(serde_json::to_value(container.config.context("no configuration")?)?)?;
        body.hostname = None;
        body.host_config = container.host_config;
        let endpoints = HashMap::from([(NETWORK.to_owned(), EndpointSettings::default())]);
        body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
        Ok(body)
    }

    /// Creates networks, volumes and containers and starts them with bare calls.
    pub async fn create_all(&self, bodies: &[(String, ContainerCreateBody)]) -> anyhow::Result<()> {
        // Two of one name would be in everybody's way.
        if self.docker.inspect_network(NETWORK, None).await.is_err() {
            let request = NetworkCreateRequest {
                name: NETWORK.to_owned(),
                driver: Some("bridge".to_owned()),
                options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())])),
                ..NetworkCreateRequest::default()
            };
            self.docker.create_network(request).await?;
        }
        let making = bodies.iter().map(async |(name, body)| {
            for volume in ["data", "backups"] {
                let name = Some(format!("{name}-{volume}"));
                self.docker.create_volume(VolumeCreateRequest { name, ..VolumeCreateRequest::default() }).await?;
            }
            self.create(name, body).await?;
            self.docker.start_container(name, None::<StartContainerOptions>).await?;
            anyhow::Ok(())
        });
        stream::iter(making).buffer_unordered(WORKERS).try_collect().await
    }

    /// Creates a container without starting it.
    pub async fn create(&self, name: &str, body: &ContainerCreateBody) -> anyhow::Result<()> {
        let options: CreateContainerOptions = CreateContainerOptionsBuilder::new().name(name).build();
        self.docker.create_container(Some(options), body.clone()).await?;
        Ok(())
    }

    /// Subscribes to events; the task returns the time at which `times` of them have arrived.
    pub async fn nth_event(&self, events: &[(&str, Vec<&str>)], times: usize) -> JoinHandle<anyhow::Result<Instant>> {
        let filters: HashMap<&str, Vec<&str>> = events.iter().cloned().collect();
        let options: EventsOptions = EventsOptionsBuilder::new().filters(&filters).build();
        let mut events = Box::pin(self.docker.events(Some(options)));
        let counting = tokio::spawn(async move {
            for _ in 0..times {
                events.next().await.context("the engine's events ended")??;
            }
            Ok(Instant::now())
        });
        // Its request has to be there first.
        tokio::time::sleep(Duration::from_millis(300)).await;
        counting
    }

    /// Removes every container, volume and network.
    pub async fn empty(&self) -> anyhow::Result<()> {
        let options: ListContainersOptions = ListContainersOptionsBuilder::new().all(true).build();
        let containers = self.docker.list_containers(Some(options)).await?;
        let removing = containers.into_iter().filter_map(|container| container.id).map(async |id| {
            let options: RemoveContainerOptions = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            self.docker.remove_container(&id, Some(options)).await
        });
        stream::iter(removing).buffer_unordered(WORKERS).try_collect::<()>().await?;
        let volumes = self.docker.list_volumes(None::<ListVolumesOptions>).await?.volumes.unwrap_or_default();
        for volume in volumes {
            self.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await?;
        }
        // A busy engine sometimes refuses, though nobody is in it any more.
        let _ = self.docker.remove_network(NETWORK).await;
        Ok(())
    }

    /// Stops the engine and waits for its end.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.empty().await?;
        drop(self.script.stdin.take());
        self.script.wait().await?;
        Ok(())
    }
}

async fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().await?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
