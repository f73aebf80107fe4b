//! Options of the backup of a server, and what they make.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use mai_backup::encryption::Recipients;

use super::terminal::PrintableOutput;
use crate::recovery::{Address, Location, Notice, ServerBackup, ServerBackupRecord};
use crate::state::State;

const S3_OPTION: &str = "--recovery-s3";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServerBackupArgs {
    /// Where the documents, the secrets and the state of this server are backed up, for `mai
    /// recover`; best where the backups of its clients go
    #[arg(long, env = "MAI_RECOVERY_TO", value_name = "s3://BUCKET/PREFIX|DIR")]
    recovery_to: Option<Address>,

    /// Public key of age (age1…) that this backup is encrypted to; may be repeated. Without one it
    /// holds no secret
    #[arg(
        long = "recovery-recipient",
        env = "MAI_RECOVERY_RECIPIENTS",
        value_delimiter = ',',
        value_name = "KEY",
        requires = "recovery_to"
    )]
    recovery_recipients: Vec<String>,

    /// File of mode 0600 with accessKeyId, secretAccessKey and, unless it is AWS, endpoint of the
    /// bucket
    #[arg(long, env = "MAI_RECOVERY_S3", value_name = "FILE", requires = "recovery_to")]
    recovery_s3: Option<PathBuf>,

    /// Interval between checks for something new to back up
    #[arg(
        long,
        default_value = "1h",
        value_parser = crate::api::parse_duration,
        value_name = "TIME",
        requires = "recovery_to"
    )]
    recovery_interval: Duration,
}

impl ServerBackupArgs {
    /// Returns the backup that is declared, recorded for other commands.
    pub(in crate::cli) fn open(
        &self,
        documents: &Path,
        state_dir: &Path,
        state: &State,
        runtime: &str,
    ) -> anyhow::Result<Option<ServerBackup>> {
        let Some(address) = &self.recovery_to else {
            ServerBackupRecord::remove(state_dir)?;
            return Ok(None);
        };
        if !self.recovery_recipients.is_empty() {
            Recipients::parse(&self.recovery_recipients).context("--recovery-recipient")?;
        }
        let backup = ServerBackup {
            location: Location::new(address.clone(), self.recovery_s3.as_deref(), S3_OPTION)?,
            recipients: self.recovery_recipients.clone(),
            documents: documents.to_owned(),
            state_dir: state_dir.to_owned(),
            state: state.clone(),
            runtime: runtime.to_owned(),
        };
        backup.record()?;
        Ok(Some(backup))
    }

    /// Keeps a backup up to date and prints what becomes of it.
    pub(in crate::cli) async fn keep(backup: ServerBackup, interval: Duration) {
        let place = backup.location.address().to_string();
        backup.keep(interval, |notice| say(&line(&notice, &place))).await;
    }

    /// Returns the interval between checks.
    pub(in crate::cli) fn interval(&self) -> Duration {
        self.recovery_interval
    }
}

fn line(notice: &Notice, place: &str) -> String {
    let name = "server backup";
    match notice {
        Notice::Failed(problem) => format!("{name:<20} problem     {problem}"),
        Notice::Made { id, missing } if missing.is_empty() => format!("{name:<20} made        {id} in {place}"),
        Notice::Made { id, missing } => format!(
            "{name:<20} made        {id} in {place}; it is not encrypted, so it leaves out {}; add --recovery-recipient age1…",
            missing.join(", ")
        ),
    }
}

/// Standard output may be a pipe that nobody reads any more.
fn say(line: &str) {
    let mut out = PrintableOutput::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
