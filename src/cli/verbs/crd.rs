//! `mai crd`: prints the CustomResourceDefinitions that a cluster needs, for `kubectl apply
//! --server-side -f -`.

use std::io::Write;
use std::process::ExitCode;

use kube::CustomResourceExt;

use crate::api::{MaiBackup, crd};

pub(in crate::cli) fn run() -> anyhow::Result<ExitCode> {
    let instances = serde_saphyr::to_string(&crd()?)?;
    let backups = serde_saphyr::to_string(&MaiBackup::crd())?;
    write!(std::io::stdout().lock(), "{instances}---\n{backups}")?;
    Ok(ExitCode::SUCCESS)
}
