//! Schema of the conditions in a status, with the fields that Kubernetes gives them.
//!
//! k8s-openapi has one too, together with a schema of every other type of Kubernetes: a fifteenth
//! of the time that a release build takes, for this one.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Returns the schema of a list of conditions.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "lastTransitionTime": {
                    "description": "Time at which the status changed.",
                    "type": "string",
                    "format": "date-time",
                },
                "message": {"description": "The state as a sentence.", "type": "string"},
                "observedGeneration": {
                    "description": "Generation of the spec that it describes.",
                    "type": "integer",
                    "format": "int64",
                },
                "reason": {"description": "The state in one word.", "type": "string"},
                "status": {"description": "True, False or Unknown.", "type": "string"},
                "type": {"description": "Its type.", "type": "string"},
            },
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
        },
    })
}
