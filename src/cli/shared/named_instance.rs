//! The instance that a verb names.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use kube::ResourceExt;

use crate::api::{DOCUMENT_FILE, MaiInstance};
use crate::cli::shared::runtime::RuntimeChoice;
use crate::cli::shared::state_dir::Place;
use crate::core::{InstanceId, JobState, ObservedJob, Platform, is_named};
use crate::reconcile::probe;
use crate::runtime::{BoxedObserver, Manual, Observe, Target, answers};
use crate::state::State;

/// Time a server gets to end its streams, as when the reconciler stops it.
pub(in crate::cli) const GRACE: Duration = Duration::from_secs(15);
/// Interval between probes of a server that starts again.
const PROBE_INTERVAL: Duration = Duration::from_millis(25);

/// Arguments that name one instance of a directory.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct InstanceArgs {
    #[command(flatten)]
    pub(in crate::cli) place: Place,

    /// The instance
    pub(in crate::cli) name: String,

    #[command(flatten)]
    choice: RuntimeChoice,
}

/// An instance in the state of a directory.
pub(in crate::cli) struct NamedInstance {
    pub(in crate::cli) target: Target,
    /// The last good document.
    pub(in crate::cli) document: MaiInstance,
    /// Commands on the platform that runs it.
    pub(in crate::cli) manual: Box<dyn Manual>,
    choice: RuntimeChoice,
    state_dir: PathBuf,
}

impl InstanceArgs {
    /// Returns the instance. Its name may be written as NAMESPACE/NAME, where two namespaces have
    /// one.
    pub(in crate::cli) async fn find(&self) -> anyhow::Result<NamedInstance> {
        let name = &self.name;
        let state_dir = self.place.state_dir()?;
        let state = State::open_read_only(&state_dir).await?;
        let documents = state.documents().await?;
        state.close().await;
        let mut found = documents
            .into_iter()
            .filter(|document| document.released_at.is_none())
            .filter(|document| is_named(name, &document.namespace, &document.name));
        let directory = self.place.directory.display();
        let document = found.next().with_context(|| {
            format!("there is no instance {name} in {directory}; `mai status {directory}` lists them")
        })?;
        if let Some(other) = found.next() {
            anyhow::bail!(
                "{name} is the name of two instances; write {}/{name} or {}/{name}",
                document.namespace,
                other.namespace
            );
        }
        let id = InstanceId { namespace: document.namespace, name: document.name, uid: document.uid };
        let file = document.file;
        let mut document: MaiInstance = serde_json::from_value(document.document)
            .with_context(|| format!("the document of {id} is not understood by this version of mai"))?;
        document.metadata.name = Some(id.name.clone());
        document.metadata.namespace = Some(id.namespace.clone());
        // Which Secrets it may read goes by its folder.
        document.annotations_mut().extend(file.map(|file| (DOCUMENT_FILE.to_owned(), file)));
        let storage = &document.spec.storage;
        let target = Target {
            id,
            listen: (Platform::PROCESS.listen)(&document).ok(),
            data_path: storage.data.host_path.as_ref().map(PathBuf::from),
            backups_path: storage.backups.host_path.as_ref().map(PathBuf::from),
            is_reconciled: State::holder(&state_dir)?.is_some(),
        };
        let manual = self.choice.manual(&state_dir);
        Ok(NamedInstance { target, document, manual, choice: self.choice.clone(), state_dir })
    }
}

impl NamedInstance {
    /// Returns the id of the instance.
    pub(in crate::cli) fn id(&self) -> &InstanceId {
        &self.target.id
    }

    /// Opens its platform for reading alone.
    pub(in crate::cli) async fn observer(&self) -> anyhow::Result<BoxedObserver> {
        self.choice.observer(&self.state_dir).await
    }

    /// Fails while a reconciler restores its data, of which the steps between two jobs are a part.
    pub(in crate::cli) async fn require_no_restore(&self) -> anyhow::Result<()> {
        let state = State::open_read_only(&self.state_dir).await?;
        let status = state.status(&self.id().uid).await?;
        state.close().await;
        match status.and_then(|status| status.restore).filter(|restore| !restore.step.is_end()) {
            Some(restore) => anyhow::bail!(
                "restore {} of {} is in progress ({}); ask again when it has ended",
                restore.id,
                self.id(),
                restore.step.sentence()
            ),
            None => Ok(()),
        }
    }

    /// Fails while a reconciler restores its data, or a job works on it.
    pub(in crate::cli) async fn require_no_job(&self, observer: &BoxedObserver) -> anyhow::Result<()> {
        self.require_no_restore().await?;
        match observer.observe(self.id(), None).await?.jobs.current {
            Some(ObservedJob { name, state: JobState::Running { .. } }) => {
                anyhow::bail!("a backup or drill of {} is being made ({name}); ask again when it has ended", self.id())
            }
            _ => Ok(()),
        }
    }

    /// Returns once the server answers its probe.
    pub(in crate::cli) async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let listen = self.target.listen.with_context(|| format!("the document of {} declares no port", self.id()))?;
        let probe = probe(&self.document);
        while !answers(listen, &probe).await {
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
        Ok(())
    }
}
