//! The ServiceAccount of an instance: it has no rights and no token.

use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::Workload;

pub(super) fn service_account(workload: &Workload) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": names::owned_metadata(&workload.id, &names::object_name(&workload.id)),
        "automountServiceAccountToken": false,
    })
}
