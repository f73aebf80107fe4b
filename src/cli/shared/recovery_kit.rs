//! The recovery kit of a directory, and the reminder of it.

use std::path::Path;

use crate::api::MaiInstance;
use crate::recovery::{RecoveryKit, ServerBackupRecord};
use crate::state::State;

/// Returns the kit of the instances in a state database.
pub(in crate::cli) async fn kit_of(state: &State, state_dir: &Path) -> anyhow::Result<RecoveryKit> {
    let known = state.documents().await?.into_iter().filter(|known| known.deleted_at.is_none());
    // What this version does not understand is named by the reconciler.
    let instances: Vec<MaiInstance> = known.filter_map(|known| serde_json::from_value(known.document).ok()).collect();
    Ok(RecoveryKit::new(&instances, ServerBackupRecord::read(state_dir)?.as_ref()))
}

/// Returns a sentence while backups leave the machine and nobody confirmed to have the kit of them.
pub(in crate::cli) async fn reminder(
    state: &State,
    state_dir: &Path,
    documents: &Path,
) -> anyhow::Result<Option<String>> {
    let kit = kit_of(state, state_dir).await?;
    if kit.is_empty() || kit.is_confirmed(state_dir)? {
        return Ok(None);
    }
    let documents = documents.display();
    Ok(Some(format!(
        "the recovery kit of the present destinations and keys was not confirmed; print it with `mai recovery-kit {documents}`, keep it on paper, and run that again with --confirm"
    )))
}
