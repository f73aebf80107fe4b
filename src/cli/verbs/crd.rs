//! `mai crd`: prints the CustomResourceDefinitions that a cluster needs, for `kubectl apply
//! --server-side -f -`.

use std::io::Write;
use std::process::ExitCode;

use kube::CustomResourceExt;
use serde::Serialize;

use crate::api::{MaiBackup, MaiRestore, crd};

pub(in crate::cli) fn run() -> anyhow::Result<ExitCode> {
    let all = [yaml(&crd()?)?, yaml(&MaiBackup::crd())?, yaml(&MaiRestore::crd())?];
    write!(std::io::stdout().lock(), "{}", all.join("---\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns a definition as YAML. It is nested so deep that two spaces a level are two fifths of it.
fn yaml(definition: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string_with_options(definition, serde_saphyr::ser_options! { indent_step: 1 })?)
}
