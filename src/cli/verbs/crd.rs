//! `mai crd`: prints the CustomResourceDefinitions that a cluster needs, for `kubectl apply
//! --server-side -f -`.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use crate::api::crds;

pub(in crate::cli) fn run() -> anyhow::Result<ExitCode> {
    let all = crds()?.iter().map(yaml).collect::<anyhow::Result<Vec<_>>>()?;
    write!(std::io::stdout().lock(), "{}", all.join("---\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns a definition as YAML. It is nested so deep that two spaces a level, before each line of a
/// description as well, are two fifths of it.
fn yaml(definition: &Value) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! { indent_step: 1, prefer_block_scalars: false };
    Ok(serde_saphyr::to_string_with_options(definition, options)?)
}
