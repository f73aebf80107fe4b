//! Schema of an optional time, as Kubernetes has it.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Returns the schema of a time that may be absent.
pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
