//! The server of one instance, stopped while a command works on its data. A running reconciler
//! leaves it alone meanwhile.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::cli::shared::named_instance::{GRACE, NamedInstance};
use crate::runtime::{Directories, MaintenanceLock};

/// Interval between checks for a server that was started meanwhile.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Checks in a row that find nothing running: a reconciler may have been in the middle of a start
/// when the lock was taken.
const QUIET_CHECKS: u32 = 5;
/// Longest wait for a backup that began while the server was being started, and the interval between
/// checks.
const BACKUP_PATIENCE: Duration = Duration::from_secs(600);
const BACKUP_INTERVAL: Duration = Duration::from_secs(1);

/// An instance whose server is stopped.
pub(in crate::cli) struct StoppedServer<'a> {
    instance: &'a NamedInstance,
    lock: MaintenanceLock,
    /// It ran before.
    was_running: bool,
    pub(in crate::cli) directories: Directories,
}

impl<'a> StoppedServer<'a> {
    /// Stops the server for a command, such as "mai reset".
    pub(in crate::cli) async fn stop(instance: &'a NamedInstance, command: &str) -> anyhow::Result<Self> {
        let was_running = instance.manual.is_running(&instance.target.id).await?;
        Self::lock_and_stop(instance, command, was_running, Duration::ZERO).await
    }

    /// Stops the server for a command that has started it again before, whether it still runs or
    /// not. Waits for a backup that has begun meanwhile.
    pub(in crate::cli) async fn stop_to_start_again(
        instance: &'a NamedInstance,
        command: &str,
    ) -> anyhow::Result<Self> {
        Self::lock_and_stop(instance, command, true, BACKUP_PATIENCE).await
    }

    async fn lock_and_stop(
        instance: &'a NamedInstance,
        command: &str,
        was_running: bool,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let NamedInstance { target, manual, .. } = instance;
        let directories = manual.directories(target).await?;
        let lock = MaintenanceLock::acquire(&manual.home(&target.id)?, command)
            .with_context(|| format!("{} could not be locked", target.id))?;
        // Once it is locked none is started.
        let (observer, until) = (instance.observer().await?, Instant::now() + patience);
        while let Err(error) = instance.require_no_job(&observer).await {
            if Instant::now() >= until {
                return Err(error);
            }
            tokio::time::sleep(BACKUP_INTERVAL).await;
        }
        let stopped = Self { instance, lock, was_running, directories };
        match stopped.stop_all().await {
            Ok(()) => Ok(stopped),
            Err(error) => {
                // Started again on the way out; the first error is the one to report.
                let _ = stopped.start_again(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    async fn stop_all(&self) -> anyhow::Result<()> {
        let NamedInstance { target, manual, .. } = self.instance;
        let mut quiet = 0;
        while quiet < QUIET_CHECKS {
            if manual.stop(target, GRACE).await? {
                quiet = 0;
            } else {
                quiet += 1;
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Unlocks the instance. A server that ran before is started again; returns the time until it
    /// was ready.
    pub(in crate::cli) async fn start_again(self, timeout: Duration) -> anyhow::Result<Option<Duration>> {
        let Self { instance, lock, was_running, .. } = self;
        if !was_running {
            return Ok(None);
        }
        let started = Instant::now();
        instance.manual.resume(instance.id(), lock).await?;
        tokio::time::timeout(timeout, instance.wait_until_ready())
            .await
            .with_context(|| format!("{} does not answer yet; `mai status` shows why", instance.id()))??;
        Ok(Some(started.elapsed()))
    }
}
