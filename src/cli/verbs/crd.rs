//! `mai crd`: prints the CustomResourceDefinition that a cluster needs, for `kubectl apply
//! --server-side -f -`.

use std::io::Write;
use std::process::ExitCode;

use crate::api::crd;

pub(in crate::cli) fn run() -> anyhow::Result<ExitCode> {
    let yaml = serde_saphyr::to_string(&crd()?)?;
    std::io::stdout().lock().write_all(yaml.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
