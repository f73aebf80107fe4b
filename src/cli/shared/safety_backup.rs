//! A backup of the data of an instance before a command changes it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use mai_backup::{Places, Progress, create};
use mai_contract::job::{BackupId, BackupOrder, BackupReport, Destination};

use crate::cli::shared::named_instance::NamedInstance;

/// Fails if the backups are inside the data, where a command that replaces the data would take them
/// along.
pub(in crate::cli) fn require_apart(data: &Path, backups: &Path) -> anyhow::Result<()> {
    let real = |path: &Path| path.canonicalize().with_context(|| path.display().to_string());
    let (data, backups) = (real(data)?, real(backups)?);
    anyhow::ensure!(
        !backups.starts_with(&data),
        "the backups in {} are inside the data and would go with it; declare another directory in spec.storage.backups and move them there",
        backups.display()
    );
    Ok(())
}

/// Makes and verifies a backup in the backups volume. It is not encrypted, since it has to be read
/// back whole here, where there is no identity.
pub(in crate::cli) async fn back_up(
    instance: &NamedInstance,
    data: &Path,
    backups: &Path,
    reason: String,
) -> anyhow::Result<BackupReport> {
    let id = BackupId::new(Timestamp::now(), rand::random());
    let mut document = instance.document.clone();
    document.status = None;
    let order = BackupOrder {
        id: id.clone(),
        instance: instance.id().into(),
        reason,
        image: Some(document.spec.image.clone()),
        document: serde_json::to_value(document)?,
        secrets: Vec::new(),
        encryption: None,
        destinations: vec![Destination::backups_volume(None)],
        time_zone: "UTC".to_owned(),
    };
    let places = Places {
        data: data.to_owned(),
        backups: backups.to_owned(),
        secrets: PathBuf::new(),
        staging: Places::default_staging(backups, &id),
    };
    let report = create(&order, &places, &Progress::silent()).await?;
    match report.safety_problem() {
        None => Ok(report),
        Some(problem) => anyhow::bail!("backup {id}: {problem}"),
    }
}

/// Prints what is not in a backup, or not as it is in the data.
pub(in crate::cli) fn print_remarks(name: &str, report: &BackupReport) {
    for remark in &report.remarks {
        println!("{name:<20} {remark}");
    }
}
