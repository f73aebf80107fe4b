//! A directory of documents, one for each instance, and `mai compose` on it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::process::{Program, get, mai};

/// First port: below the ephemeral range, so that no client's port is in the way.
const FIRST_PORT: u16 = 20_000;

/// The directory, removed when it is dropped.
pub struct Documents {
    /// Address of each instance.
    pub addresses: Vec<SocketAddr>,
    documents: PathBuf,
    state: PathBuf,
    image: &'static str,
    _root: tempfile::TempDir,
}

impl Documents {
    /// Writes `instances` documents that declare an image.
    pub fn new(instances: usize, image: &'static str) -> anyhow::Result<Self> {
        let root = tempfile::tempdir()?;
        let documents = root.path().join("clients");
        std::fs::create_dir(&documents)?;
        let free = (FIRST_PORT..32_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let addresses = free.filter(|address| TcpListener::bind(address).is_ok()).take(instances).collect();
        let place = Self { addresses, documents, state: root.path().join("state"), image, _root: root };
        for index in 0..instances {
            place.write(index, "")?;
        }
        Ok(place)
    }

    /// Writes a document, with more lines below `spec:`.
    pub fn write(&self, index: usize, more: &str) -> anyhow::Result<()> {
        let text = format!(
            "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: client-{index}}}\nspec:\n  image: {}\n  imagePullPolicy: Never\n  openRouter: {{mock: true}}\n  expose: {{port: {}}}\n{}",
            self.image,
            self.addresses.get(index).context("no such instance")?.port(),
            if more.contains("displayName") { more.to_owned() } else { format!("  displayName: Client\n{more}") }
        );
        let path = self.documents.join(format!("client-{index}.yaml"));
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, text)?;
        Ok(std::fs::rename(temporary, path)?)
    }

    /// Starts `mai compose` without waiting for it.
    pub fn compose(&self, binary: &Path, engine: &str, resync: &str) -> anyhow::Result<Program> {
        let mut command = mai(binary, &["compose", "--runtime", "docker", "--docker-host", engine]);
        command.arg(&self.documents).arg("--state-dir").arg(&self.state).args(["--resync", resync]);
        Program::launch(command, self.addresses[0])
    }

    /// Waits until every instance has answered.
    pub async fn all_ready(&self) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(900);
        for address in &self.addresses {
            while !answers(*address).await {
                if Instant::now() > until {
                    bail!("{address} is not ready after a quarter of an hour");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

/// Returns the name of an instance's container.
pub fn container(index: usize) -> String {
    format!("mai-client-{index}")
}

/// Returns true when a server is ready.
pub async fn answers(address: SocketAddr) -> bool {
    let asked = tokio::time::timeout(Duration::from_millis(200), get(address, "/ready")).await;
    matches!(asked, Ok(Ok(200)))
}
