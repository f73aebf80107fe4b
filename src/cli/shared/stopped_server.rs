//! The server of one instance, stopped for as long as somebody works on its data. A reconciler that runs leaves it alone meanwhile.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::cli::shared::named_instance::{Known, Named};
use crate::cli::shared::runtime::RuntimeKind;
use crate::cli::verbs::restart::{GRACE, own};
use crate::core::{Action, Platform};
use crate::reconcile::probe;
use crate::runtime::docker::DockerRuntime;
use crate::runtime::process::{Found, Places};
use crate::runtime::{Apply, MaintenanceLock, answers};
use crate::state::State;

/// How often it is looked whether something has come or gone.
const AGAIN: Duration = Duration::from_millis(100);
/// So many looks in a row nothing may run: a reconciler may have been in the middle of a start when the hold was taken.
const QUIET: u32 = 5;

/// An instance whose server is stopped.
pub(in crate::cli) struct Stopped<'a> {
    known: &'a Known,
    hold: MaintenanceLock,
    hands: Hands,
    /// It ran before.
    ran: bool,
    pub(in crate::cli) data: PathBuf,
    pub(in crate::cli) backups: PathBuf,
}

enum Hands {
    /// The server that ran.
    Process(Option<Found>),
    Docker(DockerRuntime),
}

impl<'a> Stopped<'a> {
    /// Stops it for `what`, such as "mai reset".
    pub(in crate::cli) async fn stop(named: &Named, known: &'a Known, what: &str) -> anyhow::Result<Self> {
        let own_places = known.places()?;
        let (hands, data, backups) = match known.runtime {
            RuntimeKind::Process => {
                let Places { data, backups, .. } = own_places.clone();
                (Hands::Process(own(known)?), data, backups)
            }
            RuntimeKind::Docker => {
                let docker = DockerRuntime::open(named.engine(known)).await?;
                let (data, backups) = docker.places(&known.id).await?;
                (Hands::Docker(docker), data, backups)
            }
        };
        let ran = match &hands {
            Hands::Process(server) => server.is_some(),
            Hands::Docker(docker) => docker.runs(&known.id).await?,
        };
        if ran && matches!(hands, Hands::Process(_)) && State::holder(&known.state_dir)?.is_none() {
            let directory = named.place.directory.display();
            anyhow::bail!(
                "nothing would start {} again; run `mai compose {directory}`, or stop it with `mai down {directory}`",
                known.id
            );
        }
        let hold = MaintenanceLock::acquire(&own_places.home, what)
            .with_context(|| format!("{} could not be held", known.id))?;
        let stopped = Self { known, hold, hands, ran, data, backups };
        match stopped.quiet().await {
            Ok(()) => Ok(stopped),
            Err(error) => {
                // What was stopped in vain is started again; the first error is the one to tell.
                let _ = stopped.start_again(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    async fn quiet(&self) -> anyhow::Result<()> {
        let mut quiet = 0;
        while quiet < QUIET {
            if self.stop_what_runs().await? {
                quiet = 0;
            } else {
                quiet += 1;
                tokio::time::sleep(AGAIN).await;
            }
        }
        Ok(())
    }

    async fn stop_what_runs(&self) -> anyhow::Result<bool> {
        match &self.hands {
            Hands::Process(_) => match own(self.known)? {
                Some(server) => server.end_for_restart(&self.known.state_dir, GRACE).await?,
                None => return Ok(false),
            },
            Hands::Docker(docker) => {
                if !docker.runs(&self.known.id).await? {
                    return Ok(false);
                }
                docker.apply(&self.known.id, &Action::Stop("a command works on its data".to_owned()), None).await?;
            }
        }
        Ok(true)
    }

    /// Lets go of it; what ran before runs again, and answers when this returns. Says how long that took, when it ran before.
    pub(in crate::cli) async fn start_again(self, timeout: Duration) -> anyhow::Result<Option<Duration>> {
        let Self { known, hold, hands, ran, .. } = self;
        let started = Instant::now();
        if let (Hands::Docker(docker), true) = (&hands, ran) {
            docker.apply(&known.id, &Action::Resume, None).await?;
        }
        drop(hold);
        if !ran {
            return Ok(None);
        }
        let listen = (Platform::PROCESS.listen)(&known.instance).map_err(|blocked| anyhow::anyhow!(blocked.message))?;
        let probe = probe(&known.instance);
        let back = async {
            while !answers(listen, &probe).await {
                tokio::time::sleep(AGAIN).await;
            }
        };
        let back = tokio::time::timeout(timeout, back).await;
        if let Hands::Process(Some(server)) = &hands {
            server.restarted(&known.state_dir)?;
        }
        back.with_context(|| format!("{} does not answer yet; `mai status` says why", known.id))?;
        Ok(Some(started.elapsed()))
    }
}
